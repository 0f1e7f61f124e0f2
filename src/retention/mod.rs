//! Retention: what is deleted here and in the bucket. `policy` decides; `snapshots` and `bucket` execute.

pub(crate) mod bucket;
mod policy;
pub(crate) mod snapshots;

use std::collections::BTreeSet;

use anyhow::{Result, bail};
use log::{info, warn};
use serde::Serialize;

use crate::bucket::catalog::Remote;
use crate::exit::StepError;
use crate::host::Host;
use crate::timestamp::Timestamp;
use crate::tools::btrfs::{Btrfs, Subvolume};
use crate::tools::rclone::Rclone;
use bucket::Backups;
pub(crate) use policy::{Decision, Policy, Reason};
use policy::{Entry, plan};
use snapshots::Snapshots;

/// Seconds between the bucket's clock and ours beyond which nothing is deleted.
const CLOCK_TOLERANCE: u64 = 60 * 60;

/// What was decided and done.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Pruned {
    pub snapshots: Side,
    /// Empty where the bucket is not pruned.
    pub bucket: Side,
    pub warnings: Vec<String>,
}

#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Side {
    /// Every entry, the newest first.
    pub rows: Vec<Row>,
    pub deleted: u64,
    /// Why nothing was decided and deleted on this side.
    pub error: Option<StepError>,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    pub name: String,
    pub timestamp: Timestamp,
    #[serde(flatten)]
    pub decision: Decision,
    /// Why the entry could not be deleted.
    pub error: Option<StepError>,
}

impl Row {
    fn plan(entries: Vec<Entry>, policy: &Policy, now: Timestamp) -> Vec<Self> {
        // The backups with the peak of a dataset: none until summaries record one.
        let protected = BTreeSet::new();
        let decisions = plan(&entries, policy, &protected, now);
        let decided = entries.into_iter().zip(decisions);
        let row = |(entry, decision): (Entry, Decision)| Self {
            name: entry.name,
            timestamp: entry.timestamp,
            decision,
            error: None,
        };
        decided.map(row).collect()
    }
}

impl Pruned {
    /// Why something was not deleted.
    pub(crate) fn errors(&self) -> impl Iterator<Item = &StepError> {
        [&self.snapshots, &self.bucket]
            .into_iter()
            .flat_map(|side| {
                let rows = side.rows.iter().filter_map(|row| row.error.as_ref());
                rows.chain(&side.error)
            })
    }

    /// A message for each fault; one for everything that a signal prevented.
    pub(crate) fn failures(&self) -> Vec<String> {
        let mut failures = Vec::new();
        for (side, place) in [(&self.snapshots, ""), (&self.bucket, " in the bucket")] {
            for row in &side.rows {
                if let Some(error @ StepError::Failed(_)) = &row.error {
                    failures.push(format!("{}{place}: {error}", row.name));
                }
            }
            if let Some(error @ StepError::Failed(_)) = &side.error {
                failures.push(format!("nothing was deleted{place}: {error}"));
            }
        }
        if let Some(stopped) = self.errors().find(|error| error.is_interrupted()) {
            failures.push(format!("not everything was deleted: {stopped}"));
        }
        failures
    }
}

/// Retention, for a run and for the command.
pub(crate) struct Prune<'a> {
    pub host: &'a Host,
    pub btrfs: &'a Btrfs,
    pub rclone: &'a Rclone,
    pub subvolume: &'a Subvolume,
    /// The backups in the bucket, and the bucket's clock.
    pub remote: &'a Remote,
    pub now: Timestamp,
    /// Whether to prune the bucket, too, if that is configured.
    pub bucket: bool,
    pub dry_run: bool,
}

impl Prune<'_> {
    /// Decides and deletes.
    ///
    /// # Errors
    /// Where nothing was deleted. Other failures are in the answer.
    pub(crate) fn run(&self) -> Result<Pruned> {
        same_clock(self.remote.clock, self.now)?;
        let (snapshots, rows) = Snapshots::plan(
            &self.host.config,
            self.btrfs,
            self.subvolume,
            self.remote,
            None,
            self.now,
        )?;
        let warnings = snapshots.foreign_warning(&rows).into_iter().collect();
        Ok(Pruned {
            snapshots: self.execute(rows, "", |row| snapshots.delete(row)),
            bucket: self.bucket(),
            warnings,
        })
    }

    fn bucket(&self) -> Side {
        let policy = Policy::remote(self.host.config.retention);
        let Some(policy) = policy.filter(|_| self.bucket) else {
            return Side::default();
        };
        match Backups::plan(self.host, self.rclone, self.remote, policy, self.now) {
            Ok((backups, rows)) => {
                self.execute(rows, " from the bucket", |row| backups.delete(row))
            }
            Err(error) => Side {
                error: Some(error.into()),
                ..Side::default()
            },
        }
    }

    /// Deletes what was decided. A deletion that fails does not stop the others.
    fn execute(
        &self,
        mut rows: Vec<Row>,
        place: &str,
        delete: impl Fn(&Row) -> Result<()>,
    ) -> Side {
        let mut deleted = 0;
        let delete = |row: &Row| -> Result<(), StepError> {
            self.host.interrupt.check()?;
            Ok(delete(row)?)
        };
        let is_due = |row: &&mut Row| row.decision.is_delete() && !self.dry_run;
        for row in rows.iter_mut().filter(is_due) {
            match delete(row) {
                Ok(()) => {
                    info!(step = "retention"; "deleted {}{place}: {}", row.name, row.decision);
                    deleted += 1;
                }
                Err(error) => {
                    if !error.is_interrupted() {
                        warn!(step = "retention"; "{} could not be deleted{place}: {error}", row.name);
                    }
                    row.error = Some(error);
                }
            }
        }
        let error = None;
        Side {
            rows,
            deleted,
            error,
        }
    }
}

/// Fails unless two clocks agree well enough for age to decide what is deleted.
pub(crate) fn same_clock(theirs: Option<Timestamp>, ours: Timestamp) -> Result<()> {
    let Some(theirs) = theirs else {
        bail!("the bucket's answer has no date");
    };
    if theirs.unix().abs_diff(ours.unix()) > CLOCK_TOLERANCE {
        bail!(
            "the bucket's clock says {} and ours {}: one of them is wrong, and age decides what is deleted",
            theirs.rfc3339(),
            ours.rfc3339()
        );
    }
    Ok(())
}
