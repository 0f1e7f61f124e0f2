//! `report.textfile`: read by a real parser, replaced whole, followed nowhere.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use testbed::Bed;
use testbed::relay::Rule;

use crate::restore::{backup, by_hand, impatient, names_in};
use crate::support::{bed, days_ago, expect, old_snapshot, wrap};

const SCRIPT: &str = "
import json, sys
from prometheus_client.parser import text_string_to_metric_families as parse
families = list(parse(open(sys.argv[1]).read()))
names = [family.name for family in families]
assert len(names) == len(set(names)), names
print(json.dumps({f.name: {'type': f.type, 'help': f.documentation,
    'samples': [{'name': s.name, 'labels': s.labels, 'value': s.value} for s in f.samples]} for f in families}))
";

/// A bed that writes metrics, and where.
fn measured() -> Result<(Bed, PathBuf)> {
    let bed = bed();
    impatient(&bed);
    let folder = bed.scratch().join("collector");
    fs::create_dir(&folder)?;
    let file = folder.join("opencode-backup.prom");
    bed.set("report.textfile", file.to_str().context("a path")?)?;
    Ok((bed, file))
}

/// All families, as the parser of Prometheus' own client understands them.
fn parsed(bed: &Bed) -> Result<Value> {
    let file = bed.scratch().join("collector/opencode-backup.prom");
    let output = Command::new(&bed.tools().python)
        .env_remove("PYTHONPATH")
        .args(["-c", SCRIPT])
        .arg(&file)
        .output()?;
    ensure!(
        output.status.success(),
        "{}\n{}",
        String::from_utf8_lossy(&output.stderr),
        fs::read_to_string(&file)?
    );
    let all: Value = serde_json::from_slice(&output.stdout)?;
    for (name, family) in all.as_object().context("families")? {
        ensure!(
            name.starts_with("opencode_backup_") && family["type"] == "gauge",
            "{name}: {family}"
        );
        ensure!(
            family["help"].as_str().is_some_and(|help| !help.is_empty()),
            "{name}: {family}"
        );
    }
    Ok(all)
}

/// The value of a sample with this label, or with none.
fn value(all: &Value, name: &str, label: Option<(&str, &str)>) -> Option<f64> {
    let samples = all[format!("opencode_backup_{name}")]["samples"].as_array()?;
    let fits = |sample: &&Value| match label {
        Some((label, value)) => sample["labels"][label] == value,
        None => sample["labels"]
            .as_object()
            .is_some_and(serde_json::Map::is_empty),
    };
    samples.iter().find(fits)?["value"].as_f64()
}

fn unix(timestamp: &str) -> Result<f64> {
    let parsed = chrono::NaiveDateTime::parse_from_str(timestamp, "%Y-%m-%dT%H-%M-%SZ")?;
    Ok(parsed.and_utc().timestamp() as f64)
}

#[test]
fn a_run_tells_what_it_did_to_a_real_parser() -> Result<()> {
    let (bed, file) = measured()?;
    bed.set("retention.min_keep", 1)?;
    old_snapshot(&bed, 40);
    bed.disk().snapshot(
        bed.subvolume(),
        &bed.snapshot_dir().join(format!("persist-{}", days_ago(50))),
        false,
    )?;
    let timestamp = backup(&bed);
    let all = parsed(&bed)?;
    let at = unix(&timestamp)?;
    let one = |name: &str| value(&all, name, None);
    assert_eq!(
        (
            one("last_run_timestamp_seconds"),
            one("last_success_timestamp_seconds")
        ),
        (Some(at), Some(at)),
        "{all:#}"
    );
    assert_eq!(
        (
            one("last_run_exit_code"),
            one("last_failure_timestamp_seconds")
        ),
        (Some(0.0), None),
        "{all:#}"
    );
    assert!(
        all["opencode_backup_last_failure_timestamp_seconds"].is_null(),
        "{all:#}"
    );
    for step in [
        "mark",
        "snapshot",
        "structure",
        "upload",
        "commit",
        "retention",
    ] {
        let seconds = value(&all, "step_duration_seconds", Some(("step", step)));
        assert!(
            seconds.is_some_and(|seconds| seconds >= 0.0),
            "{step}: {all:#}"
        );
    }
    for dataset in ["falkordb", "valkey"] {
        let of = |name: &str| value(&all, name, Some(("dataset", dataset)));
        let size = fs::metadata(bed.dataset(dataset).join("dump.rdb"))?.len() as f64;
        assert_eq!(
            (of("dataset_stored"), of("dataset_files")),
            (Some(1.0), Some(1.0)),
            "{all:#}"
        );
        assert_eq!(
            (of("dataset_bytes"), of("sent_bytes"), of("copied_bytes")),
            (Some(size), Some(size), Some(0.0)),
            "{all:#}"
        );
        assert!(
            of("data_timestamp_seconds").is_some_and(|time| (at - time).abs() < 3600.0),
            "{all:#}"
        );
    }
    // This one, and the one that is not ours.
    assert_eq!(
        (
            one("snapshots"),
            one("snapshots_kept"),
            one("snapshots_pruned"),
            one("snapshots_foreign"),
            one("backups_pruned")
        ),
        (Some(2.0), Some(1.0), Some(1.0), Some(1.0), Some(0.0)),
        "{all:#}"
    );
    assert!(
        one("free_bytes") > Some(0.0) && one("total_bytes") > one("free_bytes"),
        "{all:#}"
    );

    let metadata = fs::metadata(&file)?;
    assert_eq!(metadata.mode() & 0o7777, 0o644);
    assert_eq!(
        names_in(file.parent().context("a folder")?),
        ["opencode-backup.prom"]
    );

    // A second run: what is unchanged was copied, and the file is another one.
    backup(&bed);
    let again = parsed(&bed)?;
    let of = |name: &str| value(&again, name, Some(("dataset", "valkey")));
    assert!(
        of("sent_bytes") == Some(0.0) || of("sent_bytes") == of("dataset_bytes"),
        "{again:#}"
    );
    assert_ne!(
        fs::metadata(&file)?.ino(),
        metadata.ino(),
        "written aside and renamed"
    );
    Ok(())
}

