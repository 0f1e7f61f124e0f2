//! The exit codes, and why a step or a command failed.

use std::fmt;
use std::sync::Arc;

use nix::sys::signal::Signal;
use serde::{Serialize, Serializer};

use crate::interrupt::{Interrupt, Interrupted};
use crate::step::Step;

/// The exit codes. Their numbers are documented and do not change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Exit {
    Done = 0,
    /// A bug or an unforeseen failure.
    Unexpected = 1,
    Usage = 2,
    /// A prerequisite is unmet; nothing was touched.
    Unmet = 3,
    /// The snapshot failed; nothing was uploaded.
    Snapshot = 4,
    /// A dataset is not safely stored.
    Dataset = 5,
    /// The datasets are stored, the export is not.
    Export = 6,
    /// All is stored, retention failed.
    Retention = 7,
    /// `verify`, `restore` or `drill` found a difference.
    Difference = 8,
    /// Another run holds the lock.
    Locked = 75,
    Interrupted = 130,
    /// Interrupted by SIGTERM or SIGHUP.
    Terminated = 143,
}

impl Exit {
    pub(crate) fn code(self) -> u8 {
        self as u8
    }

    /// The exit code in words.
    pub(crate) fn meaning(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Unexpected => "something unexpected",
            Self::Usage => "usage or configuration",
            Self::Unmet => "a prerequisite is unmet, nothing was touched",
            Self::Snapshot => "the snapshot failed, nothing was uploaded",
            Self::Dataset => "a dataset is not safely stored",
            Self::Export => "the datasets are stored, the export is not",
            Self::Retention => "all is stored, retention failed",
            Self::Difference => "what is stored is not what was there",
            Self::Locked => "another run holds the lock",
            Self::Interrupted | Self::Terminated => "interrupted",
        }
    }

    /// The exit code for a run that this signal stopped.
    pub(crate) fn of_signal(signal: Signal) -> Self {
        if signal == Signal::SIGINT {
            Self::Interrupted
        } else {
            Self::Terminated
        }
    }
}

/// Why a step of a run failed.
#[derive(Clone, Debug)]
pub(crate) enum StepError {
    /// A signal stopped the step before it failed or was done.
    Interrupted(Signal),
    /// Shared: several steps can fail because of one error, and it is printed once.
    Failed(Arc<anyhow::Error>),
}

impl StepError {
    pub(crate) fn is_interrupted(&self) -> bool {
        matches!(self, Self::Interrupted(_))
    }

    /// Whether both come from one failure.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Interrupted(one), Self::Interrupted(other)) => one == other,
            (Self::Failed(one), Self::Failed(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }

    /// Adds context to an error. An interruption stays as it is.
    pub(crate) fn context(self, what: impl fmt::Display) -> Self {
        match self {
            Self::Interrupted(_) => self,
            Self::Failed(error) => anyhow::anyhow!("{what}: {error:#}").into(),
        }
    }
}

impl From<anyhow::Error> for StepError {
    fn from(error: anyhow::Error) -> Self {
        if let Some(Self::Interrupted(signal)) = error.downcast_ref() {
            return Self::Interrupted(*signal);
        }
        let interrupted = error.chain().find_map(|cause| cause.downcast_ref());
        match interrupted {
            Some(Interrupted(signal)) => Self::Interrupted(*signal),
            None => Self::Failed(Arc::new(error)),
        }
    }
}

impl From<Interrupted> for StepError {
    fn from(Interrupted(signal): Interrupted) -> Self {
        Self::Interrupted(signal)
    }
}

impl fmt::Display for StepError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Interrupted(signal) => Interrupted(*signal).fmt(f),
            Self::Failed(error) => write!(f, "{error:#}"),
        }
    }
}

impl std::error::Error for StepError {}

impl Serialize for StepError {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Why a command failed: its exit code, and the messages that are printed once, in `commands::main`.
#[derive(Debug)]
pub(crate) struct Failure {
    pub exit: Exit,
    pub step: Option<Step>,
    /// One for each fault.
    pub messages: Vec<String>,
}

impl Failure {
    pub(crate) fn new(exit: Exit, message: impl fmt::Display) -> Self {
        Self {
            exit,
            step: None,
            messages: vec![message.to_string()],
        }
    }

    /// A signal decides the exit code, whatever else failed because of it.
    pub(crate) fn or_interrupted(self, interrupt: &Interrupt, left: impl fmt::Display) -> Self {
        match interrupt.check() {
            Ok(()) => self,
            Err(interrupted) => Self::new(
                Exit::of_signal(interrupted.0),
                format_args!("{interrupted}; {left}"),
            ),
        }
    }
}

impl From<Interrupted> for Failure {
    fn from(interrupted: Interrupted) -> Self {
        Self::new(Exit::of_signal(interrupted.0), interrupted)
    }
}
