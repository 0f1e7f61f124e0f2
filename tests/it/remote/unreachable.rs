//! An endpoint that is down, goes down, resets, or is out of service for a while and for ever.

use std::fs;
use std::time::Duration;

use testbed::process::free_port;
use testbed::relay::Rule;

use super::{BOTH, assert_listed_as, assert_nothing_committed, assert_stored, bed_with, timestamp};
use crate::support::{bed, expect, impatient, marks};

const SOON: Duration = Duration::from_secs(20);

/// Bytes that do not repeat, so that a piece out of place would show.
fn noise(mebibytes: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(mebibytes << 20);
    while bytes.len() < mebibytes << 20 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes
}

#[test]
fn an_endpoint_that_is_down_costs_the_upload_and_not_the_snapshot() {
    for rclone in BOTH {
        let bed = bed_with(rclone);
        let port = free_port().expect("a port");
        bed.set("remote.endpoint", format!("http://127.0.0.1:{port}"))
            .expect("set");
        impatient(&bed);
        let ran = bed.run(&["run"]).expect("started");
        let why = [
            "falkordb is not safely stored: the bucket cannot be asked",
            "valkey is not safely stored, for the same reason",
            "connection refused",
            "is kept",
            "its object cannot be confirmed",
        ];
        assert_nothing_committed(&bed, &ran, &why[..4]);
        let state = bed.state().expect("a state file");
        assert_eq!(state["export"]["outcome"], "failed", "{state:#}");
        let error = state["export"]["error"].as_str().unwrap_or_default();
        assert!(error.contains(why[4]), "{error}");
        let keys = bed.keys().expect("keys");
        assert!(
            keys.iter().all(|key| key.starts_with("graphiti_export_")),
            "{keys:?}"
        );
    }
}

#[test]
fn an_endpoint_that_goes_down_in_the_upload_leaves_a_marked_incomplete_backup() {
    for rclone in BOTH {
        let bed = bed_with(rclone);
        let relay = bed.relay().expect("a relay");
        impatient(&bed);
        let rule = relay.rule(Rule::on("PUT").path("/dump.rdb").stall());
        let run = bed.spawn(&["run"]).expect("started");
        relay.wait_for_hits(rule, 2, SOON).expect("both uploads");
        drop(relay);
        let ran = run.wait_timeout(Duration::from_secs(60)).expect("ended");
        let why = [
            "falkordb is not safely stored: ",
            "valkey is not safely stored: ",
            "is kept",
        ];
        assert_nothing_committed(&bed, &ran, &why);
        let timestamp = timestamp(&bed);
        assert_eq!(marks(&bed, &timestamp).len(), 1, "{ran}");

        // The network is back.
        bed.set("remote.endpoint", bed.s3().endpoint())
            .expect("set");
        assert_listed_as(&bed, &timestamp, "incomplete");
        expect(&bed, &["run"], 0);
        assert_eq!(bed.committed().expect("keys").len(), 1);
        assert_listed_as(&bed, &timestamp, "incomplete");
    }
}

#[test]
fn a_reset_in_the_middle_of_an_upload_is_survived() {
    for rclone in BOTH {
        let bed = bed_with(rclone);
        fs::write(bed.dataset("falkordb").join("noise.bin"), noise(6)).expect("written");
        let relay = bed.relay().expect("a relay");
        let reset = Rule::on("PUT").path("/noise.bin").times(1);
        let rule = relay.rule(reset.reset_after(1 << 20));
        let ran = expect(&bed, &["run"], 0);
        assert_eq!(relay.hits(rule), 1, "{ran}");
        assert_stored(&bed, &timestamp(&bed), "falkordb", "noise.bin");
    }
}

#[test]
fn resets_without_end_fail_the_dataset_and_not_the_other() {
    let bed = bed();
    fs::write(bed.dataset("falkordb").join("noise.bin"), noise(6)).expect("written");
    impatient(&bed);
    let relay = bed.relay().expect("a relay");
    let rule = relay.rule(Rule::on("PUT").path("/noise.bin").reset_after(1 << 20));
    let ran = bed.run(&["run"]).expect("started");
    assert!(relay.hits(rule) > 0, "{ran}");
    assert_nothing_committed(
        &bed,
        &ran,
        &["falkordb is not safely stored: rclone", "noise.bin"],
    );
    assert_stored(&bed, &timestamp(&bed), "valkey", "dump.rdb");
    assert_listed_as(&bed, &timestamp(&bed), "partial");
}

