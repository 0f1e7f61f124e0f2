//! A damaged dump is found while it is sent, what a crash leaves is forgiven, and old data is said to be old.

#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod age;
mod aof;
mod live;
mod rdb;

use std::fs;
use std::path::Path;

use serde_json::Value;
use testbed::redis::Redis;
use testbed::{Bed, Ran};

use crate::files::stored::{
    Half, assert_complete, assert_half, assert_stored, keys_below, named, run_again, timestamp,
};
use crate::support::bed;

/// A bed without the export: nothing here is about it.
#[track_caller]
fn quick() -> Bed {
    let bed = bed();
    bed.set("export.enable", false).expect("a setting");
    bed
}

/// Runs; expects valkey stored and falkordb refused over its contents, with words that say which file and why.
#[track_caller]
fn refused(bed: &Bed, words: &[&str]) -> Half {
    let ran = run_again(bed, 5);
    let half = assert_half(bed, &ran, "valkey", "falkordb");
    for word in words {
        assert!(half.why.contains(word), "{word}: {}", half.why);
    }
    let state = bed.state().expect("a state file");
    assert_eq!(state["failed_step"], "contents");
    half
}

/// What a run left that stored everything.
struct Passed {
    ran: Ran,
    /// The falkordb dataset in the manifest.
    falkordb: Value,
}

/// Runs; expects a complete backup in which both datasets are as they are there.
#[track_caller]
fn passed(bed: &Bed) -> Passed {
    let ran = run_again(bed, 0);
    let manifest = assert_complete(bed);
    for name in ["falkordb", "valkey"] {
        assert_stored(bed, &manifest, name, &bed.dataset(name), &[]);
    }
    let falkordb = named(&manifest["datasets"], "falkordb").clone();
    Passed { ran, falkordb }
}

impl Passed {
    /// Expects exactly these warnings of falkordb, each a beginning and a word of it: in the manifest, the
    /// state file and the log.
    #[track_caller]
    fn assert_warned(&self, bed: &Bed, warnings: &[(&str, &str)]) {
        let list = |value: &Value| -> Vec<String> {
            let list = value.as_array().expect("a list");
            list.iter()
                .map(|text| text.as_str().expect("a text").to_owned())
                .collect()
        };
        let state = bed.state().expect("a state file");
        let told = list(&self.falkordb["warnings"]);
        assert_eq!(told.len(), warnings.len(), "{told:?}");
        for (warning, (start, word)) in told.iter().zip(warnings) {
            assert!(
                warning.starts_with(start) && warning.contains(word),
                "{warning}"
            );
            let said = format!("falkordb: {warning}");
            assert!(list(&state["warnings"]).contains(&said), "{state:#}");
            assert!(self.ran.stderr.contains(&said), "{}", self.ran);
        }
        let of_falkordb = |warning: &String| warning.starts_with("falkordb");
        let all = list(&state["warnings"]);
        assert_eq!(
            all.iter().filter(|w| of_falkordb(w)).count(),
            warnings.len(),
            "{all:?}"
        );
        assert_eq!(
            named(&state["datasets"], "falkordb")["warnings"],
            self.falkordb["warnings"]
        );
    }
}

/// The last stored falkordb, object by object, in a fresh directory.
#[track_caller]
fn fetched(bed: &Bed) -> std::path::PathBuf {
    let prefix = format!("falkordb-{}", timestamp(bed));
    let to = bed.scratch().join(format!("loaded-{prefix}"));
    for key in keys_below(bed, &prefix) {
        let bytes = bed
            .s3()
            .get(bed.bucket(), &key)
            .expect("the bucket answers");
        let file = to.join(&key[prefix.len() + 1..]);
        fs::create_dir_all(file.parent().expect("a parent")).expect("a directory");
        fs::write(file, bytes.expect("an object")).expect("a file");
    }
    to
}

/// The settings of a server that keeps an append-only file and rewrites it when it is told to.
const APPEND_ONLY: [&str; 6] = [
    "--appendonly",
    "yes",
    "--appendfsync",
    "always",
    "--auto-aof-rewrite-percentage",
    "0",
];

/// A server over a directory; its socket is beside it.
#[track_caller]
fn server(bed: &Bed, dir: &Path, options: &[&str]) -> Redis {
    let name = dir.file_name().expect("a name").to_string_lossy();
    let socket = bed.scratch().join(format!("{name}.sock"));
    Redis::start(bed.tools(), dir, &socket, options).expect("a server that loads what is there")
}
