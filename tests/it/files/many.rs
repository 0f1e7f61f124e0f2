//! Twenty thousand small files.

use std::fs;
use std::time::Duration;

use testbed::{Rclone, Server};

use super::plain;
use super::stored::{assert_complete, assert_told, listed};

#[track_caller]
fn twenty_thousand_files_are_stored(rclone: Rclone) {
    let bed = plain(rclone, Server::RcloneServe);
    let dir = bed.dataset("falkordb");
    for folder in 0..200 {
        let folder = dir.join(format!("{folder:03}"));
        fs::create_dir(&folder).expect("a directory");
        for file in 0..100 {
            let text = format!("{} {file}", folder.display());
            fs::write(folder.join(format!("{file:02}.json")), text).expect("a file");
        }
    }
    // 40,000 requests take their time.
    let run = bed.spawn(&["run"]).expect("it starts");
    let ran = run.wait_timeout(Duration::from_secs(600)).expect("it ends");
    assert_eq!(ran.code, Some(0), "{ran}");
    let manifest = assert_complete(&bed);
    let (prefix, live) = assert_told(&manifest, "falkordb", &dir, &[]);
    assert_eq!(live.len(), 20_001);
    assert!(
        listed(&bed, &prefix) == live,
        "what the bucket holds differs from what is there"
    );
}

#[test]
fn twenty_thousand_small_files_are_stored_with_rclone_1_60() {
    twenty_thousand_files_are_stored(Rclone::Old);
}

#[test]
fn twenty_thousand_small_files_are_stored_with_rclone_1_75() {
    twenty_thousand_files_are_stored(Rclone::New);
}
