//! A backup is its manifest: refused, corrupted or unreadable, there is none.

use testbed::relay::Rule;

use super::{BOTH, assert_listed_as, assert_nothing_committed, assert_stored, bed_with, timestamp};
use crate::support::{bed, expect, impatient, marks};

/// `2025-01-01T12-00-00Z.json`, and no mark.
const MANIFEST: &str = "Z.json";

#[test]
fn a_manifest_that_is_refused_means_no_backup() {
    for rclone in BOTH {
        let bed = bed_with(rclone);
        impatient(&bed);
        let relay = bed.relay().expect("a relay");
        let rule = relay.rule(Rule::on("PUT").path(MANIFEST).status(403));
        let ran = bed.run(&["run"]).expect("started");
        assert!(relay.hits(rule) > 0, "{ran}");
        let timestamp = timestamp(&bed);
        let says = format!("no manifest: storing manifests/{timestamp}.json");
        assert_nothing_committed(&bed, &ran, &[&says, "AccessDenied"]);
        let state = bed.state().expect("a state file");
        assert_eq!(state["failed_step"], "commit", "{state:#}");
        assert_stored(&bed, &timestamp, "falkordb", "dump.rdb");
        assert_eq!(marks(&bed, &timestamp).len(), 1, "{ran}");
        assert_listed_as(&bed, &timestamp, "incomplete");
    }
}

#[test]
fn a_manifest_that_was_damaged_on_its_way_is_sent_again() {
    for rclone in BOTH {
        let bed = bed_with(rclone);
        let relay = bed.relay().expect("a relay");
        let damage = Rule::on("PUT").path(MANIFEST).times(1).corrupt_body();
        let rule = relay.rule(damage);
        let ran = expect(&bed, &["run"], 0);
        assert_eq!(relay.hits(rule), 1, "{ran}");
        let timestamp = timestamp(&bed);
        let manifest = bed.manifest(&timestamp).expect("a manifest");
        assert_eq!(manifest["timestamp"], timestamp.as_str(), "{manifest:#}");
        assert_eq!(manifest["complete"], true, "{manifest:#}");
        assert_listed_as(&bed, &timestamp, "complete");
    }
}

#[test]
fn a_manifest_that_is_damaged_every_time_means_no_backup() {
    for rclone in BOTH {
        let bed = bed_with(rclone);
        impatient(&bed);
        let relay = bed.relay().expect("a relay");
        let rule = relay.rule(Rule::on("PUT").path(MANIFEST).corrupt_body());
        let ran = bed.run(&["run"]).expect("started");
        assert!(relay.hits(rule) > 0, "{ran}");
        assert_nothing_committed(&bed, &ran, &["no manifest: "]);
        assert_listed_as(&bed, &timestamp(&bed), "incomplete");
    }
}

#[test]
fn a_manifest_that_does_not_read_back_is_no_success() {
    let bed = bed();
    impatient(&bed);
    let relay = bed.relay().expect("a relay");
    let rule = relay.rule(Rule::on("GET").path(MANIFEST).corrupt_body());
    let ran = expect(&bed, &["run"], 5);
    assert!(relay.hits(rule) > 0, "{ran}");
    let state = bed.state().expect("a state file");
    assert_eq!(state["failed_step"], "commit", "{state:#}");
    let verdict = state["verdict"].as_str().unwrap_or_default();
    assert!(verdict.contains("no manifest: "), "{verdict}");
    assert!(state["retention"].is_null(), "{state:#}");
    // What nobody could confirm must not be called a backup.
    assert_eq!(bed.committed().expect("keys"), [""; 0], "{ran}");
    assert_eq!(marks(&bed, &timestamp(&bed)).len(), 1, "{ran}");
}

#[test]
fn a_manifest_that_cannot_be_read_back_is_no_success() {
    let bed = bed();
    impatient(&bed);
    let relay = bed.relay().expect("a relay");
    let rule = relay.rule(Rule::on("GET").path(MANIFEST).status(403));
    let ran = expect(&bed, &["run"], 5);
    assert!(relay.hits(rule) > 0, "{ran}");
    let state = bed.state().expect("a state file");
    assert_eq!(state["failed_step"], "commit", "{state:#}");
    let verdict = state["verdict"].as_str().unwrap_or_default();
    let says = format!("no manifest: reading manifests/{}.json", timestamp(&bed));
    assert!(verdict.contains(&says), "{verdict}");
    // What nobody could confirm must not be called a backup.
    assert_eq!(bed.committed().expect("keys"), [""; 0], "{ran}");
}

#[test]
fn a_damaged_manifest_that_may_not_be_deleted_is_left_to_a_person_by_name() {
    let bed = bed();
    impatient(&bed);
    let relay = bed.relay().expect("a relay");
    relay.rule(Rule::on("PUT").path(MANIFEST).corrupt_body());
    let rule = relay.rule(Rule::on("DELETE").status(403));
    let ran = expect(&bed, &["run"], 5);
    assert!(relay.hits(rule) > 0, "{ran}");
    let state = bed.state().expect("a state file");
    let verdict = state["verdict"].as_str().unwrap_or_default();
    let key = format!("manifests/{}.json", timestamp(&bed));
    let says = format!("{key} may be in the bucket and damaged: delete it by hand");
    assert!(verdict.contains(&says), "{verdict}");
    // Nor does anybody else call it a backup.
    let list = expect(&bed, &["list", "--json"], 0);
    assert!(!list.stdout.contains("\"complete\""), "{list}");
    assert!(list.stderr.contains(&key), "{list}");
}
