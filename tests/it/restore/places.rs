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

#[test]
fn a_private_directory_stays_private_and_its_owners() -> Result<()> {
    let bed = plain(Rclone::Old);
    backup(&bed);
    let to = target(&bed);
    fs::create_dir(&to)?;
    fs::set_permissions(&to, Permissions::from_mode(0o2710))?;
    std::os::unix::fs::chown(&to, Some(123), Some(456))?;
    // After the owner: changing that takes set-group-id away.
    fs::set_permissions(&to, Permissions::from_mode(0o2710))?;
    restore(&bed, &to, &[], 0);
    let metadata = fs::metadata(&to)?;
    let found = (metadata.mode() & 0o7777, metadata.uid(), metadata.gid());
    assert_eq!(found, (0o2710, 123, 456));
    Ok(())
}

#[test]
fn the_live_tree_under_another_name_is_refused() -> Result<()> {
    let bed = plain(Rclone::Old);
    backup(&bed);
    let elsewhere = bed.scratch().join("elsewhere");
    fs::create_dir(&elsewhere)?;
    let _mount = Mount::bind(&bed.subvolume().join("containers"), &elsewhere, false)?;
    let ran = restore(&bed, &elsewhere.join("valkey/inside"), &[], 3);
    assert!(ran.stderr.contains("belongs to the live tree"), "{ran}");
    Ok(())
}
