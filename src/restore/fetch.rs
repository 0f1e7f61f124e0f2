//! From the bucket, or from a snapshot, into the stage.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use anyhow::{Context as _, Result};

use crate::config::DatasetName;
use crate::dataset::{NodeKind, Tree};
use crate::interrupt::Interrupt;
use crate::step::{Label, Step};
use crate::tools::rclone::Rclone;
use crate::tools::rclone::args;
use crate::tools::rclone::tuning::{MemoryBudget, Tuning};

/// Bytes of a piece that is copied out of a snapshot: some tenths of a second where they have to be written.
const PIECE: u64 = 32 << 20;

/// Downloads what is below a prefix; what is there already with the same size and time is not sent again.
///
/// # Errors
/// What rclone said.
pub(super) fn from_bucket(
    rclone: &Rclone,
    name: &DatasetName,
    tree: &Tree,
    prefix: &str,
    share: MemoryBudget,
    into: &Path,
) -> Result<()> {
    let tuning = Tuning::choose(tree.sizes(), share);
    let command = args::fetch(&rclone.program, &rclone.remote, prefix, into, tuning);
    rclone.transfer(Label::of(Step::Restore, name), command)?;
    Ok(())
}

/// Copies a tree out of a snapshot, sharing its blocks where the file systems can.
///
/// # Errors
/// Where a file cannot be copied.
pub(super) fn from_snapshot(
    from: &Path,
    tree: &Tree,
    into: &Path,
    interrupt: &Interrupt,
) -> Result<()> {
    for node in &tree.nodes {
        interrupt.check()?;
        let (source, target) = (
            from.join(OsStr::from_bytes(&node.path)),
            into.join(OsStr::from_bytes(&node.path)),
        );
        match node.kind {
            NodeKind::Directory => fs::create_dir_all(&target)
                .with_context(|| format!("making {}", target.display()))?,
            NodeKind::File { size, .. } => {
                if fs::symlink_metadata(&target)
                    .is_ok_and(|metadata| metadata.is_file() && metadata.len() == size)
                {
                    continue;
                }
                remove_file(&target)?;
                copy(&source, &target, interrupt).with_context(|| {
                    format!("copying {} to {}", source.display(), target.display())
                })?;
            }
            NodeKind::Symlink(_) => {}
        }
    }
    Ok(())
}

/// In pieces, between which we can be stopped; each shares its blocks where the file systems can.
fn copy(source: &Path, target: &Path, interrupt: &Interrupt) -> Result<()> {
    let source = File::open(source)?;
    let mut target = File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(target)?;
    loop {
        interrupt.check()?;
        if io::copy(&mut (&source).take(PIECE), &mut target)? == 0 {
            return Ok(());
        }
    }
}

/// A directory that can be fetched into. An interrupted restore may have finished it: what is fetched must not be
/// written through its links, and its modes may keep us, who are not root, from reading and writing.
///
/// # Errors
/// Where something cannot be changed.
pub(super) fn prepare(into: &Path) -> Result<()> {
    fs::create_dir_all(into).with_context(|| format!("making {}", into.display()))?;
    open(into)
}

/// Makes everything in a directory accessible to us, and removes its links.
///
/// # Errors
/// Where something cannot be changed.
pub(super) fn open(directory: &Path) -> Result<()> {
    allow(directory, 0o700)?;
    for entry in
        fs::read_dir(directory).with_context(|| format!("reading {}", directory.display()))?
    {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_symlink() {
            remove_file(&entry.path())?;
        } else if kind.is_dir() {
            open(&entry.path())?;
        } else {
            allow(&entry.path(), 0o600)?;
        }
    }
    Ok(())
}

fn allow(path: &Path, needed: u32) -> Result<()> {
    let what = || format!("making {} accessible", path.display());
    let mode = fs::symlink_metadata(path)
        .with_context(what)?
        .permissions()
        .mode();
    if mode & needed == needed {
        return Ok(());
    }
    fs::set_permissions(path, fs::Permissions::from_mode(mode | needed)).with_context(what)
}

fn remove_file(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("removing {}", path.display()))
        }
        _ => Ok(()),
    }
}
