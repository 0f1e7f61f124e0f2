//! The manifest: what a backup is. Without one, nobody's tool calls a prefix a backup.
//!
//! It is written and read as a stream, since a dataset may have hundreds of thousands of files; the totals
//! stand before the entries, so that a listing reads no further into memory than it needs.

use std::io::{self, Write};

use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::ser::SerializeSeq as _;
use serde::{Deserialize, Serialize, Serializer};

use crate::config::{DatasetName, Prefix};
use crate::timestamp::Timestamp;
use crate::tree::{LeftOut, Node, NodeKind, Tree};

/// Readers refuse another major version and accept unknown fields.
pub const MAJOR: u32 = 1;
/// Counts additions that old readers may ignore.
pub const MINOR: u32 = 0;

/// What a name below `manifests/` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mark {
    /// `<timestamp>.started.json`: a run began; gone when all is well.
    Started,
    /// `<timestamp>.partial.json`: some datasets are safely stored.
    Partial,
    /// `<timestamp>.json`: the backup.
    Complete,
}

impl Mark {
    const ALL: [(Self, &'static str); 3] = [
        (Self::Started, ".started.json"),
        (Self::Partial, ".partial.json"),
        (Self::Complete, ".json"),
    ];

    /// The name below `manifests/`.
    pub fn name(self, timestamp: Timestamp) -> String {
        let end = Self::ALL
            .iter()
            .find(|(mark, _)| *mark == self)
            .map_or("", |(_, end)| end);
        format!("{timestamp}{end}")
    }

    /// Reads a name below `manifests/`; `None` where it is nobody's we know.
    pub fn parse(name: &str) -> Option<(Timestamp, Self)> {
        Self::ALL
            .iter()
            .find_map(|(mark, end)| Some((name.strip_suffix(end)?.parse().ok()?, *mark)))
    }

    /// The object's key.
    pub fn key(self, prefix: &Prefix, timestamp: Timestamp) -> String {
        format!("{}{}", folder(prefix), self.name(timestamp))
    }
}

/// Where the manifests are, with a slash at the end.
pub fn folder(prefix: &Prefix) -> String {
    format!("{prefix}manifests/")
}

/// The prefix of a dataset's objects, without a slash at the end.
pub fn dataset_prefix(prefix: &Prefix, name: &DatasetName, timestamp: Timestamp) -> String {
    format!("{prefix}{name}-{timestamp}")
}

/// The version, `{"major":1,"minor":0}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schema {
    /// Another one is refused.
    pub major: u32,
    /// Another one is accepted.
    pub minor: u32,
}

impl Schema {
    /// Ours.
    pub const CURRENT: Self = Self {
        major: MAJOR,
        minor: MINOR,
    };
}

/// What every object below `manifests/` begins with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The format's version.
    pub schema: Schema,
    /// `opencode-backup <version>`.
    pub tool: String,
    /// Which host wrote it.
    pub host: String,
    /// Which run.
    pub timestamp: Timestamp,
    /// When it began, RFC 3339.
    pub started: String,
}

/// `<timestamp>.started.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Started {
    /// Who and when.
    #[serde(flatten)]
    pub head: Head,
    /// The prefixes that the run is going to fill.
    pub prefixes: Vec<String>,
}

/// The snapshot that was stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotRecord {
    /// Where it is on the host.
    pub path: String,
    /// Its identity.
    pub uuid: String,
    /// The subvolume's identity.
    pub parent_uuid: String,
}

/// What came of the export.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportRecord {
    /// `stored`, `failed` or `disabled`.
    pub outcome: String,
    /// The object in the bucket's root, where one is there.
    pub object: Option<String>,
    /// Its size in bytes.
    pub size: Option<u64>,
    /// Why it failed.
    pub error: Option<String>,
}

impl ExportRecord {
    /// The object is in the bucket.
    pub const STORED: &str = "stored";
    /// It is not, or the script says so.
    pub const FAILED: &str = "failed";
    /// There is no export.
    pub const DISABLED: &str = "disabled";

    /// `export.enable = false`.
    pub fn disabled() -> Self {
        Self {
            outcome: Self::DISABLED.to_owned(),
            object: None,
            size: None,
            error: None,
        }
    }

    /// It failed, for this reason.
    pub fn failed(error: String) -> Self {
        Self {
            outcome: Self::FAILED.to_owned(),
            object: None,
            size: None,
            error: Some(error),
        }
    }

    /// This object is there.
    pub fn stored(object: String, size: u64) -> Self {
        Self {
            outcome: Self::STORED.to_owned(),
            object: Some(object),
            size: Some(size),
            error: None,
        }
    }
}

/// `<timestamp>.json` and `<timestamp>.partial.json`, to be written.
#[derive(Serialize)]
pub struct Manifest<'a> {
    /// Who and when.
    #[serde(flatten)]
    pub head: Head,
    /// When it was written, RFC 3339.
    pub finished: String,
    /// Whether every dataset is in it.
    pub complete: bool,
    /// The snapshot.
    pub snapshot: SnapshotRecord,
    /// The export.
    pub export: ExportRecord,
    /// The datasets that are not safely stored, and why; empty in a complete manifest.
    pub failed: Vec<FailedDataset>,
    /// The others.
    pub datasets: Vec<StoredDataset<'a>>,
}

/// A dataset that is not safely stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedDataset {
    /// Its name.
    pub name: String,
    /// What went wrong.
    pub error: String,
}

