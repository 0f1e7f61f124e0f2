//! What /proc shows of our children, and of us, while they run.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use testbed::bed::{Process, descendants};
use testbed::relay::Rule;
use testbed::s3::{APP_KEY, KEY_ID};
use testbed::{Bed, Running};

use super::fixture::{OPENAI, is_clean, left_nothing, with_openai};
use crate::support::{bed, expect, old_snapshot, wrap};

const SOON: Duration = Duration::from_secs(30);

/// Every command line that a run's family shows, looked at all the time until it ends.
fn watched(bed: &Bed, args: &[&str]) -> (testbed::Ran, BTreeSet<String>) {
    let run = bed.spawn(args).expect("it starts");
    let (pid, over) = (run.pid(), Arc::new(AtomicBool::new(false)));
    let lines = Arc::new(Mutex::new(BTreeSet::new()));
    let (seen, ended) = (Arc::clone(&lines), Arc::clone(&over));
    let poller = thread::spawn(move || {
        while !ended.load(Ordering::Relaxed) {
            let own = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let mut seen = seen.lock().expect("no panic");
            seen.insert(String::from_utf8_lossy(&own).replace('\0', " "));
            seen.extend(descendants(pid).iter().map(|child| child.argv.join(" ")));
        }
    });
    let ran = run.wait_timeout(SOON).expect("it ends");
    over.store(true, Ordering::Relaxed);
    poller.join().expect("the poller ends");
    let seen = lines.lock().expect("no panic").clone();
    (ran, seen)
}

#[test]
fn no_argument_list_shows_a_key() {
    let bed = bed();
    with_openai(&bed, &[]);
    bed.set("retention.min_keep", 1).expect("a setting");
    old_snapshot(&bed, 40);
    // Half a second for each of them, so that none is missed.
    let relay = bed.relay().expect("a relay");
    relay.rule(Rule::any().delay(Duration::from_millis(100)));
    wrap(&bed, "btrfs", "sleep 0.2\nexec \"$REAL\" \"$@\"");
    let (ran, lines) = watched(&bed, &["run", "-vv"]);
    assert_eq!(ran.code, Some(0), "{ran}");
    for wanted in [
        "opencode-backup run -vv",
        "btrfs subvolume snapshot",
        "btrfs subvolume delete",
        "sync",
        "lsjson",
        "rcat",
        "memory_manager.py export",
    ] {
        assert!(
            lines.iter().any(|line| line.contains(wanted)),
            "{wanted}: {lines:#?}"
        );
    }
    for line in &lines {
        is_clean("an argument list", line);
    }
    left_nothing(&bed, &ran);
}

#[test]
fn no_argument_list_of_check_or_list_shows_a_key() {
    let bed = bed();
    expect(&bed, &["run"], 0);
    let relay = bed.relay().expect("a relay");
    relay.rule(Rule::any().delay(Duration::from_millis(100)));
    for args in [&["check", "--remote", "-vv"][..], &["list", "-vv"]] {
        let (ran, lines) = watched(&bed, args);
        assert_eq!(ran.code, Some(0), "{ran}");
        assert!(
            lines.iter().any(|line| line.contains("lsjson")),
            "{lines:#?}"
        );
        lines
            .iter()
            .for_each(|line| is_clean("an argument list", line));
        left_nothing(&bed, &ran);
    }
}

/// A run of an environment full of what is nobody's business, with its keys there too.
fn in_a_full_environment(bed: &Bed) -> Command {
    fs::remove_file(bed.env_path()).expect("no file with keys");
    let mut command = bed.cmd(&["run"]);
    command
        .env("B2_KEY_ID", KEY_ID)
        .env("B2_APP_KEY", APP_KEY)
        .env("OPENAI_API_KEY", OPENAI);
    command
        .env("B2_REALM", bed.b2().realm())
        .env("MINE", "mine")
        .env("HOME", "/nonexistent");
    command
        .env("RCLONE_DRY_RUN", "true")
        .env("AWS_CA_BUNDLE", "/nonexistent")
        .env("LANG", "de_DE");
    for name in ["FALKORDB", "VALKEY"] {
        command
            .env(format!("{name}_HOST"), "127.0.0.1")
            .env(format!("{name}_PORT"), "1");
    }
    command
}

