//! Which file is read: the one that `--config` names, else the environment's, else the default one.
//!
//! Only the default file may be absent. If a named file that is absent meant the defaults, a backup of the wrong
//! directories would look good. For the same reason a dangling link is a file that cannot be read.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::path::Path;

use super::problem::{Problem, Problems};
use super::{Config, DEFAULT_PATH};
use crate::small_file;

/// The largest file that is read, in bytes.
const LIMIT: u64 = 1 << 20;

impl Config {
    /// Loads the configuration from `flag`, else from the file that `variable` names (an empty
    /// one names none), else from [`DEFAULT_PATH`], whose absence means the defaults.
    ///
    /// # Errors
    /// The file named is absent; it cannot be read, exceeds 1 MiB or is not UTF-8; or anything
    /// that [`Config::parse`] refuses.
    pub(crate) fn load(flag: Option<&Path>, variable: Option<&OsStr>) -> Result<Config, Problems> {
        load_or(flag, variable, Path::new(DEFAULT_PATH))
    }
}

pub(super) fn load_or(
    flag: Option<&Path>,
    variable: Option<&OsStr>,
    usual: &Path,
) -> Result<Config, Problems> {
    let variable = variable.filter(|path| !path.is_empty()).map(Path::new);
    let named = flag.or(variable);
    let path = named.unwrap_or(usual);
    let absent =
        || std::fs::symlink_metadata(path).is_err_and(|error| error.kind() == ErrorKind::NotFound);
    if named.is_none() && absent() {
        return Config::parse("", None);
    }
    let problem = |line, what: &str, remedy| Problems {
        source: Some(path.to_owned()),
        list: vec![Problem::new(String::new(), line, what, remedy)],
    };
    // One byte more than is accepted.
    let bytes = small_file::read(path, LIMIT + 1).map_err(|error| {
        let remedy = match (error.kind(), flag, variable) {
            (ErrorKind::NotFound, Some(_), _) => "--config names it: create it or name another one",
            (ErrorKind::NotFound, None, Some(_)) => {
                "OPENCODE_BACKUP_CONFIG names it: create it or name another one"
            }
            (ErrorKind::NotFound, None, None) => {
                "it is a link to a file that is absent: correct or remove it"
            }
            (ErrorKind::PermissionDenied, ..) => "let the user of this process read it",
            _ => "name a regular file",
        };
        problem(None, &format!("cannot be read: {error}"), remedy)
    })?;
    if bytes.len() as u64 > LIMIT {
        return Err(problem(
            None,
            "is larger than 1 MiB",
            "is it the right file?",
        ));
    }
    match String::from_utf8(bytes) {
        Ok(text) => Config::parse(&text, Some(path)),
        Err(error) => {
            let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = 1 + good.iter().filter(|byte| **byte == b'\n').count();
            let what = "not valid TOML: the text is not UTF-8";
            Err(problem(Some(line), what, "save it as UTF-8"))
        }
    }
}
