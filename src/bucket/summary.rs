//! The summary of a backup, and the mark of a run that has begun: the small objects below `manifests/`.
//!
//! `list`, `status`, retention and the choice of a backup read nothing else. Anybody who can write to the bucket can
//! write a summary, so strings and lists are bounded. Unknown fields are accepted: a newer minor version may add some.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use anyhow::{Context as _, Result, ensure};
use serde::de::{DeserializeOwned, Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::bucket::names::{Mark, Nonce};
use crate::config::DatasetName;
use crate::snapshots::Snapshot;
use crate::timestamp::{Timestamp, rfc3339};

/// The largest summary or mark, in bytes.
pub(crate) const LARGEST: u64 = 1 << 20;
/// The largest file list, in bytes: about 300,000 files.
pub(crate) const LARGEST_FILE_LIST: u64 = 64 << 20;
/// The longest string in a summary, in bytes; a longer error of a failed dataset is cut when it is written.
const LONGEST: usize = 4096;
/// The most items of a list in a summary.
const MOST: usize = 1000;

/// The format of an object; `minor` counts compatible additions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Schema {
    pub major: u32,
    pub minor: u32,
}

impl Schema {
    pub(crate) const CURRENT: Self = Self { major: 1, minor: 0 };

    /// Reads the version; another major version is refused.
    pub(crate) fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let schema = Self::deserialize(deserializer)?;
        let readable = Self::CURRENT.major;
        if schema.major == readable {
            Ok(schema)
        } else {
            Err(D::Error::custom(format_args!(
                "it has format {}, and this version reads format {readable}: use a newer opencode-backup",
                schema.major
            )))
        }
    }
}

/// What a summary and a mark begin with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Head {
    #[serde(deserialize_with = "Schema::read")]
    pub schema: Schema,
    #[serde(deserialize_with = "text")]
    pub tool: String,
    #[serde(deserialize_with = "text")]
    pub host: String,
    pub timestamp: Timestamp,
    #[serde(with = "rfc3339")]
    pub started: Timestamp,
}

impl Head {
    /// The head of what this program writes now.
    pub(crate) fn new(host: &str, timestamp: Timestamp) -> Self {
        Self {
            schema: Schema::CURRENT,
            tool: concat!("opencode-backup ", env!("CARGO_PKG_VERSION")).to_owned(),
            host: host.to_owned(),
            timestamp,
            started: timestamp,
        }
    }
}

/// `<timestamp>.started.json`: the objects that a run is about to write.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Started {
    #[serde(flatten)]
    pub head: Head,
    #[serde(deserialize_with = "texts")]
    pub prefixes: Vec<String>,
    /// The export's object; only a deletion knows it beforehand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub export: Option<String>,
    /// The same as in the mark's name.
    #[serde(
        default,
        skip_serializing_if = "String::is_empty",
        deserialize_with = "text"
    )]
    pub nonce: String,
}

/// `<timestamp>.json` or `<timestamp>.partial.json`: what a backup consists of.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Summary {
    #[serde(flatten)]
    pub head: Head,
    #[serde(with = "rfc3339")]
    pub finished: Timestamp,
    /// Whether every dataset is safely stored.
    pub complete: bool,
    pub snapshot: SnapshotRecord,
    pub export: ExportRecord,
    /// The datasets that are not safely stored.
    #[serde(default, deserialize_with = "list")]
    pub failed: Vec<FailedDataset>,
    #[serde(deserialize_with = "list")]
    pub datasets: Vec<DatasetSummary>,
    /// The object with the files of all datasets.
    pub file_list: ObjectRecord,
}

impl Summary {
    /// Its name below `manifests/`.
    pub(crate) fn name(&self) -> String {
        let mark = if self.complete {
            Mark::Complete
        } else {
            Mark::Partial
        };
        mark.name(self.head.timestamp)
    }
}

impl Started {
    /// Its name below `manifests/`.
    pub(crate) fn name(&self) -> String {
        self.mark().name(self.head.timestamp)
    }

    pub(crate) fn mark(&self) -> Mark {
        Mark::Started(Nonce::parse(&self.nonce))
    }
}

