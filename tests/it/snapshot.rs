//! The run when nothing is wrong, and what it must leave alone.

mod failures;
mod lock;
mod manifest;
mod replaced;
mod room;
mod series;
mod state_file;
mod taken;

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use testbed::Bed;
use testbed::bed::Builder;

use crate::support::{BIN, bed, expect, old_snapshot};

/// A field of `btrfs subvolume show`.
pub fn shown(path: &Path, field: &str) -> Result<String> {
    let output = Command::new("btrfs")
        .args(["subvolume", "show"])
        .arg(path)
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text
        .lines()
        .find_map(|line| line.trim().strip_prefix(field)?.strip_prefix(':'));
    let value = line.with_context(|| format!("no {field} of {}: {text}", path.display()))?;
    Ok(value.trim().to_owned())
}

#[test]
fn a_first_run_stores_both_datasets_the_export_and_a_manifest() -> Result<()> {
    let bed = bed();
    let ran = expect(&bed, &["run"], 0);

    let committed = bed.committed()?;
    let [timestamp] = &committed[..] else {
        panic!("{committed:?}")
    };
    let name = format!("persist-{timestamp}");
    assert_eq!(bed.snapshots()?, [name.as_str()]);
    let snapshot = bed.snapshot_dir().join(&name);
    assert_eq!(shown(&snapshot, "Flags")?, "readonly");
    assert_eq!(
        shown(&snapshot, "Parent UUID")?,
        shown(bed.subvolume(), "UUID")?
    );

    // The started mark is gone, and nothing else lies about.
    let keys = bed.keys()?;
    let (exports, ours): (Vec<String>, Vec<String>) = keys
        .into_iter()
        .partition(|key| key.starts_with("graphiti_export_"));
    assert_eq!(exports.len(), 1, "{exports:?}");
    assert_eq!(
        ours,
        [
            format!("falkordb-{timestamp}/dump.rdb"),
            format!("manifests/{timestamp}.files.json"),
            format!("manifests/{timestamp}.json"),
            format!("valkey-{timestamp}/dump.rdb"),
        ]
    );
    for name in ["falkordb", "valkey"] {
        let stored = bed
            .s3()
            .get(bed.bucket(), &format!("{name}-{timestamp}/dump.rdb"))?;
        assert_eq!(stored, Some(fs::read(bed.dataset(name).join("dump.rdb"))?));
    }

    let state = bed.state()?;
    assert_eq!(state["exit_code"], 0, "{state:#}");
    assert_eq!(state["timestamp"], timestamp.as_str());
    assert_eq!(state["failed_step"], serde_json::Value::Null);
    assert_eq!(state["snapshots"], 1);
    assert_eq!(state["warnings"], serde_json::json!([]));
    let free = state["free_bytes"].as_u64().context("free_bytes")?;
    assert!(
        free > 0 && state["total_bytes"].as_u64() > Some(free),
        "{state:#}"
    );
    let verdict = state["verdict"].as_str().context("a verdict")?;
    for part in [timestamp, "complete", "1 local snapshot", " free ("] {
        assert!(verdict.contains(part), "{part:?} in {verdict}");
    }
    assert!(ran.stderr.contains(verdict), "{ran}");
    Ok(())
}

/// A run and its retention, on a file system arranged in another way.
fn works(builder: Builder) -> Result<()> {
    let bed = builder.build()?;
    bed.set("retention.min_keep", 1)?;
    let old = old_snapshot(&bed, 40);
    expect(&bed, &["run"], 0);
    let committed = bed.committed()?;
    ensure!(committed.len() == 1, "{committed:?}");
    // The old one is gone.
    assert_eq!(
        bed.snapshots()?,
        [format!("persist-{}", committed[0])],
        "{old}"
    );
    let taken = bed.snapshot_dir().join(format!("persist-{}", committed[0]));
    let dump = "containers/valkey/dump.rdb";
    assert_eq!(
        fs::read(taken.join(dump))?,
        fs::read(bed.subvolume().join(dump))?
    );
    assert_eq!(bed.state()?["exit_code"], 0);
    Ok(())
}

#[test]
fn subvolumes_that_are_mounted_separately_are_on_one_file_system() -> Result<()> {
    works(Bed::builder(Path::new(BIN)).separate_mounts())
}

#[test]
fn a_plain_directory_holds_snapshots_as_well() -> Result<()> {
    works(Bed::builder(Path::new(BIN)).plain_snapshot_dir())
}
