//! A clock that several processes share and that a test moves while they run.
//!
//! libfaketime, preloaded, rereads its file on every call. Go binaries (rclone)
//! do not ask libc and keep the true time. The surprise: file times are left
//! alone, since a host with a wrong clock still has the files it had.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};

use crate::provision::{Tools, which};

/// A shared clock.
#[derive(Debug, Clone)]
pub struct Clock {
    file: PathBuf,
    library: PathBuf,
    _sweep: Arc<Sweep>,
}

/// libfaketime 0.9.10 makes two files in /dev/shm for each process and leaves
/// them when that process is killed or executes another program. A later process
/// of another user that happens to get the same id would not start.
#[derive(Debug)]
struct Sweep;

impl Drop for Sweep {
    fn drop(&mut self) {
        for entry in fs::read_dir("/dev/shm").into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let rest = name.strip_prefix("sem.").unwrap_or(&name);
            let pid = rest
                .strip_prefix("faketime_shm_")
                .or(rest.strip_prefix("faketime_sem_"));
            if pid.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
                fs::remove_file(entry.path()).ok();
            }
        }
    }
}

impl Clock {
    /// A clock that shows the true time, kept in a file in `dir`.
    pub fn new(tools: &Tools, dir: &Path) -> Result<Self> {
        let clock = Self {
            file: dir.join("clock"),
            library: tools.libfaketime.clone(),
            _sweep: Arc::new(Sweep),
        };
        clock.set_offset_seconds(0)?;
        Ok(clock)
    }

    /// Moves it to now plus `offset`; processes that run see it at once.
    pub fn set_offset_seconds(&self, offset: i64) -> Result<()> {
        let new = self.file.with_extension("new");
        fs::write(&new, format!("{offset:+}\n"))?;
        // Renamed into place: nobody reads half an offset.
        fs::rename(&new, &self.file).with_context(|| format!("set {}", self.file.display()))
    }

    /// The same, in days.
    pub fn set_offset_days(&self, days: i64) -> Result<()> {
        self.set_offset_seconds(days * 86_400)
    }

    /// What a process needs in its environment to live by this clock.
    pub fn env(&self) -> Vec<(String, String)> {
        let file = self.file.to_string_lossy().into_owned();
        let library = self.library.to_string_lossy().into_owned();
        [
            ("LD_PRELOAD", library.as_str()),
            ("FAKETIME_TIMESTAMP_FILE", file.as_str()),
            ("FAKETIME_NO_CACHE", "1"),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
            ("DONT_FAKE_MONOTONIC", "1"),
            ("NO_FAKE_STAT", "1"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
    }

    /// `program` behind an `env` that gives it this clock. For after `setpriv`:
    /// what is preloaded before a change of user cannot be shared after it.
    pub(crate) fn words(&self, program: &Path) -> Vec<OsString> {
        let variables = self
            .env()
            .into_iter()
            .map(|(name, value)| format!("{name}={value}"));
        let env = which("env").unwrap_or_else(|| "env".into());
        let program = program.as_os_str().to_owned();
        [env.into()]
            .into_iter()
            .chain(variables.map(OsString::from))
            .chain([program])
            .collect()
    }
}
