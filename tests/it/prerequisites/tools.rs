//! Programs and the script.

use std::fs;

use anyhow::Result;

use super::{Said, refused};
use crate::support::{bed, expect, expect_cmd};

fn without(tool: &str, said: Said<'_>) -> Result<()> {
    let bed = bed();
    let path = bed.path_without(&[tool])?;
    refused(
        &bed,
        |command| {
            command.env("PATH", &path);
        },
        &[said],
    );
    Ok(())
}

#[test]
fn a_missing_setpriv_is_named_with_its_package() -> Result<()> {
    without(
        "setpriv",
        ("setpriv", "setpriv is not in PATH", "install util-linux"),
    )
}

#[test]
fn a_missing_btrfs_is_named_with_its_package() -> Result<()> {
    without(
        "btrfs",
        ("btrfs", "btrfs is not in PATH", "install btrfs-progs"),
    )
}

#[test]
fn a_missing_rclone_is_named_with_its_version() -> Result<()> {
    without(
        "rclone",
        (
            "rclone",
            "rclone is not in PATH",
            "install rclone, 1.60 or newer",
        ),
    )
}

#[test]
fn without_a_path_every_tool_is_missing_and_nothing_else_is_wrong() {
    let bed = bed();
    refused(
        &bed,
        |command| {
            command.env_remove("PATH");
        },
        &[
            ("setpriv", "PATH is not set", "install util-linux"),
            ("btrfs", "PATH is not set", "install btrfs-progs"),
            ("rclone", "PATH is not set", "install rclone"),
        ],
    );
}

#[test]
fn a_missing_program_of_the_export_is_named_and_an_export_switched_off_needs_none() -> Result<()> {
    let bed = bed();
    let script = bed.script_path().to_string_lossy().into_owned();
    for program in ["no-such-python", "/nonexistent/python3", &*script] {
        bed.set("export.command", vec![program, &script, "export"])?;
        let remedy = "name it absolutely in export.command, or set export.enable = false";
        refused(&bed, |_| {}, &[("the export's program", program, remedy)]);
    }
    bed.set("export.enable", false)?;
    expect(&bed, &["check"], 0);
    expect(&bed, &["run"], 0);
    assert_eq!(bed.committed()?.len(), 1);
    Ok(())
}

#[test]
fn a_missing_script_of_the_export_is_named() -> Result<()> {
    let bed = bed();
    fs::remove_file(bed.script_path())?;
    let script = bed.script_path().to_string_lossy().into_owned();
    let remedy = "put it there, correct export.command, or set export.enable = false";
    refused(&bed, |_| {}, &[("the export's script", &script, remedy)]);
    Ok(())
}

#[test]
fn with_everything_in_place_check_says_so_and_changes_nothing() -> Result<()> {
    let bed = bed();
    let before = super::picture(&bed)?;
    let ran = expect(&bed, &["check"], 0);
    assert!(
        ran.stdout.lines().all(|line| line.starts_with("ok ")),
        "{ran}"
    );
    for what in [
        "setpriv",
        "btrfs",
        "rclone's version",
        "the subvolume",
        "the snapshot directory",
        "capabilities",
        "credentials",
    ] {
        assert!(ran.stdout.contains(what), "{what}: {ran}");
    }
    let ran = expect_cmd(&bed, &mut bed.cmd(&["check", "--json"]), 0);
    let answer: serde_json::Value = serde_json::from_str(&ran.stdout)?;
    assert_eq!(answer["ready"], true);
    assert_eq!(super::picture(&bed)?, before);
    assert!(!bed.state_path().exists());
    Ok(())
}
