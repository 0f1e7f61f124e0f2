//! Whether what is stored is what is there: the manifest against the live tree, the objects against both.
//!
//! Nothing of the program under test helps here: `md5sum` gives the sums, and objects come back through the
//! bed's rclone, as a person would fetch them.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use testbed::s3::{APP_KEY, KEY_ID};
use testbed::{Bed, Ran};

use crate::support::marks;

/// Seconds since 1970.
pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.expect("a clock after 1970").as_secs()
}

/// Runs once the last run's timestamp is over, and expects this exit code.
#[track_caller]
pub fn run_again(bed: &Bed, code: i32) -> Ran {
    let last = now();
    while now() == last {
        sleep(Duration::from_millis(10));
    }
    crate::support::expect(bed, &["run"], code)
}

/// The timestamp of the run that the state file tells of.
#[track_caller]
pub fn timestamp(bed: &Bed) -> String {
    let state = bed.state().expect("a state file");
    state["timestamp"].as_str().expect("a timestamp").to_owned()
}

/// The element of a list whose `name` this is.
#[track_caller]
pub fn named<'v>(list: &'v Value, name: &str) -> &'v Value {
    let list = list.as_array().expect("a list");
    let found = list.iter().find(|element| element["name"] == name);
    found.unwrap_or_else(|| panic!("no {name} among {list:#?}"))
}

/// MD5 of every regular file below a directory, by path.
#[track_caller]
pub fn md5sums(dir: &Path) -> BTreeMap<Vec<u8>, String> {
    let script = "find . -type f -print0 | xargs -0 -r md5sum -z --";
    let output = Command::new("sh")
        .args(["-c", script])
        .current_dir(dir)
        .output()
        .expect("sh");
    assert!(output.status.success(), "md5sum in {}", dir.display());
    let lines = output.stdout.split(|byte| *byte == 0);
    // 32 digits, two blanks, "./".
    let parsed = lines.filter(|line| !line.is_empty()).map(|line| {
        let sum = String::from_utf8_lossy(&line[..32]).into_owned();
        (line[36..].to_vec(), sum)
    });
    parsed.collect()
}

fn text(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => json!(text),
        Err(_) => json!({"base64": STANDARD.encode(bytes)}),
    }
}

fn bytes(text: &Value) -> Vec<u8> {
    match text {
        Value::String(text) => text.clone().into_bytes(),
        other => STANDARD
            .decode(other["base64"].as_str().expect("base64"))
            .expect("base64"),
    }
}

fn walk(dir: &Path, below: &[u8], md5: &BTreeMap<Vec<u8>, String>) -> BTreeMap<Vec<u8>, Value> {
    let path = dir.join(OsStr::from_bytes(below));
    let metadata = fs::symlink_metadata(&path).expect("an entry");
    let mut entry = json!({
        "path": text(below),
        "mode": format!("{:04o}", metadata.mode() & 0o7777),
        "uid": metadata.uid(),
        "gid": metadata.gid(),
        "mtime": metadata.mtime(),
        "mtime_ns": metadata.mtime_nsec(),
        "ctime": metadata.ctime(),
        "ctime_ns": metadata.ctime_nsec(),
        "inode": metadata.ino(),
    });
    let mut entries = BTreeMap::new();
    let kind = metadata.file_type();
    if kind.is_dir() {
        entry["type"] = json!("directory");
        for child in fs::read_dir(&path).expect("a directory") {
            let name = child.expect("a name").file_name();
            let slash: &[u8] = if below.is_empty() { b"" } else { b"/" };
            entries.extend(walk(dir, &[below, slash, name.as_bytes()].concat(), md5));
        }
    } else if kind.is_symlink() {
        let target = fs::read_link(&path).expect("a target");
        entry["type"] = json!("symlink");
        entry["target"] = text(target.as_os_str().as_bytes());
    } else if kind.is_file() {
        entry["type"] = json!("file");
        entry["size"] = json!(metadata.len());
        entry["md5"] = json!(md5[below]);
    } else {
        return entries;
    }
    entries.insert(below.to_vec(), entry);
    entries
}

