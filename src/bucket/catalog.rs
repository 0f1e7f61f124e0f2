//! All backups, local and in the bucket, one row for each timestamp.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use anyhow::{Result, anyhow};
use log::warn;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bucket::names::{self, Mark};
use crate::bucket::summary::{self, Bounded, DatasetSummary, ExportState, LARGEST, Summary};
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

/// One timestamp, or one foreign prefix. README lists the fields. New fields may be added; existing fields stay.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    /// None for a foreign prefix.
    pub timestamp: Option<Timestamp>,
    /// Seconds since then; negative for the future.
    pub age: Option<i64>,
    /// `ours`, the reason why the snapshot is not ours, or `unknown` where Btrfs cannot be read; `None`: no snapshot.
    pub local: Option<String>,
    /// Whether the bucket has objects of this timestamp; `None`: the bucket could not be read.
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
    /// Which host wrote it, where the manifest was read.
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
    /// The summaries that were read.
    pub summaries: BTreeMap<Timestamp, Summary>,
    pub clock: Option<Timestamp>,
    /// Backups whose manifest is damaged.
    pub damaged: BTreeSet<Timestamp>,
    /// Backups whose manifest could not be fetched.
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
        remote.read_newest(rclone, &folder, newest)?;
        Ok(remote)
    }

    /// Reads older summaries, until `newest` have been read.
    pub(crate) fn read_on(
        &mut self,
        rclone: &Rclone,
        config: &Config,
        newest: usize,
    ) -> Result<()> {
        self.read_newest(rclone, &names::folder(&config.remote.prefix), newest)
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

    /// Reads the newest summaries; known ones are not read again.
    fn read_newest(&mut self, rclone: &Rclone, folder: &str, newest: usize) -> Result<()> {
        let marks = self.marks.iter().rev();
        let wanted = marks.filter_map(|(timestamp, marks)| {
            let mark = [Mark::Complete, Mark::Partial]
                .into_iter()
                .find(|mark| marks.contains(mark))?;
            Some((*timestamp, mark.name(*timestamp)))
        });
        let wanted: BTreeMap<String, Timestamp> = wanted
            .take(newest)
            .filter(|(timestamp, _)| {
                !self.summaries.contains_key(timestamp) && !self.damaged.contains(timestamp)
            })
            .map(|(timestamp, name)| (name, timestamp))
            .collect();
        let names: Vec<String> = wanted.keys().cloned().collect();
        let label = Label::new(Step::Preflight);
        for (name, fetched) in fetch_all(rclone, &label, folder, &names, Summary::name)? {
            let timestamp = wanted[&name];
            self.unread.remove(&timestamp);
            match fetched {
                Fetched::Read(summary) => {
                    self.summaries.insert(timestamp, summary);
                }
                Fetched::Unfetched(error) => {
                    warn!(
                        "{folder}{name} could not be fetched, so nothing is known of this backup: {error:#}"
                    );
                    self.unread.insert(timestamp);
                }
                Fetched::Damaged(error) => {
                    warn!(
                        "{folder}{name} cannot be read, so this backup counts as incomplete: {error:#}"
                    );
                    self.damaged.insert(timestamp);
                }
            }
        }
        Ok(())
    }
}

/// An object below `manifests/` that was to be read.
pub(crate) enum Fetched<T> {
    Read(T),
    /// The server did not deliver it.
    Unfetched(anyhow::Error),
    /// The object is not one that opencode-backup wrote under this name.
    Damaged(anyhow::Error),
}

/// How many objects are fetched at once.
const BATCH: usize = 1000;
/// The most bytes of a batch; more are fetched one by one.
const BATCH_BYTES: u64 = 32 << 20;

/// Fetches summaries or marks: many with one request, and one by one where that fails.
///
/// # Errors
/// A signal.
pub(crate) fn fetch_all<T: DeserializeOwned>(
    rclone: &Rclone,
    label: &Label,
    folder: &str,
    names: &[String],
    name_of: impl Fn(&T) -> String,
) -> Result<Vec<(String, Fetched<T>)>> {
    let mut all = Vec::new();
    for batch in names.chunks(BATCH) {
        if let Ok(objects) = fetch_batch::<T>(rclone, label, folder, batch) {
            let objects = objects.into_iter().map(|object| (name_of(&object), object));
            let mut objects: HashMap<String, T> = objects.collect();
            if objects.len() == batch.len() && batch.iter().all(|name| objects.contains_key(name)) {
                all.extend(
                    objects
                        .drain()
                        .map(|(name, one)| (name, Fetched::Read(one))),
                );
                continue;
            }
        }
        for name in batch {
            rclone.runner.interrupt.check()?;
            all.push((name.clone(), fetch(rclone, label, folder, name, &name_of)));
        }
    }
    Ok(all)
}

fn fetch_batch<T: DeserializeOwned>(
    rclone: &Rclone,
    label: &Label,
    folder: &str,
    names: &[String],
) -> Result<Vec<T>> {
    let mut text = Bounded::new(BATCH_BYTES);
    rclone.get_all(label.clone(), folder, names, &mut |bytes| text.push(bytes))?;
    summary::parse_all(&text.finish()?)
}

/// Fetches one summary or mark.
pub(crate) fn fetch<T: DeserializeOwned>(
    rclone: &Rclone,
    label: &Label,
    folder: &str,
    name: &str,
    name_of: impl Fn(&T) -> String,
) -> Fetched<T> {
    let mut text = Bounded::new(LARGEST);
    let key = format!("{folder}{name}");
    if let Err(error) = rclone.get(label.clone(), &key, &mut |bytes| text.push(bytes)) {
        return Fetched::Unfetched(error);
    }
    match text.finish().and_then(|text| summary::parse(&text)) {
        Ok(object) if name_of(&object) == name => Fetched::Read(object),
        Ok(_) => Fetched::Damaged(anyhow!("it is the manifest of another backup")),
        Err(error) => Fetched::Damaged(error),
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

/// Merges both lists, newest first. Without a remote list, the remote state is unknown.
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
            let sum = |of: fn(&DatasetSummary) -> u64| {
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
                state: if !asked || remote.unread.contains(&timestamp) {
                    State::Unknown
                } else if remote.damaged.contains(&timestamp) {
                    State::Incomplete
                } else {
                    state(marks, summary)
                },
                unread: summary.is_none()
                    && marks.is_some_and(|marks| {
                        marks.contains(&Mark::Complete) || marks.contains(&Mark::Partial)
                    })
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
        marks if !marks.contains(&Mark::FileList) => State::Incomplete,
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
        use Mark::{Complete, FileList, Partial};
        let started = Mark::Started(None);
        for (marks, expected) in [
            (&[][..], State::Incomplete),
            (&[started], State::Incomplete),
            (&[FileList], State::Incomplete),
            (&[started, FileList], State::Incomplete),
            (&[started, Partial, FileList], State::Partial),
            (&[started, Complete, FileList], State::Complete),
            (&[Complete, FileList], State::Complete),
            // Nobody could restore them.
            (&[Partial], State::Incomplete),
            (&[Complete], State::Incomplete),
        ] {
            let marks: BTreeSet<Mark> = marks.iter().copied().collect();
            assert_eq!(state(Some(&marks), None), expected, "{marks:?}");
        }
        assert_eq!(state(None, None), State::LocalOnly);
    }
}
