//! The relay on the wire: what clients do that rclone does only now and then.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use testbed::Tools;
use testbed::relay::{Relay, Rule};
use testbed::s3::S3;
use testbed::scratch::Scratch;

use crate::relays::{LIMIT, Setup};

#[test]
fn the_client_that_leaves_a_stalled_request_is_let_go() -> Result<()> {
    let setup = Setup::new()?;
    let rule = setup.relay.rule(Rule::any().stall());
    let stream = TcpStream::connect(setup.relay.addr())?;
    (&stream).write_all(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n")?;
    setup.relay.wait_for_hits(rule, 1, LIMIT)?;
    drop(stream);
    thread::sleep(Duration::from_millis(300));
    setup.relay.remove(rule);
    // Had it still been held, it would go on to the server now.
    thread::sleep(Duration::from_millis(300));
    let first = setup
        .relay
        .requests()
        .into_iter()
        .next()
        .context("no request")?;
    assert_eq!(
        (first.path.as_str(), first.key_id, first.status),
        ("/a", None, None)
    );
    Ok(())
}

#[test]
fn a_chunked_body_and_kept_connections_pass() -> Result<()> {
    let setup = Setup::new()?;
    let bucket = setup.bucket()?;
    let mut stream = TcpStream::connect(setup.relay.addr())?;
    for round in ["one", "two"] {
        let head = format!(
            "PUT /{bucket}/{round} HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\
             Authorization: AWS key:signature\r\nTransfer-Encoding: chunked\r\n\r\n"
        );
        stream.write_all(head.as_bytes())?;
        stream.write_all(b"5\r\nhello\r\n6;x=y\r\n world\r\n0\r\n\r\n")?;
        let mut answer = Vec::new();
        while !String::from_utf8_lossy(&answer).contains("HTTP/1.1 200") {
            let mut chunk = [0; 1024];
            let n = stream.read(&mut chunk)?;
            assert!(n > 0, "closed after {:?}", String::from_utf8_lossy(&answer));
            answer.extend(&chunk[..n]);
        }
        assert!(
            answer.starts_with(b"HTTP/1.1 100"),
            "{:?}",
            String::from_utf8_lossy(&answer)
        );
        assert_eq!(
            setup.s3.get(&bucket, round)?.as_deref(),
            Some(&b"hello world"[..])
        );
    }
    let keys: Vec<_> = setup
        .relay
        .requests()
        .into_iter()
        .filter_map(|r| r.key_id)
        .collect();
    assert_eq!(keys, ["key", "key"]);
    Ok(())
}

#[test]
fn a_server_that_refuses_a_large_body_early_is_heard() -> Result<()> {
    let (scratch, tools) = (Scratch::new()?, Tools::locate()?);
    let s3 = S3::rclone_serve(&tools, &scratch.path().join("s3"))?;
    s3.create_bucket("bucket")?;
    let relay = Relay::start(s3.addr())?;
    let file = scratch.path().join("file");
    fs::write(&file, vec![7; 8 << 20])?;
    for program in [&tools.rclone_old, &tools.rclone_new] {
        let args = [
            "copyto",
            &file.to_string_lossy(),
            "s3:bucket/x",
            "--s3-no-head-object",
        ];
        let ran = crate::rclone(program, &relay.endpoint(), "a stranger", &args)?;
        assert_ne!(ran.code, Some(0), "{ran}");
        assert!(ran.stderr.contains("403"), "{ran}");
    }
    Ok(())
}
