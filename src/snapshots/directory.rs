//! The snapshot directory: which entries are ours, and how they are deleted.
//!
//! An entry is ours if its name fits, if it is a read-only subvolume, and if its parent is our subvolume. Other entries
//! are never deleted.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use nix::sys::statvfs::statvfs;

use uuid::Uuid;

use crate::config::Config;
use crate::snapshots::{Foreign, Ownership, SnapshotName};
use crate::step::{Label, Step};
use crate::timestamp::Timestamp;
use crate::tools::btrfs::{Btrfs, Listed, SUBVOLUME_ROOT, Subvolume};

/// An entry of the snapshot directory with the name of a snapshot.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    pub name: String,
    /// The time in the name.
    pub timestamp: Timestamp,
    pub ownership: Ownership,
    /// The subvolume's id; `None` where the entry is not ours.
    pub id: Option<u64>,
}

/// Entries with the name of a snapshot, newest first. This needs no privileges; ownership is not known.
///
/// # Errors
/// Where the directory cannot be read.
pub(crate) fn named(config: &Config) -> io::Result<Vec<(String, Timestamp)>> {
    let mut all = Vec::new();
    for entry in fs::read_dir(&config.snapshot_dir)? {
        let name = entry?.file_name();
        // This program gives no name that is not UTF-8.
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
    let listed = if named.is_empty() {
        Vec::new()
    } else {
        btrfs
            .list_read_only(label(), &config.snapshot_dir)
            .context("listing the read-only subvolumes")?
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
        let (ownership, id) = match judge.id(&config.snapshot_dir.join(&name), &name)? {
            Ok(id) => (Ownership::Ours, Some(id)),
            Err(foreign) => (Ownership::Foreign(foreign), None),
        };
        all.push(Candidate {
            name,
            timestamp,
            ownership,
            id,
        });
    }
    Ok(all)
}

/// Whether the entry may be a snapshot, as far as that shows without Btrfs.
pub(crate) fn looks_like_one(path: &Path) -> Result<(), Foreign> {
    match path.symlink_metadata() {
        Ok(metadata) if metadata.is_symlink() => Err(Foreign::SymbolicLink),
        Ok(metadata) if metadata.is_dir() && metadata.ino() == SUBVOLUME_ROOT => Ok(()),
        Ok(_) => Err(Foreign::NoSubvolume),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Foreign::Gone),
        Err(error) => Err(Foreign::Inaccessible(error.kind())),
    }
}

fn label() -> Label {
    Label::new(Step::Retention)
}

fn gone(path: &Path) -> bool {
    path.symlink_metadata()
        .is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}

/// Subvolume ids without a btrfs command for each: `f_fsid` is the file system's UUID, folded, with the subvolume's id
/// mixed in, its upper half into the first word and its lower half into the second (fs/btrfs/super.c, `btrfs_statfs`).
/// With one subvolume's id known, the others' follow.
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
    /// The subvolume's id, if the entry is ours.
    fn id(&self, path: &Path, name: &str) -> Result<Result<u64, Foreign>> {
        match looks_like_one(path) {
            Ok(()) => {}
            Err(Foreign::Inaccessible(kind)) => {
                return Err(io::Error::from(kind))
                    .with_context(|| format!("reading {}", path.display()));
            }
            Err(foreign) => return Ok(Err(foreign)),
        }
        let row = self.ids.id(path).and_then(|id| self.listed.get(&id));
        let row = row.filter(|row| row.path.file_name().is_some_and(|listed| listed == name));
        let (id, parent, read_only) = match row {
            Some(row) => (row.id, row.parent, true),
            // Not among the read-only subvolumes: rare enough for a command each.
            None => match self.btrfs.show(label(), path) {
                Ok(shown) => (shown.id, shown.parent, shown.read_only),
                Err(_) if gone(path) => return Ok(Err(Foreign::Gone)),
                Err(error) => return Err(error),
            },
        };
        Ok(match is_ours(self.config, self.subvolume, parent) {
            false => Err(Foreign::OtherSubvolume),
            true if !read_only => Err(Foreign::Writable),
            true => Ok(id),
        })
    }
}

/// Whether a snapshot with this parent is one of our subvolume.
fn is_ours(config: &Config, subvolume: Uuid, parent: Option<Uuid>) -> bool {
    parent.is_some_and(|parent| {
        parent == subvolume || config.former_subvolume_uuids.contains(&parent)
    })
}

/// Deletes a snapshot, unless something else has its name by now. A snapshot that is gone already is no error.
pub(crate) fn delete(
    config: &Config,
    btrfs: &Btrfs,
    subvolume: Uuid,
    name: &str,
    id: u64,
) -> Result<()> {
    let path = config.snapshot_dir.join(name);
    let result = btrfs.show(label(), &path).and_then(|shown| {
        let ours = is_ours(config, subvolume, shown.parent);
        if shown.id != id || !shown.read_only || !ours || path.is_symlink() {
            bail!(
                "{} was replaced in the meantime; it was left alone",
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
