//! A configuration that is refused stops everything, before anything: one verdict, exit 2.

use std::fs;

use crate::support::{bed, expect};

#[test]
fn a_run_with_a_refused_configuration_gives_one_verdict_and_touches_nothing() {
    let bed = bed();
    let relay = bed.relay().expect("a relay");
    bed.set("retention.days", 0).expect("set");
    bed.set("remote.colour", "red").expect("set");
    for args in [&["run"][..], &["run", "--json"], &["run", "--dry-run"]] {
        let ran = expect(&bed, args, 2);
        assert_eq!(ran.stdout, "", "{ran}");
        for key in ["retention.days", "remote.colour"] {
            let told = ran.stderr.lines().filter(|line| line.contains(key));
            assert_eq!(told.count(), 1, "{key}: {ran}");
        }
        let verdicts: Vec<&str> = ran
            .stderr
            .lines()
            .filter(|line| line.contains("no backup was made (exit code 2"))
            .collect();
        let expected = if args.contains(&"--dry-run") { 0 } else { 1 };
        assert_eq!(verdicts.len(), expected, "{ran}");
        let source = bed.config_path();
        let counted = format!("2 problems in the configuration {}", source.display());
        assert!(
            verdicts.iter().all(|verdict| verdict.contains(&counted)),
            "{ran}"
        );
    }
    assert_eq!(bed.snapshots().expect("names"), [""; 0]);
    assert_eq!(bed.keys().expect("keys"), [""; 0]);
    assert_eq!(relay.requests(), []);
    assert!(!bed.state_path().exists());
    assert_eq!(bed.b2().calls(), [""; 0]);
}

#[test]
fn check_and_list_with_a_refused_configuration_touch_nothing_either() {
    let bed = bed();
    let relay = bed.relay().expect("a relay");
    bed.set("remote.extra_args", vec!["--rc"]).expect("set");
    for args in [&["check", "--remote"][..], &["list"], &["list", "--json"]] {
        let ran = expect(&bed, args, 2);
        assert_eq!(ran.stdout, "", "{ran}");
        assert!(
            ran.stderr
                .contains("remote.extra_args: --rc is not among the allowed flags"),
            "{ran}"
        );
        assert_eq!(ran.stderr.lines().count(), 1, "{ran}");
    }
    assert_eq!(relay.requests(), []);
    assert_eq!(bed.keys().expect("keys"), [""; 0]);
}

#[test]
fn one_problem_is_counted_as_one() {
    let bed = bed();
    bed.set("retention.days", 0).expect("set");
    let ran = expect(&bed, &["run"], 2);
    assert!(
        ran.stderr.contains("1 problem in the configuration"),
        "{ran}"
    );
}

#[test]
fn config_asks_nobody_and_needs_no_credentials() {
    let bed = bed();
    let relay = bed.relay().expect("a relay");
    fs::remove_file(bed.env_path()).expect("removed");
    fs::remove_file(bed.script_path()).expect("removed");
    let ran = expect(&bed, &["config"], 0);
    assert_eq!(ran.stderr, "", "{ran}");
    assert_eq!(relay.requests(), []);
    let bucket = format!("bucket = \"{}\"", bed.bucket());
    assert!(ran.stdout.contains(&bucket), "{ran}");
}
