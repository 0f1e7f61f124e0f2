//! Append-only files: what the manifest names has to be there, and what a crash leaves is forgiven where it
//! leaves it.

use std::fs;
use std::path::{Path, PathBuf};

use testbed::{Bed, rdb_fixtures};

use super::{APPEND_ONLY, fetched, passed, quick, refused, server};
use crate::files::stored::{assert_half, keys_below, now, run_again};

const SET: &[u8] = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\nvalue\r\n";
const MANIFEST: &str = "appendonlydir/appendonly.aof.manifest";
const FIRST: &str = "appendonlydir/appendonly.aof.1.incr.aof";
const LAST: &str = "appendonlydir/appendonly.aof.2.incr.aof";

/// A bed whose falkordb has a base, two increments, and a manifest that names them.
#[track_caller]
fn with_aof() -> Bed {
    let bed = quick();
    let at = bed.dataset("falkordb");
    fs::create_dir(at.join("appendonlydir")).expect("a directory");
    let manifest = "file appendonly.aof.1.base.rdb seq 1 type b\n\
                    file appendonly.aof.1.incr.aof seq 1 type i\n\
                    file appendonly.aof.2.incr.aof seq 2 type i\n";
    let base = rdb_fixtures::valid(now().cast_signed());
    for (name, bytes) in [
        (MANIFEST, manifest.as_bytes()),
        ("appendonlydir/appendonly.aof.1.base.rdb", &base),
        (FIRST, &SET.repeat(50)),
        (LAST, &SET.repeat(50)),
    ] {
        fs::write(at.join(name), bytes).expect("a file");
    }
    bed
}

#[track_caller]
fn write(bed: &Bed, name: &str, bytes: &[u8]) {
    fs::write(bed.dataset("falkordb").join(name), bytes).expect("a file");
}

#[test]
fn a_whole_append_only_file_passes_without_a_word() {
    let bed = with_aof();
    passed(&bed).assert_warned(&bed, &[]);
}

#[test]
fn a_file_that_the_manifest_names_and_that_is_not_there_is_refused_by_name() {
    let bed = with_aof();
    for gone in [FIRST, LAST, "appendonlydir/appendonly.aof.1.base.rdb"] {
        let path = bed.dataset("falkordb").join(gone);
        let bytes = fs::read(&path).expect("a file");
        fs::remove_file(&path).expect("it goes");
        let name = gone.rsplit('/').next().expect("a name");
        let ran = run_again(&bed, 5);
        let half = assert_half(&bed, &ran, "valkey", "falkordb");
        let said = format!("{MANIFEST} names {name}, which is not there");
        assert!(half.why.contains(&said), "{}", half.why);
        // That much is known before anything is sent.
        assert_eq!(
            keys_below(&bed, &format!("falkordb-{}", half.timestamp)),
            [""; 0]
        );
        fs::write(&path, bytes).expect("a file");
    }
    passed(&bed).assert_warned(&bed, &[]);
}

#[test]
fn a_file_that_a_rewrite_has_replaced_may_be_gone() {
    let bed = with_aof();
    let history = "file appendonly.aof.2.base.rdb seq 2 type b\n\
                   file appendonly.aof.1.base.rdb seq 1 type h\n\
                   file appendonly.aof.0.incr.aof seq 7 type h\n\
                   file appendonly.aof.1.incr.aof seq 1 type h\n\
                   file appendonly.aof.2.incr.aof seq 2 type i\n";
    write(&bed, MANIFEST, history.as_bytes());
    let at = bed.dataset("falkordb").join("appendonlydir");
    let base = |n| at.join(format!("appendonly.aof.{n}.base.rdb"));
    fs::rename(base(1), base(2)).expect("a move");
    fs::remove_file(at.join("appendonly.aof.1.incr.aof")).expect("it goes");
    passed(&bed).assert_warned(&bed, &[]);
}

#[test]
fn a_manifest_that_no_server_would_read_is_refused_with_its_line() {
    let bed = with_aof();
    for (text, why) in [
        ("", "names no file"),
        ("file a.aof seq 1 type i\n\n", "line 2: blank"),
        (
            "file a.aof seq 1 type i",
            "line 1: too long, or not ended by a newline",
        ),
        (
            "file ../dump.rdb seq 1 type b\n",
            "line 1: a file name that is no plain name",
        ),
        ("\0\0\0\0\0\0\0\0\n", "line 1: "),
    ] {
        write(&bed, MANIFEST, text.as_bytes());
        let ran = run_again(&bed, 5);
        let half = assert_half(&bed, &ran, "valkey", "falkordb");
        let said = [MANIFEST, why];
        assert!(
            said.iter().all(|word| half.why.contains(word)),
            "{why}: {}",
            half.why
        );
    }
}

