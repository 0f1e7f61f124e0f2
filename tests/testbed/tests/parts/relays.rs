//! The relay, with both rclones, through each of its actions.

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use testbed::relay::{Relay, Rule};
use testbed::s3::{S3, unique_bucket};
use testbed::scratch::Scratch;
use testbed::{Ran, Tools};

pub(crate) const LIMIT: Duration = Duration::from_secs(20);

pub(crate) struct Setup {
    scratch: Scratch,
    pub(crate) s3: &'static S3,
    pub(crate) relay: Relay,
}

impl Setup {
    pub(crate) fn new() -> Result<Self> {
        let (scratch, s3) = (Scratch::new()?, S3::shared_moto()?);
        let relay = Relay::start(s3.addr())?;
        Ok(Self { scratch, s3, relay })
    }

    pub(crate) fn bucket(&self) -> Result<String> {
        let bucket = unique_bucket();
        self.s3.create_bucket(&bucket)?;
        Ok(bucket)
    }

    fn file(&self, size: usize) -> Result<PathBuf> {
        let file = self.scratch.path().join("file");
        fs::write(
            &file,
            (0..size).map(|i| (i % 251) as u8).collect::<Vec<_>>(),
        )?;
        Ok(file)
    }

    /// Runs `check` with each rclone and a `copy` of a file through the relay.
    fn each(
        &self,
        size: usize,
        check: impl Fn(&str, &str, &dyn Fn() -> Result<Ran>) -> Result<()>,
    ) -> Result<()> {
        let file = self.file(size)?;
        crate::each_rclone(|name, rclone| {
            self.relay.clear();
            let bucket = self.bucket()?;
            let to = format!("s3:{bucket}/falkordb-1");
            let copy = || {
                rclone(
                    &self.relay.endpoint(),
                    &["copy", &file.to_string_lossy(), &to],
                )
            };
            check(name, &bucket, &copy)
        })
    }
}

fn ok(name: &str, ran: &Ran) {
    assert_eq!(ran.code, Some(0), "{name}: {ran}");
}

fn failed(name: &str, ran: &Ran, text: &str) {
    assert_ne!(ran.code, Some(0), "{name}: {ran}");
    assert!(ran.stderr.contains(text), "{name}: no {text:?}: {ran}");
}

#[test]
fn without_rules_everything_passes_and_is_recorded() -> Result<()> {
    let setup = Setup::new()?;
    // 4 MiB: large enough for `Expect: 100-continue`.
    setup.each(4 << 20, |name, bucket, copy| {
        ok(name, &copy()?);
        let stored = setup.s3.get(bucket, "falkordb-1/file")?;
        let local = fs::read(setup.scratch.path().join("file"))?;
        assert!(
            stored.as_ref() == Some(&local),
            "{name}: {} bytes",
            stored.map_or(0, |s| s.len())
        );
        let path = format!("/{bucket}/falkordb-1/file");
        let put = setup
            .relay
            .wait_for(LIMIT, |r| r.method == "PUT" && r.path == path)?;
        assert_eq!(put.key_id.as_deref(), Some(testbed::s3::KEY_ID), "{name}");
        assert_eq!(put.status, Some(200), "{name}");
        Ok(())
    })
}

#[test]
fn signatures_survive_the_relay() -> Result<()> {
    let scratch = Scratch::new()?;
    let s3 = S3::rclone_serve(&Tools::locate()?, &scratch.path().join("s3"))?;
    let relay = Relay::start(s3.addr())?;
    let file = scratch.path().join("file");
    fs::write(&file, vec![7; 4 << 20])?;
    crate::each_rclone(|name, rclone| {
        s3.create_bucket(name)?;
        let to = format!("s3:{name}/x");
        ok(
            name,
            &rclone(&relay.endpoint(), &["copy", &file.to_string_lossy(), &to])?,
        );
        ok(
            name,
            &rclone(
                &relay.endpoint(),
                &["check", "--download", &file.to_string_lossy(), &to],
            )?,
        );
        Ok(())
    })
}

#[test]
fn multipart_uploads_pass() -> Result<()> {
    let setup = Setup::new()?;
    let file = setup.file(12 << 20)?;
    crate::each_rclone(|name, rclone| {
        let bucket = setup.bucket()?;
        let (file, to) = (file.to_string_lossy(), format!("s3:{bucket}/x"));
        let cut = [
            "--s3-upload-cutoff",
            "5M",
            "--s3-chunk-size",
            "5M",
            "--retries",
            "3",
        ];
        let ran = rclone(
            &setup.relay.endpoint(),
            &[&["copy", &file, &to][..], &cut].concat(),
        )?;
        ok(name, &ran);
        assert_eq!(
            setup.s3.get(&bucket, "x/file")?.map(|b| b.len()),
            Some(12 << 20),
            "{name}"
        );
        assert!(
            setup
                .relay
                .requests()
                .iter()
                .any(|r| r.query.contains("partNumber=2"))
        );
        Ok(())
    })
}

#[test]
fn status_is_an_s3_error_that_the_client_understands() -> Result<()> {
    let setup = Setup::new()?;
    setup.each(4 << 20, |name, bucket, copy| {
        setup
            .relay
            .rule(Rule::on("PUT").path("/falkordb-").status(403));
        failed(name, &copy()?, "AccessDenied");
        setup.relay.clear();
        setup
            .relay
            .rule(Rule::any().key_id_is_not("the right one").status(403));
        let ran = copy()?;
        // The first request is a HEAD, whose answer has no body to carry the code.
        assert_ne!(ran.code, Some(0), "{name}: {ran}");
        setup.relay.clear();
        setup.relay.rule(Rule::on("PUT").status(404));
        failed(name, &copy()?, "NoSuchBucket");
        assert!(
            setup.s3.keys(bucket)?.is_empty(),
            "{name}: it reached the server"
        );
        Ok(())
    })
}

