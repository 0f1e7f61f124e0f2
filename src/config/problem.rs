//! What is wrong with a configuration, in words for the person who has to mend it.
//!
//! A value's parser knows what is wrong and what would be right, but not where the value stands;
//! the reader knows where. So there are two types: [`Refusal`] for the former, [`Problem`] for
//! both together. Neither ever quotes a whole line of the file: a password pasted into the wrong
//! place must not come out again in a log.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

/// Longest piece of a value that a message repeats, in characters.
const QUOTE_LIMIT: usize = 80;

/// Why a value was refused, and what would have been right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The rule and the value that breaks it: `must be relative, is "/x"`.
    pub what: String,
    /// What to write in its place.
    pub remedy: String,
}

impl Refusal {
    pub(super) fn new(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            remedy: remedy.into(),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.what, self.remedy)
    }
}

impl std::error::Error for Refusal {}

/// One thing that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Problem {
    /// The key's path, `datasets.falkordb.path`; empty where the file as a whole is at fault.
    pub key: String,
    /// The line of the file, counted from 1.
    pub line: Option<usize>,
    /// The rule and the value that breaks it.
    pub what: String,
    /// What would be right.
    pub remedy: String,
}

/// Everything that is wrong with a configuration, in the order of the file. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problems {
    /// The file that was read or was to be read.
    pub source: Option<PathBuf>,
    /// The problems, first line first.
    pub list: Vec<Problem>,
}

impl Problems {
    /// For `--json`: `{"source": …, "problems": [{"key", "line", "what", "remedy"}, …]}`.
    #[must_use]
    pub(crate) fn to_json(&self) -> serde_json::Value {
        let source = self
            .source
            .as_deref()
            .map(|path| path.to_string_lossy().into_owned());
        serde_json::json!({ "source": source, "problems": self.list })
    }
}

/// One line a problem: `FILE:LINE: KEY: WHAT; REMEDY`.
impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.list.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            match &self.source {
                Some(path) => write!(f, "{}", path.display())?,
                None => f.write_str("configuration")?,
            }
            if let Some(line) = problem.line {
                write!(f, ":{line}")?;
            }
            f.write_str(": ")?;
            if !problem.key.is_empty() {
                write!(f, "{}: ", problem.key)?;
            }
            write!(f, "{}; {}", problem.what, problem.remedy)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// The value in quotation marks, control characters escaped, long ones cut: always one line.
pub(super) fn quoted(text: &str) -> String {
    let mut shown = String::new();
    for c in text.chars().take(QUOTE_LIMIT) {
        match c {
            '\'' => shown.push(c),
            _ => shown.extend(c.escape_debug()),
        }
    }
    if text.chars().nth(QUOTE_LIMIT).is_some() {
        shown.push('…');
    }
    format!("\"{shown}\"")
}
