//! Reads every file once, beside the upload: computes its MD5 and inspects Redis files.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read as _};
use std::iter;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use anyhow::{Context as _, Result, ensure};
use md5::{Digest as _, Md5};

use super::problems::Problems;
use super::scan::ScannedDataset;
use crate::config::{Dataset, Format};
use crate::dataset::{Node, NodeKind};
use crate::interrupt::Interrupt;
use crate::redis_files::{Finding, Inspector, Role};
use crate::threads::{give_way, joined, spawn};
use crate::timestamp::Timestamp;
use crate::ui::shown;

/// Large enough that the checksum loops dominate, small enough to stay in a core's cache.
const BUFFER: usize = 256 * 1024;

/// Eight readers saturate a disk; each has a buffer.
const MOST_WORKERS: usize = 8;

/// What the files' contents showed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Contents {
    /// Why the dataset is not whole.
    pub problems: Vec<String>,
    pub warnings: Vec<String>,
    /// When the server last saved.
    pub data_time: Option<Timestamp>,
}

/// Reads the files of a dataset in a snapshot.
pub(crate) struct Reader<'a> {
    /// The dataset's directory in the snapshot.
    pub root: &'a Path,
    pub dataset: &'a Dataset,
    /// The run's time; the data's age is judged by it.
    pub now: Timestamp,
    pub interrupt: &'a Interrupt,
    /// Set when the upload has failed: the result is not needed any more.
    pub abandoned: &'a AtomicBool,
}

/// A file that was read: its MD5, and what its inspection found.
type ReadFile = ([u8; 16], Finding);

impl Reader<'_> {
    /// Reads every file, and enters its MD5 into the tree.
    ///
    /// # Errors
    /// Where a signal stopped it, its upload failed, or no thread can be started. What is wrong with a file is a
    /// problem in the result.
    pub(crate) fn read(&self, scanned: &mut ScannedDataset) -> Result<Contents> {
        let files = self.read_files(scanned)?;
        self.interrupt.check()?;
        ensure!(
            !self.is_abandoned(),
            "not read to its end, since its upload failed"
        );
        let mut contents = Contents::default();
        let mut newest: Option<i64> = None;
        for (index, role, result) in files {
            let node = &mut scanned.tree.nodes[index];
            let name = shown(&node.path);
            let named = |text: &String| format!("{name}: {text}");
            match result {
                Ok((digest, finding)) => {
                    contents.problems.extend(finding.problems.iter().map(named));
                    contents.warnings.extend(finding.warnings.iter().map(named));
                    let saved = saved_at(self.dataset.format, role, &finding, node.mtime.0);
                    newest = newest.max(saved);
                    if let NodeKind::File { md5, .. } = &mut node.kind {
                        *md5 = Some(digest);
                    }
                }
                Err(error) => contents.problems.push(format!("{name}: {error}")),
            }
        }
        contents.problems = bounded(contents.problems);
        contents.warnings = bounded(contents.warnings);
        contents.data_time = newest.and_then(Timestamp::from_unix);
        age(&mut contents, self.dataset, self.now);
        Ok(contents)
    }

    /// Reads the files with several threads; the result is in no particular order.
    fn read_files(
        &self,
        scanned: &ScannedDataset,
    ) -> Result<Vec<(usize, Role, io::Result<ReadFile>)>> {
        let nodes = scanned.tree.nodes.iter().enumerate();
        let files: Vec<(usize, &Node)> = nodes
            .filter(|(_, node)| matches!(node.kind, NodeKind::File { .. }))
            .collect();
        let workers = thread::available_parallelism().map_or(1, usize::from);
        let workers = workers.min(MOST_WORKERS).clamp(1, files.len().max(1));
        let next = AtomicUsize::new(0);
        let work = || {
            // rclone also reads a large file for its MD5 before it sends the first byte. With equal priority, 2 GiB
            // over 150 ms took 1.04 times as long.
            give_way();
            let (mut buffer, mut done) = (vec![0; BUFFER], Vec::new());
            loop {
                let order = next.fetch_add(1, Ordering::Relaxed);
                let Some(&(index, node)) = files.get(order) else {
                    return done;
                };
                if self.interrupt.signal().is_some() || self.is_abandoned() {
                    return done;
                }
                let role = scanned.roles.get(order).copied().unwrap_or(Role::Plain);
                done.push((index, role, self.read_file(node, role, &mut buffer)));
            }
        };
        thread::scope(|scope| {
            let first = spawn(scope, work).context("starting a thread that reads files")?;
            // Fewer threads than wanted are enough.
            let more: Vec<_> = (1..workers)
                .map_while(|_| spawn(scope, work).ok())
                .collect();
            let all = iter::once(first).chain(more);
            Ok(all.flat_map(joined).collect())
        })
    }

    fn read_file(&self, node: &Node, role: Role, buffer: &mut [u8]) -> io::Result<ReadFile> {
        let mut file = File::open(self.root.join(OsStr::from_bytes(&node.path)))?;
        let mut md5 = Md5::new();
        let mut inspector = (self.dataset.format == Format::Redis).then(|| Inspector::new(role));
        let mut total = 0u64;
        loop {
            if self.interrupt.signal().is_some() || self.is_abandoned() {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let read = file.read(buffer)?;
            if read == 0 {
                break;
            }
            total += read as u64;
            md5.update(&buffer[..read]);
            if let Some(inspector) = &mut inspector {
                inspector.feed(&buffer[..read]);
            }
        }
        match node.kind {
            NodeKind::File { size, .. } if size != total => Err(io::Error::other(format!(
                "has {size} bytes and {total} were read: is the disk well?"
            ))),
            _ => Ok((
                md5.finalize().into(),
                inspector.map(Inspector::finish).unwrap_or_default(),
            )),
        }
    }

    fn is_abandoned(&self) -> bool {
        self.abandoned.load(Ordering::Relaxed)
    }
}

fn bounded(mut list: Vec<String>) -> Vec<String> {
    list.sort();
    let mut problems = Problems::default();
    list.into_iter().for_each(|problem| problems.push(problem));
    problems.finish()
}

/// When this file says that the data was saved: the time in the RDB, an AOF's last write; in a dataset of plain files,
/// any file's.
fn saved_at(format: Format, role: Role, finding: &Finding, mtime: i64) -> Option<i64> {
    match (format, role) {
        (Format::Files, _) => Some(mtime),
        (Format::Redis, _) if finding.is_rdb => Some(finding.saved_at.unwrap_or(mtime)),
        (Format::Redis, Role::AofBase { .. } | Role::AofIncrement { .. }) => Some(mtime),
        (Format::Redis, _) => None,
    }
}

fn age(contents: &mut Contents, dataset: &Dataset, now: Timestamp) {
    match (contents.data_time, &dataset.max_data_age) {
        (None, _) if dataset.format == Format::Redis => contents
            .warnings
            .push("never saved yet: there is neither an RDB nor an AOF; the server's `save` or `appendonly` setting decides".to_owned()),
        (Some(time), Some(limit)) => {
            let seconds = now.unix().saturating_sub(time.unix());
            let limit_seconds = i64::try_from(limit.as_duration().as_secs()).unwrap_or(i64::MAX);
            if seconds > limit_seconds {
                contents.warnings.push(format!(
                    "the data is from {}, older than max_data_age = {limit}: the server has not saved since (too few \
                     writes for its `save` setting, or the service is down)",
                    time.rfc3339()
                ));
            }
        }
        _ => {}
    }
}
