//! Names that somebody's program might give a file.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::Path;

use testbed::{Bed, Rclone, Server};

use super::plain;
use super::stored::{assert_complete, assert_half, assert_stored, entries, keys_below, run_again};
use crate::restore::by_hand::{DATA, file, manifest, put, store, this_host};
use crate::support::{days_ago, expect};

/// Names that S3, a shell, XML, JSON, a URL or rclone could trip over; files or directories.
fn names() -> Vec<Vec<u8>> {
    let texts = [
        " leading",
        "trailing ",
        "two  blanks",
        "'single'",
        "\"double\"",
        "`back`",
        "$HOME",
        "!bang",
        "*",
        "?",
        "[a-z]",
        "{a,b}",
        "**",
        "back\\slash",
        "-dash",
        "--s3-no-head",
        "#hash",
        "a%41b",
        "a%2Fb",
        "a+b",
        "a&b",
        "<xml>",
        "&amp;",
        "a=b;c:d",
        "|pipe",
        "@at",
        "~",
        "~user",
        ".hidden",
        "...",
        "a.",
        "..a",
        "- name",
        "; comment",
        "CON",
        "tab\there",
        "cr\rhere",
        "DEL\u{7f}",
        "\u{7f}",
        "．",
        "．．",
        "..．",
        "．a",
        "／",
        "a／b",
        "＊？＂",
        "\u{e9}",
        "e\u{301}",
        "\u{fffd}",
        "\u{feff}bom",
        "日本語",
        "🧠",
        "\u{202e}rtl",
        "\u{a0}nbsp",
        "\u{2028}line",
        "manifests",
        "2025-01-01T12-00-00Z.json",
        "null",
        "‚‘’",
        "␀",
        "␤",
    ];
    let mut names: Vec<Vec<u8>> = texts.iter().map(|name| name.as_bytes().to_vec()).collect();
    for bytes in [
        &b"\xff"[..],
        b"latin\xe9",
        b"half\xe2\x80",
        b"\xe2\x80\x9b\xff"[1..].as_ref(),
        b"\xc3\x28",
        b"\xed\xa0\x80",
    ] {
        names.push(bytes.to_vec());
    }
    // Every control character, and every picture of one.
    names.extend((1..0x20u8).map(|byte| vec![b'c', byte, b'c']));
    names.extend([(1..0x20u8).collect(), b"\n".to_vec(), b"\n\n\xff".to_vec()]);
    let pictures = (0x2400..=0x2421).filter_map(char::from_u32);
    names.extend(pictures.map(|picture| format!("p{picture}").into_bytes()));
    // As long as a file system allows, in bytes of one and of four.
    names.push(vec![b'l'; 255]);
    names.push("🧠".repeat(63).into_bytes());
    names
}

fn path(dir: &Path, name: &[u8]) -> std::path::PathBuf {
    dir.join(OsStr::from_bytes(name))
}

/// A file of each name, and a directory of each name with a file in it.
#[track_caller]
fn make(dir: &Path, names: &[Vec<u8>]) {
    for (number, name) in names.iter().enumerate() {
        fs::write(path(dir, name), format!("file {number}")).expect("a file");
        let below = path(&dir.join("directories"), name);
        fs::create_dir_all(&below).expect("a directory");
        fs::write(path(&below, name), format!("file {number} below")).expect("a file");
    }
}

#[track_caller]
fn every_name_makes_the_round_trip(rclone: Rclone, server: Server, names: &[Vec<u8>]) {
    let bed = plain(rclone, server);
    let dir = bed.dataset("falkordb");
    make(&dir, names);
    run_again(&bed, 0);
    let manifest = assert_complete(&bed);
    assert_stored(&bed, &manifest, "falkordb", &dir, &[]);
    // And copied on the server.
    run_again(&bed, 0);
    let manifest = assert_complete(&bed);
    assert_stored(&bed, &manifest, "falkordb", &dir, &[]);
}

/// On rclone's own server, which stores keys as files and so shows that each is a possible one. It answers 500
/// to what stands for invalid UTF-8, so the others are few.
fn with_newlines() -> Vec<Vec<u8>> {
    let names = [
        "\n",
        "a\nb",
        "\n\n",
        "- new\nline",
        "\r\n",
        "\u{1}\u{7f}",
        "\u{240a}",
        "\u{240a}\n",
        "plain",
    ];
    names.map(|name| name.as_bytes().to_vec()).to_vec()
}

