//! The manifest: all that S3 cannot hold, so that a restore needs nothing but the bucket.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::shown;
use crate::support::{bed, expect};

/// What `md5sum` says: nothing shared with the product.
fn md5(path: &Path) -> Result<String> {
    let output = Command::new("md5sum").arg("--").arg(path).output()?;
    let text = String::from_utf8(output.stdout)?;
    Ok(text.split(' ').next().context("a checksum")?.to_owned())
}

/// What the manifest has to say of everything below `root`, sorted by path.
fn expected(root: &Path) -> Result<Vec<Value>> {
    let mut entries = Vec::new();
    let mut pending = vec![root.to_owned()];
    while let Some(path) = pending.pop() {
        let metadata = fs::symlink_metadata(&path)?;
        let below = path.strip_prefix(root)?.to_str().context("UTF-8")?;
        let mut entry = json!({
            "path": below, "mode": format!("{:04o}", metadata.mode() & 0o7777), "uid": metadata.uid(), "gid": metadata.gid(),
            "mtime": metadata.mtime(), "mtime_ns": metadata.mtime_nsec(),
            "ctime": metadata.ctime(), "ctime_ns": metadata.ctime_nsec(), "inode": metadata.ino(),
        });
        if metadata.is_symlink() {
            entry["type"] = "symlink".into();
            entry["target"] = fs::read_link(&path)?.to_str().context("UTF-8")?.into();
        } else if metadata.is_dir() {
            entry["type"] = "directory".into();
            for child in fs::read_dir(&path)? {
                pending.push(child?.path());
            }
        } else {
            entry["type"] = "file".into();
            entry["size"] = metadata.len().into();
            entry["md5"] = md5(&path)?.into();
        }
        entries.push(entry);
    }
    sort(&mut entries);
    Ok(entries)
}

fn sort(entries: &mut [Value]) {
    entries.sort_by_key(|entry| {
        entry["path"]
            .as_str()
            .unwrap_or_default()
            .as_bytes()
            .to_vec()
    });
}

#[test]
fn the_manifest_says_of_every_file_what_the_live_tree_says() -> Result<()> {
    let bed = bed();
    let root = bed.dataset("falkordb");
    fs::create_dir_all(root.join("modules/empty"))?;
    fs::write(root.join("modules/graph.so"), vec![7; 70_000])?;
    fs::write(root.join("nothing"), "")?;
    fs::write(root.join("a name, with \"blanks\""), "x")?;
    symlink("../dump.rdb", root.join("modules/link"))?;
    chown(root.join("modules"), Some(1234), Some(5678))?;
    fs::set_permissions(
        root.join("modules/graph.so"),
        fs::Permissions::from_mode(0o4751),
    )?;
    fs::set_permissions(
        root.join("modules/empty"),
        fs::Permissions::from_mode(0o2770),
    )?;
    let touched = Command::new("touch")
        .args(["-d", "2019-03-04T05:06:07.123456789Z"])
        .arg(root.join("nothing"))
        .status()?;
    assert!(touched.success());
    fs::write(root.join("temp-4242.rdb"), "half a dump")?;

    expect(&bed, &["run"], 0);

    let timestamp = bed.committed()?.pop().context("a backup")?;
    let manifest = bed.manifest(&timestamp)?;
    assert_eq!(manifest["schema"]["major"], 1, "{manifest:#}");
    assert_eq!(manifest["timestamp"], timestamp.as_str());
    assert_eq!(
        manifest["host"],
        fs::read_to_string("/proc/sys/kernel/hostname")?.trim()
    );
    assert_eq!(
        manifest["tool"],
        format!("opencode-backup {}", env!("CARGO_PKG_VERSION"))
    );
    assert_eq!(manifest["complete"], true);
    assert_eq!(manifest["failed"], json!([]));
    let snapshot = bed.snapshot_dir().join(format!("persist-{timestamp}"));
    assert_eq!(
        manifest["snapshot"],
        json!({
            "path": snapshot, "uuid": shown(&snapshot, "UUID")?, "parent_uuid": shown(bed.subvolume(), "UUID")?,
        })
    );
    for field in ["started", "finished"] {
        let time = manifest[field].as_str().context(field)?;
        chrono::DateTime::parse_from_rfc3339(time).with_context(|| format!("{field}: {time}"))?;
    }
    assert_eq!(manifest["export"]["outcome"], "stored");
    let object = manifest["export"]["object"].as_str().context("an object")?;
    let bytes = bed.s3().get(bed.bucket(), object)?.context("the export")?;
    assert_eq!(manifest["export"]["size"], bytes.len());

    let datasets = manifest["datasets"].as_array().context("datasets")?;
    assert_eq!(datasets.len(), 2);
    for (dataset, name) in datasets.iter().zip(["falkordb", "valkey"]) {
        assert_eq!(dataset["name"], name);
        assert_eq!(dataset["prefix"], format!("{name}-{timestamp}"));
        let mut entries = dataset["entries"].as_array().context("entries")?.clone();
        sort(&mut entries);
        let mut live = expected(&bed.dataset(name))?;
        live.retain(|entry| entry["path"] != "temp-4242.rdb");
        assert_eq!(entries, live, "{name}");
        let files: Vec<&Value> = live
            .iter()
            .filter(|entry| entry["type"] == "file")
            .collect();
        assert_eq!(dataset["files"], files.len());
        let bytes: u64 = files.iter().filter_map(|file| file["size"].as_u64()).sum();
        assert_eq!(dataset["bytes"], bytes);
    }
    let left_out = &datasets[0]["left_out"];
    assert_eq!(left_out[0]["path"], "temp-4242.rdb", "{left_out}");
    assert!(
        left_out[0]["why"]
            .as_str()
            .is_some_and(|why| !why.is_empty())
    );
    assert!(!bed.keys()?.iter().any(|key| key.contains("temp-")));
    Ok(())
}

#[test]
fn a_name_that_is_no_utf8_is_base64_in_the_manifest() -> Result<()> {
    let bed = bed();
    let name = std::ffi::OsStr::from_bytes(b"caf\xe9.dat");
    fs::write(bed.dataset("valkey").join(name), "x")?;
    expect(&bed, &["run"], 0);
    let timestamp = bed.committed()?.pop().context("a backup")?;
    let manifest = bed.manifest(&timestamp)?;
    let entries = manifest["datasets"][1]["entries"]
        .as_array()
        .context("entries")?;
    let encoded = json!({ "base64": "Y2Fm6S5kYXQ=" });
    assert!(
        entries.iter().any(|entry| entry["path"] == encoded),
        "{entries:#?}"
    );
    Ok(())
}
