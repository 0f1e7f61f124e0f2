//! Names in the bucket: what stands below `manifests/`, and where a dataset's objects are.

use crate::config::{DatasetName, Prefix};
use crate::timestamp::Timestamp;

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
}
