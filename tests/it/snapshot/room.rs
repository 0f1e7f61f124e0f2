//! A disk that is nearly full, and one that is.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use nix::sys::statvfs::statvfs;
use testbed::Bed;

use crate::support::{BIN, a_new_second, expect};

fn small() -> Result<Bed> {
    let bed = Bed::builder(Path::new(BIN)).size_mib(128).build()?;
    bed.set("export.enable", false)?;
    Ok(bed)
}

fn sync(bed: &Bed) -> Result<()> {
    let synced = Command::new("btrfs")
        .args(["filesystem", "sync"])
        .arg(bed.disk().path())
        .status()?;
    anyhow::ensure!(synced.success(), "{synced}");
    Ok(())
}

/// Writes to a file until `full` says so or there is no room.
fn fill(bed: &Bed, mut full: impl FnMut() -> Result<bool>) -> Result<()> {
    let mut file = File::create(bed.disk().path().join("filler"))?;
    while !full()? {
        if file
            .write_all(&vec![0xa5; 1 << 20])
            .and_then(|()| file.sync_all())
            .is_err()
        {
            return Ok(());
        }
    }
    Ok(())
}

#[test]
fn less_than_a_tenth_of_free_space_is_warned_of_and_more_is_not() -> Result<()> {
    let bed = small()?;
    expect(&bed, &["run"], 0);
    assert_eq!(bed.state()?["warnings"], serde_json::json!([]));
    fill(&bed, || {
        let stat = statvfs(bed.disk().path())?;
        Ok(stat.blocks_available() * 10 < stat.blocks())
    })?;
    let ran = expect(&bed, &["run"], 0);
    let state = bed.state()?;
    let (free, total) = (state["free_bytes"].as_u64(), state["total_bytes"].as_u64());
    assert!(
        free.context("free")? * 10 < total.context("total")?,
        "{state:#}"
    );
    assert_eq!(
        state["warnings"].as_array().map(Vec::len),
        Some(1),
        "{state:#}"
    );
    let warning = state["warnings"][0].as_str().context("a warning")?;
    assert!(
        warning.contains("little room") && ran.stderr.contains(warning),
        "{ran}"
    );
    let checked = expect(&bed, &["check"], 0);
    assert!(checked.stdout.contains("warning  free space"), "{checked}");
    Ok(())
}

/// Data and metadata: a snapshot needs little room, and most of that in reserve.
fn fill_to_the_brim(bed: &Bed) -> Result<()> {
    fill(bed, || Ok(false))?;
    let dir = bed.disk().path().join("fillers");
    fs::create_dir_all(&dir)?;
    for number in 0..100_000 {
        // Below 2 KiB, a file lies in the metadata.
        if fs::write(dir.join(number.to_string()), [0x5a; 2000]).is_err() {
            return Ok(());
        }
        if number % 500 == 0 && sync(bed).is_err() {
            return Ok(());
        }
    }
    bail!("100,000 files, and there is still room")
}

#[test]
fn a_full_disk_costs_this_run_at_most_and_nothing_that_was_there() -> Result<()> {
    let bed = small()?;
    expect(&bed, &["run"], 0);
    let (snapshots, keys) = (bed.snapshots()?, bed.keys()?);
    fill_to_the_brim(&bed)?;

    a_new_second(&bed);
    let ran = bed.run(&["run"])?;
    let state = bed.state()?;
    assert_eq!(state["exit_code"], ran.code.context("no signal")?, "{ran}");
    for kept in &snapshots {
        assert!(bed.snapshots()?.contains(kept), "{ran}");
    }
    for kept in &keys {
        assert!(bed.keys()?.contains(kept), "{kept}: {ran}");
    }
    match ran.code {
        // The reserve was enough: then it is a backup like any other.
        Some(0) => {
            assert_eq!(bed.committed()?.len(), 2, "{ran}");
            assert_eq!(bed.snapshots()?.len(), 2, "{ran}");
            assert!(ran.stderr.contains("little room"), "{ran}");
        }
        Some(4) => {
            assert_eq!(bed.keys()?, keys, "{ran}");
            assert_eq!(bed.snapshots()?, snapshots, "{ran}");
            assert!(ran.stderr.contains("No space left on device"), "{ran}");
            assert_eq!(state["failed_step"], "snapshot");
        }
        _ => panic!("{ran}"),
    }

    fs::remove_file(bed.disk().path().join("filler"))?;
    fs::remove_dir_all(bed.disk().path().join("fillers"))?;
    sync(&bed)?;
    expect(&bed, &["run"], 0);
    Ok(())
}
