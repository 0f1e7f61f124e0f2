//! `status`: the state of the backups, as a monitoring plug-in prints it.
//!
//! The state is read from the bucket, not from the local state file: a wrong local state is the case that matters.

use std::collections::BTreeSet;
use std::ops::Bound;

use serde::Serialize;

use super::{print, print_json};
use crate::bucket::catalog::{Fetched, NEWEST, Remote, fetch};
use crate::bucket::names::{self, Mark};
use crate::bucket::summary::{ExportState, Summary};
use crate::cli::Status as Args;
use crate::exit::{Exit, Failure};
use crate::free_space::Space;
use crate::host::Host;
use crate::preflight;
use crate::report::{LARGEST_STATE, Last};
use crate::small_file;
use crate::snapshots::{self, Ownership};
use crate::step::{Label, Step};
use crate::timestamp::Timestamp;
use crate::tools::rclone::Rclone;
use crate::ui::age;
use crate::ui::shown;

/// The plug-in codes of the Monitoring Plugins development guidelines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum Level {
    Ok = 0,
    Warning = 1,
    Critical = 2,
    /// The state is not known.
    Unknown = 3,
}

/// How many manifests are read at the most to find one of ours.
const FURTHER: usize = 200;

/// For whatever `status` cannot determine, bad usage included.
pub(super) const UNKNOWN: u8 = Level::Unknown as u8;

impl Level {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Warning => "WARNING",
            Self::Critical => "CRITICAL",
            Self::Unknown => "UNKNOWN",
        }
    }
}

#[derive(Serialize)]
struct Status {
    state: Level,
    newest_complete: Option<Timestamp>,
    age_seconds: Option<i64>,
    data_age_seconds: Option<i64>,
    last_run: Option<Last>,
    foreign_snapshots: Option<usize>,
    #[serde(flatten)]
    space: Option<Space>,
    messages: Vec<String>,
}

/// Prints one line; the exit code is that of a monitoring plug-in.
pub(super) fn status(host: &Host, args: &Args, now: Timestamp) -> Result<u8, Failure> {
    let status = look(host, args, now);
    if args.json.json {
        print_json(Exit::Done, &status)?
    } else {
        print(Exit::Done, &line(&status, args))?
    };
    Ok(status.state as u8)
}

fn look(host: &Host, args: &Args, now: Timestamp) -> Status {
    let mut status = Status {
        state: Level::Ok,
        newest_complete: None,
        age_seconds: None,
        data_age_seconds: None,
        last_run: None,
        foreign_snapshots: None,
        space: Space::of(&host.config.snapshot_dir),
        messages: Vec::new(),
    };
    status.bucket(host, args, now);
    status.here(host);
    status
}

impl Status {
    fn say(&mut self, level: Level, text: String) {
        // A known failure is worse than an unknown state.
        let rank = |level: Level| match level {
            Level::Ok => 0,
            Level::Warning => 1,
            Level::Unknown => 2,
            Level::Critical => 3,
        };
        if rank(level) > rank(self.state) {
            self.state = level;
        }
        self.messages.push(text);
    }

    fn bucket(&mut self, host: &Host, args: &Args, now: Timestamp) {
        let rclone = match preflight::rclone(host) {
            Ok(rclone) => rclone,
            Err(unmet) => {
                let unmet = unmet.iter();
                let what = unmet.map(|check| format!("{}: {}", check.what, check.found));
                let what = what.collect::<Vec<_>>().join("; ");
                return self.say(
                    Level::Unknown,
                    format!("the bucket cannot be asked: {what}"),
                );
            }
        };
        let asked = Remote::ask(&rclone, &host.config, NEWEST).and_then(|mut remote| {
            let found = find(&mut remote, &rclone, host, args, now)?;
            Ok((remote, found))
        });
        let (remote, found) = match asked {
            Ok(asked) => asked,
            Err(problem) => {
                let what = format!("the bucket cannot be asked: {problem:#}");
                return self.say(Level::Unknown, what);
            }
        };
        if let Some(future) = found.future {
            self.say(
                Level::Critical,
                format!("a backup is from the future ({future}): one of the clocks is wrong"),
            );
        }
        let Some(newest) = found.newest else {
            let what = "the bucket holds no complete backup".to_owned();
            return self.say(Level::Critical, what);
        };
        let is_any_unread = self.unread(&remote, newest, found.is_ours, now);
        self.age(newest, args, now, is_any_unread);
        let summary = match remote.summaries.get(&newest) {
            Some(summary) => Some(summary.clone()),
            None => self.summary_of(&rclone, host, newest),
        };
        if let Some(summary) = summary {
            self.contents(&summary, host, now, is_any_unread);
        }
    }

