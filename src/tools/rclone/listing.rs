//! What rclone lists, and the questions that are answered by a list.

use std::process::Command;

use anyhow::{Context as _, Result, anyhow, bail};
use chrono::DateTime;
use serde::Deserialize;

use super::payload::Payload;
use super::{Rclone, args, split};
use crate::process::{ChildError, Stdout};
use crate::step::Label;
use crate::timestamp::Timestamp;

/// An object in a listing.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Object {
    /// Below what was listed.
    pub path: String,
    /// In bytes; -1 for a directory.
    pub size: i64,
    /// Whether it stands for a prefix.
    #[serde(default)]
    pub is_dir: bool,
    /// When it was stored, where that was asked for.
    #[serde(default)]
    pub mod_time: Option<String>,
    /// By name; rclone calls MD5 `md5`.
    #[serde(default)]
    hashes: Option<Hashes>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
struct Hashes {
    #[serde(default)]
    md5: String,
}

impl Object {
    /// The MD5 that the server keeps, in hexadecimal, if it keeps one.
    pub(crate) fn md5(&self) -> Option<&str> {
        self.hashes
            .as_ref()
            .map(|hashes| hashes.md5.as_str())
            .filter(|md5| !md5.is_empty())
    }
}

/// What the bucket answered.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answer {
    /// The server's clock, from the answer's `Date` header.
    pub clock: Option<Timestamp>,
    /// What it holds of what was asked for.
    pub objects: Vec<Object>,
}

impl Rclone {
    /// Lists what these filter patterns include, and reads the server's clock from the answer.
    ///
    /// # Errors
    /// Where the bucket cannot be asked.
    pub(crate) fn ask(&self, label: Label, include: &[String]) -> Result<Answer> {
        self.answer(label, args::ask(&self.program, &self.remote, include))
    }

    /// Lists the objects of a folder (paths are names in it), and reads the server's clock from the answer. A folder
    /// that is not there is an empty one; a bucket that is not there is an error.
    ///
    /// # Errors
    /// Where the bucket cannot be asked.
    pub(crate) fn list_folder(&self, label: Label, folder: &str) -> Result<Answer> {
        let command = args::list_folder(&self.program, &self.remote, folder, false);
        self.answer(label, command)
    }

    /// The folders in a folder, by name.
    ///
    /// # Errors
    /// Where the bucket cannot be asked.
    pub(crate) fn list_dirs(&self, label: Label, folder: &str) -> Result<Vec<String>> {
        let command = args::list_folder(&self.program, &self.remote, folder, true);
        let objects = self.answer(label, command)?.objects.into_iter();
        Ok(objects.map(|object| object.path).collect())
    }

    /// When the hidden versions of an object were written, RFC 3339; oldest first.
    ///
    /// # Errors
    /// Where the bucket cannot be asked, or keeps no versions that could be listed.
    pub(crate) fn hidden_versions(
        &self,
        label: Label,
        folder: &str,
        name: &str,
    ) -> Result<Vec<String>> {
        let command = args::list_versions(&self.program, &self.remote, folder, name);
        let mut times = Vec::new();
        self.list(
            label,
            command,
            None,
            &mut |object| times.extend(object.mod_time),
            None,
        )?;
        times.sort();
        Ok(times)
    }

    fn answer(&self, label: Label, command: Command) -> Result<Answer> {
        let mut clock = None;
        let mut overhear = |text: &str| clock = date_header(text).or(clock);
        let mut objects = Vec::new();
        self.list(
            label,
            command,
            None,
            &mut |object| objects.push(object),
            Some(&mut overhear),
        )
        .map_err(|error| self.asked(error))?;
        Ok(Answer { clock, objects })
    }

    /// rclone says "directory not found" (3, in every version) of a bucket that is not there.
    fn asked(&self, error: anyhow::Error) -> anyhow::Error {
        let (bucket, endpoint) = (&self.remote.bucket, &self.remote.endpoint);
        match error.downcast_ref::<ChildError>().and_then(ChildError::code) {
            Some(3) => error.context(format!(
                "there is no bucket {bucket} at {endpoint}, and it is never created: create it, or correct remote.bucket \
                 and remote.endpoint"
            )),
            _ => error.context(format!("listing the bucket {bucket} at {endpoint}")),
        }
    }

    /// Lists all below a prefix, names as [`super::names::listed`] gives them, with the MD5 of each where that is asked
    /// for.
    ///
    /// # Errors
    /// Where the bucket cannot be asked.
    pub(crate) fn list_below(
        &self,
        label: Label,
        below: &str,
        hashes: bool,
        take: &mut dyn FnMut(Object),
    ) -> Result<()> {
        let command = args::list_below(&self.program, &self.remote, below, hashes);
        self.list(label, command, None, take, None)
    }

