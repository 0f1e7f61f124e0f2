//! Questions about single objects, small objects themselves, and deletions.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::Result;
use xshell::{Shell, cmd};

use super::{LISTED, SMALL_RETRIES, STORE_ENCODING, at, common, finish, folder, limited, literal};
use crate::config::Remote;
use crate::tools::rclone::names::given;

/// One object of a folder, its name on stdin: a HEAD. `lsjson --stat` would ask the same, and 1.60 takes whatever but 200
/// is answered, 403 and 503 too, for an object that is not there.
///
/// # Errors
/// Where no shell state can be had.
pub(crate) fn stat(rclone: &Path, remote: &Remote, folder: &str) -> Result<Command> {
    let (sh, target) = (Shell::new()?, at(remote, folder));
    let cmd = common(cmd!(sh, "{rclone} lsjson {target}"), remote, STORE_ENCODING)
        .args(["--files-from-raw", "-", "--no-traverse", "--recursive"])
        .args(SMALL_RETRIES);
    Ok(finish(cmd, remote))
}

/// The object of a file, with the MD5 that the server keeps.
///
/// # Errors
/// Where no shell state can be had.
pub(crate) fn stat_file(
    rclone: &Path,
    remote: &Remote,
    below: &str,
    path: &[u8],
) -> Result<Command> {
    let (sh, target) = (Shell::new()?, file_at(remote, below, path));
    let cmd = cmd!(sh, "{rclone} lsjson --stat --hash {target}");
    let cmd = common(cmd, remote, STORE_ENCODING).args(["--no-modtime", "--no-mimetype"]);
    Ok(finish(cmd.args(SMALL_RETRIES), remote))
}

/// The object of a file to stdout.
///
/// # Errors
/// Where no shell state can be had.
pub(crate) fn cat_file(
    rclone: &Path,
    remote: &Remote,
    below: &str,
    path: &[u8],
) -> Result<Command> {
    let (sh, target) = (Shell::new()?, file_at(remote, below, path));
    let cmd = cmd!(sh, "{rclone} cat {target}");
    let cmd = common(cmd, remote, STORE_ENCODING).args(SMALL_RETRIES);
    Ok(finish(limited(cmd, remote), remote))
}

/// A file's path below a dataset's prefix: rclone encodes it as it did when it stored it.
fn file_at(remote: &Remote, below: &str, path: &[u8]) -> OsString {
    let mut target = OsString::from(at(remote, &folder(below)));
    target.push(OsStr::from_bytes(&given(path)));
    target
}

/// Stores stdin. Up to 32 MiB go in one request, whose MD5 the server checks.
///
/// # Errors
/// Where no shell state can be had.
pub(crate) fn rcat(rclone: &Path, remote: &Remote, key: &str) -> Result<Command> {
    let (sh, target) = (Shell::new()?, at(remote, key));
    let cmd = common(cmd!(sh, "{rclone} rcat {target}"), remote, STORE_ENCODING)
        // Whoever must know whether it arrived reads it back.
        .args(["--streaming-upload-cutoff", "32M", "--s3-no-head"])
        .args(SMALL_RETRIES);
    Ok(finish(cmd, remote))
}

/// Objects of a folder to stdout, their names on stdin: one request each, no listing, no HEAD.
///
/// # Errors
/// Where no shell state can be had.
pub(crate) fn cat(rclone: &Path, remote: &Remote, folder: &str) -> Result<Command> {
    let (sh, target) = (Shell::new()?, at(remote, folder));
    let cmd = common(cmd!(sh, "{rclone} cat {target}"), remote, STORE_ENCODING)
        .args(LISTED)
        .args(SMALL_RETRIES);
    Ok(finish(cmd, remote))
}

/// Deletes one object. rclone asks about it first, twice; a list on stdin would spare that, and a list that is lost on
/// its way must not decide what is deleted.
///
/// # Errors
/// Where no shell state can be had.
pub(crate) fn delete(rclone: &Path, remote: &Remote, key: &str) -> Result<Command> {
    let (sh, target) = (Shell::new()?, at(remote, key));
    Ok(finish(
        common(
            cmd!(sh, "{rclone} deletefile {target}"),
            remote,
            STORE_ENCODING,
        )
        .args(SMALL_RETRIES),
        remote,
    ))
}

/// The same for an object of a folder with few others: a listing of them instead of two questions. The filter is one
/// whole name; were it not understood, no more than one object would go.
///
/// # Errors
/// Where no shell state can be had.
pub(crate) fn delete_in(
    rclone: &Path,
    remote: &Remote,
    folder: &str,
    name: &str,
) -> Result<Command> {
    let (sh, target) = (Shell::new()?, at(remote, folder));
    let pattern = format!("/{}", literal(name));
    Ok(finish(
        common(cmd!(sh, "{rclone} delete {target}"), remote, STORE_ENCODING)
            .args([
                "--include",
                &pattern,
                "--max-depth",
                "1",
                "--max-delete",
                "1",
            ])
            .args(SMALL_RETRIES),
        remote,
    ))
}

/// The version, with the configured bandwidth and flags: rclone refuses what it does not understand, offline.
///
/// # Errors
/// Where no shell state can be had.
pub(crate) fn version(rclone: &Path, remote: &Remote) -> Result<Command> {
    let sh = Shell::new()?;
    let cmd = limited(cmd!(sh, "{rclone} version"), remote);
    Ok(finish(cmd, remote))
}

/// Deletes all below a prefix.
///
/// # Errors
/// Where no shell state can be had.
pub(crate) fn delete_below(rclone: &Path, remote: &Remote, below: &str) -> Result<Command> {
    let (sh, target) = (Shell::new()?, at(remote, &folder(below)));
    let cmd = common(cmd!(sh, "{rclone} delete {target}"), remote, STORE_ENCODING);
    Ok(finish(
        cmd.args(["--checkers", "16", "--fast-list"])
            .args(SMALL_RETRIES),
        remote,
    ))
}
