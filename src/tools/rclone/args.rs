//! rclone's argument lists, each a pure function of what is asked.

mod objects;

use std::path::Path;
use std::process::Command;

use xshell::{Cmd, cmd};

use super::names::{LIST_ENCODING, STORE_ENCODING};
use super::tuning::Tuning;
use crate::config::Remote;
use crate::tools::shell;
pub(crate) use objects::{cat, cat_file, delete, delete_below, rcat, stat, stat_file, version};

/// The remote `s3:`, in the environment of the child alone. The keys come from the AWS names.
pub(crate) const REMOTE_VARIABLES: [(&str, &str); 4] = [
    ("RCLONE_CONFIG", ""),
    ("RCLONE_CONFIG_S3_TYPE", "s3"),
    ("RCLONE_CONFIG_S3_ENV_AUTH", "true"),
    ("AWS_EC2_METADATA_DISABLED", "true"),
];

/// For questions and small objects: no garbage collection below 64 MiB, which spares a process that lives for
/// 50 ms a sixth of its processor time.
pub(crate) const SMALL_VARIABLES: [(&str, &str); 2] = [("GOGC", "off"), ("GOMEMLIMIT", "64MiB")];

/// A copy on the server takes three round trips and no memory of ours: at 150 ms, 20,000 files take a minute and a half.
const COPIES_AT_ONCE: u32 = 128;

/// What one request may copy, with room to spare.
const LARGEST_COPY: u64 = 4 << 30;

/// Names on stdin, a line each; no listing, and no HEAD before the request itself.
const LISTED: [&str; 4] = [
    "--files-from-raw",
    "-",
    "--no-traverse",
    "--s3-no-head-object",
];

/// A question is asked again after 503 for some ten seconds, and once more from the start.
const SMALL_RETRIES: [&str; 4] = ["--retries", "2", "--low-level-retries", "4"];

/// What every call says: whom to talk to, and how names are encoded.
fn common<'s>(cmd: Cmd<'s>, remote: &Remote, encoding: &str) -> Cmd<'s> {
    cmd.args(["--s3-provider", &remote.provider])
        .args(["--s3-endpoint", &remote.endpoint.to_string()])
        .args(["--s3-encoding", encoding])
        // Without it rclone creates a bucket that is missing.
        .arg("--s3-no-check-bucket")
        .args(["--use-json-log", "--contimeout", "20s"])
}

fn finish(cmd: Cmd<'_>, remote: &Remote) -> Command {
    cmd.args(&remote.extra_args).into()
}

fn at(remote: &Remote, key: &str) -> String {
    format!("s3:{}/{key}", remote.bucket)
}

/// With a slash at its end: without one rclone asks first whether it is an object, and takes it for that if so.
fn folder(prefix: &str) -> String {
    format!("{}/", prefix.trim_end_matches('/'))
}

/// `rclone sync`: a dataset in the snapshot to its prefix.
pub(crate) struct Sync<'a> {
    /// The dataset in the snapshot.
    pub source: &'a Path,
    /// Its prefix, without a slash at the end.
    pub prefix: &'a str,
    /// Filter patterns of files that are left out.
    pub exclude: &'a [&'a str],
    /// How much at once.
    pub tuning: Tuning,
    /// Compare what is there by checksum: for a second attempt.
    pub checksum: bool,
}

/// The upload of a dataset.
pub(crate) fn sync(rclone: &Path, remote: &Remote, sync: &Sync<'_>) -> Command {
    let sh = &*shell();
    let (source, target) = (sync.source, at(remote, sync.prefix));
    let mut cmd = common(
        cmd!(sh, "{rclone} sync {source} {target}"),
        remote,
        STORE_ENCODING,
    )
    // Two names that differ only in their normalisation are two files.
    .arg("--no-unicode-normalization")
    // Links are in the manifest; without this each prints a notice.
    .args([
        "--skip-links",
        "--stats",
        "1s",
        "--stats-log-level",
        "NOTICE",
    ])
    // Each would be asked about once more after it was sent; the listing tells.
    .arg("--s3-no-head")
    .args(sync.tuning.flags());
    for pattern in sync.exclude {
        cmd = cmd.args(["--exclude", pattern]);
    }
    // What is there by now was copied on the server or sent a moment ago: comparing times would ask about each. That
    // the bytes are right is seen when the listing is compared with what was read.
    cmd = cmd.arg(if sync.checksum {
        "--checksum"
    } else {
        "--size-only"
    });
    finish(limited(cmd, remote), remote)
}

