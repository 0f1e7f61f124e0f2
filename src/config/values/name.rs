//! Names in the bucket. All are ASCII, because objects' names are compared byte for byte.

use std::net::Ipv4Addr;

use super::checked_text;
use crate::config::problem::{Refusal, refuse};

/// With the timestamp such a name stays far below the 255 bytes of a file's name.
const NAME_LIMIT: usize = 64;

/// An S3 object name has 1024 bytes in all.
const PREFIX_LIMIT: usize = 256;

checked_text!(
    /// 1 to 64 of `a-z`, `0-9`, `_`, `-`, a letter or digit at both ends. The timestamp contains `T` and `Z`, which no
    /// name contains, so `<name>-<timestamp>` has one reading.
    DatasetName,
    dataset_name
);

fn dataset_name(text: &str) -> Result<(), Refusal> {
    let end = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let inner = |byte: u8| end(byte) || matches!(byte, b'_' | b'-');
    if !is_framed(text, end, inner) || text.len() > NAME_LIMIT {
        return refuse(
            "a dataset's name must be 1 to 64 of a-z, 0-9, _ and -, with a letter or digit at both ends",
            text,
        );
    }
    if text == "manifests" || text.starts_with("graphiti_export") {
        return refuse(
            "must not be taken in the bucket by the manifests or the export",
            text,
        );
    }
    Ok(())
}

checked_text!(
    /// What B2 or S3 allow; the service decides. Only names that would change the meaning of `s3:<bucket>/<prefix>` are
    /// refused.
    Bucket,
    bucket
);

fn bucket(text: &str) -> Result<(), Refusal> {
    let end = |byte: u8| byte.is_ascii_alphanumeric();
    let inner = |byte: u8| end(byte) || matches!(byte, b'-' | b'.');
    let sized = (3..=63).contains(&text.len());
    if is_framed(text, end, inner)
        && sized
        && !text.contains("..")
        && text.parse::<Ipv4Addr>().is_err()
    {
        return Ok(());
    }
    refuse(
        "must be a bucket's name (3 to 63 letters, digits, - and ., a letter or digit at both ends, no \"..\", no IP \
         address)",
        text,
    )
}

/// Not empty, with characters of one kind at both ends and of another between.
fn is_framed(text: &str, end: impl Fn(u8) -> bool, inner: impl Fn(u8) -> bool) -> bool {
    let bytes = text.as_bytes();
    let ends = [bytes.first(), bytes.last()];
    bytes.iter().all(|byte| inner(*byte))
        && ends.iter().all(|byte| byte.is_some_and(|byte| end(*byte)))
}

checked_text!(
    /// The prefix of all object names: empty, or path components each followed by `/`.
    #[derive(Default)]
    Prefix,
    prefix
);

fn prefix(text: &str) -> Result<(), Refusal> {
    let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '\\' | '"' | '\'' | '`');
    if text.is_empty() {
        return Ok(());
    }
    if !text.chars().all(plain) || text.len() > PREFIX_LIMIT {
        return refuse(
            "must be at most 256 characters of printable ASCII without spaces, quotes and backslashes",
            text,
        );
    }
    let Some(inner) = text.strip_suffix('/') else {
        return refuse("must be empty or end in \"/\"", text);
    };
    let mut parts = inner.split('/');
    if parts.clone().any(|part| matches!(part, "" | "." | "..")) {
        return refuse(
            "must have no empty, \".\" or \"..\" component and no leading \"/\"",
            text,
        );
    }
    // Such a prefix lies inside another backup, and `rclone sync` of that backup would delete it.
    if parts.any(|part| part == "manifests" || ends_like_a_timestamp(part)) {
        return refuse("must not be inside a backup or among the manifests", text);
    }
    Ok(())
}

/// Whether the end has the shape of our timestamp, `2025-01-01T12-00-00Z`.
fn ends_like_a_timestamp(text: &str) -> bool {
    const SHAPE: &[u8] = b"dddd-dd-ddTdd-dd-ddZ";
    let start = text.len().checked_sub(SHAPE.len());
    let end = start.map(|start| &text.as_bytes()[start..]);
    let fits = |(byte, shape): (&u8, &u8)| match shape {
        b'd' => byte.is_ascii_digit(),
        literal => byte == literal,
    };
    end.is_some_and(|end| end.iter().zip(SHAPE).all(fits))
}
