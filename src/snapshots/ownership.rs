//! Whether a snapshot, or a backup in the bucket, is ours: nothing else is ever deleted.

use std::fmt;
use std::io;

use serde::{Serialize, Serializer};

use crate::ui::shown;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ownership {
    Ours,
    Foreign(Foreign),
}

/// Why something with one of our names is not ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Foreign {
    SymbolicLink,
    NoSubvolume,
    /// A snapshot of our subvolume without `-r`.
    Writable,
    OtherSubvolume,
    /// Deleted since the directory was read.
    Gone,
    Inaccessible(io::ErrorKind),
    /// A backup of another host.
    OtherHost(String),
    /// The objects that describe a backup cannot be read.
    Unreadable,
}

impl fmt::Display for Ownership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ours => f.write_str("ours"),
            Self::Foreign(why) => why.fmt(f),
        }
    }
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SymbolicLink => "a symbolic link",
            Self::NoSubvolume => "no Btrfs subvolume",
            Self::Writable => "writable",
            Self::OtherSubvolume => "a snapshot of another subvolume",
            Self::Gone => "it has just gone",
            Self::Inaccessible(kind) => return kind.fmt(f),
            Self::OtherHost(host) => return write!(f, "of the host {}", shown(host.as_bytes())),
            Self::Unreadable => "it cannot be read",
        })
    }
}

impl Serialize for Foreign {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