/// `rclone copy` between two prefixes: on the server, the names on stdin. A copy and, with 1.75, one question for each
/// file, as many at once as a long link needs; no byte passes through us. `largest` is the largest file's size.
pub(crate) fn copy_within(
    rclone: &Path,
    remote: &Remote,
    from: &str,
    to: &str,
    largest: u64,
) -> Command {
    let sh = &*shell();
    let (source, target) = (at(remote, &folder(from)), at(remote, &folder(to)));
    let at_once = COPIES_AT_ONCE.to_string();
    let cmd = common(
        cmd!(sh, "{rclone} copy {source} {target}"),
        remote,
        STORE_ENCODING,
    )
    .args(["--files-from-raw", "-", "--no-unicode-normalization"])
    // The prefix is this run's own, and empty.
    .arg("--no-check-dest")
    .args(["--transfers", &at_once, "--checkers", &at_once])
    // What cannot be copied is sent.
    .args(["--retries", "1"])
    .args(["--stats", "1s", "--stats-log-level", "NOTICE"]);
    // Without a listing nor a question about the source its size is not known, and above 5 GiB a copy goes in parts.
    let cmd = if largest < LARGEST_COPY {
        // What came is compared with what was read; 1.60 would ask twice about each to compare it with its source.
        cmd.args([
            "--no-traverse",
            "--s3-no-head-object",
            "--ignore-size",
            "--ignore-checksum",
            "--use-server-modtime",
        ])
    } else {
        cmd
    };
    finish(cmd, remote)
}

/// What the bucket holds of these patterns, in one process. Directories that no pattern names are not
/// listed; `--dump headers` shows the server's clock, and no key: rclone blots out `Authorization`.
pub(crate) fn ask(rclone: &Path, remote: &Remote, include: &[String]) -> Command {
    let sh = &*shell();
    let target = at(remote, "");
    let mut cmd = common(cmd!(sh, "{rclone} lsjson {target}"), remote, STORE_ENCODING)
        .args([
            "--recursive",
            "--files-only",
            "--no-modtime",
            "--no-mimetype",
            "-vv",
            "--dump",
            "headers",
        ])
        .args(SMALL_RETRIES);
    for pattern in include {
        cmd = cmd.args(["--include", pattern]);
    }
    finish(cmd, remote)
}

/// What a folder holds itself, one request a thousand; `--dump headers` as in [`ask`].
pub(crate) fn list_folder(rclone: &Path, remote: &Remote, folder: &str, dirs: bool) -> Command {
    // Without a slash at its end rclone asks first whether it is an object.
    let (sh, target) = (&*shell(), at(remote, folder));
    let cmd = common(cmd!(sh, "{rclone} lsjson {target}"), remote, STORE_ENCODING)
        .arg(if dirs { "--dirs-only" } else { "--files-only" })
        .args(["--no-modtime", "--no-mimetype", "-vv", "--dump", "headers"])
        .args(SMALL_RETRIES);
    finish(cmd, remote)
}

/// An object's versions, hidden ones included.
pub(crate) fn list_versions(rclone: &Path, remote: &Remote, folder: &str, name: &str) -> Command {
    let (sh, target) = (&*shell(), at(remote, folder));
    // rclone puts `-v<time>` between a name and its extension.
    let (stem, extension) = name.split_once('.').unwrap_or((name, ""));
    let pattern = format!("/{}-v*.{}", literal(stem), literal(extension));
    let cmd = common(cmd!(sh, "{rclone} lsjson {target}"), remote, STORE_ENCODING)
        .args(["--files-only", "--s3-versions", "--no-mimetype"])
        .args(["--include", &pattern])
        .args(SMALL_RETRIES);
    finish(cmd, remote)
}

