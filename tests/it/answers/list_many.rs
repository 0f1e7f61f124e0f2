//! `list` in front of a bucket of years: how often it asks.

use std::collections::BTreeMap;

use chrono::DateTime;
use serde_json::{Value, json};
use testbed::pages::Pages;
use testbed::{Bed, Rclone};

use super::json;
use crate::support::{BIN, expect};

const BACKUPS: usize = 10_000;

/// Ten thousand complete backups of two datasets, four a day.
fn bucket() -> BTreeMap<String, Vec<u8>> {
    let mut objects = BTreeMap::new();
    for n in 0..BACKUPS {
        let then = DateTime::from_timestamp(1_550_000_000 + n as i64 * 21_600, 0).expect("a time");
        let timestamp = then.format("%Y-%m-%dT%H-%M-%SZ").to_string();
        let dataset = |name: &str| json!({ "name": name, "prefix": format!("{name}-{timestamp}"), "files": 1, "bytes": n });
        let manifest = json!({
            "schema": { "major": 1, "minor": 0 }, "tool": "t", "host": "h", "timestamp": timestamp, "started": then.to_rfc3339(),
            "finished": then.to_rfc3339(), "complete": true, "failed": [],
            "snapshot": { "path": "/x", "uuid": "u", "parent_uuid": "p" }, "file_list": { "size": 0, "md5": "" },
            "export": { "outcome": "stored", "object": format!("graphiti_export_{n}.json"), "size": 1, "error": null },
            "datasets": [dataset("falkordb"), dataset("valkey")],
        });
        objects.insert(
            format!("manifests/{timestamp}.json"),
            manifest.to_string().into_bytes(),
        );
        objects.insert(format!("manifests/{timestamp}.files.json"), Vec::new());
        objects.insert(format!("falkordb-{timestamp}/dump.rdb"), Vec::new());
        objects.insert(format!("valkey-{timestamp}/dump.rdb"), Vec::new());
        objects.insert(format!("graphiti_export_{n}.json"), Vec::new());
    }
    objects
}

fn asks_a_page_a_thousand(rclone: Rclone) {
    let bed = Bed::builder(std::path::Path::new(BIN))
        .rclone(rclone)
        .build()
        .expect("a bed");
    let objects = bucket();
    let marks = objects
        .keys()
        .filter(|key| key.starts_with("manifests/"))
        .count();
    let pages = Pages::start(bed.bucket(), objects).expect("a stub");
    bed.set("remote.endpoint", pages.endpoint()).expect("set");
    let rows = json(&expect(&bed, &["list", "--json"], 0));
    let rows = rows.as_array().expect("a list");
    assert_eq!(rows.len(), BACKUPS);
    let complete = |row: &&Value| row["state"] == "complete";
    let other = rows.iter().find(|row| !complete(row));
    assert_eq!(other, None);
    let sizes: Vec<&Value> = rows.iter().map(|row| &row["bytes"]).take(21).collect();
    assert_eq!(
        (sizes[0], sizes[20]),
        (&json!(2 * (BACKUPS - 1)), &Value::Null)
    );
    let requests = pages.requests();
    let (listed, read): (Vec<&String>, Vec<&String>) = requests
        .iter()
        .partition(|request| request.contains('?') && !request.contains("x-id="));
    assert!(listed.len() <= marks / 1000 + 5, "{listed:#?}");
    assert!(read.len() <= 20, "{read:#?}");
}

#[test]
fn ten_thousand_backups_are_listed_with_a_request_a_thousand_and_one_for_each_size_with_rclone_1_60()
 {
    asks_a_page_a_thousand(Rclone::Old);
}

#[test]
fn ten_thousand_backups_are_listed_with_a_request_a_thousand_and_one_for_each_size_with_rclone_1_75()
 {
    asks_a_page_a_thousand(Rclone::New);
}
