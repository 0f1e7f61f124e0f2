//! The data, the bucket and the link between them, put back after each rival.
//!
//! The surprise: what has changed is what a server would have changed. The AOF has
//! more commands at its end, the dump is another dump of the same server. Random
//! bytes in the middle would be refused, by our checksums first of all.

use std::cell::Cell;
use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use testbed::link::Link;
use testbed::process::run;
use testbed::provision::which;
use testbed::redis::Redis;
use testbed::{Bed, Rclone, Server};

use super::route::{Amount, Kind, Route, SMALL, Work};
use crate::bench::cold::Cold;
use crate::fill::{Noise, fill};

/// Bytes of a value in a server.
const VALUE: usize = 16 << 10;
/// Files in a directory.
const TOGETHER: usize = 500;

/// A bed with a link in front of its bucket.
pub struct Ground {
    /// The bed.
    pub bed: Bed,
    /// Counts, and is slow where it should be.
    pub link: Link,
    /// What everybody starts with.
    pub cold: Cold,
    amount: Amount,
    kept: PathBuf,
    aof: PathBuf,
    aof_size: u64,
    second: Cell<u64>,
}

impl Ground {
    /// Makes it, data and all.
    pub fn new(binary: &Path, route: Route, amount: Amount) -> Result<Self> {
        // Data, another dump, and room for Btrfs to be Btrfs. It is sparse.
        let disk = 1024 + amount.large_mib * 3 + amount.files as u64 / 64;
        let bed = Bed::builder(binary)
            .s3(Server::Quick)
            .rclone(Rclone::New)
            .size_mib(disk)
            .build()?;
        let link = Link::start(bed.s3().addr(), route.profile())?;
        bed.set("remote.endpoint", link.endpoint())?;
        bed.set("export.enable", false)?;
        let mut programs = vec![binary.to_owned(), bed.scratch().join("bin/rclone")];
        programs.extend(which("restic"));
        let cold = Cold::but_for(programs);
        let kept = bed.disk().path().join("kept");
        fs::create_dir(&kept)?;
        let mut ground = Self {
            bed,
            link,
            cold,
            amount,
            kept,
            aof: PathBuf::new(),
            aof_size: 0,
            second: Cell::new(0),
        };
        ground.write_dumps()?;
        ground.write_aof()?;
        ground.write_files()?;
        ground.settle()?;
        Ok(ground)
    }

    /// FalkorDB's place: a dump, and another one of the same size.
    fn write_dumps(&self) -> Result<()> {
        let dir = self.bed.dataset("falkordb");
        fs::remove_file(dir.join("dump.rdb"))?;
        let server = Redis::start(self.bed.tools(), &dir, &self.socket(), &[])?;
        for noise in ["other", "this"] {
            server.command(&["FLUSHALL"])?;
            fill(&server, noise, self.keys(), VALUE)?;
            server.save()?;
            clone(&dir.join("dump.rdb"), &self.kept.join(noise))?;
        }
        server.shutdown_nosave()
    }