/// The manifest's entries of a dataset, by path.
#[track_caller]
pub fn entries(manifest: &Value, dataset: &str) -> BTreeMap<Vec<u8>, Value> {
    let list = named(&manifest["datasets"], dataset)["entries"].as_array();
    let list = list.expect("entries");
    let found: BTreeMap<_, _> = list
        .iter()
        .map(|entry| (bytes(&entry["path"]), entry.clone()))
        .collect();
    assert_eq!(found.len(), list.len(), "an entry twice");
    found
}

/// The bed's rclone, with an environment and flags that any person could write.
#[track_caller]
fn rclone(bed: &Bed, words: &[&str], more: &[&OsStr]) -> Vec<u8> {
    let mut rclone = Command::new(bed.scratch().join("bin/rclone"));
    rclone
        .env_clear()
        .env("RCLONE_CONFIG", "")
        .env("RCLONE_CONFIG_S3_TYPE", "s3")
        .env("AWS_ACCESS_KEY_ID", KEY_ID)
        .env("AWS_SECRET_ACCESS_KEY", APP_KEY)
        .env("RCLONE_CONFIG_S3_ENV_AUTH", "true")
        .args(words)
        .args(["--s3-provider", "Other", "--s3-endpoint"])
        .arg(bed.s3().endpoint())
        .args(["--s3-encoding", "Slash,Ctl,Del,InvalidUtf8,Dot"])
        // Two names that look alike are two files.
        .args([
            "--no-unicode-normalization",
            "--transfers",
            "16",
            "--checkers",
            "16",
        ])
        .args(more);
    let output = rclone.stdin(Stdio::null()).output().expect("rclone");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "rclone {words:?}: {said}");
    output.stdout
}

/// Fetches everything below a prefix into a fresh directory.
#[track_caller]
pub fn fetch(bed: &Bed, prefix: &str) -> PathBuf {
    let to = bed.scratch().join(format!("fetched-{prefix}"));
    if to.exists() {
        fs::remove_dir_all(&to).expect("what was fetched before goes");
    }
    let from = format!("s3:{}/{prefix}", bed.bucket());
    rclone(bed, &["copy", &from], &[to.as_os_str()]);
    to
}

/// MD5 of every object below a prefix as the server has made it of the bytes, by path; for plain names.
#[track_caller]
pub fn listed(bed: &Bed, prefix: &str) -> BTreeMap<Vec<u8>, String> {
    let from = format!("s3:{}/{prefix}", bed.bucket());
    let words = [
        "lsjson",
        "-R",
        "--files-only",
        "--hash",
        "--no-modtime",
        "--no-mimetype",
    ];
    let text = rclone(bed, &words, &[OsStr::new(&from)]);
    let list: Vec<Value> = serde_json::from_slice(&text).expect("a list");
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let parsed = list.iter().map(|object| {
        let path = text(&object["Path"]).into_bytes();
        (path, text(&object["Hashes"]["md5"]))
    });
    parsed.collect()
}

