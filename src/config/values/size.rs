//! An amount of memory, in bytes.
//!
//! Units are binary and written with one capital letter, as rclone and systemd read them; `MB`
//! is refused, because half of its readers take it for a million.

use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::config::problem::{Refusal, quoted};

const UNITS: [(u64, &str); 3] = [(1 << 30, "G"), (1 << 20, "M"), (1 << 10, "K")];

/// The most that is accepted: 1024 GiB.
const LIMIT: u64 = 1 << 40;

/// A size of 1 byte to 1024 GiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct ByteSize(NonZeroU64);

super::as_text!(ByteSize);

impl ByteSize {
    /// The size in bytes.
    #[must_use]
    pub(crate) const fn bytes(self) -> u64 {
        self.0.get()
    }
}

/// The shortest exact form: the largest unit that divides the size, or bytes without a unit.
impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.bytes();
        let (count, unit) = UNITS
            .iter()
            .find(|(size, _)| bytes.is_multiple_of(*size))
            .map_or((bytes, ""), |(size, unit)| (bytes / size, *unit));
        f.pad(&format!("{count}{unit}"))
    }
}

impl FromStr for ByteSize {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        let (digits, unit) = UNITS
            .iter()
            .find_map(|(size, unit)| Some((text.strip_suffix(unit)?, *size)))
            .unwrap_or((text, 1));
        // Digits alone: `u64::from_str` would take "+5" as well.
        digits
            .bytes()
            .all(|byte| byte.is_ascii_digit())
            .then(|| digits.parse::<u64>().ok()?.checked_mul(unit))
            .flatten()
            .and_then(NonZeroU64::new)
            .filter(|bytes| bytes.get() <= LIMIT)
            .map(Self)
            .ok_or_else(|| {
                Refusal::new(format!(
                    "must be a size from 1 byte to 1024G, a whole number with K, M or G, is {}",
                    quoted(text)
                ))
            })
    }
}
