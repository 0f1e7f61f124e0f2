//! The configuration: one TOML file, whose defaults are the values of the host it was made for.
//!
//! Text becomes types here and nowhere else: a retention that keeps nothing, a dataset name with
//! a slash, an endpoint in clear over the network cannot be expressed beyond this module. It
//! needs no host and touches nothing but the file, so that a package build can check one, and it
//! reports everything that is wrong at once, by key and line: the next timer run is six hours
//! away, and nobody wants to learn of the second mistake then.
//!
//! `load` finds the file, `parse` reads it through `reader` and `fields` (lines and types), `values` and its
//! neighbours (what a single value may be) and `rules` (what holds between them); `render` prints
//! the result.

mod bandwidth;
mod commands;
mod datasets;
mod extra_args;
mod fields;
mod flags;
mod load;
mod parse;
mod paths;
mod problem;
mod reader;
mod render;
mod rules;
mod schema;
mod suggest;
mod values;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::str::FromStr;

pub(crate) use problem::{Problems, Refusal};
pub(crate) use values::{Bucket, ByteSize, DatasetName, Endpoint, Prefix, Span, Uuid};

/// Where the configuration is read from unless something else is named.
pub(crate) const DEFAULT_PATH: &str = "/etc/opencode-backup/config.toml";

/// The environment variable that names another file; `--config` goes before it.
pub(crate) const PATH_VARIABLE: &str = "OPENCODE_BACKUP_CONFIG";

/// Everything that can be configured, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Config {
    /// The file that was read; `None` where the defaults hold because there is none.
    pub source: Option<PathBuf>,
    /// The Btrfs subvolume that is snapshotted; its last component is the snapshots' name.
    pub subvolume: PathBuf,
    /// Where the snapshots go; absolute, not the subvolume itself.
    pub snapshot_dir: PathBuf,
    /// UUIDs that the subvolume had before it was itself restored; its snapshots stay ours.
    pub former_subvolume_uuids: Vec<Uuid>,
    /// The file with the credentials, where the environment has none.
    pub env_file: PathBuf,
    /// What is stored, by name; never empty, no path contains another.
    pub datasets: BTreeMap<DatasetName, Dataset>,
    /// The bucket, and how rclone is run.
    pub remote: Remote,
    /// The script that exports the memory.
    pub export: Export,
    pub drill: Drill,
    /// How long snapshots and remote backups are kept.
    pub retention: Retention,
    /// Where the outcome is written.
    pub report: Report,
}

/// One directory that is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dataset {
    /// Below the subvolume: relative, normal components only.
    pub path: PathBuf,
    /// What the files are.
    pub format: Format,
    /// The age of the data beyond which the verdict warns; `None`: it never does.
    pub max_data_age: Option<Span>,
    /// The command that proves a restored copy, `{dir}` standing for it; empty: none.
    pub check: Vec<String>,
}

/// What a dataset's files are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// RDB dumps and append-only files, inspected before they count as stored.
    Redis,
    /// Anything; contents are not inspected.
    Files,
}

/// The bucket, and how rclone is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Remote {
    /// The bucket; it is never created.
    pub bucket: Bucket,
    /// What comes before every object's name.
    pub prefix: Prefix,
    /// rclone's name for the kind of service.
    pub provider: String,
    pub endpoint: Endpoint,
    /// Whether unchanged files are copied on the server instead of being sent.
    pub incremental: bool,
    /// rclone's `--bwlimit`; `None`: no limit.
    pub bandwidth: Option<String>,
    /// For all rclone children together.
    pub memory: ByteSize,
    /// Further arguments, each `--flag` or `--flag=value`, from the allow-list.
    pub extra_args: Vec<String>,
}

/// The script that exports the memory and uploads the result itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Export {
    /// Whether it is run.
    pub enable: bool,
    /// The program and its arguments; never empty.
    pub command: Vec<String>,
    /// When it is stopped.
    pub timeout: Span,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Drill {
    /// When a check command is stopped.
    pub timeout: Span,
}

