//! The manifest, last: written, read back, and only then is there a backup.

use std::io::{self, Write};

use anyhow::anyhow;
use log::{info, warn};
use md5::{Digest as _, Md5};

use super::Run;
use super::outcome::DatasetOutcome;
use super::register::Registration;
use crate::bucket::manifest::{
    ExportRecord, FailedDataset, Head, Manifest, SnapshotRecord, StoredDataset,
};
use crate::bucket::names::Mark;
use crate::dataset::Tree;
use crate::exit::StepError;
use crate::step::{Label, Step};
use crate::timestamp::Timestamp;
use crate::tools::rclone::payload::Payload;

/// Writes the manifest of what is safely stored, the last object of a backup, and reads it back.
pub(super) fn write(
    run: &Run<'_>,
    bucket: &Registration,
    snapshot: &SnapshotRecord,
    works: &[(DatasetOutcome, Tree)],
    export: &ExportRecord,
) -> Result<(), StepError> {
    let failed: Vec<FailedDataset> = works
        .iter()
        .filter_map(|(dataset, _)| {
            Some(FailedDataset {
                name: dataset.name.to_string(),
                error: dataset.error.as_ref()?.to_string(),
            })
        })
        .collect();
    let datasets: Vec<StoredDataset<'_>> = works
        .iter()
        .filter(|(dataset, _)| dataset.error.is_none())
        .map(|(dataset, tree)| stored(dataset, tree))
        .collect();
    bucket.open()?;
    if datasets.is_empty() {
        // The failures of the datasets decide; this one only follows from them.
        run.host.interrupt.check()?;
        return Err(anyhow!("no dataset is safely stored, so there is nothing to commit").into());
    }
    let mark = match failed.is_empty() {
        true => Mark::Complete,
        false => Mark::Partial,
    };
    let key = mark.key(&run.host.config.remote.prefix, run.timestamp);
    let manifest = Manifest {
        head: Head::new(&run.host.name, run.timestamp),
        finished: Timestamp::now().rfc3339(),
        complete: mark == Mark::Complete,
        snapshot: snapshot.clone(),
        export: export.clone(),
        failed,
        datasets,
    };
    let written = send(run, &key, &manifest).and_then(|sent| read_back(run, &key, &sent));
    written.map_err(|error| unstore(run, &key, error))?;
    match mark {
        Mark::Complete => {
            info!(step = "commit"; "{key} is written and reads back");
            bucket.unregister(run);
        }
        // The mark stays: it names the prefixes of the datasets that failed.
        _ => info!(step = "commit"; "{key} names the datasets that are safely stored"),
    }
    Ok(())
}

fn stored<'a>(dataset: &'a DatasetOutcome, tree: &'a Tree) -> StoredDataset<'a> {
    StoredDataset {
        name: dataset.name.as_str(),
        prefix: &dataset.prefix,
        files: dataset.files,
        bytes: dataset.bytes,
        data_time: dataset.data_time.map(Timestamp::rfc3339),
        warnings: &dataset.warnings,
        left_out: &tree.left_out,
        users: &tree.users,
        groups: &tree.groups,
        entries: tree,
    }
}

/// The length and MD5 of what was sent.
type Sent = (u64, [u8; 16]);

fn send(run: &Run<'_>, key: &str, manifest: &Manifest<'_>) -> anyhow::Result<Sent> {
    let mut sent = Digest::default();
    let payload = Payload::write(|writer| {
        manifest.write(&mut Tee {
            writer,
            digest: &mut sent,
        })
    })?;
    let rclone = &run.ready.rclone;
    rclone.put(Label::new(Step::Commit), key, &payload)?;
    Ok(sent.finish())
}

fn read_back(run: &Run<'_>, key: &str, sent: &Sent) -> anyhow::Result<()> {
    let mut back = Digest::default();
    let rclone = &run.ready.rclone;
    rclone.get(Label::new(Step::Commit), key, &mut |bytes| {
        back.update(bytes)
    })?;
    anyhow::ensure!(
        back.finish() == *sent,
        "{key} does not read back as it was written"
    );
    Ok(())
}

/// Deletes a manifest that did not arrive whole: it would look like a backup.
fn unstore(run: &Run<'_>, key: &str, error: anyhow::Error) -> StepError {
    if run.host.interrupt.signal().is_some() {
        // No request is possible any more. A manifest that arrived is whole: all that it names was verified.
        warn!(step = "commit"; "`opencode-backup list` shows whether {key} had arrived");
        return error.into();
    }
    let rclone = &run.ready.rclone;
    let error = match rclone.delete_if_there(Label::new(Step::Commit), key) {
        Ok(()) => error,
        Err(undeleted) => anyhow!(
            "{error:#}; {key} may be in the bucket and damaged: delete it by hand (this failed: {undeleted:#})"
        ),
    };
    error.into()
}

/// The length and MD5 of a stream.
#[derive(Default)]
struct Digest {
    length: u64,
    md5: Md5,
}

impl Digest {
    fn update(&mut self, bytes: &[u8]) {
        self.length += bytes.len() as u64;
        self.md5.update(bytes);
    }

    fn finish(self) -> Sent {
        (self.length, self.md5.finalize().into())
    }
}

struct Tee<'a> {
    writer: &'a mut dyn Write,
    digest: &'a mut Digest,
}

impl Write for Tee<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.writer.write(bytes)?;
        self.digest.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}
