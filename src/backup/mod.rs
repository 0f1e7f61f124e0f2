//! One backup, stage by stage.
//!
//! ```text
//! lock ─ mark ─ snapshot ─ structure ─┬─ upload ‖ contents ─ verify, for each dataset ─┬─ commit ─ retention
//!                                     └─ export ─────────────────────────── confirm ───┘
//! ```
//! A stage that fails enters its error into the [`Outcome`]; nothing here decides an exit code.

mod commit;
mod export;
pub(crate) mod outcome;
pub(crate) mod plan;
mod previous;
mod register;
mod upload;

use std::io;
use std::thread;

use log::{info, warn};

use crate::bucket::summary::SnapshotRecord;
use crate::config::{Dataset, DatasetName};
use crate::dataset::scan::ScannedDataset;
use crate::dataset::{Tree, live_tree, scan};
use crate::exit::StepError;
use crate::free_space::Space;
use crate::host::Host;
use crate::lock::{self, Lock, LockError};
use crate::preflight::{self, Check, Ready};
use crate::retention::{Prune, Pruned};
use crate::snapshots::{self, Snapshot};
use crate::step::timer::StepTimer;
use crate::step::{Label, Step};
use crate::threads::{Semaphore, joined, spawn};
use crate::timestamp::Timestamp;
use crate::tools::rclone::tuning::{Files, MemoryBudget};
use crate::ui::{Bytes, counted};
use outcome::{DatasetOutcome, ExportOutcome, Outcome, Refused};
use previous::PreviousBackup;
use register::Registration;
use upload::Work;

/// What every stage of a run works with.
pub(crate) struct Run<'a> {
    pub host: &'a Host,
    /// The tools, all prerequisites met.
    pub ready: &'a Ready,
    /// The start of the run; it is in every name.
    pub timestamp: Timestamp,
    /// Measures how long its steps take.
    pub timer: StepTimer,
}

/// Makes a backup. The prerequisites are met. The lock is returned, so that only the run that holds it writes the state
/// file.
pub(crate) fn run(host: &Host, ready: &Ready, timestamp: Timestamp) -> (Outcome, Option<Lock>) {
    let mut outcome = Outcome::default();
    let lock = match lock::exclusive(&host.config.snapshot_dir) {
        Ok(lock) => lock,
        Err(LockError::Held) => {
            outcome.refused = Some(Refused::Locked);
            return (outcome, None);
        }
        Err(LockError::Failed(error)) => {
            let found = format!("{}: {error}", host.config.snapshot_dir.display());
            let check = Check::unmet("the lock", found, "see dmesg for errors of the disk");
            outcome.refused = Some(Refused::Unmet(vec![check]));
            return (outcome, None);
        }
    };
    let run = Run {
        host,
        ready,
        timestamp,
        timer: StepTimer::default(),
    };
    run.stages(&mut outcome);
    outcome.durations = run.timer.finish();
    outcome.signal = host.interrupt.signal();
    outcome.snapshots = snapshots::named(&host.config)
        .ok()
        .map(|named| named.len() as u64);
    outcome.space = Space::of(&host.config.snapshot_dir);
    (outcome, Some(lock))
}

