//! One backup, stage by stage.
//!
//! ```text
//! lock ─ mark ─ snapshot ─ structure ─┬─ upload ‖ contents ─ verify, for each dataset ─┬─ commit ─ retention
//!                                     └─ export ─────────────────────────── confirm ───┘
//! ```
//! A stage that fails says so in the [`Outcome`]; nothing here decides an exit code.

mod commit;
mod export;
pub(crate) mod outcome;
pub(crate) mod plan;
mod previous;
mod prune;
mod register;
mod upload;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use log::{info, warn};

use crate::bucket::manifest::SnapshotRecord;
use crate::dataset::{live_tree, scan};
use crate::free_space::Space;
use crate::host::Host;
use crate::lock::{self, Lock, LockError};
use crate::preflight::{self, Check, Ready};
use crate::snapshots;
use crate::step::timer::StepTimer;
use crate::step::{Label, Step};
use crate::threads::{Semaphore, joined};
use crate::timestamp::Timestamp;
use crate::tools::rclone::tuning::{Files, MemoryBudget};
use crate::ui::{Bytes, counted};
use outcome::{DatasetOutcome, Outcome, Refused};
use previous::PreviousBackup;
use register::Registration;
pub(crate) use register::same_clock;
use upload::Work;

/// What every stage of a run works with.
pub(crate) struct Run<'a> {
    pub host: &'a Host,
    /// The tools, all prerequisites met.
    pub ready: &'a Ready,
    /// The run's one time.
    pub timestamp: Timestamp,
    /// Measures how long its steps take.
    pub timer: StepTimer,
}

/// Makes a backup. The prerequisites are met; the lock is taken here and handed back, so that its holder, and
/// nobody else, writes down what came of it.
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
    // Whatever happens, there is a verdict of this run, and not that of the one before.
    let ended = catch_unwind(AssertUnwindSafe(|| run.stages(&mut outcome)));
    outcome.panicked = ended.is_err();
    outcome.durations = run.timer.finish();
    if let Some(signal) = host.interrupt.signal() {
        outcome.signal = Some(signal);
    }
    outcome.snapshots = snapshots::named(&host.config)
        .ok()
        .map(|named| named.len() as u64);
    outcome.space = Space::of(&host.config.snapshot_dir);
    (outcome, Some(lock))
}

impl Run<'_> {
    fn stages(&self, outcome: &mut Outcome) {
        self.enter(outcome, Step::Mark);
        let taken = preflight::taken_locally(self.host, self.timestamp);
        // What the last backup was is guessed meanwhile, and its manifest read: a question less to wait for.
        let (mut bucket, guess) = match taken.is_none() {
            true => Registration::register(self, || PreviousBackup::guess(self)),
            false => (Registration::ask(self), None),
        };
        let taken: Vec<Check> = taken.into_iter().chain(bucket.taken(self)).collect();
        if !taken.is_empty() {
            bucket.unregister(self);
            outcome.refused = Some(Refused::Unmet(taken));
            return;
        }
        if self.host.interrupt.signal().is_some() {
            return;
        }

        self.enter(outcome, Step::Snapshot);
        let (taken, base) = thread::scope(|scope| {
            let base = scope.spawn(|| PreviousBackup::of(self, &bucket, guess.flatten()));
            (
                snapshots::take(&self.host.config, &self.ready.btrfs, self.timestamp),
                joined(base),
            )
        });
        let snapshot = match taken {
            Ok(snapshot) => snapshot,
            Err(error) => {
                outcome.snapshot = Some(Err(format!("{error:#}")));
                bucket.unregister(self);
                return;
            }
        };
        info!(step = "snapshot"; "snapshot {} taken", snapshot.path.display());
        let record = SnapshotRecord::from(&snapshot);
        outcome.snapshot = Some(Ok(record.clone()));

        self.enter(outcome, Step::Structure);
        let mounts = live_tree::mount_points();
        let examined: Vec<_> = self
            .host
            .config
            .enabled()
            .map(|(name, dataset)| {
                let found = snapshot
                    .still_there()
                    .map_err(|error| vec![error])
                    .and_then(|()| {
                        scan::examine(
                            &snapshot.path,
                            &self.host.config.subvolume,
                            &mounts,
                            dataset,
                        )
                    });
                (name, dataset, found)
            })
            .collect();

        let share = MemoryBudget::among(
            self.host.config.remote.memory.bytes(),
            examined.iter().map(|(.., found)| match found {
                Ok(found) => found.tree.sizes(),
                Err(_) => Files::default(),
            }),
        );

        let turns = Semaphore::new(share.at_once());

        self.enter(outcome, Step::Upload);
        bucket.retry(self);
        let (works, export) = thread::scope(|scope| {
            let (bucket, base, turns) = (&bucket, base.as_ref(), &turns);
            let export = scope.spawn(|| export::export(self, bucket));
            let children: Vec<_> = examined
                .into_iter()
                .map(|(name, dataset, found)| {
                    let snapshot = &snapshot;
                    scope.spawn(move || {
                        Work {
                            run: self,
                            bucket,
                            base,
                            snapshot,
                            name,
                            dataset,
                            share,
                            turns,
                        }
                        .store(found)
                    })
                })
                .collect();
            let works: Vec<_> = children.into_iter().map(joined).collect();
            // The export has a time of its own.
            self.timer.leave();
            (works, joined(export))
        });
        for (dataset, _) in &works {
            self.tell(dataset);
        }
        if let Some(error) = &export.error {
            warn!(step = "export"; "export: {error}");
        }

        self.enter(outcome, Step::Commit);
        let commit = commit::write(self, &bucket, &record, &works, &export);
        let stored = commit.is_ok() && works.iter().all(|(dataset, _)| dataset.error.is_none());
        if let Err(error) = &commit {
            warn!(step = "commit"; "the manifest: {error}");
        }
        outcome.datasets = works.into_iter().map(|(dataset, _)| dataset).collect();
        outcome.export = Some(export);
        outcome.commit = Some(commit);
        if stored {
            self.enter(outcome, Step::Retention);
            outcome.retention = Some(prune::all(self, &bucket, &snapshot.subvolume));
        }
    }

    fn enter(&self, outcome: &mut Outcome, step: Step) {
        self.timer.enter(step);
        // What comes after a signal is clean-up: the verdict names the stage that was stopped.
        if self.host.interrupt.signal().is_none() {
            outcome.reached = Some(step);
        }
        (self.host.sink)(crate::step::Event::Entered {
            label: Label::new(step),
        });
    }

    fn tell(&self, dataset: &DatasetOutcome) {
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
