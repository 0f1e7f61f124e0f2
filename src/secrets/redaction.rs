//! Secrets and the one place where they are taken out of text.
//!
//! `Secret` has neither `Debug` nor `Display`, so that no format string can print one by accident; the
//! redactor knows the encoded forms too, because a tool that prints an HTTP header prints base64.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};

/// What stands where a secret stood.
const REDACTED: &str = "[redacted]";

/// A shorter line of a secret (`-----`, `}`) tells nothing, and would tear holes into every log.
const SHORTEST_LINE: usize = 8;

/// A value that must never be printed.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl Secret {
    pub(crate) fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value, for the environment of a child and nothing else.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

/// Takes secrets out of text, in every form in which a tool may print them.
#[derive(Clone, Default)]
pub(crate) struct Redactor {
    /// Longest first, so that a secret that contains another one goes as a whole.
    needles: Vec<String>,
}

impl Redactor {
    /// A redactor for these values; empty ones are ignored.
    pub(crate) fn new<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Self {
        let mut needles = Vec::new();
        for secret in secrets.into_iter().filter(|secret| !secret.is_empty()) {
            needles.extend(forms(secret));
            // Text is redacted a line at a time, so a secret of several lines (a PEM key) is several.
            let lines = secret
                .lines()
                .map(str::trim)
                .filter(|line| line.len() >= SHORTEST_LINE);
            needles.extend(lines.filter(|line| *line != secret).flat_map(forms));
        }
        needles.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        needles.dedup();
        Self { needles }
    }

    /// The text without the secrets.
    pub(crate) fn redact<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut out = Cow::Borrowed(text);
        for needle in &self.needles {
            if out.contains(needle.as_str()) {
                out = Cow::Owned(out.replace(needle.as_str(), REDACTED));
            }
        }
        out
    }

    /// Length in bytes of the longest form: how much of a cut line's end may be the half of a secret.
    pub(crate) fn longest(&self) -> usize {
        self.needles.first().map_or(0, String::len)
    }
}

/// A secret as tools print it: as it is, percent-encoded (RFC 3986, and as Python and browsers do it), in base64
/// (RFC 4648, both alphabets, padded or not), and inside a string of JSON, Python or Rust.
fn forms(secret: &str) -> Vec<String> {
    let json = serde_json::Value::from(secret).to_string();
    let json = json.get(1..json.len() - 1).unwrap_or_default().to_owned();
    let escaped = secret.replace('\\', r"\\");
    let mut forms = vec![
        secret.to_owned(),
        json.replace('/', r"\/"),
        json,
        escaped.replace('\'', r"\'"),
        escaped.replace('"', "\\\""),
        STANDARD.encode(secret),
        STANDARD_NO_PAD.encode(secret),
        URL_SAFE.encode(secret),
        URL_SAFE_NO_PAD.encode(secret),
    ];
    for kept in ["-._~", "-._~/", "-._~+", "-._~!*'()"] {
        let upper = percent_encoded(secret, kept, true);
        forms.extend([
            percent_encoded(secret, kept, false),
            upper.replace("%20", "+"),
            upper,
        ]);
    }
    forms
}

/// Everything but letters, digits and `kept`.
fn percent_encoded(text: &str, kept: &str, upper: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || kept.as_bytes().contains(&byte) {
            out.push(char::from(byte));
        } else if upper {
            out.push_str(&format!("%{byte:02X}"));
        } else {
            out.push_str(&format!("%{byte:02x}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_goes_in_each_form_a_tool_may_print() {
        let redactor = Redactor::new(["K004/a+b\"c", "0042"]);
        for form in [
            "K004/a+b\"c",
            "K004%2Fa%2Bb%22c",
            "K004/a%2Bb%22c",
            "K004%2fa%2bb%22c",
            "K004\\/a+b\\\"c",
            "SzAwNC9hK2IiYw",
            "SzAwNC9hK2IiYw==",
            "K004/a+b\\\"c",
        ] {
            let line = format!("auth <{form}> failed for 0042");
            assert_eq!(
                redactor.redact(&line),
                "auth <[redacted]> failed for [redacted]"
            );
        }
    }

    #[test]
    fn the_longer_of_two_overlapping_secrets_goes_whole() {
        let redactor = Redactor::new(["abcd", "abcdefgh"]);
        assert_eq!(redactor.redact("x abcdefgh y"), "x [redacted] y");
    }

    #[test]
    fn a_secret_of_several_lines_goes_line_by_line() {
        let redactor = Redactor::new(["-----BEGIN-----\nMIIEvQIBADAN\n}"]);
        assert_eq!(redactor.redact("MIIEvQIBADAN }"), "[redacted] }");
    }

    #[test]
    fn an_empty_secret_redacts_nothing() {
        assert_eq!(Redactor::new([""]).redact("text"), "text");
    }
}