    /// Valkey's place: an AOF whose base and increment are of one size.
    fn write_aof(&mut self) -> Result<()> {
        let dir = self.bed.dataset("valkey");
        fs::remove_file(dir.join("dump.rdb"))?;
        let options = ["--appendonly", "yes", "--auto-aof-rewrite-percentage", "0"];
        let server = Redis::start(self.bed.tools(), &dir, &self.socket(), &options)?;
        fill(&server, "before", self.keys(), VALUE)?;
        server.bgrewriteaof_wait()?;
        fill(&server, "after", self.keys(), VALUE)?;
        server.shutdown_nosave()?;
        for entry in fs::read_dir(dir.join("appendonlydir"))? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().ends_with(".incr.aof") {
                self.aof_size = entry.metadata()?.len();
                self.aof = entry.path();
            }
        }
        anyhow::ensure!(self.aof_size > 0, "the server has written no AOF");
        Ok(())
    }

    fn write_files(&self) -> Result<()> {
        let mut noise = Noise::new("files");
        let mut bytes = vec![0; SMALL];
        for i in 0..self.amount.files {
            let dir = self.bed.dataset("files").join((i / TOGETHER).to_string());
            fs::create_dir_all(&dir)?;
            noise.fill(&mut bytes);
            fs::write(dir.join(format!("{i}.bin")), &bytes)?;
        }
        Ok(())
    }

    fn socket(&self) -> PathBuf {
        self.bed.scratch().join("filling.sock")
    }

    /// In each of the three large files.
    fn keys(&self) -> u64 {
        (self.amount.large_mib << 20) / 3 / VALUE as u64
    }

    /// Says which datasets there are.
    pub fn choose(&self, kind: Kind) -> Result<()> {
        for name in Kind::Both.datasets() {
            let key = format!("datasets.{name}");
            let format = if *name == "files" { "files" } else { "redis" };
            self.bed
                .set(&format!("{key}.path"), format!("containers/{name}"))?;
            self.bed.set(&format!("{key}.format"), format)?;
            let enable = kind.datasets().contains(name);
            self.bed.set(&format!("{key}.enable"), enable)?;
        }
        Ok(())
    }

    /// Changes what this work is about; how many bytes that are.
    pub fn change(&self, kind: Kind, work: Work) -> Result<u64> {
        match work {
            Work::First => self.bytes(kind),
            Work::Unchanged => Ok(0),
            Work::Percent => self.grow_aof(),
            Work::OneFile => {
                let dump = self.bed.dataset("falkordb").join("dump.rdb");
                clone(&self.kept.join("other"), &dump)?;
                Ok(dump.metadata()?.len())
            }
        }
    }

    /// What the server would have written for so many more keys.
    fn grow_aof(&self) -> Result<u64> {
        let file = OpenOptions::new().append(true).open(&self.aof)?;
        let mut aof = BufWriter::new(file);
        let (mut noise, mut value) = (Noise::new("grown"), vec![0; VALUE]);
        for i in 0..self.keys() * 3 / 50 {
            noise.fill(&mut value);
            let key = format!("grown:{i}");
            write!(
                aof,
                "*3\r\n$3\r\nSET\r\n${}\r\n{key}\r\n${VALUE}\r\n",
                key.len()
            )?;
            aof.write_all(&value)?;
            aof.write_all(b"\r\n")?;
        }
        aof.flush()?;
        Ok(self.aof.metadata()?.len() - self.aof_size)
    }

    /// All bytes of these datasets.
    pub fn bytes(&self, kind: Kind) -> Result<u64> {
        let each = kind
            .datasets()
            .iter()
            .map(|name| size(&self.bed.dataset(name)));
        each.sum()
    }

    /// A snapshot for those who take none themselves.
    pub fn snapshot(&self) -> Result<PathBuf> {
        let at = self.bed.snapshot_dir().join("by-hand");
        if at.exists() {
            self.bed.disk().delete(&at)?;
        }
        self.bed.disk().snapshot(self.bed.subvolume(), &at, true)?;
        Ok(at)
    }

    /// Waits for a second that no run has its name from.
    pub fn next_second(&self) -> Result<()> {
        let now = || {
            SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map(|now| now.as_secs())
        };
        while now()? <= self.second.get() {
            sleep(Duration::from_millis(5));
        }
        self.second.set(now()?);
        Ok(())
    }

    /// Everything as it was: data, bucket, snapshots; nothing left to be written.
    pub fn reset(&self) -> Result<()> {
        self.bed.s3().clear()?;
        clone(
            &self.kept.join("this"),
            &self.bed.dataset("falkordb").join("dump.rdb"),
        )?;
        let aof = OpenOptions::new().write(true).open(&self.aof)?;
        aof.set_len(self.aof_size)?;
        for name in self.bed.snapshots()? {
            self.bed
                .disk()
                .delete(&self.bed.snapshot_dir().join(name))?;
        }
        self.settle()
    }

    /// The second waits for the cleaner, which the first wakes.
    fn settle(&self) -> Result<()> {
        for words in [["filesystem", "sync"], ["subvolume", "sync"]] {
            run(Command::new("btrfs")
                .args(words)
                .arg(self.bed.snapshot_dir()))?;
        }
        Ok(nix::unistd::syncfs(File::open(self.bed.disk().path())?)?)
    }

    /// How long it takes to copy the datasets on this machine, reading, writing
    /// and nothing else.
    pub fn copy(&self, kind: Kind) -> Result<Duration> {
        let to = self.bed.scratch().join("copied");
        fs::create_dir(&to)?;
        let mut command = Command::new("cp");
        command.args(["-r", "--reflink=never"]);
        command.args(kind.datasets().iter().map(|name| self.bed.dataset(name)));
        self.cold.make()?;
        let start = Instant::now();
        run(command.arg(&to))?;
        let took = start.elapsed();
        fs::remove_dir_all(&to).context("remove the copies")?;
        Ok(took)
    }
}

/// Another file with the same bytes, which are not copied.
fn clone(from: &Path, to: &Path) -> Result<()> {
    run(Command::new("cp")
        .args(["--reflink=always", "--remove-destination"])
        .arg(from)
        .arg(to))
    .map(drop)
}

fn size(path: &Path) -> Result<u64> {
    let meta = fs::symlink_metadata(path)?;
    if !meta.is_dir() {
        return Ok(meta.len());
    }
    fs::read_dir(path)?.map(|entry| size(&entry?.path())).sum()
}
