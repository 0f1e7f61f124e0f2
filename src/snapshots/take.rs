//! The read-only snapshot, and the proof that it is one.
//!
//! `btrfs subvolume snapshot` exits 0 if its destination is an existing directory, and creates the snapshot inside. So
//! Btrfs is asked what is at the path afterwards.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail};

use super::SnapshotName;
use uuid::Uuid;

use crate::config::Config;
use crate::step::{Label, Step};
use crate::timestamp::Timestamp;
use crate::tools::btrfs::{Btrfs, Subvolume};

/// A snapshot that was taken and checked.
pub(crate) struct Snapshot {
    pub path: PathBuf,
    pub uuid: Uuid,
    /// What stands at the path, as the kernel knows it: every subvolume has a device number of its own.
    identity: (u64, u64),
    /// The subvolume, as Btrfs knows it.
    pub subvolume: Subvolume,
}

impl Snapshot {
    /// Checks that the path still has the snapshot that was taken.
    ///
    /// # Errors
    /// Where something else does.
    pub(crate) fn still_there(&self) -> Result<()> {
        match identity(&self.path) {
            Some(identity) if identity == self.identity => Ok(()),
            _ => Err(anyhow!(
                "{} is no longer the snapshot that was taken: somebody moved it or put something in its place",
                self.path.display()
            )),
        }
    }
}

/// Device and inode of a directory that is no link.
fn identity(path: &Path) -> Option<(u64, u64)> {
    let metadata = path
        .symlink_metadata()
        .ok()
        .filter(|metadata| metadata.is_dir())?;
    Some((metadata.dev(), metadata.ino()))
}

/// Takes the snapshot.
///
/// # Errors
/// btrfs failed, or the result is not the expected snapshot.
pub(crate) fn take(config: &Config, btrfs: &Btrfs, timestamp: Timestamp) -> Result<Snapshot> {
    let path = SnapshotName::of(&config.subvolume, timestamp).path(&config.snapshot_dir);
    let label = || Label::new(Step::Snapshot);
    let shown = path.display();
    let subvolume = btrfs
        .show(label(), &config.subvolume)
        .with_context(|| format!("asking Btrfs about {}", config.subvolume.display()))?;
    if path.symlink_metadata().is_ok() {
        bail!("{shown} is already there; it was left alone");
    }
    btrfs
        .snapshot(label(), &config.subvolume, &path)
        .with_context(|| {
            format!(
                "taking the snapshot {shown} of {}",
                config.subvolume.display()
            )
        })?;
    let before = identity(&path);
    let taken = btrfs
        .show(label(), &path)
        .with_context(|| format!("asking Btrfs about {shown}, just taken"))?;
    if taken.parent != Some(subvolume.uuid) {
        bail!(
            "{shown} is not a snapshot of {}: something else was put there while we worked",
            config.subvolume.display()
        );
    }
    if !taken.read_only {
        bail!("{shown} is writable, though a read-only snapshot was asked for");
    }
    let Some(identity) = before.filter(|before| identity(&path) == Some(*before)) else {
        bail!("{shown} changed while it was looked at: something else was put there");
    };
    Ok(Snapshot {
        uuid: taken.uuid,
        path,
        identity,
        subvolume,
    })
}
