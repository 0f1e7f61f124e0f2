//! `drill`: what came back is put to use by a command of the reader's, and nothing of it is left behind.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Value, json};
use testbed::redis::Redis;
use testbed::relay::Rule;
use testbed::{Bed, Ran, Rclone, Running, Signal};

use crate::restore::{SOON, backup, impatient, names_in, plain};
use crate::support::expect;

/// A backup, and a scratch directory to drill in.
fn stored() -> Result<(Bed, String, PathBuf)> {
    let bed = plain(Rclone::Old);
    impatient(&bed);
    fs::write(bed.dataset("falkordb").join("mark"), "falkordb's")?;
    fs::write(bed.dataset("valkey").join("mark"), "valkey's")?;
    let timestamp = backup(&bed);
    let scratch = bed.scratch().join("drills");
    fs::create_dir(&scratch)?;
    Ok((bed, timestamp, scratch))
}

fn check(bed: &Bed, dataset: &str, words: &[&str]) {
    let words: Vec<toml::Value> = words.iter().map(|word| (*word).into()).collect();
    bed.set(&format!("datasets.{dataset}.check"), words)
        .expect("a setting");
}

/// Drills; the scratch directory is empty afterwards.
#[track_caller]
fn drill(bed: &Bed, scratch: &Path, more: &[&str], code: i32) -> Ran {
    let at = scratch.to_str().expect("a path");
    let ran = expect(bed, &[&["drill", "--scratch", at], more].concat(), code);
    assert_eq!(names_in(scratch), [""; 0], "{ran}");
    ran
}

#[test]
fn the_check_command_decides_and_sees_its_own_dataset() -> Result<()> {
    let (bed, timestamp, scratch) = stored()?;
    let log = bed.scratch().join("log");
    let log = log.to_str().context("a path")?;
    let script = "cat \"$1/mark\" >> \"$2\" && pwd >> \"$2\" && [ \"$1/x\" = \"$3\" ]";
    for name in ["falkordb", "valkey"] {
        check(
            &bed,
            name,
            &["sh", "-c", script, "check", "{dir}", log, "{dir}/x"],
        );
    }
    let ran = drill(&bed, &scratch, &[], 0);
    assert_eq!(
        ran.stdout,
        format!("{timestamp}  falkordb  ok\n{timestamp}  valkey  ok\n"),
        "{ran}"
    );
    assert_eq!(fs::read_to_string(log)?, "falkordb's/\nvalkey's/\n");

    check(
        &bed,
        "falkordb",
        &["sh", "-c", "echo 3 keys, and no more; exit 4", "{dir}"],
    );
    let ran = drill(&bed, &scratch, &[&timestamp], 8);
    for word in ["falkordb  failed", "exited with 4", "valkey  ok"] {
        assert!(ran.stdout.contains(word), "{word:?}: {ran}");
    }
    assert!(ran.stderr.contains("3 keys, and no more"), "{ran}");
    let ran = drill(&bed, &scratch, &["--json"], 8);
    let told: Value = serde_json::from_str(&ran.stdout)?;
    assert_eq!(told["timestamp"], timestamp.as_str());
    assert_eq!(
        (
            &told["datasets"][0]["outcome"],
            &told["datasets"][1]["outcome"]
        ),
        (&json!("failed"), &json!("ok")),
        "{told:#}"
    );
    Ok(())
}

#[test]
fn a_check_that_hangs_is_ended_and_one_that_is_missing_is_named() -> Result<()> {
    let (bed, _, scratch) = stored()?;
    bed.set("drill.timeout", "1s")?;
    check(
        &bed,
        "falkordb",
        &["sh", "-c", "sleep 1000 & trap '' TERM; sleep 1000", "{dir}"],
    );
    check(&bed, "valkey", &["no-such-program", "{dir}"]);
    let ran = drill(&bed, &scratch, &[], 8);
    for word in [
        "falkordb  failed",
        "longer than 1 s",
        "valkey  failed",
        "no-such-program",
    ] {
        assert!(ran.stdout.contains(word), "{word:?}: {ran}");
    }
    assert_eq!(bed.leftovers_after(SOON), [""; 0], "{ran}");
    Ok(())
}

