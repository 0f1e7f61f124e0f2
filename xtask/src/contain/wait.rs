//! Waits outside until nothing lives inside any more.
//!
//! The surprise: we adopt orphans (`PR_SET_CHILD_SUBREAPER`). When the chain is
//! cut in the middle, the namespace's first process becomes our child, and its
//! end is the end of everything in it: only then may the scratch directory go.

use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::sys::prctl::set_child_subreaper;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::init::exit_code;

const TICK: Duration = Duration::from_millis(20);
/// On a terminal everyone has the SIGINT; this is how long they may take.
const AFTER_INTERRUPT: Duration = Duration::from_secs(3);
/// How long orphans may outlive the command, where there is no namespace.
const AFTER_END: Duration = Duration::from_secs(15);

/// Starts the command; its exit code, once all its descendants are gone.
pub fn until_all_is_over(mut command: Command) -> Result<ExitCode> {
    set_child_subreaper(true).context("become the reaper of orphans")?;
    let received = Arc::new(AtomicUsize::new(0));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        let number = usize::try_from(signal)?;
        signal_hook::flag::register_usize(signal, Arc::clone(&received), number)?;
    }
    let name = command.get_program().to_string_lossy().into_owned();
    let child = command.spawn().with_context(|| format!("run {name}"))?;
    let child = Pid::from_raw(child.id().cast_signed());
    let mut code = None;
    let mut kill_at = None;
    let mut leave_at = None;
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) => sleep(TICK),
            Ok(status) if status.pid() == Some(child) => {
                code = exit_code(status).or(code);
                leave_at = Some(Instant::now() + AFTER_END);
            }
            Ok(_) | Err(Errno::EINTR) => {}
            Err(Errno::ECHILD) => break,
            Err(error) => return Err(error).context("wait for children"),
        }
        let signal = i32::try_from(received.load(Ordering::Relaxed))?;
        if signal != 0 && kill_at.is_none() {
            let patience = if signal == SIGINT {
                AFTER_INTERRUPT
            } else {
                Duration::ZERO
            };
            kill_at = Some(Instant::now() + patience);
        }
        if code.is_none() && kill_at.is_some_and(|at| Instant::now() >= at) {
            kill(child, Signal::SIGKILL).ok();
        }
        if leave_at.is_some_and(|at| Instant::now() >= at) {
            break;
        }
    }
    let signal = received.load(Ordering::Relaxed);
    let code = if signal == 0 {
        code
    } else {
        u8::try_from(128 + signal).ok()
    };
    Ok(ExitCode::from(code.unwrap_or(1)))
}
