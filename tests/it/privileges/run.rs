//! The whole run as an ordinary user with the three capabilities, with fewer, and as root.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};

use testbed::Bed;
use testbed::bed::USER;

use super::as_user_with;
use crate::support::{bed, expect, expect_cmd, old_snapshot};

/// What every good run leaves.
#[track_caller]
fn is_stored(bed: &Bed) {
    let committed = bed.committed().expect("names");
    assert_eq!(committed.len(), 1, "{committed:?}");
    let manifest = bed.manifest(&committed[0]).expect("a manifest");
    assert_eq!(manifest["complete"], true, "{manifest:#}");
    assert_eq!(manifest["export"]["outcome"], "stored", "{manifest:#}");
    let keys = bed.keys().expect("names");
    for name in ["falkordb", "valkey"] {
        let key = format!("{name}-{}/dump.rdb", committed[0]);
        assert!(keys.contains(&key), "{key}: {keys:#?}");
        let stored = bed.s3().get(bed.bucket(), &key).expect("an answer");
        let live = fs::read(bed.dataset(name).join("dump.rdb")).expect("readable");
        assert_eq!(stored, Some(live), "{key}");
    }
}

#[test]
fn three_capabilities_do_the_whole_job_retention_included() {
    let bed = bed();
    bed.set("retention.min_keep", 1).expect("a setting");
    let old = old_snapshot(&bed, 40);
    let ran = expect_cmd(&bed, &mut bed.as_user(&["run"]).expect("a command"), 0);
    is_stored(&bed);
    let snapshots = bed.snapshots().expect("names");
    assert!(!snapshots.contains(&old), "{snapshots:?}: {ran}");
    assert_eq!(snapshots.len(), 1, "{ran}");
    let state = bed.state().expect("a state file");
    assert_eq!(state["exit_code"], 0, "{state:#}");
    assert_eq!(state["retention"]["snapshots"]["deleted"], 1, "{state:#}");
    assert_eq!(
        state["warnings"].as_array().map(Vec::len),
        Some(0),
        "{state:#}"
    );
}

#[test]
fn the_other_commands_need_no_more() {
    let bed = bed();
    expect_cmd(&bed, &mut bed.as_user(&["run"]).expect("a command"), 0);
    let ran = expect_cmd(
        &bed,
        &mut bed.as_user(&["check", "--remote"]).expect("a command"),
        0,
    );
    assert!(!ran.stdout.contains("UNMET"), "{ran}");
    let ran = expect_cmd(&bed, &mut bed.as_user(&["list"]).expect("a command"), 0);
    assert!(
        ran.stdout.contains("ours") && ran.stdout.contains("complete"),
        "{ran}"
    );
}

#[test]
fn files_that_only_their_owners_may_read_are_stored() {
    let bed = bed();
    let vault = bed.dataset("valkey").join("vault");
    fs::create_dir(&vault).expect("a directory");
    for (file, owner) in [("of-root", 0), ("of-another", USER + 7)] {
        let path = vault.join(file);
        fs::write(&path, file).expect("a file");
        fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).expect("0600");
        chown(&path, Some(owner), Some(owner)).expect("owned");
    }
    fs::set_permissions(&vault, PermissionsExt::from_mode(0o700)).expect("0700");
    let ran = expect_cmd(&bed, &mut bed.as_user(&["run"]).expect("a command"), 0);
    is_stored(&bed);
    let timestamp = bed.committed().expect("names").remove(0);
    for file in ["of-root", "of-another"] {
        let key = format!("valkey-{timestamp}/vault/{file}");
        let stored = bed.s3().get(bed.bucket(), &key).expect("an answer");
        assert_eq!(stored.as_deref(), Some(file.as_bytes()), "{key}: {ran}");
    }
}

#[test]
fn root_needs_no_capabilities_of_its_own() {
    let bed = bed();
    expect(&bed, &["run"], 0);
    is_stored(&bed);
}

#[test]
fn a_capability_that_is_missing_is_named_and_nothing_is_touched() {
    let bed = bed();
    let all = ["fowner", "dac_read_search", "sys_admin"];
    for missing in all {
        let caps = all.iter().filter(|cap| **cap != missing);
        let caps = caps.fold("-all".to_owned(), |list, cap| list + ",+" + cap);
        let ran = expect_cmd(&bed, &mut as_user_with(&bed, &caps, &["run"]), 3);
        let name = format!("CAP_{}", missing.to_uppercase());
        assert!(ran.stderr.contains(&format!("{name} missing")), "{ran}");
        assert!(
            ran.stderr.contains("AmbientCapabilities="),
            "the remedy: {ran}"
        );
        let state = bed.state().expect("a state file");
        assert_eq!(state["exit_code"], 3, "{state:#}");
        assert!(state["unmet"].to_string().contains(&name), "{state:#}");
    }
    assert!(bed.snapshots().expect("names").is_empty());
    assert!(bed.keys().expect("names").is_empty());
}

#[test]
fn all_missing_capabilities_are_named_at_once() {
    let bed = bed();
    let ran = expect_cmd(&bed, &mut as_user_with(&bed, "-all", &["run"]), 3);
    let wanted = "CAP_FOWNER, CAP_DAC_READ_SEARCH, CAP_SYS_ADMIN missing";
    assert!(ran.stderr.contains(wanted), "{ran}");
}

#[test]
fn a_state_directory_that_cannot_be_written_is_a_warning_and_no_lost_backup() {
    let bed = bed();
    let mut command = bed.as_user(&["run"]).expect("a command");
    let state = bed.scratch().join("state");
    chown(&state, Some(0), Some(0)).expect("root's");
    let ran = expect_cmd(&bed, &mut command, 0);
    is_stored(&bed);
    assert!(!bed.state_path().exists(), "{ran}");
    let path = bed.state_path().display().to_string();
    let warning = ran.stderr.lines().find(|line| line.contains(&path));
    let warning = warning.unwrap_or_else(|| panic!("nothing about {path}: {ran}"));
    assert!(warning.starts_with("warning:"), "{warning}");
    assert!(warning.contains("could not be written"), "{warning}");
    assert!(
        warning.contains("writable for this user"),
        "the remedy: {warning}"
    );
}
