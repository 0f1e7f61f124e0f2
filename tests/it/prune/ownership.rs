//! Which snapshots are ours: what makes a writable one, or one of a former subvolume, deletable.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use testbed::Rclone;

use super::{line, prune};
use crate::restore::plain;
use crate::support::{days_ago, old_snapshot};

/// The command in the warning, between backquotes.
fn remedy(text: &str) -> Option<&str> {
    let start = text.find("`btrfs property set")? + 1;
    text[start..].split('`').next()
}

#[test]
fn a_writable_snapshot_is_ours_after_the_command_in_the_warning() -> Result<()> {
    let bed = plain(Rclone::Old);
    bed.set("retention.min_keep", 1)?;
    let newest = old_snapshot(&bed, 1);
    let [old, foreign] = [50, 51].map(|days| format!("persist-{}", days_ago(days)));
    let at = |name: &str| bed.snapshot_dir().join(name);
    bed.disk().snapshot(bed.subvolume(), &at(&old), false)?;
    // A writable snapshot of another subvolume: the command would not make it ours.
    let other = bed.disk().path().join("other");
    bed.disk().subvolume(&other)?;
    bed.disk().snapshot(&other, &at(&foreign), false)?;

    let ran = prune(&bed, &[], 0);
    assert!(
        line(&ran, &old).contains("kept: not ours: writable"),
        "{ran}"
    );
    assert!(
        line(&ran, &foreign).contains("kept: not ours: a snapshot of another subvolume"),
        "{ran}"
    );
    let command = remedy(&ran.stderr).with_context(|| ran.to_string())?;
    let path = at(&old).display().to_string();
    let command = command.replace("PATH", &path);
    ensure!(
        Command::new("sh")
            .args(["-c", &command])
            .status()?
            .success()
    );

    let ran = prune(&bed, &[], 0);
    assert!(line(&ran, &old).contains("deleted: older than"), "{ran}");
    assert_eq!(
        remedy(&ran.stderr),
        None,
        "no writable snapshot of ours is left: {ran}"
    );
    assert_eq!(
        bed.snapshots()?,
        crate::retention::sorted([&newest, &foreign])
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
