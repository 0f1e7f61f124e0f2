//! `--adopt`: what the old script left writable becomes ours, when it is a snapshot of our subvolume.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use anyhow::Result;
use testbed::{Bed, Rclone};

use super::{line, prune};
use crate::restore::plain;
use crate::support::{days_ago, expect, old_snapshot};

fn is_read_only(bed: &Bed, name: &str) -> Result<bool> {
    let output = Command::new("btrfs")
        .args(["property", "get", "-ts"])
        .arg(bed.snapshot_dir().join(name))
        .arg("ro")
        .output()?;
    Ok(String::from_utf8_lossy(&output.stdout).contains("ro=true"))
}

#[test]
fn the_old_scripts_snapshots_become_ours_and_others_stay_what_they_are() -> Result<()> {
    let bed = plain(Rclone::Old);
    bed.set("retention.min_keep", 1)?;
    let name = |days: i64| format!("persist-{}", days_ago(days));
    let at = |name: &str| bed.snapshot_dir().join(name);
    let newest = old_snapshot(&bed, 1);
    let [young, old, foreign, fresh, link, folder] = [3, 50, 51, 52, 53, 54].map(name);
    for writable in [&young, &old] {
        bed.disk().snapshot(bed.subvolume(), &at(writable), false)?;
    }
    // Somebody else's: another subvolume's snapshot, a subvolume that is none, a link to one of ours, a folder.
    let other = bed.disk().path().join("other");
    bed.disk().subvolume(&other)?;
    bed.disk().snapshot(&other, &at(&foreign), false)?;
    bed.disk().subvolume(&at(&fresh))?;
    let precious = bed.disk().path().join("precious");
    bed.disk().snapshot(bed.subvolume(), &precious, false)?;
    symlink(&precious, at(&link))?;
    fs::create_dir(at(&folder))?;
    // Not our name at all.
    bed.disk()
        .snapshot(bed.subvolume(), &at("persist-before-upgrade"), false)?;

    let ran = prune(&bed, &[], 0);
    assert!(ran.stderr.contains("--adopt"), "the remedy is named: {ran}");
    for kept in [&young, &old] {
        assert!(line(&ran, kept).contains("not ours: writable"), "{ran}");
        assert!(!is_read_only(&bed, kept)?);
    }
    let before = bed.snapshots()?;
    let ran = prune(&bed, &["--adopt", "--dry-run"], 0);
    assert!(line(&ran, &old).starts_with("would go"), "{ran}");
    assert!(line(&ran, &young).starts_with("kept"), "{ran}");
    assert!(line(&ran, &foreign).contains("not ours"), "{ran}");
    assert!(!is_read_only(&bed, &young)?, "a dry run");
    assert_eq!(bed.snapshots()?, before);

    let ran = prune(&bed, &["--adopt"], 0);
    assert!(line(&ran, &old).starts_with("gone"), "{ran}");
    assert!(
        line(&ran, &young).starts_with("kept") && is_read_only(&bed, &young)?,
        "{ran}"
    );
    let mut expected = before;
    expected.retain(|name| *name != old);
    assert_eq!(bed.snapshots()?, expected, "{newest}: {ran}");
    for writable in [&foreign, &fresh, &"persist-before-upgrade".to_owned()] {
        assert!(!is_read_only(&bed, writable)?, "{writable}");
    }
    fs::write(precious.join("still"), "writable")?;
    // From now on a run prunes it.
    let ran = expect(&bed, &["status"], 2);
    assert!(
        ran.stdout.contains("4 snapshots bear our kind of name"),
        "{ran}"
    );
    Ok(())
}

#[test]
fn after_the_subvolume_was_itself_restored_its_former_snapshots_are_ours_when_it_is_named()
-> Result<()> {
    let bed = plain(Rclone::Old);
    bed.set("retention.min_keep", 1)?;
    let uuid = crate::snapshot::shown(bed.subvolume(), "UUID")?;
    let [old, older] = [40, 50].map(|days| old_snapshot(&bed, days));
    // `mv /persist aside; btrfs subvolume snapshot /.snapshots/… /persist`.
    let aside = bed.disk().path().join("aside");
    fs::rename(bed.subvolume(), &aside)?;
    bed.disk()
        .snapshot(&bed.snapshot_dir().join(&old), bed.subvolume(), false)?;
    let newest = old_snapshot(&bed, 1);
    assert_ne!(crate::snapshot::shown(bed.subvolume(), "UUID")?, uuid);
    let ran = prune(&bed, &[], 0);
    for name in [&old, &older] {
        assert!(line(&ran, name).contains("another subvolume"), "{ran}");
    }
    assert!(ran.stderr.contains("former_subvolume_uuids"), "{ran}");
    bed.set("former_subvolume_uuids", vec![uuid])?;
    let ran = prune(&bed, &[], 0);
    assert_eq!(bed.snapshots()?, [newest], "{ran}");
    Ok(())
}
