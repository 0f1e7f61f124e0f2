//! How much smaller a dataset may become, in percent of its peak.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::config::problem::{Refusal, quoted};

/// 1 to 99 percent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct ShrinkLimit(u8);

super::as_text!(ShrinkLimit);

impl ShrinkLimit {
    pub(in crate::config) fn from_percent(percent: u8) -> Option<Self> {
        (1..=99).contains(&percent).then_some(Self(percent))
    }
}

impl fmt::Display for ShrinkLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0)
    }
}

impl FromStr for ShrinkLimit {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        text.strip_suffix('%')
            .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
            .and_then(|digits| Self::from_percent(digits.parse().ok()?))
            .ok_or_else(|| {
                let what = format!("must be a percentage from 1% to 99%, is {}", quoted(text));
                Refusal::new(what)
            })
    }
}
