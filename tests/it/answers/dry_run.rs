//! `run --dry-run`: the plan, its commands fit to be pasted, and not a thing changed.

use std::fs;
use std::process::Command;

use serde_json::Value;
use testbed::s3::{APP_KEY, KEY_ID};
use testbed::{Bed, Ran, Running};

use super::{everything, fields, json};
use crate::support::{a_new_second, bed, expect, impatient};

/// A folder name that a shell would take apart.
const AWKWARD: &str = "containers/it's $HOME; \"all\" of * it";

fn step<'a>(plan: &'a Value, step: &str, dataset: &Value) -> &'a str {
    let mut steps = plan["steps"].as_array().expect("steps").iter();
    let found = steps.find(|planned| planned["step"] == step && planned["dataset"] == *dataset);
    found
        .and_then(|found| found["command"].as_str())
        .expect("a command")
}

/// A shell with the keys and nothing else, as the plan's head describes it.
fn paste(plan: &Value, command: &str) -> Ran {
    let environment: Vec<&str> = plan["environment"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    let line = format!("env -i {} {command}", environment.join(" "));
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", &line]).current_dir("/").env_clear();
    shell
        .env("PATH", "/usr/bin:/bin")
        .env("B2_KEY_ID", KEY_ID)
        .env("B2_APP_KEY", APP_KEY);
    let running = Running::start(&mut shell).expect("a shell");
    running
        .wait_timeout(std::time::Duration::from_secs(60))
        .expect("an end")
}

fn assert_pasted(plan: &Value, command: &str) -> Ran {
    let ran = paste(plan, command);
    assert_eq!(ran.code, Some(0), "{command}\n{ran}");
    ran
}

#[test]
fn the_plan_has_the_literal_commands_and_changes_nothing() {
    let bed = bed();
    let before = everything(&bed);
    let ran = expect(&bed, &["run", "--dry-run"], 0);
    assert_eq!(ran.stderr, "", "{ran}");
    assert_eq!(everything(&bed), before);

    let first = ran.stdout.lines().next().unwrap_or_default();
    let timestamp = first
        .strip_prefix("# the plan of ")
        .and_then(|rest| rest.split(';').next());
    let timestamp = timestamp.expect("a timestamp");
    let snapshot = bed.snapshot_dir().join(format!("persist-{timestamp}"));
    let (snapshot, bucket) = (snapshot.display(), bed.bucket());
    let endpoint = bed.s3().endpoint();
    let begun = format!("manifests/{timestamp}.");
    let nonce = ran
        .stdout
        .split(&begun)
        .nth(1)
        .and_then(|rest| rest.get(..16));
    let nonce = nonce.expect("the mark's nonce");
    let remote = format!("--s3-provider Other --s3-endpoint {endpoint} ");
    let expected = [
        format!(
            "/btrfs subvolume snapshot -r {} {snapshot}\n",
            bed.subvolume().display()
        ),
        format!(
            "/rclone sync {snapshot}/containers/falkordb s3:{bucket}/falkordb-{timestamp} {remote}"
        ),
        format!(
            "/rclone sync {snapshot}/containers/valkey s3:{bucket}/valkey-{timestamp} {remote}"
        ),
        format!("/rclone rcat s3:{bucket}/manifests/{timestamp}.{nonce}.started.json {remote}"),
        format!("/python3 {} export\n", bed.script_path().display()),
        format!("/rclone rcat s3:{bucket}/manifests/{timestamp}.files.json {remote}"),
        format!("/rclone rcat s3:{bucket}/manifests/{timestamp}.json {remote}"),
        format!(
            "/rclone deletefile s3:{bucket}/manifests/{timestamp}.{nonce}.started.json {remote}"
        ),
    ];
    for line in &expected {
        assert!(
            ran.stdout.contains(line.as_str()),
            "{line:?} is not in {ran}"
        );
    }
    // The snapshot comes before anything is uploaded; the file list comes before the summary.
    let at = |text: &str| ran.stdout.find(text).unwrap_or(usize::MAX);
    assert!(
        at(&expected[0]) < at(&expected[1]) && at(&expected[0]) < at(&expected[2]),
        "{ran}"
    );
    assert!(at(&expected[4]) < at(&expected[5]), "{ran}");
    assert!(at(&expected[5]) < at(&expected[6]), "{ran}");
    assert!(
        !ran.stdout.contains(KEY_ID) && !ran.stdout.contains(APP_KEY),
        "{ran}"
    );
}

#[test]
fn the_plan_as_json_holds_the_same_commands() {
    let bed = bed();
    let before = everything(&bed);
    let ran = expect(&bed, &["run", "--dry-run", "--json"], 0);
    assert_eq!(everything(&bed), before);
    let plan = json(&ran);
    assert_eq!(
        fields(&plan),
        ["environment", "notes", "retention", "steps", "timestamp"]
    );
    assert_eq!(plan["notes"], serde_json::json!([]), "{plan:#}");
    let steps = plan["steps"].as_array().expect("steps");
    for planned in steps {
        assert_eq!(
            fields(planned),
            ["command", "dataset", "step"],
            "{planned:#}"
        );
    }
    let order: Vec<&str> = steps
        .iter()
        .filter_map(|planned| planned["step"].as_str())
        .collect();
    let expected = [
        "mark", "mark", "mark", "snapshot", "upload", "verify", "upload", "verify", "export",
        "commit", "commit", "commit", "commit", "commit",
    ];
    assert_eq!(order, expected);
    assert!(
        !ran.stdout.contains(KEY_ID) && !ran.stdout.contains(APP_KEY),
        "{ran}"
    );
}

#[test]
fn the_printed_commands_work_when_pasted_into_a_shell() {
    let bed = bed();
    let awkward = bed.subvolume().join(AWKWARD);
    fs::rename(bed.dataset("falkordb"), &awkward).expect("renamed");
    bed.set("datasets.falkordb.path", AWKWARD).expect("set");
    fs::write(awkward.join("temp-123.rdb"), "half").expect("written");
    let plan = json(&expect(&bed, &["run", "--dry-run", "--json"], 0));
    let timestamp = plan["timestamp"].as_str().expect("text").to_owned();

    assert_pasted(&plan, step(&plan, "mark", &Value::Null));
    assert_pasted(&plan, step(&plan, "snapshot", &Value::Null));
    for dataset in ["falkordb", "valkey"] {
        assert_pasted(&plan, step(&plan, "upload", &dataset.into()));
        let listed = assert_pasted(&plan, step(&plan, "verify", &dataset.into()));
        assert!(listed.stdout.contains("dump.rdb"), "{listed}");
    }
    assert_eq!(
        bed.snapshots().expect("names"),
        [format!("persist-{timestamp}")]
    );
    // What is no part of a backup stayed behind.
    let expected = [
        format!("falkordb-{timestamp}/dump.rdb"),
        format!("valkey-{timestamp}/dump.rdb"),
    ];
    assert_eq!(bed.keys().expect("keys"), expected);
    let stored = bed.s3().get(bed.bucket(), &expected[0]).expect("asked");
    assert_eq!(
        stored,
        Some(fs::read(awkward.join("dump.rdb")).expect("read"))
    );
}

#[test]
fn the_plan_says_which_snapshots_would_go_and_the_command_works() {
    let bed = bed();
    bed.set("retention.min_keep", 1).expect("set");
    let old = bed.snapshot_dir().join("persist-2020-01-01T00-00-00Z");
    bed.disk()
        .snapshot(bed.subvolume(), &old, true)
        .expect("a snapshot");
    let text = expect(&bed, &["run", "--dry-run"], 0);
    let row = "#   persist-2020-01-01T00-00-00Z  deleted: older than 30 days and kept by no rule\n";
    assert!(text.stdout.contains(row), "{text}");
    assert_eq!(bed.snapshots().expect("names").len(), 1, "{text}");
    let plan = json(&expect(&bed, &["run", "--dry-run", "--json"], 0));
    let command = step(&plan, "retention", &Value::Null);
    assert!(command.contains("btrfs subvolume delete "), "{command}");
    assert_pasted(&plan, command);
    assert_eq!(bed.snapshots().expect("names"), [""; 0]);
}

#[test]
fn a_plan_for_a_bucket_that_cannot_be_asked_says_so() {
    let bed = bed();
    impatient(&bed);
    let port = testbed::process::free_port().expect("a port");
    bed.set("remote.endpoint", format!("http://127.0.0.1:{port}"))
        .expect("set");
    let ran = expect(&bed, &["run", "--dry-run"], 0);
    assert!(
        ran.stdout.contains("# note: the bucket cannot be asked ("),
        "{ran}"
    );
    assert!(
        ran.stdout.contains("# note: nothing would be deleted: "),
        "{ran}"
    );
    assert!(ran.stdout.contains("connection refused"), "{ran}");
}

#[test]
fn a_dry_run_on_a_host_that_is_not_ready_names_what_is_unmet() {
    let bed: Bed = bed();
    fs::remove_file(bed.env_path()).expect("removed");
    let before = everything(&bed);
    let ran = expect(&bed, &["run", "--dry-run"], 3);
    assert_eq!(ran.stdout, "", "{ran}");
    assert!(ran.stderr.contains("credentials: "), "{ran}");
    assert!(
        ran.stderr.contains("set B2_KEY_ID and B2_APP_KEY, both"),
        "{ran}"
    );
    assert_eq!(everything(&bed), before);
}

/// How what arrived is asked about depends on how it goes: in parts or not, and how many.
#[test]
fn the_plan_asks_what_a_run_asks() {
    let bed = bed();
    let large = |name: &str| {
        let file = bed.dataset("valkey").join(name);
        fs::write(file, vec![1; 16 << 20]).expect("a file");
    };
    let kinds = |lines: &mut dyn Iterator<Item = String>| {
        let (mut asked, mut listed) = (false, false);
        for line in lines.filter(|line| line.contains("/valkey-")) {
            asked |= line.contains("rclone hashsum MD5");
            listed |= line.contains("rclone lsjson") && line.contains("--hash");
        }
        (asked, listed)
    };
    let compare = |expected| {
        let plan = json(&expect(&bed, &["run", "--dry-run", "--json"], 0));
        let steps = plan["steps"].as_array().expect("steps").iter();
        let commands = steps.filter_map(|step| Some(step["command"].as_str()?.to_owned()));
        assert_eq!(kinds(&mut commands.into_iter()), expected, "{plan}");
        let ran = expect(&bed, &["run", "-v"], 0);
        let mut lines = ran.stderr.lines().map(str::to_owned);
        assert_eq!(kinds(&mut lines), expected, "{ran}");
        a_new_second(&bed);
    };
    compare((false, true));
    large("a");
    large("b");
    compare((false, true));
    large("c");
    compare((true, false));
    fs::remove_file(bed.dataset("valkey").join("a")).expect("it goes");
    bed.set("remote.extra_args", vec!["--s3-upload-cutoff=8M"])
        .expect("a setting");
    compare((true, false));
}
