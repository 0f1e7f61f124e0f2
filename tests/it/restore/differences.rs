//! What is not what the manifest says is found, named, and not put in place.

use std::fs;

use anyhow::{Context, Result};
use testbed::relay::Rule;
use testbed::{Bed, Rclone};

use super::{BOTH, assert_whole, backup, impatient, names_in, plain, restore, stage, target};

/// A backup of some files, and its timestamp.
fn stored(rclone: Rclone) -> Result<(Bed, String)> {
    let bed = plain(rclone);
    impatient(&bed);
    let dir = bed.dataset("falkordb");
    fs::create_dir_all(dir.join("below"))?;
    fs::create_dir(dir.join("empty"))?;
    for (name, bytes) in [
        ("alpha", "aaaaaaaa"),
        ("beta", "bbbbbbbb"),
        ("below/gamma", "cccccccc"),
        ("delta", "d"),
    ] {
        fs::write(dir.join(name), bytes)?;
    }
    std::os::unix::fs::symlink("alpha", dir.join("link"))?;
    let timestamp = backup(&bed);
    Ok((bed, timestamp))
}

/// Exit code 8, these words, and no trace at the destination.
#[track_caller]
fn differs(bed: &Bed, says: &[&str]) {
    let to = target(bed);
    let ran = restore(bed, &to, &[], 8);
    for word in says {
        assert!(ran.stderr.contains(word), "{word:?}: {ran}");
    }
    assert!(ran.stderr.contains("nothing was put in place"), "{ran}");
    assert_eq!(ran.stdout, "", "no handover: {ran}");
    assert!(!to.exists(), "{ran}");
    // An empty directory stays an empty directory.
    fs::create_dir(&to).expect("a directory");
    let ran = restore(bed, &to, &[], 8);
    assert_eq!(names_in(&to), [""; 0], "{ran}");
    fs::remove_dir(&to).expect("still empty");
    // What was right is in the stage, and would be taken from there.
    let timestamp = super::timestamp(bed);
    fs::remove_dir_all(stage(&to, &timestamp)).expect("a stage");
}

#[test]
fn what_is_stored_otherwise_is_named_and_nothing_is_put_in_place() -> Result<()> {
    for rclone in BOTH {
        let (bed, timestamp) = stored(rclone)?;
        let key = |name: &str| format!("falkordb-{timestamp}/{name}");
        let (s3, bucket) = (bed.s3(), bed.bucket());
        let get = |name: &str| s3.get(bucket, &key(name))?.context("an object");
        let (alpha, beta) = (get("alpha")?, get("beta")?);

        s3.put(bucket, &key("alpha"), b"aaaaXaaa")?;
        differs(&bed, &["falkordb: alpha has other contents (MD5)"]);
        s3.put(bucket, &key("alpha"), b"aaaaaaaaa")?;
        differs(&bed, &["falkordb: alpha has 9 bytes, not 8"]);
        s3.put(bucket, &key("alpha"), b"")?;
        differs(&bed, &["falkordb: alpha has 0 bytes, not 8"]);
        // Swapped: both are there, both have the right size.
        s3.put(bucket, &key("alpha"), &beta)?;
        s3.put(bucket, &key("beta"), &alpha)?;
        differs(
            &bed,
            &["alpha has other contents", "beta has other contents"],
        );
        s3.put(bucket, &key("alpha"), &alpha)?;
        s3.put(bucket, &key("beta"), &beta)?;
        s3.delete(bucket, &key("below/gamma"))?;
        differs(&bed, &["falkordb: below/gamma is missing"]);
        // All is as it was: the same command is content.
        s3.put(bucket, &key("below/gamma"), b"cccccccc")?;
        let to = target(&bed);
        restore(&bed, &to, &[], 0);
        assert_whole(&bed, &timestamp, &to);
        assert!(!stage(&to, &timestamp).exists());
    }
    Ok(())
}

#[test]
fn all_of_a_dataset_missing_is_a_difference_that_is_named() -> Result<()> {
    for rclone in BOTH {
        let (bed, timestamp) = stored(rclone)?;
        bed.s3()
            .delete(bed.bucket(), &format!("valkey-{timestamp}/dump.rdb"))?;
        differs(&bed, &["valkey: dump.rdb is missing"]);
        // The other one can still be had.
        let to = target(&bed);
        restore(&bed, &to, &["--dataset", "falkordb"], 0);
        assert_eq!(names_in(&to), ["falkordb"]);
    }
    Ok(())
}

