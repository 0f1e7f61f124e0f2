//! Free space on a file system.

use std::fmt;
use std::path::Path;

use nix::sys::statvfs::statvfs;
use serde::Serialize;

use crate::ui::Bytes;

/// A file system's space, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Space {
    /// What this user may still write.
    #[serde(rename = "free_bytes")]
    pub free: u64,
    #[serde(rename = "total_bytes")]
    pub total: u64,
}

impl Space {
    /// Of the file system at a path.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let stat = statvfs(path).ok()?;
        let unit = stat.fragment_size();
        Some(Self {
            free: stat.blocks_available().saturating_mul(unit),
            total: stat.blocks().saturating_mul(unit),
        })
    }

    pub(crate) fn is_low(self) -> bool {
        self.free < self.total / 10
    }
}

impl fmt::Display for Space {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = (u128::from(self.free) * 100)
            .checked_div(u128::from(self.total))
            .unwrap_or_default();
        write!(
            f,
            "{} of {} free ({percent} %)",
            Bytes(self.free),
            Bytes(self.total)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn less_than_a_tenth_is_low() {
        let total = 100;
        assert!(Space { free: 9, total }.is_low());
        assert!(!Space { free: 10, total }.is_low());
    }
}
