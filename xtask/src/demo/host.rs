//! The host in miniature: a bed with two live servers in its datasets.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use testbed::process::free_port;
use testbed::redis::Redis;
use testbed::{Bed, Server};

/// How large the Btrfs is. The image is sparse: what is not written costs nothing.
const DISK_MIB: u64 = 2048;

/// With an AOF, which is rewritten when we say so and not before.
pub const AOF: [&str; 4] = ["--appendonly", "yes", "--auto-aof-rewrite-percentage", "0"];

/// What a server holds at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holdings {
    /// DBSIZE.
    pub keys: u64,
    /// DEBUG DIGEST: equal where the data is.
    pub digest: String,
}

/// What a server holds now.
pub fn holdings(server: &Redis) -> Result<Holdings> {
    Ok(Holdings {
        keys: server.dbsize()?,
        digest: server.digest()?,
    })
}

/// The host. Fields are in the order in which they have to go.
pub struct Host {
    /// Valkey, with RDB and AOF.
    pub valkey: Redis,
    /// A second server in FalkorDB's place, with RDB alone.
    pub falkordb: Redis,
    /// Disk, bucket, configuration.
    pub bed: Bed,
}

impl Host {
    /// Starts everything.
    pub fn new(binary: &Path) -> Result<Self> {
        let bed = Bed::builder(binary)
            .s3(Server::Moto)
            .size_mib(DISK_MIB)
            .build()?;
        // moto calls the version of an object in parts "null", and answers 400 to
        // whoever asks for that version: rclone would send everything twice.
        bed.set("remote.extra_args", vec!["--s3-no-head"])?;
        let (valkey_port, falkordb_port) = (free_port()?.to_string(), free_port()?.to_string());
        let valkey = start(&bed, "valkey", &valkey_port, &AOF)?;
        let falkordb = start(&bed, "falkordb", &falkordb_port, &[])?;
        bed.write_env(&[
            ("VALKEY_PORT", &valkey_port),
            ("FALKORDB_PORT", &falkordb_port),
        ])?;
        Ok(Self {
            valkey,
            falkordb,
            bed,
        })
    }
}

/// A server that keeps its data in a dataset of the bed.
fn start(bed: &Bed, dataset: &str, port: &str, more: &[&str]) -> Result<Redis> {
    let dir = bed.dataset(dataset);
    // The bed's own sample is not ours.
    fs::remove_file(dir.join("dump.rdb")).context("clear the dataset")?;
    let socket = bed.scratch().join(format!("{dataset}.sock"));
    let listen = ["--bind", "127.0.0.1", "--port", port];
    Redis::start(bed.tools(), &dir, &socket, &[&listen, more].concat())
}
