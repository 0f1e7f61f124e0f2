//! Where a backup may be restored to.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use anyhow::Result;
use testbed::disk::{Btrfs, Mount};
use testbed::{Bed, Rclone};

use super::{assert_whole, backup, names_in, plain, restore, target};

/// Restores there; the parent holds nothing else afterwards.
#[track_caller]
fn comes_back_in(bed: &Bed, to: &Path) {
    let timestamp = backup(bed);
    let beside = names_in(to.parent().expect("a parent"));
    restore(bed, to, &[], 0);
    assert_whole(bed, &timestamp, to);
    let mut expected = beside;
    let name = to
        .file_name()
        .expect("a name")
        .to_string_lossy()
        .into_owned();
    if !expected.contains(&name) {
        expected.push(name);
        expected.sort();
    }
    assert_eq!(names_in(to.parent().expect("a parent")), expected);
}

#[test]
fn an_absent_directory_is_made() {
    let bed = plain(Rclone::Old);
    comes_back_in(&bed, &target(&bed));
}

#[test]
fn an_empty_directory_is_filled() -> Result<()> {
    let bed = plain(Rclone::Old);
    let to = target(&bed);
    fs::create_dir(&to)?;
    comes_back_in(&bed, &to);
    Ok(())
}

#[test]
fn odd_names_and_roundabout_ways_are_directories_too() -> Result<()> {
    let bed = plain(Rclone::Old);
    let timestamp = backup(&bed);
    let at = bed.scratch().join("a folder'");
    fs::create_dir(&at)?;
    std::os::unix::fs::symlink(&at, bed.scratch().join("way"))?;
    for (given, is) in [
        ("way/-dash it's", "a folder'/-dash it's"),
        ("way/../way/./\u{e9}/", "a folder'/\u{e9}"),
        ("a folder'/{}[a]*", "a folder'/{}[a]*"),
        ("a folder'/:s3:x", "a folder'/:s3:x"),
    ] {
        restore(&bed, &bed.scratch().join(given), &[], 0);
        assert_whole(&bed, &timestamp, &bed.scratch().join(is));
    }
    assert_eq!(names_in(&at).len(), 4);
    // Relative to where the caller stands.
    let ran = bed.run_cmd(bed.cmd(&["restore", "--to", "here"]).current_dir(&at))?;
    assert_eq!(ran.code, Some(0), "{ran}");
    assert_whole(&bed, &timestamp, &at.join("here"));
    Ok(())
}

#[test]
fn a_tmpfs_is_filled_from_within() -> Result<()> {
    let bed = plain(Rclone::Old);
    let to = target(&bed);
    let mount = Mount::tmpfs(&to)?;
    fs::set_permissions(&to, Permissions::from_mode(0o750))?;
    comes_back_in(&bed, mount.path());
    assert_eq!(
        fs::metadata(&to)?.mode() & 0o7777,
        0o750,
        "the mount point is the reader's own"
    );
    Ok(())
}

#[test]
fn an_ext4_with_its_lost_and_found_is_filled_from_within() -> Result<()> {
    let bed = plain(Rclone::Old);
    let to = target(&bed);
    let _mount = Mount::ext4(&to, 64)?;
    let timestamp = backup(&bed);
    restore(&bed, &to, &[], 0);
    assert_eq!(names_in(&to), ["falkordb", "lost+found", "valkey"]);
    for name in super::DATASETS {
        let snapshot = bed
            .snapshot_dir()
            .join(format!("persist-{timestamp}/containers/{name}"));
        super::tree::assert_same(&snapshot, &to.join(name));
    }
    Ok(())
}

#[test]
fn another_btrfs_and_a_subvolume_are_filled_from_within() -> Result<()> {
    let bed = plain(Rclone::New);
    let other = bed.scratch().join("other");
    fs::create_dir(&other)?;
    let disk = Btrfs::new(&other, 128)?;
    comes_back_in(&bed, disk.path());
    fs::remove_dir_all(disk.path().join("falkordb"))?;
    fs::remove_dir_all(disk.path().join("valkey"))?;

    let subvolume = disk.path().join("subvolume");
    disk.subvolume(&subvolume)?;
    comes_back_in(&bed, &subvolume);
    assert_eq!(
        fs::metadata(&subvolume)?.ino(),
        256,
        "it is still a subvolume"
    );
    // And a plain directory on that file system.
    comes_back_in(&bed, &disk.path().join("plain"));
    Ok(())
}

#[test]
fn a_place_in_the_subvolume_beside_the_datasets_will_do() {
    let bed = plain(Rclone::Old);
    let to = bed.subvolume().join("restored");
    comes_back_in(&bed, &to);
}
