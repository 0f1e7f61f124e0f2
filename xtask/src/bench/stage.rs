//! A bed for measurements: a quick S3 server, nothing exported, nothing copied on
//! the server, and everything as before after each run.
//!
//! The surprise: time is measured against `rclone serve s3`. With large files it is
//! quicker than moto, so that what we add is a larger part of the whole.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;
use testbed::bed::Running;
use testbed::process::{run, tethered};
use testbed::redis::Redis;
use testbed::s3::{APP_KEY, KEY_ID};
use testbed::{Bed, Rclone, Server};

use super::by_hand::script;
use super::measure::{self, Peaks, Took};
use crate::fill::{Noise, fill};

/// The datasets of a bed.
pub const DATASETS: [&str; 2] = ["falkordb", "valkey"];

/// The size of the Btrfs, which is sparse.
const DISK_MIB: u64 = 6144;
/// Bytes of a value in a server.
const VALUE: usize = 16 << 10;

/// A bed for measurements.
pub struct Stage {
    bed: Bed,
    script: PathBuf,
}

impl Stage {
    /// Makes one, its datasets empty.
    pub fn new(binary: &Path, rclone: Rclone, server: Server) -> Result<Self> {
        let bed = Bed::builder(binary)
            .s3(server)
            .rclone(rclone)
            .size_mib(DISK_MIB)
            .build()?;
        for dataset in DATASETS {
            fs::remove_file(bed.dataset(dataset).join("dump.rdb")).context("clear a dataset")?;
        }
        bed.set("export.enable", false)?;
        bed.set("remote.incremental", false)?;
        fs::create_dir(bed.scratch().join("by-hand"))?;
        let script = bed.scratch().join("by-hand.sh");
        Ok(Self { bed, script })
    }

    /// The bed.
    pub fn bed(&self) -> &Bed {
        &self.bed
    }

    /// One backup that stays.
    pub fn keep_one(&self) -> Result<()> {
        measure::time(&mut self.bed.cmd(&["run"])).map(drop)
    }

    /// Removes what a round left, and lets the disk come to rest.
    pub fn gone(&self, left: Option<&Path>) -> Result<()> {
        if let Some(left) = left {
            fs::remove_dir_all(left)?;
        }
        nix::unistd::syncfs(File::open(self.bed.scratch())?)?;
        Ok(())
    }

    /// Lets two real servers write `mib` in all: half of it dumps, a quarter AOF
    /// bases, a quarter AOF increments.
    pub fn write_servers(&self, mib: u64) -> Result<()> {
        let keys = (mib << 20) / 8 / VALUE as u64;
        for dataset in DATASETS {
            let socket = self.bed.scratch().join("filling.sock");
            let dir = self.bed.dataset(dataset);
            let options = ["--appendonly", "yes", "--auto-aof-rewrite-percentage", "0"];
            let server = Redis::start(self.bed.tools(), &dir, &socket, &options)?;
            fill(&server, "before", keys, VALUE)?;
            server.bgrewriteaof_wait()?;
            fill(&server, "after", keys, VALUE)?;
            server.save()?;
            server.shutdown_nosave()?;
        }
        self.plan_by_hand()
    }

    /// Writes files of noise: for each dataset, how many of how many bytes.
    pub fn write_files(&self, files: [&[(usize, usize)]; 2]) -> Result<()> {
        for (dataset, files) in DATASETS.into_iter().zip(files) {
            self.bed
                .set(&format!("datasets.{dataset}.format"), "files")?;
            for (kind, (count, size)) in files.iter().enumerate() {
                for i in 0..*count {
                    let dir = self
                        .bed
                        .dataset(dataset)
                        .join(format!("{kind}-{}", i / 500));
                    fs::create_dir_all(&dir)?;
                    let name = format!("{i}.bin");
                    let mut bytes = vec![0; *size];
                    Noise::new(&format!("{dataset} {kind} {i}")).fill(&mut bytes);
                    fs::write(dir.join(name), bytes)?;
                }
            }
        }
        self.plan_by_hand()
    }

    /// Asks the program for its plan, and makes a script of it.
    fn plan_by_hand(&self) -> Result<()> {
        let asked = Running::start(&mut self.bed.cmd(&["run", "--dry-run", "--json"]))?;
        let ran = asked.wait_timeout(Duration::from_secs(60))?;
        let plan: Value = serde_json::from_str(&ran.stdout).with_context(|| ran.to_string())?;
        Ok(fs::write(&self.script, script(&plan)?)?)
    }

    /// How long our run takes.
    pub fn ours(&self) -> Result<Took> {
        let took = measure::time(&mut self.bed.cmd(&["run"]))?;
        self.clear()?;
        Ok(took)
    }

    /// How long the script takes.
    pub fn by_hand(&self) -> Result<Took> {
        let mut command = tethered("bash");
        command.arg(&self.script).env_clear().current_dir("/");
        command.env("PATH", testbed::process::PATH);
        command.env("OUT", self.bed.scratch().join("by-hand"));
        command.env("B2_KEY_ID", KEY_ID).env("B2_APP_KEY", APP_KEY);
        let took = measure::time(&mut command)?;
        self.check_by_hand()?;
        self.clear()?;
        Ok(took)
    }

    /// A script that stores less than we do would be no comparison.
    fn check_by_hand(&self) -> Result<()> {
        for dataset in DATASETS {
            let lines = |kind: &str, word: &str| -> Result<usize> {
                let file = format!("by-hand/{dataset}.{kind}");
                let text = fs::read_to_string(self.bed.scratch().join(file))?;
                Ok(text.lines().filter(|line| line.contains(word)).count())
            };
            let (summed, listed) = (lines("md5", " ")?, lines("list", "\"Path\"")?);
            anyhow::ensure!(
                summed == listed && summed > 0,
                "by hand, {summed} files of {dataset} were read and {listed} are stored"
            );
        }
        Ok(())
    }

    /// How much memory our run takes. The stage is spent after it.
    pub fn peaks(&self) -> Result<Peaks> {
        measure::memory(&mut self.bed.cmd(&["run"]))
    }

    /// Undoes a run: no snapshot, no object, nothing left to be written; and a new
    /// second, which the next run's name needs.
    fn clear(&self) -> Result<()> {
        for name in self.bed.snapshots()? {
            self.bed
                .disk()
                .delete(&self.bed.snapshot_dir().join(name))?;
        }
        let bucket = self.bed.scratch().join("s3").join(self.bed.bucket());
        for entry in fs::read_dir(&bucket)? {
            let path = entry?.path();
            if path.is_dir() {
                fs::remove_dir_all(path)?;
            } else {
                fs::remove_file(path)?;
            }
        }
        // The second waits for the cleaner, which the first wakes.
        for words in [["filesystem", "sync"], ["subvolume", "sync"]] {
            run(Command::new("btrfs")
                .args(words)
                .arg(self.bed.snapshot_dir()))?;
        }
        nix::unistd::syncfs(File::open(self.bed.disk().path())?)?;
        sleep(Duration::from_millis(1100));
        Ok(())
    }
}
