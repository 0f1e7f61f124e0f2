//! Retention in the bucket: the local rules over manifests, of this host and this prefix alone.
//!
//! Order is everything. A mark that names all that is going is written first, the manifest goes next, the data
//! after it and the mark last: an interruption leaves an incomplete backup that is known to be ours, and never
//! one that looks complete.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use log::{info, warn};
use serde::de::DeserializeOwned;

use crate::bucket::catalog::Remote;
use crate::bucket::catalog::{Fetched, fetch_all};
use crate::bucket::names::{self, Mark};
use crate::bucket::summary::{Head, Started, Summary};
use crate::config::DatasetName;
use crate::host::Host;
use crate::retention::{self, Candidate, Ownership, Policy, Row};
use crate::step::{Label, Step};
use crate::timestamp::Timestamp;
use crate::tools::export::{OBJECT_END, OBJECT_START};
use crate::tools::rclone::Rclone;
use crate::tools::rclone::payload::Payload;
use crate::ui::shown;

/// An interrupted run is left alone for a day: it may still be under way on a slow link.
const UNDER_WAY: i64 = 24 * 60 * 60;
/// How many objects are read in one call.
const BATCH: usize = 64;

/// The bucket's backups, as far as their deletion is concerned.
pub(crate) struct Expiry<'a> {
    host: &'a Host,
    rclone: &'a Rclone,
    /// Whose a backup is and what belongs to it, where that was read.
    known: BTreeMap<Timestamp, Belongings>,
}

/// What belongs to a backup.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Belongings {
    host: Option<String>,
    prefixes: BTreeSet<String>,
    export: Option<String>,
    /// The marks that its host left when it began.
    begun: BTreeSet<Mark>,
}

impl<'a> Expiry<'a> {
    /// Looks at as many manifests as the decision needs: the newest until enough are ours, and all that are
    /// too old.
    ///
    /// # Errors
    /// Where the bucket cannot be read.
    pub(crate) fn look(
        host: &'a Host,
        rclone: &'a Rclone,
        marks: &Remote,
        policy: Policy,
        now: Timestamp,
    ) -> Result<(Self, Vec<Row>)> {
        let mut this = Self {
            host,
            rclone,
            known: BTreeMap::new(),
        };
        let horizon = policy.horizon(now);
        let old = marks
            .marks
            .iter()
            .filter(|(timestamp, _)| timestamp.unix() < horizon);
        this.read(
            &old.map(|(timestamp, marks)| (*timestamp, marks))
                .collect::<Vec<_>>(),
        )?;
        let mut newest = marks
            .marks
            .iter()
            .rev()
            .filter(|(timestamp, marks)| marks.contains(&Mark::Complete) && **timestamp <= now);
        let mut ours = 0;
        while ours < policy.min_keep {
            let Some((timestamp, marks)) = newest.next() else {
                break;
            };
            if !this.known.contains_key(timestamp) {
                this.read(&[(*timestamp, marks)])?;
            }
            ours += u32::from(this.is_ours(*timestamp));
        }
        let candidates: Vec<Candidate> = marks
            .marks
            .iter()
            .map(|(timestamp, marks)| this.candidate(*timestamp, marks))
            .collect();
        let complete: BTreeSet<Timestamp> = candidates
            .iter()
            .filter(|candidate| candidate.whole)
            .map(|candidate| candidate.timestamp)
            .collect();
        let mut rows = retention::plan(&candidates, &complete, policy, now);
        for row in rows.iter_mut().filter(|row| row.delete.is_some()) {
            let under_way = now.unix().saturating_sub(row.timestamp.unix()) < UNDER_WAY;
            if under_way && !complete.contains(&row.timestamp) {
                (row.delete, row.reason) = (None, retention::Reason::Young);
            }
        }
        Ok((this, rows))
    }

