//! Every byte in the stage against the manifest, then what a bucket cannot hold: links, empty directories,
//! owners, modes, times.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, File, FileType};
use std::io::{self, Read as _};
use std::iter;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::{Context as _, Result};
use md5::{Digest as _, Md5};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag};
use nix::sys::stat::{UtimensatFlags, utimensat};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, Uid, fchownat};

use crate::dataset::{Node, NodeKind, Tree};
use crate::interrupt::Interrupt;
use crate::threads::{joined, spawn};
use crate::ui::shown;

const BUFFER: usize = 256 * 1024;
const S_ISUID: u32 = 0o4000;
const S_ISGID: u32 = 0o2000;

/// Compares the files in a directory with a tree, on as many threads as there are cores. What differs is removed, so
/// that a second fetch brings it anew; the differences come back.
///
/// # Errors
/// Where something cannot be read or removed, or we were told to stop.
pub(super) fn check(directory: &Path, tree: &Tree, interrupt: &Interrupt) -> Result<Vec<String>> {
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let next = AtomicUsize::new(0);
    let work = || {
        let (mut differences, mut buffer) = (Vec::new(), vec![0; BUFFER]);
        while let Some(node) = tree.nodes.get(next.fetch_add(1, Ordering::Relaxed)) {
            interrupt.check()?;
            differences.extend(difference(directory, node, &mut buffer, interrupt)?);
        }
        Ok(differences)
    };
    let found: Result<Vec<Vec<String>>> = thread::scope(|scope| {
        let first = spawn(scope, work).context("starting a thread that checks files")?;
        // Fewer threads than wanted are enough.
        let more: Vec<_> = (1..workers)
            .map_while(|_| spawn(scope, work).ok())
            .collect();
        iter::once(first).chain(more).map(joined).collect()
    });
    let mut differences = found?.concat();
    differences.sort();
    Ok(differences)
}

fn difference(
    directory: &Path,
    node: &Node,
    buffer: &mut [u8],
    interrupt: &Interrupt,
) -> Result<Option<String>> {
    let NodeKind::File { size, md5 } = &node.kind else {
        return Ok(None);
    };
    let path = directory.join(OsStr::from_bytes(&node.path));
    let what = match digest(&path, buffer, interrupt) {
        Ok(found) if (found.0, Some(found.1)) == (*size, *md5) => return Ok(None),
        Ok((found, _)) if found != *size => format!("has {found} bytes, not {size}"),
        Ok(_) => "has other contents (MD5)".to_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(Some(format!("{} is missing", shown(&node.path))));
        }
        Err(error) => return Err(error).with_context(|| format!("reading {}", path.display())),
    };
    fs::remove_file(&path).with_context(|| format!("removing {}", path.display()))?;
    Ok(Some(format!("{} {what}", shown(&node.path))))
}

fn digest(path: &Path, buffer: &mut [u8], interrupt: &Interrupt) -> io::Result<(u64, [u8; 16])> {
    let mut file = File::options()
        .read(true)
        .custom_flags(OFlag::O_NOFOLLOW.bits())
        .open(path)?;
    let (mut md5, mut length) = (Md5::new(), 0);
    loop {
        interrupt.check().map_err(io::Error::other)?;
        match file.read(buffer)? {
            0 => return Ok((length, md5.finalize().into())),
            read => {
                length += read as u64;
                md5.update(&buffer[..read]);
            }
        }
    }
}

/// Removes what a tree does not hold, or holds as something else: objects that somebody else put there, rclone's
/// unfinished files.
///
/// # Errors
/// Where something cannot be removed.
pub(super) fn remove_strangers(directory: &Path, tree: &Tree) -> Result<Vec<String>> {
    let nodes = tree.nodes.iter();
    let known: HashMap<&[u8], &NodeKind> = nodes.map(|node| (&*node.path, &node.kind)).collect();
    let mut strangers = Vec::new();
    sweep(directory, Vec::new(), &known, &mut strangers)?;
    Ok(strangers)
}

