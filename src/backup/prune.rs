//! Retention once the datasets are committed: here, and in the bucket where that is asked for.

use std::collections::BTreeMap;

use anyhow::Context as _;

use super::Run;
use super::register::Registration;
use crate::exit::StepError;
use crate::retention::bucket::Expiry;
use crate::retention::snapshots as local;
use crate::retention::{Policy, Pruned};
use crate::tools::btrfs::Subvolume;

/// Deletes what the plans say. One that will not go does not stop the others.
///
/// # Errors
/// Where nothing may be deleted, and why.
pub(super) fn all(
    run: &Run<'_>,
    bucket: &Registration,
    subvolume: &Subvolume,
) -> Result<Pruned, StepError> {
    bucket
        .clock(run.timestamp)
        .map_err(|error| error.context("nothing was deleted"))?;
    let mut committed = bucket.committed();
    committed.insert(run.timestamp);
    let (host, btrfs) = (run.host, &run.ready.btrfs);
    let rows = local::plan_local(
        host,
        btrfs,
        subvolume,
        &committed,
        &BTreeMap::new(),
        run.timestamp,
    )
    .context("nothing was deleted")?;
    let mut pruned = local::local(host, btrfs, subvolume, rows);
    if let Some(policy) = Policy::remote(host.config.retention) {
        let marks = bucket.marks_with(run.timestamp);
        match Expiry::look(host, &run.ready.rclone, &marks, policy, run.timestamp) {
            Ok((expiry, rows)) => {
                let (deleted, failed) = expiry.carry_out(&rows);
                pruned.remote_deleted = deleted;
                pruned.failed.extend(failed);
                pruned.remote_rows = rows;
            }
            Err(error) => pruned
                .failed
                .push(format!("nothing was deleted in the bucket: {error:#}")),
        }
    }
    Ok(pruned)
}
