//! `status`: the codes and the one line of a monitoring plug-in.

mod hosts;

use std::fs::{self, File};
use std::path::Path;

use anyhow::Result;
use nix::fcntl::{FallocateFlags, fallocate};
use serde_json::{Value, json};
use testbed::relay::Rule;
use testbed::{Bed, Ran, Rclone};

use crate::restore::by_hand::{manifest, object, put, store, this_host};
use crate::restore::{backup, impatient, plain};
use crate::support::{BIN, bed, days_ago, expect};

const WORDS: [&str; 4] = ["OK", "WARNING", "CRITICAL", "UNKNOWN"];

/// One line on stdout that begins with the word of the code, and says these.
#[track_caller]
fn status(bed: &Bed, more: &[&str], code: i32, says: &[&str]) -> Ran {
    let ran = expect(bed, &[&["status"], more].concat(), code);
    let line = ran.stdout.strip_suffix('\n').unwrap_or_default();
    assert!(!line.contains('\n'), "one line: {ran}");
    let word = WORDS[usize::try_from(code).expect("a code")];
    assert!(line.starts_with(&format!("{word}: ")), "{ran}");
    for said in says {
        assert!(line.contains(said), "{said:?}: {ran}");
    }
    assert!(line.matches('|').count() <= 1, "{ran}");
    ran
}

#[track_caller]
fn told(bed: &Bed, code: i32) -> Value {
    let ran = expect(bed, &["status", "--json"], code);
    serde_json::from_str(&ran.stdout).expect("JSON")
}

#[test]
fn a_fresh_backup_is_ok_with_its_age_and_that_of_its_data() -> Result<()> {
    let bed = bed();
    let timestamp = backup(&bed);
    let ran = status(
        &bed,
        &[],
        0,
        &[
            &timestamp,
            "newest complete backup",
            "its data is",
            " | age=",
            ";;25200",
            "data_age=",
        ],
    );
    assert_eq!(ran.stderr, "", "{ran}");
    let told = told(&bed, 0);
    assert_eq!(
        (&told["state"], &told["newest_complete"]),
        (&json!("OK"), &json!(timestamp)),
        "{told:#}"
    );
    assert!(
        told["age_seconds"]
            .as_i64()
            .is_some_and(|age| (0..600).contains(&age)),
        "{told:#}"
    );
    assert!(
        told["data_age_seconds"]
            .as_i64()
            .is_some_and(|age| (0..3600).contains(&age)),
        "{told:#}"
    );
    assert_eq!(
        (&told["foreign_snapshots"], &told["last_run"]["exit_code"]),
        (&json!(0), &json!(0)),
        "{told:#}"
    );
    assert!(
        told["free_bytes"].as_u64() > Some(0) && told["messages"].is_array(),
        "{told:#}"
    );
    // Nothing is changed.
    let before = (bed.keys()?, bed.snapshots()?, fs::read(bed.state_path())?);
    status(&bed, &[], 0, &[]);
    assert_eq!(
        (bed.keys()?, bed.snapshots()?, fs::read(bed.state_path())?),
        before
    );
    Ok(())
}

#[test]
fn none_and_an_old_one_are_critical_and_how_old_is_for_the_caller_to_say() {
    let bed = plain(Rclone::Old);
    status(&bed, &[], 2, &["holds no complete backup"]);
    assert_eq!(told(&bed, 2)["newest_complete"], Value::Null);
    let old = days_ago(3);
    put(&bed, "", &old, &this_host());
    status(&bed, &[], 2, &[&old, "older than 7h"]);
    status(&bed, &["--max-age", "2d"], 2, &["older than 2d"]);
    status(&bed, &["--max-age", "4d"], 0, &[&old]);
    status(&bed, &["--max-age=100h"], 0, &[";;360000"]);
    // A newer one that is none does not help: partial, begun, of no name.
    let newer = days_ago(0);
    object(
        &bed,
        &format!("manifests/{newer}.partial.json"),
        manifest("", &newer, &this_host()).to_string().as_bytes(),
    );
    object(&bed, &format!("manifests/{newer}.started.json"), b"{}");
    object(&bed, "manifests/latest.json", b"{}");
    status(&bed, &[], 2, &[&old, "older than 7h"]);
}