    /// Reports newer manifests that could not be read. Returns whether one of them may be a complete backup of this
    /// host.
    fn unread(
        &mut self,
        remote: &Remote,
        newest: Timestamp,
        is_ours: bool,
        now: Timestamp,
    ) -> bool {
        let since = (Bound::Excluded(newest), Bound::Included(now));
        let since_ours = if is_ours {
            since
        } else {
            (Bound::Unbounded, Bound::Included(now))
        };
        let unread = remote.unread.range(since_ours).next_back();
        if let Some(unread) = unread {
            let text = format!("the manifest of {unread} could not be fetched just now");
            self.say(Level::Unknown, text);
        }
        if let Some(bad) = remote.damaged.range(since).next_back() {
            let text = format!("the manifest of {bad} cannot be read, so that is no backup");
            self.say(Level::Critical, text);
        }
        unread.is_some()
    }

    fn age(&mut self, newest: Timestamp, args: &Args, now: Timestamp, is_any_unread: bool) {
        let seconds = now.unix() - newest.unix();
        (self.newest_complete, self.age_seconds) = (Some(newest), Some(seconds));
        let text = format!(
            "the newest complete backup is {newest}, {} old",
            age(seconds)
        );
        let limit = args.max_age.as_duration().as_secs();
        let is_old = u64::try_from(seconds).is_ok_and(|seconds| seconds > limit);
        if is_old && !is_any_unread {
            let text = format!("{text}, older than {}", args.max_age);
            self.say(Level::Critical, text);
        } else {
            self.messages.push(text);
        }
    }

    fn contents(&mut self, summary: &Summary, host: &Host, now: Timestamp, is_any_unread: bool) {
        if summary.datasets.is_empty() {
            self.say(Level::Critical, "it holds no dataset".to_owned());
        }
        if summary.head.host != host.name {
            // A host with a state file makes backups itself, so a missing one is critical.
            let level = if host.config.report.state_file.exists() && !is_any_unread {
                Level::Critical
            } else {
                Level::Warning
            };
            let text = format!(
                "it is of the host {}, and none of the newest is of {}",
                summary.head.host, host.name
            );
            self.say(level, text);
        }
        if summary.export.outcome == ExportState::Failed {
            let why = summary.export.error.as_deref().unwrap_or_default();
            self.say(Level::Warning, format!("its export is missing: {why}"));
        }
        let times = summary.datasets.iter().filter_map(|one| one.data_time);
        if let Some(oldest) = times.map(Timestamp::unix).min() {
            self.data_age_seconds = Some(now.unix() - oldest);
            self.messages
                .push(format!("its data is {} old", age(now.unix() - oldest)));
        }
    }

    /// Where a later run is partial, the newest manifest is not the newest complete one.
    fn summary_of(
        &mut self,
        rclone: &Rclone,
        host: &Host,
        timestamp: Timestamp,
    ) -> Option<Summary> {
        let folder = names::folder(&host.config.remote.prefix);
        let name = Mark::Complete.name(timestamp);
        let label = Label::new(Step::Report);
        let (level, what) = match fetch(rclone, &label, &folder, &name, Summary::name) {
            Fetched::Read(summary) => return Some(summary),
            // An unreachable server is no evidence about the backup.
            Fetched::Unfetched(error) => {
                let what = format!("{folder}{name} could not be fetched: {error:#}");
                (Level::Unknown, what)
            }
            Fetched::Damaged(error) => {
                let what = format!("{folder}{name} cannot be read: {error:#}");
                (Level::Critical, what)
            }
        };
        self.say(level, what);
        None
    }

