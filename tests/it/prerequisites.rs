//! What has to hold before a run: whatever does not is named with its remedy, and nothing is touched.

mod bucket;
mod credentials;
mod directory;
mod subvolume;
mod tools;

use std::fs;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;
use testbed::{Bed, Ran};

use crate::support::{bed, expect_cmd};

/// What has to be said: what is asked for, what was found, what to do about it.
type Said<'a> = (&'a str, &'a str, &'a str);

/// The host and the bucket, as far as a refused run could have changed them.
fn picture(bed: &Bed) -> Result<(Vec<String>, Vec<String>, bool)> {
    // A missing directory is a prerequisite as well.
    let mut names = Vec::new();
    for entry in fs::read_dir(bed.disk().path())?.flatten() {
        names.push(entry.path().display().to_string());
        for entry in fs::read_dir(entry.path()).into_iter().flatten().flatten() {
            names.push(entry.path().display().to_string());
        }
    }
    names.sort();
    Ok((names, bed.keys()?, bed.s3().has_bucket(bed.bucket())?))
}

#[track_caller]
fn say(text: &str, ran: &Ran, all: &[Said<'_>]) {
    for (what, found, remedy) in all {
        for part in [what, found, remedy] {
            assert!(text.contains(part), "{part:?} in {ran}");
        }
    }
}

/// `run`, `run --dry-run` and `check` all refuse, say all of it, and change nothing; the run writes down what it was.
#[track_caller]
fn refused(bed: &Bed, change: impl Fn(&mut Command), all: &[Said<'_>]) {
    refusals(bed, change, all).expect("the bed answers");
}

#[track_caller]
fn refusals(bed: &Bed, change: impl Fn(&mut Command), all: &[Said<'_>]) -> Result<()> {
    let before = picture(bed)?;
    let go = |args: &[&str]| {
        let mut command = bed.cmd(args);
        change(&mut command);
        let ran = expect_cmd(bed, &mut command, 3);
        for secret in [testbed::s3::APP_KEY, testbed::s3::KEY_ID] {
            assert!(!ran.to_string().contains(secret), "{ran}");
        }
        ran
    };

    fs::remove_file(bed.state_path()).ok();
    let ran = go(&["run", "--dry-run"]);
    say(&ran.stderr, &ran, all);
    assert!(!bed.state_path().exists(), "{ran}");
    assert_eq!(picture(bed)?, before, "{ran}");

    let ran = go(&["check"]);
    say(&ran.stdout, &ran, all);
    let unmet: Vec<&str> = ran
        .stdout
        .lines()
        .filter(|line| line.starts_with("UNMET"))
        .collect();
    assert_eq!(unmet.len(), all.len(), "{ran}");
    for (what, found, _) in all {
        assert!(
            unmet
                .iter()
                .any(|line| line.contains(what) && line.contains(found)),
            "{what}: {ran}"
        );
    }
    assert_eq!(picture(bed)?, before, "{ran}");

    let ran = go(&["check", "--json"]);
    let answer: Value = serde_json::from_str(&ran.stdout).with_context(|| ran.to_string())?;
    assert_eq!(answer["ready"], false);
    let checks = answer["checks"].as_array().context("checks")?;
    said(checks.iter().filter(|check| check["state"] == "unmet"), all);
    assert_eq!(picture(bed)?, before, "{ran}");

    let ran = go(&["run"]);
    say(&ran.stderr, &ran, all);
    assert_eq!(picture(bed)?, before, "{ran}");
    let state = bed.state()?;
    assert_eq!(state["exit_code"], 3, "{state:#}");
    assert_eq!(state["failed_step"], "preflight", "{state:#}");
    assert!(
        state["snapshot"].is_null() && state["datasets"] == Value::Array(Vec::new()),
        "{state:#}"
    );
    said(state["unmet"].as_array().context("unmet")?.iter(), all);
    let verdict = state["verdict"].as_str().context("a verdict")?;
    assert!(
        verdict.contains("exit code 3") && ran.stderr.contains(verdict),
        "{ran}"
    );
    for (what, ..) in all {
        assert!(verdict.contains(what), "{what:?} in {verdict}");
    }
    Ok(())
}

/// These unmet ones and no others.
#[track_caller]
fn said<'v>(unmet: impl Iterator<Item = &'v Value>, all: &[Said<'_>]) {
    let unmet: Vec<&Value> = unmet.collect();
    assert_eq!(unmet.len(), all.len(), "{unmet:#?}");
    for (what, found, remedy) in all {
        let has = |check: &Value, field: &str, part: &str| {
            check[field]
                .as_str()
                .is_some_and(|text| text.contains(part))
        };
        assert!(
            unmet.iter().any(|check| has(check, "what", what)
                && has(check, "found", found)
                && has(check, "remedy", remedy)),
            "{what}: {unmet:#?}"
        );
    }
}

#[test]
fn three_that_are_missing_at_once_are_all_named() -> Result<()> {
    let bed = bed();
    let path = bed.path_without(&["rclone"])?;
    fs::remove_file(bed.env_path())?;
    bed.disk().delete(bed.snapshot_dir())?;
    refused(
        &bed,
        |command| {
            command.env("PATH", &path);
        },
        &[
            ("rclone", "not in PATH", "install rclone"),
            (
                "the snapshot directory",
                "does not exist",
                "install -d -m 0750",
            ),
            ("credentials", "B2_KEY_ID", "--env-file"),
        ],
    );
    assert!(!bed.snapshot_dir().exists());
    Ok(())
}

#[test]
fn a_host_that_lacks_everything_is_told_everything_at_once() -> Result<()> {
    let bed = bed();
    let path = bed.path_without(&["setpriv", "btrfs", "rclone"])?;
    fs::remove_file(bed.env_path())?;
    fs::remove_file(bed.script_path())?;
    bed.set("subvolume", "/nonexistent/persist")?;
    bed.set("snapshot_dir", "/nonexistent/snapshots")?;
    bed.set(
        "export.command",
        vec![
            "no-such-python",
            &*bed.script_path().to_string_lossy(),
            "export",
        ],
    )?;
    refused(
        &bed,
        |command| {
            command.env("PATH", &path);
        },
        &[
            ("setpriv", "not in PATH", "install util-linux"),
            ("btrfs", "not in PATH", "install btrfs-progs"),
            ("rclone", "not in PATH", "install rclone"),
            (
                "the export's program",
                "no-such-python",
                "export.enable = false",
            ),
            ("the export's script", "memory_manager.py", "export.command"),
            (
                "the subvolume",
                "/nonexistent/persist",
                "correct `subvolume`",
            ),
            ("the snapshot directory", "/nonexistent/snapshots", "create"),
            ("credentials", "not there", "env_file"),
        ],
    );
    Ok(())
}
