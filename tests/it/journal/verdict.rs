//! One verdict on every path out.

use std::fs::File;

use nix::fcntl::{Flock, FlockArg};
use testbed::relay::Rule;
use testbed::{Bed, Ran, Running, Signal};

use super::fake::{Fields, Journal, LIMIT, verdicts};
use crate::support::{bed, old_snapshot, wrap};

/// Exactly one, with this code, and the state file says the same.
#[track_caller]
fn is_the_only_one(ran: &Ran, records: &[Fields], code: i32, words: &str) -> Fields {
    assert_eq!(ran.code, Some(code), "{ran}\n{records:#?}");
    let all = verdicts(records);
    assert_eq!(all.len(), 1, "{records:#?}");
    let verdict = all[0].clone();
    assert_eq!(verdict["EXIT_CODE"], code.to_string(), "{verdict:#?}");
    let priorities: &[&str] = if code == 0 { &["5", "6"] } else { &["3"] };
    assert!(
        priorities.contains(&verdict["PRIORITY"].as_str()),
        "{verdict:#?}"
    );
    assert!(verdict.contains_key("STEP"), "{verdict:#?}");
    assert!(verdict["MESSAGE"].contains(words), "{words}: {verdict:#?}");
    verdict
}

/// Runs to the end, with few retries; the state file repeats the verdict.
#[track_caller]
fn ends(bed: &Bed, code: i32, words: &str) -> Fields {
    let journal = Journal::new(bed);
    let quick = ["--retries=1", "--low-level-retries=2"];
    bed.set("remote.extra_args", quick.map(toml::Value::from).to_vec())
        .expect("a setting");
    let (ran, records) = journal.run(bed, &["--log", "journal", "run"]);
    let verdict = is_the_only_one(&ran, &records, code, words);
    let state = bed.state().expect("a state file");
    assert_eq!(state["verdict"], verdict["MESSAGE"].as_str(), "{state:#}");
    verdict
}

#[test]
fn of_a_good_run() {
    let verdict = ends(&bed(), 0, "is complete");
    assert!(
        verdict["BYTES"].parse::<u64>().is_ok_and(|bytes| bytes > 0),
        "{verdict:#?}"
    );
    assert!(
        verdict["MESSAGE"].contains("1 local snapshot"),
        "{verdict:#?}"
    );
}

#[test]
fn of_an_unmet_prerequisite() {
    let bed = bed();
    bed.set("snapshot_dir", "/nonexistent").expect("a setting");
    let verdict = ends(&bed, 3, "/nonexistent");
    assert_eq!(verdict["STEP"], "preflight");
}

#[test]
fn of_a_snapshot_that_failed() {
    let bed = bed();
    wrap(
        &bed,
        "btrfs",
        "[ $2 != snapshot ] || exit 1\nexec \"$REAL\" \"$@\"",
    );
    let verdict = ends(&bed, 4, "the snapshot failed");
    assert_eq!(verdict["STEP"], "snapshot");
}

#[test]
fn of_a_dataset_that_is_not_stored() {
    let bed = bed();
    let relay = bed.relay().expect("a relay");
    relay.rule(Rule::on("PUT").path("/falkordb-").status(403));
    let verdict = ends(&bed, 5, "falkordb is not safely stored");
    assert_eq!(verdict["STEP"], "upload");
}

#[test]
fn of_an_export_that_failed() {
    let bed = bed();
    bed.export_mode("exit1").expect("a mode");
    let verdict = ends(&bed, 6, "the export failed");
    assert_eq!(verdict["STEP"], "export");
}

#[test]
fn of_a_retention_that_failed() {
    let bed = bed();
    bed.set("retention.min_keep", 1).expect("a setting");
    let old = old_snapshot(&bed, 40);
    wrap(
        &bed,
        "btrfs",
        "[ $2 != delete ] || exit 1\nexec \"$REAL\" \"$@\"",
    );
    let verdict = ends(&bed, 7, &old);
    assert_eq!(verdict["STEP"], "retention");
}

#[test]
fn of_a_lock_that_is_held() {
    let bed = bed();
    let dir = File::open(bed.snapshot_dir()).expect("a directory");
    let lock = Flock::lock(dir, FlockArg::LockExclusiveNonblock);
    let _lock = lock.map_err(|(_, error)| error).expect("the lock");
    let journal = Journal::new(&bed);
    let (ran, records) = journal.run(&bed, &["--log", "journal", "run"]);
    let verdict = is_the_only_one(&ran, &records, 75, "another run is under way");
    assert_eq!(verdict["STEP"], "lock");
    assert!(bed.state().is_err(), "the state file is the holder's");
}

#[test]
fn of_a_configuration_that_is_wrong() {
    let bed = bed();
    bed.set("retention.dayz", 3).expect("a setting");
    bed.set("remote.bucket", "").expect("a setting");
    let journal = Journal::new(&bed);
    let (ran, records) = journal.run(&bed, &["--log", "journal", "run"]);
    let path = bed.config_path().display().to_string();
    let verdict = is_the_only_one(&ran, &records, 2, &path);
    assert_eq!(verdict["STEP"], "config");
    for key in ["retention.dayz", "remote.bucket"] {
        let named = records.iter().any(|record| record["MESSAGE"].contains(key));
        assert!(named, "{key}: {records:#?}");
    }
}

#[test]
fn of_a_signal() {
    let bed = bed();
    let relay = bed.relay().expect("a relay");
    let rule = relay.rule(Rule::on("PUT").path("/falkordb-").stall());
    let journal = Journal::new(&bed);
    for (signal, code) in [(Signal::SIGTERM, 143), (Signal::SIGINT, 130)] {
        let hits = relay.hits(rule);
        let mut command = journal.cmd(&bed, &["--log", "journal", "run"]);
        let run = Running::start(&mut command).expect("it starts");
        relay
            .wait_for_hits(rule, hits + 1, LIMIT)
            .expect("it uploads");
        run.signal(signal).expect("it is running");
        let ran = run.wait_timeout(LIMIT).expect("it ends");
        is_the_only_one(&ran, &journal.take(), code, signal.as_str());
        let started = chrono::Utc::now().timestamp();
        while chrono::Utc::now().timestamp() == started {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }
}

#[test]
fn a_plan_is_no_run_and_has_no_verdict() {
    let bed = bed();
    let journal = Journal::new(&bed);
    let (ran, records) = journal.run(&bed, &["--log", "journal", "run", "--dry-run"]);
    assert_eq!(ran.code, Some(0), "{ran}");
    assert!(verdicts(&records).is_empty(), "{records:#?}");
}

#[test]
fn where_no_thread_can_be_had_there_is_one_all_the_same() {
    let bed = bed();
    crate::support::expect(&bed, &["run"], 0);
    crate::support::a_new_second(&bed);
    // Stacks for which there is no address.
    let mut command = bed.cmd(&["run"]);
    command.env("RUST_MIN_STACK", (1_u64 << 46).to_string());
    let ran = bed.run_cmd(&mut command).expect("it starts");
    assert_eq!(ran.code, Some(4), "{ran}");
    let state = bed.state().expect("a state file");
    assert_eq!(state["exit_code"], 4, "{state:#}");
}
