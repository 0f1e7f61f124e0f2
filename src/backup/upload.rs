//! Uploads a dataset while it is read, then compares it with the bucket's listing.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{Context as _, anyhow};
use log::info;

use super::Run;
use super::outcome::DatasetOutcome;
use super::previous::{self, Copies, PreviousBackup};
use super::register::Registration;
use crate::config::{Dataset, DatasetName, Format};
use crate::dataset::Tree;
use crate::dataset::compare::{Difference, Listing};
use crate::dataset::read::{Contents, Reader};
use crate::dataset::scan::ScannedDataset;
use crate::exit::StepError;
use crate::snapshots::Snapshot;
use crate::step::{Label, Step, Transfer};
use crate::threads::{Semaphore, joined, spawn};
use crate::tools::rclone::args::{self, Sync};
use crate::tools::rclone::tuning::{Files, MemoryBudget, Tuning};
use crate::ui::counted;

/// rclone's filter patterns for what `redis_files::is_scratch` leaves out.
pub(super) const SCRATCH_PATTERNS: [&str; 3] = [
    r"{{temp-[0-9]+(\.[0-9]+)*\.rdb}}",
    r"{{temp-rewriteaof-(bg-)?[0-9]+\.aof}}",
    r"{{temp-[^/]+\.manifest}}",
];

/// One dataset to be stored.
pub(super) struct Work<'a> {
    pub run: &'a Run<'a>,
    /// The run's registration in the bucket.
    pub bucket: &'a Registration,
    /// The last backup, whose unchanged files are copied.
    pub base: Option<&'a PreviousBackup>,
    pub snapshot: &'a Snapshot,
    pub name: &'a DatasetName,
    pub dataset: &'a Dataset,
    /// The memory for all uploads.
    pub share: MemoryBudget,
    /// Limits concurrent uploads.
    pub turns: &'a Semaphore,
}

