//! The export script, the real b2sdk in it, and the stub before it.

use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use testbed::b2::B2Stub;
use testbed::bed::Running;
use testbed::provision::workspace;
use testbed::redis::Redis;
use testbed::s3::{APP_KEY, KEY_ID, S3, unique_bucket};
use testbed::scratch::Scratch;
use testbed::{Ran, Tools};

struct Export {
    s3: &'static S3,
    bucket: String,
    b2: B2Stub,
}

impl Export {
    fn new() -> Result<Self> {
        let (s3, bucket) = (S3::shared_moto()?, unique_bucket());
        s3.create_bucket(&bucket)?;
        let b2 = B2Stub::start(s3, &bucket, KEY_ID, APP_KEY)?;
        Ok(Self { s3, bucket, b2 })
    }

    fn run(&self, environment: &[(&str, &str)]) -> Result<Ran> {
        let mut command = Command::new(Tools::locate()?.python);
        command
            .arg(workspace().join("tests/fixtures/memory_manager.py"))
            .arg("export");
        command
            .env_clear()
            .env("B2_REALM", self.b2.realm())
            .env("B2_BUCKET", &self.bucket);
        command
            .env("B2_KEY_ID", KEY_ID)
            .env("B2_APP_KEY", APP_KEY)
            .env("VALKEY_PORT", "1");
        command
            .env("FALKORDB_PORT", "1")
            .envs(environment.iter().copied());
        Running::start(&mut command)?.wait_timeout(Duration::from_secs(60))
    }
}

#[test]
fn what_b2sdk_uploads_is_seen_by_rclone_through_s3() -> Result<()> {
    let (export, scratch, tools) = (Export::new()?, Scratch::new()?, Tools::locate()?);
    let port = testbed::process::free_port()?.to_string();
    let socket = scratch.path().join("socket");
    let redis = Redis::start(
        &tools,
        &scratch.path().join("data"),
        &socket,
        &["--port", &port],
    )?;
    redis.populate(50, "node")?;
    let ran = export.run(&[("FALKORDB_HOST", "127.0.0.1"), ("FALKORDB_PORT", &port)])?;
    assert_eq!(ran.code, Some(0), "{ran}{:?}", export.b2.calls());
    let [(name, size)] = &export.b2.uploads()[..] else {
        panic!("{:?}", export.b2.uploads())
    };
    assert_eq!(ran.stdout.trim(), format!("Export successful: {name}"));
    assert_eq!(export.s3.keys(&export.bucket)?, [name.as_str()]);
    crate::each_rclone(|_, rclone| {
        let from = format!("s3:{}/{name}", export.bucket);
        let ran = rclone(&export.s3.endpoint(), &["cat", &from])?;
        assert_eq!(ran.stdout.len(), *size, "{ran}");
        let memory: serde_json::Value = serde_json::from_str(&ran.stdout)?;
        assert_eq!(memory["falkordb"]["size"], 51, "{ran}");
        assert!(memory["valkey"]["unreachable"].is_string(), "{ran}");
        Ok(())
    })
}

#[test]
fn a_wrong_key_is_unauthorized_and_a_failing_b2_is_an_error() -> Result<()> {
    let export = Export::new()?;
    let ran = export.run(&[("B2_APP_KEY", "wrong")])?;
    assert_eq!(ran.code, Some(1), "{ran}");
    assert!(
        ran.stderr.contains("Unauthorized") || ran.stderr.contains("InvalidAuthToken"),
        "{ran}"
    );
    export.b2.fail_uploads(503);
    let ran = export.run(&[])?;
    assert_eq!((ran.code, export.b2.uploads().len()), (Some(1), 0), "{ran}");
    export.b2.accept_uploads();
    let ran = export.run(&[])?;
    assert_eq!((ran.code, export.b2.uploads().len()), (Some(0), 1), "{ran}");
    Ok(())
}

#[test]
fn a_bucket_that_is_missing_is_not_there_for_b2sdk_either() -> Result<()> {
    let s3 = S3::shared_moto()?;
    let bucket = unique_bucket();
    let b2 = B2Stub::start(s3, &bucket, KEY_ID, APP_KEY)?;
    let ran = Export { s3, bucket, b2 }.run(&[])?;
    assert_eq!(ran.code, Some(1), "{ran}");
    assert!(ran.stderr.contains("NonExistentBucket"), "{ran}");
    Ok(())
}

#[test]
fn each_misbehaviour_is_what_its_name_says() -> Result<()> {
    let export = Export::new()?;
    let stored = |ran: &Ran| ran.stdout.contains("Export successful: ");
    for (mode, code, claims, uploads) in [
        ("exit1", Some(1), false, 0),
        ("lie", Some(0), true, 0),
        ("stale", Some(0), true, 0),
        ("crash", None, false, 0),
        ("leak", Some(1), false, 0),
        ("empty", Some(0), true, 1),
        ("slow:0.5", Some(0), true, 1),
        ("silent", Some(0), false, 1),
        ("upload-fail-late", Some(1), false, 1),
    ] {
        let before = export.b2.uploads().len();
        let ran = export.run(&[("FIXTURE_MODE", mode), ("FIXTURE_OBJECT", "old.json")])?;
        let did = (ran.code, stored(&ran), export.b2.uploads().len() - before);
        assert_eq!(did, (code, claims, uploads), "{mode}: {ran}");
        assert_eq!(
            ran.stderr.contains(APP_KEY),
            mode == "leak",
            "{mode}: {ran}"
        );
        assert_eq!(
            ran.stdout.contains("old.json"),
            mode == "stale",
            "{mode}: {ran}"
        );
        assert_eq!(ran.signal, (mode == "crash").then_some(9), "{mode}: {ran}");
    }
    assert_eq!(
        export
            .b2
            .uploads()
            .iter()
            .filter(|(_, size)| *size == 0)
            .count(),
        1
    );
    Ok(())
}
