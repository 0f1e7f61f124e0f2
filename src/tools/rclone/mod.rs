//! rclone, against the one remote that we define for it.
//!
//! The remote lives in the child's environment, with the keys under the AWS names: under rclone's own
//! names, `-vv` prints them in clear. An empty `RCLONE_CONFIG` keeps a stray rclone.conf out. Exit codes 1
//! and 2 mean different things in different versions, so only 0 and "not 0" count here.

pub mod args;
mod log;
pub mod names;
pub mod payload;
pub mod tuning;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use chrono::DateTime;
use serde::Deserialize;

use crate::config::Remote;
use crate::credentials::Credentials;
use crate::exec::{Capability, ChildError, Finished, Job, Label, Privileges, Runner, Stdout};
use crate::timestamp::Timestamp;
use payload::Payload;

/// What rclone may do: read the snapshot.
pub const PRIVILEGES: Privileges = Privileges::Only(&[Capability::DacReadSearch]);
/// For a question or a small object. rclone's own retries end long before.
const SMALL: Duration = Duration::from_secs(10 * 60);
/// How often a small object is tried again from the start, beyond rclone's own retries.
const ATTEMPTS: u32 = 2;

/// rclone at a place, with a remote.
#[derive(Clone)]
pub struct Rclone {
    /// Absolute.
    pub program: PathBuf,
    /// Bucket, endpoint, limits.
    pub remote: Remote,
    /// The two keys.
    pub credentials: Credentials,
    /// Runs it.
    pub runner: Runner,
}

/// An object in a listing.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Object {
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
    pub fn md5(&self) -> Option<&str> {
        self.hashes
            .as_ref()
            .map(|hashes| hashes.md5.as_str())
            .filter(|md5| !md5.is_empty())
    }
}

/// What the bucket answered.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// The server's clock, from the answer's `Date` header.
    pub clock: Option<Timestamp>,
    /// What it holds of what was asked for.
    pub objects: Vec<Object>,
}

impl Rclone {
    /// The whole environment of every rclone.
    pub fn environment(&self) -> Vec<(OsString, OsString)> {
        let mut env = super::clean_environment();
        env.extend(args::REMOTE_VARIABLES.map(|(name, value)| (name.into(), value.into())));
        env.push((
            "AWS_ACCESS_KEY_ID".into(),
            self.credentials.key_id.expose().into(),
        ));
        env.push((
            "AWS_SECRET_ACCESS_KEY".into(),
            self.credentials.app_key.expose().into(),
        ));
        env
    }

    /// Lists what these filter patterns include, and reads the server's clock from the answer.
    ///
    /// # Errors
    /// Where the bucket cannot be asked.
    pub fn ask(&self, label: Label, include: &[String]) -> Result<Answer> {
        self.answer(label, args::ask(&self.program, &self.remote, include)?)
    }

    /// Lists the objects of a folder (paths are names in it), and reads the server's clock from the answer. A folder
    /// that is not there is an empty one; a bucket that is not there is an error.
    ///
    /// # Errors
    /// Where the bucket cannot be asked.
    pub fn list_folder(&self, label: Label, folder: &str) -> Result<Answer> {
        let command = args::list_folder(&self.program, &self.remote, folder, false)?;
        self.answer(label, command)
    }

    /// The folders in a folder, by name.
    ///
    /// # Errors
    /// Where the bucket cannot be asked.
    pub fn list_dirs(&self, label: Label, folder: &str) -> Result<Vec<String>> {
        let command = args::list_folder(&self.program, &self.remote, folder, true)?;
        let objects = self.answer(label, command)?.objects.into_iter();
        Ok(objects.map(|object| object.path).collect())
    }

    /// When the hidden versions of an object were written, RFC 3339; oldest first.
    ///
    /// # Errors
    /// Where the bucket cannot be asked, or keeps no versions that could be listed.
    pub fn hidden_versions(&self, label: Label, folder: &str, name: &str) -> Result<Vec<String>> {
        let command = args::list_versions(&self.program, &self.remote, folder, name)?;
        let mut times = Vec::new();
        self.list(
            label,
            command,
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

    /// Lists all below a prefix, names as [`names::listed`] gives them, with the MD5 of each.
    ///
    /// # Errors
    /// Where the bucket cannot be asked.
    pub fn list_hashes(
        &self,
        label: Label,
        below: &str,
        take: &mut dyn FnMut(Object),
    ) -> Result<()> {
        let command = args::list_hashes(&self.program, &self.remote, below)?;
        self.list(label, command, take, None)
    }

    /// Downloads all below a prefix and hashes it; names as [`names::listed`] gives them.
    ///
    /// # Errors
    /// Where something cannot be read.
    pub fn hash_downloads(
        &self,
        label: Label,
        below: &str,
        take: &mut dyn FnMut(&str, [u8; 16]),
    ) -> Result<()> {
        let mut bad = None;
        let mut line = |bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes);
            match text
                .split_once("  ")
                .map(|(md5, name)| (parse_md5(md5), name))
            {
                Some((Ok(md5), name)) => take(name, md5),
                _ => bad = Some(anyhow!("the line {text:.200}")),
            }
        };
        let mut job = self.job(
            label,
            args::hash_downloads(&self.program, &self.remote, below)?,
        );
        job.stdout = Stdout::Lines(&mut line);
        self.runner.run(job)?;
        bad.map_or(Ok(()), |error| {
            Err(error.context("what `rclone hashsum` printed"))
        })
    }

