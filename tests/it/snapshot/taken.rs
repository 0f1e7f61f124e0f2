//! A timestamp that has been used: nothing is nested into, overwritten or even looked at twice.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use anyhow::{Context, Result};
use chrono::{TimeDelta, Utc};
use serde_json::Value;
use testbed::clock::Clock;
use testbed::{Bed, Ran};

use crate::support::{bed, expect_cmd};

/// A clock that stands still, a minute from now.
struct Stopped {
    clock: Clock,
    timestamp: String,
}

impl Stopped {
    fn new(bed: &Bed) -> Result<Self> {
        let dir = bed.scratch().join("stopped");
        fs::create_dir(&dir)?;
        let clock = Clock::new(bed.tools(), &dir)?;
        let then = Utc::now() + TimeDelta::minutes(1);
        fs::write(dir.join("clock"), format!("{}\n", then.timestamp()))?;
        let timestamp = then.format("%Y-%m-%dT%H-%M-%SZ").to_string();
        Ok(Self { clock, timestamp })
    }

    fn cmd(&self, bed: &Bed, args: &[&str]) -> Command {
        let mut command = bed.cmd(args);
        command.envs(self.clock.env()).env("FAKETIME_FMT", "%s");
        command
    }
}

#[track_caller]
fn names(ran: &Ran, parts: &[&str]) {
    for part in parts {
        assert!(ran.stderr.contains(part), "{part:?} in {ran}");
    }
}

/// Refused, with these words, and written down.
#[track_caller]
fn refused(bed: &Bed, stopped: &Stopped, parts: &[&str]) {
    let ran = expect_cmd(bed, &mut stopped.cmd(bed, &["run"]), 3);
    names(&ran, parts);
    names(&ran, &["wait a second"]);
    let state = bed.state().expect("a state file");
    assert_eq!(state["exit_code"], 3);
    assert_eq!(state["timestamp"], stopped.timestamp.as_str());
    let unmet = state["unmet"].as_array().expect("a list");
    let taken = |check: &Value| {
        check["what"]
            .as_str()
            .is_some_and(|what| what.starts_with("the timestamp is free"))
    };
    assert!(!unmet.is_empty() && unmet.iter().all(taken), "{state:#}");
}

#[test]
fn what_stands_at_the_destination_is_refused_and_nothing_is_nested_in_it() -> Result<()> {
    let bed = bed();
    let stopped = Stopped::new(&bed)?;
    let name = format!("persist-{}", stopped.timestamp);
    let at = bed.snapshot_dir().join(&name);
    let shown = at.to_string_lossy().into_owned();

    // An empty directory: btrfs would exit 0 and make `persist` inside.
    fs::create_dir(&at)?;
    refused(&bed, &stopped, &[&shown, "already there"]);
    assert_eq!(fs::read_dir(&at)?.count(), 0);
    fs::remove_dir(&at)?;

    // A writable snapshot, into which btrfs would nest as well.
    bed.disk().snapshot(bed.subvolume(), &at, false)?;
    refused(&bed, &stopped, &[&shown, "already there"]);
    assert!(!at.join("persist").exists() && at.join("containers").exists());
    bed.disk().delete(&at)?;

    // A link into nowhere, and one to a directory.
    let elsewhere = bed.disk().path().join("elsewhere");
    for exists in [false, true] {
        symlink(&elsewhere, &at)?;
        refused(&bed, &stopped, &[&shown, "already there"]);
        assert_eq!(fs::read_link(&at)?, elsewhere);
        fs::remove_file(&at)?;
        if exists {
            assert_eq!(fs::read_dir(&elsewhere)?.count(), 0);
        } else {
            assert!(!elsewhere.exists());
            fs::create_dir(&elsewhere)?;
        }
    }

    assert!(
        bed.snapshots()?.is_empty() && bed.keys()?.is_empty(),
        "{:?}",
        bed.keys()?
    );

    // Free at last, the very same second is a good one.
    bed.set("export.enable", false)?;
    expect_cmd(&bed, &mut stopped.cmd(&bed, &["run"]), 0);
    assert_eq!(bed.snapshots()?, [name]);
    Ok(())
}

