//! A bucket's name.
//!
//! The union of what B2 and S3 allow, not the stricter of the two: B2 buckets may have capital
//! letters, S3 ones dots and as few as three characters. The service has the last word; here we
//! only keep out what would change the meaning of `s3:<bucket>/<prefix>`.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::config::problem::{Refusal, quoted};

/// A bucket's name: 3 to 63 letters, digits, `-` and `.`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Bucket(String);

super::as_text!(Bucket);

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for Bucket {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        let end = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
        let bytes = text.as_bytes();
        let plain = bytes
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'));
        let good = (3..=63).contains(&bytes.len())
            && plain
            && end(bytes.first())
            && end(bytes.last())
            && !text.contains("..")
            && text.parse::<Ipv4Addr>().is_err();
        if good {
            Ok(Self(text.to_owned()))
        } else {
            Err(Refusal::new(format!(
                "must be a bucket's name (3 to 63 letters, digits, - and ., a letter or digit at \
                 both ends, no \"..\", no IP address), is {}",
                quoted(text)
            )))
        }
    }
}
