//! The export script: a program of somebody else's, which speaks to the bucket by itself.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use anyhow::Result;
use xshell::cmd;

use super::shell;

use crate::config::Config;
use crate::process::{Job, Privileges, Runner};
use crate::secrets::{APP_KEY, Credentials, Environment, KEY_ID};
use crate::step::{Label, Step};
use crate::timestamp::Timestamp;

/// What its object's name begins with.
pub(crate) const OBJECT_START: &str = "graphiti_export_";
/// What its object's name ends in.
pub(crate) const OBJECT_END: &str = ".json";

/// The command line of the configuration, its first word replaced by where the program is.
pub(crate) fn command(program: &Path, config: &Config) -> Command {
    let sh = &*shell();
    let rest = config.export.command.get(1..).unwrap_or_default();
    cmd!(sh, "{program} {rest...}").into()
}

/// The caller's and the file's variables, and ours. The last two keep a Python from running what it finds
/// in a home or a working directory.
pub(crate) fn environment(
    caller: &Environment,
    credentials: &Credentials,
    config: &Config,
    timestamp: Timestamp,
) -> Vec<(OsString, OsString)> {
    let mut all: BTreeMap<OsString, OsString> = caller.clone();
    for (name, value) in &credentials.variables {
        all.insert(name.into(), value.expose().into());
    }
    for (name, value) in [
        (KEY_ID, credentials.key_id.expose().to_owned()),
        (APP_KEY, credentials.app_key.expose().to_owned()),
        ("B2_BUCKET", config.remote.bucket.to_string()),
        ("OPENCODE_BACKUP_TIMESTAMP", timestamp.to_string()),
        ("PYTHONNOUSERSITE", "1".to_owned()),
        ("PYTHONSAFEPATH", "1".to_owned()),
    ] {
        all.insert(name.into(), value.into());
    }
    // A script's children must not speak to systemd in our name.
    all.remove(&OsString::from("NOTIFY_SOCKET"));
    all.into_iter().collect()
}

/// Runs it; `overhear` sees each line that it prints.
///
/// # Errors
/// Any exit code but 0, its timeout included.
pub(crate) fn run(
    runner: &Runner,
    command: Command,
    env: Vec<(OsString, OsString)>,
    config: &Config,
    overhear: &mut dyn FnMut(&str),
) -> Result<()> {
    let job = Job {
        env,
        privileges: Privileges::Only(&[]),
        overhear: Some(overhear),
        deadline: Some(config.export.timeout.as_duration()),
        ..Job::new("the export", Label::new(Step::Export), command)
    };
    runner.run(job)?;
    Ok(())
}

/// Names of exports in a line that the script printed, as the bucket's root holds them.
pub(crate) fn objects_named(line: &str) -> impl Iterator<Item = &str> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.:+".contains(c);
    line.split(move |c: char| !allowed(c)).filter_map(|word| {
        let start = word.find(OBJECT_START)?;
        let end = word.rfind(OBJECT_END)? + OBJECT_END.len();
        word.get(start..end)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_object_is_found_however_the_script_words_it() {
        for (line, name) in [
            (
                "Export uploaded: graphiti_export_20250101_120000.json",
                "graphiti_export_20250101_120000.json",
            ),
            (
                "ok b2://bucket/graphiti_export_2025-01-01T12:00:00.5.json.",
                "graphiti_export_2025-01-01T12:00:00.5.json",
            ),
            (
                "{\"file\":\"graphiti_export_1.json\"}",
                "graphiti_export_1.json",
            ),
        ] {
            assert_eq!(objects_named(line).collect::<Vec<_>>(), [name], "{line}");
        }
        assert_eq!(
            objects_named("Exported 3 nodes to graphiti.json").count(),
            0
        );
    }
}
