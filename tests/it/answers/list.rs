//! `list`: what there is, here and in the bucket, one row a timestamp.

use std::fs;

use serde_json::{Value, json};
use testbed::Bed;
use testbed::process::free_port;
use testbed::relay::Rule;

use super::{everything, fields, json};
use crate::restore::by_hand::{manifest, store};
use crate::support::{bed, days_ago, expect, impatient};

const HEADER: &str = "TIMESTAMP                  AGE  LOCAL                         REMOTE  STATE         FILES        SIZE  EXPORT  HOST";

fn row<'a>(rows: &'a Value, timestamp: &str) -> &'a Value {
    let mut all = rows.as_array().expect("a list").iter();
    let found = all.find(|row| row["timestamp"] == timestamp);
    found.unwrap_or_else(|| panic!("no {timestamp} in {rows:#}"))
}

/// Runs, and gives the timestamp.
fn backup(bed: &Bed, code: i32) -> String {
    expect(bed, &["run"], code);
    let state = bed.state().expect("a state file");
    state["timestamp"].as_str().expect("text").to_owned()
}

#[test]
fn where_there_is_nothing_the_list_says_so() {
    let bed = bed();
    let ran = expect(&bed, &["list"], 0);
    assert_eq!(
        ran.stdout,
        format!("{HEADER}\nno snapshot and no backup\n"),
        "{ran}"
    );
    assert_eq!(ran.stderr, "", "{ran}");
    assert_eq!(
        json(&expect(&bed, &["list", "--json"], 0)),
        serde_json::json!([])
    );
}

#[test]
fn every_state_has_its_row_newest_first_and_nothing_is_changed() {
    let bed = bed();
    let relay = bed.relay().expect("a relay");
    impatient(&bed);

    // A snapshot of ours alone; one that somebody else left; a run that died long ago.
    let (alone, foreign, dead) = (
        "2026-01-01T00-00-00Z",
        "2026-01-02T00-00-00Z",
        "2026-01-03T00-00-00Z",
    );
    for (timestamp, readonly) in [(alone, true), (foreign, false)] {
        let at = bed.snapshot_dir().join(format!("persist-{timestamp}"));
        bed.disk()
            .snapshot(bed.subvolume(), &at, readonly)
            .expect("a snapshot");
    }
    let mark = format!("manifests/{dead}.started.json");
    bed.s3().put(bed.bucket(), &mark, b"{}").expect("put");

    let complete = backup(&bed, 0);
    bed.export_mode("exit1").expect("set");
    let no_export = backup(&bed, 6);
    let refuse = relay.rule(Rule::on("PUT").path("/falkordb-").status(403));
    let partial = backup(&bed, 5);
    relay.remove(refuse);
    relay.rule(Rule::on("PUT").path("-dump").status(403));
    let refuse = relay.rule(Rule::on("PUT").path("/dump.rdb").status(403));
    let incomplete = backup(&bed, 5);
    relay.remove(refuse);
    // The bucket alone still has it.
    let local = bed.snapshot_dir().join(format!("persist-{complete}"));
    bed.disk().delete(&local).expect("deleted");

    let before = everything(&bed);
    let rows = json(&expect(&bed, &["list", "--json"], 0));
    let order: Vec<&str> = rows
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|row| row["timestamp"].as_str())
        .collect();
    assert_eq!(
        order,
        [
            &incomplete,
            &partial,
            &no_export,
            &complete,
            dead,
            foreign,
            alone
        ],
        "{rows:#}"
    );
    for row in rows.as_array().expect("a list") {
        let names = [
            "age",
            "bytes",
            "export",
            "files",
            "host",
            "local",
            "prefix",
            "remote",
            "state",
            "timestamp",
        ];
        assert_eq!(fields(row), names, "{row:#}");
        assert!(row["age"].as_i64().is_some_and(|age| age >= 0), "{row:#}");
    }
    let two = (91 + 84).into();
    for (timestamp, state, local, files, bytes) in [
        (
            complete.as_str(),
            "complete",
            None,
            2.into(),
            Value::clone(&two),
        ),
        (&no_export, "no-export", Some("ours"), 2.into(), two),
        (&partial, "partial", Some("ours"), 1.into(), 84.into()),
        (
            &incomplete,
            "incomplete",
            Some("ours"),
            Value::Null,
            Value::Null,
        ),
        (dead, "incomplete", None, Value::Null, Value::Null),
        (alone, "local-only", Some("ours"), Value::Null, Value::Null),
    ] {
        let row = row(&rows, timestamp);
        assert_eq!(row["state"], state, "{row:#}");
        assert_eq!(row["local"].as_str(), local, "{row:#}");
        assert_eq!(row["remote"], state != "local-only", "{row:#}");
        assert_eq!((&row["files"], &row["bytes"]), (&files, &bytes), "{row:#}");
    }
    let why = row(&rows, foreign)["local"].as_str().unwrap_or_default();
    assert!(why.contains("writable"), "{why}");

    let table = expect(&bed, &["list"], 0);
    assert_eq!(table.stderr, "", "{table}");
    let lines: Vec<&str> = table.stdout.lines().collect();
    assert_eq!(lines[0], HEADER);
    assert_eq!(lines.len(), 8, "{table}");
    for (line, words) in lines[1..].iter().zip([
        [&incomplete, "ours", "yes", "incomplete", "-"],
        [&partial, "ours", "yes", "partial", "1"],
        [&no_export, "ours", "yes", "no-export", "2"],
        [&complete, "-", "yes", "complete", "2"],
        [dead, "-", "yes", "incomplete", "-"],
        [foreign, why, "-", "local only", "-"],
        [alone, "ours", "-", "local only", "-"],
    ]) {
        let mut rest = *line;
        for word in words {
            let at = rest
                .find(word)
                .unwrap_or_else(|| panic!("no {word:?} in {line:?}"));
            rest = &rest[at + word.len()..];
        }
    }
    // The export is there or not, and the host has a name.
    for (timestamp, export) in [(&complete, true), (&no_export, false), (&partial, false)] {
        let row = row(&rows, timestamp);
        assert_eq!(row["export"].is_string(), export, "{row:#}");
        assert!(row["host"].is_string(), "{row:#}");
    }
    assert_eq!(everything(&bed), before);
}

