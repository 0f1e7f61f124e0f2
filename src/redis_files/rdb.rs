//! An RDB file: magic, body, end marker, checksum.
//!
//! The checksum is the file's last 8 bytes, which are known as such only when the file ends: the
//! newest 9 bytes (with the end marker before them) are always held back, and everything older
//! goes into the CRC by slices of the caller's chunk, never byte by byte.

use crc_fast::{CrcAlgorithm, Digest};

use super::{Damage, Finding, MAGIC_LEN, aux_fields::Header};

/// The end marker (0xFF) and the checksum (8 bytes, little-endian).
const TRAILER_LEN: usize = 9;
const END_MARKER: u8 = 0xFF;

/// The format version that the magic announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    Redis(u16),
    Valkey(u16),
}

impl Version {
    /// Reads the magic at the start of a file: `REDIS` and 4 digits, or `VALKEY` (from 9.0) and 3.
    pub(super) fn of(head: &[u8]) -> Option<Self> {
        let head = head.get(..MAGIC_LEN)?;
        let number = |digits: &[u8]| -> Option<u16> {
            let all_digits = digits.iter().all(u8::is_ascii_digit);
            let digits = str::from_utf8(digits).ok().filter(|_| all_digits)?;
            digits.parse().ok()
        };
        match head.strip_prefix(b"REDIS") {
            Some(digits) => number(digits).filter(|&n| n > 0).map(Self::Redis),
            None => number(head.strip_prefix(b"VALKEY")?).map(Self::Valkey),
        }
    }

    /// Dumps have ended in a checksum since version 5 (Redis 2.6).
    fn has_checksum(self) -> bool {
        !matches!(self, Self::Redis(..5))
    }
}

/// A streaming check of one RDB file.
pub(super) struct Rdb {
    header: Header,
    /// The newest bytes, oldest first; `tail_len` of them are there.
    tail: [u8; TRAILER_LEN],
    tail_len: usize,
    length: u64,
    /// Redis's `crc64.c` under its name in the catalogues.
    crc: Digest,
}

impl Default for Rdb {
    fn default() -> Self {
        Self {
            header: Header::default(),
            tail: [0; TRAILER_LEN],
            tail_len: 0,
            length: 0,
            crc: Digest::new(CrcAlgorithm::Crc64Redis),
        }
    }
}

impl Rdb {
    pub(super) fn feed(&mut self, chunk: &[u8]) {
        self.header.feed(chunk);
        self.length += chunk.len() as u64;
        let surplus = (self.tail_len + chunk.len()).saturating_sub(TRAILER_LEN);
        let from_tail = surplus.min(self.tail_len);
        self.crc.update(&self.tail[..from_tail]);
        self.tail.copy_within(from_tail..self.tail_len, 0);
        self.tail_len -= from_tail;
        let (old, new) = chunk.split_at(surplus - from_tail);
        self.crc.update(old);
        self.tail[self.tail_len..][..new.len()].copy_from_slice(new);
        self.tail_len += new.len();
    }

    pub(super) fn finish(self) -> Finding {
        let mut finding = Finding {
            saved_at: self.header.saved_at(),
            is_rdb: true,
            ..Finding::default()
        };
        match self.verdict() {
            Ok(warning) => finding.warnings.extend(warning.map(str::to_owned)),
            Err(damage) => finding.problems.push(damage.0),
        }
        finding
    }

    fn verdict(self) -> Result<Option<&'static str>, Damage> {
        let length = self.length;
        let Some(version) = Version::of(self.header.magic()) else {
            return Err(Damage(format!(
                "not an RDB file: expected REDIS and 4 digits or VALKEY and 3 digits at its start, \
                 found \"{}\" ({length} bytes in all)",
                self.header.magic().escape_ascii(),
            )));
        };
        let trailer_len = if version.has_checksum() {
            TRAILER_LEN
        } else {
            1
        };
        let shortest = (MAGIC_LEN + trailer_len) as u64;
        if length < shortest {
            return Err(Damage(format!(
                "RDB file truncated: expected at least {shortest} bytes, found {length}"
            )));
        }
        // The shortest RDB fills the tail.
        let marker = self.tail[TRAILER_LEN - trailer_len];
        if marker != END_MARKER {
            return Err(Damage(format!(
                "RDB file truncated: expected the end marker 0xff at offset {}, found 0x{marker:02x}",
                length - trailer_len as u64,
            )));
        }
        if !version.has_checksum() {
            return Ok(Some(
                "an RDB version before 5 has no checksum: only its start and its end were checked",
            ));
        }
        let (marker, stored) = self.tail.split_at(1);
        let stored = stored
            .iter()
            .rev()
            .fold(0, |sum, &byte| sum << 8 | u64::from(byte));
        if stored == 0 {
            return Ok(Some(
                "RDB checksums are off (rdbchecksum no): only its start and its end were checked",
            ));
        }
        let mut crc = self.crc;
        crc.update(marker);
        let computed = crc.finalize();
        if computed != stored {
            return Err(Damage(format!(
                "RDB file damaged: its checksum is 0x{stored:016x}, its {} bytes before it give \
                 0x{computed:016x}",
                length - 8,
            )));
        }
        Ok(None)
    }
}
