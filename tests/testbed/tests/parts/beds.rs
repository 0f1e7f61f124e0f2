//! The bed as a whole. `env` stands for the program: it runs what it is given.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use testbed::bed::{USER, descendants};
use testbed::{Bed, Rclone, Server, Signal};

const ENV: &str = "/usr/bin/env";
const LIMIT: Duration = Duration::from_secs(10);

#[test]
fn a_bed_is_complete_and_goes_without_a_trace() -> Result<()> {
    let bed = Bed::new(Path::new(ENV))?;
    let path = bed.scratch().to_owned();
    let ran = bed.run(&[
        "sh",
        "-c",
        "rclone version; cat $OPENCODE_BACKUP_CONFIG; env >&2",
    ])?;
    assert_eq!(ran.code, Some(0), "{ran}");
    assert!(
        ran.stdout.contains("rclone v1.60") && ran.stdout.contains(bed.bucket()),
        "{ran}"
    );
    let names: Vec<&str> = ran
        .stderr
        .lines()
        .filter_map(|l| l.split('=').next())
        .collect();
    assert!(
        names
            .iter()
            .all(|n| ["PATH", "OPENCODE_BACKUP_CONFIG", "PWD", "_"].contains(n)),
        "{ran}"
    );
    for name in ["falkordb", "valkey"] {
        assert!(bed.dataset(name).join("dump.rdb").metadata()?.len() > 40);
    }
    assert!(bed.snapshots()?.is_empty() && bed.keys()?.is_empty() && bed.leftovers().is_empty());
    assert_eq!(fs::metadata(bed.env_path())?.mode() & 0o777, 0o600);
    drop(bed);
    assert!(!path.exists());
    Ok(())
}

#[test]
fn every_choice_makes_a_bed_whose_rclone_reaches_its_bucket() -> Result<()> {
    for builder in [
        Bed::builder(Path::new(ENV))
            .rclone(Rclone::New)
            .separate_mounts(),
        Bed::builder(Path::new(ENV))
            .s3(Server::RcloneServe)
            .plain_snapshot_dir(),
        Bed::builder(Path::new(ENV))
            .rclone(Rclone::New)
            .clock()
            .size_mib(128),
    ] {
        let bed = builder.build()?;
        let snapshot = bed.snapshot_dir().join("persist-x");
        bed.disk().snapshot(bed.subvolume(), &snapshot, true)?;
        assert_eq!(bed.snapshots()?, ["persist-x"]);
        let mut command = bed.cmd(&["rclone", "copy", &snapshot.to_string_lossy()]);
        command
            .arg(format!("s3:{}/x", bed.bucket()))
            .env("RCLONE_CONFIG_S3_TYPE", "s3")
            .args(["--s3-provider", "Other"]);
        command.args(["--s3-endpoint", &bed.s3().endpoint(), "--config", ""]);
        command.args([
            "--s3-no-check-bucket",
            "--s3-access-key-id",
            testbed::s3::KEY_ID,
        ]);
        command.args(["--s3-secret-access-key", testbed::s3::APP_KEY]);
        let ran = bed.run_cmd(&mut command)?;
        assert_eq!(ran.code, Some(0), "{ran}");
        let dumps = ["falkordb", "valkey"].map(|name| format!("x/containers/{name}/dump.rdb"));
        assert_eq!(bed.keys()?, dumps);
    }
    Ok(())
}

#[test]
fn the_export_runs_as_configured_through_root_owned_paths() -> Result<()> {
    let bed = Bed::new(Path::new(ENV))?;
    let config: toml::Table = toml::from_str(&fs::read_to_string(bed.config_path())?)?;
    let words: Vec<&str> = config["export"]["command"]
        .as_array()
        .map(|words| words.iter().filter_map(toml::Value::as_str).collect())
        .unwrap_or_default();
    let mut command = bed.cmd(&words);
    for line in fs::read_to_string(bed.env_path())?.lines() {
        command.envs(line.split_once('='));
    }
    command.env("B2_BUCKET", bed.bucket());
    let ran = bed.run_cmd(&mut command)?;
    assert_eq!(ran.code, Some(0), "{ran}");
    assert_eq!(bed.keys()?.len(), 1);
    for path in [words[0], words[1]] {
        for part in Path::new(path).ancestors() {
            let meta = fs::symlink_metadata(part)?;
            let safe = meta.mode() & 0o022 == 0 || meta.mode() & 0o1000 != 0 || meta.is_symlink();
            assert!(
                meta.uid() == 0 && safe,
                "{} is not root's alone",
                part.display()
            );
        }
    }
    Ok(())
}

#[test]
fn the_user_has_exactly_three_capabilities_and_reaches_everything() -> Result<()> {
    let bed = Bed::new(Path::new(ENV))?;
    let mut command = bed.as_user(&["sh", "-c"])?;
    let (persist, snap) = (bed.subvolume().display(), bed.snapshot_dir().join("a"));
    let (env, state, snap) = (bed.env_path(), bed.state_path(), snap.display());
    let (env, state, python) = (
        env.display(),
        state.display(),
        bed.scratch().join("venv/bin/python3"),
    );
    command.arg(format!(
        "set -e; grep -E '^(Cap|NoNew|Uid)' /proc/self/status; btrfs subvolume snapshot -r {persist} {snap}; \
         cat {snap}/containers/valkey/dump.rdb > /dev/null; btrfs subvolume delete {snap}; \
         grep -q B2_APP_KEY {env}; echo '{{\"ok\": 1}}' > {state}; {} -c 'import b2sdk'",
        python.display()
    ));
    let ran = bed.run_cmd(&mut command)?;
    assert_eq!(ran.code, Some(0), "{ran}");
    // DAC_READ_SEARCH 2, FOWNER 3, SYS_ADMIN 21.
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert!(
            ran.stdout.contains(&format!("{set}:\t000000000020000c")),
            "{set}: {ran}"
        );
    }
    assert!(
        ran.stdout.contains("NoNewPrivs:\t1") && ran.stdout.contains(&USER.to_string()),
        "{ran}"
    );
    assert_eq!(bed.state()?["ok"], 1);
    Ok(())
}

