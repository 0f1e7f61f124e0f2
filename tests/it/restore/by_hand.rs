//! Backups that no run made: put into the bucket by hand, honest ones and others.

use md5::{Digest, Md5};
use serde_json::{Value, json};
use testbed::Bed;

use super::DATASETS;

/// What each dataset of [`put`] holds, in its one file `dump.rdb`.
pub const DATA: &[u8] = b"what the server saved";

/// MD5 in hexadecimal.
pub fn md5(bytes: &[u8]) -> String {
    Md5::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// This machine's name, as manifests have it.
pub fn this_host() -> String {
    let name = nix::unistd::gethostname().expect("a name");
    name.to_string_lossy().into_owned()
}

/// An entry of a manifest that is a file with these contents.
pub fn file(path: &str, bytes: &[u8]) -> Value {
    json!({"path": path, "type": "file", "size": bytes.len(), "md5": md5(bytes),
        "mode": "0600", "uid": 0, "gid": 0, "mtime": 1_700_000_000, "mtime_ns": 5})
}

/// An entry that is a directory.
pub fn directory(path: &str) -> Value {
    json!({"path": path, "type": "directory", "mode": "0755", "uid": 0, "gid": 0, "mtime": 1_700_000_000, "mtime_ns": 0})
}

/// An entry that is a symbolic link.
pub fn link(path: &str, target: &str) -> Value {
    json!({"path": path, "type": "symlink", "target": target, "mode": "0777", "uid": 0, "gid": 0,
        "mtime": 1_700_000_000, "mtime_ns": 0})
}

/// A manifest of both datasets, as a run of `host` would have left it below `prefix`.
pub fn manifest(prefix: &str, timestamp: &str, host: &str) -> Value {
    let dataset = |name: &str| {
        json!({"name": name, "prefix": format!("{prefix}{name}-{timestamp}"), "files": 1, "bytes": DATA.len(),
            "data_time": null, "warnings": [], "left_out": [], "users": {}, "groups": {},
            "entries": [directory(""), file("dump.rdb", DATA)]})
    };
    json!({
        "schema": {"major": 1, "minor": 0}, "tool": "opencode-backup 0.1.0", "host": host, "timestamp": timestamp,
        "started": "2025-01-01T00:00:00Z", "finished": "2025-01-01T00:00:01Z", "complete": true,
        "snapshot": {"path": "/x", "uuid": "00000000-0000-0000-0000-000000000001", "parent_uuid": "00000000-0000-0000-0000-000000000002"},
        "export": {"outcome": "disabled", "object": null, "size": null, "error": null},
        "failed": [], "datasets": DATASETS.map(dataset),
    })
}

/// Puts an object into the bed's bucket.
#[track_caller]
pub fn object(bed: &Bed, key: &str, bytes: &[u8]) {
    bed.s3()
        .put(bed.bucket(), key, bytes)
        .expect("it is stored");
}

/// Puts the objects of both datasets there, and no manifest.
#[track_caller]
pub fn data(bed: &Bed, prefix: &str, timestamp: &str) {
    for name in DATASETS {
        object(bed, &format!("{prefix}{name}-{timestamp}/dump.rdb"), DATA);
    }
}

/// Puts a whole backup there, with an export's object.
#[track_caller]
pub fn put(bed: &Bed, prefix: &str, timestamp: &str, host: &str) {
    data(bed, prefix, timestamp);
    let mut manifest = manifest(prefix, timestamp, host);
    let export = export_of(prefix, timestamp);
    object(bed, &export, b"{}");
    manifest["export"] = json!({"outcome": "stored", "object": export, "size": 2, "error": null});
    store(bed, prefix, timestamp, &manifest);
}

/// The export's object of [`put`].
pub fn export_of(prefix: &str, timestamp: &str) -> String {
    format!(
        "graphiti_export_{}{timestamp}.json",
        prefix.replace('/', "-")
    )
}

/// Stores a manifest as a complete one: its summary, and the list of its files.
#[track_caller]
pub fn store(bed: &Bed, prefix: &str, timestamp: &str, manifest: &Value) {
    let (summary, files) = split(manifest);
    let key = |end: &str| format!("{prefix}manifests/{timestamp}{end}");
    object(bed, &key(".files.json"), files.as_bytes());
    object(bed, &key(".json"), summary.as_bytes());
}

/// The two objects of a manifest: its summary, and the list of its files.
pub fn split(manifest: &Value) -> (String, String) {
    let mut summary = manifest.clone();
    let mut lists = Vec::new();
    for dataset in summary["datasets"].as_array_mut().into_iter().flatten() {
        // What is no dataset stays in the summary.
        let Some(fields) = dataset.as_object_mut() else {
            continue;
        };
        let name = fields.get("name").cloned();
        let parts = ["entries", "users", "groups", "left_out"];
        let tree = parts.map(|part| (part.to_owned(), fields.remove(part)));
        let tree = tree
            .into_iter()
            .filter_map(|(part, value)| Some((part, value?)));
        lists.push(json!({"name": name, "tree": tree.collect::<serde_json::Map<_, _>>()}));
    }
    let files = json!({"schema": {"major": 1, "minor": 0}, "timestamp": manifest["timestamp"], "datasets": lists});
    let files = files.to_string();
    summary["file_list"] = json!({"size": files.len(), "md5": md5(files.as_bytes())});
    (summary.to_string(), files)
}

/// Puts a started mark there that names these prefixes.
#[track_caller]
pub fn mark(
    bed: &Bed,
    prefix: &str,
    timestamp: &str,
    host: &str,
    prefixes: &[String],
    export: Option<&str>,
) {
    let mut mark = json!({"schema": {"major": 1, "minor": 0}, "tool": "opencode-backup 0.1.0", "host": host,
        "timestamp": timestamp, "started": "2025-01-01T00:00:00Z", "prefixes": prefixes});
    if let Some(export) = export {
        mark["export"] = json!(export);
    }
    object(
        bed,
        &format!("{prefix}manifests/{timestamp}.started.json"),
        mark.to_string().as_bytes(),
    );
}

/// The prefixes of both datasets.
pub fn prefixes(prefix: &str, timestamp: &str) -> Vec<String> {
    DATASETS
        .map(|name| format!("{prefix}{name}-{timestamp}"))
        .to_vec()
}
