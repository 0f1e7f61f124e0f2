//! Whether the bucket still holds what the manifest says: each difference by name, exit code 8.

mod large;

use std::fs;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use testbed::relay::Rule;
use testbed::{Bed, Ran, Rclone};

use crate::restore::by_hand::{self, put, this_host};
use crate::restore::{BOTH, backup, impatient, plain, timestamp};
use crate::support::{days_ago, expect};

/// A backup of some files, and its timestamp.
fn stored(rclone: Rclone) -> Result<(Bed, String)> {
    let bed = plain(rclone);
    impatient(&bed);
    let dir = bed.dataset("falkordb");
    fs::create_dir_all(dir.join("below"))?;
    for (name, bytes) in [
        ("alpha", "aaaaaaaa"),
        ("beta", "bbbbbbbb"),
        ("below/gamma", "cccccccc"),
        ("\u{1}od\u{e9} na?me", "d"),
    ] {
        fs::write(dir.join(name), bytes)?;
    }
    fs::write(dir.join(std::ffi::OsStr::new("-l")), "")?;
    let timestamp = backup(&bed);
    Ok((bed, timestamp))
}

#[track_caller]
fn verify(bed: &Bed, more: &[&str], code: i32, says: &[&str]) -> Ran {
    let ran = expect(bed, &[&["verify"], more].concat(), code);
    for word in says {
        assert!(ran.stdout.contains(word), "{word:?}: {more:?}: {ran}");
    }
    ran
}

/// With and without the bytes.
const WAYS: [&[&str]; 2] = [&[], &["--download"]];

#[test]
fn what_is_as_it_was_is_ok() -> Result<()> {
    for rclone in BOTH {
        let (bed, timestamp) = stored(rclone)?;
        let keys = bed.keys()?;
        for way in WAYS {
            let ran = verify(
                &bed,
                way,
                0,
                &[
                    &format!("{timestamp}  falkordb  ok: 6 files"),
                    &format!("{timestamp}  valkey  ok: 1 file"),
                ],
            );
            assert_eq!(ran.stdout.lines().count(), 2, "{ran}");
            verify(&bed, &[way, &[&*timestamp]].concat(), 0, &["ok"]);
        }
        assert_eq!(bed.keys()?, keys);
    }
    Ok(())
}

#[test]
fn each_difference_is_named() -> Result<()> {
    for rclone in BOTH {
        let (bed, timestamp) = stored(rclone)?;
        let key = |name: &str| format!("falkordb-{timestamp}/{name}");
        let (s3, bucket) = (bed.s3(), bed.bucket());
        s3.put(bucket, &key("alpha"), b"aaaaXaaa")?;
        s3.put(bucket, &key("beta"), b"longer than it was")?;
        s3.delete(bucket, &key("below/gamma"))?;
        s3.put(bucket, &key("extra"), b"x")?;
        let ran = verify(
            &bed,
            &[],
            8,
            &[
                "falkordb  DIFFERS: 4 differences",
                "alpha has other contents",
                "beta has 18 bytes, not 8",
                "below/gamma is missing",
                "extra is there and should not be",
                "valkey  ok",
            ],
        );
        assert!(!ran.stdout.contains("na?me"), "{ran}");
        verify(
            &bed,
            &["--download"],
            8,
            &[
                "falkordb  DIFFERS: 4 differences",
                "alpha has other contents (every byte was read)",
                "beta has other contents",
                "below/gamma is missing",
                "extra is there and should not be",
                "valkey  ok",
            ],
        );
        let ran = expect(&bed, &["verify", "--json"], 8);
        let told: Value = serde_json::from_str(&ran.stdout)?;
        let falkordb = &told[0];
        assert_eq!(
            (&falkordb["timestamp"], &falkordb["dataset"]),
            (&json!(timestamp), &json!("falkordb")),
            "{told:#}"
        );
        assert_eq!(
            falkordb["differences"].as_array().map(Vec::len),
            Some(4),
            "{told:#}"
        );
        assert_eq!(told[1]["differences"], json!([]), "{told:#}");
        assert_eq!(told[0]["files"], 6, "{told:#}");
    }
    Ok(())
}

#[test]
fn a_dataset_that_is_gone_altogether_is_a_difference() -> Result<()> {
    for rclone in BOTH {
        let (bed, timestamp) = stored(rclone)?;
        bed.s3()
            .delete(bed.bucket(), &format!("valkey-{timestamp}/dump.rdb"))?;
        for way in WAYS {
            verify(
                &bed,
                way,
                8,
                &["falkordb  ok", "valkey  DIFFERS", "dump.rdb is missing"],
            );
        }
    }
    Ok(())
}

/// The server lists the right MD5 and gives out other bytes.
#[test]
fn a_lie_of_the_servers_is_found_by_reading_every_byte() -> Result<()> {
    for rclone in BOTH {
        let (bed, timestamp) = stored(rclone)?;
        let relay = bed.relay()?;
        let lie = relay.rule(
            Rule::on("GET")
                .path(&format!("/falkordb-{timestamp}/alpha"))
                .corrupt_body(),
        );
        let ran = verify(&bed, &[], 0, &["falkordb  ok"]);
        assert_eq!(relay.hits(lie), 0, "it asks for no object: {ran}");
        verify(
            &bed,
            &["--download"],
            8,
            &[
                "falkordb  DIFFERS: 1 differences",
                "alpha has other contents (every byte was read)",
            ],
        );
        assert!(relay.hits(lie) > 0);
    }
    Ok(())
}