/// The sample that has exactly these labels.
fn sample(all: &Value, name: &str, labels: &Value) -> Option<f64> {
    let samples = all[format!("opencode_backup_{name}")]["samples"].as_array()?;
    let found = samples.iter().find(|sample| sample["labels"] == *labels);
    found?["value"].as_f64()
}

#[test]
fn each_step_has_its_own_time_and_so_has_each_datasets_part() -> Result<()> {
    let (bed, _) = measured()?;
    // Each is slow in another place, and longest there.
    bed.export_mode("slow:3")?;
    let slow = "case \"$*\" in *lsjson*/valkey-*) sleep 2;; *sync*/falkordb-*) sleep 1;; esac; exec \"$REAL\" \"$@\"";
    wrap(&bed, "rclone", slow);
    backup(&bed);
    let all = parsed(&bed)?;
    let step = |step: &str| sample(&all, "step_duration_seconds", &json!({"step": step}));
    let within = |dataset: &str, step: &str| {
        let labels = json!({"dataset": dataset, "step": step});
        sample(&all, "dataset_step_duration_seconds", &labels)
    };
    let between = |value: Option<f64>, least: f64, most: f64| {
        assert!(
            value.is_some_and(|value| least <= value && value < most),
            "{value:?} is not between {least} and {most}: {all:#}"
        );
    };
    between(step("export"), 3.0, f64::INFINITY);
    between(within("falkordb", "upload"), 1.0, f64::INFINITY);
    between(within("valkey", "verify"), 2.0, f64::INFINITY);
    let upload = step("upload");
    for dataset in ["falkordb", "valkey"] {
        for part in ["contents", "upload", "verify"] {
            between(within(dataset, part), 0.0, upload.context("an upload")?);
        }
    }
    between(
        within("valkey", "upload"),
        0.0,
        within("falkordb", "upload").context("its time")?,
    );
    between(
        within("falkordb", "verify"),
        0.0,
        within("valkey", "verify").context("its time")?,
    );
    // What they wait for is the export's, and no other step's.
    let rows = all["opencode_backup_step_duration_seconds"]["samples"].as_array();
    let names: Vec<_> = rows
        .into_iter()
        .flatten()
        .map(|row| row["labels"]["step"].as_str())
        .collect();
    let known = [
        "mark",
        "snapshot",
        "structure",
        "upload",
        "export",
        "commit",
        "retention",
    ];
    assert_eq!(names, known.map(Some), "{all:#}");
    between(upload, 2.0, step("export").context("its time")?);

    // Without an export there is no time of one; a dataset that is not sent has none either.
    bed.set("export.enable", false)?;
    fs::remove_dir_all(bed.dataset("falkordb"))?;
    expect(&bed, &["run"], 5);
    let all = parsed(&bed)?;
    let step = |step: &str| sample(&all, "step_duration_seconds", &json!({"step": step}));
    assert!(
        step("export").is_none() && step("retention").is_none() && step("commit").is_some(),
        "{all:#}"
    );
    let rows = all["opencode_backup_dataset_step_duration_seconds"]["samples"].as_array();
    let rows: Vec<_> = rows
        .into_iter()
        .flatten()
        .map(|row| row["labels"]["dataset"].as_str())
        .collect();
    assert_eq!(rows, [Some("valkey"); 3], "{all:#}");
    Ok(())
}

