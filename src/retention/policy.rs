//! The retention planner: a pure function from entries to decisions, for snapshots and for backups in the bucket.
//!
//! An entry's age is the timestamp in its name. A snapshot has the mtime of its source: pruning by mtime deletes every
//! snapshot of a subvolume whose top directory has not changed for a month.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use chrono::Datelike as _;
use serde::Serialize;

use crate::config::{DatasetName, Retention};
use crate::snapshots::{Foreign, Ownership};
use crate::timestamp::Timestamp;
use crate::ui::counted as count;

const DAY: i64 = 24 * 60 * 60;

/// Which entries are kept: an entry that any rule keeps is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Policy {
    /// Everything younger is kept.
    days: u32,
    /// The newest so many are kept at any age.
    min_keep: u32,
    /// The newest of each of the last so many periods that have one is kept.
    rules: [(Period, u32); 4],
    /// Whether incomplete entries count for `min_keep` and the rules: a snapshot is useful without its backup.
    counts_incomplete: bool,
}

impl Policy {
    pub(crate) fn local(retention: Retention) -> Self {
        Self {
            counts_incomplete: true,
            ..Self::new(retention.days.get(), [0; 4], retention.min_keep.get())
        }
    }

    /// `None`: the bucket is never pruned.
    pub(crate) fn remote(retention: Retention) -> Option<Self> {
        let remote = retention.remote?;
        let periods = [remote.daily, remote.weekly, remote.monthly, remote.yearly];
        Some(Self::new(remote.days.get(), periods, remote.min_keep.get()))
    }

    /// `periods` are the numbers of days, weeks, months and years; 0 disables a rule.
    fn new(days: u32, periods: [u32; 4], min_keep: u32) -> Self {
        let [daily, weekly, monthly, yearly] = periods;
        Self {
            days,
            min_keep,
            rules: [
                (Period::Daily, daily),
                (Period::Weekly, weekly),
                (Period::Monthly, monthly),
                (Period::Yearly, yearly),
            ],
            counts_incomplete: false,
        }
    }

    pub(super) fn is_young(&self, timestamp: Timestamp, now: Timestamp) -> bool {
        timestamp.unix() >= now.unix().saturating_sub(i64::from(self.days) * DAY)
    }
}

/// The length of a rule's periods, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Period {
    Daily,
    /// ISO weeks: they begin on Monday.
    Weekly,
    Monthly,
    Yearly,
}

impl Period {
    /// A number for each period: the same for all times within it.
    fn of(self, timestamp: Timestamp) -> (i32, u32) {
        let date = timestamp.date();
        match self {
            Self::Daily => (date.year(), date.ordinal()),
            Self::Weekly => (date.iso_week().year(), date.iso_week().week()),
            Self::Monthly => (date.year(), date.month()),
            Self::Yearly => (date.year(), 0),
        }
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Daily => "daily",
            Self::Weekly => "weekly",
            Self::Monthly => "monthly",
            Self::Yearly => "yearly",
        })
    }
}

/// A snapshot or a backup in the bucket.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub name: String,
    /// The time in the name.
    pub timestamp: Timestamp,
    /// Whether the bucket holds the complete backup.
    pub complete: bool,
    pub ownership: Ownership,
    /// A dataset of the backup that is not configured.
    pub unconfigured: Option<DatasetName>,
}

impl Entry {
    /// Whether the entry counts for `min_keep` and the rules.
    fn counts(&self, policy: &Policy, now: Timestamp) -> bool {
        self.ownership == Ownership::Ours
            && self.unconfigured.is_none()
            && self.timestamp <= now
            && (self.complete || policy.counts_incomplete)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "decision", rename_all = "kebab-case")]
pub(crate) enum Decision {
    Keep(Reason),
    /// The entry is older than so many days, and no rule keeps it.
    Delete {
        days: u32,
    },
}

impl Decision {
    pub(crate) fn is_delete(&self) -> bool {
        matches!(self, Self::Delete { .. })
    }

