//! Retention in the bucket.
//!
//! The order of a deletion: a mark that names everything to be deleted, the manifest, the data, the mark. After an
//! interruption the backup is incomplete and known to be ours; it never looks complete.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use log::{info, warn};
use serde::de::DeserializeOwned;

use super::{Entry, Policy, Row};
use crate::bucket::catalog::{Fetched, Remote, fetch_all};
use crate::bucket::names::{self, Mark};
use crate::bucket::summary::{Head, Started, Summary};
use crate::config::DatasetName;
use crate::host::Host;
use crate::snapshots::{Foreign, Ownership};
use crate::step::{Label, Step};
use crate::timestamp::Timestamp;
use crate::tools::export::{OBJECT_END, OBJECT_START};
use crate::tools::rclone::Rclone;
use crate::tools::rclone::payload::Payload;

/// How many objects are read in one call.
const BATCH: usize = 64;

/// The backups that can be deleted.
pub(super) struct Backups<'a> {
    host: &'a Host,
    rclone: &'a Rclone,
    /// By timestamp, of the backups that were read.
    known: BTreeMap<Timestamp, Belongings>,
}

/// What belongs to a backup.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Belongings {
    /// `None`: the backup cannot be read.
    host: Option<String>,
    prefixes: BTreeSet<String>,
    export: Option<String>,
    /// The marks that its host left when it began.
    begun: BTreeSet<Mark>,
}

impl<'a> Backups<'a> {
    /// Decides, the newest first.
    ///
    /// # Errors
    /// Where the bucket cannot be read.
    pub(super) fn plan(
        host: &'a Host,
        rclone: &'a Rclone,
        remote: &Remote,
        policy: Policy,
        now: Timestamp,
    ) -> Result<(Self, Vec<Row>)> {
        let mut this = Self {
            host,
            rclone,
            known: BTreeMap::new(),
        };
        // If all backups are young, all are kept and none has to be read.
        let oldest = remote.marks.keys().next();
        if oldest.is_some_and(|oldest| !policy.is_young(*oldest, now)) {
            let wanted = remote.marks.iter().map(|(at, marks)| (*at, marks));
            this.read(&wanted.collect::<Vec<_>>())?;
        }
        let marks = remote.marks.iter().rev();
        let entries = marks.map(|(timestamp, marks)| Entry {
            name: timestamp.to_string(),
            timestamp: *timestamp,
            complete: names::is_complete(marks),
            ownership: this.ownership(*timestamp),
            unconfigured: None,
        });
        let rows = Row::plan(entries.collect(), &policy, now);
        Ok((this, rows))
    }

    /// Decides by the host's name. A backup that was not read is young and kept anyway.
    fn ownership(&self, timestamp: Timestamp) -> Ownership {
        match self.known.get(&timestamp).map(|known| &known.host) {
            None => Ownership::Ours,
            Some(Some(host)) if *host == self.host.name => Ownership::Ours,
            Some(Some(host)) => Ownership::Foreign(Foreign::OtherHost(host.clone())),
            Some(None) => Ownership::Foreign(Foreign::Unreadable),
        }
    }

    fn read(&mut self, wanted: &[(Timestamp, &BTreeSet<Mark>)]) -> Result<()> {
        let folder = names::folder(&self.host.config.remote.prefix);
        for batch in wanted.chunks(BATCH) {
            let names = |wanted: &dyn Fn(&Mark) -> bool| -> Vec<String> {
                let each = batch.iter().flat_map(|(timestamp, marks)| {
                    let marks = marks.iter().filter(|mark| wanted(mark));
                    marks.map(|mark| mark.name(*timestamp))
                });
                each.collect()
            };
            let mut unreadable = BTreeSet::new();
            for mark in [Mark::Complete, Mark::Partial] {
                let summaries: Vec<Summary> =
                    self.read_each(&folder, &names(&|one| *one == mark), Summary::name)?;
                let read = summaries.iter().map(|summary| summary.head.timestamp);
                let read: BTreeSet<Timestamp> = read.collect();
                let there = batch.iter().filter(|(_, marks)| marks.contains(&mark));
                unreadable.extend(there.map(|(at, _)| *at).filter(|at| !read.contains(at)));
                for summary in summaries {
                    self.enter_summary(&summary);
                }
            }
            let marks: Vec<Started> =
                self.read_each(&folder, &names(&Mark::is_started), Started::name)?;
            for started in &marks {
                self.enter_mark(started);
            }
            for (timestamp, marks) in batch {
                let known = self.known.entry(*timestamp).or_default();
                let begun = marks.iter().filter(|mark| mark.is_started()).count();
                // Marks of two hosts, or an unreadable mark, and no manifest names the host.
                let others = marks
                    .iter()
                    .any(|mark| matches!(mark, Mark::Complete | Mark::Partial));
                if !others && begun > known.begun.len() {
                    unreadable.insert(*timestamp);
                }
            }
            // A newer format or a damaged object: it is unknown what a deletion would remove.
            for timestamp in unreadable {
                self.known.insert(timestamp, Belongings::default());
            }
        }
        Ok(())
    }

