//! The scratch directory of one run, in which all others are made, and the sweep
//! of those that dead runs left.
//!
//! The surprise: what tells a live one is no process id but a lock on the
//! directory, which the kernel gives back however its holder dies.

use std::env;
use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::id;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail};
use nix::fcntl::{Flock, FlockArg};
use nix::unistd::geteuid;
use testbed::scratch::{mounts_below, unmount};

const ROOM: &str = "ocb-run-";
/// What testbed's directories are called, where no room is around them.
const BED: &str = "ocb-";
/// A directory this young may not have its lock yet…
const YOUNG_ROOM: Duration = Duration::from_secs(1);
/// …or its reaper.
const YOUNG_BED: Duration = Duration::from_secs(10);

/// A directory that is removed on drop, locked until then.
pub struct Room {
    path: PathBuf,
    _lock: Flock<File>,
}

impl Room {
    /// Makes one below `$OCB_SCRATCH` or `/var/tmp`.
    pub fn new() -> Result<Self> {
        let base = base();
        for attempt in 0..100 {
            let path = base.join(format!("{ROOM}{}-{attempt}", id()));
            match DirBuilder::new().mode(0o755).create(&path) {
                Ok(()) => {
                    let lock = lock(&path).with_context(|| format!("lock {}", path.display()))?;
                    return Ok(Self { path, _lock: lock });
                }
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => {
                    return Err(error).with_context(|| format!("create {}", path.display()));
                }
            }
        }
        bail!("{} is full of {ROOM}* of other runs", base.display());
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        remove(&self.path);
    }
}

fn base() -> PathBuf {
    env::var_os(super::SCRATCH).map_or_else(|| "/var/tmp".into(), PathBuf::from)
}

fn lock(dir: &Path) -> Result<Flock<File>> {
    let dir = File::open(dir)?;
    Flock::lock(dir, FlockArg::LockExclusiveNonblock).map_err(|(_, error)| error.into())
}

/// Removes what dead runs left, saying so.
pub fn sweep() {
    for entry in fs::read_dir(base()).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_room = name.starts_with(ROOM);
        let young = if is_room { YOUNG_ROOM } else { YOUNG_BED };
        if !name.starts_with(BED) || !ours_and_settled(&path, young) {
            continue;
        }
        let held = lock(&path);
        let dead = held.is_ok() && (is_room || !mentioned(&path));
        if dead {
            println!("removing {}, which a killed run left", path.display());
            remove(&path);
        }
    }
}

fn ours_and_settled(path: &Path, young: Duration) -> bool {
    let Ok(meta) = fs::symlink_metadata(path) else {
        return false;
    };
    let settled = |time: SystemTime| time.elapsed().is_ok_and(|age| age > young);
    meta.is_dir() && meta.uid() == geteuid().as_raw() && meta.modified().is_ok_and(settled)
}

/// Unmounts what is mounted within, and removes the rest.
fn remove(path: &Path) {
    for at in mounts_below(path) {
        unmount(&at);
    }
    // Removing now would empty the file system that is still mounted.
    if mounts_below(path).is_empty()
        && let Err(error) = fs::remove_dir_all(path)
    {
        eprintln!("{} stays: {error}", path.display());
    }
}

/// Whether a process names the directory. A bed outside of a room has a reaper,
/// which does as long as the bed lives.
fn mentioned(dir: &Path) -> bool {
    let needle = dir.as_os_str().as_encoded_bytes();
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .map(|process| process.path())
        .filter(|process| process.join("cmdline").exists())
        .any(|process| {
            let has = |name: &str| {
                let bytes = fs::read(process.join(name)).unwrap_or_default();
                bytes.windows(needle.len()).any(|window| window == needle)
            };
            has("cmdline")
                || has("environ")
                || fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd.starts_with(dir))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_is_locked_while_it_lives_and_gone_after() {
        let room = Room::new().expect("a room");
        let path = room.path().to_owned();
        assert!(lock(&path).is_err(), "a second lock was granted");
        fs::write(path.join("left"), "behind").expect("write");
        drop(room);
        assert!(!path.exists());
    }

    #[test]
    fn a_directory_that_a_process_names_is_in_use() {
        assert!(mentioned(&env::current_dir().expect("a directory")));
        assert!(!mentioned(Path::new("/var/tmp/ocb-that-nobody-ever-made")));
    }
}
