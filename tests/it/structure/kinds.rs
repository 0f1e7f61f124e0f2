//! What stands where a dataset should be: a link, a file, nothing, or nothing that could be stored.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

use serde_json::json;
use testbed::Bed;
use testbed::process::run;

use crate::files::stored::{
    assert_complete, assert_half, assert_stored, keys_below, named, now, run_again, timestamp,
};
use crate::support::{bed, marks};

/// A bed without the export: nothing here is about it.
#[track_caller]
fn quick() -> Bed {
    let bed = bed();
    bed.set("export.enable", false).expect("a setting");
    bed
}

/// Expects valkey stored, falkordb refused for this reason and nothing of it sent.
#[track_caller]
fn assert_refused(bed: &Bed, reasons: &[&str]) {
    let ran = run_again(bed, 5);
    let half = assert_half(bed, &ran, "valkey", "falkordb");
    for reason in reasons {
        assert!(half.why.contains(reason), "{reason}: {}", half.why);
    }
    let prefix = format!("falkordb-{}", half.timestamp);
    assert_eq!(keys_below(bed, &prefix), [""; 0]);
}

#[test]
fn a_dataset_that_is_a_symbolic_link_is_refused() {
    let bed = quick();
    let (at, real) = (bed.dataset("falkordb"), bed.dataset("real"));
    fs::rename(&at, &real).expect("a move");
    for target in [Path::new("real"), &real] {
        symlink(target, &at).expect("a link");
        let reasons = [
            "containers/falkordb is a symbolic link",
            "name the directory that it points to",
        ];
        assert_refused(&bed, &reasons);
        fs::remove_file(&at).expect("it goes");
    }
}

#[test]
fn a_symbolic_link_in_a_component_above_a_dataset_is_refused() {
    let bed = quick();
    let graphs = bed.subvolume().join("graphs");
    fs::create_dir(&graphs).expect("a directory");
    fs::rename(bed.dataset("falkordb"), graphs.join("falkordb")).expect("a move");
    symlink("../graphs", bed.dataset("linked")).expect("a link");
    bed.set("datasets.falkordb.path", "containers/linked/falkordb")
        .expect("a setting");
    assert_refused(&bed, &["containers/linked is a symbolic link"]);
    bed.set("datasets.falkordb.path", "graphs/falkordb")
        .expect("a setting");
    run_again(&bed, 0);
    assert_complete(&bed);
}

#[test]
fn a_dataset_that_is_a_file_is_refused() {
    let bed = quick();
    let at = bed.dataset("falkordb");
    fs::remove_dir_all(&at).expect("it goes");
    fs::write(&at, "no directory").expect("a file");
    assert_refused(&bed, &["containers/falkordb is not a directory"]);
}

#[test]
fn a_dataset_that_is_missing_is_refused() {
    let bed = quick();
    fs::remove_dir_all(bed.dataset("falkordb")).expect("it goes");
    assert_refused(
        &bed,
        &[
            "containers/falkordb is not in the snapshot",
            "is the path right",
        ],
    );
}

#[test]
fn a_dataset_without_a_file_is_refused() {
    let bed = quick();
    let at = bed.dataset("falkordb");
    fs::remove_file(at.join("dump.rdb")).expect("it goes");
    assert_refused(&bed, &["containers/falkordb holds no file"]);
    fs::create_dir_all(at.join("empty/and empty")).expect("directories");
    symlink("/etc/hostname", at.join("link")).expect("a link");
    assert_refused(&bed, &["containers/falkordb holds no file"]);
}

#[test]
fn a_dataset_of_nothing_but_what_is_left_out_is_refused() {
    let bed = quick();
    let at = bed.dataset("falkordb");
    fs::rename(at.join("dump.rdb"), at.join("temp-123.rdb")).expect("a move");
    fs::create_dir(at.join("below")).expect("a directory");
    fs::write(at.join("below/temp-rewriteaof-9.aof"), "x").expect("a file");
    let _socket = UnixListener::bind(at.join("socket")).expect("a socket");
    run(Command::new("mkfifo").arg(at.join("fifo"))).expect("a fifo");
    assert_refused(&bed, &["containers/falkordb holds no file"]);
}

#[test]
fn sockets_fifos_and_devices_are_left_out_and_listed_with_the_reason() {
    let bed = quick();
    bed.set("datasets.valkey.format", "files")
        .expect("a setting");
    for name in ["falkordb", "valkey"] {
        let at = bed.dataset(name);
        fs::create_dir(at.join("below")).expect("a directory");
        let _socket = UnixListener::bind(at.join("a socket")).expect("a socket");
        for (node, kind) in [
            ("below/fifo", &["p"][..]),
            ("null", &["c", "1", "3"]),
            ("loop", &["b", "7", "99"]),
        ] {
            run(Command::new("mknod").arg(at.join(node)).args(kind)).expect("mknod");
        }
    }
    run_again(&bed, 0);
    let manifest = assert_complete(&bed);
    for name in ["falkordb", "valkey"] {
        assert_stored(&bed, &manifest, name, &bed.dataset(name), &[]);
        let left_out = &named(&manifest["datasets"], name)["left_out"];
        let expected = json!([
            {"path": "a socket", "why": "a socket"},
            {"path": "below/fifo", "why": "a named pipe"},
            {"path": "loop", "why": "a device"},
            {"path": "null", "why": "a device"},
        ]);
        assert_eq!(*left_out, expected, "{name}");
    }
}

#[test]
fn with_no_dataset_stored_there_is_no_manifest_of_any_kind_and_the_mark_stays() {
    let bed = quick();
    fs::remove_dir_all(bed.dataset("falkordb")).expect("it goes");
    fs::remove_file(bed.dataset("valkey").join("dump.rdb")).expect("it goes");
    let ran = run_again(&bed, 5);
    let at = timestamp(&bed);
    let marks = marks(&bed, &at);
    assert_eq!(marks.len(), 1, "{ran}");
    assert_eq!(bed.keys().expect("the bucket answers"), marks);
    assert_eq!(
        bed.snapshots().expect("a listing"),
        [format!("persist-{at}")]
    );
    let state = bed.state().expect("a state file");
    assert_eq!(state["exit_code"], json!(5));
    assert_eq!(state["failed_step"], json!("structure"));
    for reason in [
        "falkordb is not safely stored: ",
        "containers/falkordb is not in the snapshot",
        "valkey is not safely stored: ",
        "containers/valkey holds no file",
        &format!(
            "{} is kept",
            bed.snapshot_dir().join(format!("persist-{at}")).display()
        ),
    ] {
        assert!(ran.stderr.contains(reason), "{reason}: {ran}");
        let verdict = state["verdict"].as_str().expect("a verdict");
        assert!(verdict.contains(reason), "{reason}: {verdict}");
    }
    // Nothing of it stands in the way of the next run.
    for name in ["falkordb", "valkey"] {
        fs::create_dir_all(bed.dataset(name)).expect("a directory");
        let dump = testbed::rdb_fixtures::valid(now().cast_signed());
        fs::write(bed.dataset(name).join("dump.rdb"), dump).expect("a dump");
    }
    run_again(&bed, 0);
    assert_complete(&bed);
}
