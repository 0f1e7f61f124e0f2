//! What goes and what stays: a pure function from facts to rows, each with its reason.
//!
//! Age is the name's timestamp. A snapshot's mtime is its source's: pruning by that deletes every snapshot
//! of a subvolume whose top directory has been quiet.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;

use crate::config::Retention;
pub(crate) use crate::snapshots::{Candidate, Ownership};
use crate::timestamp::Timestamp;

const DAY: i64 = 24 * 60 * 60;

/// How long, and how many at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Policy {
    /// What is older than so many days goes …
    pub days: u32,
    /// … but never the newest so many.
    pub min_keep: u32,
}

impl Policy {
    pub(crate) fn local(retention: Retention) -> Self {
        Self {
            days: retention.days.get(),
            min_keep: retention.min_keep.get(),
        }
    }

    /// For the bucket; `None` where it is never pruned.
    pub(crate) fn remote(retention: Retention) -> Option<Self> {
        retention.remote.map(|remote| Self {
            days: remote.days.get(),
            min_keep: remote.min_keep.get(),
        })
    }

    /// What is older than this is too old.
    pub(crate) fn horizon(self, now: Timestamp) -> i64 {
        now.unix().saturating_sub(i64::from(self.days) * DAY)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Row {
    pub name: String,
    /// The time in it.
    pub timestamp: Timestamp,
    /// The subvolume's id, where it goes.
    pub delete: Option<u64>,
    pub reason: Reason,
}

/// Why something goes or stays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Reason {
    /// Past the retention's days, and nothing else keeps it.
    Expired,
    Young,
    /// Among the newest that are always kept.
    AmongNewest,
    /// The newest that is also in the bucket.
    NewestCommitted,
    /// Its time is yet to come.
    Future,
    Foreign(String),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expired => f.write_str("older than the retention's days"),
            Self::Young => f.write_str("younger than the retention's days"),
            Self::AmongNewest => f.write_str("among the newest that are always kept"),
            Self::NewestCommitted => f.write_str("the newest that is complete in the bucket"),
            Self::Future => f.write_str("from the future: is the clock right?"),
            Self::Foreign(why) => write!(f, "not ours: {why}"),
        }
    }
}

