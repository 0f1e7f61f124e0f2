//! `check --remote`: what the credentials can do, proven by doing it.

use std::path::Path;

use serde_json::Value;
use testbed::relay::Rule;
use testbed::s3::KEY_ID;
use testbed::{Bed, Rclone};

use super::{everything, json};
use crate::support::{BIN, bed, expect, impatient};

const PROBE: &str = "manifests/check.probe";

/// One check of `check --remote --json`, which exits with this code.
#[track_caller]
fn check(bed: &Bed, code: i32, what: &str) -> Value {
    let answer = json(&expect(bed, &["check", "--remote", "--json"], code));
    assert_eq!(answer["ready"], code == 0, "{answer:#}");
    let checks = answer["checks"].as_array().expect("a list");
    let found = checks.iter().find(|check| check["what"] == what);
    found
        .unwrap_or_else(|| panic!("no {what:?} in {answer:#}"))
        .clone()
}

#[track_caller]
fn assert_unmet(check: &Value, found: &str, remedy: &str) {
    assert_eq!(check["state"], "unmet", "{check:#}");
    for (key, text) in [("found", found), ("remedy", remedy)] {
        let said = check[key].as_str().unwrap_or_default();
        assert!(said.contains(text), "{text:?} is not in {said:?}");
    }
}

#[test]
fn the_bucket_is_listed_written_read_and_cleaned() {
    for rclone in [Rclone::Old, Rclone::New] {
        let bed = Bed::builder(Path::new(BIN)).rclone(rclone).build();
        let bed = bed.expect("a test bed");
        let relay = bed.relay().expect("a relay");
        let before = everything(&bed);
        let ran = expect(&bed, &["check", "--remote"], 0);
        assert_eq!(ran.stderr, "", "{ran}");
        for row in [
            "the bucket can be listed",
            "the bucket's clock",
            "the bucket can be written",
            "the bucket can be read",
            "the bucket's objects can be deleted",
            "deleted objects go",
        ] {
            let row = format!("ok       {row:35}  ");
            assert!(
                ran.stdout.lines().any(|line| line.starts_with(&row)),
                "{row}: {ran}"
            );
        }
        for method in ["PUT", "GET", "DELETE"] {
            let probed = relay.requests().into_iter().any(|request| {
                request.method == method
                    && request.path.ends_with(PROBE)
                    && request.status.is_some_and(|status| status < 300)
            });
            assert!(probed, "no {method} of {PROBE}: {:#?}", relay.requests());
        }
        assert_eq!(everything(&bed), before);
    }
}

#[test]
fn deleted_objects_that_stay_hidden_are_told_with_the_rule_that_ends_them() {
    for rclone in [Rclone::Old, Rclone::New] {
        let bed = Bed::builder(Path::new(BIN)).rclone(rclone).clock().build();
        let bed = bed.expect("a test bed");
        let what = "deleted objects go";
        let gone = check(&bed, 0, what);
        assert_eq!(gone["state"], "ok", "{gone:#}");
        assert_eq!(
            gone["found"], "the bucket keeps no hidden versions",
            "{gone:#}"
        );

        bed.s3().keep_versions(bed.bucket()).expect("kept");
        let rule = "keep only the last version";
        let young = check(&bed, 0, what);
        assert_eq!(young["state"], "ok", "{young:#}");
        let said = young["found"].as_str().unwrap_or_default();
        assert!(
            said.contains("hidden versions") && said.contains(rule),
            "{young:#}"
        );

        // Days later they are still there: nobody has made the rule.
        bed.clock()
            .expect("a clock")
            .set_offset_days(4)
            .expect("set");
        let old = check(&bed, 0, what);
        assert_eq!(old["state"], "warning", "{old:#}");
        let said = old["remedy"].as_str().unwrap_or_default();
        assert!(said.contains(rule), "{old:#}");
    }
}

#[test]
fn a_plain_check_does_not_touch_the_network() {
    let bed = bed();
    let relay = bed.relay().expect("a relay");
    expect(&bed, &["check"], 0);
    assert_eq!(relay.requests(), []);
}

#[test]
fn a_wrong_key_cannot_list_and_is_told() {
    let bed = bed();
    impatient(&bed);
    let relay = bed.relay().expect("a relay");
    relay.rule(Rule::any().key_id_is_not(KEY_ID).status(403));
    bed.write_env(&[("B2_KEY_ID", "005somebodyelse0000000001")])
        .expect("written");
    let check = check(&bed, 3, "the bucket can be listed");
    assert_unmet(
        &check,
        "InvalidAccessKeyId",
        "compare B2_KEY_ID and B2_APP_KEY",
    );
    assert_unmet(&check, bed.bucket(), "the application key");
}

