//! What went in parts: the listing has no MD5 of it, and it is asked about in another way.

use std::fs;
use std::time::Duration;

use anyhow::Result;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest as _, Md5};
use testbed::relay::{Relay, Rule};

use super::{WAYS, verify};
use crate::restore::{BOTH, backup, impatient, plain};
use crate::support::expect;

/// The least that goes in parts.
const LARGE: usize = 16 << 20;
const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn a_file_that_went_in_parts_is_verified_too() -> Result<()> {
    for rclone in BOTH {
        let bed = plain(rclone);
        let large: Vec<u8> = (0..20u32 << 20).map(|at| (at % 251) as u8).collect();
        fs::write(bed.dataset("valkey").join("large"), &large)?;
        let timestamp = backup(&bed);
        for way in WAYS {
            verify(&bed, way, 0, &["valkey  ok: 2 files"]);
        }
        bed.s3().put(
            bed.bucket(),
            &format!("valkey-{timestamp}/large"),
            &large[1..],
        )?;
        for way in WAYS {
            verify(&bed, way, 8, &["large has"]);
        }
    }
    Ok(())
}

fn parts_sent(relay: &Relay) -> usize {
    let requests = relay.requests().into_iter();
    requests
        .filter(|request| request.query.contains("partNumber="))
        .count()
}

/// Names that rclone does not find again are asked about in a way of their own, and so is all that is beside them.
#[test]
fn of_several_large_files_each_difference_is_named_too() -> Result<()> {
    let plain_names = ["a", "b", "c", "under/e"];
    let odd = ["a", "b", "c", "o\u{e9} d\u{1}"];
    for (rclone, names) in BOTH
        .into_iter()
        .flat_map(|rclone| [(rclone, plain_names), (rclone, odd)])
    {
        let bed = plain(rclone);
        let relay = bed.relay()?;
        let dir = bed.dataset("falkordb");
        fs::create_dir(dir.join("under"))?;
        for (byte, name) in (1..).zip(names) {
            fs::write(dir.join(name), vec![byte; LARGE])?;
        }
        let timestamp = backup(&bed);
        assert!(parts_sent(&relay) >= 8, "they went in parts");
        verify(&bed, &[], 0, &["falkordb  ok: 5 files"]);
        let key = |name: &str| format!("falkordb-{timestamp}/{name}");
        let (s3, bucket) = (bed.s3(), bed.bucket());
        s3.put(bucket, &key("a"), &vec![9; LARGE])?;
        s3.put(bucket, &key("b"), b"short")?;
        s3.delete(bucket, &key("c"))?;
        s3.put(bucket, &key("d"), b"stranger")?;
        s3.put(bucket, &key("under/f"), &vec![7; LARGE])?;
        verify(
            &bed,
            &[],
            8,
            &[
                "a has other contents (MD5)",
                "b has 5 bytes, not 16777216",
                "c is missing",
                "d is there and should not be",
                "under/f is there and should not be",
            ],
        );
    }
    Ok(())
}

/// Over a long link each would add a round trip.
#[test]
fn large_files_are_asked_about_all_at_once() -> Result<()> {
    for rclone in BOTH {
        let bed = plain(rclone);
        let relay = bed.relay()?;
        for name in ["a", "b", "c"] {
            fs::write(bed.dataset("falkordb").join(name), vec![1; LARGE])?;
        }
        backup(&bed);
        relay.forget_requests();
        let each = relay.rule(Rule::on("HEAD").path("/falkordb-").stall());
        let running = bed.spawn(&["verify"])?;
        relay.wait_for_hits(each, 3, LIMIT)?;
        relay.clear();
        let ran = running.wait_timeout(LIMIT)?;
        assert_eq!(ran.code, Some(0), "{ran}");
        let asked = relay.requests().into_iter();
        let asked = asked.filter(|r| r.method == "HEAD" && r.path.contains("/falkordb-"));
        assert_eq!(asked.count(), 3, "each once");
    }
    Ok(())
}

/// Who replaces an object may keep what its first uploader said of it; its ETag is the server's own word.
#[test]
fn what_the_server_knows_of_an_object_counts_more_than_what_was_said_of_it() -> Result<()> {
    for rclone in BOTH {
        let bed = plain(rclone);
        fs::write(bed.dataset("falkordb").join("large"), vec![1; LARGE])?;
        let timestamp = backup(&bed);
        verify(&bed, &[], 0, &["falkordb  ok"]);
        let key = format!("falkordb-{timestamp}/large");
        let claim = STANDARD.encode(Md5::digest(vec![1; LARGE]));
        bed.s3()
            .put_claiming(bed.bucket(), &key, &vec![2; LARGE], &claim)?;
        verify(&bed, &[], 8, &["large has other contents (MD5)"]);
    }
    Ok(())
}

#[test]
fn a_refused_question_about_a_large_file_is_no_difference() -> Result<()> {
    // The second is asked about in a way of its own.
    let names = ["large", "large \u{240a}"];
    for (rclone, name) in BOTH
        .into_iter()
        .flat_map(|rclone| names.map(|name| (rclone, name)))
    {
        let bed = plain(rclone);
        impatient(&bed);
        let relay = bed.relay()?;
        fs::write(bed.dataset("falkordb").join(name), vec![1; LARGE])?;
        let timestamp = backup(&bed);
        for status in [403, 503] {
            let refused = relay.rule(Rule::on("HEAD").path("/large").status(status));
            let ran = expect(&bed, &["verify"], 1);
            assert!(relay.hits(refused) > 0, "{ran}");
            assert!(
                ran.stderr
                    .contains(&format!("{timestamp} cannot be verified")),
                "{ran}"
            );
            assert!(!ran.stdout.contains("missing"), "{ran}");
            relay.clear();
        }
        // In a run it is what keeps the backup from being one.
        relay.rule(Rule::on("HEAD").path("/large").status(403));
        bed.set("remote.incremental", false)?;
        let ran = expect(&bed, &["run"], 5);
        assert!(ran.stderr.contains("falkordb"), "{ran}");
    }
    Ok(())
}