#[test]
fn what_is_nobodys_is_shown_where_all_is_asked_for() {
    let bed = bed();
    let timestamp = backup(&bed, 0);
    let foreign = ["valkey-2025-01-01T00-00-00Z/dump.rdb", "photos/cat.jpg"];
    for key in foreign {
        bed.s3().put(bed.bucket(), key, b"x").expect("put");
    }
    let rows = json(&expect(&bed, &["list", "--all", "--json"], 0));
    let of = |state: &str| -> Vec<&Value> {
        let rows = rows.as_array().expect("a list").iter();
        rows.filter(|row| row["state"] == state).collect()
    };
    let prefixes: Vec<&str> = of("foreign")
        .iter()
        .filter_map(|row| row["prefix"].as_str())
        .collect();
    assert_eq!(
        prefixes,
        ["photos/", "valkey-2025-01-01T00-00-00Z/"],
        "{rows:#}"
    );
    assert_eq!(
        of("complete")[0]["timestamp"],
        timestamp.as_str(),
        "{rows:#}"
    );
    assert_eq!(rows.as_array().map(Vec::len), Some(3), "{rows:#}");
    let table = expect(&bed, &["list", "--all"], 0);
    assert!(table.stdout.contains("\nphotos/ "), "{table}");
    let newest = expect(&bed, &["list"], 0);
    assert!(!newest.stdout.contains("photos/"), "{newest}");
}

#[test]
fn where_nothing_could_be_looked_at_nothing_is_said_to_be_there_or_not() {
    let bed = bed();
    fs::remove_file(bed.env_path()).expect("removed");
    let ran = expect(&bed, &["list"], 3);
    assert_eq!(ran.stdout, "", "{ran}");
    let ran = expect(&bed, &["list", "--json"], 3);
    assert_eq!(json(&ran), json!([]), "{ran}");
}

#[test]
fn a_bucket_that_cannot_be_asked_does_not_hide_the_snapshots() {
    let bed = bed();
    let timestamp = backup(&bed, 0);
    let port = free_port().expect("a port");
    bed.set("remote.endpoint", format!("http://127.0.0.1:{port}"))
        .expect("set");
    impatient(&bed);
    let ran = expect(&bed, &["list", "--json"], 1);
    let rows = json(&ran);
    assert_eq!(rows.as_array().map(Vec::len), Some(1), "{ran}");
    let row = row(&rows, &timestamp);
    assert_eq!(row["local"], "ours", "{ran}");
    assert_eq!(
        (&row["remote"], &row["state"]),
        (&Value::Null, &"unknown".into()),
        "{ran}"
    );
    let says = "\nerror: the bucket cannot be asked, only local snapshots are listed: ";
    assert!(ran.stderr.contains(says), "{ran}");
    assert!(ran.stderr.contains("connection refused"), "{ran}");
}

