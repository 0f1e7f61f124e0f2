//! `prune` as a command: its rows, its plan, its lock, its refusals.

use std::fs;

use anyhow::Result;
use serde_json::Value;
use testbed::clock::Clock;
use testbed::relay::Rule;
use testbed::{Bed, Rclone};

use super::{line, prune, remote};
use crate::restore::by_hand::{put, this_host};
use crate::restore::{SOON, impatient, plain};
use crate::support::{days_ago, old_snapshot};

#[test]
fn a_dry_run_says_what_would_go_and_changes_nothing() -> Result<()> {
    let bed = remote();
    bed.set("retention.min_keep", 1)?;
    let [newest, old, committed] = [2, 40, 50].map(|days| old_snapshot(&bed, days));
    let (in_bucket, gone) = (
        committed.trim_start_matches("persist-").to_owned(),
        days_ago(100),
    );
    put(&bed, "", &in_bucket, &this_host());
    put(&bed, "", &gone, &this_host());
    let before = (bed.snapshots()?, bed.keys()?);
    let relay = bed.relay()?;
    for words in [&["--dry-run", "--remote"][..], &["--dry-run"]] {
        let ran = prune(&bed, words, 0);
        assert!(
            line(&ran, &newest).contains("kept: younger than 30 days"),
            "{ran}"
        );
        assert!(
            line(&ran, &old).contains("would be deleted: older than 30 days and kept by no rule"),
            "{ran}"
        );
        assert!(
            line(&ran, &committed).contains("kept: newest complete backup"),
            "{ran}"
        );
        let bucket = |about: &str| {
            ran.stdout
                .lines()
                .find(|l| l.contains("bucket ") && l.contains(about))
                .map(str::to_owned)
        };
        match words.contains(&"--remote") {
            true => {
                assert!(
                    bucket(&gone).is_some_and(|l| l.contains("would be deleted: ")),
                    "{ran}"
                );
                assert!(
                    bucket(&in_bucket).is_some_and(|l| l.contains("kept: ")),
                    "{ran}"
                );
            }
            false => assert_eq!(bucket(&gone), None, "{ran}"),
        }
        assert_eq!((bed.snapshots()?, bed.keys()?), before, "{ran}");
    }
    let wrote =
        |r: &testbed::relay::Request| matches!(r.method.as_str(), "PUT" | "POST" | "DELETE");
    assert!(!relay.requests().iter().any(wrote));

    let ran = prune(&bed, &["--remote", "--json"], 0);
    let told: Value = serde_json::from_str(&ran.stdout)?;
    assert_eq!(
        (&told["snapshots"]["deleted"], &told["bucket"]["deleted"]),
        (&1.into(), &1.into()),
        "{told:#}"
    );
    assert!(!bed.snapshots()?.contains(&old) && bed.snapshots()?.contains(&committed));
    let ran = prune(&bed, &["--remote"], 0);
    assert!(!ran.stdout.contains("deleted"), "{ran}");
    Ok(())
}

#[test]
fn the_bucket_is_not_pruned_without_a_word_in_the_configuration() -> Result<()> {
    let bed = plain(Rclone::Old);
    bed.set("retention.min_keep", 1)?;
    let old = [2, 40, 400].map(|days| old_snapshot(&bed, days));
    for days in [1, 401, 800] {
        put(&bed, "", &days_ago(days), &this_host());
    }
    let (snapshots, keys) = (bed.snapshots()?, bed.keys()?);
    // What was asked for cannot be done: nothing is.
    for words in [&["--remote"][..], &["--remote", "--dry-run"]] {
        let ran = bed.run(&[&["prune"], words].concat())?;
        assert_eq!(ran.code, Some(2), "{ran}");
        assert!(ran.stderr.contains("[retention.remote]"), "{ran}");
        assert_eq!(
            (bed.snapshots()?, bed.keys()?),
            (snapshots.clone(), keys.clone()),
            "{old:?}: {ran}"
        );
    }
    // And without being asked for, the bucket stays as it is.
    let ran = prune(&bed, &[], 0);
    assert_eq!(bed.keys()?, keys, "{ran}");
    assert_eq!(bed.snapshots()?.len(), 1, "{ran}");
    Ok(())
}