    /// One object, if it is there.
    ///
    /// # Errors
    /// Where the bucket cannot be asked.
    pub fn stat(&self, label: Label, key: &str) -> Result<Option<Object>> {
        let mut text = Vec::new();
        let mut take = |bytes: &[u8]| text.extend_from_slice(bytes);
        let mut job = self.small(label, args::stat(&self.program, &self.remote, key)?);
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

    /// Stores a small object; a second time where the first attempt failed.
    ///
    /// # Errors
    /// Where it could not be stored.
    pub fn put(&self, label: Label, key: &str, payload: &Payload) -> Result<()> {
        let mut attempt = 1;
        loop {
            match self.put_once(label.clone(), key, payload) {
                Ok(()) => return Ok(()),
                Err(error) if attempt >= ATTEMPTS || self.runner.interrupt.signal().is_some() => {
                    return Err(error.context(format!("storing {key}")));
                }
                Err(_) => attempt += 1,
            }
        }
    }

    fn put_once(&self, label: Label, key: &str, payload: &Payload) -> Result<()> {
        let mut job = self.small(label, args::rcat(&self.program, &self.remote, key)?);
        job.stdin = Some(payload.reader()?);
        self.runner.run(job)?;
        Ok(())
    }

    /// Reads an object, in pieces.
    ///
    /// # Errors
    /// Where it is not there or cannot be read.
    pub fn get(&self, label: Label, key: &str, take: &mut dyn FnMut(&[u8])) -> Result<()> {
        self.stream(label, args::cat(&self.program, &self.remote, key)?, take)
            .with_context(|| format!("reading {key}"))
    }

    /// Reads several objects of one folder, one after the other in no particular order.
    ///
    /// # Errors
    /// Where they cannot be read.
    pub fn get_all(
        &self,
        label: Label,
        folder: &str,
        names: &[String],
        take: &mut dyn FnMut(&[u8]),
    ) -> Result<()> {
        let context = || format!("reading {} objects below {folder}", names.len());
        let list = Payload::write(|writer| writer.write_all(names.join("\n").as_bytes()))
            .with_context(context)?;
        let command = args::cat_all(&self.program, &self.remote, folder)?;
        let mut job = self.small(label, command);
        job.stdin = Some(list.reader().with_context(context)?);
        job.stdout = Stdout::Bytes(take);
        self.runner.run(job).with_context(context)?;
        Ok(())
    }

    fn stream(&self, label: Label, command: Command, take: &mut dyn FnMut(&[u8])) -> Result<()> {
        let mut job = self.small(label, command);
        job.stdout = Stdout::Bytes(take);
        self.runner.run(job)?;
        Ok(())
    }

    /// Deletes one object.
    ///
    /// # Errors
    /// Where it is not there or cannot be deleted.
    pub fn delete(&self, label: Label, key: &str) -> Result<()> {
        let job = self.small(label, args::delete(&self.program, &self.remote, key)?);
        self.runner
            .run(job)
            .map(|_| ())
            .with_context(|| format!("deleting {key}"))
    }

    /// Deletes all below a prefix. Nothing there is no error.
    ///
    /// # Errors
    /// Where something cannot be deleted.
    pub fn delete_below(&self, label: Label, below: &str) -> Result<()> {
        let job = self.job(
            label,
            args::delete_below(&self.program, &self.remote, below)?,
        );
        match self.runner.run(job) {
            Ok(_) => Ok(()),
            Err(error) if error.code() == Some(3) => Ok(()),
            Err(error) => Err(error).with_context(|| format!("deleting what is below {below}")),
        }
    }

    /// Deletes one object, if it is there.
    ///
    /// # Errors
    /// Where it cannot be deleted.
    pub fn delete_if_there(&self, label: Label, key: &str) -> Result<()> {
        match self.stat(label.clone(), key)? {
            Some(_) => self.delete(label, key),
            None => Ok(()),
        }
    }

    /// Runs an upload or a download.
    ///
    /// # Errors
    /// Any exit code but 0.
    pub fn transfer(&self, label: Label, command: Command) -> Result<Finished> {
        Ok(self.runner.run(self.job(label, command))?)
    }

    fn small<'j>(&self, label: Label, command: Command) -> Job<'j> {
        let mut job = self.job(label, command);
        job.deadline = Some(SMALL);
        job.env
            .extend(args::SMALL_VARIABLES.map(|(name, value)| (name.into(), value.into())));
        job
    }

    fn job<'j>(&self, label: Label, command: Command) -> Job<'j> {
        Job {
            env: self.environment(),
            privileges: PRIVILEGES,
            understand: log::understand,
            ..Job::new("rclone", label, command)
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

/// MD5 in the listing's form.
///
/// # Errors
/// Where the text is no MD5.
pub fn parse_md5(text: &str) -> Result<[u8; 16]> {
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
