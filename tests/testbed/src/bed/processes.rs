//! Which processes belong to a bed, read from /proc.
//!
//! The surprise: kinship is not asked for. An orphan's parent is init, so what
//! tells it is that its command line, environment or working directory mentions
//! the bed's scratch directory; the program under test and all of its children
//! do, since their configuration and PATH lie there.

use std::fs;
use std::path::{Path, PathBuf};

/// Every process on the machine: its id and directory in /proc.
fn all() -> Vec<(u32, PathBuf)> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path())))
        .collect()
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack
        .windows(needle.len())
        .any(|window| window == needle)
}

fn spaced(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes)
        .trim_end_matches('\0')
        .replace('\0', " ")
}

fn parent(proc: &Path) -> Option<u32> {
    let status = fs::read_to_string(proc.join("status")).ok()?;
    status
        .lines()
        .find_map(|line| line.strip_prefix("PPid:"))?
        .trim()
        .parse()
        .ok()
}

/// Processes that mention `scratch`, besides `known`; `pid: command line` each.
pub fn mentioning(scratch: &Path, known: &[u32]) -> Vec<String> {
    let needle = scratch.as_os_str().as_encoded_bytes();
    let mentions = |proc: &Path| {
        let read = |name: &str| fs::read(proc.join(name)).unwrap_or_default();
        contains(&read("cmdline"), needle)
            || contains(&read("environ"), needle)
            || fs::read_link(proc.join("cwd")).is_ok_and(|cwd| cwd.starts_with(scratch))
    };
    all()
        .into_iter()
        .filter(|(pid, _)| *pid != std::process::id() && !known.contains(pid))
        .filter(|(_, proc)| mentions(proc))
        .filter_map(|(pid, proc)| {
            let command = spaced(&fs::read(proc.join("cmdline")).ok()?);
            // A zombie has no command line, and is its parent's affair.
            (!command.is_empty()).then(|| format!("{pid}: {command}"))
        })
        .collect()
}

/// A process at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its id.
    pub pid: u32,
    /// Its arguments, the program first.
    pub argv: Vec<String>,
    /// Its environment, `NAME=value`.
    pub environ: Vec<String>,
    /// `/proc/PID/status`, which has the capability sets and ids.
    pub status: String,
}

impl Process {
    fn read(pid: u32, proc: &Path) -> Option<Self> {
        let list = |name: &str| -> Vec<String> {
            let bytes = fs::read(proc.join(name)).unwrap_or_default();
            let text = String::from_utf8_lossy(&bytes).into_owned();
            text.split_terminator('\0').map(str::to_owned).collect()
        };
        let status = fs::read_to_string(proc.join("status")).ok()?;
        Some(Self {
            pid,
            argv: list("cmdline"),
            environ: list("environ"),
            status,
        })
    }

    /// A field of its status: `CapEff`, `CapAmb`, `Uid`.
    pub fn field(&self, name: &str) -> Option<&str> {
        let value = |line: &'_ str| line.strip_prefix(name)?.strip_prefix(':').map(str::len);
        self.status
            .lines()
            .find_map(|line| value(line).map(|n| line[line.len() - n..].trim()))
    }
}

/// All descendants of a process, as they are now.
pub fn descendants(root: u32) -> Vec<Process> {
    let all = all();
    let parents: Vec<(u32, Option<u32>)> =
        all.iter().map(|(pid, proc)| (*pid, parent(proc))).collect();
    let mut family = vec![root];
    let mut next = 0;
    while let Some(of) = family.get(next).copied() {
        family.extend(
            parents
                .iter()
                .filter(|(_, p)| *p == Some(of))
                .map(|(pid, _)| *pid),
        );
        next += 1;
    }
    let children = all
        .iter()
        .filter(|(pid, _)| *pid != root && family.contains(pid));
    children
        .filter_map(|(pid, proc)| Process::read(*pid, proc))
        .collect()
}
