//! Where the keys come from: which source wins, and that both come from the same one.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use testbed::relay::Relay;
use testbed::s3::{APP_KEY, KEY_ID};
use testbed::{Bed, Ran};

use super::fixture::left_nothing;
use crate::support::{bed, expect_cmd};

/// A bed whose datasets alone matter: the export would know no other key than the right one.
fn plain() -> (Bed, Relay) {
    let bed = bed();
    bed.set("export.enable", false).expect("a setting");
    let relay = bed.relay().expect("a relay");
    (bed, relay)
}

fn file(bed: &Bed, name: &str, id: &str) -> PathBuf {
    let path = bed.scratch().join(name);
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    fs::write(&path, format!("B2_KEY_ID={id}\nB2_APP_KEY=key-of-{id}\n")).expect("a file");
    path
}

/// Every request of this run was signed by this key; `check` says where it came from.
#[track_caller]
fn signs(
    bed: &Bed,
    relay: &Relay,
    with: &dyn Fn(&mut Command),
    args: &[&str],
    id: &str,
    origin: &str,
) {
    relay.forget_requests();
    let mut command = bed.cmd(&[args, &["run", "-vv"]].concat());
    with(&mut command);
    let ran: Ran = expect_cmd(bed, &mut command, 0);
    let signers: Vec<_> = relay
        .requests()
        .into_iter()
        .map(|request| request.key_id)
        .collect();
    assert!(!signers.is_empty());
    assert!(
        signers.iter().all(|signer| signer.as_deref() == Some(id)),
        "{id}: {signers:?}"
    );
    let mut command = bed.cmd(&[args, &["check"]].concat());
    with(&mut command);
    let checked = expect_cmd(bed, &mut command, 0);
    assert!(
        checked.stdout.contains(&format!("from {origin}")),
        "{origin}: {checked}"
    );
    for text in [&ran.stdout, &ran.stderr, &checked.stdout] {
        assert!(!text.contains(&format!("key-of-{id}")), "{ran}");
    }
    left_nothing(bed, &ran);
    let started = chrono::Utc::now().timestamp();
    while chrono::Utc::now().timestamp() == started {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

#[test]
fn the_first_source_in_the_documented_order_wins() {
    let (bed, relay) = plain();
    let configured = file(&bed, "opencode.env", "idofthefile");
    let flag = file(&bed, "flag.env", "idoftheflag");
    let credential = file(&bed, "credentials/opencode.env", "idofsystemd");
    let directory = bed.scratch().join("credentials");
    let shown = |path: &Path| path.display().to_string();
    let flag_args = ["--env-file", &shown(&flag)].map(str::to_owned);
    let flag_args: Vec<&str> = flag_args.iter().map(String::as_str).collect();
    let nothing = |_: &mut Command| {};
    let systemd = |command: &mut Command| {
        command.env("CREDENTIALS_DIRECTORY", &directory);
    };
    let all = |command: &mut Command| {
        command.env("CREDENTIALS_DIRECTORY", &directory);
        command
            .env("B2_KEY_ID", "idoftheenv")
            .env("B2_APP_KEY", "key-of-idoftheenv");
    };
    signs(
        &bed,
        &relay,
        &nothing,
        &[],
        "idofthefile",
        &shown(&configured),
    );
    signs(
        &bed,
        &relay,
        &systemd,
        &[],
        "idofsystemd",
        &shown(&credential),
    );
    signs(
        &bed,
        &relay,
        &systemd,
        &flag_args,
        "idoftheflag",
        &shown(&flag),
    );
    signs(
        &bed,
        &relay,
        &all,
        &flag_args,
        "idoftheenv",
        "the environment",
    );
}

#[test]
fn keys_in_the_environment_need_no_file() {
    let (bed, relay) = plain();
    fs::remove_file(bed.env_path()).expect("gone");
    let env = |command: &mut Command| {
        command.env("B2_KEY_ID", KEY_ID).env("B2_APP_KEY", APP_KEY);
    };
    signs(&bed, &relay, &env, &[], KEY_ID, "the environment");
}

#[test]
fn keys_in_the_file_are_enough_for_the_export_too() {
    let bed = bed();
    let ran = expect_cmd(&bed, &mut bed.cmd(&["run", "-vv"]), 0);
    let state = bed.state().expect("a state file");
    assert_eq!(state["export"]["outcome"], "stored", "{state:#}");
    left_nothing(&bed, &ran);
}

#[test]
fn half_a_pair_is_refused_and_not_completed_from_elsewhere() {
    let (bed, relay) = plain();
    for (there, missing, value) in [
        ("B2_KEY_ID", "B2_APP_KEY", KEY_ID),
        ("B2_APP_KEY", "B2_KEY_ID", APP_KEY),
    ] {
        // The file has both; the environment has a half.
        let ran = expect_cmd(&bed, bed.cmd(&["run", "-vv"]).env(there, value), 3);
        let wanted = format!("the environment has {there} but not {missing}");
        assert!(ran.stderr.contains(&wanted), "{ran}");
        assert!(ran.stderr.contains("--env-file"), "the remedy: {ran}");
        left_nothing(&bed, &ran);
    }
    let text = fs::read_to_string(bed.env_path()).expect("a file");
    let half: String = text
        .lines()
        .filter(|line| !line.starts_with("B2_KEY_ID"))
        .map(|line| format!("{line}\n"))
        .collect();
    fs::write(bed.env_path(), half).expect("a file");
    let ran = expect_cmd(&bed, &mut bed.cmd(&["run", "-vv"]), 3);
    let wanted = format!(
        "{} has B2_APP_KEY but not B2_KEY_ID",
        bed.env_path().display()
    );
    assert!(ran.stderr.contains(&wanted), "{ran}");
    left_nothing(&bed, &ran);
    assert!(relay.requests().is_empty() && bed.snapshots().expect("names").is_empty());
}

#[test]
fn no_keys_anywhere_names_every_place_that_was_looked_at() {
    let (bed, relay) = plain();
    fs::remove_file(bed.env_path()).expect("gone");
    let directory = bed.scratch().join("credentials");
    let ran = expect_cmd(
        &bed,
        bed.cmd(&["run"]).env("CREDENTIALS_DIRECTORY", &directory),
        3,
    );
    let credential = directory.join("opencode.env").display().to_string();
    for place in [
        "the environment",
        &credential,
        &bed.env_path().display().to_string(),
    ] {
        assert!(ran.stderr.contains(place), "{place}: {ran}");
    }
    assert!(relay.requests().is_empty() && bed.snapshots().expect("names").is_empty());
}

#[test]
fn a_file_that_was_named_and_is_not_there_is_not_passed_over() {
    let (bed, relay) = plain();
    let ran = expect_cmd(
        &bed,
        &mut bed.cmd(&["--env-file", "/nonexistent.env", "run"]),
        3,
    );
    assert!(
        ran.stderr.contains("/nonexistent.env cannot be read"),
        "{ran}"
    );
    assert!(relay.requests().is_empty());
}
