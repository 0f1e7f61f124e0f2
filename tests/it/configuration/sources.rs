//! Which file is read, and what the program makes of it.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::json;
use testbed::Ran;

use super::{Place, json, run};

const USUAL: &str = "/etc/opencode-backup/config.toml";

/// A mount namespace in which `/etc/opencode-backup` is this folder, or does not exist.
fn with_etc(place: &Place, etc: Option<&Path>, args: &[&str]) -> Ran {
    run(&mut etc_cmd(place, etc, args))
}

fn etc_cmd(place: &Place, etc: Option<&Path>, args: &[&str]) -> Command {
    // A tmpfs over /etc: whatever this machine has configured is out of sight, and stays as it is.
    let script = "set -e; mount -t tmpfs none /etc; from=$1; shift; \
                  [ -z \"$from\" ] || { mkdir /etc/opencode-backup; mount --bind \"$from\" /etc/opencode-backup; }; \
                  exec \"$@\"";
    let inner = place.cmd(args);
    let mut command = Command::new("/usr/bin/unshare");
    command.args(["--mount", "/bin/sh", "-c", script, "sh"]);
    command.arg(etc.unwrap_or(Path::new("")));
    command.arg(inner.get_program()).args(inner.get_args());
    command
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .current_dir("/");
    command
}