#[test]
fn what_cannot_be_determined_is_unknown() -> Result<()> {
    let bed = bed();
    impatient(&bed);
    backup(&bed);
    let relay = bed.relay()?;
    relay.rule(Rule::any().status(403));
    status(&bed, &[], 3, &["the bucket cannot be asked"]);
    relay.clear();
    relay.rule(Rule::any().close());
    status(&bed, &[], 3, &["the bucket cannot be asked"]);
    relay.clear();
    status(&bed, &[], 0, &[]);
    drop(relay);
    bed.set("remote.endpoint", "http://127.0.0.1:1")?;
    status(&bed, &[], 3, &["the bucket cannot be asked"]);
    bed.set("remote.endpoint", bed.s3().endpoint())?;
    bed.set("remote.bucket", "no-such-bucket-here")?;
    status(&bed, &[], 3, &["no-such-bucket-here"]);
    bed.set("remote.bucket", bed.bucket())?;
    let ran = bed.run_cmd(
        bed.cmd(&["status"])
            .env("PATH", bed.path_without(&["rclone"])?),
    )?;
    assert_eq!(ran.code, Some(3), "{ran}");
    assert!(
        ran.stdout.starts_with("UNKNOWN: ") && ran.stdout.contains("rclone"),
        "{ran}"
    );
    fs::write(bed.env_path(), "")?;
    status(&bed, &[], 3, &["credentials"]);
    Ok(())
}

#[test]
fn bad_usage_and_a_bad_configuration_are_unknown_too() -> Result<()> {
    let bed = bed();
    let odd = std::os::unix::ffi::OsStrExt::from_bytes(b"\xff");
    for (words, code) in [(["status", "--bad"], 3), (["list", "--bad"], 2)] {
        let ran = bed.run_cmd(bed.cmd(&words).arg::<&std::ffi::OsStr>(odd))?;
        assert_eq!(ran.code, Some(code), "{ran}");
    }
    for words in [
        &["status", "--no-such-thing"][..],
        &["status", "--max-age"],
        &["status", "--max-age", "soon"],
        &["status", "--max-age", "-1h"],
        &["status", "now"],
        &["-q", "status", "--max-age=x"],
        &["status", "-q", "-v"],
        &["--config", "x", "status", "--bad"],
    ] {
        let ran = bed.run(words)?;
        assert_eq!(ran.code, Some(3), "{words:?}: {ran}");
        assert!(!ran.stderr.is_empty() || !ran.stdout.is_empty(), "{ran}");
    }
    bed.config_edit(|text| format!("colour = \"blue\"\n{text}"))?;
    let ran = bed.run(&["status"])?;
    assert_eq!(ran.code, Some(3), "{ran}");
    assert!(ran.stderr.contains("colour"), "{ran}");
    let ran = bed.run(&["--config", "/no/such/file.toml", "status"])?;
    assert_eq!(ran.code, Some(3), "{ran}");
    // Help is help.
    assert_eq!(bed.run(&["status", "--help"])?.code, Some(0));
    // And nobody else has these codes.
    assert_eq!(bed.run(&["list", "--no-such-thing"])?.code, Some(2));
    Ok(())
}

#[test]
fn without_its_export_it_is_a_warning() -> Result<()> {
    let bed = bed();
    bed.export_mode("exit1")?;
    expect(&bed, &["run"], 6);
    status(
        &bed,
        &[],
        1,
        &[
            "its export is missing",
            "the last run",
            "failed at step export, exit code 6",
        ],
    );
    // The state file has gone: the bucket still knows.
    fs::remove_file(bed.state_path())?;
    status(&bed, &[], 1, &["its export is missing"]);
    bed.export_mode("ok")?;
    backup(&bed);
    status(&bed, &[], 0, &[]);
    Ok(())
}