#[test]
fn all_of_them_are_looked_at_and_one_that_differs_hides_no_other() -> Result<()> {
    let bed = plain(Rclone::Old);
    impatient(&bed);
    let (old, older, broken, oldest) = (days_ago(10), days_ago(20), days_ago(25), days_ago(30));
    for timestamp in [&old, &older, &broken, &oldest] {
        put(&bed, "", timestamp, &this_host());
    }
    let whole = verify(&bed, &["--all"], 0, &[&old, &older, &oldest]);
    assert_eq!(whole.stdout.matches("ok: 1 file").count(), 8, "{whole}");
    bed.s3().put(
        bed.bucket(),
        &format!("falkordb-{older}/dump.rdb"),
        b"something else and more",
    )?;
    by_hand::object(&bed, &format!("manifests/{broken}.json"), b"{\"schema\":");
    let ran = verify(
        &bed,
        &["--all"],
        8,
        &[
            &format!("{older}  falkordb  DIFFERS"),
            &format!("{oldest}  valkey  ok"),
        ],
    );
    assert!(
        ran.stderr.contains(&format!("{broken} cannot be verified")),
        "{ran}"
    );
    // The newest alone is fine, and the broken one alone is no success.
    verify(&bed, &[], 0, &[&old]);
    let ran = expect(&bed, &["verify", &broken], 1);
    assert!(ran.stderr.contains(&broken), "{ran}");
    let ran = expect(&bed, &["verify", "--all", &old], 2);
    assert!(ran.stderr.contains("--all"), "{ran}");
    Ok(())
}

#[test]
fn a_partial_backup_is_verified_when_it_is_named() -> Result<()> {
    let bed = plain(Rclone::Old);
    bed.set("datasets.falkordb.format", "redis")?;
    fs::write(
        bed.dataset("falkordb").join("dump.rdb"),
        "REDIS0011 and no more",
    )?;
    expect(&bed, &["run"], 5);
    let partial = timestamp(&bed);
    let ran = expect(&bed, &["verify"], 1);
    assert!(ran.stderr.contains("no complete backup"), "{ran}");
    let ran = verify(&bed, &[&partial], 0, &[&format!("{partial}  valkey  ok")]);
    assert!(!ran.stdout.contains("falkordb"), "{ran}");
    bed.s3()
        .put(bed.bucket(), &format!("valkey-{partial}/dump.rdb"), b"x")?;
    verify(&bed, &[&partial], 8, &["valkey  DIFFERS"]);
    Ok(())
}

#[test]
fn what_cannot_be_asked_is_neither_ok_nor_a_difference() -> Result<()> {
    let (bed, timestamp) = stored(Rclone::New)?;
    let relay = bed.relay()?;
    let refused = relay.rule(Rule::on("GET").query("prefix=falkordb").status(403));
    let ran = expect(&bed, &["verify"], 1);
    assert!(
        relay.hits(refused) > 0
            && ran
                .stderr
                .contains(&format!("{timestamp} cannot be verified")),
        "{ran}"
    );
    assert!(!ran.stdout.contains("falkordb  ok"), "{ran}");
    relay.clear();
    relay.rule(Rule::on("GET").path("/beta").status(403));
    let ran = expect(&bed, &["verify", "--download"], 1);
    assert!(ran.stderr.contains("cannot be verified"), "{ran}");
    relay.clear();
    let ran = expect(&bed, &["verify", &days_ago(1)], 1);
    assert!(ran.stderr.contains("opencode-backup list"), "{ran}");
    let path = bed.path_without(&["rclone"])?;
    let ran = bed.run_cmd(bed.cmd(&["verify"]).env("PATH", path))?;
    assert_eq!(ran.code, Some(3), "{ran}");
    assert!(ran.stderr.contains("install rclone"), "{ran}");
    // It needs neither the subvolume nor Btrfs.
    bed.set("subvolume", "/nowhere/persist")?;
    bed.set("snapshot_dir", "/nowhere/snapshots")?;
    let ran = bed
        .run_cmd(
            bed.cmd(&["verify"])
                .env("PATH", bed.path_without(&["btrfs"])?),
        )
        .context("run")?;
    assert_eq!(ran.code, Some(0), "{ran}");
    Ok(())
}

#[test]
fn an_export_that_is_gone_or_cut_is_a_difference() -> Result<()> {
    let bed = plain(Rclone::Old);
    let timestamp = days_ago(1);
    put(&bed, "", &timestamp, &this_host());
    verify(&bed, &[], 0, &["valkey  ok"]);
    let export = by_hand::export_of("", &timestamp);
    bed.s3().put(bed.bucket(), &export, b"cut")?;
    verify(&bed, &[], 8, &["the export", "has 3 bytes, not"]);
    bed.s3().delete(bed.bucket(), &export)?;
    verify(&bed, &[], 8, &["the export", "is missing"]);
    Ok(())
}

#[test]
fn a_verification_of_nothing_is_no_success() -> Result<()> {
    let (bed, timestamp) = stored(Rclone::Old)?;
    let key = format!("manifests/{timestamp}.json");
    let mut manifest = bed.manifest(&timestamp)?;
    manifest["datasets"] = json!([]);
    bed.s3()
        .put(bed.bucket(), &key, manifest.to_string().as_bytes())?;
    let ran = expect(&bed, &["verify"], 1);
    assert!(ran.stderr.contains("no dataset"), "{ran}");
    bed.s3().delete(bed.bucket(), &key)?;
    let ran = expect(&bed, &["verify", "--all"], 1);
    assert!(ran.stderr.contains("no complete backup"), "{ran}");
    Ok(())
}
