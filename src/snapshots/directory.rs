//! The snapshot directory: which entries are ours, and how they go.
//!
//! Ours by name, by being a read-only Btrfs subvolume, and by its parent; what only looks like it is counted
//! and left alone.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use nix::sys::statvfs::statvfs;

use uuid::Uuid;

use crate::config::Config;
use crate::snapshots::SnapshotName;
use crate::step::{Label, Step};
use crate::timestamp::Timestamp;
use crate::tools::btrfs::{Btrfs, Listed, SUBVOLUME_ROOT, Subvolume};

/// A snapshot, or a backup in the bucket, that may be ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub name: String,
    /// The time in it.
    pub timestamp: Timestamp,
    /// Whether it is whole, so that it counts among the newest. A snapshot always is.
    pub whole: bool,
    /// Whether it is ours.
    pub ownership: Ownership,
}

/// Whether a candidate is ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ownership {
    /// A read-only snapshot of our subvolume with this id; a backup of this host in the bucket, with 0.
    Ours(u64),
    /// Something else, and why: never touched.
    Foreign(String),
}

/// What is said of a writable subvolume.
const WRITABLE: &str = "writable";

/// Entries that bear a name of our kind, newest first. Needs no privileges, and so cannot tell whose they are.
///
/// # Errors
/// Where the directory cannot be read.
pub(crate) fn named(config: &Config) -> io::Result<Vec<(String, Timestamp)>> {
    let mut all = Vec::new();
    for entry in fs::read_dir(&config.snapshot_dir)? {
        let name = entry?.file_name();
        // A name that is not UTF-8 is none of ours.
        let Some(name) = name.to_str() else { continue };
        if let Some(timestamp) = SnapshotName::parse(&config.subvolume, name) {
            all.push((name.to_owned(), timestamp));
        }
    }
    all.sort_by_key(|(_, timestamp)| std::cmp::Reverse(*timestamp));
    Ok(all)
}

/// The same entries with their ownership, of which only Btrfs can tell.
///
/// # Errors
/// Where the directory cannot be read or Btrfs cannot be asked.
pub(crate) fn candidates(
    config: &Config,
    btrfs: &Btrfs,
    subvolume: &Subvolume,
) -> Result<Vec<Candidate>> {
    let named =
        named(config).with_context(|| format!("reading {}", config.snapshot_dir.display()))?;
    let listed = match named.is_empty() {
        true => Vec::new(),
        false => btrfs
            .list_read_only(label(), &config.snapshot_dir)
            .context("listing the read-only subvolumes")?,
    };
    let judge = Judge {
        config,
        btrfs,
        subvolume: subvolume.uuid,
        ids: Ids::of(&config.subvolume, subvolume.id),
        listed: listed.into_iter().map(|row| (row.id, row)).collect(),
    };
    let mut all = Vec::new();
    for (name, timestamp) in named {
        let ownership = judge.ownership(&config.snapshot_dir.join(&name), &name)?;
        all.push(Candidate {
            name,
            timestamp,
            whole: true,
            ownership,
        });
    }
    Ok(all)
}

