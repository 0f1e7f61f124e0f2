//! Where the two keys come from: the first source that has them, and both from the same one.
//!
//! Half a pair is an error and not a reason to look further: a key id from one place with a key from
//! another is a 403 at three in the morning.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use crate::interrupt::Interrupt;
use crate::secrets::env_file;
use crate::secrets::{Redactor, Secret};
use crate::small_file;

/// The key's id, as Backblaze calls it.
pub(crate) const KEY_ID: &str = "B2_KEY_ID";
pub(crate) const APP_KEY: &str = "B2_APP_KEY";
/// The file's name among systemd's credentials.
const CREDENTIAL: &str = "opencode.env";
/// Words in the name of a variable whose value is kept out of every log; between underscores, so that
/// `VALKEY_HOST` hides no host.
const SECRETIVE: [&str; 16] = [
    "KEY",
    "KEYS",
    "APIKEY",
    "TOKEN",
    "TOKENS",
    "SECRET",
    "SECRETS",
    "PASSWORD",
    "PASSWD",
    "PASSPHRASE",
    "PASS",
    "PW",
    "AUTH",
    "PAT",
    "DSN",
    "CREDENTIALS",
];
/// Bytes of an environment file.
const LARGEST: u64 = 1 << 20;
/// Shorter values of such variables are words like `true`, which would tear holes into every log.
const SHORTEST: usize = 8;

/// The environment that we were started with.
pub(crate) type Environment = BTreeMap<OsString, OsString>;

/// The keys, and what else their file says.
#[derive(Clone)]
pub(crate) struct Credentials {
    pub key_id: Secret,
    pub app_key: Secret,
    /// Where they were found, for a person.
    pub origin: String,
    /// The file that they were found in, where it is one.
    pub file: Option<PathBuf>,
    /// The variables of the file that they came from; empty where it was the environment.
    pub variables: BTreeMap<String, Secret>,
}

/// Why there are no keys.
#[derive(Debug)]
pub(crate) enum NoCredentials {
    Unreadable(PathBuf, io::Error),
    Malformed(PathBuf, env_file::Problem),
    /// Only one of the two keys is in a source.
    Half {
        origin: String,
        present: &'static str,
        missing: &'static str,
    },
    /// The file that a flag names has neither key.
    Neither(String),
    /// The sources that were tried.
    NotFound(Vec<String>),
}

impl fmt::Display for NoCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(path, error) => {
                write!(f, "{} cannot be read: {error}", path.display())
            }
            Self::Malformed(path, problem) => write!(f, "{}: {problem}", path.display()),
            Self::Half {
                origin,
                present,
                missing,
            } => write!(
                f,
                "{origin} has {present} but not {missing}; both must come from the same place"
            ),
            Self::Neither(origin) => write!(f, "{origin} has neither {KEY_ID} nor {APP_KEY}"),
            Self::NotFound(sources) => write!(
                f,
                "{KEY_ID} and {APP_KEY} were found in none of: {}",
                sources.join(", ")
            ),
        }
    }
}

impl std::error::Error for NoCredentials {}

/// Finds the keys: in the environment, else in the first file that has them.
pub(crate) fn find(
    environment: &Environment,
    flag: Option<&Path>,
    configured: &Path,
    interrupt: &Interrupt,
) -> Result<Credentials, NoCredentials> {
    let from_environment = |name: &str| {
        let value = environment
            .get(OsStr::new(name))
            .filter(|value| !value.is_empty())?;
        value.to_str().map(Secret::new)
    };
    if let Some(found) = pair("the environment", from_environment, BTreeMap::new())? {
        return Ok(found);
    }
    let mut tried = vec!["the environment".to_owned()];
    for (path, required) in files(environment, flag, configured) {
        match in_file(&path, interrupt) {
            Ok((Some(found), _)) => return Ok(found),
            Ok((None, origin)) if required => return Err(NoCredentials::Neither(origin)),
            Ok((None, origin)) => tried.push(format!("{origin} (has neither)")),
            Err(NoCredentials::Unreadable(_, error))
                if error.kind() == ErrorKind::NotFound && !required =>
            {
                tried.push(format!("{} (not there)", path.display()));
            }
            Err(error) => return Err(error),
        }
    }
    Err(NoCredentials::NotFound(tried))
}

/// The keys in an environment file, and how a message names the file.
fn in_file(
    path: &Path,
    interrupt: &Interrupt,
) -> Result<(Option<Credentials>, String), NoCredentials> {
    let text = small_file::read_or_receive(path, LARGEST, interrupt)
        .map_err(|error| NoCredentials::Unreadable(path.to_owned(), error))?;
    let file = env_file::parse(&text)
        .map_err(|problem| NoCredentials::Malformed(path.to_owned(), problem))?;
    let variables: BTreeMap<String, Secret> = file
        .vars
        .into_iter()
        .map(|(name, value)| (name, Secret::new(value)))
        .collect();
    let get = |name: &str| {
        variables
            .get(name)
            .filter(|secret| !secret.expose().is_empty())
            .cloned()
    };
    let mut origin = path.display().to_string();
    let found = pair(&origin, get, variables.clone());
    if !file.ignored.is_empty() {
        origin += &format!(
            ", whose lines {:?} assign nothing (write NAME=value, without `export` and without a byte order mark),",
            file.ignored
        );
    }
    let found = found.map_err(|error| match error {
        NoCredentials::Half {
            present, missing, ..
        } => NoCredentials::Half {
            origin: origin.clone(),
            present,
            missing,
        },
        error => error,
    })?;
    let found = found.map(|found| Credentials {
        file: Some(path.to_owned()),
        ..found
    });
    Ok((found, origin))
}

