//! A tree as a manifest's entries, written one at a time.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::ser::SerializeSeq as _;
use serde::{Serialize, Serializer};

use super::hex;
use crate::dataset::{Node, NodeKind, Tree};

/// The entries, one at a time.
///
/// # Errors
/// Where the writer fails.
pub(super) fn entries<S: Serializer>(tree: &&Tree, serializer: S) -> Result<S::Ok, S::Error> {
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

#[cfg(test)]
mod tests {
    use super::*;

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
