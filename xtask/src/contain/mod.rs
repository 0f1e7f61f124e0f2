//! A world of its own for whatever mounts and starts servers: private mount and
//! PID namespaces, and a scratch directory that goes with it.
//!
//! The surprise: nothing here cleans up mounts, loop devices or processes. Every
//! link of the chain dies with the one before it (parent-death signals, then the
//! namespace's first process), and the kernel takes back all that was mounted or
//! running. That holds for Ctrl-C and for our own SIGKILL alike; only the scratch
//! directory may stay then, and the next run sweeps it.

mod init;
mod room;
mod wait;

use std::env;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result};
use testbed::process::tethered;

pub use init::init;
use room::Room;

/// The hidden command that is process 1 of the namespace.
pub const INIT: &str = "__init";

const INSIDE: &str = "OCB_XTASK_INSIDE";

const UNSHARE: [&str; 8] = [
    "--mount",
    "--propagation",
    "private",
    "--pid",
    "--fork",
    "--kill-child",
    "--mount-proc",
    "--",
];

/// Runs `story` in such a world: calls ourselves again inside with these words,
/// where this function is met again and runs the story.
pub fn contained(words: &[&str], story: impl FnOnce() -> Result<ExitCode>) -> Result<ExitCode> {
    if env::var_os(INSIDE).is_some() {
        return story();
    }
    room::sweep();
    let room = Room::new()?;
    let mut command = outer(&env::current_exe()?);
    command
        .args(words)
        .env(INSIDE, "1")
        .env("OCB_SCRATCH", room.path())
        .env("TMPDIR", room.path())
        .stdin(Stdio::null());
    let ended = wait::until_all_is_over(command);
    drop(room);
    ended
}

fn outer(ourselves: &Path) -> Command {
    match allowed() {
        Ok(()) => {
            let mut command = tethered("unshare");
            command
                .args(UNSHARE)
                .arg(ourselves)
                .arg(INIT)
                .arg(ourselves);
            command
        }
        Err(why) => {
            println!(
                "no namespaces here ({why:#}): going on without; each bed's own reaper cleans up"
            );
            tethered(ourselves)
        }
    }
}

/// Whether the kernel, or the container around us, allows these namespaces.
fn allowed() -> Result<()> {
    let output = Command::new("unshare")
        .args(UNSHARE)
        .arg("true")
        .stdin(Stdio::null())
        .output()
        .context("unshare, from util-linux")?;
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    anyhow::ensure!(output.status.success(), "{said}");
    Ok(())
}