fn files(
    environment: &Environment,
    flag: Option<&Path>,
    configured: &Path,
) -> Vec<(PathBuf, bool)> {
    let mut files = Vec::new();
    if let Some(flag) = flag {
        files.push((flag.to_owned(), true));
    }
    if let Some(directory) = environment.get(OsStr::new("CREDENTIALS_DIRECTORY")) {
        files.push((Path::new(directory).join(CREDENTIAL), false));
    }
    files.push((configured.to_owned(), false));
    files
}

fn pair(
    origin: &str,
    get: impl Fn(&str) -> Option<Secret>,
    variables: BTreeMap<String, Secret>,
) -> Result<Option<Credentials>, NoCredentials> {
    let half = |present, missing| {
        Err(NoCredentials::Half {
            origin: origin.to_owned(),
            present,
            missing,
        })
    };
    match (get(KEY_ID), get(APP_KEY)) {
        (Some(key_id), Some(app_key)) => Ok(Some(Credentials {
            key_id,
            app_key,
            origin: origin.to_owned(),
            file: None,
            variables,
        })),
        (None, None) => Ok(None),
        (Some(_), None) => half(KEY_ID, APP_KEY),
        (None, Some(_)) => half(APP_KEY, KEY_ID),
    }
}

/// A redactor for the keys and for every other variable whose name says that it is a secret.
pub(crate) fn redactor(environment: &Environment, credentials: Option<&Credentials>) -> Redactor {
    let mut secrets: Vec<String> = Vec::new();
    let mut consider = |name: &str, value: &str| {
        let name = name.to_ascii_uppercase();
        // `CREDENTIALS_DIRECTORY` and the like say where a secret is, which is no secret.
        if ["_DIRECTORY", "_DIR", "_FILE", "_PATH"]
            .iter()
            .any(|end| name.ends_with(end))
        {
            return;
        }
        let is_key = name == KEY_ID || name == APP_KEY;
        if is_key
            || (value.len() >= SHORTEST && name.split('_').any(|word| SECRETIVE.contains(&word)))
        {
            secrets.push(value.to_owned());
        }
    };
    for (name, value) in environment {
        consider(&name.to_string_lossy(), &value.to_string_lossy());
    }
    if let Some(credentials) = credentials {
        for (name, value) in &credentials.variables {
            consider(name, value.expose());
        }
        // What HTTP's Basic authentication puts into a header.
        secrets.push(format!(
            "{}:{}",
            credentials.key_id.expose(),
            credentials.app_key.expose()
        ));
    }
    Redactor::new(secrets.iter().map(String::as_str))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> Environment {
        pairs
            .iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect()
    }

    fn look(
        environment: &Environment,
        flag: Option<&Path>,
        configured: &Path,
    ) -> Result<Credentials, NoCredentials> {
        find(environment, flag, configured, &Interrupt::default())
    }

    fn origin(found: Result<Credentials, NoCredentials>) -> String {
        found.map_or_else(|error| format!("error: {error}"), |found| found.origin)
    }

    #[test]
    fn the_first_source_that_has_both_keys_wins() {
        let dir = tempfile::tempdir().expect("a directory");
        let flag = dir.path().join("flag.env");
        let configured = dir.path().join("configured.env");
        fs::write(&configured, "B2_KEY_ID=c\nB2_APP_KEY=d\n").expect("written");
        fs::write(&flag, "B2_KEY_ID=a\nB2_APP_KEY=b\n").expect("written");
        fs::write(dir.path().join(CREDENTIAL), "B2_KEY_ID=e\nB2_APP_KEY=f\n").expect("written");
        let both = environment(&[(KEY_ID, "x"), (APP_KEY, "y")]);
        let systemd =
            environment(&[("CREDENTIALS_DIRECTORY", dir.path().to_str().expect("UTF-8"))]);
        let none = environment(&[]);
        assert_eq!(
            origin(look(&both, Some(&flag), &configured)),
            "the environment"
        );
        assert_eq!(
            origin(look(&systemd, Some(&flag), &configured)),
            flag.display().to_string()
        );
        assert!(origin(look(&systemd, None, &configured)).ends_with(CREDENTIAL));
        assert_eq!(
            origin(look(&none, None, &configured)),
            configured.display().to_string()
        );
    }

    #[test]
    fn half_a_pair_is_an_error_that_names_the_other_half() {
        let half = environment(&[(KEY_ID, "x")]);
        let error = origin(look(&half, None, Path::new("/nonexistent")));
        assert!(
            error.contains("has B2_KEY_ID but not B2_APP_KEY"),
            "{error}"
        );
    }

    #[test]
    fn no_keys_at_all_says_where_they_were_looked_for() {
        let error = origin(look(&environment(&[]), None, Path::new("/nonexistent/env")));
        assert!(error.contains("/nonexistent/env (not there)"), "{error}");
    }

    #[test]
    fn every_secret_of_the_file_is_redacted_and_its_addresses_are_not() {
        let variables = [
            ("OPENAI_API_KEY", "sk-123456789"),
            ("FALKORDB_HOST", "localhost"),
        ];
        let credentials = Credentials {
            key_id: Secret::new("id"),
            app_key: Secret::new("key"),
            origin: String::new(),
            file: None,
            variables: variables
                .map(|(name, value)| (name.to_owned(), Secret::new(value)))
                .into(),
        };
        let redactor = redactor(
            &environment(&[(KEY_ID, "idid"), (APP_KEY, "keykey")]),
            Some(&credentials),
        );
        assert_eq!(
            redactor.redact("sk-123456789 at localhost: idid"),
            "[redacted] at localhost: [redacted]"
        );
    }
}
