//! S3 servers and Redis.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use testbed::process::tethered;
use testbed::redis::Redis;
use testbed::s3::{S3, unique_bucket};
use testbed::scratch::Scratch;
use testbed::{Tools, rdb_fixtures};

#[test]
fn all_servers_keep_what_they_are_given_and_list_all_of_it() -> Result<()> {
    let scratch = Scratch::new()?;
    let own = S3::rclone_serve(&Tools::locate()?, &scratch.path().join("s3"))?;
    let quick = S3::quick(&scratch.path().join("quick"))?;
    for s3 in [S3::shared_moto()?, &own, &quick] {
        let bucket = unique_bucket();
        assert!(
            s3.keys(&bucket).is_err(),
            "a bucket that is not there was listed"
        );
        s3.create_bucket(&bucket)?;
        let odd = ["a b/c&d'e\"f<g>", "dir/ü+%41", "z"];
        for key in odd {
            s3.put(&bucket, key, key.as_bytes())?;
        }
        assert_eq!(s3.keys(&bucket)?, odd);
        for key in odd {
            assert_eq!(s3.get(&bucket, key)?.as_deref(), Some(key.as_bytes()));
        }
        s3.delete(&bucket, "z")?;
        assert_eq!(s3.get(&bucket, "z")?, None);
        assert_eq!(s3.keys(&bucket)?, odd[..2]);
    }
    Ok(())
}

#[test]
fn a_listing_of_more_than_a_page_is_complete() -> Result<()> {
    let scratch = Scratch::new()?;
    let quick = S3::quick(scratch.path())?;
    for s3 in [S3::shared_moto()?, &quick] {
        let bucket = unique_bucket();
        s3.create_bucket(&bucket)?;
        let keys: Vec<String> = (0..1100).map(|i| format!("k&{i:04}")).collect();
        for key in &keys {
            s3.put(&bucket, key, b"")?;
        }
        assert_eq!(s3.keys(&bucket)?, keys);
    }
    Ok(())
}

#[test]
fn rclone_and_the_testbed_see_the_same_bucket_on_all_servers() -> Result<()> {
    let scratch = Scratch::new()?;
    let own = S3::rclone_serve(&Tools::locate()?, &scratch.path().join("s3"))?;
    let source = scratch.path().join("source");
    fs::create_dir(&source)?;
    fs::write(source.join("a file"), "text")?;
    let quick = S3::quick(&scratch.path().join("quick"))?;
    for s3 in [S3::shared_moto()?, &own, &quick] {
        crate::each_rclone(|name, rclone| {
            let bucket = unique_bucket();
            s3.create_bucket(&bucket)?;
            s3.put(&bucket, "x/put", b"by us")?;
            let to = format!("s3:{bucket}/x");
            let ran = rclone(&s3.endpoint(), &["copy", &source.to_string_lossy(), &to])?;
            assert_eq!(ran.code, Some(0), "{name}: {ran}{}", s3.log());
            assert_eq!(s3.keys(&bucket)?, ["x/a file", "x/put"], "{name}");
            let ran = rclone(&s3.endpoint(), &["cat", &format!("{to}/put")])?;
            assert_eq!(ran.stdout, "by us", "{name}: {ran}");
            Ok(())
        })?;
    }
    Ok(())
}

#[test]
fn rclone_serve_knows_one_key() -> Result<()> {
    let (scratch, tools) = (Scratch::new()?, Tools::locate()?);
    let s3 = S3::rclone_serve(&tools, &scratch.path().join("s3"))?;
    s3.create_bucket("bucket")?;
    let ran = crate::rclone(
        &tools.rclone_old,
        &s3.endpoint(),
        "another",
        &["lsf", "s3:bucket"],
    )?;
    assert_ne!(ran.code, Some(0), "{ran}");
    Ok(())
}

#[test]
fn redis_loads_the_fixture_dump_and_refuses_the_flipped_bit() -> Result<()> {
    let (scratch, tools) = (Scratch::new()?, Tools::locate()?);
    let (data, socket) = (scratch.path().join("data"), scratch.path().join("socket"));
    fs::create_dir(&data)?;
    // Version 10: the newest that Debian 12's server reads.
    fs::write(
        data.join("dump.rdb"),
        rdb_fixtures::dump(10, 1_700_000_000, &["who", "what"]),
    )?;
    let redis = Redis::start(&tools, &data, &socket, &[])?;
    assert_eq!(redis.dbsize()?, 2);
    assert_eq!(redis.command(&["GET", "who"])?, "who");
    redis.shutdown_nosave()?;
    let mut bad = rdb_fixtures::dump(10, 1_700_000_000, &["who", "what"]);
    let middle = bad.len() - 12;
    bad[middle] ^= 1;
    fs::write(data.join("dump.rdb"), bad)?;
    let error = Redis::start(&tools, &data, &socket, &[])
        .err()
        .context("it loaded")?;
    assert!(format!("{error:#}").contains("CRC"), "{error:#}");
    Ok(())
}

#[test]
fn a_server_s_own_dump_ends_in_the_checksum_we_compute() -> Result<()> {
    let (scratch, tools) = (Scratch::new()?, Tools::locate()?);
    let data = scratch.path().join("data");
    let redis = Redis::start(&tools, &data, &scratch.path().join("socket"), &[])?;
    redis.populate(1000, "key")?;
    redis.save()?;
    let dump = fs::read(data.join("dump.rdb"))?;
    let (body, crc) = dump.split_at(dump.len() - 8);
    assert_eq!(rdb_fixtures::crc64(body).to_le_bytes(), crc);
    Ok(())
}

#[test]
fn an_append_only_file_brings_the_same_data_back() -> Result<()> {
    let (scratch, tools) = (Scratch::new()?, Tools::locate()?);
    let (data, socket) = (scratch.path().join("data"), scratch.path().join("socket"));
    let aof = ["--appendonly", "yes"];
    let redis = Redis::start(&tools, &data, &socket, &aof)?;
    redis.populate(5000, "key")?;
    redis.bgrewriteaof_wait()?;
    redis.write(2500, "more")?;
    let (size, digest) = (redis.dbsize()?, redis.digest()?);
    assert_eq!(size, 7501);
    redis.shutdown_nosave()?;
    assert!(data.join("appendonlydir").is_dir());
    let redis = Redis::start(&tools, &data, &socket, &aof)?;
    assert_eq!((redis.dbsize()?, redis.digest()?), (size, digest));
    Ok(())
}

#[test]
fn a_server_that_cannot_start_says_why() -> Result<()> {
    let scratch = Scratch::new()?;
    let mut command = tethered("sh");
    command
        .args(["-c", "echo no such option >&2; exit 7"])
        .current_dir(scratch.path());
    let mut server = testbed::process::Daemon::start("broken", command)?;
    let error = server
        .wait_until(Duration::from_secs(5), || false)
        .err()
        .context("ready?")?;
    let text = format!("{error:#}");
    assert!(
        text.contains("exit status: 7") && text.contains("no such option"),
        "{text}"
    );
    Ok(())
}

#[test]
fn moto_answers_side_by_side() -> Result<()> {
    let (s3, bucket) = (S3::shared_moto()?, unique_bucket());
    s3.create_bucket(&bucket)?;
    // One client holds a connection with half a request; others are served.
    let _idle = std::net::TcpStream::connect(s3.addr())?;
    let start = Instant::now();
    s3.put(&bucket, "key", b"value")?;
    assert!(start.elapsed() < Duration::from_secs(5));
    Command::new("true").status()?;
    Ok(())
}
