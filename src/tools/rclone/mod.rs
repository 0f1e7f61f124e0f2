//! rclone, against the one remote that we define for it.
//!
//! The remote lives in the child's environment, with the keys under the AWS names: under rclone's own
//! names, `-vv` prints them in clear. An empty `RCLONE_CONFIG` keeps a stray rclone.conf out. Exit codes 1
//! and 2 mean different things in different versions, so only 0 and "not 0" count here.

pub(crate) mod args;
pub(crate) mod cause;
mod listing;
mod log;
pub(crate) mod names;
pub(crate) mod payload;
pub(crate) mod tuning;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use md5::{Digest as _, Md5};

use crate::config::Remote;
use crate::process::{Capability, Job, Privileges, Runner, Stdout};
use crate::secrets::Credentials;
use crate::step::{Label, Transfer};
pub(crate) use listing::{Answer, Object, hex, parse_md5};
use payload::Payload;

/// What rclone may do: read the snapshot.
pub(crate) const PRIVILEGES: Privileges = Privileges::Only(&[Capability::DacReadSearch]);
/// For a question or a small object. rclone's own retries end long before.
const SMALL: Duration = Duration::from_secs(10 * 60);

/// A name, and an MD5.
type Hashed<'a> = (&'a str, [u8; 16]);

/// rclone at a place, with a remote.
#[derive(Clone)]
pub(crate) struct Rclone {
    pub program: PathBuf,
    pub remote: Remote,
    pub credentials: Credentials,
    pub runner: Runner,
}

impl Rclone {
    /// The whole environment of every rclone.
    pub(crate) fn environment(&self) -> Vec<(OsString, OsString)> {
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

    /// Downloads all below a prefix but these names and hashes it; names as [`names::listed`] gives them.
    ///
    /// # Errors
    /// Where something cannot be read.
    pub(crate) fn hash_downloads(
        &self,
        label: Label,
        below: &str,
        without: &[&str],
        take: &mut dyn FnMut(&str, [u8; 16]),
    ) -> Result<()> {
        let mut bad = None;
        let command = args::hash_downloads(&self.program, &self.remote, below);
        self.hashes(label, command, without, None, &mut |line, md5| match md5 {
            Some((name, md5)) => take(name, md5),
            None => bad = Some(anyhow!("the line {line:.200}")),
        })?;
        bad.map_or(Ok(()), |error| {
            Err(error.context("what `rclone hashsum` printed"))
        })
    }

    /// The MD5s that the server keeps of what is below a prefix but for these names. An object without one is left out.
    ///
    /// # Errors
    /// Where the bucket cannot be asked.
    pub(crate) fn kept_hashes(
        &self,
        label: Label,
        below: &str,
        without: &[&str],
        take: &mut dyn FnMut(&str, [u8; 16]),
    ) -> Result<()> {
        let command = args::kept_hashes(&self.program, &self.remote, below);
        self.hashes(label, command, without, Some(SMALL), &mut |_, md5| {
            if let Some((name, md5)) = md5 {
                take(name, md5);
            }
        })
    }

    /// Each line that `hashsum` prints, and what it says.
    fn hashes(
        &self,
        label: Label,
        command: Command,
        without: &[&str],
        deadline: Option<Duration>,
        take: &mut dyn FnMut(&str, Option<Hashed<'_>>),
    ) -> Result<()> {
        let patterns = Payload::write(|writer| {
            let mut each = without.iter();
            each.try_for_each(|name| writeln!(writer, "{}", args::whole_name(name)))
        })?;
        let mut line = |bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes);
            let halves = text.split_once("  ");
            let parsed = halves.and_then(|(md5, name)| Some((name, parse_md5(md5).ok()?)));
            take(&text, parsed);
        };
        let mut job = self.job(label, command);
        job.deadline = deadline;
        job.stdin = Some(patterns.reader()?);
        job.stdout = Stdout::Lines(&mut line);
        self.runner.run(job)?;
        Ok(())
    }

    /// The MD5 that the server keeps of a file's object, if that is there and it keeps one.
    ///
    /// # Errors
    /// Where the bucket cannot be asked.
    pub(crate) fn kept_md5(
        &self,
        label: Label,
        below: &str,
        path: &[u8],
    ) -> Result<Option<[u8; 16]>> {
        let command = args::stat_file(&self.program, &self.remote, below, path);
        let object = self.found(label, command)?;
        Ok(object.and_then(|object| parse_md5(object.md5()?).ok()))
    }

    /// Downloads the object of a file of this size in bytes, and hashes it. An object that is not there has none, as an
    /// empty one has.
    ///
    /// # Errors
    /// Where as many cannot be read.
    pub(crate) fn downloaded_md5(
        &self,
        label: Label,
        below: &str,
        path: &[u8],
        size: u64,
    ) -> Result<[u8; 16]> {
        let (mut md5, mut read) = (Md5::new(), 0);
        let mut take = |bytes: &[u8]| {
            md5.update(bytes);
            read += bytes.len() as u64;
        };
        let command = args::cat_file(&self.program, &self.remote, below, path);
        let mut job = self.job(label, command);
        job.stdout = Stdout::Bytes(&mut take);
        self.runner.run(job)?;
        ensure!(
            read == size,
            "of {}, which has {size} bytes, {read} were read",
            names::listed(path)
        );
        Ok(md5.finalize().into())
    }