/// A dataset that is safely stored.
#[derive(Serialize)]
pub struct StoredDataset<'a> {
    /// Its name.
    pub name: &'a str,
    /// Where its objects are.
    pub prefix: &'a str,
    /// Number of regular files.
    pub files: u64,
    /// Their sizes in all.
    pub bytes: u64,
    /// When the server last saved, RFC 3339.
    pub data_time: Option<String>,
    /// What is worth knowing of it.
    pub warnings: &'a [String],
    /// What is not stored, and why.
    pub left_out: &'a [LeftOut],
    /// Names of owners, by number.
    pub users: &'a std::collections::BTreeMap<u32, String>,
    /// Names of groups, by number.
    pub groups: &'a std::collections::BTreeMap<u32, String>,
    /// Everything else.
    #[serde(serialize_with = "entries")]
    pub entries: &'a Tree,
}

impl Manifest<'_> {
    /// Writes it.
    ///
    /// # Errors
    /// Where the writer fails.
    pub fn write(&self, writer: &mut dyn Write) -> io::Result<()> {
        serde_json::to_writer(&mut *writer, self)?;
        writer.write_all(b"\n")
    }
}

fn entries<S: Serializer>(tree: &&Tree, serializer: S) -> Result<S::Ok, S::Error> {
    let mut seq = serializer.serialize_seq(Some(tree.nodes.len()))?;
    for node in &tree.nodes {
        seq.serialize_element(&Entry::from(node))?;
    }
    seq.end()
}

/// One entry as it is written.
#[derive(Serialize)]
struct Entry<'a> {
    path: Text<'a>,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    md5: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<Text<'a>>,
    mode: String,
    uid: u32,
    gid: u32,
    mtime: i64,
    mtime_ns: u32,
}

/// A string, or base64 where it is not UTF-8.
#[derive(Serialize)]
#[serde(untagged)]
enum Text<'a> {
    Plain(&'a str),
    Bytes { base64: String },
}

impl<'a> From<&'a [u8]> for Text<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::Plain(text),
            Err(_) => Self::Bytes {
                base64: STANDARD.encode(bytes),
            },
        }
    }
}

impl<'a> From<&'a Node> for Entry<'a> {
    fn from(node: &'a Node) -> Self {
        let (kind, size, md5, target) = match &node.kind {
            NodeKind::File { size, md5 } => ("file", Some(*size), md5.map(|md5| hex(&md5)), None),
            NodeKind::Symlink(target) => ("symlink", None, None, Some(Text::from(&**target))),
            NodeKind::Directory => ("directory", None, None, None),
        };
        let (mtime, mtime_ns) = node.mtime;
        let mode = format!("{:04o}", node.mode);
        Self {
            path: Text::from(&*node.path),
            kind,
            size,
            md5,
            target,
            mode,
            uid: node.uid,
            gid: node.gid,
            mtime,
            mtime_ns,
        }
    }
}

/// Bytes in lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(2 * bytes.len()), |mut out, byte| {
            out.push_str(&format!("{byte:02x}"));
            out
        })
}

/// What a listing needs of a manifest; the entries are skipped while reading.
#[derive(Clone, Debug, Deserialize)]
pub struct Summary {
    /// Who and when.
    #[serde(flatten)]
    pub head: Head,
    /// When it was written.
    pub finished: String,
    /// Whether every dataset is in it.
    pub complete: bool,
    /// What came of the export.
    pub export: ExportRecord,
    /// The datasets in it.
    pub datasets: Vec<DatasetSummary>,
}

/// What a listing needs of a dataset.
#[derive(Clone, Debug, Deserialize)]
pub struct DatasetSummary {
    /// Its name.
    pub name: String,
    /// Where its objects are.
    pub prefix: String,
    /// Number of files.
    pub files: u64,
    /// Bytes in all.
    pub bytes: u64,
    /// When the server last saved.
    pub data_time: Option<String>,
}

impl Summary {
    /// Reads every manifest in a stream of them.
    ///
    /// # Errors
    /// Where one is no manifest, or of another major version.
    pub fn read_all(text: &[u8]) -> Result<Vec<Self>> {
        let mut all = Vec::new();
        for summary in serde_json::Deserializer::from_slice(text).into_iter::<Self>() {
            let summary = summary.context("reading a manifest")?;
            if summary.head.schema.major != MAJOR {
                bail!(
                    "the manifest of {} has format {}, and this version reads format {MAJOR}: use a newer opencode-backup",
                    summary.head.timestamp,
                    summary.head.schema.major
                );
            }
            all.push(summary);
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_prints_and_reads_back_and_strangers_are_nobodys() {
        let timestamp: Timestamp = "2025-01-01T12-00-00Z".parse().expect("valid");
        for mark in [Mark::Started, Mark::Partial, Mark::Complete] {
            assert_eq!(Mark::parse(&mark.name(timestamp)), Some((timestamp, mark)));
        }
        for stranger in [
            "x.json",
            "2025-01-01T12-00-00Z.bak.json",
            "2025-02-30T00-00-00Z.json",
            ".json",
            "",
        ] {
            assert_eq!(Mark::parse(stranger), None, "{stranger}");
        }
    }

    #[test]
    fn a_name_that_is_not_utf8_is_kept_to_the_byte() {
        let node = Node {
            path: b"a\xff"[..].into(),
            mode: 0o600,
            uid: 1,
            gid: 2,
            mtime: (3, 4),
            kind: NodeKind::File {
                size: 5,
                md5: Some([0xab; 16]),
            },
        };
        let text = serde_json::to_string(&Entry::from(&node)).expect("it serialises");
        assert_eq!(
            text,
            r#"{"path":{"base64":"Yf8="},"type":"file","size":5,"md5":"abababababababababababababababab","mode":"0600","uid":1,"gid":2,"mtime":3,"mtime_ns":4}"#
        );
    }
}
