//! Everything that there is of backups, here and in the bucket, one row a timestamp.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use log::warn;
use serde::Serialize;

use crate::bucket::manifest::{self, ExportState, LARGEST, Summary};
use crate::bucket::names::{self, Mark};
use crate::config::Config;
use crate::step::{Label, Step};
use crate::timestamp::Timestamp;
use crate::tools::rclone::{Answer, Rclone};

/// How many of the newest manifests are read for their sizes, unless all are asked for.
pub(crate) const NEWEST: usize = 20;

/// What a timestamp's objects in the bucket amount to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum State {
    Complete,
    /// The datasets are there, the export is not.
    NoExport,
    /// Some datasets are there.
    Partial,
    /// A run began and did not end well.
    Incomplete,
    /// A snapshot here, nothing in the bucket.
    LocalOnly,
    /// The bucket, or the manifest in it, could not be read just now.
    Unknown,
    /// A prefix with neither mark nor manifest: not ours, and never deleted.
    Foreign,
}

impl State {
    /// As `list` prints it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::NoExport => "no-export",
            Self::Partial => "partial",
            Self::Incomplete => "incomplete",
            Self::LocalOnly => "local only",
            Self::Unknown => "unknown",
            Self::Foreign => "foreign",
        }
    }
}

/// One timestamp, or one foreign prefix. README has the fields; they may grow, and none goes.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    /// Selector; none for a foreign prefix.
    pub timestamp: Option<Timestamp>,
    /// Seconds since then; negative for the future.
    pub age: Option<i64>,
    /// `ours`, why it is not, or `unknown` where Btrfs may not be asked; absent where there is no snapshot.
    pub local: Option<String>,
    /// Whether the bucket holds anything of it; none where it could not be asked.
    pub remote: Option<bool>,
    /// What that amounts to.
    pub state: State,
    /// Whether its manifest was left unread, since it is not one of the newest.
    #[serde(skip)]
    pub unread: bool,
    /// Number of files, where the manifest was read.
    pub files: Option<u64>,
    /// Their sizes in all.
    pub bytes: Option<u64>,
    /// The export's object in the bucket, where the manifest names one.
    pub export: Option<String>,
    /// Selector host wrote it, where the manifest was read.
    pub host: Option<String>,
    /// What its objects' names begin with: `remote.prefix`, or the foreign prefix itself.
    pub prefix: String,
}

impl Row {
    fn foreign(prefix: String) -> Self {
        Self {
            timestamp: None,
            age: None,
            local: None,
            remote: Some(true),
            state: State::Foreign,
            unread: false,
            files: None,
            bytes: None,
            export: None,
            host: None,
            prefix,
        }
    }
}

/// The marks of every timestamp in the bucket.
#[derive(Clone, Debug, Default)]
pub(crate) struct Remote {
    /// What there is of each.
    pub marks: BTreeMap<Timestamp, BTreeSet<Mark>>,
    /// What the newest manifests say.
    pub summaries: BTreeMap<Timestamp, Summary>,
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
    pub(crate) fn ask(rclone: &Rclone, config: &Config, newest: usize) -> Result<Self> {
        let folder = names::folder(&config.remote.prefix);
        let answer = rclone.list_folder(Label::new(Step::Preflight), &folder)?;
        let mut remote = Self {
            marks: marks(&answer),
            clock: answer.clock,
            ..Self::default()
        };
        remote.read_newest(rclone, &folder, newest);
        Ok(remote)
    }

    /// Reads further back, until so many have been read in all.
    pub(crate) fn read_on(&mut self, rclone: &Rclone, config: &Config, newest: usize) {
        self.read_newest(rclone, &names::folder(&config.remote.prefix), newest);
    }

