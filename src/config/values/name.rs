//! A dataset's name: it becomes the object prefix `<name>-<timestamp>` in the bucket.
//!
//! Lower case only, and that is what keeps prefixes apart: a timestamp contains `T` and `Z`, so
//! no name can contain one, and `<name>-<timestamp>` has exactly one reading.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::config::problem::{Refusal, quoted};

/// Longest name, in bytes: with the timestamp it stays far below a file name's 255.
const LIMIT: usize = 64;

/// The name of a dataset: 1 to 64 of `a-z`, `0-9`, `_`, `-`, a letter or digit at both ends.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct DatasetName(String);

super::as_text!(DatasetName);

impl DatasetName {
    /// The name as text.
    #[must_use]
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DatasetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl AsRef<str> for DatasetName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl FromStr for DatasetName {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        let end = |byte: Option<&u8>| {
            byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        };
        let bytes = text.as_bytes();
        let plain = bytes.iter().all(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-')
        });
        if !plain || !end(bytes.first()) || !end(bytes.last()) || bytes.len() > LIMIT {
            return Err(Refusal::new(format!(
                "a dataset's name must be 1 to {LIMIT} of a-z, 0-9, _ and -, with a letter or \
                 digit at both ends, is {}",
                quoted(text)
            )));
        }
        if text == "manifests" || text.starts_with("graphiti_export") {
            return Err(Refusal::new(format!(
                "{} is taken in the bucket by the manifests and the export",
                quoted(text)
            )));
        }
        Ok(Self(text.to_owned()))
    }
}
