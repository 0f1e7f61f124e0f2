//! Selects a backup: `latest`, or a timestamp.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use anyhow::{Result, anyhow, bail};

use crate::bucket::backup::Backup;
use crate::bucket::catalog::Remote;
use crate::bucket::names::Mark;
use crate::config::Config;
use crate::step::{Label, Step};
use crate::timestamp::{NotATimestamp, Timestamp};
use crate::tools::rclone::Rclone;

/// The backup on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Selector {
    /// The newest complete one that is not from the future.
    Latest,
    At(Timestamp),
}

impl FromStr for Selector {
    type Err = NotATimestamp;

    fn from_str(text: &str) -> Result<Self, NotATimestamp> {
        if text == "latest" {
            Ok(Self::Latest)
        } else {
            text.parse().map(Self::At)
        }
    }
}

/// A backup with a manifest in the bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SelectedBackup {
    pub timestamp: Timestamp,
    pub mark: Mark,
}

impl SelectedBackup {
    /// Finds the backup among the bucket's marks.
    ///
    /// # Errors
    /// Where it is not there, or is no backup.
    pub(crate) fn find(
        which: Selector,
        marks: &BTreeMap<Timestamp, BTreeSet<Mark>>,
        now: Timestamp,
    ) -> Result<Self> {
        let complete = |marks: &BTreeSet<Mark>| marks.contains(&Mark::Complete);
        let newest = marks
            .range(..=now)
            .rev()
            .find(|(_, marks)| complete(marks))
            .map(|(timestamp, _)| *timestamp);
        match which {
            Selector::Latest => newest
                .map(|timestamp| Self { timestamp, mark: Mark::Complete })
                .ok_or_else(|| anyhow!("the bucket holds no complete backup; `opencode-backup list` shows what there is")),
            Selector::At(timestamp) => match marks.get(&timestamp) {
                Some(marks) if complete(marks) => Ok(Self { timestamp, mark: Mark::Complete }),
                Some(marks) if marks.contains(&Mark::Partial) => Ok(Self { timestamp, mark: Mark::Partial }),
                Some(_) => bail!("{timestamp} was begun and never finished: it is no backup"),
                None => bail!("the bucket holds no backup of {timestamp}; `opencode-backup list` shows those that there are"),
            },
        }
    }

    /// Lists the bucket and finds the backup.
    ///
    /// # Errors
    /// Where the bucket cannot be asked, or it is not there.
    pub(crate) fn ask(
        which: Selector,
        rclone: &Rclone,
        config: &Config,
        now: Timestamp,
    ) -> Result<Self> {
        let remote = Remote::ask(rclone, config, 0)?;
        Self::find(which, &remote.marks, now)
    }

    /// Its summary and its files, checked.
    pub(crate) fn read(self, step: Step, rclone: &Rclone, config: &Config) -> Result<Backup> {
        let prefix = &config.remote.prefix;
        Backup::read(rclone, Label::new(step), prefix, self.timestamp, self.mark)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("valid")
    }

    #[test]
    fn latest_is_the_newest_complete_one_that_is_not_from_the_future() {
        let marks: BTreeMap<Timestamp, BTreeSet<Mark>> = [
            ("2025-01-01T00-00-00Z", vec![Mark::Complete]),
            (
                "2025-01-02T00-00-00Z",
                vec![Mark::Complete, Mark::Started(None)],
            ),
            (
                "2025-01-03T00-00-00Z",
                vec![Mark::Partial, Mark::Started(None)],
            ),
            ("2025-01-04T00-00-00Z", vec![Mark::Started(None)]),
            ("2025-02-01T00-00-00Z", vec![Mark::Complete]),
        ]
        .map(|(timestamp, marks)| (at(timestamp), marks.into_iter().collect()))
        .into();
        let now = at("2025-01-05T00-00-00Z");
        let found = |which| {
            SelectedBackup::find(which, &marks, now)
                .map(|chosen| (chosen.timestamp.to_string(), chosen.mark))
        };
        assert_eq!(
            found(Selector::Latest).expect("there is one"),
            ("2025-01-02T00-00-00Z".to_owned(), Mark::Complete)
        );
        assert_eq!(
            found(Selector::At(at("2025-01-03T00-00-00Z")))
                .expect("partial")
                .1,
            Mark::Partial
        );
        assert!(found(Selector::At(at("2025-01-04T00-00-00Z"))).is_err());
        assert!(found(Selector::At(at("2024-01-04T00-00-00Z"))).is_err());
    }
}
