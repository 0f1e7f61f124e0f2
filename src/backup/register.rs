//! What a run knows of the bucket: a mark is left and then the bucket is asked, before anything is touched; once more
//! where that failed.
//!
//! The order matters. Two runs may begin within one second, on two hosts of one prefix. Each leaves a mark of its own
//! and looks then, so at least the later one sees the other's and steps back; a look before the mark would let both on.
//!
//! A bucket that cannot be asked does not stop the snapshot; it stops the uploads, since `sync` into a
//! prefix that somebody else filled would destroy it.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::thread;

use log::{info, warn};

use super::Run;
use crate::bucket::catalog::Remote;
use crate::bucket::manifest::{Head, Started};
use crate::bucket::names::{self, Mark, Nonce};
use crate::preflight::Check;
use crate::step::{Label, Step};
use crate::threads::joined;
use crate::timestamp::Timestamp;
use crate::tools::export::{OBJECT_END, OBJECT_START};
use crate::tools::rclone::args::{self, literal};
use crate::tools::rclone::payload::Payload;
use crate::tools::rclone::{self, Answer};

/// How far the server's clock may be from ours before nothing is deleted any more.
const CLOCK_TOLERANCE: i64 = 60 * 60;
/// A listing's first page holds 1,000; with fewer objects below `manifests/` one request lists them.
const PAGE: usize = 900;
/// How many interrupted runs serve as sources of files that need not be sent again.
const INTERRUPTED_SOURCES: usize = 2;

/// What the bucket said, if it said anything.
pub(super) struct Registration {
    answer: Result<BucketState, String>,
    mark: Mark,
    /// Whether our mark is there.
    marked: Result<(), String>,
}

struct BucketState {
    clock: Option<Timestamp>,
    marks: BTreeMap<Timestamp, BTreeSet<Mark>>,
    exports: BTreeSet<String>,
    /// Objects where this run's would go.
    in_the_way: Vec<String>,
}

impl Registration {
    /// Asks what matters to a run, and leaves no mark: for a plan.
    pub(super) fn ask(run: &Run<'_>) -> Self {
        let mark = Mark::Started(Some(Nonce::random()));
        let answer = list_manifests(run, existing_objects(run), None);
        let marked = Err("no mark was left".to_owned());
        Self {
            answer,
            mark,
            marked,
        }
    }

    /// Leaves the mark that tells what a dead run left behind, and asks what else is there; does something else while
    /// it waits for the last answer, if the bucket has answered so far.
    pub(super) fn register<T: Send>(
        run: &Run<'_>,
        meanwhile: impl FnOnce() -> T + Send,
    ) -> (Self, Option<T>) {
        let mark = Mark::Started(Some(Nonce::random()));
        let (entered, done) = Self::register_as(run, mark, meanwhile);
        if run.host.interrupt.signal().is_some() {
            return (entered, done);
        }
        match (&entered.answer, &entered.marked) {
            (Err(error), _) => {
                warn!(step = "mark"; "{error}; taking the snapshot all the same");
            }
            (Ok(_), Err(error)) => {
                warn!(step = "mark"; "the started mark could not be stored: {error}; taking the snapshot all the same");
            }
            (Ok(_), Ok(())) => {}
        }
        (entered, done)
    }

    fn register_as<T: Send>(
        run: &Run<'_>,
        mark: Mark,
        meanwhile: impl FnOnce() -> T + Send,
    ) -> (Self, Option<T>) {
        // What does not depend on the mark is asked meanwhile.
        let (existing, marked) = thread::scope(|scope| {
            let marked = scope.spawn(|| put_mark(run, mark));
            (existing_objects(run), joined(marked))
        });
        let ours = marked.is_ok().then_some(mark);
        let answers = existing.is_ok() && marked.is_ok();
        let (answer, done) = thread::scope(|scope| {
            let done = answers.then(|| scope.spawn(meanwhile));
            (list_manifests(run, existing, ours), done.map(joined))
        });
        let entered = Self {
            answer,
            mark,
            marked,
        };
        (entered, done)
    }

    /// What stands where this run's objects would go.
    pub(super) fn taken(&self, run: &Run<'_>) -> Option<Check> {
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

    /// Tries once more what failed before the snapshot.
    pub(super) fn retry(&mut self, run: &Run<'_>) {
        if run.host.interrupt.signal().is_some() || self.open().is_ok() {
            return;
        }
        (*self, _) = Self::register_as(run, self.mark, || ());
        if let Some(taken) = self.taken(run) {
            self.answer = Err(format!(
                "{}; {}",
                taken.found,
                taken.remedy.unwrap_or_default()
            ));
        }
        if self.answer.is_err() {
            // Nothing is going to be uploaded.
            self.unregister(run);
        }
    }

    /// Leaves the mark again.
    ///
    /// # Errors
    /// Where it could not be stored.
    pub(super) fn mark_again(&self, run: &Run<'_>) -> Result<(), String> {
        put_mark(run, self.mark)
    }

    /// Takes the mark away again.
    pub(super) fn unregister(&self, run: &Run<'_>) {
        if self.marked.is_ok() {
            let rclone = &run.ready.rclone;
            let withdrawn = self
                .unregister_command(run)
                .and_then(|command| rclone.small_command(Label::new(Step::Mark), command));
            if let Err(error) = withdrawn {
                info!(step = "mark"; "the started mark {} could not be taken away and stays, where it makes no backup; nothing has to be done about it: {error:#}", self.mark_key(run));
            }
        }
    }

    /// The command that takes the mark away.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub(super) fn unregister_command(&self, run: &Run<'_>) -> anyhow::Result<Command> {
        let rclone = &run.ready.rclone;
        let (program, remote) = (&rclone.program, &rclone.remote);
        let marks = |known: &BucketState| known.marks.values().map(BTreeSet::len).sum::<usize>();
        match self.answer.as_ref().is_ok_and(|known| marks(known) < PAGE) {
            true => {
                let folder = names::folder(&remote.prefix);
                args::delete_in(program, remote, &folder, &self.mark.name(run.timestamp))
            }
            false => args::delete(program, remote, &self.mark_key(run)),
        }
    }

