//! Two runs at once.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use testbed::relay::Rule;

use crate::support::{a_new_second, bed, expect};

const LIMIT: Duration = Duration::from_secs(30);

#[test]
fn of_two_runs_one_works_and_the_other_leaves_at_once_without_a_trace() -> Result<()> {
    let bed = bed();
    bed.set("export.enable", false)?;
    expect(&bed, &["run"], 0);
    let state = fs::read(bed.state_path())?;
    let relay = bed.relay()?;
    let held = relay.rule(Rule::on("PUT").path("/falkordb-").stall());
    a_new_second(&bed);
    let first = bed.spawn(&["run"])?;
    relay.wait_for_hits(held, 1, LIMIT)?;
    // A run begins by listing the bucket's root, which nothing after that does; the first one's other
    // dataset is still at work.
    let questions = || {
        let requests = relay.requests().into_iter();
        requests
            .filter(|request| request.method == "GET" && request.query.ends_with("prefix="))
            .count()
    };
    let (snapshots, asked) = (bed.snapshots()?, questions());
    assert!(asked > 0, "{:?}", relay.requests());
    assert_eq!(snapshots.len(), 2);

    // It ends while the other is still held: it did not wait.
    let second = expect(&bed, &["run"], 75);
    assert!(
        second.stderr.contains("another run is under way"),
        "{second}"
    );
    assert!(second.stderr.contains("75"), "{second}");
    assert_eq!(bed.snapshots()?, snapshots);
    assert_eq!(questions(), asked, "it asked the bucket");
    assert_eq!(
        fs::read(bed.state_path())?,
        state,
        "only the holder writes the state file"
    );

    relay.clear();
    let first = first.wait_timeout(LIMIT)?;
    assert_eq!(first.code, Some(0), "{first}");
    let committed = bed.committed()?;
    assert_eq!(committed.len(), 2);
    assert_eq!(bed.snapshots()?, snapshots);
    let newest = committed.last().context("two")?;
    assert_eq!(bed.state()?["timestamp"], newest.as_str());

    // The lock goes with its holder.
    expect(&bed, &["run"], 0);
    Ok(())
}

#[test]
fn a_run_that_finds_a_prerequisite_missing_does_not_hide_the_verdict_of_the_one_at_work()
-> Result<()> {
    let bed = bed();
    bed.set("export.enable", false)?;
    let relay = bed.relay()?;
    let held = relay.rule(Rule::on("PUT").path("/valkey-").stall());
    let first = bed.spawn(&["run"])?;
    relay.wait_for_hits(held, 1, LIMIT)?;
    let mut second = bed.cmd(&["run"]);
    second.env("PATH", bed.path_without(&["rclone"])?);
    let second = bed.run_cmd(&mut second)?;
    assert!(matches!(second.code, Some(3 | 75)), "{second}");
    assert!(!bed.state_path().exists());
    relay.clear();
    let first = first.wait_timeout(LIMIT)?;
    assert_eq!(first.code, Some(0), "{first}");
    assert_eq!(bed.state()?["exit_code"], 0);
    Ok(())
}