/// The snapshot that a backup was made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SnapshotRecord {
    #[serde(deserialize_with = "text")]
    pub path: String,
    #[serde(deserialize_with = "text")]
    pub uuid: String,
    /// The subvolume's.
    #[serde(deserialize_with = "text")]
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

/// What is known of one object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ObjectRecord {
    /// Bytes.
    pub size: u64,
    /// Hexadecimal.
    #[serde(deserialize_with = "text")]
    pub md5: String,
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

/// The export and its object in the bucket's root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ExportRecord {
    pub outcome: ExportState,
    pub object: Option<String>,
    /// Bytes.
    pub size: Option<u64>,
    /// Hexadecimal.
    #[serde(default)]
    pub md5: Option<String>,
    pub error: Option<String>,
}

impl ExportRecord {
    pub(crate) fn disabled() -> Self {
        Self {
            outcome: ExportState::Disabled,
            object: None,
            size: None,
            md5: None,
            error: None,
        }
    }

    pub(crate) fn failed(error: String) -> Self {
        Self {
            outcome: ExportState::Failed,
            error: Some(bounded(error)),
            ..Self::disabled()
        }
    }

    pub(crate) fn stored(object: String, size: u64) -> Self {
        Self {
            outcome: ExportState::Stored,
            object: Some(object),
            size: Some(size),
            ..Self::disabled()
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FailedDataset {
    pub name: DatasetName,
    #[serde(deserialize_with = "text")]
    pub error: String,
}

impl FailedDataset {
    pub(crate) fn new(name: &DatasetName, error: impl fmt::Display) -> Self {
        Self {
            name: name.clone(),
            error: bounded(error.to_string()),
        }
    }
}

/// A dataset that is safely stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct DatasetSummary {
    pub name: DatasetName,
    #[serde(deserialize_with = "text")]
    pub prefix: String,
    pub files: u64,
    /// The sizes of the files.
    pub bytes: u64,
    /// Not written yet: the bytes that a server would load.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_bytes: Option<u64>,
    /// Not written yet: the complete backup with the largest image since the last acknowledged shrink.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak: Option<Peak>,
    /// When the server last saved.
    #[serde(default, with = "rfc3339::optional")]
    pub data_time: Option<Timestamp>,
    #[serde(default, deserialize_with = "texts")]
    pub warnings: Vec<String>,
    /// Not written yet: what the server reported before the snapshot, by field of its INFO.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub server: BTreeMap<String, u64>,
}

/// A backup to which a dataset's size is compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Peak {
    pub timestamp: Timestamp,
    pub image_bytes: u64,
}

/// Cuts a text to the length that a reader accepts.
pub(crate) fn bounded(mut text: String) -> String {
    let mut ends = (0..=LONGEST.min(text.len())).rev();
    let end = ends.find(|end| text.is_char_boundary(*end));
    text.truncate(end.unwrap_or_default());
    text
}

pub(crate) fn parse<T: DeserializeOwned>(text: &[u8]) -> Result<T> {
    // The version first: another major version may differ in everything else.
    #[derive(Deserialize)]
    struct Version {
        #[serde(rename = "schema", deserialize_with = "Schema::read")]
        _schema: Schema,
    }
    let version = serde_json::from_slice::<Version>(text);
    let object = version.and_then(|_| serde_json::from_slice(text));
    object.context("this is no manifest that can be read")
}

pub(crate) fn parse_all<T: DeserializeOwned>(text: &[u8]) -> Result<Vec<T>> {
    let all = serde_json::Deserializer::from_slice(text).into_iter();
    all.map(|one| one.context("reading a manifest")).collect()
}

/// Collects what a tool prints, up to a bound.
pub(crate) struct Bounded {
    pub bytes: Vec<u8>,
    limit: u64,
    exceeded: bool,
}

impl Bounded {
    pub(crate) fn new(limit: u64) -> Self {
        Self {
            bytes: Vec::new(),
            limit,
            exceeded: false,
        }
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.exceeded |= (self.bytes.len() + bytes.len()) as u64 > self.limit;
        if !self.exceeded {
            self.bytes.extend_from_slice(bytes);
        }
    }

