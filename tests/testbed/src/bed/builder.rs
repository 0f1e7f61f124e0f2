//! How a bed is made: what can be chosen, and the steps.
//!
//! The surprise: tools and scripts are reached through the scratch directory,
//! the virtual environment through a read-only bind mount. The workspace may lie
//! in somebody's home, and the product refuses, rightly, to run as root what
//! another user could change.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};

use super::{Bed, S3Handle, USER, write_config};
use crate::b2::B2Stub;
use crate::clock::Clock;
use crate::disk::{Btrfs, Mount};
use crate::provision::{Tools, require_root, workspace};
use crate::rdb_fixtures;
use crate::s3::{APP_KEY, KEY_ID, S3, unique_bucket};
use crate::scratch::Scratch;

/// Which rclone is first on the PATH.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rclone {
    /// Debian's, 1.60.1.
    Old,
    /// 1.75.2.
    New,
}

/// Which S3 server the bed has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Server {
    /// moto: checks no signatures; shared, unless there is a clock.
    Moto,
    /// `rclone serve s3`: checks signatures, accepts any name.
    RcloneServe,
    /// Ours: checks no signatures, and is quick.
    Quick,
}

/// What can be chosen about a bed.
#[derive(Debug, Clone)]
pub struct Builder {
    bin: PathBuf,
    separate_mounts: bool,
    plain_snapshot_dir: bool,
    rclone: Rclone,
    server: Server,
    clock: bool,
    size_mib: u64,
}

impl Builder {
    pub(super) fn new(bin: &Path) -> Self {
        Self {
            bin: bin.to_owned(),
            separate_mounts: false,
            plain_snapshot_dir: false,
            rclone: Rclone::Old,
            server: Server::Moto,
            clock: false,
            size_mib: 512,
        }
    }

    /// `persist` and `.snapshots` as two subvolumes mounted separately.
    #[must_use]
    pub fn separate_mounts(mut self) -> Self {
        self.separate_mounts = true;
        self
    }

    /// `.snapshots` as a plain directory; by default it is a subvolume.
    #[must_use]
    pub fn plain_snapshot_dir(mut self) -> Self {
        self.plain_snapshot_dir = true;
        self
    }

    /// Chooses the rclone.
    #[must_use]
    pub fn rclone(mut self, rclone: Rclone) -> Self {
        self.rclone = rclone;
        self
    }

    /// Chooses the S3 server.
    #[must_use]
    pub fn s3(mut self, server: Server) -> Self {
        self.server = server;
        self
    }

    /// Gives the program and a moto of its own a clock that can be moved.
    #[must_use]
    pub fn clock(mut self) -> Self {
        self.clock = true;
        self
    }

    /// The size of the Btrfs; 512 by default, 114 at least.
    #[must_use]
    pub fn size_mib(mut self, size: u64) -> Self {
        self.size_mib = size;
        self
    }

    /// Makes the bed.
    pub fn build(self) -> Result<Bed> {
        require_root()?;
        let tools = Tools::locate()?;
        let scratch = Scratch::new()?;
        let at = scratch.path().to_owned();
        let bin = self
            .bin
            .canonicalize()
            .with_context(|| format!("find {}", self.bin.display()))?;

        let disk = Btrfs::new(&at, self.size_mib)?;
        let mut mounts = Vec::new();
        let (subvolume, snapshot_dir) = if self.separate_mounts {
            for (name, at) in [
                ("@persist", at.join("persist")),
                ("@snapshots", at.join(".snapshots")),
            ] {
                disk.subvolume(&disk.path().join(name))?;
                mounts.push(disk.mount_subvol(name, &at)?);
            }
            (at.join("persist"), at.join(".snapshots"))
        } else {
            let (subvolume, snapshots) =
                (disk.path().join("persist"), disk.path().join(".snapshots"));
            disk.subvolume(&subvolume)?;
            if self.plain_snapshot_dir {
                fs::create_dir(&snapshots)?;
            } else {
                disk.subvolume(&snapshots)?;
            }
            (subvolume, snapshots)
        };
        // As a host has it: nobody else may open it, and so hold the lock on it.
        fs::set_permissions(&snapshot_dir, fs::Permissions::from_mode(0o750))?;
        fill(&subvolume)?;

        let venv = at.join("venv");
        mounts.push(Mount::bind(&tools.venv, &venv, true)?);
        let first = at.join("bin");
        fs::create_dir(&first)?;
        let rclone = match self.rclone {
            Rclone::Old => tools.rclone_old.clone(),
            Rclone::New => venv.join("bin/rclone"),
        };
        symlink(rclone, first.join("rclone"))?;
        let script = at.join("memory_manager.py");
        fs::copy(
            workspace().join("tests/fixtures/memory_manager.py"),
            &script,
        )
        .context("copy the export script")?;
        fs::set_permissions(&script, fs::Permissions::from_mode(0o644))?;
        fs::create_dir(at.join("state"))?;

        let clock = if self.clock {
            Some(Clock::new(&tools, &at)?)
        } else {
            None
        };
        let s3 = match (self.server, &clock) {
            (Server::Moto, None) => S3Handle::Shared(S3::shared_moto()?),
            (Server::Moto, clock) => S3Handle::Own(Box::new(S3::moto(&tools, clock.as_ref())?)),
            (Server::RcloneServe, _) => {
                S3Handle::Own(Box::new(S3::rclone_serve(&tools, &at.join("s3"))?))
            }
            (Server::Quick, _) => S3Handle::Own(Box::new(S3::quick(&at.join("s3"))?)),
        };
        let bucket = unique_bucket();
        s3.create_bucket(&bucket)?;
        let b2 = B2Stub::start(&s3, &bucket, KEY_ID, APP_KEY)?;
        let bed = Bed {
            mounts,
            disk,
            b2,
            s3,
            clock,
            bucket,
            bin,
            subvolume,
            snapshot_dir,
            tools,
            given: OnceLock::new(),
            scratch,
        };
        bed.write_env(&[])?;
        write_config(&bed)?;
        Ok(bed)
    }
}

/// The two datasets, as their servers leave them: 0700, and 0600 within.
fn fill(subvolume: &Path) -> Result<()> {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)?
        .as_secs()
        .cast_signed();
    for (name, keys) in [
        ("falkordb", &["graph", "node"][..]),
        ("valkey", &["session"]),
    ] {
        let dir = subvolume.join("containers").join(name);
        fs::create_dir_all(&dir)?;
        let dump = dir.join("dump.rdb");
        fs::write(&dump, rdb_fixtures::dump(11, now, keys))?;
        for (path, mode) in [(&dir, 0o700), (&dump, 0o600)] {
            fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
            chown(path, Some(USER + 1), Some(USER + 1))?;
        }
    }
    Ok(())
}