    /// The started mark's key.
    pub(super) fn mark_key(&self, run: &Run<'_>) -> String {
        self.mark.key(&run.host.config.remote.prefix, run.timestamp)
    }

    /// Whether uploads may begin.
    ///
    /// # Errors
    /// Why not.
    pub(super) fn open(&self) -> Result<(), String> {
        if let Err(error) = &self.answer {
            return Err(error.clone());
        }
        let marked = self.marked.as_ref().copied();
        marked.map_err(|error| format!("the started mark could not be stored: {error}"))
    }

    /// Exports that were there before this run.
    ///
    /// # Errors
    /// Where the bucket could not be asked.
    pub(super) fn exports(&self) -> Result<&BTreeSet<String>, String> {
        self.answer
            .as_ref()
            .map(|known| &known.exports)
            .map_err(Clone::clone)
    }

    /// Timestamps with a complete manifest.
    pub(super) fn committed(&self) -> BTreeSet<Timestamp> {
        let marks = self.answer.as_ref().map(|known| known.marks.iter());
        marks
            .into_iter()
            .flatten()
            .filter(|(_, marks)| marks.contains(&Mark::Complete))
            .map(|(timestamp, _)| *timestamp)
            .collect()
    }

    /// Every mark in the bucket, this run's manifest included.
    pub(super) fn marks_with(&self, committed: Timestamp) -> Remote {
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
    pub(super) fn base(&self, now: Timestamp) -> Option<Timestamp> {
        self.committed().range(..now).next_back().copied()
    }

    /// The newest runs that died after it: what they have sent need not be sent again either.
    pub(super) fn interrupted(&self, now: Timestamp) -> Vec<Timestamp> {
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
    pub(super) fn clock(&self, now: Timestamp) -> Result<(), String> {
        let known = self.answer.as_ref().map_err(Clone::clone)?;
        same_clock(known.clock, now)
    }
}

/// Whether two clocks agree well enough for age to decide what is deleted.
///
/// # Errors
/// Why nothing may be deleted.
pub(crate) fn same_clock(theirs: Option<Timestamp>, ours: Timestamp) -> Result<(), String> {
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

/// What is asked beside the manifests: whatever stands where this run's objects would go, and the exports.
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

fn existing_objects(run: &Run<'_>) -> anyhow::Result<Answer> {
    let label = Label::new(Step::Mark);
    run.ready.rclone.ask(label, &patterns(run))
}

fn list_manifests(
    run: &Run<'_>,
    existing: anyhow::Result<Answer>,
    ours: Option<Mark>,
) -> Result<BucketState, String> {
    let existing = existing.map_err(unasked)?;
    let folder = names::folder(&run.host.config.remote.prefix);
    let label = Label::new(Step::Mark);
    let marks = run.ready.rclone.list_folder(label, &folder);
    BucketState::read(run, existing, marks.map_err(unasked)?, ours)
}

fn unasked(error: anyhow::Error) -> String {
    let said = format!("{error:#}");
    let advice = rclone::advice(&said);
    format!("the bucket cannot be asked ({advice}): {said}")
}

impl BucketState {
    fn read(
        run: &Run<'_>,
        existing: Answer,
        marks: Answer,
        ours: Option<Mark>,
    ) -> Result<Self, String> {
        let mut known = Self {
            clock: marks.clock.or(existing.clock),
            marks: BTreeMap::new(),
            exports: BTreeSet::new(),
            in_the_way: Vec::new(),
        };
        let mut ours_is_there = ours.is_none();
        for object in marks.objects {
            match Mark::parse(&object.path) {
                Some((at, mark)) if at == run.timestamp && Some(mark) == ours => {
                    ours_is_there = true;
                }
                Some((at, mark)) if at == run.timestamp => {
                    let prefix = &run.host.config.remote.prefix;
                    known.in_the_way.push(mark.key(prefix, at));
                }
                Some((at, mark)) => {
                    known.marks.entry(at).or_default().insert(mark);
                }
                None => {}
            }
        }
        if let (false, Some(ours)) = (ours_is_there, ours) {
            // Then another run's mark may be missing from it too.
            let prefix = &run.host.config.remote.prefix;
            return Err(format!(
                "the started mark {} was stored and is not in the listing of the bucket {}, so it cannot be told whether \
                 another run has begun within the same second: does somebody else delete below {}?",
                ours.key(prefix, run.timestamp),
                run.host.config.remote.bucket,
                names::folder(prefix)
            ));
        }
        for object in existing.objects {
            if object.path.starts_with(OBJECT_START) && !object.path.contains('/') {
                known.exports.insert(object.path);
            } else {
                known.in_the_way.push(object.path);
            }
        }
        Ok(known)
    }
}

/// One attempt: the snapshot waits for it, and after that it is tried again.
fn put_mark(run: &Run<'_>, mark: Mark) -> Result<(), String> {
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
    let payload = Payload::write(|writer| Ok(serde_json::to_writer(writer, &started)?))
        .map_err(|error| error.to_string())?;
    let key = mark.key(&remote.prefix, run.timestamp);
    run.ready
        .rclone
        .put_once(Label::new(Step::Mark), &key, &payload)
        .map_err(|error| format!("{error:#}"))
}
