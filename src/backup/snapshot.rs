//! The read-only snapshot, and the proof that it is one.
//!
//! `btrfs subvolume snapshot` exits 0 when its destination is an existing directory, and nests the snapshot
//! inside: what stands at the path afterwards is asked of Btrfs and not believed.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

use super::Run;
use crate::exec::{Label, Step};
use crate::manifest::SnapshotRecord;
use crate::snapshot_name::SnapshotName;
use crate::tools::btrfs::Subvolume;

/// A snapshot that was taken and checked.
pub struct Snapshot {
    /// Where it is.
    pub path: PathBuf,
    /// For the manifest.
    pub record: SnapshotRecord,
    /// The subvolume, as Btrfs knows it.
    pub subvolume: Subvolume,
}

/// Takes the snapshot.
///
/// # Errors
/// What btrfs said, or what is wrong with what it made.
pub fn take(run: &Run<'_>) -> Result<Snapshot> {
    let (config, btrfs) = (&run.host.config, &run.ready.btrfs);
    let path = SnapshotName::of(&config.subvolume, run.timestamp).path(&config.snapshot_dir);
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
    let record = SnapshotRecord {
        path: shown.to_string(),
        uuid: taken.uuid.to_string(),
        parent_uuid: subvolume.uuid.to_string(),
    };
    Ok(Snapshot {
        path,
        record,
        subvolume,
    })
}
