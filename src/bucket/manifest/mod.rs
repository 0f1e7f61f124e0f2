//! The manifest: what a backup is. Without one, nobody's tool calls a prefix a backup.
//!
//! It is written and read as a stream, since a dataset may have hundreds of thousands of files; the totals
//! stand before the entries, so that a listing reads no further into memory than it needs.

mod entries;
mod stored;
mod stream;
mod summary;

use std::io::{self, Write};

use anyhow::Result;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use crate::dataset::{LeftOut, Tree};
use crate::snapshots::Snapshot;
use crate::timestamp::Timestamp;
pub(crate) use stored::{LARGEST, Stored};
pub(crate) use stream::Source;
pub(crate) use summary::{DatasetSummary, Summary};

/// Readers refuse another major version and accept unknown fields.
pub(crate) const MAJOR: u32 = 1;
/// Counts additions that old readers may ignore.
pub(crate) const MINOR: u32 = 0;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Schema {
    /// Another one is refused.
    pub major: u32,
    /// Another one is accepted.
    pub minor: u32,
}

impl Schema {
    pub(crate) const CURRENT: Self = Self {
        major: MAJOR,
        minor: MINOR,
    };
}

/// The version of what is being read. It stands first: another format may have nothing else in common with ours.
///
/// # Errors
/// Where the major version is another one.
fn readable<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Schema, D::Error> {
    let schema = Schema::deserialize(deserializer)?;
    if schema.major != MAJOR {
        return Err(D::Error::custom(format_args!(
            "it has format {}, and this version reads format {MAJOR}: use a newer opencode-backup",
            schema.major
        )));
    }
    Ok(schema)
}

/// What every object below `manifests/` begins with. Whoever reads it names its fields again: `flatten` would keep
/// every field that it does not know in memory, and anybody may have written them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Head {
    pub schema: Schema,
    pub tool: String,
    /// Selector host wrote it.
    pub host: String,
    pub timestamp: Timestamp,
    /// When it began, RFC 3339.
    pub started: String,
}

impl Head {
    /// The head of a manifest or mark that this program writes now.
    pub(crate) fn new(host: &str, timestamp: Timestamp) -> Self {
        Self {
            schema: Schema::CURRENT,
            tool: concat!("opencode-backup ", env!("CARGO_PKG_VERSION")).to_owned(),
            host: host.to_owned(),
            timestamp,
            started: timestamp.rfc3339(),
        }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(from = "RawStarted")]
pub(crate) struct Started {
    #[serde(flatten)]
    pub head: Head,
    /// The prefixes that the run is going to fill.
    pub prefixes: Vec<String>,
    /// The export's object, where a backup is being deleted that had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub export: Option<String>,
    /// The one in its name; empty where a backup is being deleted.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub nonce: String,
}

#[derive(Deserialize)]
struct RawStarted {
    #[serde(deserialize_with = "readable")]
    schema: Schema,
    tool: String,
    host: String,
    timestamp: Timestamp,
    started: String,
    prefixes: Vec<String>,
    export: Option<String>,
    #[serde(default)]
    nonce: String,
}

impl From<RawStarted> for Started {
    fn from(raw: RawStarted) -> Self {
        Self {
            head: Head {
                schema: raw.schema,
                tool: raw.tool,
                host: raw.host,
                timestamp: raw.timestamp,
                started: raw.started,
            },
            prefixes: raw.prefixes,
            export: raw.export,
            nonce: raw.nonce,
        }
    }
}

/// The snapshot that was stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SnapshotRecord {
    /// Where it is on the host.
    pub path: String,
    pub uuid: String,
    pub parent_uuid: String,
}

impl From<&Snapshot> for SnapshotRecord {
    fn from(snapshot: &Snapshot) -> Self {
        Self {
            path: snapshot.path.display().to_string(),
            uuid: snapshot.uuid.to_string(),
            parent_uuid: snapshot.subvolume.uuid.to_string(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ExportState {
    /// The object is in the bucket.
    Stored,
    Failed,
    /// `export.enable = false`.
    Disabled,
}

/// What came of the export.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ExportRecord {
    pub outcome: ExportState,
    /// The object in the bucket's root, where one is there.
    pub object: Option<String>,
    /// Its size in bytes.
    pub size: Option<u64>,
    pub error: Option<String>,
}

impl ExportRecord {
    pub(crate) fn disabled() -> Self {
        Self {
            outcome: ExportState::Disabled,
            object: None,
            size: None,
            error: None,
        }
    }

    /// It failed, for this reason.
    pub(crate) fn failed(error: String) -> Self {
        Self {
            outcome: ExportState::Failed,
            object: None,
            size: None,
            error: Some(error),
        }
    }

    /// This object is there.
    pub(crate) fn stored(object: String, size: u64) -> Self {
        Self {
            outcome: ExportState::Stored,
            object: Some(object),
            size: Some(size),
            error: None,
        }
    }
}

/// `<timestamp>.json` and `<timestamp>.partial.json`, to be written.
#[derive(Serialize)]
pub(crate) struct Manifest<'a> {
    #[serde(flatten)]
    pub head: Head,
    /// When it was written, RFC 3339.
    pub finished: String,
    /// Whether every dataset is in it.
    pub complete: bool,
    pub snapshot: SnapshotRecord,
    pub export: ExportRecord,
    /// The datasets that are not safely stored, and why; empty in a complete manifest.
    pub failed: Vec<FailedDataset>,
    pub datasets: Vec<StoredDataset<'a>>,
}

/// A dataset that is not safely stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FailedDataset {
    pub name: String,
    pub error: String,
}

/// A dataset that is safely stored.
#[derive(Serialize)]
pub(crate) struct StoredDataset<'a> {
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
    #[serde(serialize_with = "entries::entries")]
    pub entries: &'a Tree,
}

impl Manifest<'_> {
    /// Writes it.
    ///
    /// # Errors
    /// Where the writer fails.
    pub(crate) fn write(&self, writer: &mut dyn Write) -> io::Result<()> {
        serde_json::to_writer(&mut *writer, self)?;
        writer.write_all(b"\n")
    }
}

/// Bytes in lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(2 * bytes.len()), |mut out, byte| {
            out.push_str(&format!("{byte:02x}"));
            out
        })
}
