//! The outcome of a run, and the exit code that follows from it.

use nix::sys::signal::Signal;
use serde::Serialize;

use crate::bucket::names;
use crate::bucket::summary::{ExportRecord, SnapshotRecord};
use crate::config::{DatasetName, Prefix};
use crate::exit::{Exit, StepError};
use crate::free_space::Space;
use crate::preflight::Check;
use crate::retention::Pruned;
use crate::step::timer::StepDuration;
use crate::step::{Step, Transfer};
use crate::timestamp::Timestamp;

/// The outcome of a run.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Why the run did not begin.
    pub refused: Option<Refused>,
    /// The signal that stopped the run.
    pub signal: Option<Signal>,
    /// The stage that was reached.
    pub reached: Option<Step>,
    /// How long each step took.
    pub durations: Vec<StepDuration>,
    /// The snapshot, once tried.
    pub snapshot: Option<Result<SnapshotRecord, StepError>>,
    /// The datasets, once tried.
    pub datasets: Vec<DatasetOutcome>,
    /// The export, once tried.
    pub export: Option<ExportOutcome>,
    /// The manifest, once tried.
    pub commit: Option<Result<(), StepError>>,
    pub retention: Option<Result<Pruned, StepError>>,
    pub warnings: Vec<String>,
    /// How many local snapshots there are.
    pub snapshots: Option<u64>,
    /// Free space in the snapshot directory.
    pub space: Option<Space>,
}

/// Why a run did not begin. Nothing was touched.
#[derive(Clone, Debug)]
pub(crate) enum Refused {
    Unmet(Vec<Check>),
    Locked,
}

/// The outcome of a dataset.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct DatasetOutcome {
    pub name: DatasetName,
    pub prefix: String,
    /// Why the dataset is not safely stored; `None`: it is stored.
    pub error: Option<StepError>,
    /// The stage that failed.
    pub failed_step: Option<Step>,
    /// What is worth saying.
    pub warnings: Vec<String>,
    pub files: u64,
    /// Their sizes in all.
    pub bytes: u64,
    /// When the server last saved.
    pub data_time: Option<Timestamp>,
    pub transfer: Transfer,
}

impl DatasetOutcome {
    pub(super) fn new(name: &DatasetName, prefix: &Prefix, timestamp: Timestamp) -> Self {
        Self {
            name: name.clone(),
            prefix: names::dataset_prefix(prefix, name, timestamp),
            error: None,
            failed_step: None,
            warnings: Vec::new(),
            files: 0,
            bytes: 0,
            data_time: None,
            transfer: Transfer::default(),
        }
    }

    pub(super) fn fail(&mut self, step: Step, error: StepError) {
        self.failed_step = Some(step);
        self.error = Some(error);
    }
}

/// The outcome of the export.
#[derive(Clone, Debug)]
pub(crate) struct ExportOutcome {
    pub record: ExportRecord,
    pub error: Option<StepError>,
}

impl ExportOutcome {
    pub(crate) fn disabled() -> Self {
        Self {
            record: ExportRecord::disabled(),
            error: None,
        }
    }

    pub(crate) fn failed(error: StepError) -> Self {
        Self {
            record: ExportRecord::failed(error.to_string()),
            error: Some(error),
        }
    }
}

/// The exit code. Of several failures the lowest of 4 to 7 wins. A signal decides only where nothing failed by itself:
/// a stopped unit counts as successful, and a failure that precedes the signal must stay visible.
pub(crate) fn exit_code(outcome: &Outcome) -> Exit {
    match &outcome.refused {
        Some(Refused::Unmet(_)) => return Exit::Unmet,
        Some(Refused::Locked) => return Exit::Locked,
        None => {}
    }
    let failures = outcome.failures();
    let lowest = failures.iter().map(|(exit, _)| *exit).min();
    let stopped = failures.iter().all(|(_, stopped)| *stopped);
    match (lowest, outcome.signal) {
        (None, _) => Exit::Done,
        (Some(_), Some(signal)) if stopped => Exit::of_signal(signal),
        (Some(lowest), _) => lowest,
    }
}

