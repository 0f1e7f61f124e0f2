//! When retention holds back, and when it cannot do its work.

use std::fs;

use anyhow::{Context, Result};
use testbed::clock::Clock;
use testbed::relay::Rule;
use testbed::{Bed, rdb_fixtures};

use super::{newest, pin, sorted, strict};
use crate::support::{bed, expect, expect_cmd, old_snapshot, wrap};

#[test]
fn one_that_will_not_go_stops_none_of_the_others() -> Result<()> {
    let bed = strict()?;
    let [_, pinned, _] = [40, 50, 60].map(|days| old_snapshot(&bed, days));
    pin(&bed, &pinned)?;
    let ran = expect(&bed, &["run"], 7);
    let run = newest(&bed)?;
    assert_eq!(bed.snapshots()?, sorted([&run, &pinned]));
    let verdict = bed.state()?["verdict"]
        .as_str()
        .context("a verdict")?
        .to_owned();
    for text in [&ran.stderr, &verdict] {
        assert!(
            text.contains(&pinned) && text.contains("exit code 7"),
            "{ran}"
        );
    }
    let state = bed.state()?;
    assert_eq!(state["exit_code"], 7);
    assert_eq!(state["failed_step"], "retention");
    assert_eq!(state["retention"]["snapshots"]["deleted"], 2, "{state:#}");
    let rows = state["retention"]["snapshots"]["rows"].as_array();
    let failed = rows
        .into_iter()
        .flatten()
        .filter(|row| !row["error"].is_null());
    let failed: Vec<_> = failed.map(|row| &row["name"]).collect();
    assert_eq!(failed, [pinned.as_str()], "{state:#}");
    Ok(())
}

#[test]
fn one_that_went_while_we_looked_at_it_is_no_error() -> Result<()> {
    for when in ["*'subvolume show '*", "*'subvolume delete '*"] {
        let bed = strict()?;
        let old = old_snapshot(&bed, 40);
        // Somebody else is quicker, just before we look, or just before we delete.
        let path = bed.snapshot_dir().join(&old);
        let path = path.display();
        let when = when.replace("show ", &format!("show {path}"));
        wrap(
            &bed,
            "btrfs",
            &format!(
                "case \"$*\" in {when}) \"$REAL\" subvolume delete {path} >&2 ;; esac\nexec \"$REAL\" \"$@\""
            ),
        );
        let ran = expect(&bed, &["run"], 0);
        assert_eq!(bed.snapshots()?, [newest(&bed)?], "{ran}");
        assert_eq!(bed.state()?["exit_code"], 0);
    }
    Ok(())
}

#[test]
fn one_that_was_swapped_while_we_looked_at_it_is_left_alone() -> Result<()> {
    let bed = strict()?;
    let old = old_snapshot(&bed, 40);
    let [path, aside] = [&old, "aside"].map(|name| bed.snapshot_dir().join(name));
    // Once we ask about it, another one has its name.
    wrap(
        &bed,
        "btrfs",
        &format!(
            "case \"$*\" in *'subvolume show {path}') [ -e {aside} ] || {{ mv {path} {aside}; \"$REAL\" subvolume snapshot {persist} {path} >&2; }} ;; esac\n\
             exec \"$REAL\" \"$@\"",
            path = path.display(),
            aside = aside.display(),
            persist = bed.subvolume().display()
        ),
    );
    let ran = bed.run(&["run"])?;
    assert!(matches!(ran.code, Some(0 | 7)), "{ran}");
    let run = newest(&bed)?;
    assert_eq!(bed.snapshots()?, sorted([&"aside".to_owned(), &old, &run]));
    assert!(path.join("containers").is_dir() && aside.join("containers").is_dir());
    Ok(())
}

/// One run with our clock off by so many minutes, of moto's.
fn off_by(bed: &Bed, minutes: i64, code: i32) -> Result<String> {
    let dir = bed.scratch().join(format!("clock-{minutes}"));
    fs::create_dir(&dir)?;
    let clock = Clock::new(bed.tools(), &dir)?;
    clock.set_offset_seconds(minutes * 60)?;
    let ran = expect_cmd(bed, bed.cmd(&["run"]).envs(clock.env()), code);
    Ok(ran.stderr)
}

