//! Types for single values. Each is made by its `FromStr` alone, also by serde and by the command line, and what it
//! prints parses back to an equal value.

mod address;
mod amount;
mod name;

pub(crate) use address::{Endpoint, Server};
pub(crate) use amount::{ByteSize, ShrinkLimit, Span};
pub(crate) use name::{Bucket, DatasetName, Prefix};

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

/// A type for texts that pass a check.
macro_rules! checked_text {
    ($(#[$attribute:meta])* $name:ident, $check:expr) => {
        $(#[$attribute])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub(crate) struct $name(String);

        $crate::config::values::as_text!($name);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(&self.0)
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::config::problem::Refusal;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                $check(text).map(|()| Self(text.to_owned()))
            }
        }

        impl AsRef<std::ffi::OsStr> for $name {
            fn as_ref(&self) -> &std::ffi::OsStr {
                self.0.as_ref()
            }
        }

        #[allow(dead_code, reason = "not every type needs it")]
        impl $name {
            pub(crate) fn as_str(&self) -> &str {
                &self.0
            }
        }
    };
}
pub(crate) use checked_text;