impl Outcome {
    /// What failed, and whether a signal is the reason. A stage that was not reached failed too: the signal prevented
    /// it, or the failure before it, which is the lower exit code.
    fn failures(&self) -> Vec<(Exit, bool)> {
        fn of<T>(exit: Exit, result: Option<&Result<T, StepError>>) -> Option<(Exit, bool)> {
            match result {
                None => Some((exit, true)),
                Some(Err(error)) => Some((exit, error.is_interrupted())),
                Some(Ok(_)) => None,
            }
        }
        let mut failures = Vec::new();
        failures.extend(of(Exit::Snapshot, self.snapshot.as_ref()));
        let datasets = self.datasets.iter();
        let errors = datasets.filter_map(|dataset| dataset.error.as_ref());
        failures.extend(errors.map(|error| (Exit::Dataset, error.is_interrupted())));
        failures.extend(of(Exit::Dataset, self.commit.as_ref()));
        failures.extend(match &self.export {
            None => Some((Exit::Export, true)),
            Some(export) => {
                let error = export.error.as_ref();
                error.map(|error| (Exit::Export, error.is_interrupted()))
            }
        });
        failures.extend(of(Exit::Retention, self.retention.as_ref()));
        if let Some(Ok(pruned)) = &self.retention {
            let errors = pruned.errors();
            failures.extend(errors.map(|error| (Exit::Retention, error.is_interrupted())));
        }
        failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Outcome {
        let dataset = |name: &str| {
            let name = name.parse().expect("a name");
            let now = Timestamp::from_unix(0).expect("a time");
            DatasetOutcome::new(&name, &Prefix::default(), now)
        };
        Outcome {
            snapshot: Some(Ok(SnapshotRecord {
                path: String::new(),
                uuid: String::new(),
                parent_uuid: String::new(),
            })),
            datasets: vec![dataset("falkordb"), dataset("valkey")],
            export: Some(ExportOutcome::disabled()),
            commit: Some(Ok(())),
            retention: Some(Ok(Pruned::default())),
            ..Outcome::default()
        }
    }

    fn failed() -> StepError {
        anyhow::anyhow!("x").into()
    }

    fn stopped() -> StepError {
        StepError::Interrupted(Signal::SIGTERM)
    }

    type Break = fn(&mut Outcome);

    #[test]
    fn the_documented_codes() {
        let no_snapshot: Break = |outcome| outcome.snapshot = Some(Err(failed()));
        let no_dataset: Break = |outcome| outcome.datasets[1].error = Some(failed());
        let no_commit: Break = |outcome| outcome.commit = Some(Err(failed()));
        let no_export: Break = |outcome| outcome.export = Some(ExportOutcome::failed(failed()));
        let no_retention: Break = |outcome| outcome.retention = Some(Err(failed()));
        let one_stays: Break = |outcome| {
            let mut pruned = Pruned::default();
            pruned.bucket.error = Some(failed());
            outcome.retention = Some(Ok(pruned));
        };
        let interrupt: Break = |outcome| outcome.signal = Some(Signal::SIGINT);
        let terminate: Break = |outcome| outcome.signal = Some(Signal::SIGTERM);
        let stopped_dataset: Break = |outcome| outcome.datasets[0].error = Some(stopped());
        let stopped_commit: Break = |outcome| outcome.commit = Some(Err(stopped()));
        let stopped_retention: Break = |outcome| outcome.retention = Some(Err(stopped()));
        let no_stage_after_the_snapshot: Break = |outcome| {
            *outcome = Outcome {
                signal: outcome.signal,
                snapshot: outcome.snapshot.take(),
                ..Outcome::default()
            };
        };
        let unmet: Break = |outcome| outcome.refused = Some(Refused::Unmet(Vec::new()));
        let locked: Break = |outcome| outcome.refused = Some(Refused::Locked);
        let table: &[(&[Break], u8)] = &[
            (&[], 0),
            (&[unmet], 3),
            (&[no_snapshot], 4),
            (&[no_dataset], 5),
            (&[no_commit], 5),
            (&[no_export], 6),
            (&[no_retention], 7),
            (&[one_stays], 7),
            (&[locked], 75),
            (&[no_export, no_retention], 6),
            (&[no_dataset, no_export, no_retention], 5),
            (&[no_snapshot, no_dataset], 4),
            // A signal that came too late to stop anything is no interruption.
            (&[interrupt], 0),
            (&[interrupt, no_dataset], 5),
            (&[interrupt, stopped_dataset, stopped_commit], 130),
            (&[terminate, stopped_commit], 143),
            (&[terminate, stopped_retention], 143),
            (&[terminate, no_stage_after_the_snapshot], 143),
            // What failed before the signal is a failure.
            (&[terminate, no_snapshot], 4),
            (&[terminate, no_dataset, stopped_dataset, stopped_commit], 5),
            (&[terminate, no_export, stopped_dataset, stopped_commit], 5),
            (&[terminate, no_retention], 7),
            (&[terminate, locked], 75),
            (&[terminate, unmet], 3),
        ];
        for (breaks, code) in table {
            let mut outcome = good();
            breaks.iter().for_each(|broken| broken(&mut outcome));
            assert_eq!(exit_code(&outcome).code(), *code, "{outcome:?}");
        }
    }
}
