//! Mounts and nested subvolumes: the snapshot holds what lies beneath them, or nothing.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use testbed::process::run;
use testbed::scratch::unmount;
use testbed::{Bed, rdb_fixtures};

use crate::files::stored::{assert_complete, assert_half, keys_below, now, run_again};
use crate::support::bed;

/// A bed whose falkordb lies deeper, so that a component above it is not above valkey too. `falkordb/a/b/c`
/// is there; without the export, since nothing here is about it.
#[track_caller]
fn deep() -> Bed {
    let bed = bed();
    let (shallow, deep) = (bed.dataset("falkordb"), bed.dataset("graphs/falkordb"));
    fs::create_dir_all(bed.dataset("graphs")).expect("a directory");
    fs::rename(shallow, &deep).expect("a move");
    fs::create_dir_all(deep.join("a/b/c")).expect("directories");
    fs::write(deep.join("a/b/c/settings"), "beneath").expect("a file");
    for (key, value) in [
        (
            "datasets.falkordb.path",
            "containers/graphs/falkordb".into(),
        ),
        ("export.enable", toml::Value::Boolean(false)),
    ] {
        bed.set(key, value).expect("a setting");
    }
    bed
}

/// At the dataset, in a component above it, three levels below it.
const PLACES: [&str; 3] = ["graphs/falkordb", "graphs", "graphs/falkordb/a/b/c"];

/// The path on which the message has to be: the mount, or what lies in it.
#[track_caller]
fn assert_refused(bed: &Bed, at: &Path, remedy: &str) {
    let ran = run_again(bed, 5);
    let half = assert_half(bed, &ran, "valkey", "falkordb");
    assert!(
        half.why.contains(&at.display().to_string()),
        "{at:?}: {}",
        half.why
    );
    assert!(half.why.contains(remedy), "{at:?}: {}", half.why);
    let prefix = format!("falkordb-{}", half.timestamp);
    assert_eq!(keys_below(bed, &prefix), [""; 0], "{at:?}");
}

/// Puts a whole dataset where the service would see it.
fn furnish(dir: &Path) {
    for below in ["", "falkordb", "a/b/c"] {
        fs::create_dir_all(dir.join(below)).expect("a directory");
        let dump = rdb_fixtures::valid(now().cast_signed());
        fs::write(dir.join(below).join("dump.rdb"), dump).expect("a dump");
    }
}

/// Mounts at each place in turn, expects a refusal, and a complete backup once all is unmounted.
#[track_caller]
fn every_place_is_refused(mount: impl Fn(&Bed, &Path)) {
    let bed = deep();
    for place in PLACES {
        let at = bed.dataset(place);
        mount(&bed, &at);
        assert_refused(&bed, &at, "is a mount of its own in the live tree");
        unmount(&at);
    }
    run_again(&bed, 0);
    assert_complete(&bed);
}

#[track_caller]
fn mount(options: &[&str], source: &Path, at: &Path) {
    run(Command::new("mount").args(options).arg(source).arg(at)).expect("a mount");
}

#[test]
fn a_tmpfs_at_above_or_below_a_dataset_is_refused_and_named() {
    every_place_is_refused(|_, at| {
        mount(&["-t", "tmpfs"], Path::new("tmpfs"), at);
        furnish(at);
    });
}

#[test]
fn an_ext4_at_above_or_below_a_dataset_is_refused_and_named() {
    every_place_is_refused(|bed, at| {
        let image = bed.scratch().join("ext4.img");
        let file = fs::File::create(&image).expect("an image");
        file.set_len(8 << 20).expect("a sparse image");
        run(Command::new("mkfs.ext4").arg("-qF").arg(&image)).expect("mkfs.ext4");
        mount(&["-t", "ext4", "-o", "loop"], &image, at);
        furnish(at);
    });
}

#[test]
fn a_bind_of_the_same_subvolume_is_refused_though_its_device_is_the_same() {
    every_place_is_refused(|bed, at| {
        let source = bed.subvolume().join("elsewhere");
        furnish(&source);
        mount(&["--bind"], &source, at);
    });
}

#[test]
fn a_bind_over_a_single_file_is_refused_and_named() {
    let bed = deep();
    let source = bed.subvolume().join("other.rdb");
    fs::write(&source, rdb_fixtures::valid(now().cast_signed())).expect("a dump");
    for file in ["dump.rdb", "a/b/c/settings"] {
        let at = bed.dataset("graphs/falkordb").join(file);
        mount(&["--bind"], &source, &at);
        assert_refused(&bed, &at, "unmount it");
        unmount(&at);
    }
    run_again(&bed, 0);
    assert_complete(&bed);
}

#[test]
fn a_mount_beside_a_dataset_is_nobodys_business() {
    let bed = deep();
    // A neighbour whose name begins like the dataset's.
    let at = bed.dataset("graphs/falkordb-old");
    fs::create_dir(&at).expect("a directory");
    mount(&["-t", "tmpfs"], Path::new("tmpfs"), &at);
    run_again(&bed, 0);
    assert_complete(&bed);
}

#[test]
fn a_nested_subvolume_at_above_or_below_a_dataset_is_refused_and_named() {
    let bed = deep();
    for place in PLACES {
        let at = bed.dataset(place);
        let aside: PathBuf = at.with_extension("aside");
        fs::rename(&at, &aside).expect("a move");
        bed.disk().subvolume(&at).expect("a subvolume");
        furnish(&at);
        assert_refused(&bed, &at, "make it a plain directory");
        bed.disk().delete(&at).expect("it goes");
        fs::rename(&aside, &at).expect("a move back");
    }
    run_again(&bed, 0);
    assert_complete(&bed);
}

#[test]
fn an_empty_nested_subvolume_below_a_dataset_is_refused_too() {
    let bed = deep();
    let at = bed.dataset("graphs/falkordb/a/b/c/nested");
    bed.disk().subvolume(&at).expect("a subvolume");
    assert_refused(&bed, &at, "snapshots do not recurse");
}