#[test]
fn every_name_makes_the_round_trip_with_rclone_1_60() {
    every_name_makes_the_round_trip(Rclone::Old, Server::Moto, &names());
}

#[test]
fn every_name_makes_the_round_trip_with_rclone_1_75() {
    every_name_makes_the_round_trip(Rclone::New, Server::Moto, &names());
}

#[test]
fn newlines_too_make_the_round_trip_with_rclone_1_60() {
    every_name_makes_the_round_trip(Rclone::Old, Server::RcloneServe, &with_newlines());
}

#[test]
fn newlines_too_make_the_round_trip_with_rclone_1_75() {
    every_name_makes_the_round_trip(Rclone::New, Server::RcloneServe, &with_newlines());
}

/// S3 allows 1,024 bytes in a key: `falkordb-2025-01-01T12-00-00Z/` and these.
#[track_caller]
fn a_long_key_makes_the_round_trip(rclone: Rclone) {
    let bed = plain(rclone, Server::Moto);
    let dir = bed.dataset("falkordb");
    let prefix = "falkordb-2025-01-01T12-00-00Z/".len();
    let names = ["d".repeat(250), "e".repeat(250), "f".repeat(250)];
    let rest = 1024 - prefix - 3 * 251;
    let deep = dir.join(names.join("/"));
    fs::create_dir_all(&deep).expect("directories");
    fs::write(deep.join("g".repeat(rest)), "at the limit").expect("a file");
    run_again(&bed, 0);
    let manifest = assert_complete(&bed);
    assert_stored(&bed, &manifest, "falkordb", &dir, &[]);
    let keys = bed.keys().expect("the bucket answers");
    assert_eq!(keys.iter().map(String::len).max(), Some(1024));
}

#[test]
fn a_key_of_1024_bytes_makes_the_round_trip_with_rclone_1_60() {
    a_long_key_makes_the_round_trip(Rclone::Old);
}

#[test]
fn a_key_of_1024_bytes_makes_the_round_trip_with_rclone_1_75() {
    a_long_key_makes_the_round_trip(Rclone::New);
}

/// Everything below the falkordb dataset is refused, with this in the message, and nothing of it is sent.
#[track_caller]
fn assert_refused(bed: &Bed, named: &str) {
    let ran = run_again(bed, 5);
    let half = assert_half(bed, &ran, "valkey", "falkordb");
    for word in [named, "cannot be stored", "U+201B", "rename it"] {
        assert!(half.why.contains(word), "{word}: {}", half.why);
    }
    let prefix = format!("falkordb-{}", half.timestamp);
    assert_eq!(keys_below(bed, &prefix), [""; 0]);
}

#[track_caller]
fn rclones_own_quote_is_refused(rclone: Rclone) {
    let bed = plain(rclone, Server::Moto);
    let dir = bed.dataset("falkordb");
    for name in ["quo‛te", "‛", "‛‛FF", "‛␁"] {
        fs::write(dir.join(name), "x").expect("a file");
        assert_refused(&bed, &format!("containers/falkordb/{name} "));
        fs::remove_file(dir.join(name)).expect("it goes");
    }
    fs::create_dir(dir.join("di‛r")).expect("a directory");
    fs::write(dir.join("di‛r/within"), "x").expect("a file");
    assert_refused(&bed, "containers/falkordb/di‛r");
    // An empty one, too: rclone looks into it.
    fs::remove_file(dir.join("di‛r/within")).expect("it goes");
    assert_refused(&bed, "containers/falkordb/di‛r ");
    fs::remove_dir(dir.join("di‛r")).expect("it goes");

    // A link is in the manifest alone, and there any name will do.
    symlink("‛", dir.join("li‛nk")).expect("a link");
    run_again(&bed, 0);
    let manifest = assert_complete(&bed);
    assert_stored(&bed, &manifest, "falkordb", &dir, &[]);
    assert!(entries(&manifest, "falkordb").contains_key("li‛nk".as_bytes()));
}

#[test]
fn a_name_with_rclones_own_quote_is_refused_by_name_with_rclone_1_60() {
    rclones_own_quote_is_refused(Rclone::Old);
}

