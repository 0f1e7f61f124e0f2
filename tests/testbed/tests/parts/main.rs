//! The parts keep their promises: each on the real thing, none on a mock.

mod beds;
mod clocks;
mod disks;
mod exports;
mod lives;
mod provisions;
mod quick;
mod relays;
mod servers;
mod wire;

use std::path::Path;
use std::process::Command;

use anyhow::Result;
use testbed::bed::Running;
use testbed::s3::{APP_KEY, KEY_ID};
use testbed::{Ran, Tools};

/// Runs one rclone against an endpoint, with the remote in its environment.
/// Few retries: a fault that lasts should fail the call soon.
fn rclone(program: &Path, endpoint: &str, key_id: &str, args: &[&str]) -> Result<Ran> {
    let mut command = Command::new(program);
    command.env_clear().env("RCLONE_CONFIG", "");
    command.args([
        "--retries",
        "3",
        "--low-level-retries",
        "2",
        "--s3-no-check-bucket",
    ]);
    command.args(["--s3-provider", "Other", "--s3-endpoint", endpoint]);
    command
        .env("RCLONE_CONFIG_S3_TYPE", "s3")
        .env("RCLONE_CONFIG_S3_ENV_AUTH", "true");
    command
        .env("AWS_ACCESS_KEY_ID", key_id)
        .env("AWS_SECRET_ACCESS_KEY", APP_KEY);
    Running::start(command.args(args))?.wait_timeout(std::time::Duration::from_secs(60))
}

/// Runs both rclones.
fn each_rclone(
    check: impl Fn(&str, &dyn Fn(&str, &[&str]) -> Result<Ran>) -> Result<()>,
) -> Result<()> {
    let tools = Tools::locate()?;
    for (name, program) in [("old", &tools.rclone_old), ("new", &tools.rclone_new)] {
        check(name, &|endpoint, args| {
            rclone(program, endpoint, KEY_ID, args)
        })?;
    }
    Ok(())
}
