//! `remote.extra_args`: which flags may be added to rclone's command line.
//!
//! An allow-list by exact name: a flag that a later rclone brings is refused until somebody has examined it. Taken from
//! `rclone help flags` of 1.60.1 and 1.75.2. rclone checks the values in preflight; only what rclone accepts and what
//! would harm a backup is refused here.

use std::ffi::OsStr;

use serde::{Deserialize, Serialize};

use super::problem::{Refusal, quoted};
use super::values::as_text;

/// `--flag` or `--flag=value`. One element each: a value in an element of its own could become a path to upload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct ExtraArg(String);

as_text!(ExtraArg);

#[derive(Clone, Copy)]
enum Value {
    /// None, `true` or `false`.
    Switch,
    /// None or `true`.
    On,
    Any,
    NotZero,
    OneOf(&'static [&'static str]),
}

use Value::{Any, NotZero, On, OneOf, Switch};

/// None of these changes what is stored, where, or what `verify` compares.
const ALLOWED: &[(&str, Value)] = &[
    ("--transfers", NotZero),
    ("--checkers", NotZero),
    ("--tpslimit", NotZero),
    ("--tpslimit-burst", NotZero),
    // 0 waits for ever.
    ("--timeout", NotZero),
    ("--contimeout", NotZero),
    ("--expect-continue-timeout", Any),
    // With `--retries 0` rclone 1.60.1 does nothing and exits 0.
    ("--retries", NotZero),
    ("--retries-sleep", Any),
    ("--low-level-retries", NotZero),
    // A public ACL would publish the backup.
    (
        "--s3-acl",
        OneOf(&["private", "bucket-owner-read", "bucket-owner-full-control"]),
    ),
    ("--s3-chunk-size", NotZero),
    ("--s3-copy-cutoff", Any),
    ("--s3-upload-cutoff", Any),
    ("--s3-upload-concurrency", NotZero),
    ("--s3-max-upload-parts", NotZero),
    ("--s3-use-multipart-uploads", Any),
    ("--s3-use-multipart-etag", Any),
    // Off, rclone would create a missing bucket.
    ("--s3-no-check-bucket", On),
    // Skips rclone's look at what it has just sent; `verify` looks at everything.
    ("--s3-no-head", Switch),
    ("--s3-no-system-metadata", Switch),
    ("--s3-list-chunk", NotZero),
    ("--s3-list-url-encode", Any),
    ("--s3-list-version", Any),
    // How a request is written and signed, for services that need another way.
    ("--s3-region", Any),
    ("--s3-force-path-style", Switch),
    ("--s3-disable-http2", Switch),
    ("--s3-requester-pays", Switch),
    ("--s3-sign-accept-encoding", Any),
    ("--s3-use-accept-encoding-gzip", Any),
    ("--s3-use-data-integrity-protections", Any),
    ("--s3-use-presigned-request", Switch),
    ("--s3-use-unsigned-payload", Any),
    ("--s3-use-x-id", Any),
    ("--s3-v2-auth", Switch),
    // With aws:kms an ETag is no MD5, and every listing would cost a request per object.
    ("--s3-server-side-encryption", OneOf(&["AES256"])),
    // Objects in GLACIER and DEEP_ARCHIVE cannot be read at once.
    (
        "--s3-storage-class",
        OneOf(&[
            "STANDARD",
            "REDUCED_REDUNDANCY",
            "STANDARD_IA",
            "ONEZONE_IA",
            "INTELLIGENT_TIERING",
            "GLACIER_IR",
        ]),
    ),
];

impl ExtraArg {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl AsRef<OsStr> for ExtraArg {
    fn as_ref(&self) -> &OsStr {
        self.0.as_ref()
    }
}

impl std::fmt::Display for ExtraArg {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&self.0)
    }
}

impl std::str::FromStr for ExtraArg {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        let (name, value) = text
            .split_once('=')
            .map_or((text, None), |(name, value)| (name, Some(value)));
        let Some((name, kind)) = ALLOWED.iter().find(|(flag, _)| *flag == name) else {
            let what = format!("{} is not among the allowed flags", shown(name));
            return Err(Refusal::new(what));
        };
        let fits = match (kind, value) {
            (Switch | On, None) => true,
            (_, None) => return Err(Refusal::new(format!("{name} has no value"))),
            (Switch, Some(value)) => matches!(value, "true" | "false"),
            (On, Some(value)) => value == "true",
            (Any, Some(value)) => !value.is_empty() && !value.contains('\0'),
            (NotZero, Some(value)) => value.contains(|c| matches!(c, '1'..='9')),
            (OneOf(choices), Some(value)) => choices.contains(&value),
        };
        if fits {
            return Ok(Self(text.to_owned()));
        }
        let rule = match kind {
            Switch => "true or false".to_owned(),
            On => "true".to_owned(),
            Any => "a value".to_owned(),
            NotZero => "above 0".to_owned(),
            OneOf(choices) => format!("one of {}", choices.join(", ")),
        };
        let value = quoted(value.unwrap_or_default());
        Err(Refusal::new(format!("{name} must be {rule}, is {value}")))
    }
}

/// A name that rclone could have; anything else is not repeated, it may be a key.
fn shown(name: &str) -> &str {
    let plain = name.len() <= 60
        && name.strip_prefix("--").is_some_and(|rest| !rest.is_empty())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if plain { name } else { "this" }
}