/// How long snapshots and remote backups are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Retention {
    /// Snapshots older than this are deleted, in days.
    pub days: NonZeroU32,
    /// This many of the newest snapshots are kept at any age.
    pub min_keep: NonZeroU32,
    /// `None`: the bucket is never pruned.
    pub remote: Option<RemoteRetention>,
}

/// Which backups in the bucket are kept: a backup that any of these rules keeps is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RemoteRetention {
    /// All backups of the last so many days.
    pub days: NonZeroU32,
    /// The newest backup of each of the last so many days that have one (UTC); 0 disables the rule.
    pub daily: u32,
    /// The same for ISO weeks.
    pub weekly: u32,
    pub monthly: u32,
    pub yearly: u32,
    /// This many of the newest backups are kept at any age.
    pub min_keep: NonZeroU32,
}

impl Default for RemoteRetention {
    fn default() -> Self {
        Self {
            days: NonZeroU32::MIN.saturating_add(29),
            daily: 60,
            weekly: 26,
            monthly: 24,
            yearly: 10,
            min_keep: NonZeroU32::MIN.saturating_add(3),
        }
    }
}

/// Where the outcome is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Report {
    /// The last run's verdict, as JSON.
    pub state_file: PathBuf,
    /// The same for the Prometheus node exporter; `None`: not written.
    pub textfile: Option<PathBuf>,
}

impl Format {
    /// The word in the file: `redis` or `files`.
    #[must_use]
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Format::Redis => "redis",
            Format::Files => "files",
        }
    }
}

impl FromStr for Format {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        match text {
            "redis" => Ok(Format::Redis),
            "files" => Ok(Format::Files),
            _ => Err(Refusal::new(
                format!(
                    "must be \"redis\" or \"files\", is {}",
                    problem::quoted(text)
                ),
                "write \"redis\" for FalkorDB, Valkey and Redis, \"files\" for anything else",
            )),
        }
    }
}

/// The values of the host this was made for, which needs no file.
impl Default for Config {
    fn default() -> Self {
        let dataset = |path: &str| Dataset {
            path: PathBuf::from(path),
            format: Format::Redis,
            max_data_age: Some(Span::minutes(24 * 60)),
            check: Vec::new(),
        };
        let four = NonZeroU32::MIN.saturating_add(3);
        Self {
            source: None,
            subvolume: PathBuf::from("/persist"),
            snapshot_dir: PathBuf::from("/.snapshots"),
            former_subvolume_uuids: Vec::new(),
            env_file: PathBuf::from("/run/secrets/opencode.env"),
            datasets: BTreeMap::from([
                (
                    DatasetName::known("falkordb"),
                    dataset("containers/falkordb"),
                ),
                (DatasetName::known("valkey"), dataset("containers/valkey")),
            ]),
            remote: Remote {
                bucket: Bucket::known("opencode-memory-backups"),
                prefix: Prefix::default(),
                provider: "Other".to_owned(),
                endpoint: Endpoint::known("s3.us-west-004.backblazeb2.com"),
                incremental: true,
                bandwidth: None,
                memory: ByteSize::mebibytes(256),
                extra_args: Vec::new(),
            },
            export: Export {
                enable: true,
                command: [
                    "python3",
                    "/root/.opencode/graphiti/memory_manager.py",
                    "export",
                ]
                .map(str::to_owned)
                .to_vec(),
                timeout: Span::minutes(30),
            },
            drill: Drill {
                timeout: Span::minutes(60),
            },
            retention: Retention {
                days: NonZeroU32::MIN.saturating_add(29),
                min_keep: four,
                remote: None,
            },
            report: Report {
                state_file: PathBuf::from("/var/lib/opencode-backup/last-run.json"),
                textfile: None,
            },
        }
    }
}
