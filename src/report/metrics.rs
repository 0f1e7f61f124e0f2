//! The last run for the Prometheus node exporter's textfile collector.
//!
//! Format: <https://prometheus.io/docs/instrumenting/exposition_formats/>. Times are seconds since 1970.

use std::fmt::Write as _;

use super::Report;
use crate::backup::outcome::DatasetOutcome;
use crate::retention::Row;
use crate::timestamp::Timestamp;

/// A gauge: its name without the prefix, its help, and its samples.
type Metric = (&'static str, &'static str, Vec<Sample>);

/// Labels in braces, and the value.
type Sample = (String, f64);

pub(super) fn text(report: &Report<'_>) -> String {
    let mut out = String::new();
    let metrics = [run(report), steps(report), datasets(report), places(report)].concat();
    for (name, help, samples) in metrics {
        if samples.is_empty() {
            continue;
        }
        let name = format!("opencode_backup_{name}");
        let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} gauge");
        for (labels, value) in samples {
            let _ = writeln!(out, "{name}{labels} {value}");
        }
    }
    out
}

fn run(report: &Report<'_>) -> Vec<Metric> {
    let failure = report.last_failure.as_ref().map(|failure| {
        let labels = format!("{{step=\"{}\"}}", escape(&failure.step));
        (labels, seconds(failure.timestamp))
    });
    vec![
        (
            "last_run_timestamp_seconds",
            "When the last run began.",
            one(seconds(report.timestamp)),
        ),
        (
            "last_run_exit_code",
            "Its exit code.",
            one(report.exit_code.into()),
        ),
        (
            "last_success_timestamp_seconds",
            "When the last run began that ended with exit code 0.",
            optional(report.last_success.map(seconds)),
        ),
        (
            "last_failure_timestamp_seconds",
            "When the last run began that did not, and the step that failed.",
            failure.into_iter().collect(),
        ),
    ]
}

fn steps(report: &Report<'_>) -> Vec<Metric> {
    let (mut steps, mut parts) = (Vec::new(), Vec::new());
    for took in report.durations {
        match &took.dataset {
            None => steps.push((format!("{{step=\"{}\"}}", took.step), took.seconds)),
            Some(dataset) => {
                let labels = format!("{{dataset=\"{dataset}\",step=\"{}\"}}", took.step);
                parts.push((labels, took.seconds));
            }
        }
    }
    vec![
        (
            "step_duration_seconds",
            "How long each step of the last run took; the export runs beside the upload.",
            steps,
        ),
        (
            "dataset_step_duration_seconds",
            "How long a dataset's part of the upload took: it is read and sent at the same time, then verified.",
            parts,
        ),
    ]
}

fn datasets(report: &Report<'_>) -> Vec<Metric> {
    let each = |value: fn(&DatasetOutcome) -> Option<f64>| -> Vec<Sample> {
        let samples = report.datasets.iter().filter_map(|dataset| {
            Some((format!("{{dataset=\"{}\"}}", dataset.name), value(dataset)?))
        });
        samples.collect()
    };
    vec![
        (
            "dataset_stored",
            "1 where the dataset is safely stored.",
            each(|dataset| Some(f64::from(u8::from(dataset.error.is_none())))),
        ),
        (
            "dataset_bytes",
            "Size of the dataset.",
            each(|dataset| Some(dataset.bytes as f64)),
        ),
        (
            "dataset_files",
            "Number of its files.",
            each(|dataset| Some(dataset.files as f64)),
        ),
        (
            "sent_bytes",
            "Bytes that were transferred, copies on the server left out where rclone tells them apart.",
            each(|dataset| {
                let transfer = dataset.transfer;
                Some(transfer.bytes.saturating_sub(transfer.copied_bytes) as f64)
            }),
        ),
        (
            "copied_bytes",
            "Bytes that were copied on the server.",
            each(|dataset| Some(dataset.transfer.copied_bytes as f64)),
        ),
        (
            "data_timestamp_seconds",
            "When the server last saved.",
            each(|dataset| dataset.data_time.map(seconds)),
        ),
    ]
}

fn places(report: &Report<'_>) -> Vec<Metric> {
    let mut metrics = vec![(
        "snapshots",
        "Entries that bear our kind of name, ours or not.",
        optional(report.snapshots.map(|count| count as f64)),
    )];
    if let Some(pruned) = report.retention {
        let snapshots = &pruned.snapshots;
        let is_foreign = |row: &&Row| row.decision.is_foreign();
        let foreign = snapshots.rows.iter().filter(is_foreign).count();
        let kept = (snapshots.rows.len() - foreign) as f64 - snapshots.deleted as f64;
        metrics.extend([
            (
                "snapshots_kept",
                "Local snapshots that are kept and were taken by this program.",
                one(kept),
            ),
            (
                "snapshots_pruned",
                "Local snapshots that the last run deleted.",
                one(snapshots.deleted as f64),
            ),
            (
                "snapshots_foreign",
                "Entries that bear our kind of name and are not ours.",
                one(foreign as f64),
            ),
            (
                "backups_pruned",
                "Backups that the last run deleted from the bucket.",
                one(pruned.bucket.deleted as f64),
            ),
        ]);
    }
    let space = report.space;
    metrics.extend([
        (
            "free_bytes",
            "Free space where the snapshots are.",
            optional(space.map(|space| space.free as f64)),
        ),
        (
            "total_bytes",
            "All the space there.",
            optional(space.map(|space| space.total as f64)),
        ),
    ]);
    metrics
}

fn one(value: f64) -> Vec<Sample> {
    vec![(String::new(), value)]
}

fn optional(value: Option<f64>) -> Vec<Sample> {
    value.map(one).unwrap_or_default()
}

fn seconds(timestamp: Timestamp) -> f64 {
    timestamp.unix() as f64
}

fn escape(text: &str) -> String {
    text.replace('\\', r"\\")
        .replace('"', "\\\"")
        .replace('\n', r"\n")
}