#[test]
fn a_torn_last_increment_passes_with_a_warning() {
    let bed = with_aof();
    let whole = SET.repeat(50);
    let sound = whole.len() - SET.len();
    let transaction = [&whole, &b"*1\r\n$5\r\nMULTI\r\n"[..], SET].concat();
    let nuls = [&whole, &[0; 4096][..]].concat();
    let (by_itself, by_hand) = (
        "truncates it when aof-load-truncated is on",
        "-check-aof --fix",
    );
    for (torn, bytes, after, remedy) in [
        (&whole[..whole.len() - 3], SET.len() - 3, sound, by_itself),
        (&whole[..sound + 1], 1, sound, by_itself),
        (&nuls, 4096, whole.len(), by_hand),
        (
            &transaction,
            transaction.len() - whole.len(),
            whole.len(),
            by_itself,
        ),
    ] {
        write(&bed, LAST, torn);
        let start = format!("{LAST}: torn tail: {bytes} bytes after offset {after}");
        passed(&bed).assert_warned(&bed, &[(&start, remedy)]);
    }
}

#[test]
fn an_increment_that_is_torn_though_another_follows_is_refused() {
    let bed = with_aof();
    let whole = SET.repeat(50);
    for torn in [&whole[..whole.len() - 3], &[&whole, &[0; 64][..]].concat()] {
        write(&bed, FIRST, torn);
        refused(&bed, &[FIRST, ": AOF "]);
    }
}

#[test]
fn garbage_in_the_middle_is_refused_in_the_last_increment_too() {
    let bed = with_aof();
    let whole = SET.repeat(50);
    for name in [FIRST, LAST] {
        let mut bytes = whole.clone();
        bytes[SET.len() * 20] = b'!';
        write(&bed, name, &bytes);
        let offset = format!("malformed at offset {}", SET.len() * 20);
        refused(&bed, &[name, &offset, "found 0x21"]);
        write(&bed, name, &whole);
    }
    // A hole of NUL bytes with commands behind it is no tail.
    let hole = [&whole, &[0; 512][..], SET].concat();
    write(&bed, LAST, &hole);
    refused(
        &bed,
        &[LAST, &format!("malformed at offset {}", whole.len())],
    );
}

#[test]
fn a_damaged_base_is_refused() {
    let bed = with_aof();
    let base = "appendonlydir/appendonly.aof.1.base.rdb";
    write(&bed, base, &rdb_fixtures::bit_flipped(now().cast_signed()));
    refused(&bed, &[base, "RDB file damaged"]);
}

/// The newest increment.
#[track_caller]
fn newest(dir: &Path) -> PathBuf {
    let files = fs::read_dir(dir.join("appendonlydir")).expect("a directory");
    let paths = files.map(|file| file.expect("a file").path());
    let mut increments: Vec<_> = paths
        .filter(|path| path.to_string_lossy().ends_with(".incr.aof"))
        .collect();
    increments.sort();
    increments.pop().expect("an increment")
}

#[test]
fn an_append_only_file_of_several_files_comes_back_and_loads_with_equal_digest() {
    let bed = quick();
    let dir = bed.dataset("falkordb");
    fs::remove_file(dir.join("dump.rdb")).expect("it goes");
    let live = server(&bed, &dir, &APPEND_ONLY);
    live.write(3000, "first").expect("writes");
    live.bgrewriteaof_wait().expect("a rewrite");
    live.write(2000, "second").expect("writes");
    // A rewrite that never ends: the server has begun another increment for it.
    live.command(&["CONFIG", "SET", "rdb-key-save-delay", "1000000"])
        .expect("a setting");
    live.command(&["BGREWRITEAOF"]).expect("a rewrite");
    live.write(1000, "third").expect("writes");
    let digest = live.digest().expect("a digest");
    live.shutdown_nosave().expect("an end");
    let files = fs::read_dir(dir.join("appendonlydir")).expect("a directory");
    assert_eq!(files.count(), 4, "a manifest, a base, two increments");

    passed(&bed).assert_warned(&bed, &[]);
    let loaded = server(&bed, &fetched(&bed), &APPEND_ONLY);
    assert_eq!(loaded.digest().expect("a digest"), digest);
    assert_eq!(loaded.dbsize().expect("a size"), 6000);
    drop(loaded);

    // Torn as a crash tears it: one write is lost, and the server says no more about it than we do.
    let last = newest(&dir);
    let torn = fs::read(&last).expect("the increment");
    fs::write(&last, &torn[..torn.len() - 2]).expect("a shorter one");
    let name = last
        .strip_prefix(&dir)
        .expect("below")
        .display()
        .to_string();
    passed(&bed).assert_warned(&bed, &[(&name, "torn tail")]);
    let loaded = server(&bed, &fetched(&bed), &APPEND_ONLY);
    assert_eq!(loaded.dbsize().expect("a size"), 5999);
}
