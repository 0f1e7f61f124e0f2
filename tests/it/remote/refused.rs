//! Keys that are wrong or may do too little, and a bucket that is not there.

use std::path::Path;

use testbed::relay::Rule;
use testbed::s3::KEY_ID;
use testbed::{Bed, Server};

use super::{BOTH, assert_listed_as, assert_nothing_committed, bed_with, timestamp};
use crate::support::{BIN, expect, impatient, marks};

#[test]
fn a_wrong_key_stores_nothing_keeps_the_snapshot_and_is_told() {
    for rclone in BOTH {
        let bed = bed_with(rclone);
        let relay = bed.relay().expect("a relay");
        let rule = relay.rule(Rule::any().key_id_is_not(KEY_ID).status(403));
        bed.write_env(&[("B2_KEY_ID", "005somebodyelse0000000001")])
            .expect("written");
        impatient(&bed);
        let ran = bed.run(&["run"]).expect("started");
        assert!(relay.hits(rule) > 0, "{ran}");
        let why = [
            "falkordb is not safely stored: the bucket cannot be asked",
            "valkey is not safely stored, for the same reason",
            "InvalidAccessKeyId",
            "compare B2_KEY_ID and B2_APP_KEY",
            "is kept",
        ];
        assert_nothing_committed(&bed, &ran, &why);
        // Once in the one sentence that is read at three in the morning.
        let state = bed.state().expect("a state file");
        let verdict = state["verdict"].as_str().unwrap_or_default();
        assert_eq!(verdict.matches("compare B2_KEY_ID").count(), 1, "{verdict}");
        for word in ["valkey is not safely stored", "no manifest"] {
            let same = format!("{word}, for the same reason");
            assert!(verdict.contains(&same), "{same:?}: {verdict}");
        }
        assert_eq!(bed.keys().expect("keys"), [""; 0], "{ran}");
    }
}

#[test]
fn a_right_key_id_with_a_wrong_secret_stores_nothing() {
    let bed = Bed::builder(Path::new(BIN)).s3(Server::RcloneServe).build();
    let bed = bed.expect("a test bed");
    bed.write_env(&[("B2_APP_KEY", "K005not/the/right+secret000042")])
        .expect("written");
    impatient(&bed);
    let ran = bed.run(&["run"]).expect("started");
    assert_nothing_committed(&bed, &ran, &["SignatureDoesNotMatch", "is kept"]);
    assert_eq!(bed.keys().expect("keys"), [""; 0], "{ran}");
    assert!(!ran.to_string().contains("K005not"), "{ran}");
}

#[test]
fn a_bucket_that_is_not_there_is_named_and_not_created() {
    for rclone in BOTH {
        let bed = bed_with(rclone);
        let missing = format!("{}-missing", bed.bucket());
        bed.set("remote.bucket", missing.as_str()).expect("set");
        impatient(&bed);
        let ran = bed.run(&["run"]).expect("started");
        assert_nothing_committed(&bed, &ran, &[&missing, "remote.bucket", "is kept"]);
        assert!(!bed.s3().has_bucket(&missing).expect("asked"), "{ran}");
        assert_eq!(bed.keys().expect("keys"), [""; 0], "{ran}");
    }
}

#[test]
fn a_key_that_may_not_create_buckets_is_never_asked_to() {
    for rclone in BOTH {
        let bed = bed_with(rclone);
        let relay = bed.relay().expect("a relay");
        expect(&bed, &["check", "--remote"], 0);
        expect(&bed, &["run"], 0);
        let bucket = format!("/{}", bed.bucket());
        let requests = relay.requests();
        assert!(requests.iter().any(|request| request.method == "PUT"));
        let create = requests.iter().find(|request| {
            request.method == "PUT" && request.path.trim_end_matches('/') == bucket
        });
        assert_eq!(create, None);
    }
}

#[test]
fn a_key_that_may_not_write_leaves_nothing_and_the_snapshot_is_kept() {
    let bed = bed_with(BOTH[0]);
    let relay = bed.relay().expect("a relay");
    relay.rule(Rule::on("PUT").status(403));
    impatient(&bed);
    let ran = bed.run(&["run"]).expect("started");
    let why = ["the started mark could not be stored", "403", "is kept"];
    assert_nothing_committed(&bed, &ran, &why);
    let keys = bed.keys().expect("keys");
    // The export goes another way, which nobody closed.
    assert!(
        keys.iter().all(|key| key.starts_with("graphiti_export_")),
        "{keys:?}"
    );
}

#[test]
fn a_key_that_may_not_delete_makes_complete_backups_all_the_same() {
    for rclone in BOTH {
        let bed = bed_with(rclone);
        let relay = bed.relay().expect("a relay");
        let rule = relay.rule(Rule::on("DELETE").status(403));
        impatient(&bed);
        let ran = expect(&bed, &["run"], 0);
        assert!(relay.hits(rule) > 0, "{ran}");
        let timestamp = timestamp(&bed);
        assert_eq!(bed.committed().expect("keys"), [timestamp.as_str()]);
        assert_eq!(marks(&bed, &timestamp).len(), 1, "{ran}");
        assert_listed_as(&bed, &timestamp, "complete");
        assert_eq!(bed.state().expect("a state file")["exit_code"], 0, "{ran}");
    }
}
