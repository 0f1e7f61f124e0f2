//! `run --dry-run`: the commands of a run. The bucket and Btrfs are read, nothing is changed. There is no snapshot yet,
//! so files are counted in the live tree.
//!
//! The bucket and Btrfs are asked, which changes nothing; no snapshot is there yet, so the live tree is
//! counted in its place.

use std::fmt;
use std::path::Path;
use std::process::Command;

use serde::Serialize;

use super::Run;
use super::register::{Registration, patterns};
use super::upload::exclude;
use crate::bucket::names::{self, Mark};
use crate::config::{DatasetName, Remote};
use crate::dataset::compare;
use crate::exit::StepError;
use crate::host::Host;
use crate::preflight::{self, Check, Ready};
use crate::process::{Privileges, quote};
use crate::retention::snapshots::Snapshots;
use crate::retention::{self, Decision, Row};
use crate::secrets::{APP_KEY, KEY_ID};
use crate::snapshots::SnapshotName;
use crate::step::timer::StepTimer;
use crate::step::{Label, Step};
use crate::timestamp::Timestamp;
use crate::tools::clean_environment;
use crate::tools::export;
use crate::tools::rclone::PRIVILEGES;
use crate::tools::rclone::args::{self, REMOTE_VARIABLES, SMALL_VARIABLES, Sync};
use crate::tools::rclone::tuning::{Files, MemoryBudget, Tuning};
use crate::ui::counted;

#[derive(Debug, Serialize)]
pub(crate) struct Plan {
    pub timestamp: Timestamp,
    /// The environment of every rclone. Keys appear as the names of our variables.
    pub environment: Vec<String>,
    /// The commands, in their order.
    pub steps: Vec<PlannedStep>,
    /// What retention would do.
    pub retention: Vec<Row>,
    /// Conflicts and warnings.
    pub notes: Vec<String>,
}

#[derive(Debug, Serialize)]
pub(crate) struct PlannedStep {
    pub step: Step,
    pub dataset: Option<DatasetName>,
    /// The command line, quoted for a shell.
    pub command: String,
}

pub(crate) fn make(host: &Host, ready: &Ready, timestamp: Timestamp) -> Plan {
    let run = Run {
        host,
        ready,
        timestamp,
        timer: StepTimer::default(),
    };
    let bucket = Registration::read_only(&run);
    let mut plan = Plan {
        timestamp,
        environment: environment(),
        steps: Vec::new(),
        retention: Vec::new(),
        notes: Vec::new(),
    };
    let taken: Vec<Check> = preflight::taken_locally(host, timestamp)
        .into_iter()
        .chain(bucket.conflict(&run))
        .collect();
    plan.notes.extend(
        taken
            .into_iter()
            .map(|check| format!("{}: {}", check.what, check.found)),
    );
    if let Err(error) = bucket.exports() {
        plan.notes.push(error.to_string());
    }
    plan.steps(&run, &bucket);
    plan.retention(&run, &bucket);
    plan
}

impl Plan {
    fn steps(&mut self, run: &Run<'_>, bucket: &Registration) {
        let (host, ready) = (run.host, run.ready);
        let (config, rclone) = (&host.config, &ready.rclone);
        let (program, remote, timestamp) = (&rclone.program, &rclone.remote, run.timestamp);
        let snapshot = SnapshotName::of(&config.subvolume, timestamp).path(&config.snapshot_dir);
        let started = bucket.mark_key(run);
        let manifest = Mark::Complete.key(&remote.prefix, timestamp);
        let all = Privileges::All;
        let folder = names::folder(&remote.prefix);
        for mark in [
            args::ask(program, remote, &patterns(run)),
            args::rcat(program, remote, &started),
            args::list_folder(program, remote, &folder, false),
        ] {
            self.push(run, Step::Mark, None, &mark, PRIVILEGES);
        }
        self.push(
            run,
            Step::Snapshot,
            None,
            &ready.btrfs.snapshot_command(&config.subvolume, &snapshot),
            all,
        );
        self.uploads(run, bucket, &snapshot);
        if let Some(export) = &ready.export {
            self.push(
                run,
                Step::Export,
                None,
                &export::command(export, config),
                Privileges::Only(&[]),
            );
        }
        let file_list = Mark::FileList.key(&remote.prefix, timestamp);
        for commit in [
            args::rcat(program, remote, &file_list),
            args::cat(program, remote, &folder),
            args::rcat(program, remote, &manifest),
            args::cat(program, remote, &folder),
            args::delete(program, remote, &bucket.mark_key(run)),
        ] {
            self.push(run, Step::Commit, None, &commit, PRIVILEGES);
        }
    }

    fn uploads(&mut self, run: &Run<'_>, bucket: &Registration, snapshot: &Path) {
        let (config, rclone) = (&run.host.config, &run.ready.rclone);
        let (program, remote, timestamp) = (&rclone.program, &rclone.remote, run.timestamp);
        let counted: Vec<_> = config
            .enabled()
            .map(|(name, dataset)| (name, dataset, count(&config.subvolume.join(&dataset.path))))
            .collect();
        let share = MemoryBudget::among(
            remote.memory.bytes(),
            counted.iter().map(|(.., files)| *files),
        );
        for (name, dataset, files) in counted {
            let prefix = names::dataset_prefix(&remote.prefix, name, timestamp);
            for source in sources(remote, bucket, timestamp) {
                let from = names::dataset_prefix(&remote.prefix, name, source);
                let copy = args::copy_within(program, remote, &from, &prefix, files.largest);
                self.push(run, Step::Upload, Some(name), &copy, PRIVILEGES);
            }
            let sync = Sync {
                source: &snapshot.join(&dataset.path),
                prefix: &prefix,
                exclude: exclude(dataset.format),
                tuning: Tuning::choose(files, share),
                checksum: false,
            };
            self.push(
                run,
                Step::Upload,
                Some(name),
                &args::sync(program, remote, &sync),
                PRIVILEGES,
            );
            for list in compare::commands(program, remote, &prefix, files.large) {
                self.push(run, Step::Verify, Some(name), &list, PRIVILEGES);
            }
        }
    }

