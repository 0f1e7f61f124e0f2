//! `check`: every prerequisite, its state, and the remedy.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::{everything, fields, json};
use crate::support::{bed, expect};

/// In the order in which they are printed.
const ALL: [&str; 15] = [
    "setpriv",
    "btrfs",
    "rclone",
    "the export's program",
    "the export's script",
    "the configuration",
    "the subvolume",
    "the snapshot directory",
    "both on one file system",
    "free space",
    "dataset falkordb",
    "dataset valkey",
    "capabilities",
    "credentials",
    "rclone's version",
];

#[test]
fn a_host_that_is_ready_is_told_so_check_by_check() {
    let bed = bed();
    let before = everything(&bed);
    let ran = expect(&bed, &["check", "--json"], 0);
    assert_eq!(ran.stderr, "", "{ran}");
    let answer = json(&ran);
    assert_eq!(fields(&answer), ["checks", "ready"]);
    assert_eq!(answer["ready"], true, "{answer:#}");
    let checks = answer["checks"].as_array().expect("a list");
    let names: Vec<&str> = checks
        .iter()
        .filter_map(|check| check["what"].as_str())
        .collect();
    assert_eq!(names, ALL);
    for check in checks {
        assert_eq!(fields(check), ["found", "state", "what"], "{check:#}");
        assert_eq!(check["state"], "ok", "{check:#}");
    }
    let found = |what: &str| {
        let check = checks.iter().find(|check| check["what"] == what);
        check
            .and_then(|check| check["found"].as_str())
            .unwrap_or_default()
    };
    assert_eq!(found("the subvolume"), bed.subvolume().to_string_lossy());
    assert_eq!(
        found("dataset valkey"),
        bed.dataset("valkey").to_string_lossy()
    );
    assert_eq!(
        found("credentials"),
        format!("from {}", bed.env_path().display())
    );
    assert!(found("rclone's version").starts_with("v1.60.1"), "{ran}");
    assert_eq!(everything(&bed), before);
}

#[test]
fn the_table_has_a_row_for_each_check_and_the_state_first() {
    let bed = bed();
    let answer = json(&expect(&bed, &["check", "--json"], 0));
    let table = expect(&bed, &["check"], 0);
    assert_eq!(table.stderr, "", "{table}");
    let checks = answer["checks"].as_array().expect("a list");
    // The longest name decides the width.
    let expected: Vec<String> = checks
        .iter()
        .map(|check| {
            let text = |key: &str| check[key].as_str().unwrap_or_default();
            format!("ok       {:23}  {}", text("what"), text("found"))
        })
        .collect();
    assert_eq!(
        table.stdout.lines().collect::<Vec<_>>(),
        expected,
        "{table}"
    );
}

#[test]
fn what_is_unmet_stands_beside_what_is_met_with_its_remedy() {
    let bed = bed();
    fs::remove_file(bed.env_path()).expect("removed");
    fs::remove_file(bed.script_path()).expect("removed");
    let ran = expect(&bed, &["check", "--json"], 3);
    let answer = json(&ran);
    assert_eq!(answer["ready"], false, "{answer:#}");
    let checks = answer["checks"].as_array().expect("a list");
    let unmet: Vec<_> = checks
        .iter()
        .filter(|check| check["state"] == "unmet")
        .collect();
    let names: Vec<&str> = unmet
        .iter()
        .filter_map(|check| check["what"].as_str())
        .collect();
    assert_eq!(names, ["the export's script", "credentials"], "{answer:#}");
    for check in unmet {
        assert_eq!(
            fields(check),
            ["found", "remedy", "state", "what"],
            "{check:#}"
        );
    }
    let table = expect(&bed, &["check"], 3).stdout;
    let script = bed.script_path();
    for line in [
        format!(
            "UNMET    the export's script      {}: No such file",
            script.display()
        ),
        format!(
            "{:34}-> put it there, correct export.command, or set export.enable = false",
            ""
        ),
        "UNMET    credentials              B2_KEY_ID and B2_APP_KEY were found in none of: "
            .to_owned(),
        format!("{:34}-> set B2_KEY_ID and B2_APP_KEY, both,", ""),
        "ok       capabilities ".to_owned(),
    ] {
        assert!(
            table.lines().any(|row| row.starts_with(&line)),
            "{line:?} begins no row of\n{table}"
        );
    }
}

#[test]
fn a_subvolume_within_a_dataset_is_found_before_a_run_meets_it() {
    let bed = bed();
    let nested = bed.dataset("valkey").join("deep/nested");
    fs::create_dir_all(nested.parent().expect("a folder")).expect("made");
    bed.disk().subvolume(&nested).expect("a subvolume");
    let answer = json(&expect(&bed, &["check", "--json"], 0));
    let checks = answer["checks"].as_array().expect("a list");
    let warned: Vec<_> = checks
        .iter()
        .filter(|check| check["state"] == "warning")
        .collect();
    assert_eq!(warned.len(), 1, "{answer:#}");
    assert_eq!(warned[0]["what"], "all of dataset valkey is in a snapshot");
    let found = warned[0]["found"].as_str().unwrap_or_default();
    assert!(found.contains(&*nested.to_string_lossy()), "{found}");
}

#[test]
fn keys_that_everybody_may_read_are_warned_of() {
    let bed = bed();
    let mode = |mode| fs::set_permissions(bed.env_path(), fs::Permissions::from_mode(mode));
    let credentials = || {
        let answer = json(&expect(&bed, &["check", "--json"], 0));
        let mut checks = answer["checks"].as_array().expect("a list").iter();
        checks
            .find(|check| check["what"] == "credentials")
            .expect("it is there")
            .clone()
    };
    mode(0o644).expect("set");
    let open = credentials();
    assert_eq!(open["state"], "warning", "{open:#}");
    mode(0o640).expect("set");
    assert_eq!(credentials()["state"], "ok");
}
