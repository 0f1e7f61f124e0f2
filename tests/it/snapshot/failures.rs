//! A snapshot that was not taken, or is not what was asked for: nothing is uploaded from it.

use std::fs;

use anyhow::{Context, Result};
use testbed::{Bed, Ran};

use crate::support::{bed, expect, wrap};

/// A bed with one backup, whose `btrfs subvolume snapshot` does this from now on; the destination is the last word.
fn with(body: &str) -> Result<Bed> {
    let bed = bed();
    bed.set("export.enable", false)?;
    expect(&bed, &["run"], 0);
    wrap(
        &bed,
        "btrfs",
        &format!(
            "case \"$*\" in *'subvolume snapshot'*) for to; do :; done\n{body}\n;; esac\nexec \"$REAL\" \"$@\""
        ),
    );
    Ok(bed)
}

/// One run, stopped at the snapshot: the bucket is as it was, and says why.
#[track_caller]
fn stops(bed: &Bed, said: &str) -> Result<Ran> {
    let keys = bed.keys()?;
    let snapshots = bed.snapshots()?;
    let ran = expect(bed, &["run"], 4);
    assert_eq!(bed.keys()?, keys, "{ran}");
    for kept in snapshots {
        assert!(bed.snapshots()?.contains(&kept), "{kept}: {ran}");
    }
    assert!(
        ran.stderr.contains(said) && ran.stderr.contains("exit code 4"),
        "{said:?} in {ran}"
    );
    let state = bed.state()?;
    assert_eq!(
        (&state["exit_code"], &state["failed_step"]),
        (&4.into(), &"snapshot".into()),
        "{state:#}"
    );
    assert!(
        state["snapshot"].is_null() && state["retention"].is_null(),
        "{state:#}"
    );

    // The next one works, as soon as btrfs does.
    fs::remove_file(bed.scratch().join("bin/btrfs"))?;
    expect(bed, &["run"], 0);
    assert_eq!(bed.committed()?.len(), 2);
    Ok(ran)
}

#[test]
fn a_snapshot_that_fails_stops_the_run_before_anything_is_uploaded() -> Result<()> {
    let bed = with("echo \"ERROR: cannot snapshot '$to': No space left on device\" >&2; exit 1")?;
    stops(&bed, "No space left on device")?;
    Ok(())
}

#[test]
fn a_success_without_a_snapshot_is_not_believed() -> Result<()> {
    stops(&with("exit 0")?, "just taken")?;
    Ok(())
}

#[test]
fn a_directory_where_the_snapshot_should_be_is_not_believed() -> Result<()> {
    stops(&with("mkdir \"$to\"; exit 0")?, "just taken")?;
    Ok(())
}

#[test]
fn a_writable_snapshot_is_not_uploaded() -> Result<()> {
    stops(
        &with("\"$REAL\" subvolume snapshot \"$(dirname \"$to\")/../persist\" \"$to\"; exit")?,
        "writable",
    )?;
    Ok(())
}

#[test]
fn a_snapshot_of_something_else_is_not_uploaded() -> Result<()> {
    let bed =
        with("\"$REAL\" subvolume snapshot -r \"$(dirname \"$to\")/../other\" \"$to\"; exit")?;
    bed.disk()
        .snapshot(bed.subvolume(), &bed.disk().path().join("other"), false)?;
    let ran = stops(&bed, "is not a snapshot of")?;
    let path = bed.subvolume().to_str().context("UTF-8")?.to_owned();
    assert!(ran.stderr.contains(&path), "{ran}");
    Ok(())
}
