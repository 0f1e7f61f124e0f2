//! What S3 cannot hold, the manifest does.

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, chown, lchown, symlink};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use serde_json::json;
use testbed::{Rclone, Server};

use super::plain;
use super::stored::{assert_complete, assert_stored, entries, keys_below, run_again, timestamp};

fn links(dir: &Path) {
    for (name, target) in [
        ("relative", "dump.rdb"),
        ("dangling", "no/such/file"),
        ("absolute", "/etc/hostname"),
        ("to a directory", "full"),
        ("in a circle", "in a circle"),
        ("up", "../../.."),
    ] {
        symlink(target, dir.join(name)).expect("a link");
    }
    let odd = OsStr::from_bytes(b"\xff\n");
    symlink(odd, dir.join(odd)).expect("a link");
}

/// Owners, permissions and times, each unlike any default.
fn metadata(dir: &Path) {
    for (number, mode) in [0o000, 0o400, 0o644, 0o4755, 0o2711, 0o777]
        .iter()
        .enumerate()
    {
        let path = dir.join(format!("full/mode-{mode:04o}"));
        let mut file = File::create(&path).expect("a file");
        writeln!(file, "{mode:o}").expect("a line");
        let number = u32::try_from(number).expect("small");
        chown(&path, Some(10_000 + number), Some(20_000 + number)).expect("an owner");
        fs::set_permissions(&path, Permissions::from_mode(*mode)).expect("a mode");
        let mtime = UNIX_EPOCH + Duration::new(1_000_000_000 + u64::from(number), 123_456_789);
        file.set_modified(mtime).expect("a time");
    }
    let before = UNIX_EPOCH - Duration::from_millis(1500);
    let file = File::create(dir.join("before 1970")).expect("a file");
    file.set_modified(before).expect("a time");
    let empty = dir.join("empty/also empty");
    fs::create_dir_all(&empty).expect("directories");
    fs::set_permissions(&empty, Permissions::from_mode(0o1777)).expect("a mode");
    chown(&empty, Some(33), Some(4)).expect("an owner");
    lchown(dir.join("dangling"), Some(77), Some(78)).expect("an owner");
}

#[track_caller]
fn everything_is_stored_or_in_the_manifest(rclone: Rclone) {
    let bed = plain(rclone, Server::Moto);
    let dir = bed.dataset("falkordb");
    fs::create_dir(dir.join("full")).expect("a directory");
    links(&dir);
    metadata(&dir);
    fs::write(dir.join("nothing"), "").expect("a file");
    fs::write(dir.join("linked once"), "the same").expect("a file");
    fs::hard_link(dir.join("linked once"), dir.join("full/linked twice")).expect("a link");
    // Above what goes in one request, and mostly holes.
    let sparse = File::create(dir.join("sparse")).expect("a file");
    sparse.set_len(24 << 20).expect("a length");
    sparse.write_at(b"island", 9 << 20).expect("bytes");
    sparse.write_at(b"end", (24 << 20) - 3).expect("bytes");
    assert!(
        fs::metadata(dir.join("sparse"))
            .expect("it is there")
            .blocks()
            < 1000
    );

    run_again(&bed, 0);
    let manifest = assert_complete(&bed);
    assert_stored(&bed, &manifest, "falkordb", &dir, &[]);

    // The comparison above is with the live tree; these are the words themselves.
    let told = entries(&manifest, "falkordb");
    let dangling = &told[&b"dangling"[..]];
    assert_eq!(
        (&dangling["type"], &dangling["target"]),
        (&json!("symlink"), &json!("no/such/file"))
    );
    assert_eq!(
        (&dangling["uid"], &dangling["gid"]),
        (&json!(77), &json!(78))
    );
    let file = &told[&b"full/mode-4755"[..]];
    assert_eq!(
        (&file["mode"], &file["uid"]),
        (&json!("4755"), &json!(10_003))
    );
    assert_eq!(
        (&file["mtime"], &file["mtime_ns"]),
        (&json!(1_000_000_003), &json!(123_456_789))
    );
    let old = &told[&b"before 1970"[..]];
    assert_eq!(
        (&old["mtime"], &old["mtime_ns"]),
        (&json!(-2), &json!(500_000_000))
    );
    assert_eq!(told[&b"empty/also empty"[..]]["mode"], json!("1777"));
    let nothing = &told[&b"nothing"[..]];
    assert_eq!(
        (&nothing["size"], &nothing["md5"]),
        (&json!(0), &json!("d41d8cd98f00b204e9800998ecf8427e"))
    );

    let prefix = format!("falkordb-{}", timestamp(&bed));
    let keys = keys_below(&bed, &prefix);
    for only_told in [
        "relative",
        "dangling",
        "absolute",
        "to a directory",
        "in a circle",
        "empty",
    ] {
        let key = format!("{prefix}/{only_told}");
        assert!(
            !keys.iter().any(|there| there.starts_with(&key)),
            "{key}: {keys:?}"
        );
    }
    let group = &manifest["datasets"][0]["groups"]["4"];
    assert_eq!(*group, json!("adm"), "the name of an owner goes along");
}

#[test]
fn links_owners_times_and_empty_directories_are_in_the_manifest_with_rclone_1_60() {
    everything_is_stored_or_in_the_manifest(Rclone::Old);
}

#[test]
fn links_owners_times_and_empty_directories_are_in_the_manifest_with_rclone_1_75() {
    everything_is_stored_or_in_the_manifest(Rclone::New);
}
