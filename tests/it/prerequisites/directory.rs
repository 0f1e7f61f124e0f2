//! The snapshot directory.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::Result;
use testbed::Bed;
use testbed::disk::{Btrfs, Mount};

use super::refused;
use crate::support::{bed, expect};

#[track_caller]
fn bad(bed: &Bed, path: &Path, found: &str, remedy: &str) -> Result<()> {
    let path = path.to_string_lossy().into_owned();
    bed.set("snapshot_dir", path.as_str())?;
    let found = format!("{path}{found}");
    refused(bed, |_| {}, &[("the snapshot directory", &found, remedy)]);
    Ok(())
}

#[test]
fn a_missing_one_is_not_created() -> Result<()> {
    let bed = bed();
    let path = bed.disk().path().join("gone");
    let remedy = format!("as root: install -d -m 0750 -o root {} (", path.display());
    bad(&bed, &path, " does not exist", &remedy)?;
    assert!(!path.exists());
    Ok(())
}

#[test]
fn a_file_is_no_directory() -> Result<()> {
    let bed = bed();
    let path = bed.disk().path().join("file");
    fs::write(&path, "a file")?;
    bad(&bed, &path, " is not a directory", "snapshot_dir")?;
    assert_eq!(fs::read_to_string(path)?, "a file");
    Ok(())
}

#[test]
fn a_link_to_it_is_not_followed() -> Result<()> {
    let bed = bed();
    let path = bed.disk().path().join("link");
    symlink(bed.snapshot_dir(), &path)?;
    bad(&bed, &path, " is not a directory", "snapshot_dir")?;
    assert!(bed.snapshots()?.is_empty());
    Ok(())
}

#[test]
fn another_btrfs_cannot_hold_the_snapshots() -> Result<()> {
    let bed = bed();
    let second = bed.scratch().join("second");
    fs::create_dir(&second)?;
    let second = Btrfs::new(&second, 114)?;
    let path = second.path().join("snapshots");
    second.subvolume(&path)?;
    let path = path.to_string_lossy().into_owned();
    bed.set("snapshot_dir", path.as_str())?;
    let found = format!("{path} are on two file systems");
    refused(
        &bed,
        |_| {},
        &[(
            "both on one file system",
            &found,
            "mount a subvolume of that one",
        )],
    );
    assert_eq!(fs::read_dir(&path)?.count(), 0);
    Ok(())
}

#[test]
fn another_kind_of_file_system_cannot_hold_the_snapshots() -> Result<()> {
    let bed = bed();
    let _ext4 = Mount::ext4(&bed.scratch().join("ext4"), 32)?;
    let _tmpfs = Mount::tmpfs(&bed.scratch().join("tmpfs"))?;
    for kind in ["ext4", "tmpfs"] {
        let path = bed.scratch().join(kind);
        bad(
            &bed,
            &path,
            " is not on Btrfs",
            "create the directory there",
        )?;
        assert!(
            !fs::read_dir(&path)?
                .flatten()
                .any(|entry| entry.file_name() != "lost+found")
        );
    }
    Ok(())
}

#[test]
fn a_read_only_mount_cannot_take_snapshots() -> Result<()> {
    let bed = bed();
    let over = Mount::bind(bed.snapshot_dir(), bed.snapshot_dir(), true)?;
    bad(
        &bed,
        bed.snapshot_dir(),
        " is read-only",
        "ReadWritePaths=-",
    )?;
    drop(over);
    bed.set("export.enable", false)?;
    expect(&bed, &["run"], 0);
    assert_eq!(bed.snapshots()?.len(), 1);
    Ok(())
}

#[test]
fn a_read_only_file_system_cannot_take_snapshots() -> Result<()> {
    let bed = bed();
    bed.disk().set_mount_readonly(true)?;
    bad(
        &bed,
        bed.snapshot_dir(),
        " is read-only",
        "remount it read-write",
    )?;
    bed.disk().set_mount_readonly(false)
}

#[test]
fn a_read_only_subvolume_cannot_take_snapshots() -> Result<()> {
    let bed = bed();
    bed.disk().set_readonly(bed.snapshot_dir(), true)?;
    bad(
        &bed,
        bed.snapshot_dir(),
        " is read-only",
        "btrfs property set",
    )
}
