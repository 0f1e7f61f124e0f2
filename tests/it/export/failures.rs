//! The ways in which a script fails, lies, hangs and dies.

use std::fs;
use std::time::Duration;

use testbed::s3::APP_KEY;

use super::{age, assert_only_the_export_failed, bed_with_an_old_snapshot, exports};
use crate::support::{a_new_second, expect};

/// How long a child that was killed may take to be gone.
const GONE: Duration = Duration::from_secs(5);

#[test]
fn a_script_that_exits_with_1_is_told_with_its_own_last_words() {
    let bed = bed_with_an_old_snapshot();
    bed.export_mode("exit1").expect("set");
    let ran = expect(&bed, &["run"], 6);
    assert_only_the_export_failed(&bed, &ran, "the export exited with 1");
    assert_only_the_export_failed(&bed, &ran, "RuntimeError: the graph is locked");
    assert!(exports(&bed).is_empty());
}

#[test]
fn a_success_that_uploaded_nothing_is_caught() {
    let bed = bed_with_an_old_snapshot();
    bed.export_mode("lie").expect("set");
    let ran = expect(&bed, &["run"], 6);
    assert_only_the_export_failed(&bed, &ran, "the script exited with 0, but graphiti_export_");
    assert_only_the_export_failed(&bed, &ran, ".json is not in the bucket");
}

#[test]
fn an_empty_object_is_caught() {
    let bed = bed_with_an_old_snapshot();
    bed.export_mode("empty").expect("set");
    let ran = expect(&bed, &["run"], 6);
    let [object] = &exports(&bed)[..] else {
        panic!("not one export: {:?}", bed.keys())
    };
    assert_only_the_export_failed(&bed, &ran, &format!("{object} is empty"));
}

#[test]
fn an_object_that_was_there_before_is_no_proof() {
    let bed = bed_with_an_old_snapshot();
    expect(&bed, &["run"], 0);
    age(&bed);
    let [object] = &exports(&bed)[..] else {
        panic!("not one export: {:?}", bed.keys())
    };
    bed.write_env(&[("FIXTURE_MODE", "stale"), ("FIXTURE_OBJECT", object)])
        .expect("written");
    // The first run's own snapshot has to go for the assertions below; its second must have passed then.
    a_new_second(&bed);
    let first = &bed.snapshots().expect("names")[1];
    bed.disk()
        .delete(&bed.snapshot_dir().join(first))
        .expect("deleted");
    let ran = expect(&bed, &["run"], 6);
    let why = format!("{object} was in the bucket before this run");
    assert_only_the_export_failed(&bed, &ran, &why);
}

#[test]
fn an_object_that_nobody_names_is_not_confirmed() {
    let bed = bed_with_an_old_snapshot();
    bed.export_mode("silent").expect("set");
    let ran = expect(&bed, &["run"], 6);
    assert_eq!(exports(&bed).len(), 1, "{:?}", bed.keys());
    assert_only_the_export_failed(&bed, &ran, "it named no object (graphiti_export_*.json)");
}

#[test]
fn a_script_that_fails_after_its_upload_has_failed_and_its_object_is_remembered() {
    let bed = bed_with_an_old_snapshot();
    let real = bed.scratch().join("real.py");
    fs::rename(bed.script_path(), &real).expect("renamed");
    let script = format!(
        "import subprocess, sys\n\
         subprocess.check_call([sys.executable, {real:?}, *sys.argv[1:]])\n\
         sys.exit('stored, and then this')\n"
    );
    fs::write(bed.script_path(), script).expect("written");
    let ran = expect(&bed, &["run"], 6);
    assert_only_the_export_failed(&bed, &ran, "stored, and then this");
    let [object] = &exports(&bed)[..] else {
        panic!("not one export: {:?}", bed.keys())
    };
    let state = bed.state().expect("a state file");
    assert_eq!(state["export"]["object"], object.as_str(), "{state:#}");
    assert!(state["export"]["size"].as_u64() > Some(0), "{state:#}");
}

#[test]
fn a_script_that_fails_before_it_names_its_object_has_failed() {
    let bed = bed_with_an_old_snapshot();
    bed.export_mode("upload-fail-late").expect("set");
    let ran = expect(&bed, &["run"], 6);
    assert_eq!(exports(&bed).len(), 1, "{:?}", bed.keys());
    assert_only_the_export_failed(&bed, &ran, "RuntimeError: stored, and then this");
}

