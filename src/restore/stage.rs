//! Where a restore goes, and the stage in which it is made ready.
//!
//! The stage is beside the directory and takes its place in one rename. A mount point or a subvolume cannot be
//! replaced by a rename: there the stage is inside, and its parts move up when all of them are checked.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, chown};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use nix::fcntl::{Flock, FlockArg};

use crate::config::Config;
use crate::free_space::Space;
use crate::timestamp::Timestamp;
use crate::tools::btrfs::SUBVOLUME_ROOT;
use crate::ui::Bytes;

/// In a stage that is inside: its parts are moving up. No dataset has such a name.
const MOVING: &str = ".moving";

/// A directory that may be restored into.
#[derive(Clone, Debug)]
pub(crate) struct Destination {
    pub path: PathBuf,
    /// Where it is made ready.
    pub stage: PathBuf,
    inside: bool,
    /// Mode and owner of the directory that is there, where the stage takes its place.
    kept: Option<(u32, u32, u32)>,
}

impl Destination {
    /// Accepts an absent or empty directory outside the live tree. Nothing is made yet.
    ///
    /// # Errors
    /// Why not this one, and which would do.
    pub(crate) fn new(path: &Path, timestamp: Timestamp, config: &Config) -> Result<Self> {
        let name = path.file_name().with_context(|| {
            format!("{} has no name: give a directory below it", path.display())
        })?;
        let parent = path.parent().unwrap_or(Path::new("/"));
        let parent = parent.canonicalize().with_context(|| {
            format!(
                "the folder {} must be there; create it, or choose another one",
                parent.display()
            )
        })?;
        let path = parent.join(name);
        refuse_live(&path, config)?;
        let staged = format!(".{}.opencode-backup-{timestamp}", name.to_string_lossy());
        let metadata = match fs::symlink_metadata(&path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Self {
                    stage: parent.join(staged),
                    path,
                    inside: false,
                    kept: None,
                });
            }
            Err(error) => {
                return Err(error).with_context(|| format!("looking at {}", path.display()));
            }
        };
        ensure!(
            metadata.is_dir(),
            "{} is not a directory: give one that is absent or empty",
            path.display()
        );
        let parent_device = fs::metadata(&parent)?.dev();
        let inside = metadata.dev() != parent_device || metadata.ino() == SUBVOLUME_ROOT;
        let stage = if inside {
            path.join(&staged)
        } else {
            parent.join(&staged)
        };
        refuse_filled(&path, &stage, inside)?;
        Ok(Self {
            path,
            stage,
            inside,
            kept: Some((metadata.mode() & 0o7777, metadata.uid(), metadata.gid())),
        })
    }

    /// Whether an interrupted restore of the same backup left something to go on from.
    pub(crate) fn resumes(&self) -> bool {
        self.stage.is_dir()
    }

    /// Whether some of its parts have moved up, and not all of them.
    pub(crate) fn is_half_placed(&self) -> bool {
        self.inside && self.stage.join(MOVING).exists()
    }

    /// Whether there is room for so many more bytes.
    ///
    /// # Errors
    /// How much there is, and how much it takes.
    pub(crate) fn check_room(&self, bytes: u64) -> Result<()> {
        let at = self.stage.parent().unwrap_or(Path::new("/"));
        let there = if self.is_half_placed() {
            // The stage is in it.
            used(&self.path)
        } else {
            used(&self.stage)
        };
        let needed = bytes.saturating_sub(there);
        match Space::of(at) {
            Some(space) if space.free < needed => bail!(
                "{} has {} free, and {} are to come: choose a larger file system",
                at.display(),
                Bytes(space.free),
                Bytes(needed)
            ),
            _ => Ok(()),
        }
    }

    /// Makes the stage, for us alone, and leaves nothing in it but these parts. Those that an interrupted call had
    /// already moved up go back into it.
    ///
    /// # Errors
    /// Where it cannot be made, or the directory got other contents in the meantime.
    pub(crate) fn open_stage(&self, parts: &[&str]) -> Result<Flock<File>> {
        self.make_stage()?;
        let lock = self.lock_stage()?;
        let moving = self.stage.join(MOVING);
        let takes_back = self.inside && moving.exists();
        if self.inside {
            for name in names(&self.path)? {
                let staged = self.stage.file_name() == Some(&name);
                let moved = takes_back && parts.iter().any(|part| name == *part);
                if !(staged || moved || name == "lost+found") {
                    // Where it was made just now, in a place that another restore has filled meanwhile.
                    let _ = fs::remove_dir(&self.stage);
                    bail!(
                        "{} is not empty (it holds {}): give one that is absent or empty",
                        self.path.display(),
                        name.to_string_lossy()
                    );
                }
            }
        }
        for part in parts.iter().filter(|_| takes_back) {
            let (up, staged) = (self.path.join(part), self.stage.join(part));
            if up.exists() {
                fs::rename(&up, &staged)
                    .with_context(|| format!("taking {} back into the stage", up.display()))?;
            }
        }
        for name in names(&self.stage)? {
            if !parts.iter().any(|part| name == *part) {
                let path = self.stage.join(&name);
                let is_dir = fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_dir());
                let gone = if is_dir {
                    super::make_removable(&path);
                    fs::remove_dir_all(&path)
                } else {
                    fs::remove_file(&path)
                };
                gone.with_context(|| format!("removing {}", path.display()))?;
            }
        }
        Ok(lock)
    }

    /// One at a time: two that fill the same stage would undo each other's work.
    fn lock_stage(&self) -> Result<Flock<File>> {
        let stage = File::open(&self.stage)
            .with_context(|| format!("opening the stage {}", self.stage.display()))?;
        Flock::lock(stage, FlockArg::LockExclusiveNonblock).map_err(|(_, error)| {
            anyhow!(
                "{} cannot be locked ({error}): another restore is filling it; wait for its end",
                self.stage.display()
            )
        })
    }

    fn make_stage(&self) -> Result<()> {
        match DirBuilder::new().mode(0o700).create(&self.stage) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let metadata = fs::symlink_metadata(&self.stage)?;
                let ours = metadata.uid() == nix::unistd::geteuid().as_raw();
                ensure!(
                    metadata.is_dir() && ours,
                    "{} is in the way: remove it",
                    self.stage.display()
                );
                Ok(())
            }
            result => result.with_context(|| format!("making the stage {}", self.stage.display())),
        }
    }

    /// Puts the stage in the directory's place.
    ///
    /// # Errors
    /// Where that fails; the stage is then still whole.
    pub(crate) fn put_in_place(&self) -> Result<()> {
        use std::os::unix::fs::PermissionsExt as _;
        let placing = || {
            format!(
                "putting {} in the place of {}",
                self.stage.display(),
                self.path.display()
            )
        };
        if !self.inside {
            // Takes the place of an absent directory or of an empty one, and of nothing else.
            fs::rename(&self.stage, &self.path).with_context(placing)?;
            // A new one is for us alone, as the stage was: what is in it was private where it came from.
            let Some((mode, uid, gid)) = self.kept else {
                return Ok(());
            };
            // Only root may give it back to somebody else; it is ours then, and no more open than it was.
            let given = chown(&self.path, Some(uid), Some(gid)).is_ok();
            let mode = if given { mode } else { mode & 0o700 };
            // Where that fails it stays ours alone, and whole.
            let _ = fs::set_permissions(&self.path, fs::Permissions::from_mode(mode));
            return Ok(());
        }
        let parts = names(&self.stage)?;
        let moving = self.stage.join(MOVING);
        fs::write(&moving, "").with_context(placing)?;
        for part in parts {
            fs::rename(self.stage.join(&part), self.path.join(&part)).with_context(placing)?;
        }
        fs::remove_file(&moving).with_context(placing)?;
        fs::remove_dir(&self.stage).with_context(placing)
    }
}