impl Run<'_> {
    fn stages(&self, outcome: &mut Outcome) {
        self.enter(outcome, Step::Mark);
        let conflict = preflight::taken_locally(self.host, self.timestamp);
        let mut bucket = match conflict {
            None => Registration::register(self),
            Some(_) => Registration::read_only(self),
        };
        let conflicts: Vec<Check> = conflict.into_iter().chain(bucket.conflict(self)).collect();
        if !conflicts.is_empty() {
            bucket.unregister(self);
            outcome.refused = Some(Refused::Unmet(conflicts));
            return;
        }
        if self.host.interrupt.signal().is_some() {
            return;
        }

        self.enter(outcome, Step::Snapshot);
        let snapshot = match self.snapshot() {
            Ok(snapshot) => snapshot,
            Err(error) => {
                outcome.snapshot = Some(Err(error.into()));
                bucket.unregister(self);
                return;
            }
        };
        let record = SnapshotRecord::from(&snapshot);
        outcome.snapshot = Some(Ok(record.clone()));

        self.enter(outcome, Step::Structure);
        let scanned = self.scan(&snapshot);

        self.enter(outcome, Step::Upload);
        bucket.retry(self);
        let (works, export) = self.store(&bucket, &snapshot, scanned);
        for (dataset, _) in &works {
            self.log(dataset);
        }
        if let Some(error) = &export.error {
            warn!(step = "export"; "export: {error}");
        }

        self.enter(outcome, Step::Commit);
        let (datasets, trees): (Vec<_>, Vec<_>) = works.into_iter().unzip();
        let works = datasets.iter().zip(trees).collect();
        let commit = commit::write(self, &bucket, &record, works, &export.record);
        let stored = commit.is_ok() && datasets.iter().all(|dataset| dataset.error.is_none());
        if let Err(error) = &commit {
            warn!(step = "commit"; "the manifest: {error}");
        }
        outcome.datasets = datasets;
        outcome.export = Some(export);
        outcome.commit = Some(commit);
        if stored {
            self.enter(outcome, Step::Retention);
            outcome.retention = Some(self.prune(&bucket, &snapshot));
        }
    }

    fn snapshot(&self) -> anyhow::Result<Snapshot> {
        let snapshot = snapshots::take(&self.host.config, &self.ready.btrfs, self.timestamp)?;
        info!(step = "snapshot"; "snapshot {} taken", snapshot.path.display());
        Ok(snapshot)
    }

    /// Every dataset as the snapshot holds it.
    fn scan(&self, snapshot: &Snapshot) -> Vec<Scanned<'_>> {
        let config = &self.host.config;
        let mounts = live_tree::mount_points();
        let scan = |dataset| {
            snapshot.still_there()?;
            let scanned = scan::examine(&snapshot.path, &config.subvolume, &mounts, dataset);
            Ok(scanned.map_err(anyhow::Error::from)?)
        };
        config
            .enabled()
            .map(|(name, dataset)| (name, dataset, scan(dataset)))
            .collect()
    }

    /// Stores the datasets and runs the export, side by side.
    fn store(
        &self,
        bucket: &Registration,
        snapshot: &Snapshot,
        scanned: Vec<Scanned<'_>>,
    ) -> (Vec<(DatasetOutcome, Tree)>, ExportOutcome) {
        let previous = PreviousBackup::of(self, bucket);
        let sizes = scanned.iter().map(|(.., found)| match found {
            Ok(found) => found.tree.sizes(),
            Err(_) => Files::default(),
        });
        let share = MemoryBudget::among(self.host.config.remote.memory.bytes(), sizes);
        let turns = Semaphore::new(share.at_once());
        thread::scope(|scope| {
            let export = spawn(scope, || export::export(self, bucket));
            let (previous, turns) = (previous.as_ref(), &turns);
            let work = move |name, dataset, scanned| {
                let work = Work {
                    run: self,
                    bucket,
                    base: previous,
                    snapshot,
                    name,
                    dataset,
                    share,
                    turns,
                };
                work.store(scanned)
            };
            let start = |(name, dataset, scanned)| {
                (name, spawn(scope, move || work(name, dataset, scanned)))
            };
            let threads: Vec<_> = scanned.into_iter().map(start).collect();
            let works = threads.into_iter().map(|(name, thread)| match thread {
                Ok(thread) => joined(thread),
                Err(error) => self.no_thread(name, error),
            });
            let works = works.collect();
            // The export has a time of its own.
            self.timer.leave();
            let export = match export {
                Ok(thread) => joined(thread),
                Err(error) => ExportOutcome::failed(no_thread(error)),
            };
            (works, export)
        })
    }

    fn no_thread(&self, name: &DatasetName, error: io::Error) -> (DatasetOutcome, Tree) {
        let mut outcome =
            DatasetOutcome::new(name, &self.host.config.remote.prefix, self.timestamp);
        outcome.fail(Step::Upload, no_thread(error));
        (outcome, Tree::default())
    }

    fn prune(&self, bucket: &Registration, snapshot: &Snapshot) -> Result<Pruned, StepError> {
        let pruned = bucket.with(self.timestamp).and_then(|remote| {
            let prune = Prune {
                host: self.host,
                btrfs: &self.ready.btrfs,
                rclone: &self.ready.rclone,
                subvolume: &snapshot.subvolume,
                remote: &remote,
                now: self.timestamp,
                bucket: true,
                dry_run: false,
            };
            Ok(prune.run()?)
        });
        pruned.map_err(|error| error.context("nothing was deleted"))
    }

    fn enter(&self, outcome: &mut Outcome, step: Step) {
        self.timer.enter(step);
        // After a signal only clean-up runs: the verdict names the interrupted stage.
        if self.host.interrupt.signal().is_none() {
            outcome.reached = Some(step);
        }
        (self.host.sink)(crate::step::Event::Entered {
            label: Label::new(step),
        });
    }

    fn log(&self, dataset: &DatasetOutcome) {
        let name = dataset.name.as_str();
        for warning in &dataset.warnings {
            warn!(step = "contents", dataset = name; "{name}: {warning}");
        }
        match &dataset.error {
            Some(error) => {
                let step = dataset.failed_step.unwrap_or(Step::Upload).to_string();
                warn!(step = step.as_str(), dataset = name; "{name} is not safely stored: {error}");
            }
            None => info!(
                step = "verify", dataset = name, bytes = dataset.bytes;
                "{name} is stored: {}, {}", counted(dataset.files, "file"), Bytes(dataset.bytes)
            ),
        }
    }
}

/// A dataset on its way from the scan to its upload.
type Scanned<'a> = (
    &'a DatasetName,
    &'a Dataset,
    Result<ScannedDataset, StepError>,
);

fn no_thread(error: io::Error) -> StepError {
    anyhow::Error::from(error)
        .context("no thread could be started")
        .into()
}
