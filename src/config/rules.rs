//! Rules for values whose type is a plain one: paths, commands, words, and `"off"`.
//!
//! Paths are compared as text later (a dataset with the snapshot directory, a snapshot's name with the subvolume's), so
//! each has one spelling. Nothing here looks at a disk.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::path::PathBuf;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use super::problem::quoted;

/// A path below `/`.
pub(super) fn absolute<'de, D: Deserializer<'de>>(from: D) -> Result<PathBuf, D::Error> {
    let text = String::deserialize(from)?;
    let rule = match text.strip_prefix('/') {
        None => Some("must be an absolute path"),
        Some("") => Some("must name something below \"/\""),
        Some(inner) => component_rule(inner),
    };
    path(text, rule)
}

pub(super) fn absolute_option<'de, D: Deserializer<'de>>(
    from: D,
) -> Result<Option<PathBuf>, D::Error> {
    absolute(from).map(Some)
}

/// A path below the subvolume.
pub(super) fn relative<'de, D: Deserializer<'de>>(from: D) -> Result<PathBuf, D::Error> {
    let text = String::deserialize(from)?;
    let rule = if text.starts_with('/') {
        Some("must be relative to the subvolume")
    } else {
        component_rule(&text)
    };
    path(text, rule)
}

fn path<E: serde::de::Error>(text: String, rule: Option<&str>) -> Result<PathBuf, E> {
    match rule {
        None => Ok(PathBuf::from(text)),
        Some(rule) => Err(E::custom(format!("{rule}, is {}", quoted(&text)))),
    }
}

fn component_rule(inner: &str) -> Option<&'static str> {
    if inner.chars().any(char::is_control) {
        return Some("must have no control characters");
    }
    inner.split('/').find_map(|part| match part {
        "" => Some("must have no empty component and no \"/\" at the end"),
        "." => Some("must have no \".\" component"),
        ".." => Some("must have no \"..\" component"),
        _ if part.len() > 255 => Some("must have no component beyond 255 bytes"),
        _ => None,
    })
}

/// A program and its arguments. The program is an absolute path or a name to be found in `PATH`; a relative path would
/// depend on the directory in which the process was started.
pub(super) fn command<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    let words = Vec::<String>::deserialize(from)?;
    let program = words
        .first()
        .ok_or_else(|| D::Error::custom("must name a program, is empty"))?;
    let rule = match program.strip_prefix('/') {
        Some(inner) => component_rule(inner),
        None => (program.contains('/') || program.starts_with('-'))
            .then_some("must begin with a program's name or absolute path"),
    };
    if let Some(rule) = rule {
        return Err(D::Error::custom(format!("{rule}, is {}", quoted(program))));
    }
    if words
        .iter()
        .any(|word| word.is_empty() || word.contains('\0'))
    {
        return Err(D::Error::custom("must have no empty word and no NUL"));
    }
    Ok(words)
}

/// The check command of a dataset.
pub(super) fn check<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    let words = command(from)?;
    if words.iter().skip(1).any(|word| word.contains("{dir}")) {
        return Ok(words);
    }
    Err(D::Error::custom(
        "must have \"{dir}\" in its arguments, or it would check nothing",
    ))
}

/// An absent list is null in JSON and absent in TOML.
pub(super) fn none_if_empty<S: Serializer>(words: &[String], to: S) -> Result<S::Ok, S::Error> {
    (!words.is_empty()).then_some(words).serialize(to)
}

/// Without the nil UUID: with it, every subvolume that has no parent would look like one of our snapshots.
pub(super) fn uuids<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Uuid>, D::Error> {
    let uuids = Vec::<Uuid>::deserialize(from)?;
    let mut seen = BTreeSet::new();
    match uuids
        .iter()
        .find(|uuid| uuid.is_nil() || !seen.insert(**uuid))
    {
        None => Ok(uuids),
        Some(uuid) if uuid.is_nil() => Err(D::Error::custom("must not be the nil UUID")),
        Some(uuid) => Err(D::Error::custom(format!("{uuid} is there twice"))),
    }
}

/// rclone's name for a kind of service; rclone knows which ones there are.
pub(super) fn provider<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let text = String::deserialize(from)?;
    if (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Ok(text);
    }
    let what = format!("must be one of rclone's S3 providers, is {}", quoted(&text));
    Err(D::Error::custom(what))
}

/// The name of an environment variable. A refused value is not printed: it may be the password itself.
pub(super) fn variable<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    let text = String::deserialize(from)?;
    let word = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    if text.starts_with(|c: char| !c.is_ascii_digit()) && text.bytes().all(word) {
        return Ok(Some(text));
    }
    Err(D::Error::custom(
        "must be the name of an environment variable: capital letters, digits and _",
    ))
}

/// A limit that `"off"` disables.
pub(super) mod off {
    use super::{Deserialize as _, Deserializer, Display, Serializer};
    use serde::de::Error as _;
    use std::str::FromStr;

    const OFF: &str = "off";

    pub(crate) fn serialize<T: Display, S: Serializer>(
        limit: &Option<T>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match limit {
            Some(limit) => to.collect_str(limit),
            None => to.serialize_str(OFF),
        }
    }

    pub(crate) fn deserialize<'de, T, D>(from: D) -> Result<Option<T>, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        let text = String::deserialize(from)?;
        if text == OFF {
            return Ok(None);
        }
        text.parse().map(Some).map_err(D::Error::custom)
    }
}
