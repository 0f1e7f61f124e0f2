//! What need not be sent again is copied on the server, and what only looks unchanged is found out.
//!
//! That nothing was sent is shown by a relay that spoils every body on its way: a file that was sent after all
//! cannot be stored.

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, SystemTime};

use testbed::relay::{Relay, Rule};
use testbed::{Bed, Rclone, Server};

use super::plain;
use super::stored::{
    assert_complete, assert_half, assert_stored, entries, keys_below, run_again, timestamp,
};
use crate::support::a_new_second;

const LIMIT: Duration = Duration::from_secs(60);

/// Files that differ, none of them empty; the large one goes in parts.
const SIZES: [(&str, usize); 5] = [
    ("alpha", 10),
    ("beta", 4_000),
    ("gamma", 300_000),
    ("below/delta", 70_000),
    ("large", 18 << 20),
];

fn bytes(seed: usize, size: usize) -> Vec<u8> {
    (0..size)
        .map(|at| (at * 31 + at / 251 + seed) as u8)
        .collect()
}

fn write(dir: &Path, name: &str, bytes: &[u8]) {
    let path = dir.join(name);
    fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
    fs::write(path, bytes).expect("a file");
}

/// A bed with files in it, and a relay before its server.
#[track_caller]
fn filled(rclone: Rclone) -> (Bed, Relay) {
    let bed = plain(rclone, Server::Moto);
    for (seed, (name, size)) in SIZES.into_iter().enumerate() {
        write(&bed.dataset("falkordb"), name, &bytes(seed, size));
    }
    // moto's first answer to a file in parts may be 400, so one more attempt there must be.
    let few = ["--retries=2", "--low-level-retries=2"].map(toml::Value::from);
    bed.set("remote.extra_args", few.to_vec())
        .expect("a setting");
    let relay = bed.relay().expect("a relay");
    (bed, relay)
}

/// Runs, and expects both datasets as they are there.
#[track_caller]
fn stored(bed: &Bed) -> String {
    run_again(bed, 0);
    let manifest = assert_complete(bed);
    for name in ["falkordb", "valkey"] {
        assert_stored(bed, &manifest, name, &bed.dataset(name), &[]);
    }
    timestamp(bed)
}

#[track_caller]
fn unchanged_files_are_copied_on_the_server(rclone: Rclone) {
    let (bed, relay) = filled(rclone);
    let first = stored(&bed);
    let spoiled = ["/falkordb-", "/valkey-"]
        .map(|path| relay.rule(Rule::on("PUT").path(path).corrupt_body()));
    let posts = relay.rule(Rule::on("POST").path("/falkordb-").corrupt_body());
    let second = stored(&bed);
    // One request a file (dump.rdb is one), and no part of the large one.
    assert_eq!(relay.hits(spoiled[0]), SIZES.len() + 1);
    assert_eq!((relay.hits(spoiled[1]), relay.hits(posts)), (1, 0));

    // Each is complete in itself.
    let manifest = bed.manifest(&first).expect("a manifest");
    assert_stored(&bed, &manifest, "falkordb", &bed.dataset("falkordb"), &[]);
    for key in keys_below(&bed, &format!("falkordb-{first}")) {
        bed.s3().delete(bed.bucket(), &key).expect("it goes");
    }
    let manifest = bed.manifest(&second).expect("a manifest");
    assert_stored(&bed, &manifest, "falkordb", &bed.dataset("falkordb"), &[]);
}

#[test]
fn unchanged_files_are_copied_on_the_server_with_rclone_1_60() {
    unchanged_files_are_copied_on_the_server(Rclone::Old);
}

#[test]
fn unchanged_files_are_copied_on_the_server_with_rclone_1_75() {
    unchanged_files_are_copied_on_the_server(Rclone::New);
}

#[track_caller]
fn what_the_server_will_not_copy_is_sent(rclone: Rclone) {
    let (bed, relay) = filled(rclone);
    stored(&bed);
    let refused = relay.rule(Rule::on("PUT").path("/falkordb-").copies().status(403));
    run_again(&bed, 0);
    assert!(relay.hits(refused) > 0);
    let manifest = assert_complete(&bed);
    assert_stored(&bed, &manifest, "falkordb", &bed.dataset("falkordb"), &[]);
}