    /// The whole object; fails where it is larger than the bound.
    pub(crate) fn finish(self) -> Result<Vec<u8>> {
        ensure!(
            !self.exceeded,
            "it is larger than {} KiB, and refused",
            self.limit >> 10
        );
        Ok(self.bytes)
    }
}

fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.len() <= LONGEST {
        Ok(text)
    } else {
        Err(D::Error::custom(format_args!(
            "a text of {} bytes, and {LONGEST} are allowed",
            text.len()
        )))
    }
}

/// A text of a bounded length.
#[derive(Deserialize)]
struct Text(#[serde(deserialize_with = "text")] String);

fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let texts: Vec<Text> = list(deserializer)?;
    Ok(texts.into_iter().map(|text| text.0).collect())
}

/// A list of a bounded length.
pub(super) fn list<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    struct Items<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for Items<T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "a list of at most {MOST} items")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            let mut items = Vec::new();
            while let Some(item) = seq.next_element()? {
                if items.len() == MOST {
                    return Err(A::Error::custom(format_args!(
                        "a list of more than {MOST} items"
                    )));
                }
                items.push(item);
            }
            Ok(items)
        }
    }

    deserializer.deserialize_seq(Items(PhantomData))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn summary() -> serde_json::Value {
        json!({
            "schema": {"major": 1, "minor": 7}, "tool": "t", "host": "h", "timestamp": "2025-01-01T12-00-00Z",
            "started": "2025-01-01T12:00:00Z", "finished": "2025-01-01T12:00:01Z", "complete": true,
            "snapshot": {"path": "/x", "uuid": "u", "parent_uuid": "p"},
            "export": {"outcome": "disabled", "object": null, "size": null, "error": null},
            "datasets": [{"name": "valkey", "prefix": "p", "files": 1, "bytes": 2, "novelty": [1]}],
            "file_list": {"size": 3, "md5": "0"}, "novelty": {"of": null},
        })
    }

    fn read(value: &serde_json::Value) -> Result<Summary> {
        parse(value.to_string().as_bytes())
    }

    #[test]
    fn unknown_fields_and_later_minor_versions_are_accepted() {
        let read = read(&summary()).expect("a summary");
        assert_eq!(read.datasets[0].bytes, 2);
        let written = serde_json::to_vec(&read).expect("it can be written");
        let again: Summary = parse(&written).expect("and read back");
        assert_eq!(again.head, read.head);
    }

    #[test]
    fn another_major_version_long_texts_and_long_lists_are_refused() {
        let long = "x".repeat(LONGEST + 1);
        for (pointer, value, expected) in [
            ("/schema/major", json!(2), "use a newer opencode-backup"),
            ("/host", json!(long), "bytes, and 4096 are allowed"),
            (
                "/datasets",
                json!(vec![summary()["datasets"][0].clone(); MOST + 1]),
                "more than 1000",
            ),
            ("/datasets/0/name", json!("../x"), "dataset"),
            ("/started", json!("soon"), "soon"),
        ] {
            let mut changed = summary();
            *changed.pointer_mut(pointer).expect("a value") = value;
            let error = format!("{:#}", read(&changed).expect_err(pointer));
            assert!(error.contains(expected), "{pointer}: {error:.300}");
        }
    }

    #[test]
    fn an_error_of_any_length_is_written_so_that_it_can_be_read() {
        let long = "é".repeat(LONGEST);
        let mut written = read(&summary()).expect("a summary");
        let name = "falkordb".parse().expect("a name");
        written.failed.push(FailedDataset::new(&name, &long));
        written.export = ExportRecord::failed(long.clone());
        written.datasets[0].warnings.push(bounded(long));
        let text = serde_json::to_vec(&written).expect("it can be written");
        let read: Summary = parse(&text).expect("and read back");
        assert_eq!(read.failed[0].error.len(), LONGEST);
    }

    #[test]
    fn an_object_that_is_longer_than_allowed_is_refused_and_not_kept() {
        let mut bounded = Bounded::new(4);
        for _ in 0..3 {
            bounded.push(b"ab");
        }
        assert_eq!(bounded.bytes.len(), 4);
        bounded.finish().expect_err("6 bytes, and 4 are allowed");
    }
}
