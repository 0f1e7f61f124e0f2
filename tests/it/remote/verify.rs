//! What the bucket lists equals what the snapshot holds, or there is no backup.
//!
//! The surprise: rclone and the server find what is damaged on its way. So the objects are changed behind
//! their backs, while the relay holds the listing that verifies.

use std::time::Duration;

use testbed::relay::{Relay, Rule};
use testbed::{Bed, Ran};

use super::{BOTH, assert_listed_as, assert_nothing_committed, assert_stored, bed_with, timestamp};
use crate::support::{bed, expect, impatient};

const SOON: Duration = Duration::from_secs(20);

/// The listing that verifies falkordb: the second one of its prefix, after that of the upload.
const LISTING: &str = "prefix=falkordb-";

#[test]
fn an_upload_that_was_damaged_on_its_way_is_sent_again() {
    for rclone in BOTH {
        let bed = bed_with(rclone);
        let relay = bed.relay().expect("a relay");
        let damage = Rule::on("PUT").path("/falkordb-").times(1).corrupt_body();
        let rule = relay.rule(damage);
        let ran = expect(&bed, &["run"], 0);
        assert_eq!(relay.hits(rule), 1, "{ran}");
        assert_stored(&bed, &timestamp(&bed), "falkordb", "dump.rdb");
    }
}

#[test]
fn an_upload_that_is_damaged_every_time_is_never_part_of_a_backup() {
    for rclone in BOTH {
        let bed = bed_with(rclone);
        impatient(&bed);
        let relay = bed.relay().expect("a relay");
        let rule = relay.rule(Rule::on("PUT").path("/falkordb-").corrupt_body());
        let ran = bed.run(&["run"]).expect("started");
        assert!(relay.hits(rule) > 0, "{ran}");
        assert_nothing_committed(&bed, &ran, &["falkordb is not safely stored: "]);
        assert_listed_as(&bed, &timestamp(&bed), "partial");
        assert_stored(&bed, &timestamp(&bed), "valkey", "dump.rdb");
    }
}

/// Runs, and lets `change` at the bucket between upload and verification. It is told falkordb's prefix.
fn tampered(bed: &Bed, relay: &Relay, change: impl FnOnce(&str)) -> Ran {
    let rule = relay.rule(Rule::on("GET").query(LISTING).skip(1).stall());
    let run = bed.spawn(&["run"]).expect("started");
    relay.wait_for_hits(rule, 1, SOON).expect("the listing");
    let keys = bed.keys().expect("keys");
    let key = keys.iter().find(|key| key.starts_with("falkordb-"));
    let (prefix, _) = key.and_then(|key| key.split_once('/')).expect("a prefix");
    change(prefix);
    relay.remove(rule);
    run.wait_timeout(Duration::from_secs(60)).expect("ended")
}

fn damaged(bed: &Bed) -> Vec<u8> {
    let mut bytes = std::fs::read(bed.dataset("falkordb").join("dump.rdb")).expect("read");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    bytes
}

#[test]
fn an_object_of_the_same_size_with_other_bytes_is_noticed_and_mended() {
    let bed = bed();
    let relay = bed.relay().expect("a relay");
    let ran = tampered(&bed, &relay, |prefix| {
        let key = format!("{prefix}/dump.rdb");
        bed.s3()
            .put(bed.bucket(), &key, &damaged(&bed))
            .expect("put");
    });
    assert_eq!(ran.code, Some(0), "{ran}");
    assert!(
        ran.stderr
            .contains("dump.rdb has other contents (MD5); sending again"),
        "{ran}"
    );
    assert_stored(&bed, &timestamp(&bed), "falkordb", "dump.rdb");
    assert_listed_as(&bed, &timestamp(&bed), "complete");
}

#[test]
fn an_object_that_went_missing_and_one_too_many_are_noticed_and_mended() {
    let bed = bed();
    let relay = bed.relay().expect("a relay");
    let ran = tampered(&bed, &relay, |prefix| {
        let bucket = bed.bucket();
        bed.s3()
            .delete(bucket, &format!("{prefix}/dump.rdb"))
            .expect("deleted");
        bed.s3()
            .put(bucket, &format!("{prefix}/more.rdb"), b"x")
            .expect("put");
    });
    assert_eq!(ran.code, Some(0), "{ran}");
    assert!(
        ran.stderr.contains("more.rdb is there and should not be"),
        "{ran}"
    );
    assert!(ran.stderr.contains("dump.rdb is missing"), "{ran}");
    assert_stored(&bed, &timestamp(&bed), "falkordb", "dump.rdb");
    let keys = bed.keys().expect("keys");
    assert!(
        !keys.iter().any(|key| key.ends_with("more.rdb")),
        "{keys:?}"
    );
}

#[test]
fn a_difference_that_cannot_be_mended_fails_the_dataset() {
    let bed = bed();
    impatient(&bed);
    let relay = bed.relay().expect("a relay");
    let ran = tampered(&bed, &relay, |prefix| {
        let key = format!("{prefix}/dump.rdb");
        bed.s3()
            .put(bed.bucket(), &key, &damaged(&bed))
            .expect("put");
        relay.rule(Rule::on("PUT").path("/falkordb-").status(403));
    });
    let why = [
        "falkordb is not safely stored: ",
        "dump.rdb has other contents (MD5)",
    ];
    assert_nothing_committed(&bed, &ran, &why);
    let state = bed.state().expect("a state file");
    assert_eq!(state["failed_step"], "verify", "{state:#}");
    assert_listed_as(&bed, &timestamp(&bed), "partial");
}

#[test]
fn a_listing_that_is_refused_proves_nothing() {
    for rclone in BOTH {
        let bed = bed_with(rclone);
        impatient(&bed);
        let relay = bed.relay().expect("a relay");
        let rule = relay.rule(Rule::on("GET").query(LISTING).skip(1).status(403));
        let ran = bed.run(&["run"]).expect("started");
        assert!(relay.hits(rule) > 0, "{ran}");
        let says = format!(
            "falkordb is not safely stored: listing falkordb-{}",
            timestamp(&bed)
        );
        assert_nothing_committed(&bed, &ran, &[&says, "AccessDenied"]);
        let state = bed.state().expect("a state file");
        assert_eq!(state["failed_step"], "verify", "{state:#}");
        assert_listed_as(&bed, &timestamp(&bed), "partial");
    }
}
