//! What comes back, and where: a restore gives back what the snapshot holds, or leaves everything as it was.

pub mod by_hand;
mod crowd;
mod differences;
mod handover;
mod hostile;
mod interrupted;
mod large;
mod local;
mod names;
mod places;
mod redis;
mod refused;
mod round_trip;
mod several;
pub mod tree;
mod unprivileged;
mod which;

use std::path::{Path, PathBuf};
use std::time::Duration;

use testbed::{Bed, Ran, Rclone};

use crate::support::{BIN, expect};

/// Both versions that are supported.
pub const BOTH: [Rclone; 2] = [Rclone::Old, Rclone::New];
/// For anything that has to happen soon, on a machine that others use too.
pub const SOON: Duration = Duration::from_secs(60);
/// The datasets of a bed.
pub const DATASETS: [&str; 2] = ["falkordb", "valkey"];

/// A bed with this rclone, whose datasets are files like any other, and which has no export.
pub fn plain(rclone: Rclone) -> Bed {
    let bed = Bed::builder(Path::new(BIN)).rclone(rclone).build();
    let bed = bed.expect("a test bed; `cargo xtask test` installs what it needs");
    for name in DATASETS {
        bed.set(&format!("datasets.{name}.format"), "files")
            .expect("a setting");
    }
    bed.set("export.enable", false).expect("a setting");
    bed
}

/// Lets rclone give up soon.
pub fn impatient(bed: &Bed) {
    let few = vec!["--retries=1", "--low-level-retries=2"];
    bed.set("remote.extra_args", few).expect("a setting");
}

/// A backup that succeeds: its timestamp.
#[track_caller]
pub fn backup(bed: &Bed) -> String {
    expect(bed, &["run"], 0);
    timestamp(bed)
}

/// The timestamp of the run that the state file tells of.
#[track_caller]
pub fn timestamp(bed: &Bed) -> String {
    let state = bed.state().expect("a state file");
    state["timestamp"].as_str().expect("a timestamp").to_owned()
}

/// Where a test restores to, unless that is what it is about.
pub fn target(bed: &Bed) -> PathBuf {
    bed.scratch().join("restored")
}

/// `restore --to DIR` with more arguments, and the exit code that is expected.
#[track_caller]
pub fn restore(bed: &Bed, to: &Path, more: &[&str], code: i32) -> Ran {
    let to = to.to_str().expect("a path");
    let words = [&["restore", "--to", to], more].concat();
    let ran = bed.run(&words).expect("the binary starts");
    assert_eq!(ran.code, Some(code), "{words:?}: {ran}");
    ran
}

/// Both datasets are in `dir` as the snapshot has them, and nothing else is.
#[track_caller]
pub fn assert_whole(bed: &Bed, timestamp: &str, dir: &Path) {
    let snapshot = bed.snapshot_dir().join(format!("persist-{timestamp}"));
    for name in DATASETS {
        tree::assert_same(&snapshot.join("containers").join(name), &dir.join(name));
    }
    assert_eq!(names_in(dir), DATASETS);
}

/// Sorted.
#[track_caller]
pub fn names_in(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).expect("a directory");
    let mut names: Vec<String> = entries
        .map(|entry| {
            entry
                .expect("a name")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    names.sort();
    names
}

/// The stage of a restore of this backup beside `to`.
pub fn stage(to: &Path, timestamp: &str) -> PathBuf {
    let name = to.file_name().expect("a name").to_string_lossy();
    to.with_file_name(format!(".{name}.opencode-backup-{timestamp}"))
}