#[test]
fn a_script_that_hangs_is_stopped_at_its_timeout() {
    let bed = bed_with_an_old_snapshot();
    bed.export_mode("hang").expect("set");
    bed.set("export.timeout", "2s").expect("set");
    let ran = expect(&bed, &["run"], 6);
    assert_eq!(bed.leftovers_after(GONE), [""; 0]);
    assert!(ran.took > Duration::from_secs(2), "{ran}");
    assert!(ran.took < Duration::from_secs(20), "{ran}");
    assert_only_the_export_failed(&bed, &ran, "ran longer than 2 s and was stopped");
}

#[test]
fn a_deaf_script_and_its_deaf_child_are_killed() {
    let bed = bed_with_an_old_snapshot();
    bed.export_mode("ignore-term").expect("set");
    bed.set("export.timeout", "2s").expect("set");
    let ran = expect(&bed, &["run"], 6);
    assert!(ran.stderr.contains("export: deaf"), "{ran}");
    // Both of them mention the script, the child as its argument.
    assert_eq!(bed.leftovers_after(GONE), [""; 0]);
    assert_only_the_export_failed(&bed, &ran, "ran longer than 2 s and was stopped");
}

#[test]
fn a_script_that_is_killed_is_told_with_the_signal() {
    let bed = bed_with_an_old_snapshot();
    bed.export_mode("crash").expect("set");
    let ran = expect(&bed, &["run"], 6);
    assert_only_the_export_failed(&bed, &ran, "the export was killed by SIGKILL");
}

#[test]
fn a_key_that_the_script_prints_is_nowhere_to_be_read() {
    let bed = bed_with_an_old_snapshot();
    bed.export_mode("leak").expect("set");
    let ran = expect(&bed, &["run", "-vv", "--json"], 6);
    assert_only_the_export_failed(&bed, &ran, "cannot log in with ");
    assert!(!ran.to_string().contains(APP_KEY), "{ran}");
    let state = fs::read_to_string(bed.state_path()).expect("a state file");
    assert!(!state.contains(APP_KEY), "{state}");
    for key in bed.keys().expect("keys") {
        let bytes = bed.s3().get(bed.bucket(), &key).expect("asked");
        let text = String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned();
        assert!(!text.contains(APP_KEY), "{key}: {text}");
    }
}

#[test]
fn a_b2_that_stays_out_of_service_fails_the_export_alone() {
    let bed = bed_with_an_old_snapshot();
    bed.b2().fail_uploads(503);
    let ran = expect(&bed, &["run"], 6);
    assert_only_the_export_failed(&bed, &ran, "MaxRetriesExceeded");
    assert!(exports(&bed).is_empty());
}

#[test]
fn a_key_that_b2_does_not_know_fails_the_export_alone() {
    let bed = bed_with_an_old_snapshot();
    // moto checks no signatures: it is B2 alone that refuses.
    bed.write_env(&[("B2_APP_KEY", "K005anything/but/the+right/one0")])
        .expect("written");
    let ran = expect(&bed, &["run"], 6);
    assert_only_the_export_failed(&bed, &ran, "Unauthorized");
    assert!(exports(&bed).is_empty());
}

#[test]
fn a_dataset_that_fails_beside_the_export_decides_the_exit_code() {
    let bed = bed_with_an_old_snapshot();
    bed.export_mode("exit1").expect("set");
    fs::remove_file(bed.dataset("valkey").join("dump.rdb")).expect("removed");
    let ran = expect(&bed, &["run"], 5);
    let state = bed.state().expect("a state file");
    assert_eq!(state["exit_code"], 5, "{state:#}");
    assert_eq!(state["export"]["outcome"], "failed", "{state:#}");
    let verdict = state["verdict"].as_str().unwrap_or_default();
    assert!(verdict.contains("valkey is not safely stored"), "{verdict}");
    assert!(verdict.contains("the graph is locked"), "{verdict}");
    assert_eq!(bed.committed().expect("keys"), [""; 0], "{ran}");
    let partial = format!(
        "manifests/{}.partial.json",
        state["timestamp"].as_str().unwrap_or_default()
    );
    let partial = bed.json(&partial).expect("a partial manifest");
    assert_eq!(partial["complete"], false, "{partial:#}");
    assert_eq!(partial["export"]["outcome"], "failed", "{partial:#}");
    let snapshots = bed.snapshots().expect("names");
    assert_eq!(snapshots.len(), 2, "retention ran: {snapshots:?}");
}
