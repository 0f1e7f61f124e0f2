//! A dataset: its files in a snapshot, read, and compared with the bucket.

pub(crate) mod compare;
mod entry;
pub(crate) mod live_tree;
mod problems;
pub(crate) mod read;
pub(crate) mod scan;
mod tree;

use std::path::Path;
use std::sync::atomic::AtomicBool;

use anyhow::Result;
use log::warn;

use crate::config::Dataset;
use crate::interrupt::Interrupt;
use crate::timestamp::Timestamp;
use read::Reader;
pub(crate) use tree::{LeftOut, Node, NodeKind, Tree};

/// What the live tree of a dataset has that a snapshot of it cannot hold: mounts and nested subvolumes.
pub(crate) fn unsnapshotable(subvolume: &Path, dataset: &Dataset) -> Vec<String> {
    live_tree::examine(subvolume, &live_tree::mount_points(), &dataset.path).problems
}

/// A dataset in a snapshot, with the MD5 of every file; for a restore from there.
///
/// # Errors
/// Where it cannot be read.
pub(crate) fn tree_of(snapshot: &Path, dataset: &Dataset, interrupt: &Interrupt) -> Result<Tree> {
    let mut scanned = scan::in_snapshot(snapshot, dataset)?;
    let reader = Reader {
        root: &snapshot.join(&dataset.path),
        dataset,
        now: Timestamp::now(),
        interrupt,
        abandoned: &AtomicBool::new(false),
    };
    let contents = reader.read(&mut scanned)?;
    for warning in contents.warnings.iter().chain(&contents.problems) {
        warn!(step = "contents"; "{warning}");
    }
    Ok(scanned.tree)
}