fn sweep(
    directory: &Path,
    below: Vec<u8>,
    known: &HashMap<&[u8], &NodeKind>,
    strangers: &mut Vec<String>,
) -> Result<()> {
    for entry in
        fs::read_dir(directory).with_context(|| format!("reading {}", directory.display()))?
    {
        let entry = entry?;
        let mut path = below.clone();
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend(entry.file_name().into_vec());
        let kind = entry.file_type()?;
        let is_dir = kind.is_dir();
        if !known
            .get(path.as_slice())
            .is_some_and(|known| fits(known, kind))
        {
            let gone = if is_dir {
                fs::remove_dir_all(entry.path())
            } else {
                fs::remove_file(entry.path())
            };
            gone.with_context(|| format!("removing {}", entry.path().display()))?;
            strangers.push(shown(&path));
        } else if is_dir {
            sweep(&entry.path(), path, known, strangers)?;
        }
    }
    Ok(())
}

/// Links are made at the end: what stands in a link's place before that is something else.
fn fits(known: &NodeKind, found: FileType) -> bool {
    match known {
        NodeKind::File { .. } => found.is_file(),
        NodeKind::Directory => found.is_dir(),
        NodeKind::Symlink(_) => false,
    }
}

/// How many owners could not be set, since we are not root, or not everybody's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Unowned(pub u64);

/// Directories, links, owners, modes and times, as the manifest has them.
///
/// # Errors
/// Where the file system refuses, but for owners that only root may set: those are counted.
pub(super) fn finish(directory: &Path, tree: &Tree) -> Result<Unowned> {
    let mut unowned = Unowned::default();
    for node in &tree.nodes {
        let path = directory.join(OsStr::from_bytes(&node.path));
        match &node.kind {
            NodeKind::Directory => match fs::create_dir(&path) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(error).with_context(|| format!("making {}", path.display()));
                }
                _ => {}
            },
            NodeKind::Symlink(target) => {
                symlink(OsStr::from_bytes(target), &path)
                    .with_context(|| format!("making the link {}", path.display()))?;
                own(&path, node, &mut unowned)?;
            }
            NodeKind::File { .. } => own(&path, node, &mut unowned)?,
        }
    }
    // Innermost first: a directory's time is right only when nothing is made in it any more.
    for node in tree
        .nodes
        .iter()
        .rev()
        .filter(|node| node.kind == NodeKind::Directory)
    {
        own(
            &directory.join(OsStr::from_bytes(&node.path)),
            node,
            &mut unowned,
        )?;
    }
    Ok(unowned)
}

fn own(path: &Path, node: &Node, unowned: &mut Unowned) -> Result<()> {
    let what = || format!("setting owner, mode and time of {}", path.display());
    let (uid, gid) = (Uid::from_raw(node.uid), Gid::from_raw(node.gid));
    let mut mode = node.mode;
    // To the kernel this number means "leave it", and it would be ours.
    let nobody = node.uid == u32::MAX || node.gid == u32::MAX;
    let owned = if nobody {
        Err(Errno::EINVAL)
    } else {
        fchownat(
            AT_FDCWD,
            path,
            Some(uid),
            Some(gid),
            AtFlags::AT_SYMLINK_NOFOLLOW,
        )
    };
    match owned {
        Ok(()) => {}
        // EINVAL: an owner who has no number in our user namespace.
        Err(Errno::EPERM | Errno::EINVAL) => {
            unowned.0 += 1;
            // Whoever it was set for, it was not us.
            mode &= !(S_ISUID | S_ISGID);
        }
        Err(error) => return Err(error).with_context(what),
    }
    if !matches!(node.kind, NodeKind::Symlink(_)) {
        // After the owner: changing that takes set-user-id away.
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).with_context(what)?;
    }
    let (seconds, nanoseconds) = node.mtime;
    let time = TimeSpec::new(seconds, nanoseconds.into());
    utimensat(
        AT_FDCWD,
        path,
        &time,
        &time,
        UtimensatFlags::NoFollowSymlink,
    )
    .with_context(what)
}
