//! `drill`: a restore into a scratch directory, and each dataset's own check command on what came back.
//!
//! The program knows nothing of Redis here: the command's exit code decides.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use log::{error, info, warn};
use serde::Serialize;

use super::{complain, print, print_json, worse};
use crate::bucket::select::SelectedBackup;
use crate::cli::Drill;
use crate::config::Dataset;
use crate::exit::Exit;
use crate::host::Host;
use crate::preflight;
use crate::restore::{self, DatasetRestore, Destination, Failure};
use crate::step::Step;
use crate::timestamp::Timestamp;
use crate::tools::check;
use crate::tools::rclone::Rclone;

#[derive(Serialize)]
struct Result {
    dataset: String,
    /// `ok`, `failed`, or `no check` where the configuration names no command.
    outcome: &'static str,
    detail: Option<String>,
}

pub(super) fn drill(host: &Host, args: &Drill, now: Timestamp) -> Exit {
    let rclone = match preflight::rclone(host) {
        Ok(rclone) => rclone,
        Err(unmet) => {
            complain(&unmet);
            return Exit::Unmet;
        }
    };
    let base = args.scratch.clone().or_else(|| {
        host.environment
            .get(OsStr::new("TMPDIR"))
            .map(PathBuf::from)
    });
    let base = base.unwrap_or_else(|| PathBuf::from("/var/tmp"));
    // Removed when it is dropped, on every way out; SIGKILL alone leaves it, under a telling name.
    let scratch = match tempfile::Builder::new()
        .prefix("opencode-backup-drill-")
        .tempdir_in(&base)
    {
        Ok(scratch) => scratch,
        Err(problem) => {
            error!(
                "no scratch directory in {}: {problem}; name another one with --scratch",
                base.display()
            );
            return Exit::Unmet;
        }
    };
    let result = rehearse(host, args, &rclone, now, scratch.path());
    let path = scratch.path().to_owned();
    restore::make_removable(&path);
    if let Err(problem) = scratch.close() {
        warn!(
            "{} could not be removed: {problem}; remove it by hand",
            path.display()
        );
    }
    let (timestamp, results) = match result {
        Ok(results) => results,
        Err(failure) => return ended(host, failure),
    };
    if let Some(signal) = host.interrupt.signal() {
        error!("stopped because we received {signal}; what was restored for the drill is removed");
        return Exit::of_signal(signal);
    }
    let failed = results.iter().any(|result| result.outcome == "failed");
    let printed = match args.json.json {
        true => print_json(&serde_json::json!({ "timestamp": timestamp, "datasets": results })),
        false => print(&table(timestamp, &results)),
    };
    worse(if failed { Exit::Difference } else { Exit::Done }, printed)
}

fn rehearse(
    host: &Host,
    args: &Drill,
    rclone: &Rclone,
    now: Timestamp,
    scratch: &Path,
) -> std::result::Result<(Timestamp, Vec<Result>), Failure> {
    let chosen = SelectedBackup::ask(args.which, rclone, &host.config, now)?;
    let manifest = chosen.manifest(Step::Restore, rclone, &host.config)?;
    let parts = restore::parts_of(manifest, &[], chosen.timestamp)?;
    let destination = Destination::new(&scratch.join("restored"), chosen.timestamp, &host.config)?;
    restore::restore(host, Some(rclone), &parts, &destination)?;
    let mut results: Vec<Result> = parts
        .iter()
        .map(|part| examine(host, rclone, part, &destination.path.join(&part.name)))
        .collect();
    for (name, dataset) in host.config.enabled() {
        let stored = parts.iter().any(|part| part.name == name.as_str());
        if !stored && !dataset.check.is_empty() {
            results.push(Result {
                dataset: name.to_string(),
                outcome: "failed",
                detail: Some(format!(
                    "datasets.{name} has a check, and the backup does not hold it"
                )),
            });
        }
    }
    Ok((chosen.timestamp, results))
}

fn examine(host: &Host, rclone: &Rclone, part: &DatasetRestore, directory: &Path) -> Result {
    let result = |outcome, detail| Result {
        dataset: part.name.clone(),
        outcome,
        detail,
    };
    let configured = host
        .config
        .datasets
        .iter()
        .find(|(name, _)| name.as_str() == part.name);
    let Some((_, Dataset { check, .. })) =
        configured.filter(|(_, dataset)| !dataset.check.is_empty())
    else {
        return result(
            "no check",
            Some(format!(
                "datasets.{}.check is not set: it was only restored and compared",
                part.name
            )),
        );
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
            info!(step = "restore", dataset = name; "{name}: its check command is content");
            result("ok", None)
        }
        Err(problem) => result("failed", Some(format!("{problem:#}"))),
    }
}

fn table(timestamp: Timestamp, results: &[Result]) -> String {
    let rows = results.iter().map(|result| {
        let detail = result
            .detail
            .as_ref()
            .map(|detail| format!(": {detail}"))
            .unwrap_or_default();
        format!(
            "{timestamp}  {}  {}{detail}",
            result.dataset, result.outcome
        )
    });
    rows.collect::<Vec<_>>().join("\n")
}

fn ended(host: &Host, failure: Failure) -> Exit {
    match (host.interrupt.signal(), failure) {
        (Some(signal), _) => {
            error!(
                "stopped because we received {signal}; what was restored for the drill is removed"
            );
            Exit::of_signal(signal)
        }
        (None, Failure::Difference(what)) => {
            error!("the drill failed, since what is stored is not what the manifest says: {what}");
            Exit::Difference
        }
        (None, Failure::Other(problem)) => {
            error!("the drill could not be held: {problem:#}");
            Exit::Unexpected
        }
    }
}
