//! Why a child did not do what was asked: one type, its kinds kept apart.

use std::fmt;
use std::io;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::interrupt::Interrupted;

/// A child that failed, with what it said last.
#[derive(Debug)]
pub(crate) struct ChildError {
    /// The tool's short name: `btrfs`, `rclone`, `export`.
    pub tool: String,
    pub kind: Kind,
    /// The end of its stderr, redacted, at most [`super::TAIL_BYTES`].
    pub tail: String,
}

/// What happened to a child.
#[derive(Debug)]
pub(crate) enum Kind {
    /// It could not be started.
    Spawn(io::Error),
    /// Waiting for it or reading from it failed.
    Io(io::Error),
    /// It exited with this code.
    Exit(i32),
    /// A signal that was not ours ended it.
    Signal(Signal),
    /// It ran past its deadline and was stopped.
    Deadline(Duration),
    /// A signal stopped this program, which stopped the child or did not start it.
    Interrupted(Interrupted),
}

impl ChildError {
    /// The exit code, where there is one.
    pub(crate) fn code(&self) -> Option<i32> {
        match self.kind {
            Kind::Exit(code) => Some(code),
            _ => None,
        }
    }
}

impl fmt::Display for ChildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tool = &self.tool;
        match &self.kind {
            Kind::Spawn(error) => write!(f, "{tool} could not be started: {error}")?,
            Kind::Io(error) => write!(f, "waiting for {tool} failed: {error}")?,
            Kind::Exit(code) => write!(f, "{tool} exited with {code}")?,
            Kind::Signal(signal) => write!(f, "{tool} was killed by {signal}")?,
            Kind::Deadline(limit) => write!(
                f,
                "{tool} ran longer than {} s and was stopped",
                limit.as_secs()
            )?,
            // The reason is this error's source.
            Kind::Interrupted(_) => f.write_str(tool)?,
        }
        let tail = self.tail.trim();
        if !tail.is_empty() {
            write!(f, ": {}", tail.replace('\n', " | "))?;
        }
        Ok(())
    }
}

impl std::error::Error for ChildError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.kind {
            Kind::Interrupted(interrupted) => Some(interrupted),
            _ => None,
        }
    }
}
