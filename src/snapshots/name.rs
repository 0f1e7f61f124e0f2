//! `persist-2025-01-01T12-00-00Z`: the subvolume's last component and a timestamp.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::timestamp::Timestamp;

/// The name of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SnapshotName {
    subvolume: String,
    timestamp: Timestamp,
}

impl SnapshotName {
    /// The name of this subvolume's snapshot in the run of this time.
    pub(crate) fn of(subvolume: &Path, timestamp: Timestamp) -> Self {
        Self {
            subvolume: last_component(subvolume),
            timestamp,
        }
    }

    pub(crate) fn path(&self, snapshot_dir: &Path) -> PathBuf {
        snapshot_dir.join(self.to_string())
    }

    /// The time in a directory entry's name; `None` where that is not exactly a name of ours.
    pub(crate) fn parse(subvolume: &Path, name: &str) -> Option<Timestamp> {
        name.strip_prefix(&last_component(subvolume))?
            .strip_prefix('-')?
            .parse()
            .ok()
    }
}

/// The configuration refuses a subvolume without one.
fn last_component(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

impl fmt::Display for SnapshotName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.subvolume, self.timestamp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_names_are_ours() {
        let subvolume = Path::new("/mnt/persist");
        let timestamp: Timestamp = "2025-01-01T12-00-00Z".parse().expect("valid");
        let name = SnapshotName::of(subvolume, timestamp);
        assert_eq!(name.to_string(), "persist-2025-01-01T12-00-00Z");
        assert_eq!(
            SnapshotName::parse(subvolume, &name.to_string()),
            Some(timestamp)
        );
        for stranger in [
            "persist-2025-02-30T00-00-00Z",
            "persist-2025-01-01T12-00-00Zx",
            "home-2025-01-01T12-00-00Z",
            "persist-",
            "persist",
        ] {
            assert_eq!(SnapshotName::parse(subvolume, stranger), None, "{stranger}");
        }
    }
}
