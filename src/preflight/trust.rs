//! Whether a user other than root could change the file at a path.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};

/// The kernel's own bound on links in a path (path_resolution(7)).
const MOST_LINKS: usize = 40;

/// The first reason why somebody other than root could put something else there; `None` where nobody can.
///
/// Every directory on the way counts, and every link's. A sticky directory that others may write (`/tmp`,
/// `/nix/store`) is as good as its entries: only their owners can rename those.
pub(super) fn weakness(path: &Path) -> Option<String> {
    let mut links = 0;
    let mut pending: Vec<PathBuf> = components(path);
    let mut at = PathBuf::from("/");
    let mut loose = unsafe_directory(&at).unwrap_or(Loose::Yes);
    while let Some(component) = pending.pop() {
        if component == Path::new("..") {
            at.pop();
            loose = match unsafe_directory(&at) {
                Some(loose) => loose,
                None => return Some(format!("{} cannot be looked at", at.display())),
            };
            continue;
        }
        let next = at.join(&component);
        let metadata = match fs::symlink_metadata(&next) {
            Ok(metadata) => metadata,
            Err(error) => return Some(format!("{} cannot be looked at: {error}", next.display())),
        };
        let replaceable = match loose {
            Loose::No => false,
            Loose::Sticky => metadata.uid() != 0,
            Loose::Yes => true,
        };
        if replaceable {
            return Some(format!("{} can be written by others", at.display()));
        }
        if metadata.uid() != 0 {
            let (next, owner) = (next.display(), metadata.uid());
            return Some(format!("{next} belongs to user {owner}"));
        }
        if metadata.is_symlink() {
            links += 1;
            let target = match fs::read_link(&next) {
                Ok(target) if links <= MOST_LINKS => target,
                Ok(_) => return Some(format!("{} is a link in a circle", next.display())),
                Err(error) => return Some(format!("{}: {error}", next.display())),
            };
            if target.is_absolute() {
                at = PathBuf::from("/");
            }
            pending.extend(components(&target));
            loose = unsafe_directory(&at).unwrap_or(Loose::Yes);
            continue;
        }
        if writable_by_others(&metadata) {
            let sticky = metadata.is_dir() && metadata.mode() & 0o1000 != 0 && !pending.is_empty();
            if !sticky {
                let (next, mode) = (next.display(), metadata.mode() & 0o7777);
                return Some(format!("{next} can be written by others (mode {mode:04o})"));
            }
            loose = Loose::Sticky;
        } else {
            loose = Loose::No;
        }
        at = next;
    }
    None
}

#[derive(Clone, Copy)]
enum Loose {
    No,
    Sticky,
    Yes,
}

/// Normal components and `..`, last first.
fn components(path: &Path) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = path
        .components()
        .filter_map(|component| match component {
            Component::Normal(name) => Some(PathBuf::from(name)),
            Component::ParentDir => Some(PathBuf::from("..")),
            _ => None,
        })
        .collect();
    all.reverse();
    all
}

fn unsafe_directory(path: &Path) -> Option<Loose> {
    let metadata = fs::metadata(path).ok()?;
    Some(
        match (
            metadata.uid() != 0,
            writable_by_others(&metadata),
            metadata.mode() & 0o1000 != 0,
        ) {
            (true, _, _) | (false, true, false) => Loose::Yes,
            (false, true, true) => Loose::Sticky,
            (false, false, _) => Loose::No,
        },
    )
}

/// By the world, or by a group: the group bits are also the mask of an access control list, so even root's
/// own group says nothing of who may write.
fn writable_by_others(metadata: &fs::Metadata) -> bool {
    metadata.mode() & 0o022 != 0
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn the_systems_own_tools_are_trusted() {
        assert_eq!(weakness(Path::new("/bin/sh")), None);
    }

    #[test]
    fn a_file_that_others_may_write_is_not_trusted_nor_a_link_to_it() {
        if !nix::unistd::geteuid().is_root() {
            // Ours, and not root's: by itself, or by what it lies in.
            let dir = tempfile::tempdir().expect("a directory");
            assert!(weakness(dir.path()).is_some());
            return;
        }
        let dir = tempfile::tempdir().expect("a directory");
        let (script, link) = (dir.path().join("script"), dir.path().join("link"));
        fs::write(&script, "").expect("written");
        symlink(&script, &link).expect("linked");
        assert_eq!(weakness(&link), None);
        fs::set_permissions(&script, fs::Permissions::from_mode(0o666)).expect("changed");
        assert!(weakness(&link).expect("a weakness").contains("0666"));
        fs::set_permissions(&script, fs::Permissions::from_mode(0o644)).expect("changed");
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).expect("changed");
        assert!(
            weakness(&link)
                .expect("a weakness")
                .contains("can be written by others")
        );
    }
}