#[test]
fn a_name_with_rclones_own_quote_is_refused_by_name_with_rclone_1_75() {
    rclones_own_quote_is_refused(Rclone::New);
}

#[test]
fn of_many_refused_names_some_are_named_and_the_rest_counted() {
    let bed = plain(Rclone::Old, Server::Moto);
    for number in 0..12 {
        fs::write(bed.dataset("falkordb").join(format!("‛{number:02}")), "x").expect("a file");
    }
    assert_refused(&bed, "… and 7 more");
}

/// By the name that it lists rclone finds no object of such a file again: what goes in parts is asked about apart.
#[track_caller]
fn a_large_file_of_an_odd_name_is_proven(rclone: Rclone) {
    const LARGE: usize = 17 << 20;
    const ODD: [&[u8]; 6] = [
        b"u\xff",
        "p\u{2401}".as_bytes(),
        "p\u{2421}x".as_bytes(),
        b"d\xfe/plain",
        b"a [x] \xff ",
        b"\xef\xbc\x8e/\xe2\x90\x80\xe2\x90\x8a\n\xff",
    ];
    let bed = plain(rclone, Server::Moto);
    let dir = bed.dataset("falkordb");
    let write = |name: &[u8]| {
        let path = path(&dir, name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a directory");
        fs::write(path, name.repeat(LARGE / name.len())).expect("a file");
    };
    let proven = || {
        run_again(&bed, 0);
        let manifest = assert_complete(&bed);
        assert_stored(&bed, &manifest, "falkordb", &dir, &[]);
        for way in [&["verify"][..], &["verify", "--download"]] {
            let ran = expect(&bed, way, 0);
            assert!(!ran.stderr.contains("warning"), "{ran}");
        }
    };
    // Alone, then beside others, some of which can be listed; small ones too.
    write(ODD[0]);
    fs::write(path(&dir, b"small\xff"), "small").expect("a file");
    proven();
    ODD.iter().copied().for_each(write);
    write(b"plain");
    proven();
    for damaged in ["p\u{201b}\u{2401}", "u\u{201b}FF", "small\u{201b}FF"] {
        let keys = bed.keys().expect("the bucket answers");
        let key = keys.iter().rfind(|key| key.ends_with(damaged));
        let key = key.expect("an object");
        let whole = bed.s3().get(bed.bucket(), key).expect("an answer");
        let whole = whole.expect("an object");
        let other = vec![b'x'; whole.len()];
        bed.s3().put(bed.bucket(), key, &other).expect("stored");
        for way in [&["verify"][..], &["verify", "--download"]] {
            let ran = expect(&bed, way, 8);
            assert!(
                ran.stdout.contains("has other contents"),
                "{damaged}: {ran}"
            );
        }
        bed.s3().put(bed.bucket(), key, &whole).expect("stored");
    }
}

#[test]
fn a_large_file_of_an_odd_name_is_proven_with_rclone_1_60() {
    a_large_file_of_an_odd_name_is_proven(Rclone::Old);
}

#[test]
fn a_large_file_of_an_odd_name_is_proven_with_rclone_1_75() {
    a_large_file_of_an_odd_name_is_proven(Rclone::New);
}

/// What is not there reads like an empty object.
#[test]
fn an_object_of_an_odd_name_that_is_missing_is_found_to_be() {
    for rclone in [Rclone::Old, Rclone::New] {
        let bed = crate::restore::plain(rclone);
        let at = days_ago(1);
        put(&bed, "", &at, &this_host());
        let mut made = manifest("", &at, &this_host());
        let entries = made["datasets"][0]["entries"].as_array_mut();
        let entries = entries.expect("entries");
        entries.push(file("empty\u{2401}", b""));
        entries.push(file("full\u{2401}", b"full"));
        made["datasets"][0]["files"] = 3.into();
        made["datasets"][0]["bytes"] = (DATA.len() + 4).into();
        store(&bed, "", &at, &made);
        for way in [&["verify"][..], &["verify", "--download"]] {
            let ran = expect(&bed, way, 8);
            for name in ["empty", "full"] {
                assert!(
                    ran.stdout.contains(&format!("{name}‛‛‛␁ is missing")),
                    "{ran}"
                );
            }
        }
    }
}
