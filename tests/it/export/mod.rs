//! An export that fails costs the export alone: the datasets are committed, retention runs, and everybody is told.
//!
//! The surprise: every bed here holds a snapshot that retention takes, so that one sees whether it ran.

mod environment;
mod failures;

use std::fs;

use testbed::{Bed, Ran};

use crate::support::{bed, expect, marks};

/// A snapshot that goes at the first opportunity.
const OLD: &str = "persist-2020-01-01T00-00-00Z";

/// A bed whose retention has something to take.
fn bed_with_an_old_snapshot() -> Bed {
    let bed = bed();
    bed.set("retention.min_keep", 1).expect("set");
    age(&bed);
    bed
}

fn age(bed: &Bed) {
    let old = bed.snapshot_dir().join(OLD);
    bed.disk()
        .snapshot(bed.subvolume(), &old, true)
        .expect("an old snapshot");
}

/// Everything but the export went as it should, and everybody says why the export did not.
#[track_caller]
fn assert_only_the_export_failed(bed: &Bed, ran: &Ran, why: &str) {
    assert_eq!(ran.code, Some(6), "{ran}");
    let state = bed.state().expect("a state file");
    let timestamp = state["timestamp"].as_str().expect("a timestamp");
    let manifest = bed.manifest(timestamp).expect("a complete manifest");
    assert_eq!(manifest["complete"], true, "{manifest:#}");
    for (index, name) in ["falkordb", "valkey"].into_iter().enumerate() {
        assert_eq!(manifest["datasets"][index]["name"], name, "{manifest:#}");
        let key = format!("{name}-{timestamp}/dump.rdb");
        let stored = bed.s3().get(bed.bucket(), &key).expect("asked");
        let live = fs::read(bed.dataset(name).join("dump.rdb")).expect("read");
        assert_eq!(stored, Some(live), "{key}");
    }
    assert_eq!(marks(bed, timestamp), [""; 0], "it stays");

    for (whose, export) in [
        ("manifest", &manifest["export"]),
        ("state", &state["export"]),
    ] {
        assert_eq!(export["outcome"], "failed", "{whose}: {export:#}");
        let error = export["error"].as_str().unwrap_or_default();
        assert!(error.contains(why), "{whose}: {why:?} is not in {error:?}");
    }
    assert_eq!(state["exit_code"], 6, "{state:#}");
    assert_eq!(state["failed_step"], "export", "{state:#}");
    let verdict = state["verdict"].as_str().unwrap_or_default();
    assert!(
        verdict.contains("FAILED (exit code 6") && verdict.contains(why),
        "{verdict}"
    );
    assert!(ran.stderr.contains(verdict), "{ran}");

    let snapshots = bed.snapshots().expect("names");
    assert_eq!(
        snapshots,
        [format!("persist-{timestamp}")],
        "retention did not run"
    );
    assert_eq!(state["retention"]["snapshots"]["deleted"], 1, "{state:#}");
    let list = expect(bed, &["list"], 0);
    let row = list.stdout.lines().find(|line| line.starts_with(timestamp));
    assert!(row.is_some_and(|row| row.contains("no-export")), "{list}");
}

/// The export's objects in the bucket.
fn exports(bed: &Bed) -> Vec<String> {
    let keys = bed.keys().expect("keys");
    keys.into_iter()
        .filter(|key| key.starts_with("graphiti_export_"))
        .collect()
}
