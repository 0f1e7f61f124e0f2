//! The exit codes.

use nix::sys::signal::Signal;

/// The exit codes. Their numbers are documented and do not change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Exit {
    Done = 0,
    /// A bug, or something that nobody foresaw.
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

    /// What it means, for a person.
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

    /// For the signal that stopped us.
    pub(crate) fn of_signal(signal: Signal) -> Self {
        if signal == Signal::SIGINT {
            Self::Interrupted
        } else {
            Self::Terminated
        }
    }
}
