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

use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::{env, fs};

use anyhow::{Context, Result};
use testbed::process::tethered;

pub use init::init;
use room::Room;

/// The hidden command that is process 1 of the namespace.
pub const INIT: &str = "__init";

/// Where scratch directories are made; testbed asks for it too.
const SCRATCH: &str = "OCB_SCRATCH";
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

/// Where what a run makes is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Where there is room: below `$OCB_SCRATCH` or `/var/tmp`.
    Disk,
    /// In memory, where there is enough of it to spare: a disk has moods.
    Memory,
}

/// How much memory [`Place::Memory`] wants, in MiB.
const ENOUGH_MIB: u64 = 10 << 10;

/// Runs `story` in such a world: calls ourselves again inside with these words,
/// where this function is met again and runs the story.
pub fn contained(
    words: &[&str],
    place: Place,
    story: impl FnOnce() -> Result<ExitCode>,
) -> Result<ExitCode> {
    if env::var_os(INSIDE).is_some() {
        return story();
    }
    room::sweep();
    let room = Room::new()?;
    let mut command = outer(&env::current_exe()?);
    command
        .args(words)
        .env(INSIDE, "1")
        .env(SCRATCH, room.path())
        .env("TMPDIR", room.path())
        .stdin(Stdio::null());
    if place == Place::Memory {
        if available_mib() > ENOUGH_MIB {
            command.env(init::IN_MEMORY, "1");
        } else {
            println!("less than {ENOUGH_MIB} MiB of memory to spare: on disk, with all its moods");
        }
    }
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

/// What the kernel says could be used without swapping.
fn available_mib() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"));
    let kib = line.and_then(|line| line.trim().split(' ').next()?.parse::<u64>().ok());
    kib.unwrap_or_default() / 1024
}
