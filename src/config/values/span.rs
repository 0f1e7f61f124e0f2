//! A stretch of time in whole seconds, written `30m`, `1h30m`, `2d`.
//!
//! Not a `Duration`: a zero or a hundred thousand years would each be a valid one, and the first
//! kills every export while the second overflows the clock it is added to.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::problem::{Refusal, quoted};

const UNITS: [(char, u32); 4] = [('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];

/// The longest span, in seconds: 36,500 days.
const LIMIT: u32 = 36_500 * 86_400;

/// A span of 1 second to 36,500 days.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Span(NonZeroU32);

super::as_text!(Span);

impl Span {
    /// The span as a `Duration`, in whole seconds.
    #[must_use]
    pub const fn as_duration(self) -> Duration {
        Duration::from_secs(self.0.get() as u64)
    }

    /// The span in seconds.
    #[must_use]
    pub const fn as_secs(self) -> u32 {
        self.0.get()
    }

    /// A span of that many seconds, `None` for 0 and for more than 36,500 days.
    #[must_use]
    pub const fn from_secs(seconds: u32) -> Option<Self> {
        match NonZeroU32::new(seconds) {
            Some(seconds) if seconds.get() <= LIMIT => Some(Self(seconds)),
            _ => None,
        }
    }

    pub(in crate::config) const fn minutes(count: u16) -> Self {
        match NonZeroU32::new(count as u32 * 60) {
            Some(seconds) => Self(seconds),
            None => Self(NonZeroU32::MIN),
        }
    }
}

/// `2d` from two whole days on, else hours, minutes and seconds: `24h` stays `24h`.
impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.as_secs();
        if seconds >= 2 * 86_400 && seconds.is_multiple_of(86_400) {
            return f.pad(&format!("{}d", seconds / 86_400));
        }
        let parts = [
            (seconds / 3_600, 'h'),
            (seconds / 60 % 60, 'm'),
            (seconds % 60, 's'),
        ];
        let text: String = parts
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, unit)| format!("{count}{unit}"))
            .collect();
        f.pad(&text)
    }
}

impl FromStr for Span {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        seconds(text).and_then(Self::from_secs).ok_or_else(|| {
            Refusal::new(
                format!(
                    "must be a time between 1s and 36500d, whole numbers with d, h, m or s, \
                     is {}",
                    quoted(text)
                ),
                "write it like \"30m\", \"24h\" or \"1h30m\"",
            )
        })
    }
}

/// The sum of the parts; each unit at most once, the larger first.
fn seconds(text: &str) -> Option<u32> {
    let mut total = 0_u32;
    let mut units = UNITS.iter();
    let mut rest = text;
    while !rest.is_empty() {
        let (digits, tail) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit())?);
        let unit = tail.chars().next()?;
        let (_, size) = units.find(|(letter, _)| *letter == unit)?;
        let part = digits.parse::<u32>().ok()?.checked_mul(*size)?;
        total = total.checked_add(part)?;
        rest = &tail[1..];
    }
    Some(total)
}
