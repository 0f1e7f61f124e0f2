//! The live tree's side of a dataset: mounts and nested subvolumes, which a snapshot does not show.
//!
//! A directory mounted from the same subvolume has the same device number, so the mount table is read too.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::problems::Problems;
use crate::tools::btrfs::SUBVOLUME_ROOT;

/// What the live tree shows that a snapshot cannot.
#[derive(Debug, Default)]
pub(crate) struct Live {
    /// A sentence for each mount and each nested subvolume.
    pub problems: Vec<String>,
    /// Where they are, below the subvolume.
    pub named: BTreeSet<PathBuf>,
}

/// Looks at a dataset in the live tree.
pub(crate) fn examine(subvolume: &Path, mounts: &[PathBuf], below: &Path) -> Live {
    let canonical = subvolume
        .canonicalize()
        .unwrap_or_else(|_| subvolume.to_owned());
    let Ok(device) = fs::metadata(&canonical).map(|metadata| metadata.dev()) else {
        return Live::default();
    };
    let mut problems = Problems::default();
    let mut seen = BTreeSet::new();
    let target = canonical.join(below);
    let mut path = canonical.clone();
    for component in below.components() {
        path.push(component);
        if let Some(problem) = foreign(&path, device) {
            seen.insert(path.clone());
            problems.push(problem);
            break;
        }
        // A link leaves the subvolume; the scan of the snapshot refuses it.
        if !fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_dir()) {
            return Live::default();
        }
    }
    if seen.is_empty() {
        walk(&target, device, &mut seen, &mut problems);
    }
    for mount in mounts {
        let inside = mount.starts_with(&target);
        let above =
            target.starts_with(mount) && mount.starts_with(&canonical) && *mount != canonical;
        if (inside || above) && seen.insert(mount.clone()) {
            problems.push(mounted(mount));
        }
    }
    let below = |path: PathBuf| {
        path.strip_prefix(&canonical)
            .map(Path::to_owned)
            .unwrap_or(path)
    };
    Live {
        problems: problems.finish(),
        named: seen.into_iter().map(below).collect(),
    }
}

fn walk(directory: &Path, device: u64, seen: &mut BTreeSet<PathBuf>, problems: &mut Problems) {
    // A directory that disappears meanwhile is no problem of the snapshot.
    let Ok(entries) = fs::read_dir(directory) else {
        return;
    };
    for entry in entries.flatten() {
        if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        let path = entry.path();
        match foreign(&path, device) {
            Some(problem) => {
                seen.insert(path);
                problems.push(problem);
            }
            None => walk(&path, device, seen, problems),
        }
    }
}

fn foreign(path: &Path, device: u64) -> Option<String> {
    let metadata = fs::symlink_metadata(path).ok()?;
    if metadata.dev() == device {
        return None;
    }
    Some(if metadata.ino() == SUBVOLUME_ROOT {
        nested(path)
    } else {
        mounted(path)
    })
}

fn mounted(path: &Path) -> String {
    format!(
        "{} is a mount of its own in the live tree: the snapshot holds what lies beneath it, not what the service \
         sees; store it as a dataset of the file system that it comes from, or unmount it",
        path.display()
    )
}

/// Mount points of this process, from /proc/self/mountinfo (proc(5): blanks and the like as octal escapes).
pub(crate) fn mount_points() -> Vec<PathBuf> {
    let text = fs::read("/proc/self/mountinfo").unwrap_or_default();
    text.split(|byte| *byte == b'\n')
        .filter_map(|line| line.split(|byte| *byte == b' ').nth(4))
        .map(|field| PathBuf::from(OsString::from_vec(unescape(field))))
        .collect()
}

fn unescape(field: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(field.len());
    let mut rest = field;
    while let [first, tail @ ..] = rest {
        if let ([b'\\', digits @ ..], Some(octal)) = (rest, rest.get(1..4)) {
            let value = std::str::from_utf8(octal)
                .ok()
                .and_then(|octal| u8::from_str_radix(octal, 8).ok());
            if let Some(value) = value {
                out.push(value);
                rest = &digits[3..];
                continue;
            }
        }
        out.push(*first);
        rest = tail;
    }
    out
}

/// The message for a nested subvolume.
pub(crate) fn nested(path: &Path) -> String {
    format!(
        "{} is a subvolume of its own in the live tree, and an empty directory in the snapshot: snapshots do not \
         recurse; make it a plain directory (move it aside, cp -a --reflink it back)",
        path.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_point_with_a_blank_is_read() {
        assert_eq!(unescape(br"/mnt/a\040b\134c"), b"/mnt/a b\\c");
        assert_eq!(unescape(br"/mnt/x\0"), br"/mnt/x\0");
    }
}
