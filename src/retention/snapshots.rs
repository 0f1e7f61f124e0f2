//! Local retention carried out: for a run, and for `prune`.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use log::{info, warn};

use super::Pruned;
use crate::config::Config;
use crate::host::Host;
use crate::retention::{self, Ownership, Policy, Reason, Row};
use crate::snapshots;
use crate::timestamp::Timestamp;
use crate::tools::btrfs::{Btrfs, Subvolume};

/// What would go, newest first. What is about to be adopted counts as ours.
///
/// # Errors
/// Where the snapshots cannot be looked at.
pub(crate) fn plan_local(
    host: &Host,
    btrfs: &Btrfs,
    subvolume: &Subvolume,
    committed: &BTreeSet<Timestamp>,
    adopted: &BTreeMap<String, u64>,
    now: Timestamp,
) -> Result<Vec<Row>> {
    let mut candidates = snapshots::candidates(&host.config, btrfs, subvolume)?;
    for candidate in &mut candidates {
        if let Some(id) = adopted.get(&candidate.name) {
            candidate.ownership = Ownership::Ours(*id);
        }
    }
    Ok(retention::plan(
        &candidates,
        committed,
        Policy::local(host.config.retention),
        now,
    ))
}

/// Deletes what the rows say. One that will not go does not stop the others.
pub(crate) fn local(host: &Host, btrfs: &Btrfs, subvolume: &Subvolume, rows: Vec<Row>) -> Pruned {
    let foreign = rows
        .iter()
        .filter(|row| matches!(row.reason, Reason::Foreign(_)))
        .count();
    let warnings = (foreign > 0)
        .then(|| foreign_warning(foreign, &host.config))
        .into_iter()
        .collect();
    let mut pruned = Pruned {
        rows,
        warnings,
        ..Pruned::default()
    };
    for row in &pruned.rows {
        let Some(id) = row.delete else { continue };
        if let Some(signal) = host.interrupt.signal() {
            pruned.failed.push(format!(
                "{}: it stays, since we received {signal}",
                row.name
            ));
            continue;
        }
        match snapshots::delete(&host.config, btrfs, subvolume.uuid, &row.name, id) {
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
    pruned
}

/// For whoever has to decide about them.
fn foreign_warning(count: usize, config: &Config) -> String {
    format!(
        "{count} entries of {} bear names of our kind and are not ours (writable, or another subvolume's): they are \
         never deleted; `opencode-backup list` shows them; if {} was made anew or restored, name the UUID that it had \
         in former_subvolume_uuids (it is the Parent UUID that `btrfs subvolume show` prints of an old snapshot); \
         `opencode-backup prune --adopt` takes over the writable ones that an older script left",
        config.snapshot_dir.display(),
        config.subvolume.display()
    )
}