#[test]
fn nothing_is_deleted_where_our_clock_and_the_buckets_are_an_hour_apart() -> Result<()> {
    let bed = strict()?;
    let old = old_snapshot(&bed, 40);
    for (minutes, runs) in [(-62, 1), (62, 2), (60 * 24 * 365, 3)] {
        let said = off_by(&bed, minutes, 7)?;
        assert!(
            said.contains("nothing was deleted") && said.contains("the bucket's clock says"),
            "{said}"
        );
        assert!(bed.snapshots()?.contains(&old), "{said}");
        // Everything is stored.
        let committed = bed.committed()?;
        assert_eq!(committed.len(), runs, "{said}");
        assert_eq!(bed.snapshots()?.len(), runs + 1, "{said}");
        let state = bed.state()?;
        assert_eq!(state["failed_step"], "retention", "{state:#}");
        let taken = state["timestamp"].as_str().context("a timestamp")?;
        assert_eq!(bed.manifest(taken)?["complete"], true);
    }
    Ok(())
}

#[test]
fn half_an_hour_between_the_clocks_is_no_reason_to_keep_everything() -> Result<()> {
    for minutes in [-30, 30] {
        let bed = strict()?;
        let old = old_snapshot(&bed, 40);
        let said = off_by(&bed, minutes, 0)?;
        assert_eq!(bed.snapshots()?, [newest(&bed)?], "{old}: {said}");
    }
    Ok(())
}

#[test]
fn nothing_is_deleted_where_the_bucket_cannot_be_asked() -> Result<()> {
    let bed = strict()?;
    bed.set(
        "remote.extra_args",
        vec!["--retries=1", "--low-level-retries=1"],
    )?;
    let old = old_snapshot(&bed, 40);
    let relay = bed.relay()?;
    let refusing = relay.rule(Rule::on("GET").status(403));
    let ran = expect(&bed, &["run"], 5);
    assert!(relay.hits(refusing) > 0);
    assert!(ran.stderr.contains("the bucket cannot be asked"), "{ran}");
    assert!(bed.keys()?.is_empty(), "{:?}", bed.keys()?);
    let state = bed.state()?;
    // The snapshot is worth having.
    let taken = format!(
        "persist-{}",
        state["timestamp"].as_str().context("a timestamp")?
    );
    assert_eq!(bed.snapshots()?, sorted([&old, &taken]));
    assert!(state["retention"].is_null(), "{state:#}");
    Ok(())
}

#[test]
fn nothing_is_deleted_where_a_dataset_is_not_stored() -> Result<()> {
    let bed = strict()?;
    let old = old_snapshot(&bed, 40);
    fs::write(
        bed.dataset("falkordb").join("dump.rdb"),
        rdb_fixtures::bit_flipped(0),
    )?;
    let ran = expect(&bed, &["run"], 5);
    let state = bed.state()?;
    let timestamp = state["timestamp"].as_str().context("a timestamp")?;
    assert_eq!(
        bed.snapshots()?,
        sorted([&old, &format!("persist-{timestamp}")]),
        "{ran}"
    );
    assert!(bed.committed()?.is_empty());
    assert!(
        bed.keys()?
            .contains(&format!("manifests/{timestamp}.partial.json"))
    );
    assert!(state["retention"].is_null(), "{state:#}");
    Ok(())
}

#[test]
fn old_ones_go_though_the_export_failed() -> Result<()> {
    let bed = bed();
    bed.set("retention.min_keep", 1)?;
    bed.export_mode("exit1")?;
    let old = old_snapshot(&bed, 40);
    let ran = expect(&bed, &["run"], 6);
    assert_eq!(bed.snapshots()?, [newest(&bed)?], "{old}: {ran}");
    assert_eq!(bed.state()?["retention"]["snapshots"]["deleted"], 1);
    Ok(())
}

#[test]
fn of_a_failed_export_and_a_failed_retention_the_export_is_the_exit_code() -> Result<()> {
    let bed = bed();
    bed.set("retention.min_keep", 1)?;
    bed.export_mode("exit1")?;
    let pinned = old_snapshot(&bed, 40);
    pin(&bed, &pinned)?;
    let ran = expect(&bed, &["run"], 6);
    let run = newest(&bed)?;
    assert_eq!(bed.snapshots()?, sorted([&run, &pinned]));
    assert!(
        ran.stderr.contains("retention failed") && ran.stderr.contains("the export failed"),
        "{ran}"
    );
    Ok(())
}
