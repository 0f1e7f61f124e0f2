//! The tools that do the work, a file for each: argument lists out of pure functions, typed answers back.

pub mod btrfs;
pub mod check;
pub mod export;
pub mod rclone;

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use crate::config::Config;

/// Where a tool is, or why it is not to be had.
pub type Found = Result<PathBuf, String>;

/// Every program that we run.
#[derive(Clone, Debug)]
pub struct Programs {
    /// util-linux's `setpriv`.
    pub setpriv: Found,
    /// btrfs-progs.
    pub btrfs: Found,
    /// rclone.
    pub rclone: Found,
    /// The first word of `export.command`.
    pub export: Found,
}

impl Programs {
    /// Looks them up in this `PATH`.
    pub fn find(config: &Config, path: Option<&OsStr>) -> Self {
        let find = |name: &str| locate(name, path);
        let export = config.export.command.first().map_or("", String::as_str);
        Self {
            setpriv: find("setpriv"),
            btrfs: find("btrfs"),
            rclone: find("rclone"),
            export: find(export),
        }
    }
}

/// Looks a program up.
///
/// # Errors
/// Where it was looked for.
pub fn locate(name: &str, path: Option<&OsStr>) -> Found {
    which::which_in(name, path, "/").map_err(|_| match path {
        Some(path) => format!("{name} is not in PATH ({})", path.to_string_lossy()),
        None => format!("{name} cannot be looked up, since PATH is not set"),
    })
}

/// The environment of a tool whose output is parsed: nothing of the caller's, C locale, UTC.
pub fn clean_environment() -> Vec<(OsString, OsString)> {
    [("LC_ALL", "C"), ("TZ", "UTC")]
        .map(|(name, value)| (name.into(), value.into()))
        .into()
}
