//! A directory of our own, and everything mounted below it, for as long as we
//! live and not a moment longer.
//!
//! The surprise: beside each directory waits a shell in a session of its own. It
//! reads from a pipe that only we hold; when that closes without a word, we were
//! killed, and it unmounts and removes what our `Drop` could not.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;
use std::{env, fs};

use anyhow::{Context, Result};
use nix::mount::{MntFlags, umount2};
use tempfile::TempDir;

const REAPER: &str = r#"
read -r word && exit 0
mounts() { awk -v d="$1/" 'index($2, d) == 1 { print $2 }' /proc/mounts | sort -r; }
for try in 1 2 3 4 5 6 7 8 9 10; do
  sleep 0.2
  mounts "$1" | while read -r at; do umount "$at" 2>/dev/null; done
  [ -z "$(mounts "$1")" ] && break
done
mounts "$1" | while read -r at; do umount -l "$at"; done
rm -rf --one-file-system "$1"
"#;

/// A scratch directory, mode 0755, below `$OCB_SCRATCH` or `/var/tmp`.
pub struct Scratch {
    dir: Option<TempDir>,
    path: PathBuf,
    reaper: Child,
    line: Option<ChildStdin>,
}

impl Scratch {
    /// Makes the directory and its reaper.
    pub fn new() -> Result<Self> {
        let base = env::var_os("OCB_SCRATCH").map_or_else(|| "/var/tmp".into(), PathBuf::from);
        let dir = tempfile::Builder::new()
            .prefix("ocb-")
            .tempdir_in(&base)
            .with_context(|| format!("make a scratch directory in {}", base.display()))?;
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755))?;
        let path = dir.path().canonicalize()?;
        let mut reaper = Command::new("setsid")
            .args(["sh", "-c", REAPER, "reaper"])
            .arg(&path)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("start the reaper (setsid, from util-linux)")?;
        let line = reaper.stdin.take();
        Ok(Self {
            dir: Some(dir),
            path,
            reaper,
            line,
        })
    }

    /// Where it is: canonical, traversable by everyone.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The process that cleans up after our death.
    pub fn reaper_pid(&self) -> u32 {
        self.reaper.id()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        for at in mounts_below(&self.path) {
            unmount(&at);
        }
        let dir = self.dir.take();
        if mounts_below(&self.path).is_empty() {
            drop(dir);
        } else if let Some(dir) = dir {
            // Removing now would empty the file system that is still mounted.
            let _kept: PathBuf = dir.keep();
        }
        if let Some(mut line) = self.line.take() {
            line.write_all(b"done\n").ok();
        }
        self.reaper.wait().ok();
    }
}

/// Mount points below `dir`, the deepest first.
pub fn mounts_below(dir: &Path) -> Vec<PathBuf> {
    let table = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let mut found: Vec<PathBuf> = table
        .lines()
        .filter_map(|line| line.split(' ').nth(1))
        .map(|at| PathBuf::from(at.replace("\\040", " ")))
        .filter(|at| at.starts_with(dir) && at != dir)
        .collect();
    // Later mounts lie on top of earlier ones.
    found.reverse();
    found.sort_by_key(|at| std::cmp::Reverse(at.components().count()));
    found
}

/// Unmounts; retries while a dying process holds it, and detaches it at last.
pub fn unmount(at: &Path) {
    for _ in 0..40 {
        match umount2(at, MntFlags::UMOUNT_NOFOLLOW) {
            Ok(()) => return,
            Err(nix::errno::Errno::EBUSY) => sleep(Duration::from_millis(50)),
            Err(_) => break,
        }
    }
    umount2(at, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW).ok();
}
