//! The started mark, and what the bucket holds when a run begins.
//!
//! The mark is written first and the marks are listed afterwards: of two concurrent runs at least the later one sees
//! the other and aborts.
//!
//! An unreachable bucket does not stop the snapshot. It stops the uploads: `sync` would destroy the contents of a
//! prefix that another run has filled.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, anyhow};
use log::{info, warn};

use super::Run;
use crate::bucket::catalog::Remote;
use crate::bucket::names::{self, Mark, Nonce};
use crate::bucket::summary::{Head, Started};
use crate::exit::StepError;
use crate::preflight::Check;
use crate::step::{Label, Step};
use crate::timestamp::Timestamp;
use crate::tools::export::{OBJECT_END, OBJECT_START};
use crate::tools::rclone::Answer;
use crate::tools::rclone::args::literal;
use crate::tools::rclone::cause::Cause;
use crate::tools::rclone::payload::Payload;

/// How many interrupted runs serve as sources of files that need not be sent again.
const INTERRUPTED_SOURCES: usize = 2;

/// A run's started mark, and the bucket as it was when the mark was written.
pub(super) struct Registration {
    state: Result<BucketState, StepError>,
    mark: Mark,
    /// Whether the mark was written.
    marked: Result<(), StepError>,
}

struct BucketState {
    clock: Option<Timestamp>,
    marks: BTreeMap<Timestamp, BTreeSet<Mark>>,
    exports: BTreeSet<String>,
    /// Objects at the names that this run would write.
    conflicts: Vec<String>,
}

impl Registration {
    /// Reads the bucket and writes no mark: for a dry run.
    pub(super) fn read_only(run: &Run<'_>) -> Self {
        let mark = Mark::Started(Some(Nonce::random()));
        let state = existing_objects(run).and_then(|existing| state(run, existing, mark));
        Self {
            state: state.map(|(state, _)| state).map_err(unreachable),
            mark,
            marked: Err(anyhow!("no mark was written").into()),
        }
    }

    /// Writes the mark and reads the bucket.
    pub(super) fn register(run: &Run<'_>) -> Self {
        let registration = Self::register_as(run, Mark::Started(Some(Nonce::random())));
        if let Err(error) = registration.open()
            && !error.is_interrupted()
        {
            warn!(step = "mark"; "{error}; taking the snapshot all the same");
        }
        registration
    }

    fn register_as(run: &Run<'_>, mark: Mark) -> Self {
        let existing = match existing_objects(run) {
            Ok(existing) => existing,
            Err(error) => {
                let error = unreachable(error);
                return Self {
                    state: Err(error.clone()),
                    mark,
                    marked: Err(error),
                };
            }
        };
        let written = put_mark(run, mark).map_err(|error| {
            StepError::from(error).context("the started mark could not be stored")
        });
        let (state, marked) = match (state(run, existing, mark), written) {
            // The listing decides: the server may have stored the mark although its answer was lost.
            (Ok((state, true)), _) => (Ok(state), Ok(())),
            // Then the mark of another run may be missing from the listing, too.
            (Ok((_, false)), Ok(())) => {
                let error: StepError = unlisted(run, mark).into();
                (Err(error), Ok(()))
            }
            (Ok((state, false)), Err(error)) => (Ok(state), Err(error)),
            (Err(error), written) => (Err(unreachable(error)), written),
        };
        Self {
            state,
            mark,
            marked,
        }
    }

    /// A check that is unmet if the bucket already has objects at the names of this run.
    pub(super) fn conflict(&self, run: &Run<'_>) -> Option<Check> {
        let state = self.state.as_ref().ok()?;
        let first = state.conflicts.first()?;
        Some(Check::unmet(
            "the timestamp is free in the bucket",
            format!(
                "{} already holds {first} and {} more",
                run.host.config.remote.bucket,
                state.conflicts.len() - 1
            ),
            "wait a second and run again; if the clock was set back, set it right; if two hosts share the bucket, give each its own remote.prefix",
        ))
    }

    /// Registers again, if the registration before the snapshot failed.
    pub(super) fn retry(&mut self, run: &Run<'_>) {
        if run.host.interrupt.signal().is_some() || self.open().is_ok() {
            return;
        }
        *self = Self::register_as(run, self.mark);
        if let Some(conflict) = self.conflict(run) {
            let remedy = conflict.remedy.unwrap_or_default();
            self.state = Err(anyhow!("{}; {remedy}", conflict.found).into());
        }
        if self.state.is_err() {
            // Nothing is going to be uploaded.
            self.unregister(run);
        }
    }

    pub(super) fn unregister(&self, run: &Run<'_>) {
        if self.marked.is_err() {
            return;
        }
        let key = self.mark_key(run);
        if let Err(error) = run.ready.rclone.delete(Label::new(Step::Mark), &key) {
            info!(step = "mark"; "the started mark {key} could not be deleted; it stays and makes no backup, nothing has to be done: {error:#}");
        }
    }

    pub(super) fn mark_key(&self, run: &Run<'_>) -> String {
        self.mark.key(&run.host.config.remote.prefix, run.timestamp)
    }

    /// Whether uploads may begin.
    pub(super) fn open(&self) -> Result<(), StepError> {
        self.state.as_ref().map_err(Clone::clone)?;
        self.marked.clone()
    }

