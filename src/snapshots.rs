//! The snapshot directory: which entries are ours, and how they go.
//!
//! Ours by name, by being a read-only Btrfs subvolume, and by its parent; what only looks like it is counted
//! and left alone.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use crate::config::{Config, Uuid};
use crate::exec::{Label, Step};
use crate::retention::{Candidate, Row, Standing};
use crate::snapshot_name::SnapshotName;
use crate::timestamp::Timestamp;
use crate::tools::btrfs::{Btrfs, Listed};

/// Btrfs gives the root of every subvolume this inode number.
const SUBVOLUME_ROOT: u64 = 256;

/// Entries that bear a name of our kind, newest first. Needs no privileges, and so cannot tell whose they are.
///
/// # Errors
/// Where the directory cannot be read.
pub fn named(config: &Config) -> io::Result<Vec<(String, Timestamp)>> {
    let mut all = Vec::new();
    for entry in fs::read_dir(&config.snapshot_dir)? {
        let name = entry?.file_name();
        // A name that is not UTF-8 is none of ours.
        let Some(name) = name.to_str() else { continue };
        if let Some(timestamp) = SnapshotName::parse(&config.subvolume, name) {
            all.push((name.to_owned(), timestamp));
        }
    }
    all.sort_by_key(|(_, timestamp)| std::cmp::Reverse(*timestamp));
    Ok(all)
}

/// The same entries with their standing, of which only Btrfs can tell.
///
/// # Errors
/// Where the directory cannot be read or Btrfs cannot be asked.
pub fn candidates(config: &Config, btrfs: &Btrfs, subvolume: Uuid) -> Result<Vec<Candidate>> {
    let named =
        named(config).with_context(|| format!("reading {}", config.snapshot_dir.display()))?;
    let label = Label::new(Step::Retention);
    let mut listed: HashMap<String, Vec<Listed>> = HashMap::new();
    if !named.is_empty() {
        for row in btrfs
            .list_read_only(label.clone(), &config.snapshot_dir)
            .context("listing the read-only subvolumes")?
        {
            if let Some(name) = row.path.file_name().and_then(|name| name.to_str()) {
                listed.entry(name.to_owned()).or_default().push(row);
            }
        }
    }
    let mut all = Vec::new();
    for (name, timestamp) in named {
        let rows = listed.remove(&name).unwrap_or_default();
        let standing = standing(
            config,
            btrfs,
            &label,
            subvolume,
            &config.snapshot_dir.join(&name),
            &rows,
        )?;
        all.push(Candidate {
            name,
            timestamp,
            standing,
        });
    }
    Ok(all)
}

fn standing(
    config: &Config,
    btrfs: &Btrfs,
    label: &Label,
    subvolume: Uuid,
    path: &Path,
    rows: &[Listed],
) -> Result<Standing> {
    let foreign = |why: &str| Ok(Standing::Foreign(why.to_owned()));
    let metadata = match path.symlink_metadata() {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return foreign("it has just gone");
        }
        Err(error) => return Err(error).with_context(|| format!("looking at {}", path.display())),
    };
    if metadata.is_symlink() {
        return foreign("a symbolic link");
    }
    if !metadata.is_dir() || metadata.ino() != SUBVOLUME_ROOT {
        return foreign("no Btrfs subvolume");
    }
    let (id, parent) = match rows {
        [] => return foreign("writable"),
        [row] => (row.id, row.parent),
        // Another snapshot directory of this file system has the same name.
        _ => {
            let shown = btrfs.show(label.clone(), path)?;
            if !shown.read_only {
                return foreign("writable");
            }
            (shown.id, shown.parent)
        }
    };
    match parent.is_some_and(|parent| is_ours(config, subvolume, parent)) {
        true => Ok(Standing::Ours(id)),
        false => foreign("a snapshot of another subvolume"),
    }
}

fn is_ours(config: &Config, subvolume: Uuid, parent: Uuid) -> bool {
    parent == subvolume || config.former_subvolume_uuids.contains(&parent)
}

/// Deletes what a row says, after asking Btrfs once more what stands at its path. Already gone is no error.
///
/// # Errors
/// Where it is not what the plan saw, or will not go.
pub fn delete(config: &Config, btrfs: &Btrfs, subvolume: Uuid, row: &Row) -> Result<()> {
    let Some(id) = row.delete else { return Ok(()) };
    let path = config.snapshot_dir.join(&row.name);
    if path
        .symlink_metadata()
        .is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
    {
        return Ok(());
    }
    let label = Label::new(Step::Retention);
    let shown = btrfs.show(label.clone(), &path)?;
    let ours = shown
        .parent
        .is_some_and(|parent| is_ours(config, subvolume, parent));
    if shown.id != id || !shown.read_only || !ours || path.is_symlink() {
        bail!(
            "{} has changed while we looked at it; it was left alone",
            path.display()
        );
    }
    match btrfs.delete(label, id, &path) {
        Err(_)
            if path
                .symlink_metadata()
                .is_err_and(|error| error.kind() == io::ErrorKind::NotFound) =>
        {
            Ok(())
        }
        result => result,
    }
}
