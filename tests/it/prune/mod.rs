//! `prune`, and what goes from the bucket: old backups of this host and this prefix, and nothing else.

mod bucket;
mod here;
mod hosts;
mod interrupted;
mod marks;
mod ownership;

use serde_json::Value;
use testbed::{Bed, Ran, Rclone};

use crate::restore::{impatient, plain};
use crate::support::expect;

/// A bed whose bucket is pruned after 90 days, but for the newest one.
fn remote() -> Bed {
    let bed = plain(Rclone::Old);
    impatient(&bed);
    prune_after(&bed, 90);
    bed
}

/// Deletes what is older and not the newest one in the bucket: no other rule keeps anything.
pub(crate) fn prune_after(bed: &Bed, days: i64) {
    let rules = ["daily", "weekly", "monthly", "yearly"].map(|rule| (rule, 0));
    for (key, value) in [("days", days), ("min_keep", 1)].into_iter().chain(rules) {
        bed.set(&format!("retention.remote.{key}"), value)
            .expect("a setting");
    }
}

#[track_caller]
fn prune(bed: &Bed, more: &[&str], code: i32) -> Ran {
    expect(bed, &[&["prune"], more].concat(), code)
}

/// Keys of the bucket in which this occurs.
#[track_caller]
fn keys_with(bed: &Bed, part: &str) -> Vec<String> {
    let keys = bed.keys().expect("the bucket answers");
    keys.into_iter().filter(|key| key.contains(part)).collect()
}

/// The line of the answer that is about this.
#[track_caller]
fn line<'r>(ran: &'r Ran, about: &str) -> &'r str {
    let found = ran.stdout.lines().find(|line| line.contains(about));
    found.unwrap_or_else(|| panic!("nothing about {about}: {ran}"))
}

/// What `list` says of a timestamp.
#[track_caller]
fn listed(bed: &Bed, timestamp: &str) -> Option<String> {
    let list = expect(bed, &["list", "--json"], 0);
    let rows: Value = serde_json::from_str(&list.stdout).expect("JSON");
    let row = rows
        .as_array()
        .expect("rows")
        .iter()
        .find(|row| row["timestamp"] == timestamp)?;
    row["state"].as_str().map(str::to_owned)
}
