//! A stored backup: its summary, and the list of all files. Nothing in them is believed before it is checked.

use std::collections::HashMap;
use std::io;

use anyhow::{Context as _, Result, bail, ensure};
use md5::{Digest as _, Md5};
use serde::{Deserialize, Serialize};

use super::names::{Mark, dataset_prefix};
use super::summary::{
    Bounded, LARGEST, LARGEST_FILE_LIST, ObjectRecord, Schema, Summary, list, parse,
};
use crate::config::{DatasetName, Prefix};
use crate::dataset::{Node, NodeKind, Tree};
use crate::step::Label;
use crate::timestamp::Timestamp;
use crate::tools::rclone::{Rclone, hex};
use crate::ui::shown;

/// The longest path, in bytes; PATH_MAX of Linux.
const PATH_MAX: usize = 4096;
/// The longest name of a file, in bytes; NAME_MAX of Linux.
const NAME_MAX: usize = 255;

/// `<timestamp>.files.json`: every file of every dataset that is safely stored.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct FileList {
    #[serde(deserialize_with = "Schema::read")]
    pub schema: Schema,
    pub timestamp: Timestamp,
    #[serde(deserialize_with = "list")]
    pub datasets: Vec<DatasetFiles>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct DatasetFiles {
    pub name: DatasetName,
    pub tree: Tree,
}

/// A backup that was read and checked.
#[derive(Debug)]
pub(crate) struct Backup {
    pub summary: Summary,
    pub datasets: Vec<StoredDataset>,
}

#[derive(Debug)]
pub(crate) struct StoredDataset {
    pub name: DatasetName,
    pub prefix: String,
    /// Each directory before its contents.
    pub tree: Tree,
}

impl Backup {
    /// Reads a backup with a complete or partial summary.
    ///
    /// # Errors
    /// Where one of the two objects cannot be read, or contradicts its name or the other one.
    pub(crate) fn read(
        rclone: &Rclone,
        label: Label,
        prefix: &Prefix,
        timestamp: Timestamp,
        mark: Mark,
    ) -> Result<Self> {
        let key = mark.key(prefix, timestamp);
        let read = |key: &str, size, limit| {
            let mut bounded = Bounded::new(limit);
            rclone.get_sized(label.clone(), key, size, &mut |bytes| bounded.push(bytes))?;
            bounded.finish().with_context(|| format!("reading {key}"))
        };
        let text = read(&key, LARGEST, LARGEST)?;
        let summary: Summary = parse(&text).with_context(|| format!("reading {key}"))?;
        let is_complete = mark == Mark::Complete;
        ensure!(
            summary.complete == is_complete,
            "{key} contradicts its own name: it is no manifest of opencode-backup"
        );
        let files = Mark::FileList.key(prefix, timestamp);
        let size = summary.file_list.size.min(LARGEST_FILE_LIST);
        let text = read(&files, size, LARGEST_FILE_LIST)?;
        ensure!(
            record(&text) == summary.file_list,
            "{files} is not the file list that {key} names: its size or MD5 differs"
        );
        Self::join(summary, &text, prefix, timestamp)
            .with_context(|| format!("reading {key} and its file list"))
    }

    /// Joins a summary with its file list and checks both.
    fn join(
        summary: Summary,
        file_list: &[u8],
        prefix: &Prefix,
        timestamp: Timestamp,
    ) -> Result<Self> {
        ensure!(
            summary.head.timestamp == timestamp,
            "the manifest under the name of {timestamp} is that of {}",
            summary.head.timestamp
        );
        ensure!(
            !summary.datasets.is_empty(),
            "it holds no dataset: it is no backup"
        );
        let list: FileList = parse(file_list)?;
        let mut trees: HashMap<DatasetName, Tree> = HashMap::new();
        for DatasetFiles { name, tree } in list.datasets {
            ensure!(
                trees.insert(name.clone(), tree).is_none(),
                "the file list has the dataset {name} twice"
            );
        }
        let datasets = summary.datasets.iter().map(|dataset| {
            let name = &dataset.name;
            let expected = dataset_prefix(prefix, name, timestamp);
            ensure!(
                dataset.prefix == expected,
                "the manifest says that {name} is at {}, and it belongs at {expected}",
                shown(dataset.prefix.as_bytes())
            );
            let mut tree = trees
                .remove(name)
                .with_context(|| format!("the file list has no dataset {name}"))?;
            check_tree(&tree.nodes)
                .with_context(|| format!("the manifest's dataset {name} is refused"))?;
            // Sorted, a directory precedes its contents.
            tree.nodes.sort_by(|a, b| a.path.cmp(&b.path));
            Ok(StoredDataset {
                name: name.clone(),
                prefix: expected,
                tree,
            })
        });
        let datasets = datasets.collect::<Result<_>>()?;
        if let Some(name) = trees.keys().next() {
            bail!("the file list has the dataset {name}, and the manifest has not");
        }
        Ok(Self { summary, datasets })
    }
}

impl FileList {
    /// The object as it is stored.
    ///
    /// # Errors
    /// Where it would be larger than a reader accepts.
    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>> {
        let bytes = serde_json::to_vec(self).map_err(io::Error::from)?;
        ensure!(
            bytes.len() as u64 <= LARGEST_FILE_LIST,
            "the list of files has {} MiB, and {} are allowed: store less, or in several datasets of several hosts",
            bytes.len() >> 20,
            LARGEST_FILE_LIST >> 20
        );
        Ok(bytes)
    }
}

/// Size and MD5 of an object.
pub(crate) fn record(bytes: &[u8]) -> ObjectRecord {
    ObjectRecord {
        size: bytes.len() as u64,
        md5: hex(&Md5::digest(bytes)),
    }
}

/// Every path once, below the dataset, and in a directory that is there too.
fn check_tree(nodes: &[Node]) -> Result<()> {
    let mut kinds: HashMap<&[u8], &NodeKind> = HashMap::with_capacity(nodes.len());
    for node in nodes {
        check_path(&node.path)?;
        ensure!(
            kinds.insert(&node.path, &node.kind).is_none(),
            "{:?} is there twice",
            shown(&node.path)
        );
    }
    ensure!(
        matches!(kinds.get(&b""[..]), Some(NodeKind::Directory)),
        "its own directory is missing"
    );
    for node in nodes.iter().filter(|node| !node.path.is_empty()) {
        let parent = node.path.len().saturating_sub(node.basename().len() + 1);
        ensure!(
            matches!(kinds.get(&node.path[..parent]), Some(NodeKind::Directory)),
            "{:?} is not in a directory",
            shown(&node.path)
        );
    }
    Ok(())
}

fn check_path(path: &[u8]) -> Result<()> {
    let shown = || shown(path);
    ensure!(path.len() < PATH_MAX, "a path has {} bytes", path.len());
    ensure!(!path.contains(&0), "{:?} holds a zero byte", shown());
    if path.is_empty() {
        return Ok(());
    }
    for component in path.split(|byte| *byte == b'/') {
        ensure!(
            !matches!(component, b"" | b"." | b".."),
            "{:?} leads out of its directory",
            shown()
        );
        ensure!(
            component.len() <= NAME_MAX,
            "{:?} has a name of {} bytes",
            shown(),
            component.len()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests;