/// Refuses a directory that holds something, unless an interrupted restore goes on inside it.
fn refuse_filled(path: &Path, stage: &Path, inside: bool) -> Result<()> {
    // An empty stage is all that was not cleared away when the parts had moved up.
    if inside && stage.is_dir() && !names(stage)?.is_empty() {
        return Ok(());
    }
    for name in names(path)? {
        let is_empty_stage = stage.file_name() == Some(&name);
        // Every new file system has lost+found.
        if !(inside && (name == "lost+found" || is_empty_stage)) {
            bail!(
                "{} is not empty (it holds {}): give one that is absent or empty",
                path.display(),
                name.to_string_lossy()
            );
        }
    }
    Ok(())
}

fn names(directory: &Path) -> Result<Vec<OsString>> {
    let reading = || format!("reading {}", directory.display());
    let entries = fs::read_dir(directory).with_context(reading)?;
    entries
        .map(|entry| Ok(entry.with_context(reading)?.file_name()))
        .collect()
}

/// The datasets' own directories, what is in them, and the snapshots.
fn refuse_live(path: &Path, config: &Config) -> Result<()> {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let live = config
        .datasets
        .values()
        .map(|dataset| real(&config.subvolume.join(&dataset.path)));
    let identity = |path: &Path| {
        let metadata = fs::metadata(path).ok()?;
        Some((metadata.dev(), metadata.ino()))
    };
    for taken in live.chain([real(&config.snapshot_dir)]) {
        // The same directory under another name, by a second mount of the subvolume or of a part of it.
        let same = identity(&taken).is_some_and(|taken| {
            let mut above = path.ancestors();
            above.any(|above| identity(above) == Some(taken))
        });
        ensure!(
            !same,
            "{} belongs to the live tree ({}, by another mount): restore somewhere else, look at it, and move it there yourself",
            path.display(),
            taken.display()
        );
        ensure!(
            !path.starts_with(&taken) && !taken.starts_with(path),
            "{} belongs to the live tree ({}): restore somewhere else, look at it, and move it there yourself",
            path.display(),
            taken.display()
        );
    }
    Ok(())
}

fn used(directory: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(directory) else {
        return 0;
    };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => used(&entry.path()),
            Ok(metadata) => metadata.len(),
            Err(_) => 0,
        })
        .sum()
}
