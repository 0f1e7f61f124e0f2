//! Amounts of memory and time, and a percentage.

use std::fmt;
use std::num::{NonZeroU32, NonZeroU64};
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::as_text;
use crate::config::problem::{Refusal, refuse};

/// 1 byte to 1024 GiB. Units are binary and one capital letter, as in rclone and systemd. `MB` is refused, because many
/// readers take it for a million.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct ByteSize(NonZeroU64);

as_text!(ByteSize);

const UNITS: [(u64, &str); 3] = [(1 << 30, "G"), (1 << 20, "M"), (1 << 10, "K")];

impl ByteSize {
    pub(crate) const fn bytes(self) -> u64 {
        self.0.get()
    }
}

/// The largest unit that divides the size, or bytes without a unit.
impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.bytes();
        let unit = UNITS.iter().find(|(size, _)| bytes.is_multiple_of(*size));
        let (size, unit) = unit.unwrap_or(&(1, ""));
        write!(f, "{}{unit}", bytes / size)
    }
}

impl FromStr for ByteSize {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        let split = |(size, unit): &(u64, &str)| Some((text.strip_suffix(unit)?, *size));
        let (digits, unit) = UNITS.iter().find_map(split).unwrap_or((text, 1));
        let bytes = whole(digits).and_then(|count| count.checked_mul(unit)?.try_into().ok());
        match bytes.filter(|bytes: &NonZeroU64| bytes.get() <= 1 << 40) {
            Some(bytes) => Ok(Self(bytes)),
            None => refuse(
                "must be a size from 1 byte to 1024G, a whole number with K, M or G",
                text,
            ),
        }
    }
}

/// 1 second to 36,500 days. Not a `Duration`: 0 would end every export at once, and a hundred thousand years overflow a
/// clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Span(NonZeroU32);

as_text!(Span);

const DAY: u32 = 86_400;

impl Span {
    pub(crate) const fn as_duration(self) -> Duration {
        Duration::from_secs(self.0.get() as u64)
    }

    pub(crate) fn from_secs(seconds: u32) -> Option<Self> {
        let seconds = NonZeroU32::new(seconds)?;
        (seconds.get() <= 36_500 * DAY).then_some(Self(seconds))
    }
}

/// `24h` and `2d`, where `humantime` would print `1day` and `2days`.
impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.get();
        if seconds > DAY && seconds.is_multiple_of(DAY) {
            return write!(f, "{}d", seconds / DAY);
        }
        for (count, unit) in [
            (seconds / 3_600, 'h'),
            (seconds / 60 % 60, 'm'),
            (seconds % 60, 's'),
        ] {
            if count > 0 {
                write!(f, "{count}{unit}")?;
            }
        }
        Ok(())
    }
}

impl FromStr for Span {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        let time = humantime::parse_duration(text).ok();
        let whole = time.filter(|time| time.subsec_nanos() == 0);
        let seconds = whole.and_then(|time| u32::try_from(time.as_secs()).ok());
        match seconds.and_then(Self::from_secs) {
            // humantime reads "30M" as 30 months.
            Some(span) if !text.contains('M') => Ok(span),
            _ => refuse(
                "must be a time from 1s to 36500d, whole numbers with d, h, m or s",
                text,
            ),
        }
    }
}

/// How much smaller a dataset may become: 1 to 99 percent of its peak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct ShrinkLimit(u8);

as_text!(ShrinkLimit);

impl ShrinkLimit {
    pub(in crate::config) const HALF: Self = Self(50);
}

impl fmt::Display for ShrinkLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0)
    }
}

impl FromStr for ShrinkLimit {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        let percent = text.strip_suffix('%').and_then(whole);
        match percent.and_then(|percent| u8::try_from(percent).ok()) {
            Some(percent @ 1..=99) => Ok(Self(percent)),
            _ => refuse("must be a percentage from 1% to 99%", text),
        }
    }
}

/// Digits alone: `u64::from_str` takes "+5" too.
fn whole(digits: &str) -> Option<u64> {
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten()
}
