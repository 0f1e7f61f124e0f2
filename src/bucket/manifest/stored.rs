//! A manifest that was read back, to restore or to verify from: nothing in it is believed.
//!
//! Whoever can write to the bucket can write a manifest, so every path is checked before anything uses it: it
//! stays below its dataset, it is there once, and what stands above it is a directory that the manifest also
//! holds, never a link.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::{ExportRecord, FailedDataset, Head, Schema, SnapshotRecord, readable, stream};
use crate::bucket::names::dataset_prefix;
use crate::config::{DatasetName, Prefix};
use crate::dataset::{Node, NodeKind, Tree};
use crate::timestamp::Timestamp;
use crate::tools::rclone::parse_md5;
use crate::ui::shown;

/// A manifest has some 250 bytes a file; nobody's memory has two million of them.
pub(crate) const LARGEST: u64 = 512 << 20;
const PATH_MAX: usize = 4096;
const NAME_MAX: usize = 255;

#[derive(Debug)]
pub(crate) struct Stored {
    pub head: Head,
    /// When it was written.
    pub finished: String,
    /// Whether every dataset is in it.
    pub complete: bool,
    /// The snapshot that was stored.
    pub snapshot: SnapshotRecord,
    /// What came of the export.
    pub export: ExportRecord,
    /// The datasets that are not in it, and why.
    pub failed: Vec<FailedDataset>,
    pub datasets: Vec<StoredTree>,
}

/// A dataset in a manifest.
#[derive(Debug)]
pub(crate) struct StoredTree {
    pub name: DatasetName,
    /// Where its objects are.
    pub prefix: String,
    /// When the server last saved, RFC 3339.
    pub data_time: Option<String>,
    pub tree: Tree,
}

#[derive(Deserialize)]
struct Raw {
    #[serde(deserialize_with = "readable")]
    schema: Schema,
    tool: String,
    host: String,
    timestamp: Timestamp,
    started: String,
    finished: String,
    complete: bool,
    snapshot: SnapshotRecord,
    export: ExportRecord,
    #[serde(default)]
    failed: Vec<FailedDataset>,
    datasets: Vec<RawDataset>,
}

#[derive(Deserialize)]
struct RawDataset {
    name: DatasetName,
    prefix: String,
    data_time: Option<String>,
    #[serde(default)]
    users: BTreeMap<u32, String>,
    #[serde(default)]
    groups: BTreeMap<u32, String>,
    #[serde(deserialize_with = "nodes")]
    entries: Vec<Node>,
}

#[derive(Deserialize)]
struct RawEntry {
    path: Text,
    #[serde(rename = "type")]
    kind: String,
    size: Option<u64>,
    md5: Option<String>,
    target: Option<Text>,
    mode: String,
    uid: u32,
    gid: u32,
    mtime: i64,
    #[serde(default)]
    mtime_ns: u32,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Text {
    Plain(String),
    Bytes { base64: String },
}

impl Stored {
    /// Reads the manifest of a run from what `source` gives to the function that it is called with.
    ///
    /// # Errors
    /// What `source` says, or what is wrong with the manifest.
    pub(crate) fn read(
        prefix: &Prefix,
        timestamp: Timestamp,
        source: impl FnOnce(&mut dyn FnMut(&[u8])) -> Result<()>,
    ) -> Result<Self> {
        let raw: Raw = stream::parse(LARGEST, source, |reader| {
            let mut reader = serde_json::Deserializer::from_reader(reader);
            let raw = Raw::deserialize(&mut reader)?;
            reader.end()?;
            Ok(raw)
        })
        .context("this is no manifest that can be read")?;
        ensure!(
            raw.timestamp == timestamp,
            "the manifest under the name of {timestamp} is that of {}",
            raw.timestamp
        );
        let mut datasets = Vec::new();
        for mut dataset in raw.datasets {
            let name = dataset.name;
            ensure!(
                datasets.iter().all(|other: &StoredTree| other.name != name),
                "the manifest has the dataset {name} twice"
            );
            let expected = dataset_prefix(prefix, &name, timestamp);
            ensure!(
                dataset.prefix == expected,
                "the manifest says that {name} is at {}, and it belongs at {expected}",
                shown(dataset.prefix.as_bytes())
            );
            check_tree(&dataset.entries)
                .with_context(|| format!("the manifest's dataset {name} is refused"))?;
            // Whoever makes them in this order makes a directory before what is in it.
            dataset.entries.sort_by(|a, b| a.path.cmp(&b.path));
            let tree = Tree {
                nodes: dataset.entries,
                left_out: Vec::new(),
                users: dataset.users,
                groups: dataset.groups,
            };
            datasets.push(StoredTree {
                name,
                prefix: dataset.prefix,
                data_time: dataset.data_time,
                tree,
            });
        }
        Ok(Self {
            head: Head {
                schema: raw.schema,
                tool: raw.tool,
                host: raw.host,
                timestamp,
                started: raw.started,
            },
            finished: raw.finished,
            complete: raw.complete,
            snapshot: raw.snapshot,
            export: raw.export,
            failed: raw.failed,
            datasets,
        })
    }
}

fn nodes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Node>, D::Error> {
    struct Nodes;

    impl<'de> Visitor<'de> for Nodes {
        type Value = Vec<Node>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of entries")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            let mut nodes = Vec::new();
            while let Some(entry) = seq.next_element::<RawEntry>()? {
                nodes.push(entry.node().map_err(serde::de::Error::custom)?);
            }
            Ok(nodes)
        }
    }

    deserializer.deserialize_seq(Nodes)
}

impl Text {
    fn bytes(self) -> Result<Vec<u8>> {
        match self {
            Self::Plain(text) => Ok(text.into_bytes()),
            Self::Bytes { base64 } => STANDARD
                .decode(&base64)
                .map_err(|error| anyhow!("{base64:?} is no base64: {error}")),
        }
    }
}

impl RawEntry {
    fn node(self) -> Result<Node> {
        let path = self.path.bytes()?;
        let what = || format!("the entry {}", shown(&path));
        let mode = u32::from_str_radix(&self.mode, 8)
            .ok()
            .filter(|mode| *mode <= 0o7777 && !self.mode.starts_with('+'))
            .with_context(|| format!("{} has the mode {:?}", what(), self.mode))?;
        ensure!(
            self.mtime_ns < 1_000_000_000,
            "{} has {} nanoseconds",
            what(),
            self.mtime_ns
        );
        let kind = match (self.kind.as_str(), self.size, self.md5, self.target) {
            ("file", Some(size), Some(md5), None) => NodeKind::File {
                size,
                md5: Some(parse_md5(&md5).with_context(what)?),
            },
            ("symlink", None, None, Some(target)) => {
                let target = target.bytes().with_context(what)?;
                ensure!(
                    !target.is_empty() && target.len() < PATH_MAX && !target.contains(&0),
                    "{} has no target that a link can have",
                    what()
                );
                NodeKind::Symlink(target.into())
            }
            ("directory", None, None, None) => NodeKind::Directory,
            (kind, ..) => bail!("{} of type {kind:?} has not what such an entry has", what()),
        };
        Ok(Node {
            path: path.into(),
            mode,
            uid: self.uid,
            gid: self.gid,
            mtime: (self.mtime, self.mtime_ns),
            kind,
        })
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
