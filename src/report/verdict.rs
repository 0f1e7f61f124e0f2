//! What an outcome comes to, in words: the step that failed, the one sentence, and what is worth saying beside.

use crate::backup::outcome::{Outcome, Refused};
use crate::exit::{Exit, StepError};
use crate::preflight::State;
use crate::retention::{Decision, Reason};
use crate::step::Step;
use crate::timestamp::Timestamp;
use crate::ui::{Bytes, counted};

/// The first stage that failed.
pub(super) fn failed_step(exit: Exit, outcome: &Outcome) -> Option<Step> {
    let dataset = || {
        outcome
            .datasets
            .iter()
            .find_map(|dataset| dataset.failed_step)
    };
    match exit {
        Exit::Done => None,
        Exit::Unmet => Some(Step::Preflight),
        Exit::Locked => Some(Step::Lock),
        Exit::Snapshot => Some(Step::Snapshot),
        Exit::Dataset => Some(dataset().unwrap_or(Step::Commit)),
        Exit::Export => Some(Step::Export),
        Exit::Retention => Some(Step::Retention),
        Exit::Usage => Some(Step::Config),
        Exit::Unexpected | Exit::Difference | Exit::Interrupted | Exit::Terminated => {
            outcome.reached
        }
    }
}

pub(super) fn sentence(exit: Exit, timestamp: Timestamp, outcome: &Outcome) -> String {
    let mut parts = Vec::new();
    match &outcome.refused {
        Some(Refused::Locked) => parts.push(
            "another run is under way (or another process holds the lock on the snapshot directory), and this one did nothing"
                .to_owned(),
        ),
        Some(Refused::Unmet(checks)) => {
            let unmet: Vec<String> = checks
                .iter()
                .filter(|check| check.state == State::Unmet)
                .map(|check| {
                    format!(
                        "{}: {} ({})",
                        check.what,
                        check.found,
                        check.remedy.as_deref().unwrap_or_default()
                    )
                })
                .collect();
            parts.push(format!(
                "{}: {}",
                counted(unmet.len() as u64, "prerequisite"),
                unmet.join("; ")
            ));
        }
        None => parts.extend(story(outcome)),
    }
    if let (Exit::Interrupted | Exit::Terminated, Some(signal)) = (exit, outcome.signal) {
        let stage = outcome
            .reached
            .map(|step| format!(" in stage {step}"))
            .unwrap_or_default();
        parts.insert(0, format!("stopped{stage} because we received {signal}"));
    }
    if let Some(count) = outcome.snapshots {
        parts.push(counted(count, "local snapshot"));
    }
    if let Some(space) = outcome.space {
        parts.push(space.to_string());
    }
    let head = match exit {
        Exit::Done => format!("backup {timestamp} is complete"),
        Exit::Locked => format!(
            "backup {timestamp} was not begun (exit code {}: {})",
            exit.code(),
            exit.meaning()
        ),
        exit => format!(
            "backup {timestamp} FAILED (exit code {}: {})",
            exit.code(),
            exit.meaning()
        ),
    };
    format!("{head}: {}", parts.join("; "))
}

fn story(outcome: &Outcome) -> Vec<String> {
    let mut parts = Vec::new();
    match &outcome.snapshot {
        Some(Err(error)) => parts.push(format!("the snapshot failed: {error}")),
        Some(Ok(snapshot))
            if outcome
                .datasets
                .iter()
                .any(|dataset| dataset.error.is_some()) =>
        {
            parts.push(format!("the snapshot {} is kept", snapshot.path));
        }
        _ => {}
    }
    let mut told = Told::default();
    for dataset in &outcome.datasets {
        parts.push(match &dataset.error {
            Some(error) => format!(
                "{} is not safely stored{}",
                dataset.name,
                told.because(error)
            ),
            None => format!(
                "{}: {}, {}",
                dataset.name,
                counted(dataset.files, "file"),
                Bytes(dataset.bytes)
            ),
        });
    }
    if let Some(Err(error)) = &outcome.commit {
        parts.push(format!("no manifest{}", told.because(error)));
    }
    if let Some(export) = &outcome.export {
        parts.push(match (&export.error, &export.record.object) {
            (Some(error), _) => format!("the export failed: {error}"),
            (None, Some(object)) => format!("export {object}"),
            (None, None) => "no export (switched off)".to_owned(),
        });
    }
    match &outcome.retention {
        Some(Err(error)) => parts.push(format!("retention failed: {error}")),
        Some(Ok(pruned)) if pruned.errors().next().is_some() => {
            let failures = pruned.failures().join("; ");
            parts.push(format!("retention failed: {failures}"));
        }
        Some(Ok(pruned)) if pruned.bucket.deleted > 0 => parts.push(format!(
            "{} deleted here, {} in the bucket",
            counted(pruned.snapshots.deleted, "old snapshot"),
            counted(pruned.bucket.deleted, "old backup")
        )),
        Some(Ok(pruned)) if pruned.snapshots.deleted > 0 => parts.push(format!(
            "{} deleted",
            counted(pruned.snapshots.deleted, "old snapshot")
        )),
        _ => {}
    }
    parts
}

/// Reasons already printed: one unreachable bucket fails every step, and the reason is printed once.
#[derive(Default)]
struct Told<'a>(Vec<&'a StepError>);

impl<'a> Told<'a> {
    fn because(&mut self, error: &'a StepError) -> String {
        if self.0.iter().any(|told| told.is_same(error)) {
            return ", for the same reason".to_owned();
        }
        self.0.push(error);
        format!(": {error}")
    }
}

/// Warnings: the backup did not fail.
pub(super) fn warnings(outcome: &Outcome) -> Vec<String> {
    let mut warnings = outcome.warnings.clone();
    for dataset in &outcome.datasets {
        warnings.extend(
            dataset
                .warnings
                .iter()
                .map(|warning| format!("{}: {warning}", dataset.name)),
        );
    }
    if let Some(space) = outcome.space.filter(|space| space.is_low()) {
        warnings.push(format!("little room where the snapshots are: {space}"));
    }
    if let Some(Ok(pruned)) = &outcome.retention {
        warnings.extend(pruned.warnings.iter().cloned());
        let future = pruned
            .snapshots
            .rows
            .iter()
            .filter(|row| row.decision == Decision::Keep(Reason::Future))
            .count();
        if future > 0 {
            warnings.push(format!(
                "{future} snapshots are from the future and count for nothing: is the clock right?"
            ));
        }
    }
    warnings
}