/// Whether it may be a snapshot, where Btrfs cannot be asked.
///
/// # Errors
/// Why it is none.
pub(crate) fn looks_like_one(path: &Path) -> Result<(), String> {
    match path.symlink_metadata() {
        Ok(metadata) if metadata.is_symlink() => Err("a symbolic link".to_owned()),
        Ok(metadata) if metadata.is_dir() && metadata.ino() == SUBVOLUME_ROOT => Ok(()),
        Ok(_) => Err("no Btrfs subvolume".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

fn label() -> Label {
    Label::new(Step::Retention)
}

fn gone(path: &Path) -> bool {
    path.symlink_metadata()
        .is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}

/// Subvolume ids without a question to Btrfs for each: `f_fsid` is the file system's UUID, folded, with the
/// subvolume's id mixed in, its upper half into the first word and its lower half into the second
/// (fs/btrfs/super.c, `btrfs_statfs`). With one subvolume's id known, the others' follow.
struct Ids(Option<u64>);

impl Ids {
    fn of(path: &Path, id: u64) -> Self {
        Self(
            statvfs(path)
                .ok()
                .map(|stat| stat.filesystem_id() ^ id.rotate_left(32)),
        )
    }

    fn id(&self, path: &Path) -> Option<u64> {
        Some((statvfs(path).ok()?.filesystem_id() ^ self.0?).rotate_left(32))
    }
}

struct Judge<'a> {
    config: &'a Config,
    btrfs: &'a Btrfs,
    subvolume: Uuid,
    ids: Ids,
    listed: HashMap<u64, Listed>,
}

impl Judge<'_> {
    fn ownership(&self, path: &Path, name: &str) -> Result<Ownership> {
        let foreign = |why: &str| Ok(Ownership::Foreign(why.to_owned()));
        let metadata = match path.symlink_metadata() {
            Ok(metadata) => metadata,
            Err(_) if gone(path) => return foreign("it has just gone"),
            Err(error) => {
                return Err(error).with_context(|| format!("looking at {}", path.display()));
            }
        };
        if metadata.is_symlink() {
            return foreign("a symbolic link");
        }
        if !metadata.is_dir() || metadata.ino() != SUBVOLUME_ROOT {
            return foreign("no Btrfs subvolume");
        }
        let row = self.ids.id(path).and_then(|id| self.listed.get(&id));
        let (id, parent) =
            match row.filter(|row| row.path.file_name().is_some_and(|listed| listed == name)) {
                Some(row) => (row.id, row.parent),
                // Writable, as far as the listing goes: rare enough to ask.
                None => match self.btrfs.show(label(), path) {
                    Ok(shown) if shown.read_only => (shown.id, shown.parent),
                    Ok(_) => return foreign(WRITABLE),
                    Err(_) if gone(path) => return foreign("it has just gone"),
                    Err(error) => return Err(error),
                },
            };
        match parent.is_some_and(|parent| is_ours(self.config, self.subvolume, parent)) {
            true => Ok(Ownership::Ours(id)),
            false => foreign("a snapshot of another subvolume"),
        }
    }
}

fn is_ours(config: &Config, subvolume: Uuid, parent: Uuid) -> bool {
    parent == subvolume || config.former_subvolume_uuids.contains(&parent)
}

/// The writable snapshots of our subvolume, by name and id: an older script took them without `-r`.
///
/// # Errors
/// Where Btrfs cannot be asked.
pub(crate) fn adoptable(
    config: &Config,
    btrfs: &Btrfs,
    subvolume: &Subvolume,
) -> Result<BTreeMap<String, u64>> {
    let mut adoptable = BTreeMap::new();
    for candidate in candidates(config, btrfs, subvolume)? {
        if candidate.ownership != Ownership::Foreign(WRITABLE.to_owned()) {
            continue;
        }
        let shown = btrfs.show(label(), &config.snapshot_dir.join(&candidate.name))?;
        if shown
            .parent
            .is_some_and(|parent| is_ours(config, subvolume.uuid, parent))
        {
            adoptable.insert(candidate.name, shown.id);
        }
    }
    Ok(adoptable)
}

/// Makes them read-only: from then on they are ours. Comes back with their paths.
///
/// # Errors
/// Where Btrfs refuses.
pub(crate) fn adopt(config: &Config, btrfs: &Btrfs, subvolume: &Subvolume) -> Result<Vec<PathBuf>> {
    let mut adopted = Vec::new();
    for name in adoptable(config, btrfs, subvolume)?.into_keys() {
        let path = config.snapshot_dir.join(name);
        btrfs
            .set_read_only(label(), &path)
            .with_context(|| format!("making {} read-only", path.display()))?;
        adopted.push(path);
    }
    Ok(adopted)
}

/// Deletes what a row says, after asking Btrfs once more what stands at its path. Already gone is no error.
///
/// # Errors
/// Where it is not what the plan saw, or will not go.
pub(crate) fn delete(
    config: &Config,
    btrfs: &Btrfs,
    subvolume: Uuid,
    name: &str,
    id: u64,
) -> Result<()> {
    let path = config.snapshot_dir.join(name);
    let result = btrfs.show(label(), &path).and_then(|shown| {
        let ours = shown
            .parent
            .is_some_and(|parent| is_ours(config, subvolume, parent));
        if shown.id != id || !shown.read_only || !ours || path.is_symlink() {
            bail!(
                "{} has changed while we looked at it; it was left alone",
                path.display()
            );
        }
        btrfs.delete(label(), id, &path)
    });
    match result {
        Err(_) if gone(&path) => Ok(()),
        result => result,
    }
}