#[test]
fn the_user_lives_by_the_clock_too() -> Result<()> {
    let bed = Bed::builder(Path::new(ENV)).clock().build()?;
    bed.clock()?.set_offset_days(-40)?;
    let mut then = Vec::new();
    for mut command in [bed.cmd(&["date", "+%s"]), bed.as_user(&["date", "+%s"])?] {
        let ran = bed.run_cmd(&mut command)?;
        then.push(
            ran.stdout
                .trim()
                .parse::<i64>()
                .with_context(|| ran.to_string())?,
        );
    }
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)?
        .as_secs()
        .cast_signed();
    assert!(
        then.iter().all(|t| (now - t - 40 * 86_400).abs() < 5),
        "{now}: {then:?}"
    );
    Ok(())
}

#[test]
fn an_export_believes_a_b2_whose_clock_moved_with_its_own() -> Result<()> {
    let bed = Bed::builder(Path::new(ENV)).clock().build()?;
    bed.clock()?.set_offset_days(-40)?;
    let (python, script) = (bed.scratch().join("venv/bin/python3"), bed.script_path());
    let mut command = bed.cmd(&[
        &python.to_string_lossy(),
        &script.to_string_lossy(),
        "export",
    ]);
    for line in fs::read_to_string(bed.env_path())?.lines() {
        command.envs(line.split_once('='));
    }
    let ran = bed.run_cmd(command.env("B2_BUCKET", bed.bucket()))?;
    assert_eq!(ran.code, Some(0), "{ran}");
    Ok(())
}

#[test]
fn an_orphan_is_found_and_a_servant_is_not() -> Result<()> {
    let bed = Bed::builder(Path::new(ENV))
        .s3(Server::RcloneServe)
        .build()?;
    let ran = bed.run(&["sh", "-c", "setsid sleep 600 >/dev/null 2>&1 & echo $!"])?;
    let left = bed.leftovers();
    assert_eq!(left.len(), 1, "{left:?}");
    assert!(left[0].contains("sleep 600"), "{left:?}");
    Command::new("kill").arg(ran.stdout.trim()).status()?;
    assert!(bed.leftovers_after(LIMIT).is_empty());
    Ok(())
}

#[test]
fn a_run_can_be_watched_and_signalled() -> Result<()> {
    let bed = Bed::new(Path::new(ENV))?;
    let script = "trap 'echo bye; exit 143' TERM; echo ready >&2; A=1 sleep 600 & wait";
    let mut run = bed.spawn(&["sh", "-c", script])?;
    run.wait_for_stderr("ready", LIMIT)?;
    let started = |pid| descendants(pid).iter().any(|p| p.argv == ["sleep", "600"]);
    run.wait_until("a child", LIMIT, |run| started(run.pid()))?;
    let family = descendants(run.pid());
    assert!(family[0].environ.contains(&"A=1".to_owned()), "{family:?}");
    assert_eq!(family[0].field("NoNewPrivs"), Some("0"));
    run.signal(Signal::SIGTERM)?;
    nix_kill(family[0].pid)?;
    let ran = run.wait_timeout(LIMIT)?;
    assert_eq!(
        (ran.code, ran.stdout.as_str()),
        (Some(143), "bye\n"),
        "{ran}"
    );
    let run = bed.spawn(&["sleep", "600"])?;
    run.kill()?;
    assert_eq!(run.wait_timeout(LIMIT)?.signal, Some(9));
    Ok(())
}

fn nix_kill(pid: u32) -> Result<()> {
    Command::new("kill").arg(pid.to_string()).status()?;
    Ok(())
}

#[test]
fn the_configuration_and_the_path_can_be_changed() -> Result<()> {
    let bed = Bed::new(Path::new(ENV))?;
    bed.set("export.enable", false)?;
    bed.set("drill.timeout", "2h")?;
    bed.unset("datasets.valkey")?;
    bed.config_edit(|text| text + "\n# edited\n")?;
    let text = fs::read_to_string(bed.config_path())?;
    assert!(
        text.contains("enable = false") && text.contains("timeout = \"2h\""),
        "{text}"
    );
    assert!(
        !text.contains("datasets.valkey") && text.ends_with("# edited\n"),
        "{text}"
    );
    let mut command = bed.cmd(&["sh", "-c", "command -v rclone || command -v btrfs"]);
    command.env("PATH", bed.path_without(&["rclone"])?);
    let ran = bed.run_cmd(&mut command)?;
    assert!(ran.stdout.trim().ends_with("/btrfs"), "{ran}");
    bed.export_mode("lie")?;
    assert!(fs::read_to_string(bed.env_path())?.contains("FIXTURE_MODE=lie"));
    Ok(())
}
