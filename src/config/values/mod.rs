//! The types a configuration consists of, each with the one parser that can make it.
//!
//! They are built by `FromStr` and printed by `Display`, and what is printed parses back to an
//! equal value: the effective configuration, the manifest and the command line share them. Serde
//! goes through the same two, so that a manifest from the bucket cannot bring in what a
//! configuration file could not.

mod bucket;
mod endpoint;
mod name;
mod prefix;
mod server;
mod shrink;
mod size;
mod span;

pub(crate) use bucket::Bucket;
pub(crate) use endpoint::Endpoint;
pub(crate) use name::DatasetName;
pub(crate) use prefix::Prefix;
pub(crate) use server::Server;
pub(crate) use shrink::ShrinkLimit;
pub(crate) use size::ByteSize;
pub(crate) use span::Span;

/// Serde's two conversions for a type that has `FromStr` and `Display`.
macro_rules! as_text {
    ($name:ident) => {
        impl TryFrom<String> for $name {
            type Error = $crate::config::problem::Refusal;
            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }
        impl From<$name> for String {
            fn from(value: $name) -> String {
                value.to_string()
            }
        }
    };
}
pub(crate) use as_text;

/// Whether the text ends in something shaped like our timestamp, `2025-01-01T12-00-00Z`.
///
/// The shape alone decides: a name that merely looks like a backup's is trouble enough.
pub(super) fn ends_like_a_timestamp(text: &str) -> bool {
    const SHAPE: &[u8] = b"dddd-dd-ddTdd-dd-ddZ";
    let bytes = text.as_bytes();
    bytes.len() >= SHAPE.len()
        && bytes[bytes.len() - SHAPE.len()..]
            .iter()
            .zip(SHAPE)
            .all(|(byte, shape)| match shape {
                b'd' => byte.is_ascii_digit(),
                literal => byte == literal,
            })
}
