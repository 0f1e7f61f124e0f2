//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::{PathBufValueParser, TypedValueParser};
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use log::LevelFilter;

use crate::bucket::select::Selector;
use crate::config::{DatasetName, Span};
use crate::ui::logging::Destination;

/// Snapshot, upload, prove, prune: backups of an AI assistant's memory.
///
/// Takes a read-only Btrfs snapshot, uploads from it to an S3 bucket with rclone, runs the export script, proves
/// that what arrived is what was there, writes a manifest last, and prunes old snapshots.
#[derive(Debug, Parser)]
#[command(name = "opencode-backup", version, max_term_width = 100)]
#[command(
    after_help = "Exit codes: 0 done, 1 unexpected, 2 usage or configuration, 3 a prerequisite is unmet and nothing \
    was touched, 4 snapshot failed, 5 a dataset is not safely stored, 6 the export is not stored, 7 retention failed, \
    8 verify, restore or drill found a difference, 75 another run holds the lock, 130 or 143 interrupted."
)]
pub(crate) struct Cli {
    /// Configuration file [default: /etc/opencode-backup/config.toml; absent, the built-in defaults hold]
    #[arg(long, global = true, value_name = "FILE", value_parser = absolute())]
    pub config: Option<PathBuf>,
    /// File with B2_KEY_ID and B2_APP_KEY, where the environment has neither
    #[arg(long, global = true, value_name = "FILE", value_parser = absolute())]
    pub env_file: Option<PathBuf>,
    /// Say more; twice: what the tools say, too
    #[arg(short, long, global = true, action = ArgAction::Count, conflicts_with = "quiet")]
    pub verbose: u8,
    /// Say nothing but warnings and errors
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Where log lines go
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHERE")]
    pub log: Destination,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make one backup
    Run(Run),
    /// List every prerequisite, whether it is met, and the remedy
    Check(Check),
    /// List local snapshots and remote backups, one row a timestamp
    List(List),
    /// Compare a stored backup with its manifest
    Verify(Verify),
    /// Bring a backup back into a directory of its own, checked; never into the live tree
    Restore(Restore),
    /// Delete what the retention says, with a reason on every row
    Prune(Prune),
    /// Say how old the newest complete backup is, as a monitoring plug-in
    Status(Status),
    /// Restore into a scratch directory and run each dataset's check command on it
    Drill(Drill),
    /// Print the effective configuration, or what is wrong with it
    Config(Json),
    /// Print completions for a shell, for packagers
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page, for packagers
    Man(Man),
}

/// `run`.
#[derive(Debug, Args)]
pub(crate) struct Run {
    /// Print the plan, the very commands included, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// How it is printed
    #[command(flatten)]
    pub json: Json,
}

/// `check`.
#[derive(Debug, Args)]
pub(crate) struct Check {
    /// Prove that the credentials can list, write and read (and delete, where [retention.remote] is set)
    #[arg(long)]
    pub remote: bool,
    /// How it is printed
    #[command(flatten)]
    pub json: Json,
}

/// `list`.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Read every manifest for its size, not only the newest 20
    #[arg(long)]
    pub all: bool,
    /// How it is printed
    #[command(flatten)]
    pub json: Json,
}

/// `verify`.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// Which backup
    #[arg(default_value = "latest", value_name = "TIMESTAMP|latest")]
    pub which: Selector,
    /// Every complete backup in the bucket
    #[arg(long, conflicts_with = "which")]
    pub all: bool,
    /// Read every byte back instead of believing the server's MD5s
    #[arg(long)]
    pub download: bool,
    /// How it is printed
    #[command(flatten)]
    pub json: Json,
}

/// `restore`.
#[derive(Clone, Debug, Args)]
pub(crate) struct Restore {
    /// Which backup
    #[arg(default_value = "latest", value_name = "TIMESTAMP|latest")]
    pub which: Selector,
    /// An absent or empty directory; each dataset becomes a directory in it
    #[arg(long, value_name = "DIR", value_parser = absolute())]
    pub to: PathBuf,
    /// Only this dataset; may be given several times
    #[arg(long, value_name = "NAME")]
    pub dataset: Vec<DatasetName>,
    /// Where the data comes from
    #[arg(long, value_enum, default_value_t, value_name = "WHERE")]
    pub from: From,
    /// How it is printed
    #[command(flatten)]
    pub json: Json,
}

/// `prune`.
#[derive(Debug, Args)]
pub(crate) struct Prune {
    /// Show what would go, and delete nothing
    #[arg(long)]
    pub dry_run: bool,
    /// The bucket, too; needs [retention.remote]
    #[arg(long)]
    pub remote: bool,
    /// How it is printed
    #[command(flatten)]
    pub json: Json,
}

/// `status`.
#[derive(Debug, Args)]
pub(crate) struct Status {
    /// Critical when the newest complete backup is older
    #[arg(long, default_value = "7h", value_name = "SPAN")]
    pub max_age: Span,
    /// How it is printed
    #[command(flatten)]
    pub json: Json,
}

/// `drill`.
#[derive(Debug, Args)]
pub(crate) struct Drill {
    /// Which backup
    #[arg(default_value = "latest", value_name = "TIMESTAMP|latest")]
    pub which: Selector,
    /// Where the scratch directory is made [default: $TMPDIR, or /var/tmp]
    #[arg(long, value_name = "DIR", value_parser = absolute())]
    pub scratch: Option<PathBuf>,
    /// How it is printed
    #[command(flatten)]
    pub json: Json,
}

/// `man`.
#[derive(Debug, Args)]
pub(crate) struct Man {
    /// Write all pages, one for each command, into this directory instead
    #[arg(long, value_name = "DIR", value_parser = absolute())]
    pub to: Option<PathBuf>,
}

/// `restore --from`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum From {
    /// The bucket
    #[default]
    Bucket,
    /// A local snapshot
    Snapshot,
}

/// How an answer is printed.
#[derive(Clone, Debug, Args)]
pub(crate) struct Json {
    /// Print JSON on stdout
    #[arg(long)]
    pub json: bool,
}

/// A path that is meant relative to where we were started, which we then leave.
fn absolute() -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().try_map(std::path::absolute)
}

impl Cli {
    /// How much is said.
    pub(crate) fn level(&self) -> LevelFilter {
        match (self.quiet, self.verbose) {
            (true, _) => LevelFilter::Warn,
            (false, 0) => LevelFilter::Info,
            (false, 1) => LevelFilter::Debug,
            (false, _) => LevelFilter::Trace,
        }
    }
}

/// Whether words that could not be understood ask for `status`, which has exit codes of its own.
pub(crate) fn asks_for_status(mut words: impl Iterator<Item = OsString>) -> bool {
    while let Some(word) = words.next() {
        if ["--config", "--env-file", "--log"]
            .iter()
            .any(|option| word == *option)
        {
            words.next();
        } else if !word.as_encoded_bytes().starts_with(b"-") {
            return word == "status";
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn status_is_found_behind_options_and_not_in_their_values() {
        for (line, expected) in [
            ("status --bad", true),
            ("-q --config x status --bad", true),
            ("--config=status status", true),
            ("--config status list", false),
            ("list status", false),
            ("--status", false),
            ("", false),
        ] {
            let words = line.split_whitespace().map(OsString::from);
            assert_eq!(asks_for_status(words), expected, "{line}");
        }
    }
}
