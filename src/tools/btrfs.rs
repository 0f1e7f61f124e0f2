//! btrfs-progs: snapshot, show, list, delete.
//!
//! Deletion goes by subvolume id and not by path: `btrfs subvolume delete LINK` follows a symlink and
//! deletes what it points to.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use uuid::Uuid;
use xshell::cmd;

use super::{clean_environment, shell};
use crate::process::{Job, LogLine, Runner, Stdout};
use crate::step::Label;

/// Btrfs gives the root of every subvolume this inode number.
pub(crate) const SUBVOLUME_ROOT: u64 = 256;

/// A snapshot waits for a commit of the file system, which a busy disk may hold up for minutes.
const DEADLINE: Duration = Duration::from_secs(15 * 60);

/// What Btrfs knows of a subvolume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Subvolume {
    /// Its number in its file system.
    pub id: u64,
    pub uuid: Uuid,
    /// The subvolume that it is a snapshot of.
    pub parent: Option<Uuid>,
    /// Whether it cannot be written.
    pub read_only: bool,
}

/// A read-only subvolume in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    /// Its number in its file system.
    pub id: u64,
    /// The subvolume that it is a snapshot of.
    pub parent: Option<Uuid>,
    /// Its path from the file system's top, which says nothing of where that is mounted.
    pub path: PathBuf,
}

/// btrfs-progs at a place.
#[derive(Clone)]
pub(crate) struct Btrfs {
    pub program: PathBuf,
    pub runner: Runner,
}

impl Btrfs {
    /// `btrfs subvolume snapshot -r SOURCE DESTINATION`.
    pub(crate) fn snapshot_command(&self, source: &Path, destination: &Path) -> Command {
        let (sh, btrfs) = (&*shell(), &self.program);
        cmd!(sh, "{btrfs} subvolume snapshot -r {source} {destination}").into()
    }

    /// `btrfs subvolume delete -i ID SUBVOLUME`: by id, on the file system of a path that must itself be a
    /// subvolume (btrfs-progs insists) on a writable mount: the snapshot's own.
    pub(crate) fn delete_command(&self, id: u64, subvolume: &Path) -> Command {
        let (sh, btrfs) = (&*shell(), &self.program);
        let id = id.to_string();
        cmd!(sh, "{btrfs} subvolume delete -i {id} {subvolume}").into()
    }

    /// Takes a read-only snapshot.
    ///
    /// # Errors
    /// What btrfs said.
    pub(crate) fn snapshot(&self, label: Label, source: &Path, destination: &Path) -> Result<()> {
        self.act(label, self.snapshot_command(source, destination))
    }

    /// Deletes a subvolume by its id.
    ///
    /// # Errors
    /// What btrfs said.
    pub(crate) fn delete(&self, label: Label, id: u64, subvolume: &Path) -> Result<()> {
        self.act(label, self.delete_command(id, subvolume))
    }

    /// What a path's subvolume is.
    ///
    /// # Errors
    /// Where the path is no subvolume, or we may not ask.
    pub(crate) fn show(&self, label: Label, path: &Path) -> Result<Subvolume> {
        let (sh, btrfs) = (&*shell(), &self.program);
        let text = self.ask(label, cmd!(sh, "{btrfs} subvolume show {path}").into())?;
        parse_show(&text)
            .with_context(|| format!("what `btrfs subvolume show {}` printed", path.display()))
    }

    /// Every read-only subvolume of the file system that holds `anywhere`.
    ///
    /// # Errors
    /// Where we may not ask.
    pub(crate) fn list_read_only(&self, label: Label, anywhere: &Path) -> Result<Vec<Listed>> {
        let (sh, btrfs) = (&*shell(), &self.program);
        let text = self.ask(
            label,
            cmd!(sh, "{btrfs} subvolume list -r -q {anywhere}").into(),
        )?;
        text.lines().map(parse_list_line).collect()
    }

    fn act(&self, label: Label, command: Command) -> Result<()> {
        self.runner.run(self.job(label, command))?;
        Ok(())
    }

