//! `run --dry-run`: what retention would do, and why, without doing it.

use std::fs;

use anyhow::{Context, Result};
use serde_json::Value;

use super::strict;
use crate::snapshot::shown;
use crate::support::{days_ago, expect, old_snapshot};

#[test]
fn a_dry_run_says_what_would_go_and_why_and_deletes_nothing() -> Result<()> {
    let bed = strict()?;
    bed.set("retention.min_keep", 2)?;
    let [young, rank, goes, future] = [29, 200, 300, -1].map(|days| old_snapshot(&bed, days));
    let stranger = format!("persist-{}", days_ago(400));
    fs::create_dir(bed.snapshot_dir().join(&stranger))?;
    bed.set("retention.min_keep", 3)?;
    let before = (bed.snapshots()?, bed.keys()?);

    let ran = expect(&bed, &["run", "--dry-run"], 0);
    let line = |name: &str| {
        ran.stdout
            .lines()
            .find(|line| line.starts_with('#') && line.contains(name))
    };
    for (name, why) in [
        (&young, "kept: younger than 30 days"),
        (&rank, "kept: 3rd of the 3 newest"),
        (&goes, "deleted: older than 30 days and kept by no rule"),
        (&future, "kept: from the future"),
        (&stranger, "kept: not ours: no Btrfs subvolume"),
    ] {
        let line = line(name).with_context(|| format!("no line for {name}: {ran}"))?;
        assert!(line.contains(why), "{line}");
    }
    // The literal command, by id.
    let id = shown(&bed.snapshot_dir().join(&goes), "Subvolume ID")?;
    let command = format!("subvolume delete -i {id} ");
    assert_eq!(ran.stdout.matches("subvolume delete").count(), 1, "{ran}");
    assert!(ran.stdout.contains(&command), "{command}: {ran}");

    let ran = expect(&bed, &["run", "--dry-run", "--json"], 0);
    let plan: Value = serde_json::from_str(&ran.stdout)?;
    let rows = plan["retention"].as_array().context("rows")?;
    let going: Vec<&Value> = rows
        .iter()
        .filter(|row| row["decision"] == "delete")
        .collect();
    assert_eq!(rows.len(), 5, "{plan:#}");
    assert_eq!(
        (going.len(), &going[0]["name"]),
        (1, &Value::from(goes.as_str())),
        "{plan:#}"
    );
    assert_eq!(going[0]["days"], 30);

    assert_eq!((bed.snapshots()?, bed.keys()?), before);
    assert!(!bed.state_path().exists());

    // And a run does just that.
    expect(&bed, &["run"], 0);
    let after = bed.snapshots()?;
    assert!(!after.contains(&goes), "{after:?}");
    for kept in [&young, &rank, &future, &stranger] {
        assert!(after.contains(kept), "{kept}: {after:?}");
    }
    Ok(())
}

#[test]
fn a_dry_run_keeps_young_ones_for_their_age() -> Result<()> {
    let bed = strict()?;
    let young = old_snapshot(&bed, 29);
    let ran = expect(&bed, &["run", "--dry-run"], 0);
    let line = ran
        .stdout
        .lines()
        .find(|line| line.contains(&young))
        .with_context(|| ran.to_string())?;
    assert!(line.contains("kept: younger than 30 days"), "{line}");
    Ok(())
}

#[test]
fn a_dry_run_that_cannot_ask_the_bucket_plans_no_deletion() -> Result<()> {
    let bed = strict()?;
    bed.set(
        "remote.extra_args",
        vec!["--retries=1", "--low-level-retries=1"],
    )?;
    bed.set("remote.bucket", "nobody-has-this-one")?;
    let old = old_snapshot(&bed, 40);
    let ran = expect(&bed, &["run", "--dry-run"], 0);
    assert!(ran.stdout.contains("nothing would be deleted"), "{ran}");
    assert!(!ran.stdout.contains("subvolume delete"), "{ran}");
    assert_eq!(bed.snapshots()?, [old]);
    Ok(())
}