    fn push(
        &mut self,
        run: &Run<'_>,
        step: Step,
        dataset: Option<&DatasetName>,
        command: &Command,
        privileges: Privileges,
    ) {
        let words = run.ready.rclone.runner.words(command, privileges);
        let line = quote::line(words.iter().map(|word| word.as_os_str()));
        self.steps.push(PlannedStep {
            step,
            dataset: dataset.cloned(),
            command: run.host.redactor.redact(&line).into_owned(),
        });
    }

    /// As if this run's backup were complete.
    fn retention(&mut self, run: &Run<'_>, bucket: &Registration) {
        if let Err(error) = self.prune(run, bucket) {
            self.notes
                .push(format!("nothing would be deleted: {error}"));
        }
    }

    fn prune(&mut self, run: &Run<'_>, bucket: &Registration) -> Result<(), StepError> {
        let (config, btrfs, now) = (&run.host.config, &run.ready.btrfs, run.timestamp);
        let remote = bucket.with(now)?;
        retention::same_clock(remote.clock, now)?;
        let subvolume = btrfs.show(Label::new(Step::Retention), &config.subvolume)?;
        let (snapshots, rows) =
            Snapshots::plan(config, btrfs, &subvolume, &remote, Some(now), now)?;
        for row in rows.iter().filter(|row| row.decision.is_delete()) {
            let command = snapshots.delete_command(row)?;
            self.push(run, Step::Retention, None, &command, Privileges::All);
        }
        self.retention = rows;
        if config.retention.remote.is_some() {
            let list = "`opencode-backup prune --remote --dry-run` lists them";
            self.notes.push(format!(
                "the run also deletes old backups from the bucket: {list}"
            ));
        }
        Ok(())
    }
}

/// The backups that unchanged files would be copied from.
fn sources(remote: &Remote, bucket: &Registration, now: Timestamp) -> Vec<Timestamp> {
    if !remote.incremental {
        return Vec::new();
    }
    bucket
        .previous(now)
        .into_iter()
        .chain(bucket.interrupted(now))
        .collect()
}

fn environment() -> Vec<String> {
    let fixed = clean_environment();
    let fixed = fixed
        .iter()
        .map(|(name, value)| format!("{}={}", name.to_string_lossy(), value.to_string_lossy()));
    let remote = REMOTE_VARIABLES
        .iter()
        .map(|(name, value)| format!("{name}={value}"));
    let keys = [
        ("AWS_ACCESS_KEY_ID", KEY_ID),
        ("AWS_SECRET_ACCESS_KEY", APP_KEY),
    ];
    fixed
        .chain(remote)
        .chain(keys.map(|(name, ours)| format!("{name}=${ours}")))
        .collect()
}

/// Counts the live files: an estimate of what the snapshot will hold.
fn count(directory: &Path) -> Files {
    let mut files = Files::default();
    let mut pending = vec![directory.to_owned()];
    while let Some(directory) = pending.pop() {
        let Ok(entries) = std::fs::read_dir(&directory) else {
            continue;
        };
        for entry in entries.flatten() {
            match entry.metadata() {
                Ok(metadata) if metadata.is_dir() => pending.push(entry.path()),
                Ok(metadata) if metadata.is_file() => files.add(metadata.len()),
                _ => {}
            }
        }
    }
    files
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "# the plan of {}; nothing was changed", self.timestamp)?;
        writeln!(f, "# every rclone has this environment and no other:")?;
        writeln!(f, "#   {}", self.environment.join(" "))?;
        let small = SMALL_VARIABLES.map(|(name, value)| format!("{name}={value}"));
        writeln!(
            f,
            "# and every one but the uploads and hashsum: {}",
            small.join(" ")
        )?;
        writeln!(
            f,
            "# what is piped in: marks and manifests, the names of what is read, for a copy those of the files that are there \
             already, for hashsum those that it leaves out, mostly none"
        )?;
        for step in &self.steps {
            match &step.dataset {
                Some(dataset) => writeln!(f, "\n# {} {dataset}", step.step)?,
                None => writeln!(f, "\n# {}", step.step)?,
            }
            writeln!(f, "{}", step.command)?;
        }
        writeln!(
            f,
            "\n# retention, this backup being complete: {}",
            counted(self.retention.len() as u64, "snapshot")
        )?;
        for row in &self.retention {
            let fate = match &row.decision {
                Decision::Keep(_) => "kept",
                Decision::Delete { .. } => "deleted",
            };
            writeln!(f, "#   {}  {fate}: {}", row.name, row.decision)?;
        }
        for note in &self.notes {
            writeln!(f, "# note: {note}")?;
        }
        Ok(())
    }
}
