//! Runs the export and confirms it: its exit code claims that the object is stored, the bucket proves it.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context as _, Result, anyhow, bail};
use log::info;

use super::Run;
use super::outcome::ExportOutcome;
use super::register::Registration;
use crate::bucket::summary::ExportRecord;
use crate::exit::StepError;
use crate::preflight::export_object_pattern;
use crate::step::{Label, Step};
use crate::tools::export;

/// Runs the script and looks for the object that it names.
pub(super) fn export(run: &Run<'_>, bucket: &Registration) -> ExportOutcome {
    let Some(program) = &run.ready.export else {
        return ExportOutcome::disabled();
    };
    run.timer
        .during(Step::Export, None, || exported(run, bucket, program))
}

fn exported(run: &Run<'_>, bucket: &Registration, program: &Path) -> ExportOutcome {
    let mut named = BTreeSet::new();
    let mut overhear = |line: &str| named.extend(export::objects_named(line).map(str::to_owned));
    let config = &run.host.config;
    let credentials = &run.ready.rclone.credentials;
    let env = export::environment(&run.host.environment, credentials, config, run.timestamp);
    let command = export::command(program, config);
    let runner = &run.ready.rclone.runner;
    let result = export::run(runner, command, env, config, &mut overhear);
    let confirmed = confirm(run, bucket, &named);
    match (result, confirmed) {
        (Ok(()), Ok((object, size))) => {
            info!(step = "export", bytes = size; "the export is stored: {object}, {size} bytes");
            ExportOutcome {
                record: ExportRecord::stored(object, size),
                error: None,
            }
        }
        (Ok(()), Err(error)) => {
            let error = match StepError::from(error) {
                StepError::Failed(error) => {
                    anyhow!("the script exited with 0, but {error:#}").into()
                }
                interrupted => interrupted,
            };
            ExportOutcome::failed(error)
        }
        (Err(error), confirmed) => {
            let mut outcome = ExportOutcome::failed(error.into());
            // A script that failed may have stored its object all the same; retention has to know it.
            if let Ok((object, size)) = confirmed {
                (outcome.record.object, outcome.record.size) = (Some(object), Some(size));
            }
            outcome
        }
    }
}

/// The object that the script named: absent before this run, present now, and not empty.
fn confirm(
    run: &Run<'_>,
    bucket: &Registration,
    named: &BTreeSet<String>,
) -> Result<(String, u64)> {
    let before = bucket.exports().context("its object cannot be confirmed")?;
    let mut problems = Vec::new();
    for object in named {
        if before.contains(object) {
            problems.push(format!("{object} was in the bucket before this run"));
            continue;
        }
        match run.ready.rclone.stat(Label::new(Step::Export), object) {
            Ok(Some(stat)) => match u64::try_from(stat.size) {
                Ok(size) if size > 0 => return Ok((object.clone(), size)),
                _ => problems.push(format!("{object} is empty")),
            },
            Ok(None) => problems.push(format!("{object} is not in the bucket")),
            Err(error) if run.host.interrupt.signal().is_some() => return Err(error),
            Err(error) => problems.push(format!("{object} cannot be confirmed: {error:#}")),
        }
    }
    if problems.is_empty() {
        bail!("it named no object ({})", export_object_pattern());
    }
    bail!("{}", problems.join("; "))
}