#[test]
fn without_a_check_it_is_restored_and_compared_and_says_so() -> Result<()> {
    let (bed, timestamp, scratch) = stored()?;
    let ran = drill(&bed, &scratch, &[], 0);
    assert!(
        ran.stdout
            .contains("falkordb  no check: datasets.falkordb.check is not set"),
        "{ran}"
    );
    bed.s3().put(
        bed.bucket(),
        &format!("valkey-{timestamp}/mark"),
        b"valkeyXs",
    )?;
    let ran = drill(&bed, &scratch, &[], 8);
    assert!(
        ran.stderr.contains("valkey: mark has other contents"),
        "{ran}"
    );
    bed.s3()
        .delete(bed.bucket(), &format!("manifests/{timestamp}.json"))?;
    let ran = drill(&bed, &scratch, &[], 1);
    assert!(ran.stderr.contains("no complete backup"), "{ran}");
    Ok(())
}

#[test]
fn the_check_gets_no_key_and_no_capability() -> Result<()> {
    let (bed, _, scratch) = stored()?;
    let log = bed.scratch().join("log");
    check(
        &bed,
        "valkey",
        &[
            "sh",
            "-c",
            "env > \"$0\"; cat /proc/self/status >> \"$0\"",
            log.to_str().context("a path")?,
            "{dir}",
        ],
    );
    let mut command = bed.cmd(&["drill", "--scratch", scratch.to_str().context("a path")?]);
    command
        .env("B2_KEY_ID", testbed::s3::KEY_ID)
        .env("B2_APP_KEY", testbed::s3::APP_KEY);
    let ran = bed.run_cmd(&mut command)?;
    assert_eq!(ran.code, Some(0), "{ran}");
    let seen = fs::read_to_string(&log)?;
    assert!(
        seen.contains("PATH=") && !seen.contains(testbed::s3::APP_KEY) && !seen.contains("B2_"),
        "{seen}"
    );
    assert!(seen.contains("CapAmb:\t0000000000000000"), "{seen}");
    Ok(())
}

#[test]
fn interrupted_at_any_stage_nothing_is_left_behind() -> Result<()> {
    let (bed, _, scratch) = stored()?;
    let held = bed.scratch().join("held");
    let script = format!(": > '{}'; sleep 1000", held.display());
    check(&bed, "valkey", &["sh", "-c", &script, "{dir}"]);
    let relay = bed.relay()?;
    let words = ["drill", "--scratch", scratch.to_str().context("a path")?];
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        for rule in [
            Some(Rule::on("GET").path("Z.json").stall()),
            Some(Rule::on("GET").path("/falkordb-").stall()),
            None,
        ] {
            fs::remove_file(&held).ok();
            let stalled = rule.map(|rule| relay.rule(rule));
            let mut run = bed.spawn(&words)?;
            run.wait_until("the stage", SOON, |_| {
                stalled.map_or(held.exists(), |rule| relay.hits(rule) > 0)
            })?;
            run.signal(signal)?;
            let ran = run.wait_timeout(SOON)?;
            assert_eq!(ran.code, Some(128 + signal as i32), "{ran}");
            assert_eq!(names_in(&scratch), [""; 0], "{ran}");
            assert_eq!(bed.leftovers_after(SOON), [""; 0], "{ran}");
            relay.clear();
        }
    }
    Ok(())
}

#[test]
fn the_scratch_directory_is_where_it_was_asked_for_and_named_where_it_cannot_be() -> Result<()> {
    let (bed, _, scratch) = stored()?;
    let elsewhere = bed.scratch().join("tmp");
    fs::create_dir(&elsewhere)?;
    let log = bed.scratch().join("log");
    check(
        &bed,
        "valkey",
        &[
            "sh",
            "-c",
            "echo \"$1\" > \"$0\"",
            log.to_str().context("a path")?,
            "{dir}",
        ],
    );
    drill(&bed, &scratch, &[], 0);
    assert!(Path::new(fs::read_to_string(&log)?.trim()).starts_with(&scratch));
    let ran = bed.run_cmd(bed.cmd(&["drill"]).env("TMPDIR", &elsewhere))?;
    assert_eq!(ran.code, Some(0), "{ran}");
    assert!(Path::new(fs::read_to_string(&log)?.trim()).starts_with(&elsewhere));
    assert_eq!(names_in(&elsewhere), [""; 0]);
    let ran = bed.run(&["drill", "--scratch", "/no/such/place"])?;
    assert_eq!(ran.code, Some(3), "{ran}");
    assert!(
        ran.stderr.contains("/no/such/place") && ran.stderr.contains("--scratch"),
        "{ran}"
    );
    Ok(())
}

