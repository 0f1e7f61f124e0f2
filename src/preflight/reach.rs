//! Whether a child without capabilities can read a file that we can look at with ours.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use nix::unistd::{getegid, geteuid, getgroups};

/// The first thing on the way that is closed to this user; `None` where nothing is, and for root. Plain mode
/// bits: an access control list may still open it.
pub(super) fn closed(path: &Path) -> Option<String> {
    let user = geteuid();
    if user.is_root() {
        return None;
    }
    let mut groups: Vec<u32> = getgroups()
        .unwrap_or_default()
        .iter()
        .map(|group| group.as_raw())
        .collect();
    groups.push(getegid().as_raw());
    let real = path.canonicalize().ok()?;
    let ways: Vec<PathBuf> = real.ancestors().map(Path::to_owned).collect();
    ways.iter().rev().find_map(|way| {
        let metadata = way.metadata().ok()?;
        let shift = if metadata.uid() == user.as_raw() {
            6
        } else if groups.contains(&metadata.gid()) {
            3
        } else {
            0
        };
        let needed = if metadata.is_dir() { 0o1 } else { 0o4 };
        let open = (metadata.mode() >> shift) & needed != 0;
        (!open).then(|| {
            format!(
                "{} is closed to user {user} (mode {:04o})",
                way.display(),
                metadata.mode() & 0o7777
            )
        })
    })
}