#[test]
fn what_goes_from_the_bucket_is_counted() -> Result<()> {
    let (bed, _) = measured()?;
    crate::prune::prune_after(&bed, 90);
    for days in [10, 100, 200] {
        by_hand::put(&bed, "", &days_ago(days), &by_hand::this_host());
    }
    backup(&bed);
    let pruned = |all: &Value| value(all, "backups_pruned", None);
    assert_eq!(pruned(&parsed(&bed)?), Some(2.0));
    backup(&bed);
    assert_eq!(pruned(&parsed(&bed)?), Some(0.0));
    Ok(())
}

#[test]
fn the_last_success_outlives_a_failure_and_the_last_failure_a_success() -> Result<()> {
    let (bed, _) = measured()?;
    let good = backup(&bed);
    let relay = bed.relay()?;
    relay.rule(Rule::on("PUT").path("/valkey-").status(403));
    expect(&bed, &["run"], 5);
    let bad = crate::restore::timestamp(&bed);
    let all = parsed(&bed)?;
    let failed =
        |all: &Value, step| value(all, "last_failure_timestamp_seconds", Some(("step", step)));
    assert_eq!(
        value(&all, "last_success_timestamp_seconds", None),
        Some(unix(&good)?),
        "{all:#}"
    );
    assert_eq!(failed(&all, "upload"), Some(unix(&bad)?), "{all:#}");
    assert_eq!(
        value(&all, "last_run_exit_code", None),
        Some(5.0),
        "{all:#}"
    );
    let stored = |name| value(&all, "dataset_stored", Some(("dataset", name)));
    assert_eq!(
        (stored("falkordb"), stored("valkey")),
        (Some(1.0), Some(0.0)),
        "{all:#}"
    );
    relay.clear();
    // A failure before anything, and one more: both are still told.
    let path = bed.path_without(&["btrfs"])?;
    crate::support::a_new_second(&bed);
    let ran = bed.run_cmd(bed.cmd(&["run"]).env("PATH", path))?;
    assert_eq!(ran.code, Some(3), "{ran}");
    let all = parsed(&bed)?;
    assert_eq!(
        value(&all, "last_success_timestamp_seconds", None),
        Some(unix(&good)?),
        "{all:#}"
    );
    assert_eq!(
        value(&all, "last_run_exit_code", None),
        Some(3.0),
        "{all:#}"
    );
    assert!(failed(&all, "preflight").is_some(), "{all:#}");
    let best = backup(&bed);
    let all = parsed(&bed)?;
    assert_eq!(
        value(&all, "last_success_timestamp_seconds", None),
        Some(unix(&best)?),
        "{all:#}"
    );
    assert!(failed(&all, "preflight").is_some(), "{all:#}");
    Ok(())
}

#[test]
fn a_link_at_its_place_is_replaced_and_not_followed() -> Result<()> {
    let (bed, file) = measured()?;
    let precious = bed.scratch().join("precious");
    fs::write(&precious, "precious")?;
    symlink(&precious, &file)?;
    backup(&bed);
    assert_eq!(fs::read_to_string(&precious)?, "precious");
    assert!(fs::symlink_metadata(&file)?.is_file());
    parsed(&bed)?;
    Ok(())
}

#[test]
fn that_it_cannot_be_written_fails_no_backup() -> Result<()> {
    let (bed, file) = measured()?;
    fs::create_dir(&file)?;
    fs::write(file.join("within"), "x")?;
    let ran = expect(&bed, &["run"], 0);
    assert!(
        ran.stderr.contains("metrics file") && ran.stderr.contains("report.textfile"),
        "{ran}"
    );
    assert_eq!(bed.state()?["exit_code"], 0);
    assert_eq!(
        names_in(file.parent().context("a folder")?),
        ["opencode-backup.prom"]
    );
    Ok(())
}

#[test]
fn without_a_word_in_the_configuration_there_is_none() -> Result<()> {
    let (bed, file) = measured()?;
    bed.unset("report.textfile")?;
    backup(&bed);
    assert!(!file.exists());
    Ok(())
}
