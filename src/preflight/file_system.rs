//! The subvolume, the snapshot directory, and the datasets in the live tree.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use nix::errno::Errno;
use nix::sys::statfs::{BTRFS_SUPER_MAGIC, statfs};
use nix::sys::statvfs::{FsFlags, statvfs};
use nix::unistd::{AccessFlags, Uid, User, eaccess};

use super::{Check, State};
use crate::free_space::Space;
use crate::host::Host;
use crate::tools::btrfs::SUBVOLUME_ROOT;

pub(super) fn check(checks: &mut Vec<Check>, host: &Host) {
    let (subvolume, snapshot_dir) = (&host.config.subvolume, &host.config.snapshot_dir);
    let source = subvolume_check(subvolume);
    let source_ok = source.state != State::Unmet;
    checks.push(source);
    let target = snapshot_dir_check(snapshot_dir);
    let target_ok = target.state != State::Unmet;
    checks.push(target);
    if source_ok && target_ok {
        checks.push(same_file_system(subvolume, snapshot_dir));
        checks.push(free_space(snapshot_dir));
    }
    if source_ok {
        for (name, dataset) in host.config.enabled() {
            let (what, path) = (format!("dataset {name}"), subvolume.join(&dataset.path));
            checks.push(match fs::symlink_metadata(&path) {
                Ok(metadata) if metadata.is_dir() => Check::ok(what, path.display().to_string()),
                Ok(_) => Check::warning(
                    what,
                    format!("{} is not a directory", path.display()),
                    format!("correct datasets.{name}.path; until then this dataset is not stored (exit code 5)"),
                ),
                Err(error) => Check::warning(
                    what,
                    format!("{}: {error}", path.display()),
                    format!("start the service that writes there, or correct datasets.{name}.path; until then this dataset is not stored (exit code 5)"),
                ),
            });
        }
    }
}

fn subvolume_check(path: &Path) -> Check {
    let (what, shown) = ("the subvolume", path.display().to_string());
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) => {
            return Check::unmet(
                what,
                format!("{shown}: {error}"),
                "mount it, or correct `subvolume`",
            );
        }
    };
    if metadata.is_symlink() {
        return Check::unmet(
            what,
            format!("{shown} is a symbolic link"),
            "name the subvolume that it points to",
        );
    }
    if !is_btrfs(path) {
        return Check::unmet(
            what,
            format!("{shown} is not on Btrfs"),
            "snapshots need Btrfs: mount the right file system there, or correct `subvolume`",
        );
    }
    if metadata.ino() != SUBVOLUME_ROOT {
        return Check::unmet(
            what,
            format!("{shown} is a directory, not a Btrfs subvolume"),
            format!(
                "stop what writes there, and make it one (btrfs subvolume create {shown}.new && cp -a --reflink=auto {shown}/. {shown}.new/, then swap the two by mv), or correct `subvolume`"
            ),
        );
    }
    Check::ok(what, shown)
}

fn snapshot_dir_check(path: &Path) -> Check {
    let (what, shown) = ("the snapshot directory", path.display().to_string());
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Check::unmet(
                what,
                format!("{shown} does not exist"),
                format!(
                    "create it on the subvolume's file system, as root: install -d -m 0750 -o {} {shown} (a subvolume is as good)",
                    our_name()
                ),
            );
        }
        Err(error) => {
            return Check::unmet(
                what,
                format!("{shown}: {error}"),
                "make it readable for this user",
            );
        }
    };
    if !metadata.is_dir() {
        return Check::unmet(
            what,
            format!("{shown} is not a directory"),
            "name a directory in `snapshot_dir`",
        );
    }
    if !is_btrfs(path) {
        return Check::unmet(
            what,
            format!("{shown} is not on Btrfs"),
            "a snapshot lies on its subvolume's file system: create the directory there",
        );
    }
    if statvfs(path).is_ok_and(|stat| stat.flags().contains(FsFlags::ST_RDONLY)) {
        return Check::unmet(
            what,
            format!("{shown} is read-only"),
            format!(
                "remount it read-write; in a unit with ProtectSystem=strict, add ReadWritePaths=-{shown}"
            ),
        );
    }
    access_check(what, path, &metadata)
}

/// Whether this user can write there, and nobody else.
fn access_check(what: &str, path: &Path, metadata: &fs::Metadata) -> Check {
    let shown = path.display().to_string();
    let access = eaccess(
        path,
        AccessFlags::R_OK | AccessFlags::W_OK | AccessFlags::X_OK,
    );
    if access == Err(Errno::EROFS) {
        return Check::unmet(
            what,
            format!("{shown} is read-only, though its mount is not: it is a read-only subvolume"),
            format!("btrfs property set -t subvol {shown} ro false"),
        );
    }
    if let Err(error) = access {
        return Check::unmet(
            what,
            format!("{shown} cannot be written by this user: {error}"),
            format!(
                "chown it to the user of this service, mode 0750 (now owner {}, mode {:04o})",
                metadata.uid(),
                metadata.mode() & 0o7777
            ),
        );
    }
    let mode = metadata.mode() & 0o7777;
    if mode & 0o022 != 0 {
        return Check::unmet(
            what,
            format!(
                "{shown} can be written by others (mode {mode:04o}), who could swap a snapshot while it is stored"
            ),
            format!("chmod 0750 {shown}"),
        );
    }
    if mode & 0o004 != 0 {
        return Check::warning(
            what,
            format!(
                "{shown} can be opened by every user (mode {mode:04o}), who could hold the lock on it for ever"
            ),
            format!("chmod 0750 {shown}"),
        );
    }
    Check::ok(what, shown)
}

/// The user that the directory has to belong to: whoever runs this.
fn our_name() -> String {
    let uid = Uid::effective();
    let user = User::from_uid(uid).ok().flatten();
    user.map_or_else(|| uid.to_string(), |user| user.name)
}

fn is_btrfs(path: &Path) -> bool {
    statfs(path).is_ok_and(|stat| stat.filesystem_type() == BTRFS_SUPER_MAGIC)
}

/// Btrfs's `f_fsid` mixes the file system's UUID with the subvolume's id, whose upper half, always zero in
/// practice, goes into the first word (fs/btrfs/super.c, `btrfs_statfs`). So the first words of two
/// subvolumes agree where their file systems do, and this needs neither privileges nor a tool.
fn same_file_system(a: &Path, b: &Path) -> Check {
    let what = "both on one file system";
    let word = |path: &Path| statvfs(path).map(|stat| stat.filesystem_id() & 0xFFFF_FFFF);
    match (word(a), word(b)) {
        (Ok(a_word), Ok(b_word)) if a_word == b_word => Check::ok(what, "yes"),
        (Ok(_), Ok(_)) => Check::unmet(
            what,
            format!(
                "{} and {} are on two file systems",
                a.display(),
                b.display()
            ),
            "a snapshot lies on its subvolume's file system: mount a subvolume of that one as the snapshot directory",
        ),
        _ => Check::unmet(
            what,
            "the file systems cannot be asked",
            "see dmesg for errors of the disk",
        ),
    }
}

fn free_space(path: &Path) -> Check {
    let what = "free space";
    let check = match Space::of(path) {
        Some(space) if space.is_low() => Check::warning(
            what,
            space.to_string(),
            "below a tenth: snapshots keep what was deleted; lower retention.days or enlarge the disk",
        ),
        Some(space) => Check::ok(what, space.to_string()),
        None => Check::warning(what, "cannot be asked", "see dmesg for errors of the disk"),
    };
    Check {
        is_free_space: true,
        ..check
    }
}
