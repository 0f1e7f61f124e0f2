//! `drill`: restores into a scratch directory and runs each dataset's check command on the result.
//!
//! The program knows nothing of Redis here: the command's exit code decides.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use log::{info, warn};
use serde::Serialize;

use super::{print, print_json, unmet};
use crate::bucket::select::SelectedBackup;
use crate::cli::Drill;
use crate::config::{Dataset, DatasetName};
use crate::exit::{Exit, Failure, StepError};
use crate::host::Host;
use crate::preflight;
use crate::restore::{self, DatasetRestore, Destination, RestoreError};
use crate::step::Step;
use crate::timestamp::Timestamp;
use crate::tools::check;
use crate::tools::rclone::Rclone;

/// The outcome of one dataset.
#[derive(Serialize)]
struct Drilled {
    dataset: DatasetName,
    outcome: DrillOutcome,
    detail: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
enum DrillOutcome {
    #[serde(rename = "ok")]
    Ok,
    #[serde(rename = "no check")]
    NoCheck,
    #[serde(rename = "failed")]
    Failed,
    /// A signal stopped the check.
    #[serde(rename = "stopped")]
    Stopped,
}

/// Restores into a scratch directory and runs the checks there.
pub(super) fn drill(host: &Host, args: &Drill, now: Timestamp) -> Result<Exit, Failure> {
    let rclone = preflight::rclone(host).map_err(|checks| unmet(&checks))?;
    let temporary = || {
        host.environment
            .get(OsStr::new("TMPDIR"))
            .map(PathBuf::from)
    };
    let base = args.scratch.clone().or_else(temporary);
    let base = base.unwrap_or_else(|| PathBuf::from("/var/tmp"));
    // Removed when it is dropped, on every way out; only SIGKILL leaves it behind.
    let scratch = tempfile::Builder::new()
        .prefix("opencode-backup-drill-")
        .tempdir_in(&base)
        .map_err(|problem| {
            let base = base.display();
            let what = format!(
                "no scratch directory in {base}: {problem}; name another one with --scratch"
            );
            Failure::new(Exit::Unmet, what)
        })?;
    let result = rehearse(host, args, &rclone, now, scratch.path());
    let path = scratch.path().to_owned();
    restore::make_removable(&path);
    if let Err(problem) = scratch.close() {
        warn!(
            "{} could not be removed: {problem}; remove it by hand",
            path.display()
        );
    }
    let removed = "the restored scratch copy is removed";
    let (timestamp, results) = result.map_err(|error| match error {
        // A difference that was found before a signal stays one.
        RestoreError::Difference(_) => ended(&error),
        RestoreError::Other(_) => ended(&error).or_interrupted(&host.interrupt, removed),
    })?;
    let is_failed = |result: &Drilled| result.outcome == DrillOutcome::Failed;
    let has_failed = results.iter().any(is_failed);
    if let (Err(error), false) = (host.interrupt.check(), has_failed) {
        return Err(Failure::from(error).or_interrupted(&host.interrupt, removed));
    }
    let exit = if has_failed {
        Exit::Difference
    } else {
        Exit::Done
    };
    if args.json.json {
        print_json(
            exit,
            &serde_json::json!({ "timestamp": timestamp, "datasets": results }),
        )
    } else {
        print(exit, &table(timestamp, &results))
    }
}

fn rehearse(
    host: &Host,
    args: &Drill,
    rclone: &Rclone,
    now: Timestamp,
    scratch: &Path,
) -> Result<(Timestamp, Vec<Drilled>), RestoreError> {
    let selected = SelectedBackup::ask(args.which, rclone, &host.config, now)?;
    let backup = selected.read(Step::Restore, rclone, &host.config)?;
    let parts = restore::parts_of(backup, &[], selected.timestamp)?;
    let destination =
        Destination::new(&scratch.join("restored"), selected.timestamp, &host.config)?;
    restore::restore(host, Some(rclone), &parts, &destination)?;
    let mut results: Vec<Drilled> = parts
        .iter()
        .map(|part| {
            examine(
                host,
                rclone,
                part,
                &destination.path.join(part.name.as_str()),
            )
        })
        .collect();
    for (name, dataset) in host.config.enabled() {
        let stored = parts.iter().any(|part| part.name == *name);
        if !stored && !dataset.check.is_empty() {
            results.push(Drilled {
                dataset: name.clone(),
                outcome: DrillOutcome::Failed,
                detail: Some(format!(
                    "datasets.{name} has a check, and the backup does not hold it"
                )),
            });
        }
    }
    Ok((selected.timestamp, results))
}

fn examine(host: &Host, rclone: &Rclone, part: &DatasetRestore, directory: &Path) -> Drilled {
    let result = |outcome, detail| Drilled {
        dataset: part.name.clone(),
        outcome,
        detail,
    };
    let datasets = &host.config.datasets;
    let configured = datasets.get_key_value(&part.name);
    let Some((_, Dataset { check, .. })) =
        configured.filter(|(_, dataset)| !dataset.check.is_empty())
    else {
        let detail = format!(
            "datasets.{}.check is not set: it was only restored and compared",
            part.name
        );
        return result(DrillOutcome::NoCheck, Some(detail));
    };
    let path = host.environment.get(OsStr::new("PATH"));
    let ran = check::run(
        &rclone.runner,
        &part.name,
        check,
        directory,
        path.map(|path| path.as_os_str()),
        host.config.drill.timeout.as_duration(),
    );
    match ran {
        Ok(()) => {
            let name = part.name.as_str();
            info!(step = "restore", dataset = name; "{name}: check passed");
            result(DrillOutcome::Ok, None)
        }
        Err(problem) => {
            let problem = StepError::from(problem);
            let outcome = match problem.is_interrupted() {
                true => DrillOutcome::Stopped,
                false => DrillOutcome::Failed,
            };
            result(outcome, Some(problem.to_string()))
        }
    }
}

fn table(timestamp: Timestamp, results: &[Drilled]) -> String {
    let rows = results.iter().map(|result| {
        let detail = result
            .detail
            .as_ref()
            .map(|detail| format!(": {detail}"))
            .unwrap_or_default();
        format!(
            "{timestamp}  {}  {}{detail}",
            result.dataset,
            match result.outcome {
                DrillOutcome::Ok => "ok",
                DrillOutcome::NoCheck => "no check",
                DrillOutcome::Failed => "failed",
                DrillOutcome::Stopped => "stopped",
            }
        )
    });
    rows.collect::<Vec<_>>().join("\n")
}

fn ended(error: &RestoreError) -> Failure {
    match error {
        RestoreError::Difference(what) => Failure::new(
            Exit::Difference,
            format_args!(
                "the drill failed, since what is stored is not what the manifest says: {what}"
            ),
        ),
        RestoreError::Other(problem) => Failure::new(
            Exit::Unexpected,
            format_args!("the drill could not be held: {problem:#}"),
        ),
    }
}