    /// Exports that were in the bucket before this run.
    pub(super) fn exports(&self) -> Result<&BTreeSet<String>, StepError> {
        let state = self.state.as_ref().map_err(Clone::clone)?;
        Ok(&state.exports)
    }

    /// Timestamps with a complete manifest and its file list.
    pub(super) fn committed(&self) -> BTreeSet<Timestamp> {
        let marks = self.state.as_ref().map(|state| state.marks.iter());
        marks
            .into_iter()
            .flatten()
            .filter(|(_, marks)| names::is_complete(marks))
            .map(|(timestamp, _)| *timestamp)
            .collect()
    }

    /// Every mark in the bucket, this run's manifest included.
    pub(super) fn with(&self, committed: Timestamp) -> Result<Remote, StepError> {
        let state = self.state.as_ref().map_err(Clone::clone)?;
        let mut marks = state.marks.clone();
        let written = [Mark::Complete, Mark::FileList];
        marks.entry(committed).or_default().extend(written);
        Ok(Remote {
            marks,
            clock: state.clock,
            ..Remote::default()
        })
    }

    /// The newest complete backup: its unchanged files are copied on the server.
    pub(super) fn previous(&self, now: Timestamp) -> Option<Timestamp> {
        self.committed().range(..now).next_back().copied()
    }

    /// The newest runs after it that did not finish: what they sent is copied on the server, too.
    pub(super) fn interrupted(&self, now: Timestamp) -> Vec<Timestamp> {
        let Ok(state) = &self.state else {
            return Vec::new();
        };
        let since = state.marks.range(..now).rev();
        since
            .take_while(|(_, marks)| !marks.contains(&Mark::Complete))
            .map(|(timestamp, _)| *timestamp)
            .take(INTERRUPTED_SOURCES)
            .collect()
    }
}

/// Filter patterns for existing objects at the names of this run, and for exports.
pub(super) fn patterns(run: &Run<'_>) -> Vec<String> {
    let remote = &run.host.config.remote;
    let names = run.host.config.enabled().map(|(name, _)| name);
    let prefixes = names.map(|name| names::dataset_prefix(&remote.prefix, name, run.timestamp));
    let mut patterns: Vec<String> = prefixes
        .map(|prefix| format!("/{}/**", literal(&prefix)))
        .collect();
    if run.host.config.export.enable {
        patterns.push(format!("/{OBJECT_START}*{OBJECT_END}"));
    }
    patterns
}

fn existing_objects(run: &Run<'_>) -> Result<Answer> {
    let label = Label::new(Step::Mark);
    run.ready.rclone.ask(label, &patterns(run))
}

fn unreachable(error: anyhow::Error) -> StepError {
    let advice = Cause::of(&error).remedy();
    StepError::from(error).context(format!("the bucket cannot be asked ({advice})"))
}

fn unlisted(run: &Run<'_>, mark: Mark) -> anyhow::Error {
    let remote = &run.host.config.remote;
    anyhow!(
        "the started mark {} was stored and is not in the listing of the bucket {}, so another run of the same second \
         cannot be ruled out: does somebody else delete below {}?",
        mark.key(&remote.prefix, run.timestamp),
        remote.bucket,
        names::folder(&remote.prefix)
    )
}

/// Lists the marks and separates this run's mark, other runs' marks, and conflicts. Returns whether the mark is listed.
fn state(run: &Run<'_>, existing: Answer, ours: Mark) -> Result<(BucketState, bool)> {
    let prefix = &run.host.config.remote.prefix;
    let folder = names::folder(prefix);
    let marks = run
        .ready
        .rclone
        .list_folder(Label::new(Step::Mark), &folder)?;
    let mut state = BucketState {
        clock: marks.clock.or(existing.clock),
        marks: BTreeMap::new(),
        exports: BTreeSet::new(),
        conflicts: Vec::new(),
    };
    let mut is_listed = false;
    for object in marks.objects {
        match Mark::parse(&object.path) {
            Some((at, mark)) if at == run.timestamp && mark == ours => is_listed = true,
            Some((at, mark)) if at == run.timestamp => state.conflicts.push(mark.key(prefix, at)),
            Some((at, mark)) => {
                state.marks.entry(at).or_default().insert(mark);
            }
            None => {}
        }
    }
    for object in existing.objects {
        if object.path.starts_with(OBJECT_START) && !object.path.contains('/') {
            state.exports.insert(object.path);
        } else {
            state.conflicts.push(object.path);
        }
    }
    Ok((state, is_listed))
}

/// One attempt only, because the snapshot waits for it. `retry` tries again after the snapshot.
fn put_mark(run: &Run<'_>, mark: Mark) -> Result<()> {
    let remote = &run.host.config.remote;
    let names = run.host.config.enabled().map(|(name, _)| name);
    let prefixes = names
        .map(|name| names::dataset_prefix(&remote.prefix, name, run.timestamp))
        .collect();
    let started = Started {
        head: Head::new(&run.host.name, run.timestamp),
        prefixes,
        export: None,
        nonce: match mark {
            Mark::Started(Some(nonce)) => nonce.to_string(),
            _ => String::new(),
        },
    };
    let payload = Payload::write(|writer| Ok(serde_json::to_writer(writer, &started)?))?;
    let key = mark.key(&remote.prefix, run.timestamp);
    let rclone = &run.ready.rclone;
    rclone.put_once(Label::new(Step::Mark), &key, &payload)
}
