//! The outcome of a run, and the exit code that follows from it.

use nix::sys::signal::Signal;
use serde::Serialize;

use crate::bucket::manifest::{ExportRecord, SnapshotRecord};
use crate::exit::Exit;
use crate::free_space::Space;
use crate::preflight::Check;
use crate::retention::Pruned;
use crate::step::timer::StepDuration;
use crate::step::{Step, Transfer};
use crate::timestamp::Timestamp;

/// What came of a run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    /// Why it did not begin, if it did not.
    pub refused: Option<Refused>,
    /// The signal that asked us to stop.
    pub signal: Option<Signal>,
    /// Whether a bug of ours ended it, or a machine on which no thread can be had.
    pub panicked: bool,
    /// The stage that was reached.
    pub reached: Option<Step>,
    /// How long each step took.
    pub durations: Vec<StepDuration>,
    /// The snapshot, once tried.
    pub snapshot: Option<Result<SnapshotRecord, String>>,
    /// The datasets, once tried.
    pub datasets: Vec<DatasetOutcome>,
    /// The export, once tried.
    pub export: Option<ExportRecord>,
    /// The manifest, once tried.
    pub commit: Option<Result<(), String>>,
    pub retention: Option<Result<Pruned, String>>,
    /// What is worth saying beside.
    pub warnings: Vec<String>,
    /// How many local snapshots there are.
    pub snapshots: Option<u64>,
    /// The room where they are.
    pub space: Option<Space>,
}

/// Why a run did not begin. Nothing was touched.
#[derive(Clone, Debug)]
pub(crate) enum Refused {
    Unmet(Vec<Check>),
    Locked,
}

/// What came of a dataset.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct DatasetOutcome {
    pub name: String,
    pub prefix: String,
    /// Why it is not safely stored; nothing where it is.
    pub error: Option<String>,
    /// The stage that failed.
    pub failed_step: Option<Step>,
    /// Whether it failed because we were told to stop.
    #[serde(skip)]
    pub interrupted: bool,
    /// What is worth saying.
    pub warnings: Vec<String>,
    pub files: u64,
    /// Their sizes in all.
    pub bytes: u64,
    /// When the server last saved.
    pub data_time: Option<Timestamp>,
    pub transfer: Transfer,
}

/// The exit code. With several failures the lowest of 4 to 7 wins; an interruption that kept something
/// from being done goes before them all.
pub(crate) fn exit_code(outcome: &Outcome) -> Exit {
    let failure = failure(outcome);
    // What had failed before the signal came is no interruption: a stopped unit would look well.
    let failed_by_itself = outcome
        .datasets
        .iter()
        .any(|dataset| dataset.error.is_some() && !dataset.interrupted);
    match (outcome.signal, failure) {
        (Some(_), Some(Exit::Dataset)) if failed_by_itself => Exit::Dataset,
        (Some(signal), Some(failure)) if failure >= Exit::Snapshot && failure != Exit::Locked => {
            Exit::of_signal(signal)
        }
        (_, Some(failure)) => failure,
        (_, None) => Exit::Done,
    }
}

fn failure(outcome: &Outcome) -> Option<Exit> {
    match &outcome.refused {
        Some(Refused::Unmet(_)) => return Some(Exit::Unmet),
        Some(Refused::Locked) => return Some(Exit::Locked),
        None => {}
    }
    if outcome.panicked {
        return Some(Exit::Unexpected);
    }
    if !matches!(outcome.snapshot, Some(Ok(_))) {
        return Some(Exit::Snapshot);
    }
    if outcome.datasets.is_empty()
        || outcome
            .datasets
            .iter()
            .any(|dataset| dataset.error.is_some())
        || !matches!(outcome.commit, Some(Ok(())))
    {
        return Some(Exit::Dataset);
    }
    if outcome
        .export
        .as_ref()
        .is_none_or(|export| export.outcome == ExportRecord::FAILED)
    {
        return Some(Exit::Export);
    }
    match &outcome.retention {
        Some(Ok(pruned)) if pruned.failed.is_empty() => None,
        _ => Some(Exit::Retention),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Outcome {
        let dataset = |name: &str| DatasetOutcome {
            name: name.to_owned(),
            prefix: String::new(),
            error: None,
            failed_step: None,
            interrupted: false,
            warnings: Vec::new(),
            files: 1,
            bytes: 1,
            data_time: None,
            transfer: Transfer::default(),
        };
        Outcome {
            snapshot: Some(Ok(SnapshotRecord {
                path: String::new(),
                uuid: String::new(),
                parent_uuid: String::new(),
            })),
            datasets: vec![dataset("falkordb"), dataset("valkey")],
            export: Some(ExportRecord::disabled()),
            commit: Some(Ok(())),
            retention: Some(Ok(Pruned::default())),
            ..Outcome::default()
        }
    }

    type Break = fn(&mut Outcome);

    #[test]
    fn the_documented_codes() {
        let no_snapshot: Break = |outcome| outcome.snapshot = Some(Err("x".to_owned()));
        let no_dataset: Break = |outcome| outcome.datasets[1].error = Some("x".to_owned());
        let no_commit: Break = |outcome| outcome.commit = Some(Err("x".to_owned()));
        let no_export: Break =
            |outcome| outcome.export = Some(ExportRecord::failed("x".to_owned()));
        let no_retention: Break = |outcome| outcome.retention = Some(Err("x".to_owned()));
        let one_stays: Break = |outcome| {
            outcome.retention = Some(Ok(Pruned {
                failed: vec!["x".to_owned()],
                ..Pruned::default()
            }))
        };
        let interrupt: Break = |outcome| outcome.signal = Some(Signal::SIGINT);
        let terminate: Break = |outcome| outcome.signal = Some(Signal::SIGTERM);
        let stopped: Break = |outcome| outcome.datasets[1].interrupted = true;
        let panicked: Break = |outcome| outcome.panicked = true;
        let unmet: Break = |outcome| outcome.refused = Some(Refused::Unmet(Vec::new()));
        let locked: Break = |outcome| outcome.refused = Some(Refused::Locked);
        let table: &[(&[Break], u8)] = &[
            (&[], 0),
            (&[panicked], 1),
            (&[panicked, no_dataset], 1),
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
            (&[interrupt, no_dataset, stopped], 130),
            (&[interrupt, no_commit], 130),
            (&[terminate, no_retention], 143),
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
