//! The network's bad days: what a run stores, keeps and says when the bucket refuses, stalls, resets or lies.
//!
//! The surprise: the number of retries is set low in tests of what fails for ever. rclone's defaults end as well,
//! minutes later.

mod commit;
mod mark;
mod one_of_two;
mod refused;
mod surroundings;
mod unreachable;
mod verify;

use std::path::Path;

use testbed::{Bed, Ran, Rclone};

use crate::support::{BIN, expect};

/// Both versions that are supported.
const BOTH: [Rclone; 2] = [Rclone::Old, Rclone::New];

/// A bed with this rclone.
fn bed_with(rclone: Rclone) -> Bed {
    let bed = Bed::builder(Path::new(BIN)).rclone(rclone).build();
    bed.expect("a test bed; `cargo xtask test` installs what it needs")
}

/// The run's timestamp.
fn timestamp(bed: &Bed) -> String {
    let state = bed.state().expect("a state file");
    state["timestamp"].as_str().expect("text").to_owned()
}

/// An object of one of the datasets is what the live file is.
#[track_caller]
fn assert_stored(bed: &Bed, timestamp: &str, dataset: &str, file: &str) {
    let key = format!("{dataset}-{timestamp}/{file}");
    let stored = bed.s3().get(bed.bucket(), &key).expect("asked");
    let live = std::fs::read(bed.dataset(dataset).join(file)).expect("read");
    let stored = stored.unwrap_or_else(|| panic!("no {key} among {:?}", bed.keys()));
    assert!(stored == live, "{key} is not what {dataset}/{file} is");
}

/// Exit 5, the snapshot kept, no complete manifest; state file and verdict say all of this.
#[track_caller]
fn assert_nothing_committed(bed: &Bed, ran: &Ran, why: &[&str]) {
    assert_eq!(ran.code, Some(5), "{ran}");
    let timestamp = timestamp(bed);
    let snapshot = format!("persist-{timestamp}");
    assert_eq!(bed.snapshots().expect("names"), [snapshot.as_str()]);
    let keys = bed.keys().expect("keys");
    let manifest = format!("manifests/{timestamp}.json");
    assert!(!keys.contains(&manifest), "{keys:?}\n{ran}");

    let state = bed.state().expect("a state file");
    assert_eq!(state["exit_code"], 5, "{state:#}");
    assert!(state["retention"].is_null(), "{state:#}");
    let verdict = state["verdict"].as_str().unwrap_or_default();
    assert!(ran.stderr.contains(verdict), "{ran}");
    assert!(verdict.contains("FAILED (exit code 5"), "{verdict}");
    for word in why {
        assert!(verdict.contains(word), "{word:?} is not in {verdict}");
    }
}

/// What `list` says of a timestamp.
#[track_caller]
fn assert_listed_as(bed: &Bed, timestamp: &str, state: &str) {
    let list = expect(bed, &["list", "--json"], 0);
    let rows: serde_json::Value = serde_json::from_str(&list.stdout).expect("JSON");
    let mut rows = rows.as_array().expect("rows").iter();
    let row = rows.find(|row| row["timestamp"] == timestamp);
    assert_eq!(row.expect("a row")["state"], state, "{list}");
}
