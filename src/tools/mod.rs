//! The tools that do the work, a file for each: argument lists out of pure functions, typed answers back.

pub(crate) mod btrfs;
pub(crate) mod check;
pub(crate) mod export;
pub(crate) mod rclone;

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::PathBuf;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use xshell::Shell;

use crate::config::Config;

/// The shell whose `cmd!` builds every command line; [`Shell`] is not `Sync`.
static SHELL: LazyLock<Mutex<Shell>> = LazyLock::new(|| {
    #[expect(
        clippy::expect_used,
        reason = "it fails only where the current directory is gone, and main has changed to /"
    )]
    Mutex::new(Shell::new().expect("the current directory is /"))
});

/// Builds command lines: `cmd!(shell(), "…")`.
fn shell() -> MutexGuard<'static, Shell> {
    SHELL.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A program that PATH does not have.
#[derive(Clone, Debug)]
pub(crate) struct NotFound {
    name: String,
    path: Option<OsString>,
}

impl fmt::Display for NotFound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.name;
        match &self.path {
            Some(path) => write!(f, "{name} is not in PATH ({})", path.to_string_lossy()),
            None => write!(f, "{name} cannot be looked up: PATH is not set"),
        }
    }
}

impl std::error::Error for NotFound {}

/// Every program that we run.
#[derive(Clone, Debug)]
pub(crate) struct Programs {
    pub setpriv: Result<PathBuf, NotFound>,
    pub btrfs: Result<PathBuf, NotFound>,
    pub rclone: Result<PathBuf, NotFound>,
    /// The first word of `export.command`.
    pub export: Result<PathBuf, NotFound>,
}

impl Programs {
    /// Looks them up in this `PATH`.
    pub(crate) fn find(config: &Config, path: Option<&OsStr>) -> Self {
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
pub(crate) fn locate(name: &str, path: Option<&OsStr>) -> Result<PathBuf, NotFound> {
    which::which_in(name, path, "/").map_err(|_| NotFound {
        name: name.to_owned(),
        path: path.map(OsStr::to_owned),
    })
}

/// The environment of a tool whose output is parsed: nothing of the caller's, C locale, UTC.
pub(crate) fn clean_environment() -> Vec<(OsString, OsString)> {
    [("LC_ALL", "C"), ("TZ", "UTC")]
        .map(|(name, value)| (name.into(), value.into()))
        .into()
}