    /// The prefixes that no mark and no manifest accounts for: the old script's, another tool's.
    ///
    /// # Errors
    /// Where the bucket cannot be asked.
    pub(crate) fn foreign(&self, rclone: &Rclone, config: &Config) -> Result<Vec<Row>> {
        let prefix = &config.remote.prefix;
        let names = rclone.list_dirs(Label::new(Step::Preflight), prefix.as_str())?;
        let ours = |name: &str| {
            let timestamp = name.char_indices().nth_back(Timestamp::LENGTH - 1);
            let timestamp = timestamp.and_then(|(at, _)| name[at..].parse().ok());
            timestamp.is_some_and(|timestamp| self.marks.contains_key(&timestamp))
        };
        let foreign = names
            .into_iter()
            .filter(|name| format!("{prefix}{name}/") != names::folder(prefix) && !ours(name));
        Ok(foreign
            .map(|name| Row::foreign(format!("{prefix}{name}/")))
            .collect())
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
            .filter(|(timestamp, _)| {
                !self.summaries.contains_key(timestamp) && !self.damaged.contains(timestamp)
            })
            .collect();
        if wanted.is_empty() {
            return;
        }
        let names: Vec<String> = wanted.iter().map(|(_, name)| name.clone()).collect();
        let all = Summary::read(u64::MAX, &mut |take| {
            rclone.get_all(Label::new(Step::Preflight), folder, &names, take)
        });
        for summary in all.unwrap_or_default() {
            self.unread.remove(&summary.head.timestamp);
            self.summaries.insert(summary.head.timestamp, summary);
        }
        for (timestamp, name) in wanted {
            if self.summaries.contains_key(&timestamp) || rclone.runner.interrupt.signal().is_some()
            {
                continue;
            }
            let key = format!("{folder}{name}");
            let mut failed = None;
            let read = Summary::read(LARGEST, &mut |take| {
                let fetched = rclone.get(Label::new(Step::Preflight), &key, take);
                fetched.inspect_err(|error| failed = Some(format!("{error:#}")))
            });
            if let Some(error) = failed {
                warn!("{key} could not be fetched, so nothing is known of this backup: {error}");
                self.unread.insert(timestamp);
                continue;
            }
            match read {
                Ok(mut one) if one.len() == 1 && one[0].head.timestamp == timestamp => {
                    self.unread.remove(&timestamp);
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

fn marks(answer: &Answer) -> BTreeMap<Timestamp, BTreeSet<Mark>> {
    let mut marks: BTreeMap<Timestamp, BTreeSet<Mark>> = BTreeMap::new();
    for object in &answer.objects {
        if let Some((timestamp, mark)) = Mark::parse(&object.path) {
            marks.entry(timestamp).or_default().insert(mark);
        }
    }
    marks
}

/// Merges, newest first. Without an answer of the bucket nothing is known of what it holds.
pub(crate) fn merge(
    local: &BTreeMap<Timestamp, String>,
    remote: Option<&Remote>,
    prefix: &str,
    now: Timestamp,
) -> Vec<Row> {
    let asked = remote.is_some();
    let remote = remote.cloned().unwrap_or_default();
    let all: BTreeSet<Timestamp> = local.keys().chain(remote.marks.keys()).copied().collect();
    all.into_iter()
        .rev()
        .map(|timestamp| {
            let summary = remote.summaries.get(&timestamp);
            let marks = remote.marks.get(&timestamp);
            let sum = |of: fn(&manifest::DatasetSummary) -> u64| {
                summary.map(|summary| {
                    let each = summary.datasets.iter().map(of);
                    each.fold(0, u64::saturating_add)
                })
            };
            Row {
                timestamp: Some(timestamp),
                age: Some(now.unix().saturating_sub(timestamp.unix())),
                local: local.get(&timestamp).cloned(),
                remote: asked.then_some(marks.is_some()),
                state: match () {
                    () if !asked || remote.unread.contains(&timestamp) => State::Unknown,
                    () if remote.damaged.contains(&timestamp) => State::Incomplete,
                    () => state(marks, summary),
                },
                unread: summary.is_none()
                    && marks.is_some_and(|marks| marks.iter().any(|mark| !mark.is_started()))
                    && !remote.damaged.contains(&timestamp),
                files: sum(|dataset| dataset.files),
                bytes: sum(|dataset| dataset.bytes),
                export: summary.and_then(|summary| summary.export.object.clone()),
                host: summary.map(|summary| summary.head.host.clone()),
                prefix: prefix.to_owned(),
            }
        })
        .collect()
}

fn state(marks: Option<&BTreeSet<Mark>>, summary: Option<&Summary>) -> State {
    let Some(marks) = marks else {
        return State::LocalOnly;
    };
    let export_failed =
        summary.is_some_and(|summary| summary.export.outcome == ExportState::Failed);
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
        use Mark::{Complete, Partial};
        let started = Mark::Started(None);
        for (marks, expected) in [
            (&[][..], State::Incomplete),
            (&[started], State::Incomplete),
            (&[started, Partial], State::Partial),
            (&[started, Complete], State::Complete),
            (&[Complete], State::Complete),
        ] {
            let marks: BTreeSet<Mark> = marks.iter().copied().collect();
            assert_eq!(state(Some(&marks), None), expected, "{marks:?}");
        }
        assert_eq!(state(None, None), State::LocalOnly);
    }
}
