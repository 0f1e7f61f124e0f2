//! Everything that there is of backups, here and in the bucket, one row a timestamp.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use log::warn;
use serde::Serialize;

use crate::config::Config;
use crate::exec::{Label, Step};
use crate::manifest::{self, ExportRecord, Mark, Summary};
use crate::timestamp::Timestamp;
use crate::tools::rclone::args::literal;
use crate::tools::rclone::{Answer, Rclone};

/// How many of the newest manifests are read for their sizes, unless all are asked for.
pub const NEWEST: usize = 20;

/// What a timestamp's objects in the bucket amount to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Everything is there.
    Complete,
    /// The datasets are there, the export is not.
    NoExport,
    /// Some datasets are there.
    Partial,
    /// A run began and did not end well.
    Incomplete,
    /// A snapshot here, nothing in the bucket.
    LocalOnly,
    /// Its manifest is there and could not be fetched just now.
    Unknown,
}

impl State {
    /// As `list` prints it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::NoExport => "no-export",
            Self::Partial => "partial",
            Self::Incomplete => "incomplete",
            Self::LocalOnly => "local only",
            Self::Unknown => "unknown",
        }
    }
}

/// One timestamp.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Which.
    pub timestamp: Timestamp,
    /// Seconds since then; negative for the future.
    pub age: i64,
    /// `ours`, why it is not, or `unknown` where Btrfs may not be asked; absent where there is no snapshot.
    pub local: Option<String>,
    /// Whether the bucket holds anything of it.
    pub remote: bool,
    /// What that amounts to.
    pub state: State,
    /// Number of files, where the manifest was read.
    pub files: Option<u64>,
    /// Their sizes in all.
    pub bytes: Option<u64>,
    /// Which host wrote it, where the manifest was read.
    pub host: Option<String>,
}

/// The marks of every timestamp in the bucket.
#[derive(Clone, Debug, Default)]
pub struct Remote {
    /// What there is of each.
    pub marks: BTreeMap<Timestamp, BTreeSet<Mark>>,
    /// What the newest manifests say.
    pub summaries: BTreeMap<Timestamp, Summary>,
    /// The server's clock.
    pub clock: Option<Timestamp>,
    /// Those whose manifest is there and is none.
    pub damaged: BTreeSet<Timestamp>,
    /// Those whose manifest could not be fetched.
    pub unread: BTreeSet<Timestamp>,
}

impl Remote {
    /// Asks the bucket for the marks, and reads the newest manifests.
    ///
    /// # Errors
    /// Where it cannot be asked.
    pub fn ask(rclone: &Rclone, config: &Config, newest: usize) -> Result<Self> {
        let folder = manifest::folder(&config.remote.prefix);
        let answer = rclone.ask(
            Label::new(Step::Preflight),
            &[format!("/{}*.json", literal(&folder))],
        )?;
        let mut remote = Self {
            marks: marks(&answer, &folder),
            clock: answer.clock,
            ..Self::default()
        };
        remote.read_newest(rclone, &folder, newest);
        Ok(remote)
    }

