//! A dataset's files, as the snapshot holds them: what is sent, what only the manifest can hold, and what
//! is left out.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::entry::{Entry, Facts};
use crate::timestamp::Timestamp;
use crate::tools::rclone::tuning::Files;

/// Everything below a dataset's directory, that directory first, as path "".
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Tree {
    /// In the order of the walk.
    #[serde(rename = "entries")]
    pub nodes: Vec<Node>,
    /// What is not stored, and why.
    #[serde(default)]
    pub left_out: Vec<LeftOut>,
    /// Names of the users that own something.
    #[serde(default)]
    pub users: BTreeMap<u32, String>,
    /// Names of the groups that own something.
    #[serde(default)]
    pub groups: BTreeMap<u32, String>,
}

/// One file, directory or link.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Entry")]
pub(crate) struct Node {
    pub path: Box<[u8]>,
    /// Permissions, with set-user-id and the like: 12 bits.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    /// Seconds since 1970, and nanoseconds.
    pub mtime: (i64, u32),
    /// When the inode last changed, in the same units.
    pub ctime: (i64, u32),
    pub inode: u64,
    /// The run that last sent the bytes.
    pub sent: Option<Timestamp>,
    pub facts: Option<Box<Facts>>,
    pub kind: NodeKind,
}

/// What a node is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NodeKind {
    /// A regular file of so many bytes; its MD5 once it was read.
    File {
        size: u64,
        /// Of the contents; `None` until they were read.
        md5: Option<[u8; 16]>,
    },
    /// A symbolic link and its target.
    Symlink(Box<[u8]>),
    Directory,
}

/// Something that is not stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LeftOut {
    /// Below the dataset; printable.
    pub path: String,
    pub why: String,
}

impl Tree {
    /// The regular files, with their sizes in bytes.
    pub(crate) fn files(&self) -> impl Iterator<Item = (&Node, u64)> {
        self.nodes.iter().filter_map(|node| match node.kind {
            NodeKind::File { size, .. } => Some((node, size)),
            _ => None,
        })
    }

    /// How many files there are, and how large; rclone's flags follow from it.
    pub(crate) fn sizes(&self) -> Files {
        let mut all = Files::default();
        self.files().for_each(|(_, size)| all.add(size));
        all
    }

    /// How many files, and how many bytes in all.
    pub(crate) fn totals(&self) -> (u64, u64) {
        self.files().fold((0, 0), |(files, bytes), (_, size)| {
            (files + 1, u64::saturating_add(bytes, size))
        })
    }
}

impl Node {
    /// The name without the directories.
    pub(crate) fn basename(&self) -> &[u8] {
        self.path
            .rsplit(|byte| *byte == b'/')
            .next()
            .unwrap_or_default()
    }

    /// The path of what is called `name` in this node's directory.
    pub(crate) fn sibling(&self, name: &[u8]) -> Vec<u8> {
        let directory = self.path.len() - self.basename().len();
        [&self.path[..directory], name].concat()
    }
}
