//! rclone's JSON log, a line at a time.
//!
//! Levels are taken down a notch: rclone calls "Attempt 2/3 succeeded" an error, and what failed for good is
//! told by its exit code and our own message.

use log::Level;
use serde::Deserialize;

use crate::process::LogLine;
use crate::step::Transfer;

#[derive(Deserialize)]
struct Line {
    #[serde(default)]
    level: String,
    #[serde(default)]
    msg: String,
    #[serde(default)]
    object: String,
    stats: Option<Stats>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Stats {
    bytes: u64,
    total_bytes: u64,
    transfers: u64,
    total_transfers: u64,
    server_side_copy_bytes: u64,
}

/// What a line means. What is not JSON (the last line, mostly) is a message.
pub(super) fn understand(line: &str) -> LogLine {
    let Ok(line) = serde_json::from_str::<Line>(line) else {
        return plain(line.trim());
    };
    if let Some(stats) = line.stats {
        return LogLine::Transfer(Transfer {
            bytes: stats.bytes,
            total_bytes: stats.total_bytes,
            files: stats.transfers,
            total_files: stats.total_transfers,
            copied_bytes: stats.server_side_copy_bytes,
        });
    }
    let level = level(&line.level);
    let msg = line.msg.trim_end();
    match line.object.as_str() {
        "" => LogLine::Text(level, msg.to_owned()),
        object => LogLine::Text(level, format!("{object}: {msg}")),
    }
}

/// `2026/01/01 12:00:00 NOTICE: Failed to sync: …`: before its logger is set up and after, rclone writes text.
fn plain(line: &str) -> LogLine {
    if line.is_empty() {
        return LogLine::Nothing;
    }
    // 1.75 says so of an argument that we pass ourselves, before its logger is set up.
    if line.contains("Automatically setting -vv") {
        return LogLine::Text(Level::Trace, line.to_owned());
    }
    let mut words = line.split_whitespace().skip(2);
    let word = words
        .next()
        .unwrap_or_default()
        .trim_end_matches(':')
        .to_ascii_lowercase();
    LogLine::Text(level(&word), line.to_owned())
}

fn level(word: &str) -> Level {
    match word {
        "debug" => Level::Trace,
        "info" => Level::Debug,
        "notice" => Level::Info,
        _ => Level::Warn,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stats_are_read_and_a_null_eta_does_not_disturb() {
        let line = r#"{"level":"warning","msg":"\nTransferred: 1","stats":{"bytes":7,"totalBytes":9,"eta":null,"transfers":1,"totalTransfers":2,"speed":0.5,"transferring":[{"name":"x"}]},"time":"t"}"#;
        let LogLine::Transfer(transfer) = understand(line) else {
            panic!("no stats")
        };
        assert_eq!(
            transfer,
            Transfer {
                bytes: 7,
                total_bytes: 9,
                files: 1,
                total_files: 2,
                copied_bytes: 0
            }
        );
    }

    #[test]
    fn a_message_keeps_its_object_and_the_last_line_is_kept_too() {
        let LogLine::Text(level, text) =
            understand(r#"{"level":"error","msg":"Failed to copy: 403\n","object":"dump.rdb"}"#)
        else {
            panic!("no text")
        };
        assert_eq!(
            (level, text.as_str()),
            (Level::Warn, "dump.rdb: Failed to copy: 403")
        );
        let last = "2026/01/01 12:00:00 NOTICE: Failed to sync: x";
        let LogLine::Text(level, text) = understand(last) else {
            panic!("no text")
        };
        assert_eq!((level, text.as_str()), (Level::Info, last));
        let LogLine::Text(level, _) = understand("2026/01/01 12:00:00 DEBUG : Setting --config")
        else {
            panic!("no text")
        };
        assert_eq!(level, Level::Trace);
    }
}
