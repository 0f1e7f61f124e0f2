//! A server that starts on what came back has every key and every value.

use std::path::Path;

use anyhow::Result;
use testbed::bed::Rclone;
use testbed::redis::Redis;
use testbed::{Bed, Tools};

use super::{restore, target};
use crate::support::{BIN, expect};

struct Facts {
    dbsize: u64,
    digest: String,
}

fn facts(tools: &Tools, dir: &Path, scratch: &Path, extra: &[&str]) -> Result<Facts> {
    let redis = Redis::start(tools, dir, &scratch.join("look.sock"), extra)?;
    let facts = Facts {
        dbsize: redis.dbsize()?,
        digest: redis.digest()?,
    };
    redis.shutdown_nosave()?;
    Ok(facts)
}

fn a_fresh_server_has_every_key(rclone: Rclone) -> Result<()> {
    let bed = Bed::builder(Path::new(BIN)).rclone(rclone).build()?;
    bed.set("export.enable", false)?;
    let (tools, at) = (bed.tools(), bed.scratch());
    let aof = ["--appendonly", "yes"];
    // falkordb: a dump. valkey: an append-only file, rewritten and written on, its server still at work.
    for name in ["falkordb", "valkey"] {
        std::fs::remove_file(bed.dataset(name).join("dump.rdb"))?;
    }
    let dumped = Redis::start(
        tools,
        &bed.dataset("falkordb"),
        &at.join("dumped.sock"),
        &[],
    )?;
    dumped.command(&["FLUSHALL"])?;
    dumped.populate(3_000, "node")?;
    dumped.write(2_000, "edge")?;
    dumped.command(&["XADD", "stream", "1-1", "field", "value"])?;
    dumped.command(&["ZADD", "set", "1.5", "member"])?;
    dumped.save()?;
    let appended = Redis::start(
        tools,
        &bed.dataset("valkey"),
        &at.join("appended.sock"),
        &aof,
    )?;
    appended.command(&["FLUSHALL"])?;
    appended.write(4_000, "session")?;
    appended.bgrewriteaof_wait()?;
    appended.write(1_000, "later")?;
    appended.command(&["CONFIG", "SET", "appendfsync", "always"])?;
    appended.command(&["SET", "last", "one"])?;
    let (before, after) = (
        Facts {
            dbsize: dumped.dbsize()?,
            digest: dumped.digest()?,
        },
        Facts {
            dbsize: appended.dbsize()?,
            digest: appended.digest()?,
        },
    );
    expect(&bed, &["run"], 0);
    // What comes later does not come back.
    appended.write(10, "too late")?;
    dumped.shutdown_nosave()?;
    appended.shutdown_nosave()?;

    let to = target(&bed);
    restore(&bed, &to, &[], 0);
    for (name, extra, was) in [("falkordb", &[][..], before), ("valkey", &aof, after)] {
        let is = facts(tools, &to.join(name), at, extra)?;
        assert_eq!((is.dbsize, &is.digest), (was.dbsize, &was.digest), "{name}");
        assert!(is.dbsize > 4_000, "{name}: {}", is.dbsize);
    }
    Ok(())
}

#[test]
fn a_fresh_server_has_every_key_with_rclone_1_60() -> Result<()> {
    a_fresh_server_has_every_key(Rclone::Old)
}

#[test]
fn a_fresh_server_has_every_key_with_rclone_1_75() -> Result<()> {
    a_fresh_server_has_every_key(Rclone::New)
}
