//! The subvolume.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::Result;
use testbed::Bed;
use testbed::disk::Mount;

use super::refused;
use crate::support::bed;

#[track_caller]
fn bad(bed: &Bed, path: &Path, found: &str, remedy: &str) -> Result<()> {
    let path = path.to_string_lossy().into_owned();
    bed.set("subvolume", path.as_str())?;
    let found = format!("{path}{found}");
    refused(bed, |_| {}, &[("the subvolume", &found, remedy)]);
    Ok(())
}

#[test]
fn a_missing_subvolume_is_named() -> Result<()> {
    let bed = bed();
    let path = bed.disk().path().join("gone/persist");
    bad(
        &bed,
        &path,
        ": No such file or directory",
        "mount it, or correct `subvolume`",
    )
}

#[test]
fn a_plain_directory_is_no_subvolume() -> Result<()> {
    let bed = bed();
    let path = bed.disk().path().join("plain");
    fs::create_dir_all(path.join("containers/valkey"))?;
    bad(
        &bed,
        &path,
        " is a directory, not a Btrfs subvolume",
        "btrfs subvolume create",
    )?;
    assert_eq!(fs::read_dir(&path)?.count(), 1);
    Ok(())
}

#[test]
fn a_file_is_no_subvolume() -> Result<()> {
    let bed = bed();
    let path = bed.disk().path().join("file");
    fs::write(&path, "a file")?;
    bad(&bed, &path, " is ", "correct `subvolume`")
}

#[test]
fn other_file_systems_have_no_subvolumes() -> Result<()> {
    let bed = bed();
    fs::create_dir(bed.scratch().join("ext4"))?;
    let _ext4 = Mount::ext4(&bed.scratch().join("ext4/persist"), 32)?;
    let _tmpfs = Mount::tmpfs(&bed.scratch().join("tmpfs/persist"))?;
    for kind in ["ext4", "tmpfs"] {
        let path = bed.scratch().join(kind).join("persist");
        bad(
            &bed,
            &path,
            " is not on Btrfs",
            "mount the right file system there",
        )?;
    }
    Ok(())
}

#[test]
fn a_link_to_the_subvolume_is_not_the_subvolume() -> Result<()> {
    let bed = bed();
    let link = bed.scratch().join("persist");
    symlink(bed.subvolume(), &link)?;
    bad(
        &bed,
        &link,
        " is a symbolic link",
        "name the subvolume that it points to",
    )
}
