//! The verdict: one on every path out, to the journal, to a state file, and as an exit code.

mod metrics;
mod verdict;

use std::fs::{self, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use log::{Level, log, warn};
use serde::{Deserialize, Serialize};

use crate::backup::outcome::{DatasetOutcome, Outcome, Refused, exit_code};
use crate::bucket::summary::{ExportRecord, SnapshotRecord};
use crate::config::Config;
use crate::exit::Exit;
use crate::free_space::Space;
use crate::host::Host;
use crate::preflight::{Check, State};
use crate::retention::Pruned;
use crate::small_file;
use crate::step::Step;
use crate::step::timer::StepDuration;
use crate::timestamp::Timestamp;
use crate::ui::logging::{self, VERDICT_ID};

/// A state file has some KiB; this program wrote no larger one.
pub(crate) const LARGEST_STATE: u64 = 16 << 20;

/// What the state file and `run --json` hold.
#[derive(Debug, Serialize)]
pub(crate) struct Report<'a> {
    pub schema: u32,
    pub tool: &'static str,
    pub host: &'a str,
    pub timestamp: Timestamp,
    /// When it ended, RFC 3339.
    pub finished: String,
    pub exit_code: u8,
    pub meaning: &'static str,
    /// The first stage that failed.
    pub failed_step: Option<Step>,
    /// The verdict as it stands in the journal.
    pub verdict: String,
    /// What is worth saying beside.
    pub warnings: Vec<String>,
    /// Prerequisites that are unmet.
    pub unmet: Vec<&'a Check>,
    /// The snapshot, if one was taken.
    pub snapshot: Option<&'a SnapshotRecord>,
    pub datasets: &'a [DatasetOutcome],
    pub export: Option<&'a ExportRecord>,
    pub retention: Option<&'a Pruned>,
    /// How many local snapshots there are.
    pub snapshots: Option<u64>,
    /// The room where they are.
    #[serde(flatten)]
    pub space: Option<Space>,
    /// How long each step took.
    pub durations: &'a [StepDuration],
    /// The last run with exit code 0.
    pub last_success: Option<Timestamp>,
    /// The last run without.
    pub last_failure: Option<LastFailure>,
}

/// A run that failed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct LastFailure {
    pub timestamp: Timestamp,
    pub step: String,
}

/// What is read back of a state file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Last {
    pub timestamp: Timestamp,
    pub exit_code: u8,
    /// The first stage that failed.
    pub failed_step: Option<String>,
    pub verdict: String,
    /// The last run with exit code 0.
    #[serde(default)]
    pub last_success: Option<Timestamp>,
    /// The last run without.
    #[serde(default)]
    pub last_failure: Option<LastFailure>,
}

impl<'a> Report<'a> {
    /// What an outcome comes to.
    pub(crate) fn new(host: &'a Host, timestamp: Timestamp, outcome: &'a Outcome) -> Self {
        let exit = exit_code(outcome);
        let unmet = match &outcome.refused {
            Some(Refused::Unmet(checks)) => checks
                .iter()
                .filter(|check| check.state == State::Unmet)
                .collect(),
            _ => Vec::new(),
        };
        let warnings = verdict::warnings(outcome);
        let failed = verdict::failed_step(exit, outcome);
        let last = Last::read(&host.config.report.state_file);
        Self {
            schema: 1,
            tool: concat!("opencode-backup ", env!("CARGO_PKG_VERSION")),
            host: &host.name,
            timestamp,
            finished: Timestamp::now().rfc3339(),
            exit_code: exit.code(),
            meaning: exit.meaning(),
            failed_step: failed,
            verdict: host
                .redactor
                .redact(&verdict::sentence(exit, timestamp, outcome))
                .into_owned(),
            warnings: warnings
                .iter()
                .map(|text| host.redactor.redact(text).into_owned())
                .collect(),
            unmet,
            snapshot: outcome
                .snapshot
                .as_ref()
                .and_then(|snapshot| snapshot.as_ref().ok()),
            datasets: &outcome.datasets,
            export: outcome.export.as_ref().map(|export| &export.record),
            retention: outcome
                .retention
                .as_ref()
                .and_then(|retention| retention.as_ref().ok()),
            snapshots: outcome.snapshots,
            space: outcome.space,
            durations: &outcome.durations,
            last_success: if exit == Exit::Done {
                Some(timestamp)
            } else {
                last.as_ref().and_then(|last| last.last_success)
            },
            last_failure: match failed {
                Some(step) => Some(LastFailure {
                    timestamp,
                    step: step.to_string(),
                }),
                None => last.and_then(|last| last.last_failure),
            },
        }
    }

