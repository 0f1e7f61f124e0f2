//! A Btrfs subvolume's UUID.
//!
//! The nil UUID is not one: Btrfs uses it for "no parent", and a nil among our own parents would
//! make every subvolume that was never a snapshot look like one of ours.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::config::problem::{Refusal, quoted};

/// A UUID, never the nil one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Uuid([u8; 16]);

super::as_text!(Uuid);

impl Uuid {
    /// The UUID of these bytes, `None` where all are zero.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Option<Self> {
        (bytes != [0; 16]).then_some(Self(bytes))
    }

    /// The 16 bytes, in the order they are printed.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// Lower case, with hyphens, as `btrfs subvolume show` prints it.
impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::with_capacity(36);
        for (index, byte) in self.0.iter().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                text.push('-');
            }
            for nibble in [byte >> 4, byte & 15] {
                text.extend(char::from_digit(u32::from(nibble), 16));
            }
        }
        f.pad(&text)
    }
}

impl FromStr for Uuid {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        bytes(text).and_then(Self::from_bytes).ok_or_else(|| {
            Refusal::new(
                format!("must be a subvolume's UUID, is {}", quoted(text)),
                "copy it from `btrfs subvolume show`: 8-4-4-4-12 hexadecimal digits, not all zero",
            )
        })
    }
}

fn bytes(text: &str) -> Option<[u8; 16]> {
    let groups: Vec<&str> = text.split('-').collect();
    if !groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12]) {
        return None;
    }
    let mut bytes = [0_u8; 16];
    let digits = groups.iter().flat_map(|group| group.chars());
    for (index, digit) in digits.enumerate() {
        let value = u8::try_from(digit.to_digit(16)?).ok()?;
        bytes[index / 2] = bytes[index / 2] << 4 | value;
    }
    Some(bytes)
}
