//! Commits a backup: the file list first, the summary last. A backup exists once its summary is in the bucket.

use anyhow::{Context as _, anyhow, ensure};
use log::{info, warn};

use super::Run;
use super::outcome::DatasetOutcome;
use super::register::Registration;
use crate::bucket::backup::{DatasetFiles, FileList, record};
use crate::bucket::names::Mark;
use crate::bucket::summary::{
    Bounded, DatasetSummary, ExportRecord, FailedDataset, Head, LARGEST, ObjectRecord, Schema,
    SnapshotRecord, Summary, bounded, parse,
};
use crate::dataset::Tree;
use crate::exit::StepError;
use crate::step::{Label, Step};
use crate::timestamp::Timestamp;
use crate::tools::rclone::payload::Payload;

/// Writes what is safely stored, and reads it back.
pub(super) fn write(
    run: &Run<'_>,
    bucket: &Registration,
    snapshot: &SnapshotRecord,
    works: Vec<(&DatasetOutcome, Tree)>,
    export: &ExportRecord,
) -> Result<(), StepError> {
    let (mut failed, mut datasets, mut files) = (Vec::new(), Vec::new(), Vec::new());
    for (dataset, tree) in works {
        match &dataset.error {
            Some(error) => failed.push(FailedDataset::new(&dataset.name, error)),
            None => {
                datasets.push(dataset_summary(dataset));
                let name = dataset.name.clone();
                files.push(DatasetFiles { name, tree });
            }
        }
    }
    bucket.open()?;
    if datasets.is_empty() {
        // The failures of the datasets decide; this one only follows from them.
        run.host.interrupt.check()?;
        return Err(anyhow!("no dataset is safely stored, so there is nothing to commit").into());
    }
    let file_list = put_file_list(run, files)?;
    let is_complete = failed.is_empty();
    let summary = Summary {
        head: Head::new(&run.host.name, run.timestamp),
        finished: Timestamp::now(),
        complete: is_complete,
        snapshot: snapshot.clone(),
        export: export.clone(),
        failed,
        datasets,
        file_list,
    };
    let mark = if is_complete {
        Mark::Complete
    } else {
        Mark::Partial
    };
    let key = mark.key(&run.host.config.remote.prefix, run.timestamp);
    let summary = serde_json::to_vec(&summary).map_err(anyhow::Error::from)?;
    // What no reader accepts must not be written: the backup would look damaged for ever.
    parse::<Summary>(&summary)?;
    if summary.len() as u64 > LARGEST {
        let bytes = summary.len();
        return Err(anyhow!("the summary has {bytes} bytes, and {LARGEST} are allowed").into());
    }
    put(run, &key, &summary).map_err(|error| unstore(run, &key, error))?;
    if is_complete {
        info!(step = "commit"; "{key} is written and reads back");
        bucket.unregister(run);
    } else {
        // The mark stays: it names the prefixes of the datasets that failed.
        info!(step = "commit"; "{key} names the datasets that are safely stored");
    }
    Ok(())
}

fn put_file_list(run: &Run<'_>, datasets: Vec<DatasetFiles>) -> anyhow::Result<ObjectRecord> {
    let list = FileList {
        schema: Schema::CURRENT,
        timestamp: run.timestamp,
        datasets,
    };
    let bytes = list.to_bytes()?;
    let key = Mark::FileList.key(&run.host.config.remote.prefix, run.timestamp);
    put(run, &key, &bytes)?;
    Ok(record(&bytes))
}

fn dataset_summary(dataset: &DatasetOutcome) -> DatasetSummary {
    DatasetSummary {
        name: dataset.name.clone(),
        prefix: dataset.prefix.clone(),
        files: dataset.files,
        bytes: dataset.bytes,
        image_bytes: None,
        peak: None,
        data_time: dataset.data_time,
        warnings: dataset.warnings.iter().cloned().map(bounded).collect(),
        server: Default::default(),
    }
}

/// Stores an object and reads it back.
fn put(run: &Run<'_>, key: &str, bytes: &[u8]) -> anyhow::Result<()> {
    let (rclone, label) = (&run.ready.rclone, || Label::new(Step::Commit));
    let payload = Payload::write(|writer| writer.write_all(bytes))?;
    rclone.put(label(), key, &payload)?;
    let size = bytes.len() as u64;
    let mut back = Bounded::new(size);
    rclone.get_sized(label(), key, size, &mut |bytes| back.push(bytes))?;
    let back = back
        .finish()
        .with_context(|| format!("reading {key} back"))?;
    ensure!(back == bytes, "{key} does not read back as it was written");
    Ok(())
}

/// Deletes a summary that did not arrive whole: it would look like a backup.
fn unstore(run: &Run<'_>, key: &str, error: anyhow::Error) -> StepError {
    if run.host.interrupt.signal().is_some() {
        // No request is possible any more. A summary that arrived is whole: all that it names was verified.
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
