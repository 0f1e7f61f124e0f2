//! What every group of tests needs.

use std::path::Path;
use std::process::Command;

use chrono::{TimeDelta, Utc};
use testbed::{Bed, Ran};

/// The binary under test.
pub const BIN: &str = env!("CARGO_BIN_EXE_opencode-backup");

/// A fresh bed around the binary.
pub fn bed() -> Bed {
    Bed::new(Path::new(BIN)).expect("a test bed; `cargo xtask test` installs what it needs")
}

/// Waits for a second that no snapshot of the bed bears: a timestamp serves once.
pub fn a_new_second(bed: &Bed) {
    let taken = |name: &String| name.ends_with(&days_ago(0));
    while bed.snapshots().is_ok_and(|all| all.iter().any(taken)) {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

/// Runs, in a second of its own, and expects this exit code, showing everything where it differs.
#[track_caller]
pub fn expect(bed: &Bed, args: &[&str], code: i32) -> Ran {
    a_new_second(bed);
    let ran = bed.run(args).expect("the binary starts");
    assert_eq!(ran.code, Some(code), "{ran}");
    ran
}

/// The same for a command that the test changed.
#[track_caller]
pub fn expect_cmd(bed: &Bed, command: &mut Command, code: i32) -> Ran {
    let ran = bed.run_cmd(command).expect("the binary starts");
    assert_eq!(ran.code, Some(code), "{ran}");
    ran
}

/// Lets rclone give up soon; by default it tries for minutes.
pub fn impatient(bed: &Bed) {
    let args = vec!["--retries=1", "--low-level-retries=2"];
    bed.set("remote.extra_args", args).expect("set");
}

/// The timestamp of so many days ago; of the future, where they are negative.
pub fn days_ago(days: i64) -> String {
    let then = Utc::now() - TimeDelta::days(days);
    then.format("%Y-%m-%dT%H-%M-%SZ").to_string()
}

/// What a run of so many days ago would have left: its name.
#[track_caller]
pub fn old_snapshot(bed: &Bed, days: i64) -> String {
    let name = format!("persist-{}", days_ago(days));
    let path = bed.snapshot_dir().join(&name);
    bed.disk()
        .snapshot(bed.subvolume(), &path, true)
        .expect("a snapshot");
    name
}

/// Puts a script of root's in front of a tool: `body` is shell, and `"$REAL"` the tool itself.
pub fn wrap(bed: &Bed, tool: &str, body: &str) {
    let at = bed.scratch().join("bin").join(tool);
    let earlier = std::fs::read_to_string(&at).ok();
    let real = match earlier.as_deref().and_then(|text| text.lines().nth(1)) {
        Some(line) if line.starts_with("REAL=") => line.to_owned(),
        _ => {
            let real = at.canonicalize().ok();
            let real = real.or_else(|| testbed::provision::which(tool));
            format!("REAL='{}'", real.expect("the tool itself").display())
        }
    };
    let text = format!("#!/bin/sh\n{real}\n{body}\n");
    // By a child: a handle that we have open for writing may be inherited by a process that another test
    // starts, and the kernel runs no file that somebody may still write ("Text file busy").
    let draft = at.with_extension("draft");
    std::fs::write(&draft, text).expect("a draft");
    let mut install = Command::new("install");
    install.args(["-m", "755"]).arg(&draft).arg(&at);
    let installed = install.status().expect("install runs");
    assert!(installed.success(), "{installed}");
}

/// The marks that a run left, and has not taken away.
#[track_caller]
pub fn marks(bed: &Bed, timestamp: &str) -> Vec<String> {
    let mut keys = bed.keys().expect("the bucket answers");
    keys.retain(|key| {
        let name = key.strip_prefix(&format!("manifests/{timestamp}."));
        name.is_some_and(|name| name.ends_with("started.json"))
    });
    keys
}
