//! Names in the bucket: what stands below `manifests/`, and where a dataset's objects are.

use std::collections::BTreeSet;
use std::fmt;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};

use crate::config::{DatasetName, Prefix};
use crate::timestamp::Timestamp;

/// The kind of an object below `manifests/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Mark {
    /// `<timestamp>.<nonce>.started.json`: a run began. It is deleted when the backup is complete. Two runs of one
    /// second have two marks. Without a nonce: a deletion began; the mark names what is deleted.
    Started(Option<Nonce>),
    /// `<timestamp>.partial.json`: some datasets are safely stored.
    Partial,
    Complete,
    /// `<timestamp>.files.json`: the files of a partial or complete backup.
    FileList,
}

/// Whether these objects are those of a complete backup. One without its file list cannot be restored.
pub(crate) fn is_complete(marks: &BTreeSet<Mark>) -> bool {
    marks.contains(&Mark::Complete) && marks.contains(&Mark::FileList)
}

impl Mark {
    /// The name below `manifests/`.
    pub(crate) fn name(self, timestamp: Timestamp) -> String {
        match self {
            Self::Started(Some(nonce)) => format!("{timestamp}.{nonce}.started.json"),
            Self::Started(None) => format!("{timestamp}.started.json"),
            Self::Partial => format!("{timestamp}.partial.json"),
            Self::Complete => format!("{timestamp}.json"),
            Self::FileList => format!("{timestamp}.files.json"),
        }
    }

    /// Reads a name below `manifests/`; `None` for any other name.
    pub(crate) fn parse(name: &str) -> Option<(Timestamp, Self)> {
        let name = name.strip_suffix(".json")?;
        let (timestamp, mark) = if let Some(begun) = name.strip_suffix(".started") {
            match begun.split_once('.') {
                Some((timestamp, nonce)) => (timestamp, Self::Started(Some(Nonce::parse(nonce)?))),
                None => (begun, Self::Started(None)),
            }
        } else if let Some(timestamp) = name.strip_suffix(".partial") {
            (timestamp, Self::Partial)
        } else if let Some(timestamp) = name.strip_suffix(".files") {
            (timestamp, Self::FileList)
        } else {
            (name, Self::Complete)
        };
        Some((timestamp.parse().ok()?, mark))
    }

    pub(crate) fn key(self, prefix: &Prefix, timestamp: Timestamp) -> String {
        format!("{}{}", folder(prefix), self.name(timestamp))
    }

    /// Whether this is a started mark.
    pub(crate) fn is_started(&self) -> bool {
        matches!(self, Self::Started(_))
    }
}

/// Tells a run from another one of the same second: 16 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Nonce(u64);

impl Nonce {
    /// A new one. The kernel's file of random bits is not there in a unit with `ProcSubset=pid`; the standard
    /// library's hash keys come from getrandom(2).
    pub(crate) fn random() -> Self {
        Self(RandomState::new().build_hasher().finish())
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        let digits = text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let value = u64::from_str_radix(text, 16).ok()?;
        (digits && text.len() == 16).then_some(Self(value))
    }
}

impl fmt::Display for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Where the manifests are, with a slash at the end.
pub(crate) fn folder(prefix: &Prefix) -> String {
    format!("{prefix}manifests/")
}

/// The prefix of a dataset's objects, without a slash at the end.
pub(crate) fn dataset_prefix(prefix: &Prefix, name: &DatasetName, timestamp: Timestamp) -> String {
    format!("{prefix}{name}-{timestamp}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_prints_and_reads_back_and_strangers_are_nobodys() {
        let timestamp: Timestamp = "2025-01-01T12-00-00Z".parse().expect("valid");
        let begun = Mark::Started(Some(Nonce::random()));
        let others = [Mark::Partial, Mark::Complete, Mark::FileList];
        for mark in [begun, Mark::Started(None)].into_iter().chain(others) {
            assert_eq!(Mark::parse(&mark.name(timestamp)), Some((timestamp, mark)));
        }
        for stranger in [
            "x.json",
            "2025-01-01T12-00-00Z.bak.json",
            "2025-01-01T12-00-00Z.0123456789abcde.started.json",
            "2025-01-01T12-00-00Z.0123456789ABCDEF.started.json",
            "2025-01-01T12-00-00Z.+123456789abcdef.started.json",
            "2025-01-01T12-00-00Z.0123456789abcdef.json",
            "2025-02-30T00-00-00Z.json",
            ".json",
            "",
        ] {
            assert_eq!(Mark::parse(stranger), None, "{stranger}");
        }
    }

    #[test]
    fn two_nonces_differ() {
        assert_ne!(Nonce::random(), Nonce::random());
    }
}
