//! One dataset is refused: the other one is stored, and a partial manifest says which.

use std::thread::sleep;
use std::time::Duration;

use testbed::Rclone;
use testbed::relay::Rule;

use super::{BOTH, assert_listed_as, assert_nothing_committed, assert_stored, bed_with, timestamp};
use crate::support::{expect, impatient, marks};

fn one_is_refused(rclone: Rclone, failing: &str, other: &str, status: u16, word: &str) {
    let bed = bed_with(rclone);
    impatient(&bed);
    let relay = bed.relay().expect("a relay");
    let path = format!("/{failing}-");
    let rule = relay.rule(Rule::on("PUT").path(&path).status(status));
    let ran = bed.run(&["run"]).expect("started");
    assert!(relay.hits(rule) > 0, "{ran}");

    let says = format!("{failing} is not safely stored: rclone exited with");
    assert_nothing_committed(&bed, &ran, &[&says, word, "is kept"]);
    let timestamp = timestamp(&bed);
    assert_stored(&bed, &timestamp, other, "dump.rdb");
    let keys = bed.keys().expect("keys");
    assert!(!keys.iter().any(|key| key.starts_with(failing)), "{keys:?}");
    assert_eq!(marks(&bed, &timestamp).len(), 1, "{keys:?}");

    let partial = bed.json(&format!("manifests/{timestamp}.partial.json"));
    let partial = partial.expect("a partial manifest");
    assert_eq!(partial["complete"], false, "{partial:#}");
    let names = |list: &serde_json::Value| -> Vec<String> {
        let list = list.as_array().expect("a list").iter();
        list.map(|item| item["name"].as_str().unwrap_or_default().to_owned())
            .collect()
    };
    assert_eq!(names(&partial["datasets"]), [other], "{partial:#}");
    assert_eq!(names(&partial["failed"]), [failing], "{partial:#}");
    let error = partial["failed"][0]["error"].as_str().unwrap_or_default();
    assert!(error.contains(word), "{error}");
    assert_eq!(partial["export"]["outcome"], "stored", "{partial:#}");

    let state = bed.state().expect("a state file");
    assert_eq!(state["failed_step"], "upload", "{state:#}");
    for dataset in state["datasets"].as_array().expect("datasets") {
        let failed = dataset["name"] == failing;
        assert_eq!(dataset["error"].is_string(), failed, "{state:#}");
    }
    assert_listed_as(&bed, &timestamp, "partial");
}

#[test]
fn a_dataset_that_may_not_be_written_does_not_stop_the_other() {
    one_is_refused(Rclone::Old, "falkordb", "valkey", 403, "AccessDenied");
    one_is_refused(Rclone::New, "valkey", "falkordb", 403, "AccessDenied");
}

#[test]
fn a_dataset_that_meets_a_busy_service_for_ever_does_not_stop_the_other() {
    one_is_refused(Rclone::Old, "valkey", "falkordb", 503, "SlowDown");
    one_is_refused(Rclone::New, "falkordb", "valkey", 503, "SlowDown");
}

/// It looks for a manifest that the failed one did not write.
#[test]
fn the_run_after_a_failed_one_warns_of_nothing() {
    for rclone in BOTH {
        let bed = bed_with(rclone);
        impatient(&bed);
        let relay = bed.relay().expect("a relay");
        let rule = relay.rule(Rule::on("PUT").path("/valkey-").status(403));
        expect(&bed, &["run"], 5);
        relay.remove(rule);
        sleep(Duration::from_millis(1100));
        let ran = expect(&bed, &["run"], 0);
        assert!(!ran.stderr.contains("warning"), "{ran}");
    }
}
