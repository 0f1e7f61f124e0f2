//! Small dumps, sound and unsound, written byte by byte.
//!
//! The surprise: nothing here shares code with the product, not even the
//! checksum, which is the bitwise form of the definition. A fault in the
//! product's tables cannot cancel itself out.

/// CRC-64/REDIS: polynomial ad93d23594c935a9, reflected, no initial value. Its
/// check value, over "123456789", is e9c6d914c4b8d9ca.
pub fn crc64(bytes: &[u8]) -> u64 {
    let polynomial = 0xad93_d235_94c9_35a9_u64.reverse_bits();
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ u64::from(*byte), |crc, _| {
            if crc & 1 == 1 {
                crc >> 1 ^ polynomial
            } else {
                crc >> 1
            }
        })
    })
}

/// The 9 bytes of magic for a format version: `REDIS0011`.
fn redis_magic(version: u32) -> Vec<u8> {
    format!("REDIS{version:04}").into_bytes()
}

fn string(out: &mut Vec<u8>, text: &str) {
    // One byte of length holds up to 63; the fixtures stay below.
    out.push((text.len() & 0x3f) as u8);
    out.extend(&text.as_bytes()[..text.len() & 0x3f]);
}

/// Everything up to and including the end-of-file opcode. `keys` are strings
/// whose values are their own names. `ctime` is encoded as servers do: a 32-bit
/// integer, not its digits.
fn body(magic: &[u8], ctime: i64, keys: &[&str]) -> Vec<u8> {
    let mut out = magic.to_vec();
    for (field, text) in [("redis-ver", "7.2.0"), ("redis-bits", "64")] {
        out.push(0xfa);
        string(&mut out, field);
        string(&mut out, text);
    }
    out.push(0xfa);
    string(&mut out, "ctime");
    out.push(0xc2);
    out.extend((ctime as u32).to_le_bytes());
    out.extend([0xfe, 0x00, 0xfb, (keys.len() & 0x3f) as u8, 0x00]);
    for key in keys {
        out.push(0x00);
        string(&mut out, key);
        string(&mut out, key);
    }
    out.push(0xff);
    out
}

fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let crc = crc64(&bytes);
    bytes.extend(crc.to_le_bytes());
    bytes
}

/// A whole dump of any format version. `ctime` is seconds since 1970.
pub fn dump(version: u32, ctime: i64, keys: &[&str]) -> Vec<u8> {
    sealed(body(&redis_magic(version), ctime, keys))
}

/// A whole dump, RDB version 11.
pub fn valid(ctime: i64) -> Vec<u8> {
    dump(11, ctime, &["who", "what", "when"])
}

/// The same with a zero checksum, as `rdbchecksum no` writes it.
pub fn checksum_zero(ctime: i64) -> Vec<u8> {
    let mut bytes = body(&redis_magic(11), ctime, &["who", "what", "when"]);
    bytes.extend([0; 8]);
    bytes
}

/// The same with the magic of Valkey 9.
pub fn valkey080(ctime: i64) -> Vec<u8> {
    sealed(body(b"VALKEY080", ctime, &["who", "what", "when"]))
}

/// Cut off in the middle.
pub fn truncated(ctime: i64) -> Vec<u8> {
    let mut bytes = valid(ctime);
    bytes.truncate(bytes.len() / 2);
    bytes
}

/// One bit wrong, in a key's value; length, magic and trailer are in order.
pub fn bit_flipped(ctime: i64) -> Vec<u8> {
    let mut bytes = valid(ctime);
    let middle = bytes.len() - 12;
    bytes[middle] ^= 0x01;
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_one_in_the_catalogue() {
        assert_eq!(crc64(b"123456789"), 0xe9c6_d914_c4b8_d9ca);
    }

    #[test]
    fn a_flipped_bit_changes_the_checksum_and_nothing_else() {
        let (good, bad) = (valid(0), bit_flipped(0));
        assert_eq!(good.len(), bad.len());
        assert_eq!(good.iter().zip(&bad).filter(|(a, b)| a != b).count(), 1);
        let (body, crc) = bad.split_at(bad.len() - 8);
        assert_ne!(crc64(body).to_le_bytes(), crc);
    }
}
