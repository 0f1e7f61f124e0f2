//! The head of an RDB: the magic and the auxiliary fields after it, one of which (`ctime`) says
//! when the server wrote the file.
//!
//! The file's mtime would not do: a copy, a restore or a `touch` changes it. Reading stops at the
//! first thing that is not a plain auxiliary field; without a time the file is no less whole.

use super::MAGIC_LEN;

/// Opcode before each auxiliary field (`RDB_OPCODE_AUX`, rdb.h).
const AUX: u8 = 0xFA;
/// An unfinished field is kept no longer than this; those that precede `ctime` are short.
const FIELD_MAX: usize = 4096;

/// Collects the head of an RDB, fed in chunks of any size.
#[derive(Default)]
pub(super) struct Header {
    magic: Vec<u8>,
    /// The start of a field whose end is still to come.
    pending: Vec<u8>,
    saved_at: Option<i64>,
    done: bool,
}

impl Header {
    pub(super) fn feed(&mut self, chunk: &[u8]) {
        let missing = MAGIC_LEN - self.magic.len();
        let (magic, mut chunk) = chunk.split_at(chunk.len().min(missing));
        self.magic.extend_from_slice(magic);
        while !self.done && !chunk.is_empty() {
            let taken = chunk.len().min(FIELD_MAX - self.pending.len());
            self.pending.extend_from_slice(&chunk[..taken]);
            chunk = &chunk[taken..];
            self.read_fields();
        }
    }

    /// The first 9 bytes, or what there was of them.
    pub(super) fn magic(&self) -> &[u8] {
        &self.magic
    }

    /// The `ctime` field, in seconds since 1970.
    pub(super) fn saved_at(&self) -> Option<i64> {
        self.saved_at
    }

    fn read_fields(&mut self) {
        let mut rest = self.pending.as_slice();
        let halt = loop {
            let mut cursor = Cursor(rest);
            match cursor.field() {
                Ok((Text::Bytes(b"ctime"), value)) => {
                    self.saved_at = value.number();
                    break Halt::End;
                }
                Ok(_) => rest = cursor.0,
                Err(halt) => break halt,
            }
        };
        let used = self.pending.len() - rest.len();
        self.pending.drain(..used);
        if matches!(halt, Halt::End) || self.pending.len() == FIELD_MAX {
            self.done = true;
            self.pending = Vec::new();
        }
    }
}

enum Halt {
    /// The rest is in a later chunk.
    More,
    /// There is nothing more to be read here.
    End,
}

enum Text<'a> {
    Bytes(&'a [u8]),
    Number(i64),
}

impl Text<'_> {
    /// A time; servers write none before 1970.
    fn number(&self) -> Option<i64> {
        match self {
            Self::Bytes(digits) => str::from_utf8(digits).ok()?.parse().ok(),
            Self::Number(number) => Some(*number),
        }
        .filter(|&number| number > 0)
    }
}

struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn field(&mut self) -> Result<(Text<'a>, Text<'a>), Halt> {
        if self.array()? != [AUX] {
            return Err(Halt::End);
        }
        Ok((self.text()?, self.text()?))
    }

    /// A string as `rdbSaveRawString` writes it: the two high bits of its first byte choose among
    /// 6, 14 (big-endian), 32 or 64 (big-endian) bits of length, and small integers (little-endian).
    fn text(&mut self) -> Result<Text<'a>, Halt> {
        let [first] = self.array()?;
        let low = first & 0x3F;
        let length = match first {
            0x00..=0x3F => u64::from(low),
            0x40..=0x7F => u64::from(u16::from_be_bytes([low, self.array::<1>()?[0]])),
            0x80 => u64::from(u32::from_be_bytes(self.array()?)),
            0x81 => u64::from_be_bytes(self.array()?),
            0xC0 => return Ok(Text::Number(i8::from_le_bytes(self.array()?).into())),
            0xC1 => return Ok(Text::Number(i16::from_le_bytes(self.array()?).into())),
            0xC2 => return Ok(Text::Number(i32::from_le_bytes(self.array()?).into())),
            // 0xC3 is a string that LZF compressed, longer than any field that precedes `ctime`.
            _ => return Err(Halt::End),
        };
        let length = usize::try_from(length).map_err(|_| Halt::End)?;
        let (text, rest) = self.0.split_at_checked(length).ok_or(Halt::More)?;
        self.0 = rest;
        Ok(Text::Bytes(text))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Halt> {
        let (array, rest) = self.0.split_first_chunk().ok_or(Halt::More)?;
        self.0 = rest;
        Ok(*array)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn saved_at(fields: &[&[u8]]) -> Option<i64> {
        let file = [b"REDIS0011".as_slice(), &fields.concat()].concat();
        let answers = [1, 2, 3, 7, file.len()].map(|size| {
            let mut header = Header::default();
            file.chunks(size).for_each(|chunk| header.feed(chunk));
            header.saved_at()
        });
        assert!(answers.iter().all(|answer| *answer == answers[0]));
        answers[0]
    }

    const VERSION: &[u8] = b"\xFA\x09redis-ver\x067.0.15";
    const BITS: &[u8] = b"\xFA\x0Aredis-bits\xC0\x40";
    const CTIME: &[u8] = b"\xFA\x05ctime\xC2\xC0\x2E\x75\x67";

    #[test]
    fn the_time_is_found_behind_fields_of_every_encoding() {
        let long = |prefix: &[u8], length: usize| [prefix, &vec![b'x'; length]].concat();
        assert_eq!(saved_at(&[VERSION, BITS, CTIME]), Some(1_735_732_928));
        for value in [
            long(b"\x3F", 63),
            long(b"\x41\x02", 258),
            long(b"\x80\0\0\x03\0", 768),
            long(b"\x81\0\0\0\0\0\0\x03\0", 768),
            b"\xC0\xFF".to_vec(),
            b"\xC1\0\x80".to_vec(),
        ] {
            let fields: [&[u8]; 3] = [b"\xFA\x01k", &value, CTIME];
            assert_eq!(saved_at(&fields), Some(1_735_732_928), "{value:x?}");
        }
    }

    #[test]
    fn the_time_may_be_written_as_text_too() {
        assert_eq!(
            saved_at(&[b"\xFA\x05ctime\x0A4102444800"]),
            Some(4_102_444_800)
        );
        assert_eq!(saved_at(&[b"\xFA\x05ctime\xC1\xD2\x04"]), Some(1234));
    }

    #[test]
    fn without_a_plain_ctime_field_there_is_no_time() {
        for fields in [
            [VERSION, b"\xFE\0", CTIME],
            [b"\xFA\x01k\xC3\x01\x01x", CTIME, b""],
            [b"\xFA\x01k\x81\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF", CTIME, b""],
            [b"\xFA\x05ctime\xC2\0\0\0\x80", b"", b""],
            [b"\xFA\x05ctime\x03now", b"", b""],
            [b"\xFA\x05ctime\xC2\0", b"", b""],
            [b"\xFA\x80\0\x01\0\0", &[b'x'; 65536], CTIME],
        ] {
            assert_eq!(saved_at(&fields), None, "{:x?}", fields[0]);
        }
    }
}
