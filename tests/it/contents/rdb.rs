//! Dumps, sound and unsound, whatever they are called.

use std::fs;

use testbed::rdb_fixtures;

use super::{passed, quick, refused};
use crate::files::stored::{keys_below, now};

fn ctime() -> i64 {
    now().cast_signed()
}

#[test]
fn a_truncated_dump_is_refused_and_the_other_dataset_stored() {
    let bed = quick();
    let dump = bed.dataset("falkordb").join("dump.rdb");
    fs::write(&dump, rdb_fixtures::truncated(ctime())).expect("a dump");
    let half = refused(&bed, &["dump.rdb: RDB file truncated"]);
    // Sent or not, nobody's manifest calls it a backup.
    assert!(bed.committed().expect("the bucket answers").is_empty());
    let keys = keys_below(&bed, &format!("falkordb-{}", half.timestamp));
    assert!(keys.len() <= 1, "{keys:?}");

    fs::write(&dump, rdb_fixtures::valid(ctime())).expect("a dump");
    passed(&bed).assert_warned(&bed, &[]);
}

#[test]
fn a_dump_cut_off_anywhere_is_refused() {
    let bed = quick();
    let dump = bed.dataset("falkordb").join("dump.rdb");
    let whole = rdb_fixtures::valid(ctime());
    for length in [0, 3, 9, 17, whole.len() - 8, whole.len() - 1] {
        fs::write(&dump, &whole[..length]).expect("a dump");
        refused(&bed, &["dump.rdb: "]);
    }
}

#[test]
fn a_dump_with_one_bit_flipped_is_refused_and_the_other_dataset_stored() {
    let bed = quick();
    let dump = bed.dataset("falkordb").join("dump.rdb");
    fs::write(dump, rdb_fixtures::bit_flipped(ctime())).expect("a dump");
    refused(&bed, &["dump.rdb: RDB file damaged: its checksum is 0x"]);
}

#[test]
fn a_dump_without_a_checksum_passes_with_a_warning() {
    let bed = quick();
    let dump = bed.dataset("falkordb").join("dump.rdb");
    fs::write(dump, rdb_fixtures::checksum_zero(ctime())).expect("a dump");
    let warning = ("dump.rdb: RDB checksums are off", "rdbchecksum no");
    passed(&bed).assert_warned(&bed, &[warning]);
}

#[test]
fn a_dump_of_valkey_9_and_one_of_a_version_to_come_pass() {
    let bed = quick();
    let dump = bed.dataset("falkordb").join("dump.rdb");
    fs::write(&dump, rdb_fixtures::valkey080(ctime())).expect("a dump");
    passed(&bed).assert_warned(&bed, &[]);
    fs::write(&dump, rdb_fixtures::dump(9999, ctime(), &["k"])).expect("a dump");
    passed(&bed).assert_warned(&bed, &[]);
}

#[test]
fn a_dump_under_another_name_is_inspected_all_the_same() {
    let bed = quick();
    let at = bed.dataset("falkordb");
    fs::create_dir(at.join("graphs")).expect("a directory");
    let (plain, nested) = (at.join("memory.bin"), at.join("graphs/today.rdb"));
    fs::rename(at.join("dump.rdb"), &plain).expect("a move");
    fs::write(&nested, rdb_fixtures::valid(ctime())).expect("a dump");
    passed(&bed).assert_warned(&bed, &[]);

    fs::write(&plain, rdb_fixtures::bit_flipped(ctime())).expect("a dump");
    fs::write(&nested, rdb_fixtures::truncated(ctime())).expect("a dump");
    refused(
        &bed,
        &[
            "memory.bin: RDB file damaged",
            "graphs/today.rdb: RDB file truncated",
        ],
    );
}

#[test]
fn a_file_that_only_claims_to_be_a_dump_is_refused() {
    let bed = quick();
    fs::write(
        bed.dataset("falkordb").join("notes.rdb"),
        "not a dump at all",
    )
    .expect("a file");
    refused(&bed, &["notes.rdb: not an RDB file"]);
}

#[test]
fn nothing_is_inspected_in_a_dataset_of_plain_files() {
    let bed = quick();
    bed.set("datasets.falkordb.format", "files")
        .expect("a setting");
    let at = bed.dataset("falkordb");
    fs::write(at.join("dump.rdb"), rdb_fixtures::truncated(ctime())).expect("a dump");
    fs::write(at.join("other.rdb"), rdb_fixtures::bit_flipped(ctime())).expect("a dump");
    fs::write(at.join("a.aof.manifest"), "file gone.aof seq 1 type i\n").expect("a manifest");
    fs::write(at.join("broken.aof"), "no command").expect("a file");
    passed(&bed).assert_warned(&bed, &[]);
}
