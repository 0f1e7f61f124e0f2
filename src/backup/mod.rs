//! One backup, stage by stage.
//!
//! ```text
//! lock ─ mark ─ snapshot ─ structure ─┬─ upload ‖ contents ─ verify, for each dataset ─┬─ commit ─ retention
//!                                     └─ export ─────────────────────────── confirm ───┘
//! ```
//! A stage that fails says so in the [`Outcome`]; nothing here decides an exit code.

mod bucket;
mod commit;
mod confirm;
mod contents;
mod copies;
mod live;
pub mod outcome;
pub mod plan;
mod problems;
mod prune;
mod snapshot;
mod structure;
pub mod times;
mod upload;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::thread;

use log::{info, warn};

use crate::config::Dataset;
use crate::exec::{Label, Step};
use crate::host::Host;
use crate::interrupt::Interrupt;
use crate::lock::{self, Lock, NoLock};
use crate::preflight::{self, Check, Ready};
use crate::snapshots;
use crate::space::{Bytes, Space, counted};
use crate::threads::{Turns, joined};
use crate::timestamp::Timestamp;
use crate::tools::rclone::tuning::{Files, Share};
use crate::tree::Tree;
use bucket::Bucket;
pub use bucket::same_clock;
use copies::Base;
use outcome::{DatasetOutcome, Outcome, Refused};
use times::Times;
use upload::Work;

/// What every stage of a run works with.
pub(crate) struct Run<'a> {
    /// The machine.
    pub host: &'a Host,
    /// The tools, all prerequisites met.
    pub ready: &'a Ready,
    /// The run's one time.
    pub timestamp: Timestamp,
    /// Measures how long its steps take.
    pub times: Times,
}

/// Makes a backup. The prerequisites are met; the lock is taken here and handed back, so that its holder, and
/// nobody else, writes down what came of it.
pub fn run(host: &Host, ready: &Ready, timestamp: Timestamp) -> (Outcome, Option<Lock>) {
    let mut outcome = Outcome::default();
    let lock = match lock::exclusive(&host.config.snapshot_dir) {
        Ok(lock) => lock,
        Err(NoLock::Held) => {
            outcome.refused = Some(Refused::Locked);
            return (outcome, None);
        }
        Err(NoLock::Failed(error)) => {
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
        times: Times::default(),
    };
    // Whatever happens, there is a verdict of this run, and not that of the one before.
    let ended = catch_unwind(AssertUnwindSafe(|| run.stages(&mut outcome)));
    outcome.panicked = ended.is_err();
    outcome.durations = run.times.finish();
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
            true => Bucket::enter(self, || Base::guess(self)),
            false => (Bucket::ask(self), None),
        };
        let taken: Vec<Check> = taken.into_iter().chain(bucket.taken(self)).collect();
        if !taken.is_empty() {
            bucket.withdraw(self);
            outcome.refused = Some(Refused::Unmet(taken));
            return;
        }
        if self.host.interrupt.signal().is_some() {
            return;
        }

        self.enter(outcome, Step::Snapshot);
        let (taken, base) = thread::scope(|scope| {
            let base = scope.spawn(|| Base::of(self, &bucket, guess.flatten()));
            (snapshot::take(self), joined(base))
        });
        let snapshot = match taken {
            Ok(snapshot) => snapshot,
            Err(error) => {
                outcome.snapshot = Some(Err(format!("{error:#}")));
                bucket.withdraw(self);
                return;
            }
        };
        info!(step = "snapshot"; "snapshot {} taken", snapshot.record.path);
        outcome.snapshot = Some(Ok(snapshot.record.clone()));

        self.enter(outcome, Step::Structure);
        let mounts = live::mount_points();
        let examined: Vec<_> = self
            .host
            .config
            .datasets
            .iter()
            .map(|(name, dataset)| {
                let found = snapshot
                    .still_there()
                    .map_err(|error| vec![error])
                    .and_then(|()| {
                        structure::examine(
                            &snapshot.path,
                            &self.host.config.subvolume,
                            &mounts,
                            dataset,
                        )
                    });
                (name, dataset, found)
            })
            .collect();

        let share = Share::among(
            self.host.config.remote.memory.bytes(),
            examined.iter().map(|(.., found)| match found {
                Ok(found) => Files::of(&found.tree),
                Err(_) => Files::default(),
            }),
        );

        let turns = Turns::new(share.at_once());

        self.enter(outcome, Step::Upload);
        bucket.insist(self);
        let (works, export) = thread::scope(|scope| {
            let (bucket, base, turns) = (&bucket, base.as_ref(), &turns);
            let export = scope.spawn(|| confirm::export(self, bucket));
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
            self.times.leave();
            (works, joined(export))
        });
        for (dataset, _) in &works {
            self.tell(dataset);
        }
        if let Some(error) = &export.error {
            warn!(step = "export"; "export: {error}");
        }

        self.enter(outcome, Step::Commit);
        let commit = commit::write(self, &bucket, &snapshot.record, &works, &export);
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
        self.times.enter(step);
        // What comes after a signal is clean-up: the verdict names the stage that was stopped.
        if self.host.interrupt.signal().is_none() {
            outcome.reached = Some(step);
        }
        (self.host.sink)(crate::exec::Event::Entered {
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

/// What the live tree of a dataset shows that a snapshot of it cannot hold: mounts and nested subvolumes.
pub fn unsnapshotable(subvolume: &Path, dataset: &Dataset) -> Vec<String> {
    live::look(subvolume, &live::mount_points(), &dataset.path).problems
}

/// A dataset in a snapshot, with the MD5 of every file; for a restore from there.
///
/// # Errors
/// What is wrong with it.
pub fn tree_of(snapshot: &Path, dataset: &Dataset, interrupt: &Interrupt) -> Result<Tree, String> {
    let mut found =
        structure::in_snapshot(snapshot, dataset).map_err(|problems| problems.join("; "))?;
    let root = snapshot.join(&dataset.path);
    let contents = contents::read(&root, &mut found, dataset, Timestamp::now(), interrupt)?;
    for warning in contents.warnings.iter().chain(&contents.problems) {
        warn!(step = "contents"; "{warning}");
    }
    Ok(found.tree)
}
