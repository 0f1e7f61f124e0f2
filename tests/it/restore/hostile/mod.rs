//! Whoever can write to the bucket can write a manifest. Nothing of it is believed, nothing is written for it.

mod paths;
mod texts;

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Result;
use serde_json::{Value, json};
use testbed::{Bed, Rclone};

use super::by_hand::{DATA, data, directory, file, link, manifest, object, store};
use super::{names_in, plain, restore, target};

const AT: &str = "2025-01-01T00-00-00Z";

/// A bed with the data of a backup, whose manifest each case writes.
fn bed() -> Result<Bed> {
    let bed = plain(Rclone::Old);
    super::impatient(&bed);
    data(&bed, "", AT);
    for name in ["evil", "a/b", "x", "link/evil", "passwd"] {
        object(&bed, &format!("falkordb-{AT}/{name}"), DATA);
    }
    // What it would be nice to write into.
    fs::create_dir(bed.scratch().join("outside"))?;
    Ok(bed)
}

/// All that is in the scratch directory, with times.
#[track_caller]
fn everything(bed: &Bed) -> String {
    let mut find = Command::new("find");
    find.arg(bed.scratch()).args([
        "-path",
        "*/venv",
        "-prune",
        "-o",
        "-not",
        "-name",
        "fs.img",
        "-printf",
        "%p %y %T@ %s\\n",
    ]);
    let output = find.output().expect("find");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// `restore` refuses this summary, with these words, and writes nothing.
#[track_caller]
fn refused(bed: &Bed, text: &[u8], says: &[&str]) {
    object(bed, &format!("manifests/{AT}.json"), text);
    refused_by_restore(bed, says);
}

/// `restore` refuses what is stored, with these words, and writes nothing.
#[track_caller]
fn refused_by_restore(bed: &Bed, says: &[&str]) {
    let to = target(bed);
    let to = to.to_str().expect("a path");
    refused_by(bed, says, &[&["restore", "--to", to]]);
}

/// And so do `verify` and `drill`.
#[track_caller]
fn refused_by_all(bed: &Bed, says: &[&str]) {
    let scratch = bed.scratch().to_str().expect("a path");
    refused_by_restore(bed, says);
    refused_by(
        bed,
        says,
        &[&["verify", AT], &["drill", AT, "--scratch", scratch]],
    );
}

#[track_caller]
fn refused_by(bed: &Bed, says: &[&str], commands: &[&[&str]]) {
    let before = everything(bed);
    for words in commands {
        let ran = bed.run(words).expect("it starts");
        assert_eq!(ran.code, Some(1), "{words:?}: {ran}");
        for word in says {
            assert!(ran.stderr.contains(word), "{word:?}: {words:?}: {ran}");
        }
        assert!(!ran.stderr.contains("panicked"), "{ran}");
    }
    let after = everything(bed);
    // A scratch directory came and went: the time of its parent.
    let same = |text: &str| text.lines().skip(1).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(same(&after), same(&before));
}

/// The same for a manifest with one thing changed.
#[track_caller]
fn changed(bed: &Bed, pointer: &str, to: Value, says: &[&str]) {
    let mut manifest = manifest("", AT, "other");
    *manifest
        .pointer_mut(pointer)
        .expect("there is such a value") = to;
    store(bed, "", AT, &manifest);
    refused_by_restore(bed, says);
}

/// The same for entries of falkordb.
#[track_caller]
fn entries(bed: &Bed, entries: &[Value], says: &[&str]) {
    let all: Vec<Value> = [directory("")].iter().chain(entries).cloned().collect();
    changed(bed, "/datasets/0/entries", json!(all), says);
}

#[test]
fn the_manifest_that_the_others_are_made_from_is_accepted() -> Result<()> {
    let bed = bed()?;
    let mut honest = manifest("", AT, "other");
    // Unknown fields, at every depth, and a later minor version.
    honest["novelty"] = json!({"of": ["any", {"kind": [null]}]});
    honest["schema"]["minor"] = json!(77);
    honest["schema"]["patch"] = json!("x");
    honest["datasets"][0]["novelty"] = json!([1, 2, 3]);
    honest["datasets"][0]["entries"][1]["xattrs"] = json!({"user.x": "y"});
    honest["export"]["novelty"] = json!(1.5);
    // And in another order than ours.
    honest["datasets"][0]["entries"]
        .as_array_mut()
        .expect("a list")
        .extend([
            file("z/deep/dump.rdb", DATA),
            directory("z/deep"),
            directory("z"),
            link("z/link", "/etc/passwd"),
        ]);
    object(&bed, &format!("falkordb-{AT}/z/deep/dump.rdb"), DATA);
    store(&bed, "", AT, &honest);
    let to = target(&bed);
    restore(&bed, &to, &[], 0);
    assert_eq!(names_in(&to.join("falkordb")), ["dump.rdb", "z"]);
    assert_eq!(fs::read(to.join("falkordb/z/deep/dump.rdb"))?, DATA);
    assert_eq!(
        fs::read_link(to.join("falkordb/z/link"))?,
        Path::new("/etc/passwd")
    );
    Ok(())
}

#[test]
fn one_bad_dataset_spoils_the_other_one_too() -> Result<()> {
    let bed = bed()?;
    let mut bad = manifest("", AT, "other");
    bad["datasets"][0]["entries"][1]["path"] = json!("../evil");
    store(&bed, "", AT, &bad);
    refused_by_all(&bed, &["../evil", "refused"]);
    let ran = restore(&bed, &target(&bed), &["--dataset", "valkey"], 1);
    assert!(ran.stderr.contains("refused"), "{ran}");
    assert!(!target(&bed).exists());
    Ok(())
}