    pub(crate) fn announce(&self) {
        let level = match (self.exit_code, self.warnings.is_empty()) {
            (0, true) => Level::Info,
            (0, false) => Level::Warn,
            _ => Level::Error,
        };
        for warning in &self.warnings {
            warn!(step = "report"; "{warning}");
        }
        let step = self.failed_step.unwrap_or(Step::Report).to_string();
        let bytes: u64 = self
            .datasets
            .iter()
            .map(|dataset| dataset.transfer.bytes)
            .sum();
        log!(
            level,
            message_id = VERDICT_ID, exit_code = self.exit_code, step = step.as_str(), bytes = bytes;
            "{}", self.verdict
        );
    }

    /// Writes the state file, and the metrics where they are wanted. A write error is a warning: the backup is not
    /// affected.
    pub(crate) fn save(&self, config: &crate::config::Report) {
        save_state(&config.state_file, self);
        if let Some(textfile) = &config.textfile {
            let written = replace(textfile, &metrics::text(self));
            warn_unwritten("metrics file", "report.textfile", textfile, written);
        }
    }
}

fn save_state(path: &Path, report: &impl Serialize) {
    let written = serde_json::to_string_pretty(report)
        .map_err(io::Error::from)
        // Once more as a whole: an error may quote what a library said.
        .and_then(|text| replace(path, &(logging::redacted(&text) + "\n")));
    warn_unwritten("state file", "report.state_file", path, written);
}

fn warn_unwritten(what: &str, key: &str, path: &Path, written: io::Result<()>) {
    if let Err(error) = written {
        warn!(
            step = "report";
            "the {what} {} could not be written: {error}; nothing else is lost, but monitoring will not see this run (make \
             its folder writable for this user, or correct {key})",
            path.display()
        );
    }
}

/// Under a name of its own, made anew, then renamed: whatever stands at the path, a link included, is replaced
/// and not followed, and no reader sees half of it.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    if !folder.exists() {
        fs::create_dir(folder)?;
    }
    let mut file = tempfile::Builder::new()
        .prefix(".opencode-backup-")
        .tempfile_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.as_file()
        .set_permissions(Permissions::from_mode(0o644))?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

impl Last {
    /// What the run before wrote; `None` where there is nothing that can be understood.
    pub(crate) fn read(path: &Path) -> Option<Self> {
        serde_json::from_slice(&small_file::read(path, LARGEST_STATE).ok()?).ok()
    }
}

/// The configuration cannot be read, so its state file is unknown. The default one is written if its folder exists.
pub(crate) fn announce_refused(timestamp: Timestamp, text: &str) {
    let verdict = format!(
        "no backup was made (exit code {}: {}): {text}",
        Exit::Usage.code(),
        Exit::Usage.meaning()
    );
    log!(Level::Error, message_id = VERDICT_ID, exit_code = Exit::Usage.code(), step = "config"; "{verdict}");
    let path = Config::parse("", None).map(|defaults| defaults.report.state_file);
    if let Ok(path) = path
        && path.parent().is_some_and(Path::is_dir)
    {
        let report = serde_json::json!({
            "schema": 1,
            "tool": concat!("opencode-backup ", env!("CARGO_PKG_VERSION")),
            "timestamp": timestamp,
            "finished": timestamp.rfc3339(),
            "exit_code": Exit::Usage.code(),
            "meaning": Exit::Usage.meaning(),
            "failed_step": Step::Config,
            "verdict": verdict,
        });
        save_state(&path, &report);
    }
}

/// Something that nobody foresaw, wherever it happened.
pub(crate) fn announce_unexpected(text: &str) {
    log!(
        Level::Error,
        message_id = VERDICT_ID, exit_code = Exit::Unexpected.code(), step = "report";
        "opencode-backup ended unexpectedly (exit code {}): {text}; `opencode-backup list` tells what there is",
        Exit::Unexpected.code()
    );
}