    /// Stores a small object; a second time where the first attempt failed.
    ///
    /// # Errors
    /// Where it could not be stored. A failure that precedes a signal is the one that is reported.
    pub(crate) fn put(&self, label: Label, key: &str, payload: &Payload) -> Result<()> {
        let again = |first: anyhow::Error| {
            if self.runner.interrupt.signal().is_some() {
                return Err(first);
            }
            let second = self.put_once(label.clone(), key, payload);
            second.map_err(|second| {
                if self.runner.interrupt.signal().is_some() {
                    first
                } else {
                    second
                }
            })
        };
        let stored = self.put_once(label.clone(), key, payload).or_else(again);
        stored.with_context(|| format!("storing {key}"))
    }

    /// Stores a small object, in one attempt.
    ///
    /// # Errors
    /// Where it could not be stored.
    pub(crate) fn put_once(&self, label: Label, key: &str, payload: &Payload) -> Result<()> {
        let mut job = self.small(label, args::rcat(&self.program, &self.remote, key));
        job.deadline = Some(deadline(payload.size()?));
        job.stdin = Some(payload.reader()?);
        self.runner.run(job)?;
        Ok(())
    }

    /// Reads an object, in pieces.
    ///
    /// # Errors
    /// Where it is not there or cannot be read.
    pub(crate) fn get(&self, label: Label, key: &str, take: &mut dyn FnMut(&[u8])) -> Result<()> {
        self.get_sized(label, key, 0, take)
    }

    /// The same for an object of about so many bytes, which may take its time.
    ///
    /// # Errors
    /// Where it is not there or cannot be read.
    pub(crate) fn get_sized(
        &self,
        label: Label,
        key: &str,
        size: u64,
        take: &mut dyn FnMut(&[u8]),
    ) -> Result<()> {
        let (folder, name) = split(key);
        self.stream(label, folder, &[name], size, take)
            .with_context(|| format!("reading {key}"))
    }

    /// Reads several objects of one folder, one after the other in no particular order.
    ///
    /// # Errors
    /// Where they cannot be read.
    pub(crate) fn get_all(
        &self,
        label: Label,
        folder: &str,
        names: &[String],
        take: &mut dyn FnMut(&[u8]),
    ) -> Result<()> {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        self.stream(label, folder, &names, 0, take)
            .with_context(|| format!("reading {} objects below {folder}", names.len()))
    }

    fn stream(
        &self,
        label: Label,
        folder: &str,
        names: &[&str],
        size: u64,
        take: &mut dyn FnMut(&[u8]),
    ) -> Result<()> {
        let list = Payload::write(|writer| writer.write_all(names.join("\n").as_bytes()))?;
        let command = args::cat(&self.program, &self.remote, folder);
        let mut job = self.small(label, command);
        job.deadline = Some(deadline(size));
        job.stdin = Some(list.reader()?);
        job.stdout = Stdout::Bytes(take);
        self.runner.run(job)?;
        Ok(())
    }

    /// Deletes one object.
    ///
    /// # Errors
    /// Where it is not there or cannot be deleted.
    pub(crate) fn delete(&self, label: Label, key: &str) -> Result<()> {
        self.small_command(label, args::delete(&self.program, &self.remote, key))
            .with_context(|| format!("deleting {key}"))
    }

    /// Runs a command about a small object.
    ///
    /// # Errors
    /// Any exit code but 0.
    pub(crate) fn small_command(&self, label: Label, command: Command) -> Result<()> {
        self.runner.run(self.small(label, command))?;
        Ok(())
    }

    /// Deletes all below a prefix. Nothing there is no error.
    ///
    /// # Errors
    /// Where something cannot be deleted.
    pub(crate) fn delete_below(&self, label: Label, below: &str) -> Result<()> {
        let job = self.job(
            label,
            args::delete_below(&self.program, &self.remote, below),
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
    pub(crate) fn delete_if_there(&self, label: Label, key: &str) -> Result<()> {
        match self.stat(label.clone(), key)? {
            Some(_) => self.delete(label, key),
            None => Ok(()),
        }
    }

    /// Copies files from one prefix to another on the server.
    ///
    /// # Errors
    /// Any exit code but 0.
    pub(crate) fn copy_within(
        &self,
        label: Label,
        from: &str,
        to: &str,
        names: &Payload,
        largest: u64,
    ) -> Result<()> {
        let command = args::copy_within(&self.program, &self.remote, from, to, largest);
        let mut job = self.job(label, command);
        job.stdin = Some(names.reader()?);
        self.runner.run(job)?;
        Ok(())
    }

    /// Runs an upload or a download.
    ///
    /// # Errors
    /// Any exit code but 0.
    pub(crate) fn transfer(&self, label: Label, command: Command) -> Result<Transfer> {
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

/// For an object of so many bytes over a link of at least 128 kbit/s.
fn deadline(bytes: u64) -> Duration {
    SMALL + Duration::from_secs(bytes / (16 << 10))
}

/// The folder of a key, with its slash, and the name in it.
fn split(key: &str) -> (&str, &str) {
    key.split_at(key.rfind('/').map_or(0, |slash| slash + 1))
}