#[test]
fn where_the_bucket_cannot_be_asked_nothing_goes() -> Result<()> {
    let bed = remote();
    bed.set("retention.min_keep", 1)?;
    let all = [2, 40, 50].map(|days| old_snapshot(&bed, days));
    put(&bed, "", &days_ago(100), &this_host());
    put(&bed, "", &days_ago(200), &this_host());
    let (snapshots, keys) = (bed.snapshots()?, bed.keys()?);
    let relay = bed.relay()?;
    let refused = relay.rule(Rule::any().status(403));
    let ran = prune(&bed, &["--remote"], 7);
    assert!(ran.stderr.contains("nothing was deleted"), "{ran}");
    relay.remove(refused);
    assert_eq!(
        (bed.snapshots()?, bed.keys()?),
        (snapshots, keys.clone()),
        "{all:?}: {ran}"
    );
    // The listing works and the manifests cannot be read: here it goes on, there nothing goes, and it says so.
    let refused = relay.rule(Rule::on("GET").path("/manifests/").status(403));
    let ran = prune(&bed, &["--remote"], 7);
    assert!(
        ran.stderr.contains("nothing was deleted in the bucket"),
        "{ran}"
    );
    assert_eq!((bed.snapshots()?.len(), bed.keys()?), (1, keys), "{ran}");
    assert!(line(&ran, &all[1]).contains("deleted: "), "{ran}");
    relay.remove(refused);
    prune(&bed, &["--remote"], 0);
    assert_eq!(bed.committed()?.len(), 1);
    Ok(())
}

fn off_by(bed: &Bed, minutes: i64, code: i32) -> Result<String> {
    let dir = bed.scratch().join(format!("clock-{minutes}"));
    fs::create_dir(&dir)?;
    let clock = Clock::new(bed.tools(), &dir)?;
    clock.set_offset_seconds(minutes * 60)?;
    let ran = bed.run_cmd(bed.cmd(&["prune", "--remote"]).envs(clock.env()))?;
    assert_eq!(ran.code, Some(code), "{minutes}: {ran}");
    Ok(ran.stderr)
}

#[test]
fn where_the_clocks_are_an_hour_apart_nothing_goes() -> Result<()> {
    let bed = remote();
    bed.set("retention.min_keep", 1)?;
    let all = [2, 40, 50].map(|days| old_snapshot(&bed, days));
    for days in [1, 100, 200] {
        put(&bed, "", &days_ago(days), &this_host());
    }
    let before = (bed.snapshots()?, bed.keys()?);
    for minutes in [-62, 62, 60 * 24 * 365] {
        let said = off_by(&bed, minutes, 7)?;
        assert!(
            said.contains("nothing was deleted") && said.contains("clock"),
            "{said}"
        );
        assert_eq!((bed.snapshots()?, bed.keys()?), before, "{all:?}: {said}");
    }
    off_by(&bed, 30, 0)?;
    assert_eq!((bed.snapshots()?.len(), bed.committed()?.len()), (1, 1));
    Ok(())
}

#[test]
fn it_keeps_out_of_a_runs_way() -> Result<()> {
    let bed = remote();
    bed.set("retention.min_keep", 1)?;
    let old = old_snapshot(&bed, 40);
    put(&bed, "", &days_ago(100), &this_host());
    let keys = bed.keys()?;
    let relay = bed.relay()?;
    let held = relay.rule(Rule::on("PUT").path("/valkey-").stall());
    let mut run = bed.spawn(&["run"])?;
    run.wait_until("the upload", SOON, |_| relay.hits(held) > 0)?;
    for words in [&["prune", "--remote"][..], &["prune", "--dry-run"]] {
        let ran = bed.run(words)?;
        assert_eq!(ran.code, Some(75), "{ran}");
        assert!(ran.stderr.contains("nothing was done"), "{ran}");
    }
    assert!(bed.snapshots()?.contains(&old));
    assert!(
        keys.iter()
            .all(|key| bed.keys().is_ok_and(|now| now.contains(key)))
    );
    assert!(
        !bed.state_path().exists(),
        "only a run writes the state file"
    );
    relay.clear();
    let ran = run.wait_timeout(SOON)?;
    assert_eq!(ran.code, Some(0), "{ran}");
    assert!(!bed.snapshots()?.contains(&old));

    // A prune holds it too.
    put(&bed, "", &days_ago(100), &this_host());
    let held = relay.rule(Rule::on("DELETE").stall());
    let mut pruning = bed.spawn(&["prune", "--remote"])?;
    pruning.wait_until("the deletion", SOON, |_| relay.hits(held) > 0)?;
    let ran = bed.run(&["run"])?;
    assert_eq!(ran.code, Some(75), "{ran}");
    relay.clear();
    let ran = pruning.wait_timeout(SOON)?;
    assert_eq!(ran.code, Some(0), "{ran}");
    Ok(())
}

#[test]
fn where_there_is_nothing_to_prune_it_says_so() {
    let bed = remote();
    impatient(&bed);
    let ran = prune(&bed, &["--remote"], 0);
    assert_eq!(ran.stdout, "nothing to prune\n", "{ran}");
}
