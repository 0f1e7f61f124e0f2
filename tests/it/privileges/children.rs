//! What each child may do, read from /proc while it runs.

use std::fs;
use std::time::Duration;

use testbed::bed::{Process, USER, descendants};
use testbed::relay::Rule;
use testbed::{Bed, Running};

use crate::support::{bed, wrap};

const SOON: Duration = Duration::from_secs(20);
/// CAP_DAC_READ_SEARCH 2, CAP_FOWNER 3, CAP_SYS_ADMIN 21.
const THREE: &str = "000000000020000c";
const READ: &str = "0000000000000004";
const NONE: &str = "0000000000000000";

/// The child whose command line has all of these words, once it is no longer `setpriv`.
fn child(run: &mut Running, words: &[&str]) -> Process {
    let has = |process: &Process| {
        let line = process.argv.join(" ");
        !line.contains("--pdeathsig") && words.iter().all(|word| line.contains(word))
    };
    let mut found = None;
    run.wait_until(&format!("a child {words:?}"), SOON, |run| {
        found = descendants(run.pid()).into_iter().find(has);
        found.is_some()
    })
    .expect("it is there");
    found.expect("it was found")
}

/// Every set that a process can use, and what it cannot get back.
#[track_caller]
fn holds(process: &Process, caps: &str) {
    for set in ["CapEff", "CapPrm", "CapInh", "CapAmb"] {
        assert_eq!(
            process.field(set),
            Some(caps),
            "{set} of {:?}",
            process.argv
        );
    }
    assert_eq!(process.field("NoNewPrivs"), Some("1"), "{:?}", process.argv);
    let ids = [USER.to_string().as_str(); 4].join("\t");
    assert_eq!(
        process.field("Uid"),
        Some(ids.as_str()),
        "{:?}",
        process.argv
    );
}

fn spawn(bed: &Bed) -> Running {
    Running::start(&mut bed.as_user(&["run"]).expect("a command")).expect("it starts")
}

#[test]
fn btrfs_holds_all_three() {
    let bed = bed();
    let go = bed.scratch().join("go");
    let wait = format!("while [ ! -e {} ]; do sleep 0.02; done", go.display());
    wrap(
        &bed,
        "btrfs",
        &format!("[ $2 != snapshot ] || {wait}\nexec \"$REAL\" \"$@\""),
    );
    let mut run = spawn(&bed);
    let btrfs = child(&mut run, &["bin/btrfs", "snapshot"]);
    holds(&btrfs, THREE);
    fs::write(go, "").expect("a file");
    let ran = run.wait_timeout(SOON).expect("it ends");
    assert_eq!(ran.code, Some(0), "{ran}");
}

#[test]
fn rclone_may_read_everything_and_nothing_else_and_the_export_nothing() {
    let bed = bed();
    let relay = bed.relay().expect("a relay");
    relay.rule(Rule::on("PUT").path("/falkordb-").stall());
    bed.export_mode("slow:3").expect("a mode");
    let mut run = spawn(&bed);
    let rclone = child(&mut run, &["rclone", "sync", "falkordb-"]);
    holds(&rclone, READ);
    let script = bed.script_path().display().to_string();
    let export = child(&mut run, &["python3", &script]);
    holds(&export, NONE);
    let groups = export.field("Groups").unwrap_or_default().trim();
    assert_eq!(groups, "", "the user's groups alone");
    relay.clear();
    let ran = run.wait_timeout(SOON).expect("it ends");
    assert_eq!(ran.code, Some(0), "{ran}");
}

#[test]
fn a_question_to_the_bucket_needs_no_more_than_an_upload() {
    let bed = bed();
    let relay = bed.relay().expect("a relay");
    relay.rule(Rule::on("GET").stall());
    let mut run = spawn(&bed);
    let rclone = child(&mut run, &["rclone", "lsjson"]);
    holds(&rclone, READ);
    relay.clear();
    let ran = run.wait_timeout(SOON).expect("it ends");
    assert_eq!(ran.code, Some(0), "{ran}");
}

#[test]
fn the_export_cannot_read_what_its_user_cannot() {
    let bed = bed();
    let secret = bed.dataset("valkey").join("dump.rdb");
    let script = format!(
        "import sys\ntry:\n    open({:?}).read()\n    print('it could be read')\nexcept PermissionError as error:\n    \
         print('refused:', error)\nsys.exit(1)\n",
        secret.display().to_string()
    );
    fs::write(bed.script_path(), script).expect("a script");
    let run = spawn(&bed);
    let ran = run.wait_timeout(SOON).expect("it ends");
    assert_eq!(ran.code, Some(6), "{ran}");
    assert!(ran.stderr.contains("refused: [Errno 13]"), "{ran}");
    assert_eq!(bed.committed().expect("names").len(), 1, "{ran}");
}
