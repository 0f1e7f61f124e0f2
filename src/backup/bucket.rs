//! What a run knows of the bucket: asked once before anything is touched, once more where that failed.
//!
//! A bucket that cannot be asked does not stop the snapshot; it stops the uploads, since `sync` into a
//! prefix that somebody else filled would destroy it.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher as _, Hasher as _, RandomState};

use log::{info, warn};

use super::Run;
use crate::catalog::Remote;
use crate::exec::{Label, Step};
use crate::manifest::{self, Mark, Started};
use crate::preflight::Check;
use crate::timestamp::Timestamp;
use crate::tools::export::{OBJECT_END, OBJECT_START};
use crate::tools::rclone::args::literal;
use crate::tools::rclone::payload::Payload;
use crate::tools::rclone::{self, Answer};

/// How far the server's clock may be from ours before nothing is deleted any more.
const CLOCK_TOLERANCE: i64 = 60 * 60;
/// What stands in the place of a mark before it is tried.
const NOT_TRIED: &str = "not tried";
/// How many interrupted runs serve as sources of files that need not be sent again.
const INTERRUPTED_SOURCES: usize = 2;

/// What the bucket said, if it said anything.
pub struct Bucket {
    answer: Result<Known, String>,
    /// The started mark that we left, to the byte.
    marked: Result<Vec<u8>, String>,
}

struct Known {
    clock: Option<Timestamp>,
    marks: BTreeMap<Timestamp, BTreeSet<Mark>>,
    exports: BTreeSet<String>,
    /// Objects where this run's would go.
    in_the_way: Vec<String>,
}

impl Bucket {
    /// Asks what matters to this run, in one listing.
    pub fn ask(run: &Run<'_>) -> Self {
        let answer = run
            .ready
            .rclone
            .ask(Label::new(Step::Mark), &patterns(run))
            .map(|answer| Known::read(run, answer))
            .map_err(|error| {
                let said = format!("{error:#}");
                let advice = rclone::advice(&said);
                format!("the bucket cannot be asked ({advice}): {said}")
            });
        if let (Err(error), None) = (&answer, run.host.interrupt.signal()) {
            warn!(step = "mark"; "{error}; taking the snapshot all the same");
        }
        Self {
            answer,
            marked: Err(NOT_TRIED.to_owned()),
        }
    }

    /// What stands where this run's objects would go.
    pub fn taken(&self, run: &Run<'_>) -> Option<Check> {
        let known = self.answer.as_ref().ok()?;
        let first = known.in_the_way.first()?;
        Some(Check::unmet(
            "the timestamp is free in the bucket",
            format!(
                "{} already holds {first} and {} more",
                run.host.config.remote.bucket,
                known.in_the_way.len() - 1
            ),
            "wait a second and run again; if the clock was set back, set it right; if two hosts share the bucket, give each its own remote.prefix",
        ))
    }

    /// Leaves the mark that tells what a dead run left behind.
    pub fn mark(&mut self, run: &Run<'_>) {
        if self.answer.is_ok() {
            self.marked = put_mark(run);
            if let (Err(error), None) = (&self.marked, run.host.interrupt.signal()) {
                warn!(step = "mark"; "the started mark could not be stored: {error}; taking the snapshot all the same");
            }
        }
    }

    /// Tries once more what failed before the snapshot.
    pub fn insist(&mut self, run: &Run<'_>) {
        if run.host.interrupt.signal().is_some() {
            return;
        }
        if self.answer.is_err() && self.marked_by_nobody() {
            *self = Self::ask(run);
            if let Some(taken) = self.taken(run) {
                self.answer = Err(format!(
                    "{}; {}",
                    taken.found,
                    taken.remedy.unwrap_or_default()
                ));
            }
        }
        if self.answer.is_ok() && self.marked.is_err() {
            self.mark(run);
            self.believe(self.still_ours(run));
        }
    }

    /// Whether the mark is still the one that we left. Another host, or another configuration of this one, may
    /// have begun within the same second: both saw nothing, both wrote, and the later mark stands. Asked before
    /// anything is uploaded and once more before the commit.
    ///
    /// # Errors
    /// Where it is not, or cannot be read.
    pub fn still_ours(&self, run: &Run<'_>) -> Result<(), String> {
        let ours = self.marked.as_ref().map_err(Clone::clone)?;
        let key = Mark::Started.key(&run.host.config.remote.prefix, run.timestamp);
        let mut there = Vec::new();
        let read = run
            .ready
            .rclone
            .get(Label::new(Step::Mark), &key, &mut |bytes| {
                there.extend_from_slice(bytes)
            });
        match read {
            Ok(()) if there == *ours => Ok(()),
            Ok(()) => Err(format!(
                "another run has begun within the same second and left its own {key}: give each host a remote.prefix of \
                 its own"
            )),
            Err(error) => Err(format!("the started mark cannot be read back: {error:#}")),
        }
    }

    /// What reading the mark back showed. A mark that is not ours closes the bucket to this run, and is not
    /// written over.
    pub fn believe(&mut self, ours: Result<(), String>) {
        if let (true, Err(error)) = (self.marked.is_ok(), ours) {
            self.marked = Err(error.clone());
            self.answer = Err(error);
        }
    }

    /// Whether no mark was ever tried: the first question failed.
    fn marked_by_nobody(&self) -> bool {
        self.marked.as_ref().is_err_and(|error| error == NOT_TRIED)
    }

    /// Takes the mark away again where nothing was uploaded.
    pub fn withdraw(&self, run: &Run<'_>) {
        if self.marked.is_ok() {
            let key = Mark::Started.key(&run.host.config.remote.prefix, run.timestamp);
            if let Err(error) = run.ready.rclone.delete(Label::new(Step::Mark), &key) {
                info!(step = "mark"; "the started mark stays: {error:#}");
            }
        }
    }