#[test]
fn without_a_file_the_defaults_are_the_documents_values() {
    let place = Place::new();
    let ran = with_etc(&place, None, &["config", "--json"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{ran}");
    let dataset = |path: &str| {
        json!({
            "enable": true,
            "path": path,
            "format": "redis",
            "max_data_age": "24h",
            "max_shrink": "50%",
            "server": null,
            "server_password_variable": null,
            "check": null,
        })
    };
    let expected = json!({
        "subvolume": "/persist",
        "snapshot_dir": "/.snapshots",
        "former_subvolume_uuids": [],
        "env_file": "/run/secrets/opencode.env",
        "save_timeout": "5m",
        "datasets": {
            "falkordb": dataset("containers/falkordb"),
            "valkey": dataset("containers/valkey"),
        },
        "remote": {
            "bucket": "opencode-memory-backups",
            "prefix": "",
            "provider": "Other",
            "endpoint": "s3.us-west-004.backblazeb2.com",
            "incremental": true,
            "bandwidth": "",
            "memory": "256M",
            "extra_args": [],
        },
        "export": {
            "enable": true,
            "command": ["python3", "/root/.opencode/graphiti/memory_manager.py", "export"],
            "timeout": "30m",
        },
        "drill": { "timeout": "1h" },
        "restore": {
            "stop": ["systemctl", "stop", "opencode-memory-pod.service"],
            "start": ["systemctl", "start", "opencode-memory-pod.service"],
            "timeout": "5m",
        },
        "retention": { "days": 30, "min_keep": 4, "remote": null },
        "report": { "state_file": "/var/lib/opencode-backup/last-run.json", "textfile": null },
    });
    assert_eq!(json(&ran), expected);
}

#[test]
fn what_is_printed_reads_back_as_the_same_configuration() {
    let place = Place::new();
    let printed = with_etc(&place, None, &["config"]);
    assert_eq!(
        (printed.code, printed.stderr.as_str()),
        (Some(0), ""),
        "{printed}"
    );
    assert!(
        printed.stdout.starts_with("# the built-in defaults\n"),
        "{printed}"
    );
    let defaults = with_etc(&place, None, &["config", "--json"]);
    let again = place.with(&printed.stdout, &["config", "--json"]);
    assert_eq!((again.code, again.stdout), (Some(0), defaults.stdout));

    let text = "subvolume = \"/data/p\"\n[datasets.x]\npath = \"a b/c\"\nformat = \"files\"\n\
                [remote]\nprefix = \"h/\"\nbandwidth = \"10M\"\n[retention.remote]\ndays = 90\n";
    let first = place.with(text, &["config", "--json"]);
    let printed = place.with(text, &["config"]);
    let source = place.path().join("config.toml");
    let head = format!("# from {}\n", source.display());
    assert!(printed.stdout.starts_with(&head), "{printed}");
    let again = place.with(&printed.stdout, &["config", "--json"]);
    assert_eq!((again.code, again.stdout), (Some(0), first.stdout));
}

#[test]
fn the_flag_beats_the_variable_and_the_variable_beats_the_usual_place() {
    let place = Place::new();
    let etc = place.path().join("etc");
    fs::create_dir(&etc).expect("made");
    fs::write(etc.join("config.toml"), "subvolume = \"/usual\"\n").expect("written");
    let flag = place.write("flag.toml", "subvolume = \"/flag\"\n");
    let variable = place.write("variable.toml", "subvolume = \"/variable\"\n");
    let flag = flag.to_string_lossy();

    let usual = with_etc(&place, Some(&etc), &["config"]);
    assert_eq!(usual.code, Some(0), "{usual}");
    assert!(
        usual
            .stdout
            .starts_with(&format!("# from {USUAL}\nsubvolume = \"/usual\"\n")),
        "{usual}"
    );
    let named = |args: &[&str]| run(place.cmd(args).env("OPENCODE_BACKUP_CONFIG", &variable));
    let by_variable = named(&["config"]);
    assert!(
        by_variable.stdout.contains("\nsubvolume = \"/variable\"\n"),
        "{by_variable}"
    );
    for args in [
        &["--config", flag.as_ref(), "config"][..],
        &["config", "--config", flag.as_ref()],
    ] {
        let by_flag = named(args);
        assert!(
            by_flag.stdout.contains("\nsubvolume = \"/flag\"\n"),
            "{by_flag}"
        );
    }
    // An empty variable names nothing.
    let empty = run(etc_cmd(&place, Some(&etc), &["config"]).env("OPENCODE_BACKUP_CONFIG", ""));
    assert_eq!(
        (empty.code, &empty.stdout),
        (Some(0), &usual.stdout),
        "{empty}"
    );
}

#[test]
fn a_file_that_somebody_named_must_be_there() {
    let place = Place::new();
    let absent = place.path().join("absent.toml");
    let absent = absent.to_string_lossy();
    let by_flag = place.run(&["--config", &absent, "config"]);
    let by_variable = run(place
        .cmd(&["config"])
        .env("OPENCODE_BACKUP_CONFIG", absent.as_ref()));
    for (ran, name) in [
        (by_flag, "--config"),
        (by_variable, "OPENCODE_BACKUP_CONFIG"),
    ] {
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{ran}");
        let start = format!("error: {absent}: cannot be read: No such file");
        assert!(ran.stderr.starts_with(&start), "{ran}");
        assert!(
            ran.stderr
                .contains(&format!("{name} names it: create it or name another one")),
            "{ran}"
        );
    }
}

#[test]
fn a_file_that_may_not_be_read_is_not_taken_for_an_absent_one() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    let etc = place.path().join("etc");
    fs::create_dir(&etc).expect("made");
    let file = etc.join("config.toml");
    fs::write(&file, "subvolume = \"/usual\"\n").expect("written");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("closed");
    let ran = with_etc(&place, Some(&etc), &["config"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{ran}");
    assert!(
        ran.stderr.contains("cannot be read: Permission denied"),
        "{ran}"
    );
    assert!(
        ran.stderr.contains("let the user of this process read it"),
        "{ran}"
    );
}

#[test]
fn a_value_never_shows_a_secret_of_the_environment() {
    let place = Place::new();
    let key = "K005never+to/be/SEEN";
    let mut command = place.cmd(&["config"]);
    command
        .env("B2_KEY_ID", "005idid0000")
        .env("B2_APP_KEY", key);
    let ran = run(&mut command);
    assert_eq!(ran.code, Some(0), "{ran}");
    assert!(
        !ran.to_string().contains(key) && !ran.to_string().contains("005idid"),
        "{ran}"
    );
}