/// Somebody who is not root has to remove directories that their owner may not write.
#[test]
fn what_may_not_be_written_is_removed_too() -> Result<()> {
    let bed = plain(Rclone::Old);
    let closed = bed.dataset("falkordb").join("closed");
    fs::create_dir(&closed)?;
    fs::write(closed.join("within"), "x")?;
    for mode in [0o000, 0o500] {
        fs::set_permissions(&closed, std::os::unix::fs::PermissionsExt::from_mode(mode))?;
        backup(&bed);
        let scratch = bed.scratch().join(format!("drills-{mode:o}"));
        fs::create_dir(&scratch)?;
        std::os::unix::fs::chown(&scratch, Some(testbed::bed::USER), None)?;
        let mut command =
            bed.as_user(&["drill", "--scratch", scratch.to_str().context("a path")?])?;
        let ran = Running::start(&mut command)?.wait_timeout(SOON)?;
        assert_eq!(ran.code, Some(0), "{ran}");
        assert_eq!(names_in(&scratch), [""; 0], "{ran}");
    }
    Ok(())
}

/// The check of a dataset as the README has it.
fn readme_check(dataset: &str) -> Result<Vec<String>> {
    let readme = fs::read_to_string(testbed::provision::workspace().join("README.md"))?;
    let blocks = readme
        .split("```toml")
        .skip(1)
        .filter_map(|rest| rest.split("```").next());
    let mut checks = blocks.filter_map(|block| {
        let config: toml::Table = toml::from_str(block).ok()?;
        Some(
            config
                .get("datasets")?
                .get(dataset)?
                .get("check")?
                .as_array()?
                .clone(),
        )
    });
    let words = checks.next().context("the README's check")?;
    let word = |word: toml::Value| word.as_str().map(str::to_owned).context("text");
    words.into_iter().map(word).collect()
}

/// The README's check for valkey, with the names of the server that is there, as the README says.
fn readme_check_of_valkey(bed: &Bed) -> Result<Vec<String>> {
    let server = bed.tools().redis_server.file_name().context("a name")?;
    let server = server.to_string_lossy().into_owned();
    let family = format!("{}-", server.trim_end_matches("-server"));
    let words = readme_check("valkey")?;
    Ok(words
        .iter()
        .map(|word| word.replace("valkey-", &family))
        .collect())
}

#[test]
fn the_readmes_check_counts_the_keys_of_a_restored_server() -> Result<()> {
    let bed = crate::support::bed();
    bed.set("export.enable", false)?;
    let (tools, dir) = (bed.tools(), bed.dataset("valkey"));
    let words = readme_check_of_valkey(&bed)?;
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    check(&bed, "valkey", &words);
    let scratch = bed.scratch().join("drills");
    fs::create_dir(&scratch)?;
    for (extra, keys, code) in [
        (&[][..], 5_000, 0),
        (&["--appendonly", "yes"], 5_000, 0),
        (&["--appendonly", "yes"], 900, 8),
    ] {
        fs::remove_dir_all(&dir)?;
        let redis = Redis::start(tools, &dir, &bed.scratch().join("fill.sock"), extra)?;
        redis.write(keys, "session")?;
        redis.save()?;
        redis.shutdown_nosave()?;
        backup(&bed);
        let ran = drill(&bed, &scratch, &[], code);
        let says = if code == 0 {
            "valkey  ok"
        } else {
            "valkey  failed"
        };
        assert!(ran.stdout.contains(says), "{extra:?}: {ran}");
        assert!(
            ran.stderr.contains(&format!("{keys} keys")),
            "{extra:?}: {ran}"
        );
        assert_eq!(
            bed.leftovers_after(SOON),
            [""; 0],
            "no server goes on: {ran}"
        );
    }
    Ok(())
}

#[test]
fn the_readmes_check_says_at_once_why_a_server_does_not_start() -> Result<()> {
    let (bed, _, scratch) = stored()?;
    let words = readme_check_of_valkey(&bed)?;
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    check(&bed, "valkey", &words);
    // A dataset of plain files is stored as it is.
    fs::write(
        bed.dataset("valkey").join("dump.rdb"),
        "REDIS0011 and no more",
    )?;
    backup(&bed);
    let ran = drill(&bed, &scratch, &[], 8);
    assert!(
        ran.stdout.contains("valkey  failed") && ran.stdout.contains("exited with 1"),
        "{ran}"
    );
    assert!(ran.stdout.contains("RDB"), "the server's own words: {ran}");
    assert_eq!(bed.leftovers_after(SOON), [""; 0], "{ran}");
    Ok(())
}
