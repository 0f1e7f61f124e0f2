//! From the bucket, or from a snapshot, into the stage.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use crate::exec::{Label, Step};
use crate::interrupt::Interrupt;
use crate::tools::rclone::Rclone;
use crate::tools::rclone::args;
use crate::tools::rclone::tuning::{Files, Tuning};
use crate::tree::{NodeKind, Tree};

/// Downloads what is below a prefix; what is there already with the same size and time is not sent again.
///
/// # Errors
/// What rclone said.
pub fn from_bucket(
    rclone: &Rclone,
    name: &str,
    tree: &Tree,
    prefix: &str,
    into: &Path,
) -> Result<()> {
    prepare(into)?;
    let mut files = Files::default();
    tree.files().for_each(|(_, size)| files.add(size));
    let tuning = Tuning::choose(files, rclone.remote.memory.bytes(), 1);
    let command = args::fetch(&rclone.program, &rclone.remote, prefix, into, tuning)?;
    rclone.transfer(Label::of(Step::Restore, name), command)?;
    Ok(())
}

/// Copies a tree out of a snapshot, sharing its blocks where the file systems can.
///
/// # Errors
/// Where a file cannot be copied.
pub fn from_snapshot(from: &Path, tree: &Tree, into: &Path, interrupt: &Interrupt) -> Result<()> {
    prepare(into)?;
    for node in &tree.nodes {
        if let Some(signal) = interrupt.signal() {
            bail!("stopped because we received {signal}");
        }
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
                fs::copy(&source, &target).with_context(|| {
                    format!("copying {} to {}", source.display(), target.display())
                })?;
            }
            NodeKind::Symlink(_) => {}
        }
    }
    Ok(())
}

/// A directory without links: an interrupted restore may have left some, and what is fetched must not be
/// written through them.
fn prepare(into: &Path) -> Result<()> {
    fs::create_dir_all(into).with_context(|| format!("making {}", into.display()))?;
    without_links(into)
}

fn without_links(directory: &Path) -> Result<()> {
    for entry in
        fs::read_dir(directory).with_context(|| format!("reading {}", directory.display()))?
    {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_symlink() {
            remove_file(&entry.path())?;
        } else if kind.is_dir() {
            without_links(&entry.path())?;
        }
    }
    Ok(())
}

fn remove_file(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("removing {}", path.display()))
        }
        _ => Ok(()),
    }
}
