//! stdout has answers and nothing else, stderr has the log and nothing else, and neither need be there.

use std::process::{Command, Stdio};
use std::time::Duration;

use testbed::{Bed, Running};

use super::{fields, json};
use crate::support::{bed, expect};

const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn a_run_prints_nothing_on_stdout_unless_it_is_asked() {
    let bed = bed();
    let ran = expect(&bed, &["run"], 0);
    assert_eq!(ran.stdout, "", "{ran}");
    let ran = expect(&bed, &["run", "--json", "-vv"], 0);
    let report = json(&ran);
    assert_eq!(report, bed.state().expect("a state file"), "{ran}");
    let names = [
        "datasets",
        "durations",
        "exit_code",
        "export",
        "failed_step",
        "finished",
        "free_bytes",
        "host",
        "last_failure",
        "last_success",
        "meaning",
        "retention",
        "schema",
        "snapshot",
        "snapshots",
        "timestamp",
        "tool",
        "total_bytes",
        "unmet",
        "verdict",
        "warnings",
    ];
    assert_eq!(fields(&report), names);
    assert_eq!(report["exit_code"], 0);
}

#[test]
fn a_run_that_fails_reports_as_json_too() {
    let bed = bed();
    bed.export_mode("exit1").expect("set");
    let ran = expect(&bed, &["run", "--json"], 6);
    assert_eq!(json(&ran), bed.state().expect("a state file"), "{ran}");
    // Before anything is touched, too.
    std::fs::remove_file(bed.env_path()).expect("removed");
    let ran = expect(&bed, &["run", "--json"], 3);
    let report = json(&ran);
    assert_eq!(report, bed.state().expect("a state file"), "{ran}");
    assert_eq!(report["unmet"][0]["what"], "credentials", "{ran}");
}

#[test]
fn answers_come_without_a_log() {
    let bed = bed();
    for args in [
        &["check"][..],
        &["check", "--remote"],
        &["list"],
        &["config"],
        &["run", "--dry-run"],
    ] {
        let ran = expect(&bed, args, 0);
        assert_ne!(ran.stdout, "", "{args:?}: {ran}");
        assert_eq!(ran.stderr, "", "{args:?}: {ran}");
        assert!(!ran.stdout.contains('\x1b'), "{args:?}: {ran}");
        assert!(
            ran.stdout.ends_with('\n') && !ran.stdout.ends_with("\n\n"),
            "{args:?}: {ran}"
        );
    }
}

/// Runs with a stdout that `prepare` arranges; gives exit code and stderr.
fn with_stdout(bed: &Bed, args: &[&str], stdout: Stdio) -> (Option<i32>, String) {
    let mut command: Command = bed.cmd(args);
    let child = command
        .stdin(Stdio::null())
        .stdout(stdout)
        .stderr(Stdio::piped())
        .spawn();
    let mut child = child.expect("started");
    // Nobody reads: a pipe is broken from the start.
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("an end");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), stderr)
}

#[test]
fn a_reader_that_went_away_is_no_error_and_no_panic() {
    let bed = bed();
    for args in [
        &["config"][..],
        &["config", "--json"],
        &["check"],
        &["list"],
        &["run", "--dry-run"],
        &["run", "--json", "-q"],
    ] {
        crate::support::a_new_second(&bed);
        let (code, stderr) = with_stdout(&bed, args, Stdio::piped());
        assert_eq!((code, stderr.as_str()), (Some(0), ""), "{args:?}");
    }
    assert_eq!(bed.committed().expect("keys").len(), 1);
}

#[test]
fn a_log_that_nobody_reads_does_not_stop_a_backup() {
    let bed = bed();
    let mut command = bed.cmd(&["run", "-vv"]);
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = child.expect("started");
    drop(child.stderr.take());
    assert_eq!(child.wait().expect("an end").code(), Some(0));
    assert_eq!(bed.committed().expect("keys").len(), 1);
}

#[test]
fn an_answer_that_cannot_be_written_is_not_a_success() {
    let bed = bed();
    for args in [
        &["config"][..],
        &["list", "--json"],
        &["check"],
        &["run", "--dry-run"],
    ] {
        let full = std::fs::OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .expect("a full device");
        let (code, stderr) = with_stdout(&bed, args, full.into());
        assert_eq!(code, Some(1), "{args:?}: {stderr}");
        assert!(stderr.contains("standard output"), "{args:?}: {stderr}");
    }
}

#[test]
fn streams_that_are_closed_do_not_stop_a_backup() {
    let bed = bed();
    let words = bed.cmd(&["run"]);
    let mut shell = Command::new("/bin/sh");
    shell
        .args(["-c", "exec \"$@\" <&- >&- 2>&-", "sh"])
        .arg(words.get_program())
        .args(words.get_args());
    shell.env_clear();
    shell.envs(
        words
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    let running = Running::start(&mut shell).expect("started");
    let ran = running.wait_timeout(LIMIT).expect("an end");
    assert_eq!(ran.code, Some(0), "{ran}");
    assert_eq!(bed.committed().expect("keys").len(), 1);
}
