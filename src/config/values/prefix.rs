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
pub struct Prefix(String);

super::as_text!(Prefix);

impl Prefix {
    /// The prefix as text: empty, or ending in `/`.
    #[must_use]
    pub fn as_str(&self) -> &str {
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
        let refuse = |rule: &str, remedy: String| {
            Err(Refusal::new(format!("{rule}, is {}", quoted(text)), remedy))
        };
        if let Some(bad) = text
            .chars()
            .find(|c| !c.is_ascii_graphic() || matches!(c, '\\' | '"' | '\'' | '`'))
        {
            let remedy = format!("leave out {}", quoted(&bad.to_string()));
            return refuse(
                "must be printable ASCII without spaces, quotes and backslashes",
                remedy,
            );
        }
        if text.len() > LIMIT {
            return refuse(
                &format!("must be at most {LIMIT} bytes long"),
                "shorten it".to_owned(),
            );
        }
        let Some(inner) = text.strip_suffix('/') else {
            return refuse(
                "must be empty or end in \"/\"",
                format!("write {}", quoted(&format!("{text}/"))),
            );
        };
        for component in inner.split('/') {
            if matches!(component, "" | "." | "..") {
                return refuse(
                    "must have no empty, \".\" or \"..\" component and no leading \"/\"",
                    "write it like \"host/\"".to_owned(),
                );
            }
            if component == "manifests" || ends_like_a_timestamp(component) {
                return refuse(
                    "must not lie inside a backup or among the manifests",
                    format!("rename the component {}", quoted(component)),
                );
            }
        }
        Ok(Self(text.to_owned()))
    }
}
