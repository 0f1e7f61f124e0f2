//! What comes before every object of ours in the bucket, so that several hosts can share one.
//!
//! ASCII only: an object's name is compared byte for byte, and two spellings of one accented
//! letter would be two places. A component that looks like a backup's own prefix is refused,
//! because the `rclone sync` of that backup would delete whatever lies below it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::config::problem::{Refusal, quoted};
use crate::config::values::ends_like_a_timestamp;

/// Longest prefix, in bytes: an S3 object name has 1024 in all.
const LIMIT: usize = 256;

/// A prefix in the bucket: empty, or path components each followed by `/`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Prefix(String);

super::as_text!(Prefix);

impl Prefix {
    /// The prefix as text: empty, or ending in `/`.
    #[must_use]
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for Prefix {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        let rule = if text
            .chars()
            .any(|c| !c.is_ascii_graphic() || matches!(c, '\\' | '"' | '\'' | '`'))
        {
            "must be printable ASCII without spaces, quotes and backslashes"
        } else if text.len() > LIMIT {
            "must be at most 256 bytes long"
        } else if let Some(inner) = text.strip_suffix('/') {
            let mut parts = inner.split('/');
            if parts.clone().any(|part| matches!(part, "" | "." | "..")) {
                "must have no empty, \".\" or \"..\" component and no leading \"/\""
            } else if parts.any(|part| part == "manifests" || ends_like_a_timestamp(part)) {
                "must not be inside a backup or among the manifests"
            } else {
                return Ok(Self(text.to_owned()));
            }
        } else {
            "must be empty or end in \"/\""
        };
        Err(Refusal::new(format!("{rule}, is {}", quoted(text))))
    }
}
