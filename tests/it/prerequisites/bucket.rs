//! A bucket that is not there: nobody creates it.

use std::path::Path;

use anyhow::{Context, Result};
use testbed::relay::Request;
use testbed::{Bed, Rclone};

use crate::support::{BIN, expect};

#[test]
fn a_missing_bucket_stays_missing() -> Result<()> {
    for rclone in [Rclone::Old, Rclone::New] {
        let bed = Bed::builder(Path::new(BIN)).rclone(rclone).build()?;
        bed.set("export.enable", false)?;
        bed.set(
            "remote.extra_args",
            vec!["--retries=1", "--low-level-retries=2"],
        )?;
        let relay = bed.relay()?;
        let missing = format!("{}-missing", bed.bucket());
        bed.set("remote.bucket", missing.as_str())?;

        let ran = expect(&bed, &["check", "--remote"], 3);
        assert!(
            ran.stdout.contains(&missing) && ran.stdout.contains("check remote.bucket"),
            "{ran}"
        );
        expect(&bed, &["run", "--dry-run"], 0);
        let ran = expect(&bed, &["run"], 5);
        assert!(ran.stderr.contains("the bucket cannot be asked"), "{ran}");

        assert!(!bed.s3().has_bucket(&missing)?, "{ran}");
        // The mark goes first, and finds no bucket. Nothing else is sent, and nobody asks for a bucket.
        let sent: Vec<_> = relay
            .requests()
            .into_iter()
            .filter(|request| {
                let mark = request.path.starts_with(&format!("/{missing}/manifests/"))
                    && request.path.ends_with(".started.json");
                let refused = mark && request.status == Some(404);
                !["GET", "HEAD"].contains(&&*request.method) && !refused
            })
            .collect();
        assert!(sent.is_empty(), "{sent:#?}");
        assert!(bed.keys()?.is_empty());
        // The snapshot is kept: the next run has the bucket, perhaps.
        let state = bed.state()?;
        let timestamp = state["timestamp"].as_str().context("a timestamp")?;
        assert_eq!(bed.snapshots()?, [format!("persist-{timestamp}")]);
        assert_eq!(state["exit_code"], 5);
    }
    Ok(())
}

#[test]
fn nobody_asks_for_a_bucket_to_be_created() -> Result<()> {
    for rclone in [Rclone::Old, Rclone::New] {
        let bed = Bed::builder(Path::new(BIN)).rclone(rclone).build()?;
        bed.set("export.enable", false)?;
        let relay = bed.relay()?;
        expect(&bed, &["check", "--remote"], 0);
        expect(&bed, &["run"], 0);
        // A key that is good for one bucket may not ask for it.
        let bucket = format!("/{}", bed.bucket());
        let asks = |request: &Request| {
            request.method == "PUT" && request.path.trim_end_matches('/') == bucket
        };
        assert!(
            !relay.requests().iter().any(asks),
            "{:#?}",
            relay.requests()
        );
        assert_eq!(bed.committed()?.len(), 1);
    }
    Ok(())
}