    /// Local facts: last run, free space, snapshots. What cannot be read is left out.
    fn here(&mut self, host: &Host) {
        if let Ok(text) = small_file::read(&host.config.report.state_file, LARGEST_STATE) {
            match serde_json::from_slice::<Last>(&text) {
                Ok(last) => {
                    if last.exit_code != 0 {
                        let step = last.failed_step.as_deref().unwrap_or("unknown").to_owned();
                        let text = format!(
                            "the last run ({}) failed at step {step}, exit code {}",
                            last.timestamp, last.exit_code
                        );
                        self.say(Level::Warning, text);
                    }
                    self.last_run = Some(last);
                }
                Err(problem) => self.say(
                    Level::Warning,
                    format!(
                        "the state file {} cannot be understood: {problem}",
                        host.config.report.state_file.display()
                    ),
                ),
            }
        }
        if let Some(space) = self.space.filter(|space| space.is_low()) {
            self.say(
                Level::Warning,
                format!("little room where the snapshots are: {space}"),
            );
        }
        let candidates = preflight::btrfs(host).and_then(|btrfs| {
            let subvolume = btrfs
                .show(Label::new(Step::Report), &host.config.subvolume)
                .ok()?;
            snapshots::candidates(&host.config, &btrfs, &subvolume).ok()
        });
        if let Some(candidates) = candidates {
            let foreign = candidates
                .iter()
                .filter(|candidate| candidate.ownership != Ownership::Ours)
                .count();
            self.foreign_snapshots = Some(foreign);
            if foreign > 0 {
                self.say(
                    Level::Warning,
                    format!("{foreign} snapshots bear our kind of name and are not ours"),
                );
            }
        }
    }
}

/// The backup that is judged.
struct Found {
    /// The newest complete backup of this host, else of any host.
    newest: Option<Timestamp>,
    is_ours: bool,
    /// The newest complete backup from the future.
    future: Option<Timestamp>,
}

fn find(
    remote: &mut Remote,
    rclone: &Rclone,
    host: &Host,
    args: &Args,
    now: Timestamp,
) -> anyhow::Result<Found> {
    let complete: BTreeSet<Timestamp> = remote
        .marks
        .iter()
        .filter(|(_, marks)| names::is_complete(marks))
        .map(|(timestamp, _)| *timestamp)
        .collect();
    let future = complete.range(now..).next_back().copied();
    // Hosts that share a prefix: a backup of another host is no backup of this one.
    let ours = |remote: &Remote| {
        let is_ours = |timestamp: &&Timestamp| {
            let summary = remote.summaries.get(timestamp);
            summary.is_some_and(|summary| summary.head.host == host.name)
        };
        complete.range(..=now).rfind(is_ours).copied()
    };
    if ours(remote).is_none() && !complete.is_empty() {
        // As many as may be young enough: one of them may be ours.
        let age = i64::try_from(args.max_age.as_duration().as_secs()).unwrap_or(i64::MAX);
        let marks = remote.marks.keys();
        let young = marks.filter(|at| now.unix() - at.unix() <= age).count();
        remote.read_on(rclone, &host.config, young.min(FURTHER))?;
    }
    let ours = ours(remote);
    Ok(Found {
        newest: ours.or_else(|| complete.range(..=now).next_back().copied()),
        is_ours: ours.is_some(),
        future: future.filter(|future| future.unix() > now.unix() + 60),
    })
}

fn line(status: &Status, args: &Args) -> String {
    let mut perf = Vec::new();
    if let Some(seconds) = status.age_seconds {
        perf.push(format!(
            "age={seconds}s;;{}",
            args.max_age.as_duration().as_secs()
        ));
    }
    if let Some(seconds) = status.data_age_seconds {
        perf.push(format!("data_age={seconds}s"));
    }
    // One line, whatever a manifest says.
    let text = shown(status.messages.join("; ").as_bytes()).replace('|', "/");
    if perf.is_empty() {
        format!("{}: {text}", status.state.word())
    } else {
        format!("{}: {text} | {}", status.state.word(), perf.join(" "))
    }
}
