//! Questions about single objects, small objects themselves, and deletions.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::Command;

use xshell::cmd;

use super::{LISTED, SMALL_RETRIES, STORE_ENCODING, at, common, finish, folder, limited};
use crate::config::Remote;
use crate::tools::rclone::names::given;
use crate::tools::shell;

/// One object of a folder, its name on stdin: a HEAD. `lsjson --stat` would ask the same, and 1.60 takes whatever but 200
/// is answered, 403 and 503 too, for an object that is not there.
pub(crate) fn stat(rclone: &Path, remote: &Remote, folder: &str) -> Command {
    let (sh, target) = (&*shell(), at(remote, folder));
    let cmd = common(cmd!(sh, "{rclone} lsjson {target}"), remote, STORE_ENCODING)
        .args(["--files-from-raw", "-", "--no-traverse", "--recursive"])
        .args(SMALL_RETRIES);
    finish(cmd, remote)
}

/// The object of a file, with the MD5 that the server keeps.
pub(crate) fn stat_file(rclone: &Path, remote: &Remote, below: &str, path: &[u8]) -> Command {
    let (sh, target) = (&*shell(), file_at(remote, below, path));
    let cmd = cmd!(sh, "{rclone} lsjson --stat --hash {target}");
    let cmd = common(cmd, remote, STORE_ENCODING).args(["--no-modtime", "--no-mimetype"]);
    finish(cmd.args(SMALL_RETRIES), remote)
}

/// The object of a file to stdout.
pub(crate) fn cat_file(rclone: &Path, remote: &Remote, below: &str, path: &[u8]) -> Command {
    let (sh, target) = (&*shell(), file_at(remote, below, path));
    let cmd = cmd!(sh, "{rclone} cat {target}");
    let cmd = common(cmd, remote, STORE_ENCODING).args(SMALL_RETRIES);
    finish(limited(cmd, remote), remote)
}

/// A file's path below a dataset's prefix: rclone encodes it as it did when it stored it.
fn file_at(remote: &Remote, below: &str, path: &[u8]) -> OsString {
    let mut target = OsString::from(at(remote, &folder(below)));
    target.push(OsStr::from_bytes(&given(path)));
    target
}

/// Stores stdin. Up to 32 MiB go in one request, whose MD5 the server checks.
pub(crate) fn rcat(rclone: &Path, remote: &Remote, key: &str) -> Command {
    let (sh, target) = (&*shell(), at(remote, key));
    let cmd = common(cmd!(sh, "{rclone} rcat {target}"), remote, STORE_ENCODING)
        // Whoever must know whether it arrived reads it back.
        .args(["--streaming-upload-cutoff", "32M", "--s3-no-head"])
        .args(SMALL_RETRIES);
    finish(cmd, remote)
}

/// Objects of a folder to stdout, their names on stdin: one request each, no listing, no HEAD.
pub(crate) fn cat(rclone: &Path, remote: &Remote, folder: &str) -> Command {
    let (sh, target) = (&*shell(), at(remote, folder));
    let cmd = common(cmd!(sh, "{rclone} cat {target}"), remote, STORE_ENCODING)
        .args(LISTED)
        .args(SMALL_RETRIES);
    finish(cmd, remote)
}

/// Deletes one object. rclone asks about it first, twice; a list on stdin would spare that, and a list that is lost on
/// its way must not decide what is deleted.
pub(crate) fn delete(rclone: &Path, remote: &Remote, key: &str) -> Command {
    let (sh, target) = (&*shell(), at(remote, key));
    finish(
        common(
            cmd!(sh, "{rclone} deletefile {target}"),
            remote,
            STORE_ENCODING,
        )
        .args(SMALL_RETRIES),
        remote,
    )
}

/// The version, with the configured bandwidth and flags: rclone refuses what it does not understand, offline.
pub(crate) fn version(rclone: &Path, remote: &Remote) -> Command {
    let sh = &*shell();
    finish(limited(cmd!(sh, "{rclone} version"), remote), remote)
}

/// Deletes all below a prefix.
pub(crate) fn delete_below(rclone: &Path, remote: &Remote, below: &str) -> Command {
    let (sh, target) = (&*shell(), at(remote, &folder(below)));
    let cmd = common(cmd!(sh, "{rclone} delete {target}"), remote, STORE_ENCODING);
    finish(
        cmd.args(["--checkers", "16", "--fast-list"])
            .args(SMALL_RETRIES),
        remote,
    )
}