    /// One object, if it is there.
    ///
    /// # Errors
    /// Where the bucket cannot be asked.
    pub(crate) fn stat(&self, label: Label, key: &str) -> Result<Option<Object>> {
        let (folder, name) = split(key);
        let names = Payload::write(|writer| writeln!(writer, "{name}"))?;
        let command = args::stat(&self.program, &self.remote, folder);
        let mut found = None;
        let mut take = |object: Object| found = Some(object);
        self.list(label, command, Some(&names), &mut take, None)?;
        Ok(found)
    }

    pub(super) fn found(&self, label: Label, command: Command) -> Result<Option<Object>> {
        let mut text = Vec::new();
        let mut take = |bytes: &[u8]| text.extend_from_slice(bytes);
        let mut job = self.small(label, command);
        job.stdout = Stdout::Bytes(&mut take);
        match self.runner.run(job) {
            Ok(_) => {}
            // 3 and 4 are "directory" and "object not found" in every version.
            Err(error) if matches!(error.code(), Some(3 | 4)) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        let object: Object =
            serde_json::from_slice(&text).context("what `rclone lsjson --stat` printed")?;
        Ok(Some(object).filter(|object| !object.is_dir))
    }

    fn list<'j>(
        &self,
        label: Label,
        command: Command,
        names: Option<&Payload>,
        take: &mut dyn FnMut(Object),
        overhear: Option<&'j mut (dyn FnMut(&str) + 'j)>,
    ) -> Result<()> {
        let (mut bad, mut closed) = (None, false);
        let mut line = |bytes: &[u8]| match parse_line(bytes) {
            Ok(Some(object)) => take(object),
            Ok(None) => closed |= bytes.trim_ascii().ends_with(b"]"),
            Err(error) => bad = Some(error),
        };
        let mut job = self.small(label, command);
        job.stdout = Stdout::Lines(&mut line);
        job.stdin = names.map(Payload::reader).transpose()?;
        if let Some(overhear) = overhear {
            job.overhear = Some(overhear);
        }
        self.runner.run(job)?;
        match bad {
            Some(error) => Err(error.context("what `rclone lsjson` printed")),
            None if !closed => Err(anyhow!("`rclone lsjson` printed half a list")),
            None => Ok(()),
        }
    }
}

/// One line of `lsjson`, which documents that it writes an item a line.
fn parse_line(line: &[u8]) -> Result<Option<Object>> {
    let line = line.trim_ascii();
    let line = line.strip_suffix(b",").unwrap_or(line);
    if matches!(line, b"" | b"[" | b"]" | b"[]") {
        return Ok(None);
    }
    let object: Object = serde_json::from_slice(line)
        .with_context(|| format!("the line {:.200}", String::from_utf8_lossy(line)))?;
    if object.size < 0 && !object.is_dir {
        bail!("{} has no size", object.path);
    }
    Ok(Some(object))
}

/// The `Date` of a dumped HTTP answer (RFC 9110, 6.6.1).
fn date_header(text: &str) -> Option<Timestamp> {
    if !text.starts_with("HTTP/") {
        return None;
    }
    let date = text.lines().find_map(|line| line.strip_prefix("Date: "))?;
    Timestamp::from_unix(DateTime::parse_from_rfc2822(date.trim()).ok()?.timestamp())
}

/// Bytes in hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// MD5 in the listing's form.
///
/// # Errors
/// Where the text is no MD5.
pub(crate) fn parse_md5(text: &str) -> Result<[u8; 16]> {
    let bad = || anyhow!("{text:?} is no MD5");
    let mut md5 = [0; 16];
    if text.len() != 32 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(bad());
    }
    for (index, byte) in md5.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * index..2 * index + 2], 16).map_err(|_| bad())?;
    }
    Ok(md5)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_is_read_a_line_at_a_time() {
        let line = br#"{"Path":"a/b","Name":"b","Size":1,"ModTime":"","IsDir":false,"Hashes":{"md5":"9dd4e461268c8034f5c8564e155c67a6"},"Tier":"STANDARD"},"#;
        let object = parse_line(line).expect("it is whole").expect("an object");
        assert_eq!((object.path.as_str(), object.size), ("a/b", 1));
        assert!(parse_md5(object.md5().expect("an MD5")).is_ok());
        for nothing in [&b"["[..], b"]", b"", b"  "] {
            assert_eq!(parse_line(nothing).expect("no object"), None);
        }
        assert!(parse_line(b"{\"Path\":").is_err());
    }

    #[test]
    fn the_servers_clock_is_read_from_an_answer_and_not_from_a_request() {
        let answer = "HTTP/1.1 200 OK\r\nServer: x\r\nDate: Tue, 24 Nov 2026 07:19:03 GMT\r\n\r\n";
        assert_eq!(
            date_header(answer).expect("a date").to_string(),
            "2026-11-24T07-19-03Z"
        );
        assert_eq!(
            date_header("GET / HTTP/1.1\r\nDate: Tue, 24 Nov 2026 07:19:03 GMT\r\n"),
            None
        );
    }
}
