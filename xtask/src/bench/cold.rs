//! A page cache that holds the programs and none of the data.
//!
//! The surprise: without it the script would read live files, which are in the cache since they were written, and
//! everybody else a snapshot, whose files are new to it. And a cache that has filled all memory is slow to read into:
//! a run with 2 GiB and nothing to send took 6.3 s with a full one, 2.8 s with an empty one.

use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use nix::unistd::sync;
use testbed::process::run;

const DROP: &str = "/proc/sys/vm/drop_caches";
/// What the rivals run beside the large programs; once, for their libraries.
const TOOLS: [&str; 5] = ["btrfs", "setpriv", "find", "date", "cp"];

/// Makes such a cache.
pub struct Cold {
    programs: Vec<PathBuf>,
}

impl Cold {
    /// These large programs are to be in it whole.
    pub fn but_for(programs: Vec<PathBuf>) -> Self {
        Self { programs }
    }

    /// Empties the cache, and reads the programs into it.
    ///
    /// # Errors
    /// Who is not root may not do that.
    pub fn make(&self) -> Result<()> {
        // What is not written yet would stay.
        sync();
        fs::write(DROP, "3").with_context(|| format!("empty the page cache: write to {DROP}"))?;
        for program in &self.programs {
            let read =
                File::open(program).and_then(|mut file| io::copy(&mut file, &mut io::sink()));
            read.with_context(|| format!("read {}", program.display()))?;
        }
        for tool in TOOLS {
            run(Command::new(tool).arg("--version"))?;
        }
        Ok(())
    }
}
