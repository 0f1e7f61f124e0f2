//! Whole files, crafted byte by byte; the checksum is computed bit by bit, apart from the crate's.

use super::*;

mod commands;
mod properties;

/// CRC-64/REDIS: polynomial 0xad93d23594c935a9, reflected in and out, no initial value.
fn crc64(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |crc, &byte| {
        (0..8).fold(crc ^ u64::from(byte), |crc, _| {
            (crc >> 1)
                ^ if crc & 1 == 1 {
                    0xad93_d235_94c9_35a9_u64.reverse_bits()
                } else {
                    0
                }
        })
    })
}

const FIELDS: &[u8] = b"\xFA\x09redis-ver\x067.0.15\xFA\x05ctime\xC2\xC0\x2E\x75\x67\xFE\0";

fn rdb(magic: &str, body: &[u8]) -> Vec<u8> {
    let mut file = [magic.as_bytes(), FIELDS, body, b"\xFF"].concat();
    file.extend(crc64(&file).to_le_bytes());
    file
}

fn inspect(role: Role, file: &[u8], chunk: usize) -> Finding {
    let mut inspector = Inspector::new(role);
    file.chunks(chunk).for_each(|chunk| inspector.feed(chunk));
    inspector.finish()
}

fn whole(role: Role, file: &[u8]) -> Finding {
    inspect(role, file, file.len().max(1))
}

fn the_problem(role: Role, file: &[u8]) -> String {
    let finding = whole(role, file);
    assert_eq!(
        (finding.problems.len(), finding.warnings.len()),
        (1, 0),
        "{finding:?}"
    );
    finding.problems.concat()
}

fn the_warning(role: Role, file: &[u8]) -> String {
    let finding = whole(role, file);
    assert_eq!(
        (finding.problems.len(), finding.warnings.len()),
        (0, 1),
        "{finding:?}"
    );
    finding.warnings.concat()
}

fn is_clean(role: Role, file: &[u8]) -> bool {
    let finding = whole(role, file);
    finding.problems.is_empty() && finding.warnings.is_empty()
}

#[test]
fn the_checksum_is_the_one_of_the_catalogues() {
    assert_eq!(crc64(b"123456789"), 0xe9c6_d914_c4b8_d9ca);
}

#[test]
fn a_whole_dump_of_any_version_passes_and_tells_its_age() {
    for magic in ["REDIS0005", "REDIS0012", "REDIS9999", "VALKEY080"] {
        let finding = whole(Role::Rdb, &rdb(magic, b"whatever a module wrote"));
        let expected = Finding {
            saved_at: Some(1_735_732_928),
            is_rdb: true,
            ..Finding::default()
        };
        assert_eq!(finding, expected);
    }
}

#[test]
fn what_is_no_whole_dump_is_a_problem_that_says_why() {
    let file = rdb("REDIS0011", b"body");
    let damaged = [&file[..40], b"?", &file[41..]].concat();
    for (bytes, expected) in [
        (b"".as_slice(), "not an RDB file"),
        (b"REDIS00", "found \"REDIS00\" (7 bytes in all)"),
        (b"redis0011 and so on", "found \"redis0011\""),
        (b"REDIS00x1 and so on", "not an RDB file"),
        (b"REDIS0000 and so on", "not an RDB file"),
        (b"REDIS0011\xFF", "expected at least 18 bytes, found 10"),
        (
            &file[..file.len() - 1],
            "expected the end marker 0xff at offset",
        ),
        (&[&file[..], &[0; 4096]].concat(), "truncated"),
        (&damaged, "damaged: its checksum is 0x"),
    ] {
        let problem = the_problem(Role::Rdb, bytes);
        assert!(problem.contains(expected), "{problem}");
    }
}

#[test]
fn a_dump_without_a_checksum_passes_with_a_warning() {
    let mut file = rdb("REDIS0011", b"body");
    let end = file.len() - 8;
    file[end..].fill(0);
    assert!(the_warning(Role::Rdb, &file).contains("rdbchecksum no"));
    assert!(the_warning(Role::Rdb, b"REDIS0003\xFE\0\xFF").contains("before 5"));
    assert!(the_problem(Role::Rdb, b"REDIS0003\xFE\0").contains("truncated"));
}

#[test]
fn a_dump_under_another_name_is_held_to_be_one() {
    let file = rdb("VALKEY080", b"body");
    assert!(whole(Role::Plain, &file).is_rdb);
    assert!(the_problem(Role::Plain, &file[..file.len() - 3]).contains("truncated"));
    for other in [
        b"".as_slice(),
        b"REDI",
        b"REDIS cluster notes",
        b"# nodes.conf",
    ] {
        assert_eq!(whole(Role::Plain, other), Finding::default());
    }
}

#[test]
fn commands_after_an_rdb_preamble_are_not_taken_for_a_damaged_dump() {
    let file = [&rdb("REDIS0011", b"body")[..], b"*1\r\n$4\r\nPI"].concat();
    let finding = whole(Role::AofBase { last: false }, &file);
    assert_eq!(finding.saved_at, Some(1_735_732_928));
    assert_eq!((finding.problems.len(), finding.is_rdb), (0, false));
}

#[test]
fn a_manifest_is_read_as_one() {
    assert!(is_clean(Role::AofManifest, b"file a seq 1 type b\n"));
    assert!(the_problem(Role::AofManifest, b"file a seq 1 type q\n").contains("line 1"));
    let comments = b"# never mind\n".repeat(MANIFEST_MAX / 10);
    assert!(the_problem(Role::AofManifest, &comments).contains("more than"));
}

#[test]
fn only_what_a_server_is_writing_is_scratch() {
    for name in [
        "temp-1.rdb",
        "temp-1735732928.4711.rdb",
        "temp-rewriteaof-17.aof",
        "temp-rewriteaof-bg-17.aof",
        "temp-appendonly.aof.manifest",
    ] {
        assert!(is_scratch(name.as_bytes()), "{name}");
    }
    for name in [
        "dump.rdb",
        "temp-.rdb",
        "temp-1x.rdb",
        "temp-1..2.rdb",
        "temp-1-before-upgrade.rdb",
        "xtemp-1.rdb",
        "temp-1.rdb.bak",
        "temp-rewriteaof-.aof",
        "temp-rewriteaof-mine.aof",
        "temp-appendonly.aof.incr",
        "temp-.manifest",
        "appendonly.aof.manifest",
    ] {
        assert!(!is_scratch(name.as_bytes()), "{name}");
    }
}

#[test]
fn a_name_tells_the_role_where_no_manifest_does() {
    for (name, role) in [
        ("dump.rdb", Role::Rdb),
        ("appendonly.aof", Role::AofBase { last: true }),
        ("appendonly.aof.manifest", Role::AofManifest),
        ("appendonly.aof.1.incr.aof", Role::Plain),
        ("appendonly.aof.1.base.aof", Role::Plain),
        ("nodes.conf", Role::Plain),
    ] {
        assert_eq!(Role::of(name.as_bytes()), role, "{name}");
    }
}
