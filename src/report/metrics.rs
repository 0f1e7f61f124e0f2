//! The last run for the Prometheus node exporter's textfile collector.
//!
//! Written under another name and renamed, since the exporter may read at any time; mode 0644, since it runs as
//! another user.

use std::fmt::Write as _;

use crate::report::Report;
use crate::retention::{Reason, Row};
use crate::step::timer::StepDuration;
use crate::timestamp::Timestamp;

/// The whole file, in the text exposition format (version 0.0.4).
pub(super) fn text(report: &Report<'_>) -> String {
    let mut out = String::new();
    let mut gauge = |name: &str, help: &str, rows: &[(String, f64)]| {
        if rows.is_empty() {
            return;
        }
        let _ = writeln!(
            out,
            "# HELP opencode_backup_{name} {help}\n# TYPE opencode_backup_{name} gauge"
        );
        for (labels, value) in rows {
            let _ = writeln!(out, "opencode_backup_{name}{labels} {value}");
        }
    };
    let one = |value: f64| vec![(String::new(), value)];
    let seconds = |timestamp: Timestamp| timestamp.unix() as f64;
    gauge(
        "last_run_timestamp_seconds",
        "When the last run began.",
        &one(seconds(report.timestamp)),
    );
    gauge(
        "last_run_exit_code",
        "Its exit code.",
        &one(f64::from(report.exit_code)),
    );
    let success: Vec<_> = report
        .last_success
        .map(|timestamp| (String::new(), seconds(timestamp)))
        .into_iter()
        .collect();
    gauge(
        "last_success_timestamp_seconds",
        "When the last run began that ended with exit code 0.",
        &success,
    );
    let failure: Vec<_> = report
        .last_failure
        .as_ref()
        .map(|failure| {
            (
                format!("{{step=\"{}\"}}", escape(&failure.step)),
                seconds(failure.timestamp),
            )
        })
        .into_iter()
        .collect();
    gauge(
        "last_failure_timestamp_seconds",
        "When the last run began that did not, and the step that failed.",
        &failure,
    );
    let (within, steps): (Vec<&StepDuration>, Vec<&StepDuration>) = report
        .durations
        .iter()
        .partition(|took| took.dataset.is_some());
    let steps: Vec<_> = steps
        .iter()
        .map(|took| (format!("{{step=\"{}\"}}", took.step), took.seconds))
        .collect();
    gauge(
        "step_duration_seconds",
        "How long each step of the last run took; the export runs beside the upload.",
        &steps,
    );
    let within: Vec<_> = within
        .iter()
        .map(|took| {
            let dataset = escape(took.dataset.as_deref().unwrap_or_default());
            let labels = format!("{{dataset=\"{dataset}\",step=\"{}\"}}", took.step);
            (labels, took.seconds)
        })
        .collect();
    gauge(
        "dataset_step_duration_seconds",
        "How long a dataset's part of the upload took: it is read and sent at the same time, then verified.",
        &within,
    );
    let per_dataset = |value: &dyn Fn(&crate::backup::outcome::DatasetOutcome) -> Option<f64>| -> Vec<(String, f64)> {
        let rows = report.datasets.iter();
        rows.filter_map(|dataset| Some((format!("{{dataset=\"{}\"}}", dataset.name), value(dataset)?))).collect()
    };
    gauge(
        "dataset_stored",
        "1 where the dataset is safely stored.",
        &per_dataset(&|dataset| Some(f64::from(u8::from(dataset.error.is_none())))),
    );
    gauge(
        "dataset_bytes",
        "Size of the dataset.",
        &per_dataset(&|dataset| Some(dataset.bytes as f64)),
    );
    gauge(
        "dataset_files",
        "Number of its files.",
        &per_dataset(&|dataset| Some(dataset.files as f64)),
    );
    gauge(
        "sent_bytes",
        "Bytes that were transferred, copies on the server left out where rclone tells them apart.",
        &per_dataset(&|dataset| {
            Some(
                dataset
                    .transfer
                    .bytes
                    .saturating_sub(dataset.transfer.copied_bytes) as f64,
            )
        }),
    );
    gauge(
        "copied_bytes",
        "Bytes that were copied on the server.",
        &per_dataset(&|dataset| Some(dataset.transfer.copied_bytes as f64)),
    );
    gauge(
        "data_timestamp_seconds",
        "When the server last saved.",
        &per_dataset(&|dataset| dataset.data_time.map(seconds)),
    );
    let snapshots: Vec<_> = report
        .snapshots
        .map(|count| (String::new(), count as f64))
        .into_iter()
        .collect();
    gauge(
        "snapshots",
        "Entries that bear our kind of name, ours or not.",
        &snapshots,
    );
    if let Some(pruned) = report.retention {
        let is_foreign = |row: &&Row| matches!(row.reason, Reason::Foreign(_));
        let foreign = pruned.rows.iter().filter(is_foreign).count();
        let ours = pruned.rows.len() - foreign;
        gauge(
            "snapshots_kept",
            "Local snapshots of ours that are left.",
            &one(ours as f64 - pruned.deleted as f64),
        );
        gauge(
            "snapshots_pruned",
            "Local snapshots that the last run deleted.",
            &one(pruned.deleted as f64),
        );
        gauge(
            "snapshots_foreign",
            "Entries that bear our kind of name and are not ours.",
            &one(foreign as f64),
        );
        gauge(
            "backups_pruned",
            "Backups that the last run deleted from the bucket.",
            &one(pruned.remote_deleted as f64),
        );
    }
    if let Some(space) = report.space {
        gauge(
            "free_bytes",
            "Free space where the snapshots are.",
            &one(space.free as f64),
        );
        gauge(
            "total_bytes",
            "All the space there.",
            &one(space.total as f64),
        );
    }
    out
}

fn escape(text: &str) -> String {
    text.replace('\\', r"\\")
        .replace('"', "\\\"")
        .replace('\n', r"\n")
}
