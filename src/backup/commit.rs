//! The manifest, last: written, read back, and only then is there a backup.

use std::io::{self, Write};
use std::thread;

use log::info;
use md5::{Digest as _, Md5};

use super::Run;
use super::outcome::DatasetOutcome;
use super::register::Registration;
use crate::bucket::manifest::{
    ExportRecord, FailedDataset, Head, Manifest, SnapshotRecord, StoredDataset,
};
use crate::bucket::names::Mark;
use crate::dataset::Tree;
use crate::step::{Label, Step};
use crate::timestamp::Timestamp;
use crate::tools::rclone::payload::Payload;

/// Writes the manifest of a complete backup, or of the datasets that are safely stored. None of them: nothing
/// is written, and the started mark tells what was left behind.
///
/// # Errors
/// Where there is no manifest in the bucket that says what is stored.
pub(super) fn write(
    run: &Run<'_>,
    bucket: &Registration,
    snapshot: &SnapshotRecord,
    works: &[(DatasetOutcome, Tree)],
    export: &ExportRecord,
) -> Result<(), String> {
    let failed: Vec<FailedDataset> = works
        .iter()
        .filter_map(|(dataset, _)| {
            Some(FailedDataset {
                name: dataset.name.clone(),
                error: dataset.error.clone()?,
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
        return Err("no dataset is safely stored, so there is nothing to commit".to_owned());
    }
    let complete = failed.is_empty();
    let mark = if complete {
        Mark::Complete
    } else {
        Mark::Partial
    };
    let key = mark.key(&run.host.config.remote.prefix, run.timestamp);
    let manifest = Manifest {
        head: Head::new(&run.host.name, run.timestamp),
        finished: Timestamp::now().rfc3339(),
        complete,
        snapshot: snapshot.clone(),
        export: export.clone(),
        failed,
        datasets,
    };
    let sent =
        send(run, &key, &manifest).map_err(|error| unstore(run, &key, format!("{error:#}")))?;
    // The server has it, with the MD5 that it was sent with: the mark may go while it is read back.
    let back = thread::scope(|scope| {
        if complete {
            scope.spawn(|| bucket.unregister(run));
        }
        read_back(run, &key, &sent)
    });
    if let Err(error) = back {
        let mut error = format!("{error:#}");
        // Without its manifest the backup is nothing but a run that began.
        if complete
            && run.host.interrupt.signal().is_none()
            && let Err(unmarked) = bucket.mark_again(run)
        {
            error += &format!("; the started mark could not be left again: {unmarked}");
        }
        return Err(unstore(run, &key, error));
    }
    match complete {
        true => info!(step = "commit"; "{key} is written and reads back"),
        false => info!(step = "commit"; "{key} says which datasets are safely stored"),
    }
    Ok(())
}

fn stored<'a>(dataset: &'a DatasetOutcome, tree: &'a Tree) -> StoredDataset<'a> {
    StoredDataset {
        name: &dataset.name,
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

/// A manifest that did not arrive whole must not stay: it would look like a backup.
fn unstore(run: &Run<'_>, key: &str, error: String) -> String {
    if run.host.interrupt.signal().is_some() {
        // Nothing can be asked any more. If the manifest arrived, it is whole: all that it names was verified.
        return format!("{error}; `opencode-backup list` tells whether {key} had arrived");
    }
    let rclone = &run.ready.rclone;
    let there = rclone.stat(Label::new(Step::Commit), key);
    match there
        .and_then(|there| there.map_or(Ok(()), |_| rclone.delete(Label::new(Step::Commit), key)))
    {
        Ok(()) => error,
        Err(again) => format!(
            "{error}; {key} may be in the bucket and damaged: delete it by hand (and this could not be done: {again:#})"
        ),
    }
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