#[test]
fn a_last_run_that_failed_is_a_warning_with_its_step_while_the_backups_are_fresh() -> Result<()> {
    let bed = bed();
    impatient(&bed);
    let timestamp = backup(&bed);
    let relay = bed.relay()?;
    let refused = relay.rule(Rule::on("PUT").path("/valkey-").status(403));
    expect(&bed, &["run"], 5);
    relay.remove(refused);
    status(
        &bed,
        &[],
        1,
        &[&timestamp, "failed at step upload, exit code 5"],
    );
    let last = &told(&bed, 1)["last_run"];
    assert_eq!(
        (
            &last["exit_code"],
            &last["failed_step"],
            &last["last_success"]
        ),
        (&json!(5), &json!("upload"), &json!(timestamp)),
        "{last:#}"
    );
    // One that cannot be understood is worth a word.
    fs::write(bed.state_path(), "{")?;
    status(&bed, &[], 1, &["state file", "cannot be understood"]);
    Ok(())
}

#[test]
fn a_manifest_from_the_future_is_critical() {
    let bed = plain(Rclone::Old);
    backup(&bed);
    let future = days_ago(-2);
    put(&bed, "", &future, &this_host());
    status(&bed, &[], 2, &["from the future", &future]);
}

#[test]
fn a_manifest_that_cannot_be_read_is_critical() -> Result<()> {
    let bed = plain(Rclone::Old);
    let timestamp = backup(&bed);
    object(
        &bed,
        &format!("manifests/{timestamp}.json"),
        b"{\"schema\":",
    );
    status(&bed, &[], 2, &[&format!("manifests/{timestamp}.json")]);
    let mut other = manifest("", &timestamp, &this_host());
    other["schema"]["major"] = json!(2);
    store(&bed, "", &timestamp, &other);
    status(&bed, &[], 2, &["newer"]);
    Ok(())
}

#[test]
fn snapshots_that_are_not_ours_are_a_warning() -> Result<()> {
    let bed = bed();
    backup(&bed);
    for days in [3, 4] {
        let at = bed
            .snapshot_dir()
            .join(format!("persist-{}", days_ago(days)));
        bed.disk().snapshot(bed.subvolume(), &at, false)?;
    }
    status(
        &bed,
        &[],
        1,
        &["2 snapshots bear our kind of name and are not ours"],
    );
    assert_eq!(told(&bed, 1)["foreign_snapshots"], 2);
    // A host without Btrfs says nothing of them.
    let ran = bed.run_cmd(
        bed.cmd(&["status"])
            .env("PATH", bed.path_without(&["btrfs"])?),
    )?;
    assert_eq!(ran.code, Some(0), "{ran}");
    Ok(())
}

#[test]
fn little_room_is_a_warning() -> Result<()> {
    let bed = Bed::builder(Path::new(BIN)).size_mib(256).build()?;
    bed.set("export.enable", false)?;
    backup(&bed);
    status(&bed, &[], 0, &[]);
    for number in 0..256 {
        let file = File::create(bed.disk().path().join(format!("fill-{number}")))?;
        if fallocate(&file, FallocateFlags::empty(), 0, 4 << 20).is_err() {
            break;
        }
        file.sync_all()?;
    }
    let stat = nix::sys::statvfs::statvfs(bed.snapshot_dir())?;
    assert!(stat.blocks_available() < stat.blocks() / 10, "{stat:?}");
    status(&bed, &[], 1, &["little room"]);
    Ok(())
}

#[test]
fn a_user_without_privileges_can_ask() -> Result<()> {
    let bed = bed();
    let timestamp = backup(&bed);
    let ran = bed.run_cmd(&mut bed.as_user(&["status"])?)?;
    assert_eq!(ran.code, Some(0), "{ran}");
    assert!(ran.stdout.contains(&timestamp), "{ran}");
    Ok(())
}

#[test]
fn a_manifest_that_is_not_fetched_just_now_is_unknown_and_not_critical() -> Result<()> {
    let bed = bed();
    impatient(&bed);
    backup(&bed);
    let relay = bed.relay()?;
    relay.rule(Rule::on("GET").path("Z.json").status(503));
    status(&bed, &[], 3, &["could not be fetched"]);
    Ok(())
}

#[test]
fn a_newer_manifest_that_cannot_be_read_is_critical_though_an_older_one_is_fresh() -> Result<()> {
    let bed = plain(Rclone::Old);
    put(&bed, "", &days_ago(2), &this_host());
    let broken = format!("manifests/{}.json", days_ago(1));
    bed.s3().put(bed.bucket(), &broken, b"garbage")?;
    status(&bed, &["--max-age", "3d"], 2, &["cannot be read"]);
    Ok(())
}