#[test]
fn a_machine_without_the_subvolume_still_lists_the_bucket() {
    let bed = bed();
    let timestamp = backup(&bed, 0);
    let elsewhere = bed.scratch().join("elsewhere");
    bed.set(
        "subvolume",
        elsewhere.join("persist").to_string_lossy().as_ref(),
    )
    .expect("set");
    bed.set(
        "snapshot_dir",
        elsewhere.join("snapshots").to_string_lossy().as_ref(),
    )
    .expect("set");
    let ran = expect(&bed, &["list", "--json"], 0);
    let rows = json(&ran);
    let row = row(&rows, &timestamp);
    assert_eq!(row["state"], "complete", "{ran}");
    assert_eq!(row["local"], Value::Null, "{ran}");
    assert_eq!(row["bytes"], 91 + 84, "{ran}");
}

#[test]
fn one_manifest_that_cannot_be_read_does_not_hide_the_others() {
    let bed = bed();
    let good = backup(&bed, 0);
    let bad = "2026-01-01T00-00-00Z";
    bed.s3()
        .put(
            bed.bucket(),
            &format!("manifests/{bad}.json"),
            b"{\"schema\":",
        )
        .expect("put");
    let ran = bed.run(&["list", "--json"]).expect("started");
    let rows = json(&ran);
    assert_eq!(row(&rows, &good)["state"], "complete", "{ran}");
    assert_ne!(row(&rows, bad)["state"], "complete", "{ran}");
    assert!(ran.stderr.contains(bad), "{ran}");
}

#[test]
fn credentials_that_are_missing_are_told_with_the_remedy_and_the_snapshots() {
    let bed = bed();
    let timestamp = backup(&bed, 0);
    fs::remove_file(bed.env_path()).expect("removed");
    let ran = expect(&bed, &["list"], 3);
    assert!(ran.stdout.contains(&timestamp), "{ran}");
    assert!(
        ran.stderr.contains("set B2_KEY_ID and B2_APP_KEY, both"),
        "{ran}"
    );
}

/// Whether the export is in it stands in the manifest.
#[test]
fn what_stands_in_a_manifest_that_was_not_read_is_a_question_mark() {
    let bed = bed();
    let backups: Vec<String> = (1..=21).map(days_ago).collect();
    for timestamp in &backups {
        let mut manifest = manifest("", timestamp, "h");
        manifest["export"] =
            json!({"outcome": "failed", "object": null, "size": null, "error": "no"});
        store(&bed, "", timestamp, &manifest);
    }
    let cells = |args: &[&str], timestamp: &str| -> Vec<String> {
        let ran = expect(&bed, args, 0);
        let line = ran.stdout.lines().find(|line| line.starts_with(timestamp));
        let words = line.expect("a row").split_whitespace().skip(5);
        words.map(str::to_owned).collect()
    };
    let (newest, last) = (&backups[0], &backups[20]);
    assert_eq!(
        cells(&["list"], newest),
        ["no-export", "2", "42", "B", "-", "h"]
    );
    assert_eq!(cells(&["list"], last), ["complete", "?", "?", "?", "?"]);
    assert_eq!(
        cells(&["list", "--all"], last),
        cells(&["list"], newest),
        "with --all it is read"
    );
}

#[test]
fn a_long_reason_moves_the_columns_of_all_rows() {
    let bed = bed();
    let timestamp = backup(&bed, 0);
    let other = bed.disk().path().join("other");
    bed.disk().subvolume(&other).expect("a subvolume");
    let name = format!("persist-{}", days_ago(1));
    let at = bed.snapshot_dir().join(name);
    bed.disk()
        .snapshot(&other, &at, true)
        .expect("another one's");
    let ran = expect(&bed, &["list"], 0);
    let column = |of: &str, word: &str| {
        let line = ran.stdout.lines().find(|line| line.starts_with(of));
        line.and_then(|line| line.find(word)).expect("a column")
    };
    let header = column("TIMESTAMP", "STATE");
    assert_eq!(column(&timestamp, "complete"), header, "{ran}");
    assert_eq!(column(&days_ago(1)[..10], "local only"), header, "{ran}");
}