    fn ask(&self, label: Label, command: Command) -> Result<String> {
        let mut text = Vec::new();
        let mut take = |bytes: &[u8]| text.extend_from_slice(bytes);
        let mut job = self.job(label, command);
        job.stdout = Stdout::Bytes(&mut take);
        self.runner.run(job)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    fn job<'j>(&self, label: Label, command: Command) -> Job<'j> {
        Job {
            env: clean_environment(),
            deadline: Some(DEADLINE),
            // It says "Create a readonly snapshot of …" even where it failed: its exit code is what counts.
            understand: |line| LogLine::Text(log::Level::Debug, line.to_owned()),
            tail_level: log::Level::Debug,
            ..Job::new("btrfs", label, command)
        }
    }
}

fn parse_show(text: &str) -> Result<Subvolume> {
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.trim().strip_prefix(name));
        line.map(str::trim)
            .ok_or_else(|| anyhow!("has no line {name:?}"))
    };
    Ok(Subvolume {
        id: field("Subvolume ID:")?
            .parse()
            .context("the subvolume's id")?,
        uuid: field("UUID:")?
            .parse()
            .map_err(|error| anyhow!("the subvolume's UUID: {error}"))?,
        parent: parse_parent(field("Parent UUID:")?)?,
        read_only: field("Flags:")?
            .split_whitespace()
            .any(|flag| flag == "readonly"),
    })
}

fn parse_parent(text: &str) -> Result<Option<Uuid>> {
    match text {
        "-" => Ok(None),
        uuid => uuid
            .parse()
            .map(Some)
            .map_err(|error| anyhow!("the parent's UUID: {error}")),
    }
}

/// `ID 257 gen 9 top level 5 parent_uuid <uuid or -> path <path>`.
fn parse_list_line(line: &str) -> Result<Listed> {
    let parse = || {
        let (head, path) = line.split_once(" path ")?;
        let mut words = head.split_whitespace();
        let id = words
            .by_ref()
            .skip_while(|word| *word != "ID")
            .nth(1)?
            .parse()
            .ok()?;
        let parent = words.skip_while(|word| *word != "parent_uuid").nth(1)?;
        Some(Listed {
            id,
            parent: parse_parent(parent).ok()?,
            path: PathBuf::from(path),
        })
    };
    parse().ok_or_else(|| {
        anyhow!("`btrfs subvolume list` printed a line that cannot be understood: {line}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHOW: &str = "snaps/persist-2025-01-01T12-00-00Z
\tName: \t\t\tpersist-2025-01-01T12-00-00Z
\tUUID: \t\t\t8a1e7f0e-2f5d-2a4b-9f10-6f3c2b0d1e11
\tParent UUID: \t\t0b0e7f0e-2f5d-2a4b-9f10-6f3c2b0d1e22
\tReceived UUID: \t\t-
\tCreation time: \t\t2025-01-01 12:00:00 +0000
\tSubvolume ID: \t\t261
\tGeneration: \t\t20
\tFlags: \t\t\treadonly
\tSnapshot(s):
";

    #[test]
    fn a_snapshot_is_read() {
        let subvolume = parse_show(SHOW).expect("it is whole");
        assert_eq!(subvolume.id, 261);
        assert_eq!(
            subvolume.uuid.to_string(),
            "8a1e7f0e-2f5d-2a4b-9f10-6f3c2b0d1e11"
        );
        assert_eq!(
            subvolume.parent.expect("a parent").to_string(),
            "0b0e7f0e-2f5d-2a4b-9f10-6f3c2b0d1e22"
        );
        assert!(subvolume.read_only);
        let writable = parse_show(&SHOW.replace("readonly", "-")).expect("it is whole");
        assert!(!writable.read_only);
    }

    #[test]
    fn an_answer_without_a_uuid_is_no_answer() {
        let error = parse_show(&SHOW.replace("\tUUID", "\tOther")).expect_err("a line is missing");
        assert!(error.to_string().contains("UUID:"), "{error}");
    }

    #[test]
    fn a_listing_is_read_blanks_in_paths_included() {
        let line = "ID 261 gen 20 top level 5 parent_uuid -                                    path a path b/x";
        let listed = parse_list_line(line).expect("it is whole");
        assert_eq!(
            (listed.id, listed.parent, listed.path),
            (261, None, PathBuf::from("a path b/x"))
        );
        assert!(parse_list_line("nonsense").is_err());
    }
}