/// Asserts that the manifest lists exactly what lies in `dir`, that the bucket holds as many objects as there
/// are regular files, and that each comes back under its name with its bytes. `but` is left out.
#[track_caller]
pub fn assert_stored(bed: &Bed, manifest: &Value, dataset: &str, dir: &Path, but: &[&str]) {
    let (prefix, live) = assert_told(manifest, dataset, dir, but);
    assert_eq!(keys_below(bed, &prefix).len(), live.len(), "{prefix}");
    let fetched = md5sums(&fetch(bed, &prefix));
    let wrong = |path: &&Vec<u8>| fetched.get(*path) != live.get(*path);
    let wrong = live.keys().chain(fetched.keys()).filter(wrong);
    let wrong: Vec<_> = wrong.map(|path| path.escape_ascii().to_string()).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

/// Asserts that the manifest lists exactly what lies in `dir`; the dataset's prefix, and the MD5 of its files.
#[track_caller]
pub fn assert_told(
    manifest: &Value,
    dataset: &str,
    dir: &Path,
    but: &[&str],
) -> (String, BTreeMap<Vec<u8>, String>) {
    let left_out = |path: &Vec<u8>| but.iter().any(|name| name.as_bytes() == path.as_slice());
    let mut live_sums = md5sums(dir);
    let mut live = walk(dir, b"", &live_sums);
    live_sums.retain(|path, _| !left_out(path));
    live.retain(|path, _| !left_out(path));

    let told = entries(manifest, dataset);
    let differ = |path: &&Vec<u8>| told.get(*path) != live.get(*path);
    let differences: Vec<_> = live
        .keys()
        .chain(told.keys())
        .filter(differ)
        .map(|path| (path.escape_ascii(), live.get(path), told.get(path)))
        .map(|(path, live, told)| format!("{path}\n  live {live:?}\n  told {told:?}"))
        .collect();
    assert!(differences.is_empty(), "{}", differences.join("\n"));

    let stored = named(&manifest["datasets"], dataset);
    let prefix = stored["prefix"].as_str().expect("a prefix");
    let size = |entry: &Value| entry["size"].as_u64().unwrap_or_default();
    assert_eq!(stored["files"], json!(live_sums.len()), "{dataset}");
    assert_eq!(stored["bytes"], json!(live.values().map(size).sum::<u64>()));
    (prefix.to_owned(), live_sums)
}

/// The keys below a dataset's prefix.
#[track_caller]
pub fn keys_below(bed: &Bed, prefix: &str) -> Vec<String> {
    let mut keys = bed.keys().expect("the bucket answers");
    keys.retain(|key| key.starts_with(&format!("{prefix}/")));
    keys
}

/// Expects a complete backup in which both datasets are what is there; its manifest.
#[track_caller]
pub fn assert_complete(bed: &Bed) -> Value {
    let at = timestamp(bed);
    let manifest = bed.manifest(&at).expect("a manifest");
    assert_eq!(manifest["complete"], json!(true));
    assert_eq!(manifest["failed"], json!([]));
    assert_eq!(marks(bed, &at), [""; 0]);
    manifest
}

/// What a run left that could store one dataset and not the other.
pub struct Half {
    /// Its timestamp.
    pub timestamp: String,
    /// Why the other one is not stored.
    pub why: String,
}

/// Asserts all that holds after a run that stored `good` and could not store `bad`: exit code 5, the snapshot
/// kept and said to be, the good dataset as it is there, a partial manifest that names it alone, the started
/// mark still there and no complete manifest.
#[track_caller]
pub fn assert_half(bed: &Bed, ran: &Ran, good: &str, bad: &str) -> Half {
    assert_eq!(ran.code, Some(5), "{ran}");
    let at = timestamp(bed);
    let state = bed.state().expect("a state file");
    assert_eq!(state["exit_code"], json!(5));
    let why = named(&state["datasets"], bad)["error"].as_str();
    let why = why.expect("an error").to_owned();
    assert_eq!(named(&state["datasets"], good)["error"], json!(null));
    let snapshot = format!("persist-{at}");
    assert!(bed.snapshots().expect("a listing").contains(&snapshot));
    let verdict = state["verdict"].as_str().expect("a verdict");
    let kept = format!("{} is kept", bed.snapshot_dir().join(&snapshot).display());
    assert!(verdict.contains(&kept), "{verdict}");
    // What a tool has said may hold a tab, which a terminal is not shown as it is.
    let start = why.split(char::is_control).next().expect("a start");
    for said in [verdict, &ran.stderr] {
        assert!(
            said.contains(&format!("{bad} is not safely stored: {start}")),
            "{said}"
        );
    }

    let keys = bed.keys().expect("the bucket answers");
    let there = |end: &str| keys.contains(&format!("manifests/{at}{end}.json"));
    assert_eq!(marks(bed, &at).len(), 1, "{keys:?}");
    assert!(there(".partial") && !there(""), "{keys:?}");
    let manifest = bed.partial_manifest(&at);
    let manifest = manifest.expect("a partial manifest");
    assert_eq!(manifest["complete"], json!(false));
    let names = |list: &Value| -> Vec<Value> {
        let list = list.as_array().expect("a list");
        list.iter().map(|element| element["name"].clone()).collect()
    };
    assert_eq!(names(&manifest["datasets"]), [good]);
    assert_eq!(names(&manifest["failed"]), [bad]);
    assert_eq!(named(&manifest["failed"], bad)["error"], json!(why));
    assert_stored(bed, &manifest, good, &bed.dataset(good), &[]);
    Half { timestamp: at, why }
}