/// All below a prefix; with MD5s, one HEAD for an object that went in parts, one after the other, and none for the
/// others.
pub(crate) fn list_below(rclone: &Path, remote: &Remote, below: &str, hashes: bool) -> Command {
    let sh = &*shell();
    let target = at(remote, &folder(below));
    let cmd = common(cmd!(sh, "{rclone} lsjson {target}"), remote, LIST_ENCODING)
        .args([
            "--recursive",
            "--files-only",
            "--no-modtime",
            "--no-mimetype",
            "--fast-list",
        ])
        .args(hashes.then_some("--hash"))
        .args(SMALL_RETRIES);
    finish(cmd, remote)
}

/// Names as they are listed on stdin, which are left out.
const BUT_THOSE: [&str; 2] = ["--exclude-from", "-"];

/// The MD5s that the server keeps of all below a prefix: `MD5  name`, a line each. It asks about many objects at once
/// where `lsjson` asks about one after the other.
pub(crate) fn kept_hashes(rclone: &Path, remote: &Remote, below: &str) -> Command {
    let sh = &*shell();
    let target = at(remote, &folder(below));
    let cmd = common(
        cmd!(sh, "{rclone} hashsum MD5 {target}"),
        remote,
        LIST_ENCODING,
    )
    .args(BUT_THOSE)
    .args(["--fast-list", "--checkers", "64"])
    .args(SMALL_RETRIES);
    finish(cmd, remote)
}

/// Downloads and hashes all below a prefix: `MD5  name`, a line each.
pub(crate) fn hash_downloads(rclone: &Path, remote: &Remote, below: &str) -> Command {
    let sh = &*shell();
    let target = at(remote, &folder(below));
    let cmd = common(
        cmd!(sh, "{rclone} hashsum MD5 --download {target}"),
        remote,
        LIST_ENCODING,
    )
    .args(BUT_THOSE)
    .args([
        "--fast-list",
        "--checkers",
        "8",
        "--stats",
        "1s",
        "--stats-log-level",
        "NOTICE",
    ]);
    finish(limited(cmd, remote), remote)
}

/// All below a prefix into a local directory.
pub(crate) fn fetch(
    rclone: &Path,
    remote: &Remote,
    below: &str,
    directory: &Path,
    tuning: Tuning,
) -> Command {
    let sh = &*shell();
    let source = at(remote, &folder(below));
    let cmd = common(
        cmd!(sh, "{rclone} copy {source} {directory}"),
        remote,
        STORE_ENCODING,
    )
    .arg("--no-unicode-normalization")
    // Every byte is compared with the manifest afterwards; rclone would give up where we fetch once more.
    .arg("--ignore-checksum")
    .args([
        "--stats",
        "1s",
        "--stats-log-level",
        "NOTICE",
        "--fast-list",
    ])
    .args(tuning.flags());
    finish(limited(cmd, remote), remote)
}

fn limited<'s>(cmd: Cmd<'s>, remote: &Remote) -> Cmd<'s> {
    if remote.bandwidth.is_empty() {
        return cmd;
    }
    cmd.args(["--bwlimit", &remote.bandwidth])
}

/// The filter pattern of one name, which may end in what is cut off from a line.
pub(crate) fn whole_name(name: &str) -> String {
    let pattern = format!("/{}", literal(name));
    match pattern.strip_suffix(char::is_whitespace) {
        Some(start) => format!("{start}[{}]", &pattern[start.len()..]),
        None => pattern,
    }
}

/// Text that a filter pattern takes for itself.
pub(crate) fn literal(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if r"*?[]{}\".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}