#[test]
fn a_bucket_that_is_not_there_is_named_and_not_created() {
    let bed = bed();
    impatient(&bed);
    let missing = format!("{}-missing", bed.bucket());
    bed.set("remote.bucket", missing.as_str()).expect("set");
    let check = check(&bed, 3, "the bucket can be listed");
    assert_unmet(&check, &missing, "check remote.bucket and remote.endpoint");
    assert!(!bed.s3().has_bucket(&missing).expect("asked"));
}

#[test]
fn an_endpoint_that_is_down_is_told() {
    let bed = bed();
    impatient(&bed);
    let port = testbed::process::free_port().expect("a port");
    bed.set("remote.endpoint", format!("http://127.0.0.1:{port}"))
        .expect("set");
    let check = check(&bed, 3, "the bucket can be listed");
    assert_unmet(&check, "connection refused", "remote.endpoint");
}

#[test]
fn a_key_that_may_not_write_is_told_which_right_it_lacks() {
    let bed = bed();
    impatient(&bed);
    let relay = bed.relay().expect("a relay");
    relay.rule(Rule::on("PUT").status(403));
    let check = check(&bed, 3, "the bucket can be written");
    assert_unmet(&check, "AccessDenied", "writeFiles");
    assert_eq!(bed.keys().expect("keys"), [""; 0]);
}

#[test]
fn a_key_that_may_not_read_is_told_which_right_it_lacks() {
    let bed = bed();
    impatient(&bed);
    let relay = bed.relay().expect("a relay");
    relay.rule(Rule::on("GET").path(PROBE).status(403));
    let check = check(&bed, 3, "the bucket can be read");
    assert_unmet(&check, "AccessDenied", "readFiles");
    assert_eq!(bed.keys().expect("keys"), [""; 0], "the probe stays");
}

#[test]
fn a_key_that_may_not_delete_is_the_better_one_unless_the_bucket_is_pruned() {
    let bed = bed();
    impatient(&bed);
    let relay = bed.relay().expect("a relay");
    relay.rule(Rule::on("DELETE").status(403));
    let what = "the bucket's objects can be deleted";
    let met = check(&bed, 0, what);
    assert_eq!(met["state"], "ok", "{met:#}");
    let found = met["found"].as_str().unwrap_or_default();
    assert!(
        found.contains("a stolen key cannot delete backups"),
        "{found}"
    );
    assert!(found.contains(PROBE), "{found}");

    bed.set("retention.remote.days", 90).expect("set");
    assert_unmet(
        &check(&bed, 3, what),
        "AccessDenied",
        "deleteFiles, or remove [retention.remote]",
    );
}

#[test]
fn an_argument_that_this_rclone_does_not_know_is_named_with_the_remedy() {
    for (rclone, code) in [(Rclone::Old, 3), (Rclone::New, 0)] {
        let bed = Bed::builder(Path::new(BIN)).rclone(rclone).build();
        let bed = bed.expect("a test bed");
        bed.set("remote.extra_args", vec!["--s3-use-x-id=false"])
            .expect("set");
        let answer = json(&expect(&bed, &["check", "--json"], code));
        let checks = answer["checks"].as_array().expect("a list");
        let version = checks
            .iter()
            .find(|check| check["what"] == "rclone's version");
        let version = version.expect("a check");
        match rclone {
            Rclone::Old => assert_unmet(version, "--s3-use-x-id", "install a newer rclone"),
            Rclone::New => assert_eq!(version["found"], "v1.75.2", "{version:#}"),
        }
    }
}

#[test]
fn a_bandwidth_that_rclone_refuses_stops_a_run_before_anything() {
    for rclone in [Rclone::Old, Rclone::New] {
        let bed = Bed::builder(Path::new(BIN)).rclone(rclone).build();
        let bed = bed.expect("a test bed");
        bed.set("remote.bandwidth", "fast").expect("set");
        for command in [&["run"][..], &["run", "--dry-run"], &["check"]] {
            let ran = expect(&bed, command, 3);
            let told = format!("{}{}", ran.stdout, ran.stderr);
            for words in ["fast", "correct remote.bandwidth or remote.extra_args"] {
                assert!(told.contains(words), "{words:?} is not in {ran}");
            }
        }
        assert_eq!(bed.snapshots().expect("names"), [""; 0]);
        assert_eq!(bed.keys().expect("keys"), [""; 0]);
    }
}
