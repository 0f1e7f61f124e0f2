//! Which file is read: `--config`, else the environment's, else the usual one.
//!
//! Only the usual one may be absent. A file that somebody named and that is not there would
//! otherwise turn into the defaults in silence, and a backup of the wrong host into a good one.
//! For the same reason a dangling link in the usual place counts as a file that cannot be read.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::path::Path;

use super::problem::{Problem, Problems};
use super::{Config, DEFAULT_PATH, PATH_VARIABLE};
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
    let (path, named_by) = match (flag, variable) {
        (Some(path), _) => (path, Some("--config")),
        (None, Some(path)) => (path, Some(PATH_VARIABLE)),
        (None, None) => (usual, None),
    };
    let absent =
        || std::fs::symlink_metadata(path).is_err_and(|error| error.kind() == ErrorKind::NotFound);
    if named_by.is_none() && absent() {
        return Ok(Config::default());
    }
    let problem = |line, what: String, remedy: &str| Problems {
        source: Some(path.to_owned()),
        list: vec![Problem {
            key: String::new(),
            line,
            what,
            remedy: remedy.to_owned(),
        }],
    };
    // One byte more than is accepted.
    let bytes = small_file::read(path, LIMIT + 1).map_err(|error| {
        let what = format!("cannot be read: {error}");
        let remedy = match (error.kind(), named_by) {
            (ErrorKind::NotFound, Some(named_by)) => {
                format!("{named_by} names it: create it or name another")
            }
            (ErrorKind::NotFound, None) => "it is a link to nothing: mend or remove it".to_owned(),
            (ErrorKind::PermissionDenied, _) => "let the user of this process read it".to_owned(),
            _ => "name a regular file".to_owned(),
        };
        problem(None, what, &remedy)
    })?;
    if bytes.len() as u64 > LIMIT {
        let what = "is larger than 1 MiB".to_owned();
        return Err(problem(
            None,
            what,
            "no configuration is: is it the right file?",
        ));
    }
    match String::from_utf8(bytes) {
        Ok(text) => Config::parse(&text, path),
        Err(error) => {
            let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = 1 + good.iter().filter(|byte| **byte == b'\n').count();
            let what = "not valid TOML: the text is not UTF-8".to_owned();
            Err(problem(Some(line), what, "save it as UTF-8"))
        }
    }
}
