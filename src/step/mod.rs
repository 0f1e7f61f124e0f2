//! The stages of a run, and the events that a stage and its children report.

pub(crate) mod timer;

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::DatasetName;

/// A stage of the run, in the order of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Step {
    Config,
    Preflight,
    /// The lock on the snapshot directory.
    Lock,
    /// Lists the bucket and writes the started mark.
    Mark,
    Snapshot,
    /// What the snapshot holds.
    Structure,
    /// Checksums and Redis files.
    Contents,
    Upload,
    /// Compares the bucket's listing with the snapshot.
    Verify,
    /// The export script and its object.
    Export,
    Commit,
    Retention,
    Report,
    Restore,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Config => "config",
            Self::Preflight => "preflight",
            Self::Lock => "lock",
            Self::Mark => "mark",
            Self::Snapshot => "snapshot",
            Self::Structure => "structure",
            Self::Contents => "contents",
            Self::Upload => "upload",
            Self::Verify => "verify",
            Self::Export => "export",
            Self::Commit => "commit",
            Self::Retention => "retention",
            Self::Report => "report",
            Self::Restore => "restore",
        })
    }
}

/// The stage, and the dataset, of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Label {
    pub step: Step,
    /// The dataset, where the stage works on one.
    pub dataset: Option<DatasetName>,
}

impl Label {
    /// A stage that works on no single dataset.
    pub(crate) fn new(step: Step) -> Self {
        Self {
            step,
            dataset: None,
        }
    }

    /// A stage's work on one dataset.
    pub(crate) fn of(step: Step, dataset: &DatasetName) -> Self {
        Self {
            step,
            dataset: Some(dataset.clone()),
        }
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.dataset {
            Some(dataset) => write!(f, "{} {dataset}", self.step),
            None => self.step.fmt(f),
        }
    }
}

/// How far a transfer is. Bytes and files; rclone counts server-side copies among them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Transfer {
    /// Bytes transferred so far.
    pub bytes: u64,
    /// Bytes that rclone knows of so far.
    pub total_bytes: u64,
    /// Files transferred so far.
    pub files: u64,
    /// Files that rclone knows of so far.
    pub total_files: u64,
    /// Bytes copied on the server instead of being sent; only newer rclones count them.
    pub copied_bytes: u64,
}

/// One thing that happened. Text is redacted before it gets here.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    Entered {
        label: Label,
    },
    Started {
        label: Label,
        /// Its command line, quoted.
        command: String,
    },
    /// It printed a line.
    Line {
        label: Label,
        /// The level that the tool gave the line.
        level: log::Level,
        text: String,
    },
    /// The tool reported its progress.
    Progress {
        label: Label,
        transfer: Transfer,
    },
    Ended {
        label: Label,
        /// Its command line, quoted.
        command: String,
        /// The exit code, unless a signal ended it.
        code: Option<i32>,
        /// How long it ran.
        elapsed: Duration,
    },
}