#[test]
fn a_reset_in_one_part_of_a_large_file_is_survived() {
    let bed = bed();
    fs::write(bed.dataset("falkordb").join("noise.bin"), noise(20)).expect("written");
    let relay = bed.relay().expect("a relay");
    let reset = Rule::on("PUT").query("partNumber=2").times(1);
    let rule = relay.rule(reset.reset_after(1 << 20));
    let ran = expect(&bed, &["run"], 0);
    assert_eq!(relay.hits(rule), 1, "{ran}");
    assert_stored(&bed, &timestamp(&bed), "falkordb", "noise.bin");
    let unfinished = bed.s3().unfinished_uploads(bed.bucket()).expect("asked");
    assert_eq!(unfinished, [""; 0], "{ran}");
}

#[test]
fn a_large_file_that_cannot_be_finished_leaves_no_parts_behind() {
    let bed = bed();
    fs::write(bed.dataset("falkordb").join("noise.bin"), noise(20)).expect("written");
    impatient(&bed);
    let relay = bed.relay().expect("a relay");
    let rule = relay.rule(Rule::on("PUT").query("partNumber=2").status(503));
    let ran = bed.run(&["run"]).expect("started");
    assert!(relay.hits(rule) > 0, "{ran}");
    assert_nothing_committed(
        &bed,
        &ran,
        &["falkordb is not safely stored: rclone", "SlowDown"],
    );
    let unfinished = bed.s3().unfinished_uploads(bed.bucket()).expect("asked");
    assert_eq!(unfinished, [""; 0], "{ran}");
}

#[test]
fn a_service_that_is_busy_for_a_while_is_waited_for() {
    for rclone in BOTH {
        let bed = bed_with(rclone);
        let relay = bed.relay().expect("a relay");
        // The first question, the uploads, the manifest.
        let rules = [
            Rule::any().times(2).status(503),
            Rule::on("PUT").path("/dump.rdb").times(4).status(503),
            Rule::on("PUT").path("Z.json").times(1).status(503),
        ]
        .map(|rule| relay.rule(rule));
        let ran = expect(&bed, &["run"], 0);
        assert_eq!(rules.map(|rule| relay.hits(rule)), [2, 4, 1], "{ran}");
        let timestamp = timestamp(&bed);
        assert_eq!(bed.committed().expect("keys"), [timestamp.as_str()]);
        assert_stored(&bed, &timestamp, "falkordb", "dump.rdb");
        assert_stored(&bed, &timestamp, "valkey", "dump.rdb");
    }
}

#[test]
fn a_service_that_is_busy_for_ever_is_named_and_the_snapshot_is_kept() {
    for rclone in BOTH {
        let bed = bed_with(rclone);
        impatient(&bed);
        let relay = bed.relay().expect("a relay");
        let rule = relay.rule(Rule::any().status(503));
        let ran = bed.run(&["run"]).expect("started");
        assert!(relay.hits(rule) > 0, "{ran}");
        let why = [
            "falkordb is not safely stored: the bucket cannot be asked",
            "valkey is not safely stored, for the same reason",
            "SlowDown",
            "503",
            "is kept",
        ];
        assert_nothing_committed(&bed, &ran, &why);
        let keys = bed.keys().expect("keys");
        assert!(
            keys.iter().all(|key| key.starts_with("graphiti_export_")),
            "{keys:?}"
        );
    }
}

#[test]
fn a_bucket_that_answers_only_after_the_snapshot_still_gets_its_backup() {
    let bed = bed();
    impatient(&bed);
    let relay = bed.relay().expect("a relay");
    let rule = relay.rule(Rule::any().close());
    let mut run = bed.spawn(&["run"]).expect("started");
    run.wait_for_stderr("taking the snapshot all the same", SOON)
        .expect("the first question failed");
    relay.remove(rule);
    let ran = run.wait_timeout(Duration::from_secs(60)).expect("ended");
    assert_eq!(ran.code, Some(0), "{ran}");
    assert_eq!(bed.committed().expect("keys"), [timestamp(&bed)]);
}
