//! Which backup comes back, and which is none.

use std::fs;

use anyhow::Result;
use serde_json::json;
use testbed::{Bed, Rclone};

use super::by_hand::{self, DATA, data, manifest, mark, prefixes, put, store, this_host};
use super::{backup, names_in, plain, restore, target};
use crate::support::{days_ago, expect};

/// Refused, in these words, nothing written.
#[track_caller]
fn refused(bed: &Bed, more: &[&str], code: i32, says: &[&str]) {
    let to = target(bed);
    let ran = restore(bed, &to, more, code);
    for word in says {
        assert!(ran.stderr.contains(word), "{word:?}: {ran}");
    }
    let left = names_in(bed.scratch());
    assert!(
        !left.iter().any(|name| name.contains("restored")),
        "{left:?}: {ran}"
    );
}

#[test]
fn latest_is_the_newest_complete_one_and_a_timestamp_is_that_one() -> Result<()> {
    let bed = plain(Rclone::Old);
    let mark_of = |timestamp: &str| fs::write(bed.dataset("valkey").join("mark"), timestamp);
    let mut backups = Vec::new();
    for name in ["one", "two"] {
        mark_of(name)?;
        backups.push(backup(&bed));
    }
    // Newer than both, and none of them `latest`: from the future, partial, begun, damaged by name.
    put(&bed, "", &days_ago(-2), &this_host());
    let soon = days_ago(0);
    let mut half = manifest("", &soon, &this_host());
    half["complete"] = json!(false);
    by_hand::object(
        &bed,
        &format!("manifests/{soon}.partial.json"),
        half.to_string().as_bytes(),
    );
    mark(&bed, "", &days_ago(-1), &this_host(), &[], None);
    by_hand::object(&bed, "manifests/9999.json", b"{}");

    let to = target(&bed);
    for (more, expected) in [
        (&[][..], "two"),
        (&["latest"], "two"),
        (&[&*backups[0]], "one"),
        (&[&*backups[1]], "two"),
    ] {
        restore(&bed, &to, more, 0);
        assert_eq!(
            fs::read_to_string(to.join("valkey/mark"))?,
            expected,
            "{more:?}"
        );
        fs::remove_dir_all(&to)?;
    }
    Ok(())
}

#[test]
fn a_part_of_it_comes_back_alone() -> Result<()> {
    let bed = plain(Rclone::Old);
    backup(&bed);
    let to = target(&bed);
    let ran = restore(&bed, &to, &["--dataset", "valkey"], 0);
    assert_eq!(names_in(&to), ["valkey"]);
    assert!(!ran.stdout.contains("falkordb"), "{ran}");
    fs::remove_dir_all(&to)?;
    restore(
        &bed,
        &to,
        &[
            "--dataset",
            "valkey",
            "--dataset",
            "falkordb",
            "--dataset",
            "valkey",
        ],
        0,
    );
    assert_eq!(names_in(&to), super::DATASETS);
    Ok(())
}

#[test]
fn what_is_no_backup_is_not_restored() -> Result<()> {
    let bed = plain(Rclone::Old);
    refused(
        &bed,
        &[],
        3,
        &["holds no complete backup", "opencode-backup list"],
    );
    refused(
        &bed,
        &["2025-01-01T00-00-00Z"],
        3,
        &["no backup of 2025-01-01T00-00-00Z", "opencode-backup list"],
    );
    for word in [
        "yesterday",
        "2025-01-01",
        "2025-02-30T00-00-00Z",
        "../x",
        "",
    ] {
        refused(&bed, &[word], 2, &["timestamp"]);
    }

    let begun = "2025-01-02T00-00-00Z";
    data(&bed, "", begun);
    mark(&bed, "", begun, &this_host(), &prefixes("", begun), None);
    refused(&bed, &[begun], 3, &[begun, "never finished", "no backup"]);
    refused(&bed, &[], 3, &["holds no complete backup"]);
    // The old script's: data, and nothing that calls it a backup.
    data(&bed, "", "2025-01-03T00-00-00Z");
    refused(&bed, &["2025-01-03T00-00-00Z"], 3, &["holds no backup of"]);

    let whole = backup(&bed);
    refused(
        &bed,
        &["--dataset", "postgres"],
        3,
        &["no dataset postgres", "falkordb, valkey", &whole],
    );
    refused(&bed, &["--dataset", "../x"], 2, &["--dataset"]);

    bed.set("remote.bucket", "no-such-bucket-here")?;
    refused(
        &bed,
        &[],
        3,
        &["no-such-bucket-here", "never created", "remote.bucket"],
    );
    Ok(())
}

#[test]
fn of_a_partial_backup_only_a_part_that_is_whole_comes_back() -> Result<()> {
    let bed = plain(Rclone::Old);
    bed.set("datasets.falkordb.format", "redis")?;
    fs::write(
        bed.dataset("falkordb").join("dump.rdb"),
        "REDIS0011 and no more",
    )?;
    expect(&bed, &["run"], 5);
    let timestamp = super::timestamp(&bed);
    refused(&bed, &[], 3, &["holds no complete backup"]);
    refused(&bed, &[&timestamp], 3, &["partial", "--dataset valkey"]);
    refused(
        &bed,
        &[&timestamp, "--dataset", "falkordb"],
        3,
        &["falkordb is not safely stored", "dump.rdb"],
    );
    refused(
        &bed,
        &[&timestamp, "--dataset", "falkordb", "--dataset", "valkey"],
        3,
        &["falkordb is not safely stored"],
    );
    let to = target(&bed);
    restore(&bed, &to, &[&timestamp, "--dataset", "valkey"], 0);
    assert_eq!(names_in(&to), ["valkey"]);
    let snapshot = bed
        .snapshot_dir()
        .join(format!("persist-{timestamp}/containers/valkey"));
    super::tree::assert_same(&snapshot, &to.join("valkey"));
    Ok(())
}

#[test]
fn another_hosts_backup_comes_back_from_below_its_prefix() -> Result<()> {
    let bed = plain(Rclone::New);
    put(&bed, "hosts/other/", "2025-01-01T00-00-00Z", "other");
    refused(&bed, &[], 3, &["holds no complete backup"]);
    bed.set("remote.prefix", "hosts/other/")?;
    let to = target(&bed);
    restore(&bed, &to, &[], 0);
    for name in super::DATASETS {
        assert_eq!(fs::read(to.join(name).join("dump.rdb"))?, DATA);
    }
    // A dataset that this host's configuration does not know comes back too.
    let timestamp = "2025-01-02T00-00-00Z";
    let mut other = manifest("hosts/other/", timestamp, "other");
    other["datasets"][1]["name"] = json!("postgres");
    other["datasets"][1]["prefix"] = json!(format!("hosts/other/postgres-{timestamp}"));
    store(&bed, "hosts/other/", timestamp, &other);
    data(&bed, "hosts/other/", timestamp);
    by_hand::object(
        &bed,
        &format!("hosts/other/postgres-{timestamp}/dump.rdb"),
        DATA,
    );
    fs::remove_dir_all(&to)?;
    restore(&bed, &to, &[], 0);
    assert_eq!(names_in(&to), ["falkordb", "postgres"]);
    Ok(())
}