#[test]
fn slow_down_for_a_while_is_overcome() -> Result<()> {
    let setup = Setup::new()?;
    setup.each(4 << 20, |name, bucket, copy| {
        let rule = setup
            .relay
            .rule(Rule::on("PUT").path("/falkordb-").times(2).status(503));
        ok(name, &copy()?);
        assert_eq!(setup.relay.hits(rule), 2, "{name}");
        assert_eq!(setup.s3.keys(bucket)?, ["falkordb-1/file"], "{name}");
        Ok(())
    })
}

#[test]
fn skip_lets_the_first_ones_through() -> Result<()> {
    let setup = Setup::new()?;
    setup.each(10, |name, bucket, copy| {
        let rule = setup
            .relay
            .rule(Rule::on("PUT").path(bucket).skip(1).status(403));
        ok(name, &copy()?);
        assert_eq!(setup.relay.hits(rule), 0, "{name}");
        setup.s3.delete(bucket, "falkordb-1/file")?;
        failed(name, &copy()?, "AccessDenied");
        assert!(setup.relay.hits(rule) >= 1, "{name}");
        Ok(())
    })
}

#[test]
fn close_and_reset_are_broken_connections_and_leave_no_object() -> Result<()> {
    let setup = Setup::new()?;
    setup.each(4 << 20, |name, bucket, copy| {
        setup.relay.rule(Rule::on("PUT").close());
        let ran = copy()?;
        assert_ne!(ran.code, Some(0), "{name}: {ran}");
        setup.relay.clear();
        let reset = setup.relay.rule(Rule::on("PUT").reset_after(1 << 20));
        let ran = copy()?;
        assert_ne!(ran.code, Some(0), "{name}: {ran}");
        assert!(setup.relay.hits(reset) >= 1, "{name}");
        assert_eq!(
            setup.s3.keys(bucket)?,
            Vec::<String>::new(),
            "{name}: half an object"
        );
        setup.relay.clear();
        ok(name, &copy()?);
        Ok(())
    })
}

#[test]
fn a_dropped_relay_refuses_connections() -> Result<()> {
    let relay = Relay::start(S3::shared_moto()?.addr())?;
    let endpoint = relay.endpoint();
    drop(relay);
    let tools = Tools::locate()?;
    let ran = crate::rclone(&tools.rclone_old, &endpoint, "key", &["lsf", "s3:bucket"])?;
    failed("old", &ran, "connection refused");
    Ok(())
}

#[test]
fn delay_delays() -> Result<()> {
    let setup = Setup::new()?;
    setup.each(10, |name, _, copy| {
        setup
            .relay
            .rule(Rule::on("PUT").delay(Duration::from_millis(700)));
        let start = Instant::now();
        ok(name, &copy()?);
        assert!(start.elapsed() > Duration::from_millis(700), "{name}");
        Ok(())
    })
}

#[test]
fn a_stalled_request_goes_on_when_the_rule_goes() -> Result<()> {
    let setup = Setup::new()?;
    setup.each(4 << 20, |name, bucket, copy| {
        let rule = setup.relay.rule(Rule::on("PUT").times(1).stall());
        let ran = thread::scope(|scope| {
            scope.spawn(|| {
                setup.relay.wait_for_hits(rule, 1, LIMIT).ok();
                thread::sleep(Duration::from_millis(300));
                setup.relay.remove(rule);
            });
            copy()
        })?;
        ok(name, &ran);
        assert!(ran.took > Duration::from_millis(300), "{name}: {ran}");
        let local = fs::read(setup.scratch.path().join("file"))?;
        assert!(
            setup.s3.get(bucket, "falkordb-1/file")? == Some(local),
            "{name}"
        );
        Ok(())
    })
}

#[test]
fn a_flipped_bit_is_stored_on_the_way_up_and_shown_on_the_way_down() -> Result<()> {
    let setup = Setup::new()?;
    let local = fs::read(setup.file(100_000)?)?;
    let differing = |bytes: &[u8]| bytes.iter().zip(&local).filter(|(a, b)| a != b).count();
    let tools = Tools::locate()?;
    let bucket = setup.bucket()?;
    let from = format!("s3:{bucket}/x");
    setup.s3.put(&bucket, "x", &local)?;
    setup.relay.rule(Rule::on("GET").path("/x").corrupt_body());
    for program in [&tools.rclone_old, &tools.rclone_new] {
        let to = setup.scratch.path().join("back");
        let args = ["copyto", &from, &to.to_string_lossy(), "--ignore-checksum"];
        ok(
            "get",
            &crate::rclone(program, &setup.relay.endpoint(), "key", &args)?,
        );
        assert_eq!(differing(&fs::read(&to)?), 1);
        fs::remove_file(to)?;
    }
    setup.each(100_000, |name, bucket, copy| {
        setup.relay.rule(Rule::on("PUT").corrupt_body());
        let ran = copy()?;
        let stored = setup.s3.get(bucket, "falkordb-1/file")?;
        // A server that checks Content-MD5 refuses; moto stores it.
        match stored {
            Some(bytes) => assert_eq!(differing(&bytes), 1, "{name}: {ran}"),
            None => assert_ne!(ran.code, Some(0), "{name}: {ran}"),
        }
        Ok(())
    })
}