    /// Reads these objects. One that cannot be read is left out; one that the server does not deliver is an error.
    fn read_each<T: DeserializeOwned>(
        &self,
        folder: &str,
        names: &[String],
        name_of: impl Fn(&T) -> String,
    ) -> Result<Vec<T>> {
        let label = Label::new(Step::Retention);
        let mut all = Vec::new();
        for (name, fetched) in fetch_all(self.rclone, &label, folder, names, name_of)? {
            let key = format!("{folder}{name}");
            match fetched {
                Fetched::Read(object) => all.push(object),
                Fetched::Damaged(error) => {
                    warn!(step = "retention"; "{key} cannot be read and is left alone: {error:#}");
                }
                // Another host with this prefix may have deleted the object meanwhile.
                Fetched::Unfetched(error) => match self.rclone.stat(label.clone(), &key)? {
                    Some(_) => return Err(error),
                    None => info!(step = "retention"; "{key} was deleted meanwhile"),
                },
            }
        }
        Ok(all)
    }

    fn enter_summary(&mut self, summary: &Summary) {
        let names = summary
            .datasets
            .iter()
            .map(|dataset| &dataset.name)
            .chain(summary.failed.iter().map(|failed| &failed.name));
        let timestamp = summary.head.timestamp;
        let prefixes: Vec<String> = names
            .filter_map(|name| self.prefix_of(name.as_str(), timestamp))
            .collect();
        let known = self.known.entry(timestamp).or_default();
        known.host = Some(summary.head.host.clone());
        known.prefixes.extend(prefixes);
        known.export = summary
            .export
            .object
            .clone()
            .filter(|object| is_export(object));
    }

    fn enter_mark(&mut self, started: &Started) {
        let timestamp = started.head.timestamp;
        let prefix = &self.host.config.remote.prefix;
        let ours = |text: &&String| {
            let name = text
                .strip_prefix(prefix.as_str())
                .and_then(|rest| rest.strip_suffix(&format!("-{timestamp}")));
            name.and_then(|name| self.prefix_of(name, timestamp))
                .is_some_and(|expected| expected == **text)
        };
        let prefixes: Vec<String> = started.prefixes.iter().filter(ours).cloned().collect();
        let known = self.known.entry(timestamp).or_default();
        // The manifest has priority. What another host's mark names belongs to that host.
        if *known.host.get_or_insert_with(|| started.head.host.clone()) != started.head.host {
            return;
        }
        known.begun.insert(started.mark());
        known.prefixes.extend(prefixes);
        if let Some(export) = started.export.clone().filter(|object| is_export(object)) {
            known.export.get_or_insert(export);
        }
    }

    /// The dataset prefix for a name in an untrusted object; `None` if the name is invalid.
    fn prefix_of(&self, name: &str, timestamp: Timestamp) -> Option<String> {
        let name: DatasetName = name.parse().ok()?;
        Some(names::dataset_prefix(
            &self.host.config.remote.prefix,
            &name,
            timestamp,
        ))
    }

    /// Deletes one backup. The manifest goes first, so that an interrupted deletion never looks like a complete backup.
    pub(super) fn delete(&self, row: &Row) -> Result<()> {
        let label = || Label::new(Step::Retention);
        let prefix = &self.host.config.remote.prefix;
        let timestamp = row.timestamp;
        let known = self
            .known
            .get(&timestamp)
            .filter(|_| self.ownership(timestamp) == Ownership::Ours)
            .with_context(|| format!("{timestamp} is not known to be ours"))?;
        let started = Started {
            head: Head::new(&self.host.name, timestamp),
            prefixes: known.prefixes.iter().cloned().collect(),
            export: known.export.clone(),
            nonce: String::new(),
        };
        let payload = Payload::write(|writer| Ok(serde_json::to_writer(writer, &started)?))?;
        let mark = Mark::Started(None).key(prefix, timestamp);
        self.rclone.put(label(), &mark, &payload)?;
        // The file list last: without it, a summary is of no use.
        for mark in [Mark::Complete, Mark::Partial, Mark::FileList] {
            let key = mark.key(prefix, timestamp);
            self.rclone.delete_if_there(label(), &key)?;
        }
        for data in &known.prefixes {
            self.rclone.delete_below(label(), data)?;
        }
        let is_named_again = |export: &String| {
            let mut others = self.known.iter().filter(|(at, _)| **at != timestamp);
            others.any(|(_, other)| other.export.as_ref() == Some(export))
        };
        if let Some(export) = known.export.as_ref().filter(|one| !is_named_again(one)) {
            self.rclone.delete_if_there(label(), export)?;
        }
        for begun in known
            .begun
            .iter()
            .filter(|begun| **begun != Mark::Started(None))
        {
            self.rclone
                .delete_if_there(label(), &begun.key(prefix, timestamp))?;
        }
        self.rclone.delete(label(), &mark)
    }
}

/// The script's object, in the bucket's root.
fn is_export(object: &str) -> bool {
    object.starts_with(OBJECT_START) && object.ends_with(OBJECT_END) && !object.contains('/')
}