    /// Whether uploads may begin.
    ///
    /// # Errors
    /// Why not.
    pub fn open(&self) -> Result<(), String> {
        if let Err(error) = &self.answer {
            return Err(error.clone());
        }
        self.marked
            .as_ref()
            .map(|_| ())
            .map_err(|error| format!("the started mark could not be stored: {error}"))
    }

    /// Exports that were there before this run.
    ///
    /// # Errors
    /// Where the bucket could not be asked.
    pub fn exports(&self) -> Result<&BTreeSet<String>, String> {
        self.answer
            .as_ref()
            .map(|known| &known.exports)
            .map_err(Clone::clone)
    }

    /// Timestamps with a complete manifest.
    pub fn committed(&self) -> BTreeSet<Timestamp> {
        let marks = self.answer.as_ref().map(|known| known.marks.iter());
        marks
            .into_iter()
            .flatten()
            .filter(|(_, marks)| marks.contains(&Mark::Complete))
            .map(|(timestamp, _)| *timestamp)
            .collect()
    }

    /// Every mark in the bucket, this run's manifest included.
    pub fn marks_with(&self, committed: Timestamp) -> Remote {
        let mut marks = self
            .answer
            .as_ref()
            .map(|known| known.marks.clone())
            .unwrap_or_default();
        marks.entry(committed).or_default().insert(Mark::Complete);
        Remote {
            marks,
            ..Remote::default()
        }
    }

    /// The newest committed backup, whose unchanged files need not be sent again.
    pub fn base(&self, now: Timestamp) -> Option<Timestamp> {
        self.committed().range(..now).next_back().copied()
    }

    /// The newest runs that died after it: what they have sent need not be sent again either.
    pub fn interrupted(&self, now: Timestamp) -> Vec<Timestamp> {
        let Ok(known) = &self.answer else {
            return Vec::new();
        };
        let since = known.marks.range(..now).rev();
        since
            .take_while(|(_, marks)| !marks.contains(&Mark::Complete))
            .map(|(timestamp, _)| *timestamp)
            .take(INTERRUPTED_SOURCES)
            .collect()
    }

    /// Whether the bucket's clock is ours: the condition for deleting anything.
    ///
    /// # Errors
    /// Why nothing may be deleted.
    pub fn clock(&self, now: Timestamp) -> Result<(), String> {
        let known = self.answer.as_ref().map_err(Clone::clone)?;
        same_clock(known.clock, now)
    }
}

/// Whether two clocks agree well enough for age to decide what is deleted.
///
/// # Errors
/// Why nothing may be deleted.
pub fn same_clock(theirs: Option<Timestamp>, ours: Timestamp) -> Result<(), String> {
    let theirs = theirs.ok_or("the bucket's answer has no date")?;
    match i64::try_from(theirs.unix().abs_diff(ours.unix())) {
        Ok(apart) if apart <= CLOCK_TOLERANCE => Ok(()),
        _ => Err(format!(
            "the bucket's clock says {} and ours {}: one of them is wrong, and age decides what is deleted",
            theirs.rfc3339(),
            ours.rfc3339()
        )),
    }
}

/// What the one listing asks for.
pub fn patterns(run: &Run<'_>) -> Vec<String> {
    let remote = &run.host.config.remote;
    let mut patterns = vec![format!(
        "/{}*.json",
        literal(&manifest::folder(&remote.prefix))
    )];
    for name in run.host.config.datasets.keys() {
        patterns.push(format!(
            "/{}/**",
            literal(&manifest::dataset_prefix(
                &remote.prefix,
                name,
                run.timestamp
            ))
        ));
    }
    if run.host.config.export.enable {
        patterns.push(format!("/{OBJECT_START}*{OBJECT_END}"));
    }
    patterns
}

impl Known {
    fn read(run: &Run<'_>, answer: Answer) -> Self {
        let folder = manifest::folder(&run.host.config.remote.prefix);
        let mut known = Self {
            clock: answer.clock,
            marks: BTreeMap::new(),
            exports: BTreeSet::new(),
            in_the_way: Vec::new(),
        };
        for object in answer.objects {
            if let Some(name) = object.path.strip_prefix(&folder) {
                let Some((timestamp, mark)) = Mark::parse(name) else {
                    continue;
                };
                if timestamp == run.timestamp {
                    known.in_the_way.push(object.path);
                } else {
                    known.marks.entry(timestamp).or_default().insert(mark);
                }
            } else if object.path.starts_with(OBJECT_START) && !object.path.contains('/') {
                known.exports.insert(object.path);
            } else {
                known.in_the_way.push(object.path);
            }
        }
        known
    }
}

/// 128 random bits. The kernel's file for that is not there in a unit with `ProcSubset=pid`; the standard
/// library's hash keys come from getrandom(2).
fn nonce() -> String {
    let random = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", random(), random())
}

fn put_mark(run: &Run<'_>) -> Result<Vec<u8>, String> {
    let remote = &run.host.config.remote;
    let names = run.host.config.datasets.keys();
    let prefixes = names
        .map(|name| manifest::dataset_prefix(&remote.prefix, name, run.timestamp))
        .collect();
    let started = Started {
        head: run.host.head(run.timestamp),
        prefixes,
        export: None,
        nonce: nonce(),
    };
    let text = serde_json::to_vec(&started).map_err(|error| error.to_string())?;
    let payload =
        Payload::write(|writer| writer.write_all(&text)).map_err(|error| error.to_string())?;
    let key = Mark::Started.key(&remote.prefix, run.timestamp);
    run.ready
        .rclone
        .put(Label::new(Step::Mark), &key, &payload)
        .map_err(|error| format!("{error:#}"))?;
    Ok(text)
}
