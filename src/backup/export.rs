//! The export, and the proof that it arrived: its exit code claims, its object proves.

use std::collections::BTreeSet;
use std::path::Path;

use log::info;

use super::Run;
use super::register::Registration;
use crate::bucket::manifest::ExportRecord;
use crate::preflight::export_object_pattern;
use crate::step::{Label, Step};
use crate::tools::export;

/// Runs the script and looks for the object that it names.
pub(super) fn export(run: &Run<'_>, bucket: &Registration) -> ExportRecord {
    let Some(program) = &run.ready.export else {
        return ExportRecord::disabled();
    };
    run.timer
        .during(Step::Export, None, || exported(run, bucket, program))
}

fn exported(run: &Run<'_>, bucket: &Registration, program: &Path) -> ExportRecord {
    let mut named = BTreeSet::new();
    let mut overhear = |line: &str| named.extend(export::objects_named(line).map(str::to_owned));
    let config = &run.host.config;
    let result = export::command(program, config).and_then(|command| {
        let credentials = &run.ready.rclone.credentials;
        let env = export::environment(&run.host.environment, credentials, config, run.timestamp);
        export::run(
            &run.ready.rclone.runner,
            command,
            env,
            config,
            &mut overhear,
        )
    });
    let confirmed = confirm(run, bucket, &named);
    match (result, confirmed) {
        (Ok(()), Ok((object, size))) => {
            info!(step = "export", bytes = size; "the export is stored: {object}, {size} bytes");
            ExportRecord::stored(object, size)
        }
        (Ok(()), Err(error)) => {
            ExportRecord::failed(format!("the script exited with 0, but {error}"))
        }
        (Err(error), Ok((object, size))) => ExportRecord {
            object: Some(object),
            size: Some(size),
            ..ExportRecord::failed(format!("{error:#}"))
        },
        (Err(error), Err(_)) => ExportRecord::failed(format!("{error:#}")),
    }
}

/// The one object that is named, new, there, and not empty.
fn confirm(
    run: &Run<'_>,
    bucket: &Registration,
    named: &BTreeSet<String>,
) -> Result<(String, u64), String> {
    let before = bucket
        .exports()
        .map_err(|error| format!("its object cannot be confirmed: {error}"))?;
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
            Err(error) => problems.push(format!("{object} cannot be confirmed: {error:#}")),
        }
    }
    match problems.is_empty() {
        true => Err(format!("it named no object ({})", export_object_pattern())),
        false => Err(problems.join("; ")),
    }
}
