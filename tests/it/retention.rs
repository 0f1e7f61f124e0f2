//! What goes from the snapshot directory, and all that must stay.

mod failures;
mod kept;
mod plan;
mod strangers;

use std::process::Command;

use anyhow::{Result, ensure};
use testbed::Bed;

use crate::support::bed;

/// A bed where only the newest snapshot is kept for being new, and no export takes its time.
fn strict() -> Result<Bed> {
    let bed = bed();
    bed.set("retention.min_keep", 1)?;
    bed.set("export.enable", false)?;
    Ok(bed)
}

/// The name of the newest backup's snapshot.
fn newest(bed: &Bed) -> Result<String> {
    let committed = bed.committed()?;
    ensure!(!committed.is_empty(), "no backup");
    Ok(format!("persist-{}", committed[committed.len() - 1]))
}

/// These names, in the order of the directory.
pub(crate) fn sorted<const N: usize>(names: [&String; N]) -> Vec<String> {
    let mut names = names.map(Clone::clone).to_vec();
    names.sort();
    names
}

/// Makes a subvolume one that the kernel refuses to delete: the default one of its file system.
fn pin(bed: &Bed, name: &str) -> Result<()> {
    let path = bed.snapshot_dir().join(name);
    let status = Command::new("btrfs")
        .args(["subvolume", "set-default"])
        .arg(&path)
        .status()?;
    ensure!(status.success(), "set-default {}", path.display());
    Ok(())
}