#[test]
fn what_the_server_will_not_copy_is_sent_with_rclone_1_60() {
    what_the_server_will_not_copy_is_sent(Rclone::Old);
}

#[test]
fn what_the_server_will_not_copy_is_sent_with_rclone_1_75() {
    what_the_server_will_not_copy_is_sent(Rclone::New);
}

/// At 150 ms a file after the other would take hours where there are many.
#[track_caller]
fn many_copies_are_under_way_at_once(rclone: Rclone) {
    const MANY: usize = 300;
    let (bed, relay) = filled(rclone);
    for n in 0..MANY {
        write(
            &bed.dataset("falkordb"),
            &format!("many/{n}"),
            &bytes(n, 100),
        );
    }
    stored(&bed);
    relay.forget_requests();
    let held = relay.rule(Rule::on("PUT").path("/many/").copies().stall());
    a_new_second(&bed);
    let run = bed.spawn(&["run"]).expect("it starts");
    relay
        .wait_for_hits(held, 100, LIMIT)
        .expect("a hundred are asked for before the first is answered");
    relay.remove(held);
    let ran = run.wait_timeout(LIMIT).expect("it ends");
    assert_eq!(ran.code, Some(0), "{ran}");
    // A copy and a question or two for each.
    let asked = relay.requests();
    let asked = asked.iter().filter(|r| r.path.contains("/many/")).count();
    assert!(asked <= 3 * MANY, "{asked}");
}

#[test]
fn many_copies_are_under_way_at_once_with_rclone_1_60() {
    many_copies_are_under_way_at_once(Rclone::Old);
}

#[test]
fn many_copies_are_under_way_at_once_with_rclone_1_75() {
    many_copies_are_under_way_at_once(Rclone::New);
}

/// Names that a list of lines cannot hold are sent; a manifest that is none costs the saving and nothing else.
#[test]
fn a_last_manifest_that_cannot_be_read_means_that_everything_is_sent() {
    let (bed, relay) = filled(Rclone::Old);
    let first = stored(&bed);
    let key = format!("manifests/{first}.json");
    bed.s3()
        .put(bed.bucket(), &key, b"{\"schema\":")
        .expect("put");
    let copies = relay.rule(Rule::on("PUT").copies().status(500));
    let ran = run_again(&bed, 0);
    assert_eq!(relay.hits(copies), 0);
    assert!(ran.stderr.contains(&key), "{ran}");
}

#[track_caller]
fn bytes_that_changed_behind_size_and_time_are_sent(rclone: Rclone) {
    let (bed, relay) = filled(rclone);
    let before = bed.manifest(&stored(&bed)).expect("a manifest");
    let dir = bed.dataset("falkordb");
    for (name, size) in [("gamma", 300_000), ("large", 18 << 20)] {
        let path = dir.join(name);
        let mtime = fs::metadata(&path)
            .expect("a file")
            .modified()
            .expect("a time");
        write(&dir, name, &bytes(77, size));
        let file = File::options().write(true).open(&path).expect("a file");
        file.set_modified(mtime).expect("a time");
    }
    // The others are still copied.
    for name in ["alpha", "beta", "below/delta"] {
        relay.rule(Rule::on("PUT").path(&format!("/{name}")).corrupt_body());
    }
    let after = bed.manifest(&stored(&bed)).expect("a manifest");
    for (name, differs) in [("gamma", true), ("large", true), ("alpha", false)] {
        let entry = |manifest| entries(manifest, "falkordb")[name.as_bytes()].clone();
        let (old, new) = (entry(&before), entry(&after));
        assert_eq!(
            (&old["size"], &old["mtime"], &old["mtime_ns"]),
            (&new["size"], &new["mtime"], &new["mtime_ns"])
        );
        assert_eq!(old["md5"] != new["md5"], differs, "{name}");
    }
}

#[test]
fn bytes_that_changed_behind_size_and_time_are_sent_with_rclone_1_60() {
    bytes_that_changed_behind_size_and_time_are_sent(Rclone::Old);
}

