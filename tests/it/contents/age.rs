//! How old the data is, whatever the files' times say.

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::json;
use testbed::{Bed, rdb_fixtures};

use super::{passed, quick};
use crate::files::stored::{named, now};

const HOUR: u64 = 3600;

/// Seconds since 1970 as RFC 3339 has them.
fn rfc3339(seconds: u64) -> String {
    let time = chrono::DateTime::from_timestamp(seconds.cast_signed(), 0).expect("a time");
    time.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn touch(path: &Path, time: u64) {
    let file = File::options().write(true).open(path).expect("a file");
    let time: SystemTime = UNIX_EPOCH + Duration::from_secs(time);
    file.set_modified(time).expect("a time");
}

/// A dump that was written then, with any modification time.
fn dump(bed: &Bed, ctime: u64, mtime: u64) {
    let path = bed.dataset("falkordb").join("dump.rdb");
    fs::write(&path, rdb_fixtures::valid(ctime.cast_signed())).expect("a dump");
    touch(&path, mtime);
}

#[test]
fn data_that_was_not_saved_for_longer_than_its_limit_is_warned_of() {
    let bed = quick();
    bed.set("datasets.falkordb.max_data_age", "24h")
        .expect("a setting");
    // The file looks fresh: a copy, a restore, a touch. The dump knows better.
    let saved = now() - 25 * HOUR;
    dump(&bed, saved, now());
    let run = passed(&bed);
    assert_eq!(run.falkordb["data_time"], json!(rfc3339(saved)));
    let start = format!("the data is from {}", rfc3339(saved));
    run.assert_warned(
        &bed,
        &[(
            &start,
            "older than max_data_age = 24h: the server has not saved",
        )],
    );
    let state = bed.state().expect("a state file");
    assert_eq!(state["exit_code"], json!(0));
    assert!(
        state["verdict"]
            .as_str()
            .expect("a verdict")
            .contains("is complete")
    );
}

#[test]
fn data_within_its_limit_is_not_warned_of_though_the_file_looks_old() {
    let bed = quick();
    bed.set("datasets.falkordb.max_data_age", "24h")
        .expect("a setting");
    let saved = now() - 23 * HOUR;
    dump(&bed, saved, now() - 2000 * HOUR);
    let run = passed(&bed);
    assert_eq!(run.falkordb["data_time"], json!(rfc3339(saved)));
    run.assert_warned(&bed, &[]);
    assert!(!run.ran.stderr.contains("max_data_age"), "{}", run.ran);
}

#[test]
fn the_newest_of_dump_and_append_only_file_counts() {
    let bed = quick();
    bed.set("datasets.falkordb.max_data_age", "1h")
        .expect("a setting");
    let (old, appended) = (now() - 500 * HOUR, now() - HOUR / 2);
    dump(&bed, old, old);
    let aof = bed.dataset("falkordb").join("appendonly.aof");
    fs::write(&aof, "*1\r\n$4\r\nPING\r\n").expect("a file");
    touch(&aof, appended);
    let run = passed(&bed);
    assert_eq!(run.falkordb["data_time"], json!(rfc3339(appended)));
    run.assert_warned(&bed, &[]);

    touch(&aof, now() - 2 * HOUR);
    let run = passed(&bed);
    run.assert_warned(&bed, &[("the data is from", "max_data_age = 1h")]);
}

#[test]
fn files_that_are_no_data_do_not_make_it_younger() {
    let bed = quick();
    bed.set("datasets.falkordb.max_data_age", "1h")
        .expect("a setting");
    let saved = now() - 3 * HOUR;
    dump(&bed, saved, saved);
    fs::write(bed.dataset("falkordb").join("redis.log"), "up and running").expect("a file");
    let run = passed(&bed);
    assert_eq!(run.falkordb["data_time"], json!(rfc3339(saved)));
    run.assert_warned(&bed, &[("the data is from", "max_data_age")]);
}

#[test]
fn without_a_limit_old_data_is_dated_and_not_warned_of() {
    let bed = quick();
    let saved = now() - 9000 * HOUR;
    dump(&bed, saved, saved);
    let run = passed(&bed);
    assert_eq!(run.falkordb["data_time"], json!(rfc3339(saved)));
    run.assert_warned(&bed, &[]);
}

#[test]
fn a_dataset_of_plain_files_is_as_old_as_its_newest_file() {
    let bed = quick();
    bed.set("datasets.falkordb.format", "files")
        .expect("a setting");
    bed.set("datasets.falkordb.max_data_age", "2d")
        .expect("a setting");
    let newest = now() - 49 * HOUR;
    dump(&bed, now(), now() - 90 * HOUR);
    let other = bed.dataset("falkordb").join("other");
    fs::write(&other, "x").expect("a file");
    touch(&other, newest);
    let run = passed(&bed);
    assert_eq!(run.falkordb["data_time"], json!(rfc3339(newest)));
    run.assert_warned(&bed, &[("the data is from", "max_data_age = 2d")]);
}

#[test]
fn a_server_that_never_saved_is_said_to_have_never_saved() {
    let bed = quick();
    let at = bed.dataset("falkordb");
    fs::rename(at.join("dump.rdb"), at.join("temp-77.rdb")).expect("a move");
    fs::write(at.join("redis.conf"), "save 60 100").expect("a file");
    fs::remove_file(at.join("temp-77.rdb")).expect("it goes");
    let run = passed(&bed);
    assert_eq!(run.falkordb["data_time"], json!(null));
    run.assert_warned(&bed, &[("never saved yet", "`save` or `appendonly`")]);
    let state = bed.state().expect("a state file");
    assert_eq!(
        named(&state["datasets"], "falkordb")["data_time"],
        json!(null)
    );
}
