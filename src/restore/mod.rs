//! Getting it back: fetched into a stage, every byte checked against the manifest, then put in place whole.
//!
//! Needs neither lock, `/persist` nor privileges: the host that it runs on may be a new one.

mod apply;
mod fetch;
mod fetch_all;
mod handover;
mod stage;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use log::{info, warn};

pub(crate) use handover::handover;
pub(crate) use stage::Destination;

use crate::bucket::backup::Backup;
use crate::config::DatasetName;
use crate::dataset::Tree;
use crate::host::Host;
use crate::timestamp::Timestamp;
use crate::tools::rclone::Rclone;
use crate::ui::{Bytes, counted};

/// A dataset that is to come back.
pub(crate) struct DatasetRestore {
    /// Its name, and that of its directory.
    pub name: DatasetName,
    /// Its files, each with its MD5.
    pub tree: Tree,
    pub source: Source,
}

/// Where a dataset is restored from.
pub(crate) enum Source {
    Bucket(String),
    /// In this directory of a snapshot.
    Snapshot(PathBuf),
}

/// Why nothing was put in place.
pub(crate) enum RestoreError {
    /// What is stored is not what the manifest says.
    Difference(String),
    Other(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for RestoreError {
    fn from(error: E) -> Self {
        Self::Other(error.into())
    }
}

pub(crate) struct Restored {
    pub files: u64,
    /// Their sizes in all.
    pub bytes: u64,
    /// How many owners could not be set.
    pub unowned: u64,
}

/// Restores parts of one backup.
///
/// # Errors
/// Why nothing was put in place. What was fetched stays in the stage, for a second call to go on from.
pub(crate) fn restore(
    host: &Host,
    rclone: Option<&Rclone>,
    parts: &[DatasetRestore],
    to: &Destination,
) -> Result<Restored, RestoreError> {
    let (files, bytes) = parts
        .iter()
        .map(|part| part.tree.totals())
        .fold((0, 0), |sum: (u64, u64), one| {
            (sum.0.saturating_add(one.0), sum.1.saturating_add(one.1))
        });
    match (to.check_room(bytes), rclone) {
        (Err(problem), None) => {
            warn!(step = "restore"; "{problem:#}; it may do, since copies share their blocks with the snapshot where both are on one file system")
        }
        (room, _) => room?,
    }
    if to.resumes() {
        info!(step = "restore"; "going on from {}, which an interrupted restore left", to.stage.display());
    }
    let names: Vec<&str> = parts.iter().map(|part| part.name.as_str()).collect();
    let _alone = to.open_stage(&names)?;
    fetch_all::fetch_all(host, rclone, parts, &to.stage)?;
    let mut unowned = 0;
    let checked = match rclone {
        Some(_) => "every byte checked",
        None => "every byte compared with the snapshot",
    };
    for part in parts {
        let into = to.stage.join(part.name.as_str());
        unowned += apply::finish(&into, &part.tree)?.0;
        let (files, bytes) = part.tree.totals();
        info!(step = "restore", dataset = part.name.as_str(), bytes = bytes; "{}: {}, {}, {checked}", part.name, counted(files, "file"), Bytes(bytes));
    }
    if let Some(signal) = host.interrupt.signal() {
        return Err(RestoreError::Other(anyhow::anyhow!(
            "stopped because we received {signal}; a second call goes on from {}",
            to.stage.display()
        )));
    }
    sync(&to.stage)?;
    to.put_in_place()?;
    if let Err(error) = sync(to.path.parent().unwrap_or(Path::new("/"))) {
        warn!(step = "restore"; "{} is in place, and {error:#}: look at dmesg before you trust this disk", to.path.display());
    }
    Ok(Restored {
        files,
        bytes,
        unowned,
    })
}

/// Opens what a restore closed: who is not root cannot remove what is in a directory that he may not write.
pub(crate) fn make_removable(directory: &Path) {
    // A check command may have put a link in its place.
    if !fs::symlink_metadata(directory).is_ok_and(|metadata| metadata.is_dir()) {
        return;
    }
    // Where this fails, so does the removal, which says why.
    let _ = fetch::open(directory);
}

/// On the disk before it counts: the MD5s were those of memory, and only here does a write that failed later show.
fn sync(path: &Path) -> Result<()> {
    let what = || format!("writing {} to the disk", path.display());
    let directory = fs::File::open(path).with_context(what)?;
    nix::unistd::syncfs(&directory).with_context(what)
}

/// The parts of a manifest that were asked for.
///
/// # Errors
/// Where one is not in it.
pub(crate) fn parts_of(
    backup: Backup,
    wanted: &[DatasetName],
    timestamp: Timestamp,
) -> Result<Vec<DatasetRestore>> {
    let Backup { summary, datasets } = backup;
    let mut there = datasets;
    for name in wanted {
        if !there.iter().any(|dataset| dataset.name == *name) {
            match summary.failed.iter().find(|failed| failed.name == *name) {
                Some(failed) => bail!(
                    "{name} is not safely stored in {timestamp}: {}",
                    failed.error
                ),
                None => {
                    let names: Vec<&str> =
                        there.iter().map(|dataset| dataset.name.as_str()).collect();
                    bail!(
                        "{timestamp} has no dataset {name}; it has {}",
                        names.join(", ")
                    );
                }
            }
        }
    }
    if wanted.is_empty() && !summary.complete {
        let whole: Vec<String> = there
            .iter()
            .map(|dataset| format!("--dataset {}", dataset.name))
            .collect();
        bail!(
            "{timestamp} is a partial backup: name what is to come back of it ({})",
            whole.join(", ")
        );
    }
    there.retain(|dataset| wanted.is_empty() || wanted.contains(&dataset.name));
    Ok(there
        .into_iter()
        .map(|dataset| DatasetRestore {
            name: dataset.name,
            tree: dataset.tree,
            source: Source::Bucket(dataset.prefix),
        })
        .collect())
}

/// The parts of a local snapshot, read once for their MD5s.
///
/// # Errors
/// Where a dataset is not in it.
pub(crate) fn parts_of_snapshot(
    host: &Host,
    snapshot: &Path,
    wanted: &[DatasetName],
) -> Result<Vec<DatasetRestore>> {
    let mut parts = Vec::new();
    for name in wanted {
        if !host.config.datasets.contains_key(name) {
            bail!("there is no dataset {name} in the configuration");
        }
    }
    for (name, dataset) in &host.config.datasets {
        let selected = if wanted.is_empty() {
            dataset.enable
        } else {
            wanted.contains(name)
        };
        if !selected {
            continue;
        }
        let tree = crate::dataset::tree_of(snapshot, dataset, &host.interrupt)
            .with_context(|| format!("the dataset {name} in {}", snapshot.display()))?;
        parts.push(DatasetRestore {
            name: name.clone(),
            tree,
            source: Source::Snapshot(snapshot.join(&dataset.path)),
        });
    }
    Ok(parts)
}
