//! An entry of a file list: how a file, link or directory is written and read.

use std::fmt;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Node, NodeKind};
use crate::timestamp::Timestamp;
use crate::tools::rclone::{hex, parse_md5};
use crate::ui::shown;

/// The longest target of a link, in bytes; PATH_MAX of Linux.
const TARGET_MAX: usize = 4096;

/// The JSON form of a [`Node`].
#[derive(Serialize, Deserialize)]
pub(super) struct Entry {
    path: Text,
    #[serde(rename = "type")]
    kind: Kind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    md5: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    target: Option<Text>,
    /// Octal.
    mode: String,
    uid: u32,
    gid: u32,
    /// Seconds since 1970.
    mtime: i64,
    #[serde(default)]
    mtime_ns: u32,
    #[serde(default)]
    ctime: i64,
    #[serde(default)]
    ctime_ns: u32,
    #[serde(default)]
    inode: u64,
    /// The run that last sent the bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sent: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    facts: Option<Facts>,
}

/// What the inspection of a Redis-family file found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Facts {
    /// The version of the inspector: another one reads the file again.
    pub inspector: u32,
    /// The offset behind the last byte that a server would load.
    pub end: u64,
    /// The offset of the first damage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub damage: Option<u64>,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    File,
    Symlink,
    Directory,
}

/// Bytes: as text where they are UTF-8, else in base64.
#[derive(Serialize)]
#[serde(untagged)]
enum Text {
    Plain(String),
    Bytes { base64: String },
}

/// By hand: the derived one would first keep the whole value in memory, whatever it is.
impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextVisitor)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string, or an object with the key base64")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Text, E> {
        Ok(Text::Plain(text.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Text, A::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Bytes {
            base64: String,
        }
        let Bytes { base64 } = Bytes::deserialize(MapAccessDeserializer::new(map))?;
        Ok(Text::Bytes { base64 })
    }
}

impl From<&[u8]> for Text {
    fn from(bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::Plain(text.to_owned()),
            Err(_) => Self::Bytes {
                base64: STANDARD.encode(bytes),
            },
        }
    }
}

impl Text {
    fn bytes(self) -> Result<Vec<u8>> {
        match self {
            Self::Plain(text) => Ok(text.into_bytes()),
            Self::Bytes { base64 } => STANDARD
                .decode(&base64)
                .map_err(|error| anyhow!("{base64:.100?} is no base64: {error}")),
        }
    }
}

impl From<&Node> for Entry {
    fn from(node: &Node) -> Self {
        let (kind, size, md5, target) = match &node.kind {
            NodeKind::File { size, md5 } => {
                (Kind::File, Some(*size), md5.map(|md5| hex(&md5)), None)
            }
            NodeKind::Symlink(target) => (Kind::Symlink, None, None, Some(Text::from(&**target))),
            NodeKind::Directory => (Kind::Directory, None, None, None),
        };
        Self {
            path: Text::from(&*node.path),
            kind,
            size,
            md5,
            target,
            mode: format!("{:04o}", node.mode),
            uid: node.uid,
            gid: node.gid,
            mtime: node.mtime.0,
            mtime_ns: node.mtime.1,
            ctime: node.ctime.0,
            ctime_ns: node.ctime.1,
            inode: node.inode,
            sent: node.sent,
            facts: node.facts.as_deref().cloned(),
        }
    }
}

impl TryFrom<Entry> for Node {
    type Error = anyhow::Error;

    fn try_from(entry: Entry) -> Result<Self> {
        let path = entry.path.bytes()?;
        let what = || format!("the entry {:.300}", shown(&path));
        let mode = u32::from_str_radix(&entry.mode, 8)
            .ok()
            .filter(|mode| *mode <= 0o7777 && !entry.mode.starts_with('+'))
            .with_context(|| format!("{} has the mode {:.20?}", what(), entry.mode))?;
        ensure!(
            entry.mtime_ns < 1_000_000_000,
            "{} has {} nanoseconds",
            what(),
            entry.mtime_ns
        );
        let kind = match (entry.kind, entry.size, entry.md5, entry.target) {
            (Kind::File, Some(size), Some(md5), None) => NodeKind::File {
                size,
                md5: Some(parse_md5(&md5).with_context(what)?),
            },
            (Kind::Symlink, None, None, Some(target)) => {
                let target = target.bytes().with_context(what)?;
                ensure!(
                    !target.is_empty() && target.len() < TARGET_MAX && !target.contains(&0),
                    "{} has no target that a link can have",
                    what()
                );
                NodeKind::Symlink(target.into())
            }
            (Kind::Directory, None, None, None) => NodeKind::Directory,
            _ => bail!("{} has fields that do not fit its type", what()),
        };
        Ok(Self {
            path: path.into(),
            mode,
            uid: entry.uid,
            gid: entry.gid,
            mtime: (entry.mtime, entry.mtime_ns),
            ctime: (entry.ctime, entry.ctime_ns),
            inode: entry.inode,
            sent: entry.sent,
            facts: entry.facts.map(Box::new),
            kind,
        })
    }
}

impl Serialize for Node {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Entry::from(self).serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_a_string_or_base64_and_nothing_else() {
        let read = |text: &str| serde_json::from_str::<Text>(text).map(Text::bytes);
        assert_eq!(read("\"a\"").expect("a text").expect("bytes"), b"a");
        let base64 = read("{\"base64\": \"/w==\"}").expect("a text");
        assert_eq!(base64.expect("bytes"), [0xff]);
        for wrong in [
            "[0, 0]",
            "{}",
            "{\"base64\": \"/w==\", \"x\": [0]}",
            "{\"base64\": [0]}",
            "1",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