#[test]
fn what_somebody_else_put_there_is_left_out_with_a_warning() -> Result<()> {
    for rclone in BOTH {
        let (bed, timestamp) = stored(rclone)?;
        let key = |name: &str| format!("falkordb-{timestamp}/{name}");
        for name in [
            "extra",
            "below/extra",
            "new/extra",
            "empty/extra",
            ".ssh/authorized_keys",
        ] {
            bed.s3().put(bed.bucket(), &key(name), b"mine")?;
        }
        let to = target(&bed);
        let ran = restore(&bed, &to, &[], 0);
        assert_whole(&bed, &timestamp, &to);
        for name in ["extra", "below/extra", "new", "empty/extra", ".ssh"] {
            let says = format!("falkordb: {name} is not in the manifest and was left out");
            assert!(ran.stderr.contains(&says), "{says}: {ran}");
        }
    }
    Ok(())
}

#[test]
fn an_object_where_a_link_or_a_directory_belongs_is_left_out_too() -> Result<()> {
    for rclone in BOTH {
        for (name, shown) in [("link", "link"), ("link/x", "link"), ("empty", "empty")] {
            let (bed, timestamp) = stored(rclone)?;
            bed.s3().put(
                bed.bucket(),
                &format!("falkordb-{timestamp}/{name}"),
                b"mine",
            )?;
            let to = target(&bed);
            let ran = restore(&bed, &to, &[], 0);
            assert_whole(&bed, &timestamp, &to);
            assert!(
                ran.stderr
                    .contains(&format!("{shown} is not in the manifest")),
                "{name}: {ran}"
            );
        }
        let (bed, timestamp) = stored(rclone)?;
        bed.s3()
            .delete(bed.bucket(), &format!("falkordb-{timestamp}/alpha"))?;
        bed.s3().put(
            bed.bucket(),
            &format!("falkordb-{timestamp}/alpha/x"),
            b"mine",
        )?;
        differs(&bed, &["falkordb: alpha is missing"]);
    }
    Ok(())
}

#[test]
fn what_arrives_damaged_once_is_fetched_again() -> Result<()> {
    for rclone in BOTH {
        let (bed, timestamp) = stored(rclone)?;
        let relay = bed.relay()?;
        let once = relay.rule(
            Rule::on("GET")
                .path(&format!("/falkordb-{timestamp}/beta"))
                .times(1)
                .corrupt_body(),
        );
        relay.forget_requests();
        let to = target(&bed);
        let ran = restore(&bed, &to, &[], 0);
        assert_eq!(relay.hits(once), 1, "{ran}");
        assert_whole(&bed, &timestamp, &to);
        let fetched = |name: &str| {
            let requests = relay.requests();
            requests
                .iter()
                .filter(|r| r.method == "GET" && r.path.ends_with(name))
                .count()
        };
        assert_eq!(
            (fetched("/beta"), fetched("/alpha")),
            (2, 1),
            "only what was damaged: {ran}"
        );
    }
    Ok(())
}

#[test]
fn what_always_arrives_damaged_is_a_difference() -> Result<()> {
    for rclone in BOTH {
        let (bed, timestamp) = stored(rclone)?;
        let relay = bed.relay()?;
        relay.rule(
            Rule::on("GET")
                .path(&format!("/falkordb-{timestamp}/beta"))
                .corrupt_body(),
        );
        differs(&bed, &["falkordb: beta has other contents (MD5)"]);
    }
    Ok(())
}

#[test]
fn a_bucket_that_will_not_be_read_leaves_everything_as_it_was() -> Result<()> {
    let (bed, timestamp) = stored(Rclone::Old)?;
    let relay = bed.relay()?;
    let to = target(&bed);
    for (path, status) in [("/beta", 403), ("/beta", 500), ("Z.json", 403)] {
        relay.clear();
        relay.rule(Rule::on("GET").path(path).status(status));
        let ran = restore(&bed, &to, &[], 1);
        assert!(ran.stderr.contains("nothing was put in place"), "{ran}");
        assert!(!to.exists(), "{ran}");
    }
    relay.clear();
    relay.rule(Rule::on("GET").query("prefix=").status(403));
    let ran = restore(&bed, &to, &[], 3);
    assert!(ran.stderr.contains("nothing was restored"), "{ran}");
    relay.clear();
    restore(&bed, &to, &[], 0);
    assert_whole(&bed, &timestamp, &to);
    Ok(())
}