    fn candidate(&self, timestamp: Timestamp, marks: &BTreeSet<Mark>) -> Candidate {
        let ownership = match self.known.get(&timestamp).map(|known| &known.host) {
            // Not read, so neither too old nor needed among the newest: whose it is decides nothing.
            None => Ownership::Ours(0),
            Some(Some(host)) if *host == self.host.name => Ownership::Ours(0),
            Some(Some(host)) => {
                Ownership::Foreign(format!("of the host {}", shown(host.as_bytes())))
            }
            Some(None) => Ownership::Foreign("it cannot be read".to_owned()),
        };
        Candidate {
            name: timestamp.to_string(),
            timestamp,
            whole: marks.contains(&Mark::Complete),
            ownership,
        }
    }

    fn is_ours(&self, timestamp: Timestamp) -> bool {
        self.known
            .get(&timestamp)
            .is_some_and(|known| known.host.as_deref() == Some(&self.host.name))
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
                // Two hosts in one second, or a mark that cannot be read, and no manifest that says whose the data is.
                if begun == marks.len() && begun > known.begun.len() {
                    unreadable.insert(*timestamp);
                }
            }
            // A newer format, or damage: whatever the mark beside it says, nobody knows what would go.
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
                // Another host of this prefix has its own retention, at its own time.
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
        // A manifest says more surely whose it is; what another host's mark names belongs to that one.
        if *known.host.get_or_insert_with(|| started.head.host.clone()) != started.head.host {
            return;
        }
        known.begun.insert(started.mark());
        known.prefixes.extend(prefixes);
        if let Some(export) = started.export.clone().filter(|object| is_export(object)) {
            known.export.get_or_insert(export);
        }
    }

    /// What a name in an object that anybody may have written leads to: a dataset's prefix of that run, or nothing.
    fn prefix_of(&self, name: &str, timestamp: Timestamp) -> Option<String> {
        let name: DatasetName = name.parse().ok()?;
        Some(names::dataset_prefix(
            &self.host.config.remote.prefix,
            &name,
            timestamp,
        ))
    }

    /// Deletes one backup, in the order that never leaves a half that looks whole.
    ///
    /// # Errors
    /// Where it will not go.
    pub(crate) fn delete(&self, timestamp: Timestamp) -> Result<()> {
        let label = || Label::new(Step::Retention);
        let prefix = &self.host.config.remote.prefix;
        let known = self
            .known
            .get(&timestamp)
            .filter(|_| self.is_ours(timestamp))
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
        let summaries = [Mark::Complete, Mark::Partial].map(|mark| mark.key(prefix, timestamp));
        for key in summaries
            .iter()
            .chain([&names::file_list_key(prefix, timestamp)])
        {
            self.rclone.delete_if_there(label(), key)?;
        }
        for data in &known.prefixes {
            self.rclone.delete_below(label(), data)?;
        }
        if let Some(export) = &known.export {
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

    /// Deletes what the rows say; one that will not go does not stop the others.
    pub(crate) fn carry_out(&self, rows: &[Row]) -> (u64, Vec<String>) {
        let (mut deleted, mut failed) = (0, Vec::new());
        for row in rows.iter().filter(|row| row.delete.is_some()) {
            if let Some(signal) = self.host.interrupt.signal() {
                failed.push(format!(
                    "{}: it stays, since we received {signal}",
                    row.name
                ));
                continue;
            }
            match self.delete(row.timestamp) {
                Ok(()) => {
                    info!(step = "retention"; "deleted {} from the bucket: {}", row.name, row.reason);
                    deleted += 1;
                }
                Err(error) => {
                    warn!(step = "retention"; "{} could not be deleted from the bucket: {error:#}", row.name);
                    failed.push(format!("{} in the bucket: {error:#}", row.name));
                }
            }
        }
        (deleted, failed)
    }
}

/// The script's object, in the bucket's root.
fn is_export(object: &str) -> bool {
    object.starts_with(OBJECT_START) && object.ends_with(OBJECT_END) && !object.contains('/')
}
