//! What the demo shows, step by step, with the program's own output between.

use std::path::Path;
use std::process::{ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use testbed::Bed;
use testbed::redis::Redis;

use crate::fill::fill;

use super::host::{AOF, Holdings, Host, holdings};

const VALKEY_KEYS: u64 = 300_000;
const GRAPH_KEYS: u64 = 150_000;
const MORE_KEYS: u64 = 40_000;
/// Bytes of a value: enough for a backup that takes some seconds.
const VALUE: usize = 400;

/// Tells it all.
pub fn tell(binary: &Path, start: Instant) -> Result<ExitCode> {
    println!("Starting a host in miniature: disk, servers, bucket…");
    let host = Host::new(binary)?;
    let bed = &host.bed;
    introduce(bed);

    say("The servers get data: a memory worth keeping.");
    fill(&host.valkey, "session", VALKEY_KEYS, VALUE)?;
    host.valkey.bgrewriteaof_wait()?;
    host.valkey.save()?;
    fill(&host.falkordb, "node", GRAPH_KEYS, VALUE)?;
    host.falkordb.save()?;
    tell_keys(&host)?;

    say("Is everything there that a backup needs? `check` asks, and changes nothing.");
    show(bed, &["check"])?;

    say("The first backup: a snapshot, then everything in it to the bucket.");
    show(bed, &["run"])?;

    say("Life goes on: more data in both servers, which run all the while.");
    fill(&host.valkey, "today", MORE_KEYS, VALUE)?;
    fill(&host.falkordb, "edge", MORE_KEYS, VALUE)?;
    host.falkordb.save()?;
    tell_keys(&host)?;

    say("The second backup, with no word said to the servers.");
    let before = (holdings(&host.valkey)?, holdings(&host.falkordb)?);
    show(bed, &["run"])?;

    say("Then the servers lose everything, as in the accident that backups are for.");
    host.valkey.command(&["FLUSHALL"])?;
    host.falkordb.command(&["FLUSHALL"])?;
    tell_keys(&host)?;

    say("What there is: the snapshots on this machine and the backups in the bucket.");
    show(bed, &["list"])?;

    let newest = bed.committed()?.pop().context("no committed backup")?;
    say("Getting it back: from the bucket alone, every byte checked against the manifest.");
    let restored = bed.scratch().join("restored");
    show(bed, &["restore", "--to", &restored.to_string_lossy()])?;

    say("Proof: start fresh servers on what came back, and count.");
    let copies = (
        load(bed, &restored.join("valkey"), &AOF)?,
        load(bed, &restored.join("falkordb"), &[])?,
    );
    let proven = [
        Compared::new("valkey", before.0, copies.0),
        Compared::new("falkordb", before.1, copies.1),
    ];
    summary(&proven, &bed.manifest(&newest)?, start.elapsed())
}

fn introduce(bed: &Bed) {
    println!(
        "
A host in miniature, made for this demo and gone after it. All of it is real:
  disk     a Btrfs on a loop device; {subvolume} is what is backed up
  servers  two {server}: one is Valkey (RDB and AOF), one stands for FalkorDB (RDB)
  bucket   an S3 server on loopback at {endpoint}, and a B2 API beside it
  config   {config}",
        subvolume = bed.subvolume().display(),
        server = bed.tools().redis_server.display(),
        endpoint = bed.s3().endpoint(),
        config = bed.config_path().display(),
    );
}

fn say(text: &str) {
    println!("\n── {text}");
}

fn tell_keys(host: &Host) -> Result<()> {
    println!(
        "   valkey holds {} keys, falkordb {}",
        host.valkey.dbsize()?,
        host.falkordb.dbsize()?
    );
    Ok(())
}

/// Runs the program on our terminal; it has to succeed.
fn show(bed: &Bed, words: &[&str]) -> Result<()> {
    println!("\n$ opencode-backup {}", words.join(" "));
    let mut command = bed.cmd(words);
    command.stdin(Stdio::null());
    command.envs(std::env::var_os("TERM").map(|term| ("TERM", term)));
    let start = Instant::now();
    let status = command.status().context("run opencode-backup")?;
    println!("   ({:.1} s)", start.elapsed().as_secs_f64());
    ensure!(
        status.success(),
        "opencode-backup {}: {status}",
        words.join(" ")
    );
    Ok(())
}

/// Loads a dataset into a fresh server.
fn load(bed: &Bed, dir: &Path, options: &[&str]) -> Result<Holdings> {
    let server = Redis::start(bed.tools(), dir, &dir.join("proof.sock"), options)?;
    holdings(&server)
}

struct Compared {
    name: &'static str,
    live: Holdings,
    copy: Holdings,
}

impl Compared {
    fn new(name: &'static str, live: Holdings, copy: Holdings) -> Self {
        Self { name, live, copy }
    }

    fn row(&self) -> String {
        let verdict = match (self.live.keys == self.copy.keys, self.live == self.copy) {
            (true, true) => "equal, key by key (DEBUG DIGEST)",
            (true, false) => "as many keys, but OTHER data",
            _ => "DIFFERENT",
        };
        format!(
            "{:10}  {:>14}  {:>14}  {verdict}",
            self.name, self.live.keys, self.copy.keys
        )
    }
}

fn summary(all: &[Compared], manifest: &Value, took: Duration) -> Result<ExitCode> {
    println!(
        "\n{:10}  {:>14}  {:>14}",
        "", "keys backed up", "keys in the copy"
    );
    for compared in all {
        println!("{}", compared.row());
    }
    let (files, bytes) = stored(manifest);
    println!(
        "\n{files} files, {:.1} MiB in the bucket for this backup; the demo took {:.0} s.",
        bytes as f64 / f64::from(1 << 20),
        took.as_secs_f64()
    );
    let good = all.iter().all(|compared| compared.live == compared.copy);
    if good {
        println!("The copy is what was there. Next: README.md, and `cargo xtask test`.");
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("error: the copy is NOT what was backed up");
    Ok(ExitCode::FAILURE)
}

/// Files and bytes of all datasets, as the manifest has them.
fn stored(manifest: &Value) -> (u64, u64) {
    let datasets = manifest["datasets"].as_array().into_iter().flatten();
    datasets.fold((0, 0), |(files, bytes), dataset| {
        let number = |name: &str| dataset[name].as_u64().unwrap_or_default();
        (files + number("files"), bytes + number("bytes"))
    })
}
