//! What a Redis was in the middle of writing is left out; what merely looks like it is somebody's file.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use testbed::{Bed, Rclone};

use crate::files::stored::{assert_complete, assert_stored, named, run_again};
use crate::support::BIN;

/// What Redis and Valkey write beside the files that they load.
const SCRATCH: [&str; 6] = [
    "appendonlydir/temp-appendonly.aof.manifest",
    "below/deeper/temp-1.rdb",
    "temp-123.rdb",
    "temp-1700.99.rdb",
    "temp-rewriteaof-12.aof",
    "temp-rewriteaof-bg-12.aof",
];

/// Near misses; none of them begins like an RDB, so the ones called `.rdb` are for a dataset of plain files
/// to hold, see [`NEAR_MISSES_OF_AN_RDB`].
const NEAR_MISSES: [&str; 12] = [
    "temp-1.rdb/within",
    "temp-1.rdb/temp-1.rdb/within",
    "temp-12.rdb.bak",
    "temp-rewriteaof-12.aof.old",
    "temp-rewriteaof-bg-.aof/x",
    "temp-dir/x.manifest",
    "temp-rewriteaof-7.aof/y",
    "xtemp-12.rdb.gz",
    "temp-1.manifest.old",
    "temp-5.manifest/within",
    "Temp-1.manifest",
    "temp-.manifest",
];

/// Near misses that have to be whole dumps.
const NEAR_MISSES_OF_AN_RDB: [&str; 6] = [
    "temp-x.rdb",
    "temp-.rdb",
    "temp-1..rdb",
    "temp-1x.rdb",
    "xtemp-1.rdb",
    "my temp-1.rdb",
];

/// Near misses that have to be whole append-only files.
const NEAR_MISSES_OF_AN_AOF: [&str; 3] = [
    "temp-rewriteaof-x.aof",
    "temp-rewriteaof-.aof",
    "temp-rewrite-1.aof",
];

fn fill(dir: &Path) {
    let dump = fs::read(dir.join("dump.rdb")).expect("the bed's dump");
    let command = b"*1\r\n$4\r\nPING\r\n".to_vec();
    let kinds = [
        (&SCRATCH[..], b"half of".to_vec()),
        (&NEAR_MISSES, b"a file".to_vec()),
        (&NEAR_MISSES_OF_AN_RDB, dump),
        (&NEAR_MISSES_OF_AN_AOF, command),
    ];
    for (names, bytes) in kinds {
        for name in names {
            let path = dir.join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
            fs::write(path, &bytes).expect("a file");
        }
    }
}

#[track_caller]
fn scratch_is_left_out_of_redis_datasets_alone(rclone: Rclone) {
    let bed = Bed::builder(Path::new(BIN)).rclone(rclone).build();
    let bed = bed.expect("a bed");
    bed.set("datasets.valkey.format", "files")
        .expect("a setting");
    bed.set("export.enable", false).expect("a setting");
    fill(&bed.dataset("falkordb"));
    fill(&bed.dataset("valkey"));
    run_again(&bed, 0);
    let manifest = assert_complete(&bed);

    assert_stored(
        &bed,
        &manifest,
        "falkordb",
        &bed.dataset("falkordb"),
        &SCRATCH,
    );
    let why = "the server was in the middle of writing it";
    let expected: Vec<Value> = SCRATCH
        .iter()
        .map(|name| json!({"path": name, "why": why}))
        .collect();
    let stored = |name| named(&manifest["datasets"], name);
    assert_eq!(stored("falkordb")["left_out"], json!(expected));

    assert_stored(&bed, &manifest, "valkey", &bed.dataset("valkey"), &[]);
    assert_eq!(stored("valkey")["left_out"], json!([]));
}

#[test]
fn scratch_files_of_a_redis_are_left_out_of_redis_datasets_alone_with_rclone_1_60() {
    scratch_is_left_out_of_redis_datasets_alone(Rclone::Old);
}

#[test]
fn scratch_files_of_a_redis_are_left_out_of_redis_datasets_alone_with_rclone_1_75() {
    scratch_is_left_out_of_redis_datasets_alone(Rclone::New);
}
