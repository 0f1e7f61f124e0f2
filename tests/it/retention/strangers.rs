//! What is in the snapshot directory and not ours.

use std::fs;
use std::os::unix::fs::symlink;

use anyhow::{Context, Result};

use super::{newest, sorted, strict};
use crate::support::{days_ago, expect, old_snapshot};

#[test]
fn everything_that_is_not_ours_survives_beside_one_that_goes() -> Result<()> {
    let bed = strict()?;
    let dir = bed.snapshot_dir();
    let name = |days: i64| format!("persist-{}", days_ago(days));
    let at = |name: &str| dir.join(name);
    let ours = |name: &str| bed.disk().snapshot(bed.subvolume(), &at(name), true);

    let precious = bed.disk().path().join("precious");
    bed.disk().subvolume(&precious)?;
    fs::write(precious.join("data"), "precious")?;

    // Names that are not ours, though all that a name cannot tell is.
    ours("persist-2025-02-30T00-00-00Z")?;
    ours("persist-2025-01-01T12-00-00Zx")?;
    ours("persist-2025-01-01T12-00-00z")?;
    ours("xpersist-2025-01-01T12-00-00Z")?;
    ours("persist-2025-1-1T12-00-00Z")?;
    ours("persist-2025-01-01T12-00-00.5Z")?;
    ours("persist-+2025-01-01T12-00-00Z")?;
    ours("persist-before-upgrade")?;
    ours("persist.20250101T1200")?;
    fs::create_dir(at("42"))?;
    ours("42/snapshot")?;
    fs::write(at("notes.txt"), "do not delete")?;
    fs::create_dir(at("directory"))?;

    // Names like ours, of old things that are something else.
    let [link, dangling, file, directory, writable, other, future] =
        [50, 51, 52, 53, 54, 55, -5].map(name);
    let goes = old_snapshot(&bed, 45);
    symlink(&precious, at(&link))?;
    symlink(at(&goes), at(&dangling))?;
    fs::write(at(&file), "a file")?;
    fs::create_dir(at(&directory))?;
    fs::write(at(&directory).join("data"), "in a directory")?;
    bed.disk()
        .snapshot(bed.subvolume(), &at(&writable), false)?;
    bed.disk().snapshot(&precious, &at(&other), true)?;
    ours(&future)?;

    let mut expected = bed.snapshots()?;
    let ran = expect(&bed, &["run"], 0);
    expected.retain(|name| *name != goes);
    expected.push(newest(&bed)?);
    expected.sort();
    assert_eq!(bed.snapshots()?, expected, "{ran}");

    assert_eq!(fs::read_to_string(precious.join("data"))?, "precious");
    assert_eq!(fs::read_link(at(&link))?, precious);
    assert_eq!(
        fs::read_to_string(at(&directory).join("data"))?,
        "in a directory"
    );
    assert_eq!(fs::read_to_string(at(&other).join("data"))?, "precious");
    assert!(at(&writable).join("containers").is_dir() && at("42/snapshot/containers").is_dir());

    // Six bear our names: counted, with what to do.
    let counted = ran
        .stderr
        .lines()
        .find(|line| line.contains("are not ours"))
        .with_context(|| ran.to_string())?;
    assert!(
        counted.contains("6 ") && counted.contains("former_subvolume_uuids"),
        "{counted}"
    );
    let state = bed.state()?;
    let reason = |name: &String| {
        let rows = state["retention"]["snapshots"]["rows"].as_array()?;
        Some(
            rows.iter()
                .find(|row| row["name"] == name.as_str())?
                .to_string(),
        )
    };
    for (name, why) in [
        (&link, "symbolic link"),
        (&dangling, "symbolic link"),
        (&file, "no Btrfs subvolume"),
        (&directory, "no Btrfs subvolume"),
        (&writable, "writable"),
        (&other, "another subvolume"),
        (&future, "future"),
        (&goes, r#""decision":"delete""#),
    ] {
        let reason = reason(name).with_context(|| format!("no row for {name}: {state:#}"))?;
        assert!(reason.contains(why), "{name}: {reason}");
    }
    Ok(())
}

#[test]
fn the_warning_about_strangers_reaches_the_state_file() -> Result<()> {
    let bed = strict()?;
    bed.disk().snapshot(
        bed.subvolume(),
        &bed.snapshot_dir().join(format!("persist-{}", days_ago(50))),
        false,
    )?;
    expect(&bed, &["run"], 0);
    let warnings = bed.state()?["warnings"].to_string();
    assert!(warnings.contains("not ours"), "{warnings}");
    Ok(())
}

#[test]
fn a_snapshot_of_the_same_name_in_another_directory_is_not_touched() -> Result<()> {
    let bed = strict()?;
    let old = old_snapshot(&bed, 40);
    let other = bed.disk().path().join("other");
    fs::create_dir(&other)?;
    bed.disk()
        .snapshot(bed.subvolume(), &other.join(&old), true)?;
    expect(&bed, &["run"], 0);
    assert_eq!(bed.snapshots()?, [newest(&bed)?]);
    assert!(other.join(&old).join("containers").is_dir());
    Ok(())
}

#[test]
fn a_snapshot_elsewhere_does_not_make_a_stranger_of_the_same_name_ours() -> Result<()> {
    let bed = strict()?;
    let other = bed.disk().path().join("other");
    fs::create_dir(&other)?;
    let [writable, plain, goes] = [40, 50, 60].map(|days| format!("persist-{}", days_ago(days)));
    for name in [&writable, &plain] {
        bed.disk()
            .snapshot(bed.subvolume(), &other.join(name), true)?;
    }
    bed.disk()
        .snapshot(bed.subvolume(), &bed.snapshot_dir().join(&writable), false)?;
    fs::create_dir(bed.snapshot_dir().join(&plain))?;
    bed.disk()
        .snapshot(bed.subvolume(), &bed.snapshot_dir().join(&goes), true)?;

    expect(&bed, &["run"], 0);
    let run = newest(&bed)?;
    assert_eq!(bed.snapshots()?, sorted([&run, &writable, &plain]));
    for name in [&writable, &plain] {
        assert!(other.join(name).join("containers").is_dir(), "{name}");
    }
    let rows = bed.state()?["retention"]["snapshots"]["rows"].clone();
    let row = rows
        .as_array()
        .context("rows")?
        .iter()
        .find(|row| row["name"] == writable.as_str())
        .context("a row")?;
    assert!(
        row["decision"] == "keep" && row["why"] == "writable",
        "{row}"
    );
    Ok(())
}
