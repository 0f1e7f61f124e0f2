//! The configuration: one TOML file over built-in defaults.
//!
//! The types below are the file's format, for reading and for printing. A value that violates a rule is refused when
//! the file is read, so no other module checks it again. Reading needs no host: a package build can check a file.

mod extra_args;
mod load;
mod parse;
mod places;
mod problem;
mod rules;
mod values;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub(crate) use extra_args::ExtraArg;
pub(crate) use problem::Problems;
pub(crate) use values::{
    Bucket, ByteSize, DatasetName, Endpoint, Prefix, Server, ShrinkLimit, Span,
};

/// The file that is read unless another one is named.
pub(crate) const DEFAULT_PATH: &str = "/etc/opencode-backup/config.toml";

/// The environment variable that names another file; `--config` has priority over it.
pub(crate) const PATH_VARIABLE: &str = "OPENCODE_BACKUP_CONFIG";

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// The file that was read; `None`: there is none, and the defaults hold.
    #[serde(skip)]
    pub source: Option<PathBuf>,
    /// The Btrfs subvolume of which snapshots are made; its last component is the prefix of their names.
    #[serde(deserialize_with = "rules::absolute")]
    pub subvolume: PathBuf,
    #[serde(deserialize_with = "rules::absolute")]
    pub snapshot_dir: PathBuf,
    /// UUIDs that the subvolume had before it was restored; its older snapshots stay ours.
    #[serde(deserialize_with = "rules::uuids")]
    pub former_subvolume_uuids: Vec<Uuid>,
    /// The file with the credentials, used where the environment has none.
    #[serde(deserialize_with = "rules::absolute")]
    pub env_file: PathBuf,
    /// For all servers together. Not used yet.
    pub save_timeout: Span,
    /// All configured datasets, the disabled ones too; see [`Config::enabled`].
    pub datasets: BTreeMap<DatasetName, Dataset>,
    pub remote: Remote,
    pub export: Export,
    pub retention: Retention,
    pub drill: Drill,
    pub restore: Restore,
    pub report: Report,
}

impl Config {
    /// The datasets that a run stores.
    pub(crate) fn enabled(&self) -> impl Iterator<Item = (&DatasetName, &Dataset)> + Clone {
        self.datasets.iter().filter(|(_, dataset)| dataset.enable)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Dataset {
    #[serde(default = "yes")]
    pub enable: bool,
    /// Below the subvolume.
    #[serde(deserialize_with = "rules::relative")]
    pub path: PathBuf,
    #[serde(default)]
    pub format: Format,
    /// Older data is a warning; `None` (`"off"`): never.
    #[serde(default = "a_day", with = "rules::off")]
    pub max_data_age: Option<Span>,
    /// A greater decrease of the bytes is an error; `None` (`"off"`): none is. Not used yet.
    #[serde(default = "half", with = "rules::off")]
    pub max_shrink: Option<ShrinkLimit>,
    /// The server that saves into this directory. Not used yet.
    #[serde(default)]
    pub server: Option<Server>,
    /// The environment variable with the server's password. Not used yet.
    #[serde(default, deserialize_with = "rules::variable")]
    pub server_password_variable: Option<String>,
    /// The command that checks a restored copy, `{dir}` standing for its directory; empty: none.
    #[serde(
        default,
        deserialize_with = "rules::check",
        serialize_with = "rules::none_if_empty"
    )]
    pub check: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Format {
    /// RDB images and append-only files, inspected before they count as stored. The default, because a wrong "redis"
    /// is an error in the first run, while a wrong "files" would store damaged images without a word.
    #[default]
    Redis,
    /// Not inspected.
    Files,
}

/// The bucket, and how rclone is run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Remote {
    /// Never created.
    pub bucket: Bucket,
    pub prefix: Prefix,
    /// rclone's name for the kind of service.
    #[serde(deserialize_with = "rules::provider")]
    pub provider: String,
    pub endpoint: Endpoint,
    /// Whether unchanged files are copied on the server instead of being sent.
    pub incremental: bool,
    /// rclone's `--bwlimit`, checked by rclone in preflight; empty: no limit.
    pub bandwidth: String,
    /// For all rclone processes together.
    pub memory: ByteSize,
    /// The values are checked by rclone in preflight.
    pub extra_args: Vec<ExtraArg>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Export {
    pub enable: bool,
    #[serde(deserialize_with = "rules::command")]
    pub command: Vec<String>,
    pub timeout: Span,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Retention {
    /// Snapshots older than this are deleted, in days.
    pub days: NonZeroU32,
    /// This many of the newest snapshots are kept at any age.
    pub min_keep: NonZeroU32,
    /// `None`: the bucket is never pruned.
    #[serde(default)]
    pub remote: Option<RemoteRetention>,
}

/// Which backups in the bucket are kept: a backup that any of these rules keeps is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
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

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Drill {
    /// For each check command.
    pub timeout: Span,
}

/// How `restore --in-place` stops and starts what uses the data. Not used yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Restore {
    #[serde(deserialize_with = "rules::command")]
    pub stop: Vec<String>,
    #[serde(deserialize_with = "rules::command")]
    pub start: Vec<String>,
    pub timeout: Span,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Report {
    /// The last run's verdict, as JSON.
    #[serde(deserialize_with = "rules::absolute")]
    pub state_file: PathBuf,
    /// The same for the Prometheus node exporter; `None`: not written.
    #[serde(default, deserialize_with = "rules::absolute_option")]
    pub textfile: Option<PathBuf>,
}

fn yes() -> bool {
    true
}

fn a_day() -> Option<Span> {
    Span::from_secs(24 * 60 * 60)
}

fn half() -> Option<ShrinkLimit> {
    Some(ShrinkLimit::HALF)
}
