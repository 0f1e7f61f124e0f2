//! File systems that tests may ruin: Btrfs on a loop device, and others.
//!
//! The surprise: the loop device is never named. `mount -o loop` makes one that
//! the kernel frees with the last mount of it, so there is nothing to leak.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::process::run;
use crate::scratch::{mounts_below, unmount};

/// A mount, undone on drop.
#[derive(Debug)]
pub struct Mount {
    at: PathBuf,
}

impl Mount {
    fn new(at: &Path, options: &[&str], source: &Path) -> Result<Self> {
        fs::create_dir_all(at)?;
        run(Command::new("mount").args(options).arg(source).arg(at))?;
        Ok(Self { at: at.to_owned() })
    }

    /// An empty tmpfs.
    pub fn tmpfs(at: &Path) -> Result<Self> {
        Self::new(at, &["-t", "tmpfs", "-o", "size=64m"], Path::new("tmpfs"))
    }

    /// An empty ext4 in an image beside the mount point.
    pub fn ext4(at: &Path, size_mib: u64) -> Result<Self> {
        let image = at.with_extension("img");
        sparse(&image, size_mib)?;
        run(Command::new("mkfs.ext4").arg("-q").arg(&image))?;
        Self::new(at, &["-t", "ext4", "-o", "loop"], &image)
    }

    /// `source` again at `at`.
    pub fn bind(source: &Path, at: &Path, read_only: bool) -> Result<Self> {
        let options = if read_only { "bind,ro" } else { "bind" };
        Self::new(at, &["-o", options], source)
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.at
    }

    /// Takes writing away or gives it back (`mount -o remount`).
    pub fn set_readonly(&self, readonly: bool) -> Result<()> {
        let how = if readonly { "remount,ro" } else { "remount,rw" };
        run(Command::new("mount").args(["-o", how]).arg(&self.at)).map(drop)
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // What a test has mounted within would keep it busy.
        mounts_below(&self.at)
            .iter()
            .for_each(|within| unmount(within));
        unmount(&self.at);
    }
}

fn sparse(image: &Path, size_mib: u64) -> Result<()> {
    let file = File::create(image).with_context(|| format!("create {}", image.display()))?;
    Ok(file.set_len(size_mib << 20)?)
}

/// A Btrfs of its own; its top level is mounted at [`Btrfs::path`].
#[derive(Debug)]
pub struct Btrfs {
    top: Mount,
}

impl Btrfs {
    /// Makes and mounts one at `dir/fs`, from the sparse image `dir/fs.img`.
    /// Btrfs wants 114 MiB at least.
    pub fn new(dir: &Path, size_mib: u64) -> Result<Self> {
        let image = dir.join("fs.img");
        sparse(&image, size_mib)?;
        run(Command::new("mkfs.btrfs")
            .args(["--quiet", "--nodiscard"])
            .arg(&image))?;
        let top = Mount::new(&dir.join("fs"), &["-t", "btrfs", "-o", "loop"], &image)?;
        Ok(Self { top })
    }

    /// The top level of the file system.
    pub fn path(&self) -> &Path {
        self.top.path()
    }

    /// Creates a subvolume at a path of this file system.
    pub fn subvolume(&self, path: &Path) -> Result<()> {
        btrfs(&["subvolume", "create"], &[path])
    }

    /// Snapshots `from` to `to`, which must not exist.
    pub fn snapshot(&self, from: &Path, to: &Path, readonly: bool) -> Result<()> {
        anyhow::ensure!(!to.exists(), "{} is there already", to.display());
        let words: &[&str] = if readonly {
            &["subvolume", "snapshot", "-r"]
        } else {
            &["subvolume", "snapshot"]
        };
        btrfs(words, &[from, to])
    }

    /// Deletes a subvolume.
    pub fn delete(&self, path: &Path) -> Result<()> {
        btrfs(&["subvolume", "delete"], &[path])
    }

    /// Mounts the subvolume called `name` (relative to the top level) at `at`.
    pub fn mount_subvol(&self, name: &str, at: &Path) -> Result<Mount> {
        let device = run(Command::new("findmnt")
            .args(["-nro", "SOURCE"])
            .arg(self.path()))?;
        let option = format!("subvol={name}");
        Mount::new(
            at,
            &["-t", "btrfs", "-o", &option],
            Path::new(device.trim()),
        )
    }

    /// Sets or clears a subvolume's read-only flag.
    pub fn set_readonly(&self, subvolume: &Path, readonly: bool) -> Result<()> {
        let value = if readonly { "true" } else { "false" };
        run(Command::new("btrfs")
            .args(["property", "set", "-f", "-ts"])
            .arg(subvolume)
            .args(["ro", value]))
        .map(drop)
    }

    /// Makes the whole file system read-only, or writable again.
    pub fn set_mount_readonly(&self, readonly: bool) -> Result<()> {
        self.top.set_readonly(readonly)
    }
}

fn btrfs(words: &[&str], paths: &[&Path]) -> Result<()> {
    run(Command::new("btrfs").args(words).args(paths)).map(drop)
}
