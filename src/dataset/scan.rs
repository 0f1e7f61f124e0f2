//! What the snapshot holds of each dataset, and whether that is what the live tree shows.
//!
//! A nested subvolume is an empty directory in the snapshot and a mount hides stale files: both would be
//! stored without a word, so both are looked for, in the snapshot and in the live tree, at any depth.

use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::fs::{self, Metadata};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use nix::unistd::{Gid, Group, Uid, User};

use super::live_tree::{self, Live, nested};
use super::problems::Problems;
use crate::config::{Dataset, Format};
use crate::dataset::{LeftOut, Node, NodeKind, Tree};
use crate::redis_files::aof::Manifest;
use crate::redis_files::{Role, is_scratch};
use crate::tools::rclone::names;
use crate::ui::shown;

/// Btrfs gives this inode number to the empty directory that stands for a nested subvolume in a snapshot.
const NESTED_IN_SNAPSHOT: u64 = 2;
/// An AOF manifest has a line a file.
const AOF_MANIFEST_MAX: u64 = 1 << 20;

/// A dataset as the snapshot holds it.
#[derive(Clone, Debug, Default)]
pub(crate) struct ScannedDataset {
    pub tree: Tree,
    /// What each regular file is to the server, in the order of [`Tree::files`].
    pub roles: Vec<Role>,
    /// What is worth saying.
    pub warnings: Vec<String>,
}

/// Why a dataset cannot be stored, a sentence each.
#[derive(Debug)]
pub(crate) struct ScanError(pub Vec<String>);

impl fmt::Display for ScanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("; "))
    }
}

impl std::error::Error for ScanError {}

/// Looks at a dataset in the snapshot and in the live subvolume.
///
/// # Errors
/// Everything that is wrong with it, a sentence each.
pub(crate) fn examine(
    snapshot: &Path,
    subvolume: &Path,
    mounts: &[PathBuf],
    dataset: &Dataset,
) -> Result<ScannedDataset, ScanError> {
    inspect(
        snapshot,
        subvolume,
        live_tree::examine(subvolume, mounts, &dataset.path),
        dataset,
    )
}

/// Looks at a dataset in a snapshot alone.
///
/// # Errors
/// Everything that is wrong with it, a sentence each.
pub(crate) fn in_snapshot(snapshot: &Path, dataset: &Dataset) -> Result<ScannedDataset, ScanError> {
    inspect(snapshot, snapshot, Live::default(), dataset)
}

fn inspect(
    snapshot: &Path,
    subvolume: &Path,
    live: Live,
    dataset: &Dataset,
) -> Result<ScannedDataset, ScanError> {
    let root = match descend(snapshot, subvolume, &dataset.path) {
        Ok(root) => root,
        // The live tree says the same of a nested subvolume, and of a mount says more.
        Err(_) if !live.problems.is_empty() => return Err(ScanError(live.problems)),
        Err(problem) => return Err(problem),
    };
    let mut problems = live.problems;
    let mut walk = Walk {
        redis: dataset.format == Format::Redis,
        subvolume: subvolume.to_owned(),
        dataset: dataset.path.clone(),
        named: live.named,
        ..Walk::default()
    };
    walk.directory(&root, Vec::new());
    problems.extend(walk.problems.finish());
    let mut found = ScannedDataset {
        tree: walk.tree,
        ..ScannedDataset::default()
    };
    if found.tree.files().next().is_none() {
        problems.push(format!(
            "{} holds no file in the snapshot: nothing would be stored",
            dataset.path.display()
        ));
    }
    if dataset.format == Format::Redis {
        assign_roles(&root, &mut found, &mut problems);
    } else {
        found.roles = vec![Role::Plain; found.tree.files().count()];
    }
    owners(&mut found.tree);
    if problems.is_empty() {
        Ok(found)
    } else {
        Err(ScanError(problems))
    }
}

/// The dataset's directory, with no link on the way.
fn descend(top: &Path, subvolume: &Path, below: &Path) -> Result<PathBuf, ScanError> {
    let one = |problem| ScanError(vec![problem]);
    let (mut path, mut live) = (top.to_owned(), subvolume.to_owned());
    for component in below.components() {
        path.push(component);
        live.push(component);
        let metadata = fs::symlink_metadata(&path)
            .map_err(|error| one(format!("{} is not in the snapshot: {error}; is the path right, and did the service write there?", path.display())))?;
        if metadata.is_symlink() {
            return Err(one(format!(
                "{} is a symbolic link: name the directory that it points to",
                path.display()
            )));
        }
        if !metadata.is_dir() {
            return Err(one(format!("{} is not a directory", path.display())));
        }
        if metadata.ino() == NESTED_IN_SNAPSHOT {
            return Err(one(nested(&live)));
        }
    }
    Ok(path)
}

#[derive(Default)]
struct Walk {
    redis: bool,
    /// The live tree: that is where a person can do something about it.
    subvolume: PathBuf,
    /// The dataset, below that.
    dataset: PathBuf,
    /// Paths below the subvolume that were named already.
    named: BTreeSet<PathBuf>,
    tree: Tree,
    problems: Problems,
}

impl Walk {
    fn directory(&mut self, path: &Path, below: Vec<u8>) {
        match fs::symlink_metadata(path) {
            Ok(metadata) => self.push(&metadata, below.clone(), NodeKind::Directory),
            Err(error) => {
                return self
                    .problems
                    .push(format!("{} cannot be looked at: {error}", path.display()));
            }
        }
        let entries = match fs::read_dir(path) {
            Ok(entries) => entries,
            Err(error) => {
                return self
                    .problems
                    .push(format!("{} cannot be read: {error}", path.display()));
            }
        };
        let mut names = Vec::new();
        for entry in entries {
            match entry {
                Ok(entry) => names.push(entry.file_name()),
                Err(error) => self
                    .problems
                    .push(format!("{} cannot be read: {error}", path.display())),
            }
        }
        names.sort();
        for name in names {
            let mut child = below.clone();
            if !child.is_empty() {
                child.push(b'/');
            }
            child.extend_from_slice(name.as_bytes());
            self.child(&path.join(&name), name.as_bytes(), child);
        }
    }

