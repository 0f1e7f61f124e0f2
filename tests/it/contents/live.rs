//! A server at work: what is stored is one instant of it, and loads.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use serde_json::Value;
use testbed::Bed;
use testbed::redis::Redis;

use super::{APPEND_ONLY, fetched, quick, server};
use crate::files::stored::{assert_complete, assert_stored, named, run_again, timestamp};

const LIMIT: Duration = Duration::from_secs(60);
const KEYS: usize = 15_000;

#[track_caller]
fn wait_until(what: &str, mut is: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is() {
        assert!(start.elapsed() < LIMIT, "no {what} within {LIMIT:?}");
        sleep(Duration::from_millis(5));
    }
}

#[track_caller]
fn persistence(server: &Redis, line: &str) -> bool {
    let info = server.command(&["INFO", "persistence"]);
    info.expect("the server answers").contains(line)
}

/// Writes about 30,000 times a second while `work` is done.
fn under_load(server: &Redis, work: impl FnOnce()) {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                server.write(100, "load").expect("writes");
                sleep(Duration::from_millis(3));
            }
        });
        // The writer has to end when an assertion fails, too.
        let done = catch_unwind(AssertUnwindSafe(work));
        stop.store(true, Ordering::Relaxed);
        if let Err(panic) = done {
            resume_unwind(panic);
        }
    });
}

/// Starts a rewrite that takes seconds and backs up while it is under way; the stored set, and what was said
/// of it.
#[track_caller]
fn stored_in_the_middle_of_a_rewrite(bed: &Bed, live: &Redis, marker: &str) -> (PathBuf, Value) {
    live.command(&["BGREWRITEAOF"]).expect("a rewrite");
    wait_until("rewrite", || persistence(live, "aof_rewrite_in_progress:1"));
    live.command(&["SET", marker, "acknowledged"])
        .expect("a write");
    run_again(bed, 0);
    let at = timestamp(bed);
    let manifest = assert_complete(bed);
    let stored = named(&manifest["datasets"], "falkordb");
    let left_out: Vec<&str> = stored["left_out"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|file| file["path"].as_str().expect("a path"))
        .collect();
    let half_written = left_out
        .iter()
        .any(|path| path.starts_with("temp-rewriteaof-"));
    assert!(half_written, "the rewrite was over too soon: {left_out:?}");
    let snapshot = bed.snapshot_dir().join(format!("persist-{at}"));
    let snapshot = snapshot.join("containers/falkordb");
    assert_stored(bed, &manifest, "falkordb", &snapshot, &left_out);
    wait_until("end of the rewrite", || {
        !persistence(live, "aof_rewrite_in_progress:1")
    });
    (fetched(bed), stored["warnings"].clone())
}

/// Does so three times over a server with this `appendfsync`, and has each set loaded.
#[track_caller]
fn three_backups_load(appendfsync: &str, prepare: impl Fn(&Path, &Value)) {
    let bed = quick();
    let dir = bed.dataset("falkordb");
    fs::remove_file(dir.join("dump.rdb")).expect("it goes");
    let live = server(&bed, &dir, &APPEND_ONLY);
    live.write(KEYS, "key").expect("writes");
    // 15,000 keys at 200 microseconds each: three seconds.
    for (name, value) in [("appendfsync", appendfsync), ("rdb-key-save-delay", "200")] {
        live.command(&["CONFIG", "SET", name, value])
            .expect("a setting");
    }
    under_load(&live, || {
        for round in 1..=3 {
            let marker = format!("marker:{round}");
            let (set, warnings) = stored_in_the_middle_of_a_rewrite(&bed, &live, &marker);
            prepare(&set, &warnings);
            let loaded = server(&bed, &set, &APPEND_ONLY);
            let size = loaded.dbsize().expect("a size");
            assert!(size >= KEYS as u64, "{size}");
            let value = loaded.command(&["GET", &marker]).expect("a value");
            if appendfsync == "always" {
                assert_eq!(value, "acknowledged", "{marker}");
            }
        }
    });
}

#[test]
fn a_server_that_writes_and_rewrites_is_stored_as_one_instant_that_loads() {
    three_backups_load("always", |_, warnings| {
        let warnings = warnings.as_array().expect("a list");
        // A command that was cut in two is one; bytes that no server loads are not.
        assert!(
            warnings
                .iter()
                .all(|text| !text.to_string().contains("NUL")),
            "{warnings:?}"
        );
    });
}

#[test]
fn what_a_lazier_server_had_not_flushed_is_warned_of_with_the_command_that_mends_it() {
    three_backups_load("everysec", |set, warnings| {
        let warned = warnings.to_string();
        if !warned.contains("NUL bytes") {
            return;
        }
        assert!(warned.contains("-check-aof --fix"), "{warned}");
        let manifest = set.join("appendonlydir/appendonly.aof.manifest");
        let check = "command -v valkey-check-aof || command -v redis-check-aof";
        let script = format!("echo y | $({check}) --fix \"$1\"");
        let fixed = Command::new("sh")
            .args(["-c", &script, "sh"])
            .arg(manifest)
            .status();
        assert!(fixed.expect("sh").success());
    });
}

#[test]
fn a_dump_that_is_being_written_is_left_out_and_the_last_one_stored() {
    let bed = quick();
    let dir = bed.dataset("falkordb");
    fs::remove_file(dir.join("dump.rdb")).expect("it goes");
    let live = server(&bed, &dir, &[]);
    live.populate(2000, "key").expect("keys");
    live.save().expect("a dump");
    let digest = live.digest().expect("a digest");
    live.command(&["CONFIG", "SET", "rdb-key-save-delay", "2000"])
        .expect("a setting");
    live.command(&["BGSAVE"]).expect("a save");
    wait_until("save", || persistence(&live, "rdb_bgsave_in_progress:1"));
    live.write(100, "later").expect("writes");

    run_again(&bed, 0);
    let manifest = assert_complete(&bed);
    let stored = named(&manifest["datasets"], "falkordb");
    let left_out = stored["left_out"][0]["path"]
        .as_str()
        .expect("a scratch file");
    assert!(
        left_out.starts_with("temp-") && left_out.ends_with(".rdb"),
        "{left_out}"
    );
    let snapshot = bed
        .snapshot_dir()
        .join(format!("persist-{}", timestamp(&bed)));
    let snapshot = snapshot.join("containers/falkordb");
    assert_stored(&bed, &manifest, "falkordb", &snapshot, &[left_out]);
    let loaded = server(&bed, &fetched(&bed), &[]);
    assert_eq!(loaded.digest().expect("a digest"), digest);
}
