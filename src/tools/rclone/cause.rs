//! Why rclone failed, found once in what it printed.
//!
//! S3 error codes are matched as whole words: a request id may contain "403". The codes are those of
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html> and of Backblaze's S3 API.

use std::fmt;

use crate::process::ChildError;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    NameNotResolved,
    ConnectionRefused,
    TimedOut,
    Tls,
    KeyRefused,
    /// The key is valid and may not do this.
    KeyLacksRight,
    /// Backblaze's "Caps & Alerts".
    CapExceeded,
    ClockSkewed,
    NoSuchBucket,
    SlowDown,
    Other,
}

/// What identifies a cause in rclone's output, the most specific first.
const SIGNS: [(Cause, &[&str]); 10] = [
    (Cause::CapExceeded, &["cap exceeded"]),
    (Cause::ClockSkewed, &["RequestTimeTooSkewed"]),
    (Cause::NoSuchBucket, &["NoSuchBucket"]),
    (
        Cause::KeyRefused,
        &[
            "SignatureDoesNotMatch",
            "InvalidAccessKeyId",
            "InvalidSecurity",
        ],
    ),
    (
        Cause::KeyLacksRight,
        &["AccessDenied", "Access Denied", "Forbidden", "403"],
    ),
    (
        Cause::SlowDown,
        &[
            "SlowDown",
            "ServiceUnavailable",
            "TooManyRequests",
            "503",
            "429",
        ],
    ),
    (
        Cause::NameNotResolved,
        &["no such host", "server misbehaving"],
    ),
    (Cause::ConnectionRefused, &["connection refused"]),
    (Cause::Tls, &["x509", "tls"]),
    (
        Cause::TimedOut,
        &[
            "i/o timeout",
            "deadline exceeded",
            "timed out",
            "TLS handshake timeout",
        ],
    ),
];

impl Cause {
    /// The cause of an error; [`Cause::Other`] where rclone did not run or printed nothing that is known.
    pub(crate) fn of(error: &anyhow::Error) -> Self {
        error
            .downcast_ref::<ChildError>()
            .map_or(Self::Other, |child| Self::in_output(&child.tail))
    }

    fn in_output(text: &str) -> Self {
        let found = SIGNS
            .iter()
            .find(|(_, signs)| signs.iter().any(|sign| has_word(text, sign)));
        found.map_or(Self::Other, |(cause, _)| *cause)
    }

    /// Whether the server answered and refused the request.
    pub(crate) fn is_refusal(self) -> bool {
        matches!(
            self,
            Self::KeyRefused | Self::KeyLacksRight | Self::CapExceeded
        )
    }

    /// What an operator does about it.
    pub(crate) fn remedy(self) -> &'static str {
        match self {
            Self::KeyRefused => {
                "the key is refused: compare B2_KEY_ID and B2_APP_KEY with the application key"
            }
            Self::KeyLacksRight => {
                "the key is refused: check remote.bucket, and that the key may listFiles, readFiles and writeFiles there"
            }
            Self::CapExceeded => "a cap is reached: raise it under \"Caps & Alerts\" at Backblaze",
            Self::ClockSkewed => "set the clock (timedatectl)",
            Self::NoSuchBucket => "create the bucket, or correct remote.bucket and remote.endpoint",
            Self::SlowDown => "the server is overloaded: the next run tries again",
            Self::Tls => "check remote.endpoint, the clock, and the certificates of this system",
            Self::NameNotResolved | Self::ConnectionRefused | Self::TimedOut | Self::Other => {
                "check remote.bucket and remote.endpoint, which are per region, and the network"
            }
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NameNotResolved => "name not resolved",
            Self::ConnectionRefused => "connection refused",
            Self::TimedOut => "timed out",
            Self::Tls => "TLS failed",
            Self::KeyRefused => "key refused",
            Self::KeyLacksRight => "key lacks a right",
            Self::CapExceeded => "cap exceeded",
            Self::ClockSkewed => "clock skewed",
            Self::NoSuchBucket => "no such bucket",
            Self::SlowDown => "server overloaded",
            Self::Other => "unknown cause",
        })
    }
}

/// Whether the text has the word, with no letter or digit beside it.
fn has_word(text: &str, word: &str) -> bool {
    let is_part = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        !is_part(before) && !is_part(after)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_found_by_whole_words() {
        for (text, cause) in [
            (
                "AccessDenied: Access Denied\n\tstatus code: 403, request id: 1",
                Cause::KeyLacksRight,
            ),
            (
                "StatusCode: 503, RequestID: a403b, api error SlowDown",
                Cause::SlowDown,
            ),
            (
                "InvalidAccessKeyId: The key is not valid. status code: 403",
                Cause::KeyRefused,
            ),
            (
                "AccessDenied: storage cap exceeded, see Caps & Alerts",
                Cause::CapExceeded,
            ),
            ("RequestTimeTooSkewed: 403", Cause::ClockSkewed),
            (
                "dial tcp 127.0.0.1:9: connect: connection refused",
                Cause::ConnectionRefused,
            ),
            (
                "dial tcp: lookup nowhere.invalid: no such host",
                Cause::NameNotResolved,
            ),
            (
                "tls: failed to verify certificate: x509: unknown authority",
                Cause::Tls,
            ),
            ("net/http: TLS handshake timeout", Cause::TimedOut),
            ("read tcp: i/o timeout", Cause::TimedOut),
            ("NoSuchBucket: status code: 404", Cause::NoSuchBucket),
            ("request id 1403", Cause::Other),
            ("", Cause::Other),
        ] {
            assert_eq!(Cause::in_output(text), cause, "{text}");
        }
    }
}