    fn child(&mut self, path: &Path, name: &[u8], below: Vec<u8>) {
        let metadata = match fs::symlink_metadata(path) {
            Ok(metadata) => metadata,
            Err(error) => {
                return self
                    .problems
                    .push(format!("{} cannot be looked at: {error}", path.display()));
            }
        };
        let kind = metadata.file_type();
        if kind.is_dir() {
            if metadata.ino() == NESTED_IN_SNAPSHOT {
                let below = self.dataset.join(std::ffi::OsStr::from_bytes(&below));
                if self.named.insert(below.clone()) {
                    self.problems.push(nested(&self.subvolume.join(below)));
                }
                return;
            }
            if self.refused(name, &below) {
                return;
            }
            return self.directory(path, below);
        }
        if kind.is_file() {
            if self.redis && is_scratch(name) {
                return self.leave_out(&below, "the server was in the middle of writing it");
            }
            if self.refused(name, &below) {
                return;
            }
            return self.push(
                &metadata,
                below,
                NodeKind::File {
                    size: metadata.len(),
                    md5: None,
                },
            );
        }
        if kind.is_symlink() {
            return match fs::read_link(path) {
                Ok(target) => self.push(
                    &metadata,
                    below,
                    NodeKind::Symlink(target.into_os_string().into_vec().into()),
                ),
                Err(error) => self
                    .problems
                    .push(format!("{} cannot be read: {error}", path.display())),
            };
        }
        let why = if kind.is_socket() {
            "a socket"
        } else if kind.is_fifo() {
            "a named pipe"
        } else {
            "a device"
        };
        self.leave_out(&below, why);
    }

    /// A name that cannot be stored: a file's, or a directory's on the way to one.
    fn refused(&mut self, name: &[u8], below: &[u8]) -> bool {
        let Some(refusal) = names::refusal(name) else {
            return false;
        };
        let live = self
            .subvolume
            .join(&self.dataset)
            .join(std::ffi::OsStr::from_bytes(below));
        self.problems.push(format!(
            "{} cannot be stored: {refusal}; rename it",
            live.display()
        ));
        true
    }

    fn leave_out(&mut self, below: &[u8], why: &str) {
        self.tree.left_out.push(LeftOut {
            path: shown(below),
            why: why.to_owned(),
        });
    }

    fn push(&mut self, metadata: &Metadata, path: Vec<u8>, kind: NodeKind) {
        self.tree.nodes.push(Node {
            path: path.into(),
            mode: metadata.mode() & 0o7777,
            uid: metadata.uid(),
            gid: metadata.gid(),
            mtime: (
                metadata.mtime(),
                u32::try_from(metadata.mtime_nsec()).unwrap_or_default(),
            ),
            ctime: (
                metadata.ctime(),
                u32::try_from(metadata.ctime_nsec()).unwrap_or_default(),
            ),
            inode: metadata.ino(),
            sent: None,
            facts: None,
            kind,
        });
    }
}

/// Gives each file its role, from the AOF manifests where they name it, and checks that those name only
/// what is there.
fn assign_roles(root: &Path, found: &mut ScannedDataset, problems: &mut Vec<String>) {
    let mut named: Vec<(Vec<u8>, Role)> = Vec::new();
    let there: HashSet<&[u8]> = found.tree.files().map(|(node, _)| &*node.path).collect();
    for (node, size) in found
        .tree
        .files()
        .filter(|(node, _)| Role::of(node.basename()) == Role::AofManifest)
    {
        let shown = shown(&node.path);
        if size > AOF_MANIFEST_MAX {
            problems.push(format!("{shown} has {size} bytes and is no AOF manifest"));
            continue;
        }
        let path = root.join(std::ffi::OsStr::from_bytes(&node.path));
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) => {
                problems.push(format!("{} cannot be read: {error}", path.display()));
                continue;
            }
        };
        let manifest = match Manifest::parse(&text) {
            Ok(manifest) => manifest,
            Err(error) => {
                problems.push(format!("{shown}: {error}"));
                continue;
            }
        };
        for (entry, role) in manifest.roles() {
            let path = node.sibling(&entry.name);
            if there.contains(path.as_slice()) {
                named.push((path, role));
            } else if entry.must_exist() {
                let name = self::shown(&entry.name);
                problems.push(format!(
                    "{shown} names {name}, which is not there: the server would refuse to start"
                ));
            }
        }
    }
    let named: std::collections::HashMap<Vec<u8>, Role> = named.into_iter().collect();
    found.roles = found
        .tree
        .files()
        .map(|(node, _)| {
            named
                .get(&*node.path)
                .copied()
                .unwrap_or_else(|| Role::of(node.basename()))
        })
        .collect();
}

fn owners(tree: &mut Tree) {
    let uids: BTreeSet<u32> = tree.nodes.iter().map(|node| node.uid).collect();
    let gids: BTreeSet<u32> = tree.nodes.iter().map(|node| node.gid).collect();
    let user = |uid: u32| Some((uid, User::from_uid(Uid::from_raw(uid)).ok()??.name));
    let group = |gid: u32| Some((gid, Group::from_gid(Gid::from_raw(gid)).ok()??.name));
    tree.users = uids.into_iter().filter_map(user).collect();
    tree.groups = gids.into_iter().filter_map(group).collect();
}
