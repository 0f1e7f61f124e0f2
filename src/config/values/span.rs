//! A duration in whole seconds, written `30m`, `7h30m`, `2d`.
//!
//! Not a `Duration`: 0 would end every export at once, and a hundred thousand years overflow a clock.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::problem::{Refusal, quoted};

/// The longest, in seconds: 36,500 days.
const LIMIT: u32 = 36_500 * 86_400;

/// 1 second to 36,500 days.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Span(NonZeroU32);

super::as_text!(Span);

impl Span {
    #[must_use]
    pub(crate) const fn as_duration(self) -> Duration {
        Duration::from_secs(self.0.get() as u64)
    }

    /// `None` for 0 and for more than 36,500 days.
    #[must_use]
    pub(crate) fn from_secs(seconds: u32) -> Option<Self> {
        NonZeroU32::new(seconds)
            .filter(|seconds| seconds.get() <= LIMIT)
            .map(Self)
    }
}

/// Hours, minutes and seconds: `24h`, where `humantime` would print `1day`.
impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.get();
        let parts = [
            (seconds / 3_600, 'h'),
            (seconds / 60 % 60, 'm'),
            (seconds % 60, 's'),
        ];
        let parts = parts.iter().filter(|(count, _)| *count > 0);
        f.pad(
            &parts
                .map(|(count, unit)| format!("{count}{unit}"))
                .collect::<String>(),
        )
    }
}

impl FromStr for Span {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        humantime::parse_duration(text)
            .ok()
            // humantime reads "30M" as 30 months.
            .filter(|time| time.subsec_nanos() == 0 && !text.contains('M'))
            .and_then(|time| Self::from_secs(u32::try_from(time.as_secs()).ok()?))
            .ok_or_else(|| {
                Refusal::new(format!(
                    "must be a time from 1s to 36500d, whole numbers with d, h, m or s, is {}",
                    quoted(text)
                ))
            })
    }
}
