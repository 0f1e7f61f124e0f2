//! A server at work: what is stored is one instant of it, and loads.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

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

/// Writes without end while `work` is done.
fn under_load(server: &Redis, work: impl FnOnce()) {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                server.write(100, "load").expect("writes");
            }
        });
        // The writer has to end when an assertion fails, too.
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        stop.store(true, Ordering::Relaxed);
        if let Err(panic) = done {
            std::panic::resume_unwind(panic);
        }
    });
}

/// Starts a rewrite that takes seconds, backs up while it is under way, and loads what was stored.
fn backed_up_in_the_middle_of_a_rewrite(bed: &Bed, live: &Redis, round: usize) {
    let marker = format!("marker:{round}");
    live.command(&["BGREWRITEAOF"]).expect("a rewrite");
    wait_until("rewrite", || persistence(live, "aof_rewrite_in_progress:1"));
    live.command(&["SET", &marker, "acknowledged"]).expect("a write");

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
    let half_written = left_out.iter().any(|path| path.starts_with("temp-rewriteaof-"));
    assert!(half_written, "the rewrite was over too soon: {left_out:?}");
    let snapshot = bed.snapshot_dir().join(format!("persist-{at}"));
    let snapshot = snapshot.join("containers/falkordb");
    assert_stored(bed, &manifest, "falkordb", &snapshot, &left_out);

    eprintln!("DBG {:#}", bed.state().expect("s")["warnings"]); let f = fetched(bed); for e in fs::read_dir(f.join("appendonlydir")).expect("x") { let p = e.expect("e").path(); let b = fs::read(&p).expect("r"); eprintln!("DBG {p:?} {} {}", b.len(), b[b.len().saturating_sub(60)..].escape_ascii()); fs::copy(&p, format!("/tmp/t2/dbg-{}", p.file_name().expect("n").to_string_lossy())).expect("c"); }
    let loaded = server(bed, &f, &APPEND_ONLY);
    let value = loaded.command(&["GET", &marker]).expect("a value");
    assert_eq!(value, "acknowledged", "{marker}");
    let size = loaded.dbsize().expect("a size");
    assert!(size >= KEYS as u64, "{size}");
    wait_until("end of the rewrite", || !persistence(live, "aof_rewrite_in_progress:1"));
}

#[test]
fn a_server_that_writes_and_rewrites_is_stored_as_one_instant_that_loads() {
    let bed = quick();
    let dir = bed.dataset("falkordb");
    fs::remove_file(dir.join("dump.rdb")).expect("it goes");
    let live = server(&bed, &dir, &APPEND_ONLY);
    live.command(&["CONFIG", "SET", "appendfsync", "everysec"]).expect("a setting");
    live.write(KEYS, "key").expect("writes");
    // 15,000 keys at 200 microseconds each: three seconds.
    live.command(&["CONFIG", "SET", "rdb-key-save-delay", "200"]).expect("a setting");
    under_load(&live, || {
        for round in 1..=3 {
            backed_up_in_the_middle_of_a_rewrite(&bed, &live, round);
        }
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
    live.command(&["CONFIG", "SET", "rdb-key-save-delay", "2000"]).expect("a setting");
    live.command(&["BGSAVE"]).expect("a save");
    wait_until("save", || persistence(&live, "rdb_bgsave_in_progress:1"));
    live.write(100, "later").expect("writes");

    run_again(&bed, 0);
    let manifest = assert_complete(&bed);
    let stored = named(&manifest["datasets"], "falkordb");
    let left_out = stored["left_out"][0]["path"].as_str().expect("a scratch file");
    assert!(left_out.starts_with("temp-") && left_out.ends_with(".rdb"), "{left_out}");
    let snapshot = bed.snapshot_dir().join(format!("persist-{}", timestamp(&bed)));
    let snapshot = snapshot.join("containers/falkordb");
    assert_stored(&bed, &manifest, "falkordb", &snapshot, &[left_out]);
    let loaded = server(&bed, &fetched(&bed), &[]);
    assert_eq!(loaded.digest().expect("a digest"), digest);
}