#[test]
fn a_second_run_within_the_second_is_refused_and_the_first_ones_backup_is_whole() -> Result<()> {
    let bed = bed();
    bed.set("export.enable", false)?;
    let stopped = Stopped::new(&bed)?;
    expect_cmd(&bed, &mut stopped.cmd(&bed, &["run"]), 0);
    let before = (
        bed.keys()?,
        bed.snapshots()?,
        bed.manifest(&stopped.timestamp)?,
    );
    refused(
        &bed,
        &stopped,
        &[&format!("persist-{}", stopped.timestamp), "already there"],
    );
    assert_eq!(
        (
            bed.keys()?,
            bed.snapshots()?,
            bed.manifest(&stopped.timestamp)?
        ),
        before
    );
    Ok(())
}

#[test]
fn a_timestamp_that_the_bucket_knows_is_refused_and_its_objects_are_unharmed() -> Result<()> {
    let bed = bed();
    bed.set("export.enable", false)?;
    let stopped = Stopped::new(&bed)?;
    let timestamp = &stopped.timestamp;
    for key in [
        format!("valkey-{timestamp}/somebody/elses.rdb"),
        format!("falkordb-{timestamp}/dump.rdb"),
        format!("manifests/{timestamp}.started.json"),
        format!("manifests/{timestamp}.files.json"),
        format!("manifests/{timestamp}.partial.json"),
        format!("manifests/{timestamp}.json"),
    ] {
        bed.s3().put(bed.bucket(), &key, b"{\"precious\": 1}")?;
        refused(&bed, &stopped, &[&key, bed.bucket()]);
        assert_eq!(bed.keys()?, [key.as_str()]);
        let bytes = bed.s3().get(bed.bucket(), &key)?.context("it is there")?;
        assert_eq!(bytes, b"{\"precious\": 1}", "{key}");
        assert!(bed.snapshots()?.is_empty(), "{key}: {:?}", bed.snapshots()?);
        let plan = expect_cmd(&bed, &mut stopped.cmd(&bed, &["run", "--dry-run"]), 0);
        assert!(plan.stdout.contains(&key), "{plan}");
        bed.s3().delete(bed.bucket(), &key)?;
    }
    // Names that only begin alike are somebody else's, and in nobody's way.
    let others = [
        format!("falkordb-{timestamp}x/dump.rdb"),
        format!("manifests/{timestamp}.json.bak"),
    ];
    for key in &others {
        bed.s3().put(bed.bucket(), key, b"other")?;
    }
    expect_cmd(&bed, &mut stopped.cmd(&bed, &["run"]), 0);
    assert_eq!(bed.committed()?, [timestamp.as_str()]);
    for key in &others {
        assert_eq!(
            bed.s3().get(bed.bucket(), key)?.as_deref(),
            Some(&b"other"[..]),
            "{key}"
        );
    }
    Ok(())
}

#[test]
fn hosts_with_prefixes_of_their_own_share_a_second() -> Result<()> {
    let bed = bed();
    bed.set("export.enable", false)?;
    let stopped = Stopped::new(&bed)?;
    expect_cmd(&bed, &mut stopped.cmd(&bed, &["run"]), 0);
    let before = bed.keys()?;
    bed.disk().delete(
        &bed.snapshot_dir()
            .join(format!("persist-{}", stopped.timestamp)),
    )?;
    bed.set("remote.prefix", "other-host/")?;
    expect_cmd(&bed, &mut stopped.cmd(&bed, &["run"]), 0);
    let mut both: Vec<String> = before
        .iter()
        .map(|key| format!("other-host/{key}"))
        .collect();
    both.extend(before);
    both.sort();
    assert_eq!(bed.keys()?, both);
    Ok(())
}
