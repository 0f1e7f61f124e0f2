//! Retention in the snapshot directory.

use std::collections::BTreeMap;
use std::process::Command;

use anyhow::{Context as _, Result};

use super::{Decision, Entry, Policy, Reason, Row};
use crate::bucket::catalog::Remote;
use crate::bucket::names;
use crate::config::Config;
use crate::snapshots::{self, Foreign, Ownership, SnapshotName};
use crate::timestamp::Timestamp;
use crate::tools::btrfs::{Btrfs, Subvolume};

/// The snapshots that can be deleted.
pub(crate) struct Snapshots<'a> {
    config: &'a Config,
    btrfs: &'a Btrfs,
    subvolume: &'a Subvolume,
    /// The subvolume ids of the snapshots that this program took.
    ids: BTreeMap<Timestamp, u64>,
}

impl<'a> Snapshots<'a> {
    /// Decides, the newest first. `upcoming` is the snapshot that a dry run would take: it counts and has no row.
    ///
    /// # Errors
    /// Where the snapshots cannot be listed.
    pub(crate) fn plan(
        config: &'a Config,
        btrfs: &'a Btrfs,
        subvolume: &'a Subvolume,
        remote: &Remote,
        upcoming: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<(Self, Vec<Row>)> {
        let candidates = snapshots::candidates(config, btrfs, subvolume)?;
        let ids = candidates.iter();
        let ids = ids.filter_map(|candidate| Some((candidate.timestamp, candidate.id?)));
        let this = Self {
            config,
            btrfs,
            subvolume,
            ids: ids.collect(),
        };
        let entry = |name, timestamp, ownership| Entry {
            name,
            timestamp,
            complete: remote.marks.get(&timestamp).is_some_and(names::is_complete),
            ownership,
            unconfigured: None,
        };
        let here = candidates.into_iter();
        let here = here.map(|one| entry(one.name, one.timestamp, one.ownership));
        // At the end, where its row is cut off.
        let upcoming = upcoming.map(|timestamp| {
            let name = SnapshotName::of(&config.subvolume, timestamp).to_string();
            entry(name, timestamp, Ownership::Ours)
        });
        let count = here.len();
        let entries = here.chain(upcoming).collect();
        let mut rows = Row::plan(entries, &Policy::local(config.retention), now);
        rows.truncate(count);
        Ok((this, rows))
    }

    pub(super) fn delete(&self, row: &Row) -> Result<()> {
        let (id, uuid) = (self.id(row)?, self.subvolume.uuid);
        snapshots::delete(self.config, self.btrfs, uuid, &row.name, id)
    }

    /// The command that deletes the snapshot, for a dry run.
    pub(crate) fn delete_command(&self, row: &Row) -> Result<Command> {
        let path = self.config.snapshot_dir.join(&row.name);
        Ok(self.btrfs.delete_command(self.id(row)?, &path))
    }

    fn id(&self, row: &Row) -> Result<u64> {
        let id = self.ids.get(&row.timestamp).copied();
        id.with_context(|| format!("{} is not ours", row.name))
    }

    /// Counts what has a snapshot's name and is not ours, with the remedies that apply.
    pub(super) fn foreign_warning(&self, rows: &[Row]) -> Option<String> {
        let why = |row: &Row| match &row.decision {
            Decision::Keep(Reason::Foreign { why }) => Some(why.clone()),
            _ => None,
        };
        let foreign: Vec<Foreign> = rows.iter().filter_map(why).collect();
        if foreign.is_empty() {
            return None;
        }
        let mut warning = format!(
            "{} entries of {} have the name of a snapshot and are not ours: they are never deleted, and \
             `opencode-backup list` shows why",
            foreign.len(),
            self.config.snapshot_dir.display()
        );
        if foreign.contains(&Foreign::OtherSubvolume) {
            warning += &format!(
                "; if {} was created again or restored, add its former UUID to former_subvolume_uuids (the Parent UUID \
                 that `btrfs subvolume show` prints for an old snapshot)",
                self.config.subvolume.display()
            );
        }
        if foreign.contains(&Foreign::Writable) {
            warning += "; `btrfs property set -t subvol PATH ro true` makes a writable snapshot read-only, so that it can be pruned";
        }
        Some(warning)
    }
}
