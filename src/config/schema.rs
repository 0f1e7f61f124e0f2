//! Selector keys there are, and what to say about the ones there are not.
//!
//! An unknown key's value is never shown: it may be the very secret that does not belong here.

use super::problem::{Refusal, quoted};
use super::suggest::nearest;

/// The name under which [`KEYS`] lists the keys of one dataset.
pub(super) const DATASET: &str = "datasets.NAME";

/// The keys of each table; the root's path is empty.
const KEYS: &[(&str, &[&str])] = &[
    (
        "",
        &[
            "subvolume",
            "snapshot_dir",
            "former_subvolume_uuids",
            "env_file",
            "datasets",
            "remote",
            "export",
            "drill",
            "retention",
            "report",
        ],
    ),
    (DATASET, &["path", "format", "max_data_age", "check"]),
    (
        "remote",
        &[
            "bucket",
            "prefix",
            "provider",
            "endpoint",
            "incremental",
            "bandwidth",
            "memory",
            "extra_args",
        ],
    ),
    ("export", &["enable", "command", "timeout"]),
    ("drill", &["timeout"]),
    (
        "retention",
        &["days", "min_keep", "remote"],
    ),
    ("report", &["state_file", "textfile"]),
];

/// Parts of a word that give away a credential.
const CREDENTIALS: &[&str] = &[
    "secret",
    "password",
    "passwd",
    "passphrase",
    "token",
    "credential",
    "b2_",
    "aws_",
    "app_key",
    "appkey",
    "application_key",
    "access_key",
    "accesskey",
    "key_id",
    "keyid",
    "account",
    "api_key",
    "apikey",
];

/// What to say about `key` in the table `section`; `None` where it is known.
pub(super) fn unknown(section: &str, key: &str) -> Option<Refusal> {
    let known = KEYS
        .iter()
        .find(|(name, _)| *name == section)
        .map_or(&[][..], |(_, keys)| keys);
    if known.contains(&key) {
        return None;
    }
    let plain = key.to_ascii_lowercase().replace('-', "_");
    if plain == "key" || CREDENTIALS.iter().any(|word| plain.contains(word)) {
        return Some(Refusal::new(
            "unknown key, and credentials have no place in this file",
            "put B2_KEY_ID and B2_APP_KEY in the file that env_file names, or in the environment, \
             and replace them if others could read this one",
        ));
    }
    let remedy = if let Some(near) = nearest(&plain, known.iter().copied()) {
        format!("did you mean {near}?")
    } else if let Some((section, _)) = KEYS
        .iter()
        .find(|(name, keys)| *name != section && keys.contains(&plain.as_str()))
    {
        let table = if section.is_empty() {
            "before the first table"
        } else {
            section
        };
        format!("did you mean {key} in another place ({table})?")
    } else {
        format!("known here are {}", known.join(", "))
    };
    Some(Refusal::new("unknown key", remedy))
}

/// A key as it is written in TOML: bare where it can be, else in quotation marks.
pub(super) fn shown_key(key: &str) -> String {
    let bare = (1..=80).contains(&key.len())
        && key
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    if bare { key.to_owned() } else { quoted(key) }
}
