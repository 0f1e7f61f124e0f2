//! What stays for its age, its rank or its backup.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result};

use super::{newest, sorted, strict};
use crate::support::{bed, expect, old_snapshot};

#[test]
fn a_fresh_snapshot_of_a_quiet_subvolume_survives_pruning() -> Result<()> {
    let bed = strict()?;
    // A snapshot has its source's mtime: by that, every snapshot of a quiet host is old.
    let quiet = ["-d", "60 days ago"];
    let touched = Command::new("touch")
        .args(quiet)
        .arg(bed.subvolume())
        .arg(bed.subvolume().join("containers"))
        .status()?;
    assert!(touched.success());
    let old = old_snapshot(&bed, 31);

    expect(&bed, &["run"], 0);
    let first = newest(&bed)?;
    let age = fs::metadata(bed.snapshot_dir().join(&first))?
        .modified()?
        .elapsed()?;
    assert!(
        age.as_secs() > 59 * 86_400,
        "this test shows nothing: {age:?}"
    );
    assert_eq!(bed.snapshots()?, [first.as_str()], "and {old} is gone");

    // Not only because it is the newest.
    expect(&bed, &["run"], 0);
    let second = newest(&bed)?;
    assert_eq!(bed.snapshots()?, [first, second]);
    Ok(())
}

#[test]
fn an_old_snapshot_whose_directory_was_just_changed_goes_all_the_same() -> Result<()> {
    let bed = strict()?;
    old_snapshot(&bed, 40);
    fs::write(
        bed.subvolume().join("new"),
        "a root directory with an mtime of now",
    )?;
    old_snapshot(&bed, 41);
    expect(&bed, &["run"], 0);
    assert_eq!(bed.snapshots()?, [newest(&bed)?]);
    Ok(())
}

#[test]
fn the_newest_stay_however_old_they_are() -> Result<()> {
    let bed = bed();
    bed.set("export.enable", false)?;
    bed.set("retention.min_keep", 3)?;
    let [a, b, _, _, _] = [400, 500, 600, 700, 800].map(|days| old_snapshot(&bed, days));
    expect(&bed, &["run"], 0);
    let run = newest(&bed)?;
    assert_eq!(bed.snapshots()?, sorted([&run, &a, &b]));
    let state = bed.state()?;
    assert_eq!(state["retention"]["snapshots"]["deleted"], 3, "{state:#}");
    assert_eq!(state["snapshots"], 3);
    assert!(
        state["verdict"]
            .as_str()
            .context("a verdict")?
            .contains("3 old snapshots deleted"),
        "{state:#}"
    );
    Ok(())
}

#[test]
fn the_days_are_counted_from_the_name() -> Result<()> {
    let bed = strict()?;
    bed.set("retention.days", 7)?;
    let [young, _] = [6, 8].map(|days| old_snapshot(&bed, days));
    expect(&bed, &["run"], 0);
    let run = newest(&bed)?;
    assert_eq!(bed.snapshots()?, sorted([&run, &young]));
    Ok(())
}

#[test]
fn snapshots_from_the_future_stay_count_for_nothing_and_are_reported() -> Result<()> {
    let bed = strict()?;
    bed.set("retention.min_keep", 2)?;
    let [a, b, old, _] = [-3, -400, 40, 50].map(|days| old_snapshot(&bed, days));
    let ran = expect(&bed, &["run"], 0);
    let run = newest(&bed)?;
    assert_eq!(bed.snapshots()?, sorted([&a, &b, &run, &old]));
    assert!(
        ran.stderr.contains("2 snapshots are from the future"),
        "{ran}"
    );
    let warnings = bed.state()?["warnings"].to_string();
    assert!(warnings.contains("from the future"), "{warnings}");
    Ok(())
}

#[test]
fn a_pruned_snapshot_leaves_its_backup_in_the_bucket() -> Result<()> {
    let bed = strict()?;
    // Committed, but no longer the newest that is: the bucket is enough.
    let old = old_snapshot(&bed, 40);
    let timestamp = old.trim_start_matches("persist-");
    for key in [
        format!("manifests/{timestamp}.json"),
        format!("valkey-{timestamp}/dump.rdb"),
    ] {
        bed.s3().put(bed.bucket(), &key, b"{}")?;
    }
    let before = bed.keys()?;
    expect(&bed, &["run"], 0);
    assert_eq!(bed.snapshots()?, [newest(&bed)?]);
    let after = bed.keys()?;
    assert!(
        before.iter().all(|key| after.contains(key)),
        "{before:?} {after:?}"
    );
    Ok(())
}
