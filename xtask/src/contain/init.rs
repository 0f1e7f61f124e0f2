//! Process 1 of the namespace: starts the one command, reaps every orphan, passes
//! signals on, and ends when the command ends. The kernel then kills the rest.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::SCRATCH;

/// Set where the scratch directory is to be a tmpfs.
pub(super) const IN_MEMORY: &str = "OCB_XTASK_IN_MEMORY";

/// How long the command may take to end after a signal.
const GRACE: Duration = Duration::from_secs(5);

/// Runs `words` to its end.
pub fn init(words: &[&str]) -> Result<ExitCode> {
    let room = env::var_os(SCRATCH).map(PathBuf::from).unwrap_or_default();
    // libfaketime names its files there by process id, and ids start anew here.
    if !room.starts_with("/dev/shm") {
        tmpfs(Path::new("/dev/shm")).ok();
    }
    if env::var_os(IN_MEMORY).is_some() {
        tmpfs(&room)?;
    }
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    let (program, arguments) = words.split_first().context("nothing to run")?;
    let child = Command::new(program)
        .args(arguments)
        .spawn()
        .with_context(|| format!("run {program}"))?;
    let child = Pid::from_raw(child.id().cast_signed());
    thread::spawn(move || {
        for signal in signals.forever() {
            // On a terminal the command has it already, and a second one hurts nobody.
            kill(child, Signal::try_from(signal).ok()).ok();
            thread::sleep(GRACE);
            kill(child, Signal::SIGKILL).ok();
        }
    });
    Ok(ExitCode::from(reap_until(child)?))
}

fn tmpfs(at: &Path) -> Result<()> {
    let (source, options) = ("tmpfs", Some("mode=1755,size=90%"));
    mount(Some(source), at, Some(source), MsFlags::empty(), options)
        .with_context(|| format!("mount a tmpfs at {}", at.display()))
}

/// Reaps whatever ends, until `child` does.
fn reap_until(child: Pid) -> Result<u8> {
    loop {
        match waitpid(None, None) {
            Ok(status) if status.pid() == Some(child) => {
                if let Some(code) = exit_code(status) {
                    return Ok(code);
                }
            }
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error).context("wait for children"),
        }
    }
}

/// As a shell would say it; `None` for what is no end.
pub(super) fn exit_code(status: WaitStatus) -> Option<u8> {
    match status {
        WaitStatus::Exited(_, code) => Some(u8::try_from(code).unwrap_or(1)),
        WaitStatus::Signaled(_, signal, _) => Some(128 + signal as u8),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_end_has_a_code() {
        let pid = Pid::from_raw(2);
        let ended = |status| exit_code(status);
        assert_eq!(ended(WaitStatus::Exited(pid, 101)), Some(101));
        assert_eq!(
            ended(WaitStatus::Signaled(pid, Signal::SIGINT, false)),
            Some(130)
        );
        assert_eq!(ended(WaitStatus::Stopped(pid, Signal::SIGTSTP)), None);
        assert_eq!(ended(WaitStatus::StillAlive), None);
    }
}
