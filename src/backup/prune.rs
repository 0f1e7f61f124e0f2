//! Local retention, once the datasets are committed.

use log::{info, warn};

use super::Run;
use super::bucket::Bucket;
use super::outcome::Pruned;
use crate::retention::{self, Policy, Reason};
use crate::snapshots;
use crate::tools::btrfs::Subvolume;

/// Deletes what the plan says. One that will not go does not stop the others.
///
/// # Errors
/// Where nothing may be deleted, and why.
pub fn local(run: &Run<'_>, bucket: &Bucket, subvolume: &Subvolume) -> Result<Pruned, String> {
    let nothing = |error: String| format!("nothing was deleted: {error}");
    bucket.clock(run.timestamp).map_err(nothing)?;
    let (config, btrfs) = (&run.host.config, &run.ready.btrfs);
    let candidates = snapshots::candidates(config, btrfs, subvolume)
        .map_err(|error| nothing(format!("{error:#}")))?;
    let mut committed = bucket.committed();
    committed.insert(run.timestamp);
    let rows = retention::plan(&candidates, &committed, Policy::local(config.retention), run.timestamp);
    let foreign = rows
        .iter()
        .filter(|row| matches!(row.reason, Reason::Foreign(_)))
        .count();
    let warnings = (foreign > 0)
        .then(|| foreign_warning(foreign, config))
        .into_iter()
        .collect();
    let mut pruned = Pruned {
        rows,
        warnings,
        ..Pruned::default()
    };
    for row in pruned.rows.iter().filter(|row| row.delete.is_some()) {
        if let Some(signal) = run.host.interrupt.signal() {
            pruned.failed.push(format!(
                "stopped before {} because we received {signal}",
                row.name
            ));
            break;
        }
        match snapshots::delete(config, btrfs, subvolume.uuid, row) {
            Ok(()) => {
                info!(step = "retention"; "deleted {}: {}", row.name, row.reason);
                pruned.deleted += 1;
            }
            Err(error) => {
                warn!(step = "retention"; "{} could not be deleted: {error:#}", row.name);
                pruned.failed.push(format!("{}: {error:#}", row.name));
            }
        }
    }
    Ok(pruned)
}

/// For whoever has to decide about them.
pub fn foreign_warning(count: usize, config: &crate::config::Config) -> String {
    let dir = config.snapshot_dir.display();
    format!(
        "{count} entries of {dir} bear names of our kind and are not ours (writable, or another subvolume's): they are \
         never deleted; `opencode-backup list` shows them; after {} was itself restored, name its old UUID in \
         former_subvolume_uuids",
        config.subvolume.display()
    )
}