    pub(crate) fn is_foreign(&self) -> bool {
        matches!(self, Self::Keep(Reason::Foreign { .. }))
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Keep(reason) => reason.fmt(f),
            Self::Delete { days } => {
                write!(
                    f,
                    "older than {} and kept by no rule",
                    count(u64::from(*days), "day")
                )
            }
        }
    }
}

/// Why an entry is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "reason", rename_all = "kebab-case")]
pub(crate) enum Reason {
    Foreign {
        why: Foreign,
    },
    Future,
    Unconfigured {
        dataset: DatasetName,
    },
    NewestComplete,
    /// The backup with the peak of a dataset.
    Protected,
    Young {
        days: u32,
    },
    /// Counted from the newest, which is the first.
    MinKeep {
        position: u32,
        of: u32,
    },
    /// The newest of this period, counted from the newest period that has an entry.
    Rule {
        rule: Period,
        position: u32,
        of: u32,
    },
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Foreign { why } => write!(f, "not ours: {why}"),
            Self::Future => f.write_str("from the future: is the clock right?"),
            Self::Unconfigured { dataset } => {
                write!(f, "has the dataset {dataset}, which is not configured")
            }
            Self::NewestComplete => f.write_str("newest complete backup"),
            Self::Protected => f.write_str("the largest backup of a dataset"),
            Self::Young { days } => write!(f, "younger than {}", count(u64::from(*days), "day")),
            Self::MinKeep { position, of } => write!(f, "{} of the {of} newest", nth(*position)),
            Self::Rule { rule, position, of } => write!(f, "{} of {of} {rule}", nth(*position)),
        }
    }
}

/// `1st`, `2nd`, `3rd`, `4th`, `11th`, `21st`.
fn nth(number: u32) -> String {
    let suffix = match (number % 10, number % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{number}{suffix}")
}

/// One decision for each entry, in their order. `protected` are the timestamps of the backups with a dataset's peak.
pub(crate) fn plan(
    entries: &[Entry],
    policy: &Policy,
    protected: &BTreeSet<Timestamp>,
    now: Timestamp,
) -> Vec<Decision> {
    let counted = entries.iter().filter(|entry| entry.counts(policy, now));
    let mut counted: Vec<&Entry> = counted.collect();
    counted.sort_by_key(|entry| Reverse(entry.timestamp));
    let newest_complete = counted.iter().find(|entry| entry.complete);
    let newest_complete = newest_complete.map(|entry| entry.timestamp);
    let ranks = ranks(&counted, policy);
    let keep = |entry: &Entry| {
        let timestamp = entry.timestamp;
        Some(match (&entry.ownership, &entry.unconfigured) {
            (Ownership::Foreign(why), _) => Reason::Foreign { why: why.clone() },
            _ if timestamp > now => Reason::Future,
            (_, Some(dataset)) => Reason::Unconfigured {
                dataset: dataset.clone(),
            },
            _ if newest_complete == Some(timestamp) => Reason::NewestComplete,
            _ if protected.contains(&timestamp) => Reason::Protected,
            _ if policy.is_young(timestamp, now) => Reason::Young { days: policy.days },
            _ => ranks.get(&timestamp)?.clone(),
        })
    };
    let delete = Decision::Delete { days: policy.days };
    let decide = |entry| keep(entry).map_or(delete.clone(), Decision::Keep);
    entries.iter().map(decide).collect()
}

/// What `min_keep` and the rules keep, and the first reason for each. The entries are sorted, the newest first.
fn ranks(counted: &[&Entry], policy: &Policy) -> BTreeMap<Timestamp, Reason> {
    let mut ranks = BTreeMap::new();
    for (position, entry) in (1..=policy.min_keep).zip(counted) {
        let of = policy.min_keep;
        ranks.insert(entry.timestamp, Reason::MinKeep { position, of });
    }
    for (rule, of) in policy.rules {
        let mut last = None;
        let newest = counted.iter().filter(|entry| {
            let period = Some(rule.of(entry.timestamp));
            std::mem::replace(&mut last, period) != period
        });
        for (position, entry) in (1..=of).zip(newest) {
            let reason = Reason::Rule { rule, position, of };
            ranks.entry(entry.timestamp).or_insert(reason);
        }
    }
    ranks
}

#[cfg(test)]
mod tests;