    /// All in one call; where one of them is damaged, one by one.
    fn read_newest(&mut self, rclone: &Rclone, folder: &str, newest: usize) {
        let wanted: Vec<(Timestamp, String)> = self
            .marks
            .iter()
            .rev()
            .filter_map(|(timestamp, marks)| {
                let mark = [Mark::Complete, Mark::Partial]
                    .into_iter()
                    .find(|mark| marks.contains(mark))?;
                Some((*timestamp, mark.name(*timestamp)))
            })
            .take(newest)
            .collect();
        if wanted.is_empty() {
            return;
        }
        let names: Vec<String> = wanted.iter().map(|(_, name)| name.clone()).collect();
        let all =
            Summary::read(|take| rclone.get_all(Label::new(Step::Preflight), folder, &names, take));
        for summary in all.unwrap_or_default() {
            self.summaries.insert(summary.head.timestamp, summary);
        }
        for (timestamp, name) in wanted {
            if self.summaries.contains_key(&timestamp) || rclone.runner.interrupt.signal().is_some()
            {
                continue;
            }
            let key = format!("{folder}{name}");
            let mut text = Vec::new();
            let fetched = rclone.get(Label::new(Step::Preflight), &key, &mut |bytes| {
                text.extend_from_slice(bytes)
            });
            if let Err(error) = fetched {
                warn!("{key} could not be fetched, so nothing is known of this backup: {error:#}");
                self.unread.insert(timestamp);
                continue;
            }
            let read = Summary::read(|take| {
                take(&text);
                Ok(())
            });
            match read {
                Ok(mut one) if one.len() == 1 && one[0].head.timestamp == timestamp => {
                    self.summaries
                        .extend(one.pop().map(|summary| (timestamp, summary)));
                }
                Ok(_) => self.damaged(timestamp, &key, "it holds something else"),
                Err(error) => self.damaged(timestamp, &key, &format!("{error:#}")),
            }
        }
    }

    /// A manifest that nobody can read makes no backup.
    fn damaged(&mut self, timestamp: Timestamp, key: &str, why: &str) {
        warn!("{key} cannot be read, so this backup counts as incomplete: {why}");
        self.damaged.insert(timestamp);
    }
}

fn marks(answer: &Answer, folder: &str) -> BTreeMap<Timestamp, BTreeSet<Mark>> {
    let mut marks: BTreeMap<Timestamp, BTreeSet<Mark>> = BTreeMap::new();
    for object in &answer.objects {
        if let Some((timestamp, mark)) = object.path.strip_prefix(folder).and_then(Mark::parse) {
            marks.entry(timestamp).or_default().insert(mark);
        }
    }
    marks
}

/// Merges, newest first.
pub fn merge(local: &BTreeMap<Timestamp, String>, remote: &Remote, now: Timestamp) -> Vec<Row> {
    let all: BTreeSet<Timestamp> = local.keys().chain(remote.marks.keys()).copied().collect();
    all.into_iter()
        .rev()
        .map(|timestamp| {
            let summary = remote.summaries.get(&timestamp);
            let marks = remote.marks.get(&timestamp);
            let sum = |of: fn(&manifest::DatasetSummary) -> u64| {
                summary.map(|summary| summary.datasets.iter().map(of).sum())
            };
            Row {
                timestamp,
                age: now.unix().saturating_sub(timestamp.unix()),
                local: local.get(&timestamp).cloned(),
                remote: marks.is_some(),
                state: match () {
                    () if remote.damaged.contains(&timestamp) => State::Incomplete,
                    () if remote.unread.contains(&timestamp) => State::Unknown,
                    () => state(marks, summary),
                },
                files: sum(|dataset| dataset.files),
                bytes: sum(|dataset| dataset.bytes),
                host: summary.map(|summary| summary.head.host.clone()),
            }
        })
        .collect()
}

fn state(marks: Option<&BTreeSet<Mark>>, summary: Option<&Summary>) -> State {
    let Some(marks) = marks else {
        return State::LocalOnly;
    };
    let export_failed =
        summary.is_some_and(|summary| summary.export.outcome == ExportRecord::FAILED);
    match marks {
        marks if marks.contains(&Mark::Complete) && export_failed => State::NoExport,
        marks if marks.contains(&Mark::Complete) => State::Complete,
        marks if marks.contains(&Mark::Partial) => State::Partial,
        _ => State::Incomplete,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_manifest_makes_a_backup_complete() {
        use Mark::{Complete, Partial, Started};
        for (marks, expected) in [
            (&[][..], State::Incomplete),
            (&[Started], State::Incomplete),
            (&[Started, Partial], State::Partial),
            (&[Started, Complete], State::Complete),
            (&[Complete], State::Complete),
        ] {
            let marks: BTreeSet<Mark> = marks.iter().copied().collect();
            assert_eq!(state(Some(&marks), None), expected, "{marks:?}");
        }
        assert_eq!(state(None, None), State::LocalOnly);
    }
}
