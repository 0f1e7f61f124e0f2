//! A dataset's way to the bucket: uploaded while it is read, then compared with what the bucket lists.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use log::info;

use super::Run;
use super::outcome::DatasetOutcome;
use super::previous::{self, Copies, PreviousBackup};
use super::register::Registration;
use crate::bucket::names;
use crate::config::{Dataset, DatasetName, Format};
use crate::dataset::Tree;
use crate::dataset::compare::Listing;
use crate::dataset::read::{self, Contents};
use crate::dataset::scan::ScannedDataset;
use crate::process::ChildError;
use crate::snapshots::Snapshot;
use crate::step::{Label, Step, Transfer};
use crate::threads::{Semaphore, joined};
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
    /// What the bucket said.
    pub bucket: &'a Registration,
    /// The last backup, whose unchanged files are copied.
    pub base: Option<&'a PreviousBackup>,
    pub snapshot: &'a Snapshot,
    pub name: &'a DatasetName,
    pub dataset: &'a Dataset,
    /// The memory for all uploads.
    pub share: MemoryBudget,
    /// How many go at once.
    pub turns: &'a Semaphore,
}

impl Work<'_> {
    /// Uploads, reads and verifies. What was stored comes back as a tree with the MD5 of every file.
    pub(super) fn store(
        self,
        found: Result<ScannedDataset, Vec<String>>,
    ) -> (DatasetOutcome, Tree) {
        let prefix = names::dataset_prefix(
            &self.run.host.config.remote.prefix,
            self.name,
            self.run.timestamp,
        );
        let mut outcome = DatasetOutcome {
            name: self.name.to_string(),
            prefix,
            error: None,
            failed_step: None,
            interrupted: false,
            warnings: Vec::new(),
            files: 0,
            bytes: 0,
            data_time: None,
            transfer: Transfer::default(),
        };
        let mut found = match found {
            Ok(found) => found,
            Err(problems) => {
                outcome.fail(Step::Structure, problems.join("; "));
                return (outcome, Tree::default());
            }
        };
        (outcome.files, outcome.bytes) = found.tree.totals();
        outcome.warnings.append(&mut found.warnings);
        // Where no thread can be had for one dataset, the others are stored all the same.
        let transferred =
            catch_unwind(AssertUnwindSafe(|| self.transfer(&mut found, &mut outcome)));
        let transferred = transferred.unwrap_or_else(|_| {
            let what = "it ended unexpectedly: no thread could be had, or this is a bug; the reason stands above";
            Err((Step::Upload, what.to_owned()))
        });
        if let Err((step, error)) = transferred {
            outcome.interrupted = self.run.host.interrupt.signal().is_some();
            outcome.fail(step, error);
        }
        (outcome, found.tree)
    }

    fn transfer(
        &self,
        found: &mut ScannedDataset,
        outcome: &mut DatasetOutcome,
    ) -> Result<(), (Step, String)> {
        let files = found.tree.sizes();
        let copies = self.turns.take(|| match self.bucket.open() {
            Ok(()) => previous::choose(self.run, self.bucket, self.base, self.name, &found.tree),
            // The upload says why.
            Err(_) => Vec::new(),
        });
        let prefix = outcome.prefix.as_str();
        let mut listing = Listing::of(&found.tree);
        let (contents, upload, listed) = thread::scope(|scope| {
            let reader = scope.spawn(|| self.timed(Step::Contents, || self.read(found)));
            let (upload, listed) = self.turns.take(|| {
                let upload = self.timed(Step::Upload, || self.upload(files, prefix, &copies));
                // Asked while the files may still be read.
                let listed = upload.is_ok().then(|| self.list(&mut listing, prefix));
                (upload, listed)
            });
            (joined(reader), upload, listed)
        });
        // Whoever swapped it while it was read may have swapped it for a forgery.
        self.snapshot
            .still_there()
            .map_err(|error| (Step::Upload, error))?;
        let contents = contents.map_err(|error| (Step::Contents, error))?;
        outcome.warnings.extend(contents.warnings);
        outcome.data_time = contents.data_time;
        if !contents.problems.is_empty() {
            return Err((Step::Contents, contents.problems.join("; ")));
        }
        outcome.transfer = upload.map_err(|error| (Step::Upload, error))?;
        let compared = listed
            .unwrap_or(Ok(()))
            .and_then(|()| listing.compare(&found.tree));
        compared.or_else(|difference| {
            self.turns
                .take(|| self.resend_changed(found, files, outcome, difference))
        })
    }

    fn timed<T>(&self, step: Step, act: impl FnOnce() -> T) -> T {
        self.run.timer.during(step, Some(self.name), act)
    }

    fn read(&self, found: &mut ScannedDataset) -> Result<Contents, String> {
        let root = self.snapshot.path.join(&self.dataset.path);
        read::read(
            &root,
            found,
            self.dataset,
            self.run.timestamp,
            &self.run.host.interrupt,
        )
    }

    /// Copies what can be copied, and sends what must be sent.
    fn upload(&self, files: Files, prefix: &str, copies: &[Copies]) -> Result<Transfer, String> {
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
                Err(error) if stopped(&error) => return Err(format!("{error:#}")),
                Err(error) => {
                    let (name, files) = (self.name.as_str(), counted(one.files.count, "file"));
                    info!(step = "upload", dataset = name; "{name}: {files} could not be copied from {} on the server and are sent: {error:#}", one.prefix);
                }
            }
        }
        let mut transfer = match left.count {
            0 => Transfer::default(),
            _ => self
                .sync(left, prefix, false)
                .map_err(|error| format!("{error:#}"))?,
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
        let command = args::sync(&rclone.program, &rclone.remote, &sync)?;
        rclone.transfer(Label::of(Step::Upload, self.name), command)
    }

    fn list(&self, listing: &mut Listing, prefix: &str) -> Result<(), String> {
        let label = Label::of(Step::Verify, self.name);
        self.timed(Step::Verify, || {
            listing
                .ask(&self.run.ready.rclone, label, prefix)
                .map_err(|error| format!("listing {prefix}: {error:#}"))
        })
    }

    /// A file whose size and time are those of the last backup and whose bytes are not was copied instead of
    /// sent: compare by checksum, send what differs, and look again.
    fn resend_changed(
        &self,
        found: &ScannedDataset,
        files: Files,
        outcome: &mut DatasetOutcome,
        difference: String,
    ) -> Result<(), (Step, String)> {
        let failed = |error: String| (Step::Verify, error);
        if self.run.host.interrupt.signal().is_some() {
            return Err(failed(difference));
        }
        let name = self.name.as_str();
        info!(step = "verify", dataset = name; "{name}: {difference}; sending again what differs");
        let transfer = self
            .timed(Step::Upload, || self.sync(files, &outcome.prefix, true))
            .map_err(|error| failed(format!("{difference}; {error:#}")))?;
        outcome.transfer.bytes += transfer.bytes;
        outcome.transfer.files += transfer.files;
        let mut listing = Listing::of(&found.tree);
        self.list(&mut listing, &outcome.prefix)
            .and_then(|()| listing.compare(&found.tree))
            .map_err(failed)
    }
}

fn stopped(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<ChildError>()
        .is_some_and(ChildError::is_interrupted)
}

/// What rclone is told to leave out.
pub(super) fn exclude(format: Format) -> &'static [&'static str] {
    match format {
        Format::Redis => &SCRATCH_PATTERNS,
        Format::Files => &[],
    }
}

impl DatasetOutcome {
    fn fail(&mut self, step: Step, error: String) {
        self.failed_step = Some(step);
        self.error = Some(error);
    }
}
