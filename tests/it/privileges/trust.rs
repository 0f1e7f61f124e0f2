//! While we hold capabilities, what somebody else could have written is neither run nor believed.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use testbed::bed::USER;
use testbed::{Bed, Ran};

use crate::support::{bed, expect, expect_cmd, wrap};

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, PermissionsExt::from_mode(mode)).expect("a mode");
}

fn give_away(path: &Path) {
    chown(path, Some(USER), Some(USER)).expect("given");
}

/// Both as the unit's user and as root: exit 3, this path with these words, the remedy, and nothing done.
#[track_caller]
fn is_refused(bed: &Bed, what: &str, path: &Path, why: &str) {
    let as_user = expect_cmd(bed, &mut bed.as_user(&["run"]).expect("a command"), 3);
    let as_root = expect(bed, &["run"], 3);
    for ran in [as_user, as_root] {
        assert!(
            ran.stderr.contains(&format!("{what} can be changed by")),
            "{ran}"
        );
        let wanted = format!("{} {why}", path.display());
        assert!(ran.stderr.contains(&wanted), "no {wanted:?}: {ran}");
        assert!(
            ran.stderr.contains("chown it to root and chmod go-w"),
            "the remedy: {ran}"
        );
    }
    let state = bed.state().expect("a state file");
    assert_eq!(state["exit_code"], 3, "{state:#}");
    assert!(bed.snapshots().expect("names").is_empty());
    assert!(bed.keys().expect("names").is_empty());
}

/// Refused for nothing but its owner, then for nothing but its mode, then accepted.
#[track_caller]
fn is_refused_for_owner_and_mode(bed: &Bed, what: &str, path: &Path) {
    give_away(path);
    is_refused(bed, what, path, &format!("belongs to user {USER}"));
    chown(path, Some(0), Some(0)).expect("root's");
    let mode = path.metadata().expect("a file").permissions().mode() & 0o7777;
    chmod(path, mode | 0o022);
    let shown = format!("(mode {:04o})", mode | 0o022);
    is_refused(
        bed,
        what,
        path,
        &format!("can be written by others {shown}"),
    );
    chmod(path, mode);
    accepted(bed);
}

#[track_caller]
fn accepted(bed: &Bed) -> Ran {
    let ran = expect_cmd(bed, &mut bed.as_user(&["run"]).expect("a command"), 0);
    assert_eq!(bed.committed().expect("names").len(), 1, "{ran}");
    ran
}

#[test]
fn a_script_of_somebody_elses_is_refused() {
    let bed = bed();
    is_refused_for_owner_and_mode(&bed, "the export's script", &bed.script_path());
}

#[test]
fn a_tool_of_somebody_elses_is_refused() {
    let bed = bed();
    wrap(&bed, "rclone", "exec \"$REAL\" \"$@\"");
    is_refused_for_owner_and_mode(&bed, "rclone", &bed.scratch().join("bin/rclone"));
}

#[test]
fn a_configuration_of_somebody_elses_is_refused() {
    let bed = bed();
    is_refused_for_owner_and_mode(&bed, "the configuration", &bed.config_path());
}

#[test]
fn a_tool_that_the_world_may_write_is_refused() {
    let bed = bed();
    wrap(&bed, "btrfs", "exec \"$REAL\" \"$@\"");
    let path = bed.scratch().join("bin/btrfs");
    chmod(&path, 0o777);
    is_refused(&bed, "btrfs", &path, "can be written by others (mode 0777)");
}

#[test]
fn an_interpreter_of_somebody_elses_is_refused() {
    let bed = bed();
    let python = bed.scratch().join("python");
    fs::write(&python, "#!/bin/sh\nexec /usr/bin/python3 \"$@\"\n").expect("a file");
    chmod(&python, 0o755);
    give_away(&python);
    let words = [python.clone(), bed.script_path(), PathBuf::from("export")];
    let words = words.map(|word| toml::Value::from(word.display().to_string()));
    bed.set("export.command", words.to_vec())
        .expect("a setting");
    is_refused(
        &bed,
        "the export's program",
        &python,
        &format!("belongs to user {USER}"),
    );
}

#[test]
fn a_link_is_as_good_as_what_it_leads_to() {
    let bed = bed();
    let target = bed.scratch().join("target.py");
    fs::rename(bed.script_path(), &target).expect("moved");
    symlink(&target, bed.script_path()).expect("a link");
    is_refused_for_owner_and_mode(&bed, "the export's script", &target);
}

#[test]
fn a_directory_on_the_way_counts() {
    let bed = bed();
    let folder = bed.scratch().join("folder");
    fs::create_dir(&folder).expect("a directory");
    let script = folder.join("memory_manager.py");
    fs::rename(bed.script_path(), &script).expect("moved");
    let link = bed.script_path();
    symlink(&script, link).expect("a link");
    is_refused_for_owner_and_mode(&bed, "the export's script", &folder);
}

#[test]
fn a_sticky_directory_is_as_good_as_its_entries() {
    let bed = bed();
    let folder = bed.scratch().join("sticky");
    fs::create_dir(&folder).expect("a directory");
    chmod(&folder, 0o1777);
    let script = folder.join("memory_manager.py");
    fs::rename(bed.script_path(), &script).expect("moved");
    symlink(&script, bed.script_path()).expect("a link");
    give_away(&script);
    let shown = folder.display().to_string();
    let ran = expect_cmd(&bed, &mut bed.as_user(&["run"]).expect("a command"), 3);
    assert!(ran.stderr.contains(&shown), "{ran}");
    assert!(bed.snapshots().expect("names").is_empty());
    chown(&script, Some(0), Some(0)).expect("root's");
    accepted(&bed);
}

#[test]
fn check_says_the_same_beforehand() {
    let bed = bed();
    give_away(&bed.script_path());
    let ran = expect_cmd(&bed, &mut bed.as_user(&["check"]).expect("a command"), 3);
    let line = ran
        .stdout
        .lines()
        .find(|line| line.contains("the export's script"));
    let line = line.unwrap_or_else(|| panic!("nothing about the script: {ran}"));
    assert!(
        line.starts_with("UNMET") && line.contains(&USER.to_string()),
        "{ran}"
    );
}