impl Work<'_> {
    /// Uploads, reads and verifies. What was stored comes back as a tree with the MD5 of every file.
    pub(super) fn store(
        self,
        scanned: Result<ScannedDataset, StepError>,
    ) -> (DatasetOutcome, Tree) {
        let prefix = &self.run.host.config.remote.prefix;
        let mut outcome = DatasetOutcome::new(self.name, prefix, self.run.timestamp);
        let mut scanned = match scanned {
            Ok(scanned) => scanned,
            Err(error) => {
                outcome.fail(Step::Structure, error);
                return (outcome, Tree::default());
            }
        };
        (outcome.files, outcome.bytes) = scanned.tree.totals();
        outcome.warnings.append(&mut scanned.warnings);
        if let Err((step, error)) = self.transfer(&mut scanned, &mut outcome) {
            outcome.fail(step, error);
        }
        (outcome, scanned.tree)
    }

    fn transfer(
        &self,
        scanned: &mut ScannedDataset,
        outcome: &mut DatasetOutcome,
    ) -> Result<(), (Step, StepError)> {
        let at = |step: Step| move |error: anyhow::Error| (step, error.into());
        let files = scanned.tree.sizes();
        let prefix = outcome.prefix.as_str();
        let mut listing = Listing::of(&scanned.tree);
        let copies = self.turns.take(|| match self.bucket.open() {
            Ok(()) => previous::choose(self.run, self.bucket, self.base, self.name, &scanned.tree),
            // The upload reports the error.
            Err(_) => Vec::new(),
        });
        let upload_failed = AtomicBool::new(false);
        let (contents, upload) = thread::scope(|scope| {
            let read = || self.timed(Step::Contents, || self.read(scanned, &upload_failed));
            let reader = spawn(scope, read).context("starting a thread that reads the dataset")?;
            let upload = self.turns.take(|| {
                let upload = self.timed(Step::Upload, || self.upload(files, prefix, &copies));
                let failed = matches!(upload, Err(StepError::Failed(_)));
                upload_failed.store(failed, Ordering::Relaxed);
                // Listed while the files may still be read.
                upload.map(|transfer| (transfer, self.list(&mut listing, prefix)))
            });
            anyhow::Ok((joined(reader), upload))
        })
        .map_err(at(Step::Contents))?;
        // If the snapshot was replaced while it was read, its contents cannot be trusted.
        self.snapshot.still_there().map_err(at(Step::Upload))?;
        let read = self.judge(contents, outcome);
        let (transfer, listed) = match (upload, read) {
            // A failed upload stops the reader, so report the upload. An interrupted upload must not hide a failure
            // that the reader found before.
            (Err(error), Ok(()) | Err(StepError::Interrupted(_))) => {
                return Err((Step::Upload, error));
            }
            (Err(error @ StepError::Failed(_)), _) => return Err((Step::Upload, error)),
            (_, Err(error)) => return Err((Step::Contents, error)),
            (Ok(uploaded), Ok(())) => uploaded,
        };
        outcome.transfer = transfer;
        listed.map_err(|error| (Step::Verify, error))?;
        match listing.compare(&scanned.tree) {
            Ok(()) => Ok(()),
            Err(difference) => self.turns.take(|| {
                let changed = self.resend_changed(scanned, files, outcome, &difference);
                changed.map_err(|error| (Step::Verify, error))
            }),
        }
    }

    /// Takes over the warnings and the data's age. A problem in the contents is a failure.
    fn judge(
        &self,
        contents: Result<Contents, StepError>,
        outcome: &mut DatasetOutcome,
    ) -> Result<(), StepError> {
        let contents = contents?;
        outcome.warnings.extend(contents.warnings);
        outcome.data_time = contents.data_time;
        if contents.problems.is_empty() {
            return Ok(());
        }
        Err(anyhow!("{}", contents.problems.join("; ")).into())
    }

    fn timed<T>(&self, step: Step, act: impl FnOnce() -> T) -> T {
        self.run.timer.during(step, Some(self.name), act)
    }

    fn read(
        &self,
        scanned: &mut ScannedDataset,
        upload_failed: &AtomicBool,
    ) -> Result<Contents, StepError> {
        let reader = Reader {
            root: &self.snapshot.path.join(&self.dataset.path),
            dataset: self.dataset,
            now: self.run.timestamp,
            interrupt: &self.run.host.interrupt,
            abandoned: upload_failed,
        };
        Ok(reader.read(scanned)?)
    }

    /// Copies on the server what a backup or an interrupted run has, and sends the rest.
    fn upload(&self, files: Files, prefix: &str, copies: &[Copies]) -> Result<Transfer, StepError> {
        self.bucket.open()?;
        let (mut copied, mut left) = (0, files);
        for one in copies {
            let label = Label::of(Step::Upload, self.name);
            let rclone = &self.run.ready.rclone;
            match rclone.copy_within(label, &one.prefix, prefix, &one.names, one.files.largest) {
                Ok(()) => {
                    copied += one.bytes;
                    left = left.less(one.files);
                }
                Err(error) => {
                    self.run.host.interrupt.check()?;
                    let (name, files) = (self.name.as_str(), counted(one.files.count, "file"));
                    info!(step = "upload", dataset = name; "{name}: {files} could not be copied from {} on the server and are sent: {error:#}", one.prefix);
                }
            }
        }
        let mut transfer = match left.count {
            0 => Transfer::default(),
            _ => self.sync(left, prefix, false)?,
        };
        transfer.bytes += copied;
        transfer.copied_bytes += copied;
        Ok(transfer)
    }

    fn sync(&self, files: Files, prefix: &str, checksum: bool) -> anyhow::Result<Transfer> {
        let rclone = &self.run.ready.rclone;
        let source = self.snapshot.path.join(&self.dataset.path);
        let sync = Sync {
            source: &source,
            prefix,
            exclude: exclude(self.dataset.format),
            tuning: Tuning::choose(files, self.share),
            checksum,
        };
        let command = args::sync(&rclone.program, &rclone.remote, &sync);
        rclone.transfer(Label::of(Step::Upload, self.name), command)
    }

    fn list(&self, listing: &mut Listing, prefix: &str) -> Result<(), StepError> {
        let label = Label::of(Step::Verify, self.name);
        let rclone = &self.run.ready.rclone;
        let listed = self.timed(Step::Verify, || listing.ask(rclone, label, prefix));
        Ok(listed.with_context(|| format!("listing {prefix}"))?)
    }

    /// Sends again what differs, once, and compares again.
    fn resend_changed(
        &self,
        scanned: &ScannedDataset,
        files: Files,
        outcome: &mut DatasetOutcome,
        difference: &Difference,
    ) -> Result<(), StepError> {
        self.run.host.interrupt.check()?;
        let name = self.name.as_str();
        info!(step = "verify", dataset = name; "{name}: {difference}; sending again what differs");
        let transfer = self
            .timed(Step::Upload, || self.sync(files, &outcome.prefix, true))
            .map_err(|error| StepError::from(error).context(difference))?;
        outcome.transfer.bytes += transfer.bytes;
        outcome.transfer.files += transfer.files;
        let mut listing = Listing::of(&scanned.tree);
        self.list(&mut listing, &outcome.prefix)?;
        Ok(listing
            .compare(&scanned.tree)
            .map_err(anyhow::Error::from)?)
    }
}

/// Filter patterns of files that rclone leaves out.
pub(super) fn exclude(format: Format) -> &'static [&'static str] {
    match format {
        Format::Redis => &SCRATCH_PATTERNS,
        Format::Files => &[],
    }
}
