//! What is wrong with a configuration: where, which rule, and what to write instead.
//!
//! No message repeats a whole line of the file or the value of an unknown key: either may be a password.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

/// The longest part of a value that a message repeats, in characters.
const QUOTE_LIMIT: usize = 80;
/// The longest description, in characters.
const WHAT_LIMIT: usize = 400;

/// The rule that a value violates, and the value: `must be relative, is "/x"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal(String);

impl Refusal {
    pub(super) fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

/// A rule and the value that violates it.
pub(super) fn refuse<T>(rule: &str, value: &str) -> Result<T, Refusal> {
    Err(Refusal::new(format!("{rule}, is {}", quoted(value))))
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refusal {}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Problem {
    /// The key's path, `datasets.falkordb.path`; empty where the file as a whole is at fault.
    pub key: String,
    /// Counted from 1.
    pub line: Option<usize>,
    pub what: String,
    pub remedy: &'static str,
}

impl Problem {
    /// `what` becomes one line of bounded length.
    pub(super) fn new(key: String, line: Option<usize>, what: &str, remedy: &'static str) -> Self {
        let plain = what.chars().take(WHAT_LIMIT);
        let plain = plain.map(|c| if c.is_control() { ' ' } else { c });
        Self {
            key,
            line,
            what: plain.collect(),
            remedy,
        }
    }
}

/// Never empty; in the order of the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Problems {
    /// The file that was read or was to be read.
    pub source: Option<PathBuf>,
    #[serde(rename = "problems")]
    pub list: Vec<Problem>,
}

/// A line for each problem: `FILE:LINE: KEY: WHAT; REMEDY`.
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

/// What to write for a key that is refused, by its name.
pub(super) fn remedy(name: &str) -> &'static str {
    match name {
        "subvolume" | "snapshot_dir" | "env_file" | "state_file" | "textfile" => {
            "write the whole path, like \"/persist\", without \".\", \"..\" and a \"/\" at the end"
        }
        "former_subvolume_uuids" => "copy each UUID once from `btrfs subvolume show`",
        "save_timeout" | "timeout" => "write a time, like \"30m\" or \"7h30m\"",
        "max_data_age" => "write a time, like \"24h\", or \"off\"",
        "max_shrink" => "write a percentage, like \"50%\", or \"off\"",
        "path" => "write the path below the subvolume, like \"containers/falkordb\"",
        "format" => "write \"redis\" for FalkorDB, Valkey and Redis, \"files\" for anything else",
        "server" => "write \"127.0.0.1:6379\" or \"unix:/path\"",
        "server_password_variable" => "write the variable's name, never the password itself",
        "check" => "write a program and its arguments, like [\"valkey-check\", \"{dir}\"]",
        "command" | "stop" | "start" => {
            "write a list: a program by its name or whole path, then its arguments"
        }
        "bucket" => "write the bucket alone; what goes before the objects' names is remote.prefix",
        "prefix" => "write \"\" or a path that ends in \"/\", like \"host1/\"",
        "provider" => "write \"Other\" for Backblaze B2",
        "endpoint" => {
            "write a host, or https://host:port; the keys come from the environment or env_file"
        }
        "bandwidth" => "write what rclone takes for --bwlimit, like \"10M\", or \"\"",
        "memory" => "write a size, like \"256M\"",
        "extra_args" => {
            "write --flag=value with an allowed flag; credentials, endpoint and bandwidth have keys of their own"
        }
        "enable" | "incremental" => "write true or false, without quotation marks",
        "days" | "min_keep" => "write a whole number from 1 on, like 30",
        "daily" | "weekly" | "monthly" | "yearly" => "write a whole number; 0 disables the rule",
        _ => "write it as a table, like [remote] or [datasets.memory]",
    }
}

/// The value in quotation marks on one line, long ones cut.
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