pub(crate) fn plan(
    candidates: &[Candidate],
    committed: &BTreeSet<Timestamp>,
    policy: Policy,
    now: Timestamp,
) -> Vec<Row> {
    let mut candidates: Vec<&Candidate> = candidates.iter().collect();
    candidates.sort_by(|a, b| {
        b.timestamp
            .cmp(&a.timestamp)
            .then_with(|| a.name.cmp(&b.name))
    });
    let counts = |candidate: &&&Candidate| {
        matches!(candidate.ownership, Ownership::Ours(_))
            && candidate.whole
            && candidate.timestamp <= now
    };
    let min_keep = usize::try_from(policy.min_keep).unwrap_or(usize::MAX);
    let newest: BTreeSet<Timestamp> = candidates
        .iter()
        .filter(counts)
        .take(min_keep)
        .map(|candidate| candidate.timestamp)
        .collect();
    let newest_committed = candidates
        .iter()
        .filter(counts)
        .map(|candidate| candidate.timestamp)
        .find(|timestamp| committed.contains(timestamp));
    let horizon = policy.horizon(now);
    let decide = |candidate: &Candidate| match &candidate.ownership {
        Ownership::Foreign(why) => (None, Reason::Foreign(why.clone())),
        Ownership::Ours(_) if candidate.timestamp > now => (None, Reason::Future),
        Ownership::Ours(_) if newest.contains(&candidate.timestamp) => (None, Reason::AmongNewest),
        Ownership::Ours(_) if newest_committed == Some(candidate.timestamp) => {
            (None, Reason::NewestCommitted)
        }
        Ownership::Ours(_) if candidate.timestamp.unix() >= horizon => (None, Reason::Young),
        Ownership::Ours(id) => (Some(*id), Reason::Expired),
    };
    candidates
        .into_iter()
        .map(|candidate| {
            let (delete, reason) = decide(candidate);
            Row {
                name: candidate.name.clone(),
                timestamp: candidate.timestamp,
                delete,
                reason,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix(seconds).expect("in range")
    }

    fn policy(days: u32, min_keep: u32) -> Policy {
        Policy { days, min_keep }
    }

    fn ours(age_days: i64) -> Candidate {
        let timestamp = at(NOW - age_days * DAY);
        Candidate {
            name: format!("persist-{timestamp}"),
            timestamp,
            whole: true,
            ownership: Ownership::Ours(7),
        }
    }

    fn reasons(candidates: &[Candidate], committed: &[i64], policy: Policy) -> Vec<Reason> {
        let committed = committed.iter().map(|age| at(NOW - age * DAY)).collect();
        plan(candidates, &committed, policy, at(NOW))
            .into_iter()
            .map(|row| row.reason)
            .collect()
    }

    #[test]
    fn old_ones_go_and_the_newest_stay_however_old() {
        let all = [ours(40), ours(50), ours(60), ours(70)];
        assert_eq!(
            reasons(&all, &[], policy(30, 2)),
            [
                Reason::AmongNewest,
                Reason::AmongNewest,
                Reason::Expired,
                Reason::Expired
            ]
        );
    }

    #[test]
    fn the_newest_one_in_the_bucket_stays() {
        let all = [ours(1), ours(40), ours(50)];
        assert_eq!(
            reasons(&all, &[40, 50], policy(30, 1)),
            [
                Reason::AmongNewest,
                Reason::NewestCommitted,
                Reason::Expired
            ]
        );
    }

    #[test]
    fn exactly_the_retentions_days_is_not_older() {
        assert_eq!(
            reasons(&[ours(0), ours(30)], &[], policy(30, 1)),
            [Reason::AmongNewest, Reason::Young]
        );
    }

    #[test]
    fn what_is_not_whole_counts_for_nothing_and_goes_when_it_is_old() {
        let half = |age| Candidate {
            whole: false,
            ..ours(age)
        };
        let all = [half(1), half(40), ours(50), ours(60)];
        assert_eq!(
            reasons(&all, &[], policy(30, 1)),
            [
                Reason::Young,
                Reason::Expired,
                Reason::AmongNewest,
                Reason::Expired
            ]
        );
    }

    #[test]
    fn one_from_the_future_counts_for_nothing() {
        let all = [ours(-1), ours(40), ours(50)];
        assert_eq!(
            reasons(&all, &[-1], policy(30, 1)),
            [Reason::Future, Reason::AmongNewest, Reason::Expired]
        );
    }

    proptest! {
        #[test]
        fn whatever_the_set_the_newest_the_committed_and_the_foreign_stay(
            set in proptest::collection::vec((-20i64..400, 0u8..3, any::<bool>()), 0..60),
            days in 1u32..100, min_keep in 1u32..10,
        ) {
            let mut seen = BTreeSet::new();
            let mut committed = BTreeSet::new();
            let mut candidates = Vec::new();
            for (age, kind, in_bucket) in set {
                let mut candidate = ours(age);
                if !seen.insert(candidate.timestamp) { continue; }
                if kind == 0 { candidate.ownership = Ownership::Foreign("x".to_owned()); }
                if in_bucket { committed.insert(candidate.timestamp); }
                candidates.push(candidate);
            }
            let rows = plan(&candidates, &committed, policy(days, min_keep), at(NOW));
            prop_assert_eq!(rows.len(), candidates.len());
            let mut countable: Vec<_> = candidates.iter()
                .filter(|c| matches!(c.ownership, Ownership::Ours(_)) && c.timestamp <= at(NOW)).map(|c| c.timestamp).collect();
            countable.sort_unstable();
            countable.reverse();
            let kept = |timestamp: &Timestamp| rows.iter().any(|row| row.timestamp == *timestamp && row.delete.is_none());
            for timestamp in countable.iter().take(min_keep as usize) { prop_assert!(kept(timestamp)); }
            if let Some(timestamp) = countable.iter().find(|timestamp| committed.contains(timestamp)) { prop_assert!(kept(timestamp)); }
            for candidate in &candidates {
                let row = rows.iter().find(|row| row.name == candidate.name).expect("a row each");
                let deletable = matches!(candidate.ownership, Ownership::Ours(_))
                    && candidate.timestamp.unix() < NOW - i64::from(days) * DAY;
                prop_assert!(row.delete.is_none() || deletable);
                if deletable && row.delete.is_none() {
                    prop_assert!(matches!(row.reason, Reason::AmongNewest | Reason::NewestCommitted));
                }
            }
        }
    }
}