fn child(run: &mut Running, words: &[&str]) -> Process {
    let mut found = None;
    let has = |process: &Process| {
        let line = process.argv.join(" ");
        !line.contains("--pdeathsig") && words.iter().all(|word| line.contains(word))
    };
    run.wait_until(&format!("a child {words:?}"), SOON, |run| {
        found = descendants(run.pid()).into_iter().find(has);
        found.is_some()
    })
    .expect("it is there");
    found.expect("it was found")
}

fn sorted(mut environ: Vec<String>) -> Vec<String> {
    environ.sort();
    environ
}

#[test]
fn the_environment_of_btrfs_is_two_variables() {
    let bed = bed();
    let go = bed.scratch().join("go");
    let wait = format!("while [ ! -e {} ]; do sleep 0.02; done", go.display());
    wrap(
        &bed,
        "btrfs",
        &format!("[ $2 != snapshot ] || {wait}\nexec \"$REAL\" \"$@\""),
    );
    let mut run = Running::start(&mut in_a_full_environment(&bed)).expect("it starts");
    let btrfs = child(&mut run, &["bin/btrfs", "snapshot"]);
    assert_eq!(sorted(btrfs.environ), ["LC_ALL=C", "TZ=UTC"]);
    fs::write(go, "").expect("a file");
    let ran = run.wait_timeout(SOON).expect("it ends");
    assert_eq!(ran.code, Some(0), "{ran}");
    left_nothing(&bed, &ran);
}

#[test]
fn the_environment_of_rclone_is_the_documented_one() {
    let bed = bed();
    let relay = bed.relay().expect("a relay");
    relay.rule(Rule::on("PUT").path("/falkordb-").stall());
    let mut run = Running::start(&mut in_a_full_environment(&bed)).expect("it starts");
    let rclone = child(&mut run, &["rclone", "sync", "falkordb-"]);
    let key_id = format!("AWS_ACCESS_KEY_ID={KEY_ID}");
    let app_key = format!("AWS_SECRET_ACCESS_KEY={APP_KEY}");
    let wanted = [
        key_id.as_str(),
        "AWS_EC2_METADATA_DISABLED=true",
        app_key.as_str(),
        "LC_ALL=C",
        "RCLONE_CONFIG=",
        "RCLONE_CONFIG_S3_ENV_AUTH=true",
        "RCLONE_CONFIG_S3_TYPE=s3",
        "TZ=UTC",
    ];
    assert_eq!(sorted(rclone.environ), wanted);
    relay.clear();
    let ran = run.wait_timeout(SOON).expect("it ends");
    assert_eq!(ran.code, Some(0), "{ran}");
    left_nothing(&bed, &ran);
}

#[test]
fn the_export_gets_the_callers_variables_and_ours() {
    let bed = bed();
    bed.set("export.timeout", "30s").expect("a setting");
    let mut command = in_a_full_environment(&bed);
    command.env("FIXTURE_MODE", "slow:2");
    let mut run = Running::start(&mut command).expect("it starts");
    let export = child(&mut run, &["python3", "memory_manager.py", "export"]);
    let bucket = format!("B2_BUCKET={}", bed.bucket());
    let openai = format!("OPENAI_API_KEY={OPENAI}");
    for wanted in [
        "MINE=mine",
        "PYTHONNOUSERSITE=1",
        "PYTHONSAFEPATH=1",
        &bucket,
        &openai,
    ] {
        assert!(
            export.environ.iter().any(|pair| pair == wanted),
            "{wanted}: {:#?}",
            export.environ
        );
    }
    let stamped = |pair: &String| pair.starts_with("OPENCODE_BACKUP_TIMESTAMP=20");
    assert!(export.environ.iter().any(stamped), "{:#?}", export.environ);
    let ran = run.wait_timeout(SOON).expect("it ends");
    assert_eq!(ran.code, Some(0), "{ran}");
    left_nothing(&bed, &ran);
}