#[test]
fn bytes_that_changed_behind_size_and_time_are_sent_with_rclone_1_75() {
    bytes_that_changed_behind_size_and_time_are_sent(Rclone::New);
}

#[track_caller]
fn without_incremental_everything_is_sent(rclone: Rclone) {
    let (bed, relay) = filled(rclone);
    let first = stored(&bed);
    bed.set("remote.incremental", false).expect("a setting");
    relay.forget_requests();
    stored(&bed);
    let old = format!("falkordb-{first}");
    let asked = |path: &str| path.contains(&old);
    let requests = relay.requests();
    assert!(
        !requests
            .iter()
            .any(|request| asked(&request.path) || asked(&request.query))
    );

    relay.rule(Rule::on("PUT").path("/gamma").corrupt_body());
    let ran = run_again(&bed, 5);
    let half = assert_half(&bed, &ran, "valkey", "falkordb");
    assert!(half.why.contains("gamma"), "{}", half.why);
}

#[test]
fn without_incremental_everything_is_sent_with_rclone_1_60() {
    without_incremental_everything_is_sent(Rclone::Old);
}

#[test]
fn without_incremental_everything_is_sent_with_rclone_1_75() {
    without_incremental_everything_is_sent(Rclone::New);
}

#[track_caller]
fn what_a_killed_run_has_sent_is_not_sent_again(rclone: Rclone) {
    let (bed, relay) = filled(rclone);
    stored(&bed);
    let dir = bed.dataset("falkordb");
    // Older than the run, as files that a server has left are.
    let fresh = [
        ("beta", 4_000),
        ("epsilon", 9_000),
        ("below/zeta", 250_000),
        ("last", 8_000),
    ];
    for (name, size) in fresh {
        write(&dir, name, &bytes(99, size));
        let file = File::options()
            .write(true)
            .open(dir.join(name))
            .expect("a file");
        file.set_modified(SystemTime::now() - Duration::from_secs(3600))
            .expect("a time");
    }

    relay.forget_requests();
    let stalled = relay.rule(Rule::on("PUT").path("/last").stall());
    let last = super::stored::now();
    while super::stored::now() == last {
        std::thread::sleep(Duration::from_millis(10));
    }
    let mut killed = bed.spawn(&["run"]).expect("it starts");
    let arrived = |relay: &Relay| {
        let requests = relay.requests();
        let there = |name: &str| {
            let path = format!("/{name}");
            requests
                .iter()
                .any(|r| r.method == "PUT" && r.path.ends_with(&path) && r.status == Some(200))
        };
        SIZES.iter().chain(&fresh[..3]).all(|(name, _)| there(name))
    };
    killed
        .wait_until("everything but the last file", LIMIT, |_| {
            arrived(&relay) && relay.hits(stalled) > 0
        })
        .expect("it sends them");
    killed.kill().expect("SIGKILL");
    killed.wait_timeout(LIMIT).expect("it ends");
    assert_eq!(bed.leftovers_after(Duration::from_secs(10)), [""; 0]);
    let committed = bed.committed().expect("the bucket answers");
    assert_eq!(committed.len(), 1, "{committed:?}");

    relay.clear();
    let sent = [
        "beta",
        "epsilon",
        "below/zeta",
        "alpha",
        "gamma",
        "below/delta",
        "large",
        "dump.rdb",
    ];
    for name in sent {
        relay.rule(Rule::on("PUT").path(&format!("/{name}")).corrupt_body());
    }
    stored(&bed);
    // The dead run's mark says what it has left.
    let keys = bed.keys().expect("the bucket answers");
    assert_eq!(
        keys.iter()
            .filter(|key| key.ends_with(".started.json"))
            .count(),
        1,
        "{keys:?}"
    );
}

#[test]
fn what_a_killed_run_has_sent_is_not_sent_again_with_rclone_1_60() {
    what_a_killed_run_has_sent_is_not_sent_again(Rclone::Old);
}

#[test]
fn what_a_killed_run_has_sent_is_not_sent_again_with_rclone_1_75() {
    what_a_killed_run_has_sent_is_not_sent_again(Rclone::New);
}
