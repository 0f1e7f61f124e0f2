//! `remote.extra_args`: which flags may be added to rclone's command line.
//!
//! An allow-list by exact name: a flag that a later rclone brings is refused until somebody has examined it. Taken from
//! `rclone help flags` of 1.60.1 and 1.75.2. rclone checks the values in preflight; only what rclone accepts and what
//! would harm a backup is refused here.

use super::problem::{Refusal, refuse};
use super::values::checked_text;

checked_text!(
    /// `--flag` or `--flag=value`. One element each: a value in an element of its own could become a path to upload.
    ExtraArg,
    check
);

// None of these changes what is stored, where, or what `verify` compares.

/// Without a value, or `true` or `false`. `--s3-no-head` skips rclone's look at what it has just sent; `verify` looks at
/// everything.
const SWITCHES: &str = "--s3-no-head --s3-no-system-metadata --s3-force-path-style --s3-disable-http2 \
    --s3-requester-pays --s3-use-presigned-request --s3-v2-auth";

/// With `--retries 0` rclone 1.60.1 does nothing and exits 0; a timeout of 0 waits for ever.
const NOT_ZERO: &str = "--transfers --checkers --tpslimit --tpslimit-burst --timeout --contimeout --retries \
    --low-level-retries --s3-chunk-size --s3-upload-concurrency --s3-max-upload-parts --s3-list-chunk";

const WITH_VALUE: &str = "--expect-continue-timeout --retries-sleep --s3-copy-cutoff --s3-upload-cutoff \
    --s3-use-multipart-uploads --s3-use-multipart-etag --s3-list-url-encode --s3-list-version --s3-region \
    --s3-sign-accept-encoding --s3-use-accept-encoding-gzip --s3-use-data-integrity-protections \
    --s3-use-unsigned-payload --s3-use-x-id";

const ONE_OF: &[(&str, &str)] = &[
    // A public ACL would publish the backup.
    (
        "--s3-acl",
        "private bucket-owner-read bucket-owner-full-control",
    ),
    // Off, rclone would create a missing bucket.
    ("--s3-no-check-bucket", "true"),
    // With aws:kms an ETag is no MD5, and every listing would cost a request per object.
    ("--s3-server-side-encryption", "AES256"),
    // Objects in GLACIER and DEEP_ARCHIVE cannot be read at once.
    (
        "--s3-storage-class",
        "STANDARD REDUCED_REDUNDANCY STANDARD_IA ONEZONE_IA INTELLIGENT_TIERING GLACIER_IR",
    ),
];

fn check(text: &str) -> Result<(), Refusal> {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    let among = |list: &str, word| list.split_whitespace().any(|other| other == word);
    let choices = ONE_OF.iter().find(|(flag, _)| *flag == name);
    let (fits, rule) = if among(SWITCHES, name) {
        let fits = text == name || among("true false", value);
        (fits, "nothing, =true or =false".to_owned())
    } else if among(NOT_ZERO, name) {
        let fits = value.contains(|c| matches!(c, '1'..='9'));
        (fits, "a value above 0".to_owned())
    } else if among(WITH_VALUE, name) {
        let fits = !value.is_empty() && !value.contains('\0');
        (fits, "a value".to_owned())
    } else if let Some((_, choices)) = choices {
        (among(choices, value), format!("one of {choices}"))
    } else {
        return Err(Refusal::new(format!(
            "{} is not among the allowed flags",
            shown(name)
        )));
    };
    if fits {
        Ok(())
    } else {
        refuse(&format!("{name} needs {rule}"), value)
    }
}

/// A name that rclone could have; anything else is not printed: it may be a key.
fn shown(name: &str) -> &str {
    let plain = name.len() <= 60
        && name.strip_prefix("--").is_some_and(|rest| !rest.is_empty())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if plain { name } else { "this" }
}
