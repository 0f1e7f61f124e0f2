//! What is compared: over which links, of which data, at which work, by whom.

use std::time::Duration;

use testbed::link::Profile;

use crate::bench::Effort;

/// A way to the bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// No link: as quick as this machine is.
    Loopback,
    /// Germany to the US west coast.
    Far,
    /// A small line within Europe.
    Near,
}

impl Route {
    /// All of them, in the table's order.
    pub const ALL: [Self; 3] = [Self::Loopback, Self::Far, Self::Near];

    /// As a person reads it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Loopback => "loopback",
            Self::Far => "150 ms, 4 MiB window, 1 Gbit/s",
            Self::Near => "30 ms, 100 Mbit/s",
        }
    }

    /// For the relay, which on loopback only counts.
    pub fn profile(self) -> Profile {
        match self {
            Self::Loopback => Profile::COUNTING,
            Self::Far => Profile::FAR,
            Self::Near => Profile::NEAR,
        }
    }

    /// How much data: on a slow link as much as half an hour allows.
    pub fn amount(self, effort: Effort) -> Amount {
        let (large_mib, files) = match (self, effort) {
            (Self::Loopback, Effort::Full) => (2048, 20_000),
            (Self::Far, Effort::Full) => (256, 400),
            (Self::Near, Effort::Full) => (32, 200),
            (Self::Loopback, Effort::Quick) => (128, 500),
            (Self::Far, Effort::Quick) => (48, 40),
            (Self::Near, Effort::Quick) => (8, 0),
        };
        Amount { large_mib, files }
    }

    /// What is sent over it. The few small files of the far link go with the large
    /// ones, as in a host's whole backup.
    pub fn kinds(self, effort: Effort) -> &'static [Kind] {
        match (self, effort) {
            (Self::Far, _) => &[Kind::Large, Kind::Both],
            (Self::Near, Effort::Quick) => &[Kind::Large],
            _ => &[Kind::Large, Kind::Small],
        }
    }

    /// The least that it takes to send so many bytes: a connection, and a request
    /// with its answer. `None` where nothing but this machine is in the way.
    pub fn limit(self, bytes: u64) -> Option<Duration> {
        let profile = self.profile();
        let seconds = bytes as f64 * 8.0 / profile.rate? as f64;
        Some(profile.round_trip * 2 + Duration::from_secs_f64(seconds))
    }
}

/// How much data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Amount {
    /// In three large files, by real servers: an RDB, an AOF's base and its increment.
    pub large_mib: u64,
    /// Small files.
    pub files: usize,
}

/// Bytes of a small file.
pub const SMALL: usize = 4096;

/// Which datasets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Two, of three large files.
    Large,
    /// One, of many small files.
    Small,
    /// All three.
    Both,
}

impl Kind {
    /// Their names.
    pub fn datasets(self) -> &'static [&'static str] {
        match self {
            Self::Large => &["falkordb", "valkey"],
            Self::Small => &["files"],
            Self::Both => &["falkordb", "valkey", "files"],
        }
    }

    /// What is done with them, in this order.
    pub fn works(self) -> &'static [Work] {
        match self {
            Self::Large => &[Work::First, Work::Unchanged, Work::Percent, Work::OneFile],
            Self::Small | Self::Both => &[Work::First, Work::Unchanged],
        }
    }

    /// As a person reads it.
    pub fn name(self, amount: Amount) -> String {
        let Amount { large_mib, files } = amount;
        match self {
            Self::Large => format!("{large_mib} MiB in 3 files"),
            Self::Small => format!("{files} files of 4 KiB"),
            Self::Both => format!("{large_mib} MiB in 3 files and {files} of 4 KiB"),
        }
    }
}

/// What is to be backed up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Everything, into an empty bucket.
    First,
    /// What was just backed up.
    Unchanged,
    /// The same, when the AOF has grown by 2 % of all bytes.
    Percent,
    /// The same, when the dump is another one.
    OneFile,
}

impl Work {
    /// As a person reads it.
    pub fn name(self) -> &'static str {
        match self {
            Self::First => "first backup",
            Self::Unchanged => "nothing changed",
            Self::Percent => "2 % of the bytes changed",
            Self::OneFile => "one of three large files changed",
        }
    }
}

/// Who does it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rival {
    /// The document's flow as a shell script.
    Script,
    /// opencode-backup.
    Ours,
    /// restic.
    Restic,
    /// rclone, as well as we could do it by hand.
    Bare,
}

impl Rival {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Script, Self::Ours, Self::Restic, Self::Bare];

    /// As a person reads it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Script => "(a) the script",
            Self::Ours => "(b) opencode-backup",
            Self::Restic => "(c) restic",
            Self::Bare => "(d) rclone by hand",
        }
    }

    /// Its letter in the table.
    pub fn letter(self) -> &'static str {
        &self.name()[..3]
    }

    /// Whether it does this work in its own way. The script sends everything to a
    /// new prefix each time, whatever has changed: its first backup stands for all.
    pub fn differs(self, work: Work) -> bool {
        self != Self::Script || work == Work::First
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_the_bytes_over_the_rate_and_two_round_trips() {
        let limit = |route: Route, bytes| route.limit(bytes).map(|limit| limit.as_secs_f64());
        assert_eq!(limit(Route::Far, 125_000_000), Some(1.3));
        assert_eq!(limit(Route::Near, 0), Some(0.06));
        assert_eq!(limit(Route::Loopback, 1), None);
    }
}
