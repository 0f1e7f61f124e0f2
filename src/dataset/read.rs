//! One read of every file, beside the upload: its MD5 for the manifest, and whether a Redis would load it.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use md5::{Digest as _, Md5};

use super::problems::Problems;
use super::scan::ScannedDataset;
use crate::config::{Dataset, Format};
use crate::dataset::NodeKind;
use crate::interrupt::Interrupt;
use crate::redis_files::{Finding, Inspector, Role};
use crate::threads::give_way;
use crate::timestamp::Timestamp;
use crate::ui::shown;

/// Large enough that the checksum loops dominate, small enough to stay in a core's cache.
const BUFFER: usize = 256 * 1024;

/// With so many a disk is busy, and each has a buffer.
const MOST_WORKERS: usize = 8;

/// What the files' contents showed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Contents {
    /// Why the dataset is not whole.
    pub problems: Vec<String>,
    /// What is worth saying.
    pub warnings: Vec<String>,
    /// When the server last saved.
    pub data_time: Option<Timestamp>,
}

/// Reads every file of the dataset and enters its MD5 into the tree: on as many threads as there are cores, since they
/// wait for the disk as well, and give way to the upload.
///
/// # Errors
/// Where we were told to stop.
pub(crate) fn read(
    root: &Path,
    found: &mut ScannedDataset,
    dataset: &Dataset,
    now: Timestamp,
    interrupt: &Interrupt,
) -> Result<Contents, String> {
    let files: Vec<usize> = (0..found.tree.nodes.len())
        .filter(|index| matches!(found.tree.nodes[*index].kind, NodeKind::File { .. }))
        .collect();
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let workers = workers.min(MOST_WORKERS).clamp(1, files.len().max(1));
    let next = AtomicUsize::new(0);
    let (sender, receiver) = mpsc::channel();
    let mut contents = Contents::default();
    let mut digests: Vec<(usize, [u8; 16])> = Vec::with_capacity(files.len());
    let mut newest: Option<i64> = None;
    thread::scope(|scope| {
        let (nodes, roles, files, next) = (&found.tree.nodes, &found.roles, &files, &next);
        for _ in 0..workers {
            let sender = sender.clone();
            scope.spawn(move || {
                // rclone reads a large file for its MD5, too, before it sends the first byte of it: 2 GiB over
                // 150 ms took 1.04 times as long when we read beside it as equals.
                give_way();
                let mut buffer = vec![0; BUFFER];
                loop {
                    let order = next.fetch_add(1, Ordering::Relaxed);
                    let Some(&index) = files.get(order) else {
                        return;
                    };
                    let path = root.join(OsStr::from_bytes(&nodes[index].path));
                    let role = roles.get(order).copied().unwrap_or(Role::Plain);
                    let result = read_file(
                        &path,
                        &nodes[index].kind,
                        role,
                        dataset.format,
                        &mut buffer,
                        interrupt,
                    );
                    if sender.send((order, index, result)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        for (order, index, result) in receiver {
            let node = &nodes[index];
            match result {
                Ok((md5, finding)) => {
                    digests.push((index, md5));
                    let name = shown(&node.path);
                    contents.problems.extend(
                        finding
                            .problems
                            .iter()
                            .map(|text| format!("{name}: {text}")),
                    );
                    contents.warnings.extend(
                        finding
                            .warnings
                            .iter()
                            .map(|text| format!("{name}: {text}")),
                    );
                    if let Some(saved) =
                        saved_at(dataset.format, roles[order], &finding, node.mtime.0)
                    {
                        newest = Some(newest.map_or(saved, |newest| newest.max(saved)));
                    }
                }
                Err(error) => contents
                    .problems
                    .push(format!("{}: {error}", shown(&node.path))),
            }
        }
    });
    if let Some(signal) = interrupt.signal() {
        return Err(format!("stopped because we received {signal}"));
    }
    for (index, digest) in digests {
        if let NodeKind::File { md5, .. } = &mut found.tree.nodes[index].kind {
            *md5 = Some(digest);
        }
    }
    contents.problems = bounded(contents.problems);
    contents.warnings = bounded(contents.warnings);
    contents.data_time = newest.and_then(Timestamp::from_unix);
    age(&mut contents, dataset, now);
    Ok(contents)
}

fn bounded(mut list: Vec<String>) -> Vec<String> {
    list.sort();
    let mut problems = Problems::default();
    list.into_iter().for_each(|problem| problems.push(problem));
    problems.finish()
}

fn read_file(
    path: &Path,
    kind: &NodeKind,
    role: Role,
    format: Format,
    buffer: &mut [u8],
    interrupt: &Interrupt,
) -> io::Result<([u8; 16], Finding)> {
    let mut file = File::open(path)?;
    let mut md5 = Md5::new();
    let mut inspector = (format == Format::Redis).then(|| Inspector::new(role));
    let mut total = 0u64;
    loop {
        if interrupt.signal().is_some() {
            return Err(io::Error::other("stopped"));
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
    match kind {
        NodeKind::File { size, .. } if *size != total => Err(io::Error::other(format!(
            "has {size} bytes and {total} were read: is the disk well?"
        ))),
        _ => Ok((
            md5.finalize().into(),
            inspector.map(Inspector::finish).unwrap_or_default(),
        )),
    }
}

/// When this file says that the data was saved: an RDB's own word, an AOF's last write; in a dataset of
/// plain files, any file's.
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
