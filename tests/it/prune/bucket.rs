//! What goes from the bucket after `[retention.remote]`, in a run and by hand.

use anyhow::Result;
use serde_json::json;
use testbed::Bed;
use testbed::relay::Rule;

use super::{keys_with, line, listed, prune, remote};
use crate::restore::by_hand::{
    self, data, export_of, manifest, mark, object, prefixes, put, store, this_host,
};
use crate::restore::timestamp;
use crate::support::{days_ago, expect};

/// Nothing in the bucket bears this timestamp any more, the export's object included.
#[track_caller]
fn assert_gone(bed: &Bed, timestamp: &str) {
    assert_eq!(keys_with(bed, timestamp), [""; 0]);
}

/// All of it is there.
#[track_caller]
fn assert_there(bed: &Bed, timestamp: &str) {
    let mut expected = vec![
        format!("falkordb-{timestamp}/dump.rdb"),
        export_of("", timestamp),
        format!("manifests/{timestamp}.files.json"),
        format!("manifests/{timestamp}.json"),
        format!("valkey-{timestamp}/dump.rdb"),
    ];
    expected.sort();
    assert_eq!(keys_with(bed, timestamp), expected);
}

#[test]
fn a_run_deletes_all_of_an_old_backup_and_keeps_the_newest() -> Result<()> {
    let bed = remote();
    bed.set("retention.remote.min_keep", 3)?;
    let times = [10, 95, 100, 110, 400].map(days_ago);
    for timestamp in &times {
        put(&bed, "", timestamp, &this_host());
    }
    let ran = expect(&bed, &["run"], 0);
    // With the run itself: three are always kept.
    for timestamp in &times[..2] {
        assert_there(&bed, timestamp);
    }
    for timestamp in &times[2..] {
        assert_gone(&bed, timestamp);
        assert!(
            ran.stderr
                .contains(&format!("deleted {timestamp} from the bucket: older than")),
            "{ran}"
        );
    }
    let state = bed.state()?;
    assert_eq!(state["retention"]["bucket"]["deleted"], 3, "{state:#}");
    let rows = state["retention"]["bucket"]["rows"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    assert_eq!(rows.len(), 6, "a reason for each: {state:#}");
    assert_eq!(listed(&bed, &timestamp(&bed)).as_deref(), Some("complete"));
    // Nothing more is to be done.
    let keys = bed.keys()?;
    let ran = prune(&bed, &["--remote"], 0);
    assert_eq!(bed.keys()?, keys, "{ran}");
    Ok(())
}

#[test]
fn the_rules_keep_the_newest_of_each_period_and_every_row_names_its_rule() -> Result<()> {
    let bed = remote();
    for (rule, number) in [("daily", 2), ("yearly", 3), ("min_keep", 1)] {
        bed.set(&format!("retention.remote.{rule}"), number)?;
    }
    // More than a year apart: each is the newest of its year.
    let [newest, daily, yearly, goes] = [1, 401, 801, 1201].map(days_ago);
    let same_day = format!("{}T00-00-00Z", &daily[..10]);
    for timestamp in [&newest, &daily, &same_day, &yearly, &goes] {
        put(&bed, "", timestamp, &this_host());
    }
    let deleted = "deleted: older than 90 days and kept by no rule";
    for words in [&["--remote", "--dry-run"][..], &["--remote"]] {
        let ran = prune(&bed, words, 0);
        for (timestamp, why) in [
            (&newest, "kept: newest complete backup"),
            (&daily, "kept: 2nd of 2 daily"),
            (&same_day, deleted),
            (&yearly, "kept: 3rd of 3 yearly"),
            (&goes, deleted),
        ] {
            assert!(line(&ran, timestamp).contains(why), "{ran}");
        }
    }
    for timestamp in [&newest, &daily, &yearly] {
        assert_there(&bed, timestamp);
    }
    for timestamp in [&same_day, &goes] {
        assert_gone(&bed, timestamp);
    }
    Ok(())
}

#[test]
fn a_backup_without_its_file_list_does_not_count_as_complete() -> Result<()> {
    let bed = remote();
    let (broken, whole) = (days_ago(100), days_ago(200));
    for timestamp in [&broken, &whole] {
        put(&bed, "", timestamp, &this_host());
    }
    let file_list = format!("manifests/{broken}.files.json");
    bed.s3().delete(bed.bucket(), &file_list)?;
    assert_eq!(listed(&bed, &broken).as_deref(), Some("incomplete"));
    let ran = prune(&bed, &["--remote"], 0);
    assert!(
        line(&ran, &whole).contains("kept: newest complete backup"),
        "{ran}"
    );
    assert_there(&bed, &whole);
    Ok(())
}

#[test]
fn an_export_that_another_manifest_names_stays() -> Result<()> {
    let bed = remote();
    let (newest, old) = (days_ago(1), days_ago(200));
    for timestamp in [&newest, &old] {
        put(&bed, "", timestamp, &this_host());
    }
    let mut made = manifest("", &old, &this_host());
    made["export"]["object"] = json!(export_of("", &newest));
    store(&bed, "", &old, &made);
    prune(&bed, &["--remote"], 0);
    assert_there(&bed, &newest);
    Ok(())
}

#[test]
fn the_newest_complete_one_stays_however_old() -> Result<()> {
    let bed = remote();
    let (whole, older, half) = (days_ago(500), days_ago(600), days_ago(400));
    put(&bed, "", &whole, &this_host());
    put(&bed, "", &older, &this_host());
    // Newer, and partial: it counts for nothing.
    data(&bed, "", &half);
    let mut partial = manifest("", &half, &this_host());
    partial["complete"] = json!(false);
    partial["failed"] = json!([{"name": "falkordb", "error": "x"}]);
    object(
        &bed,
        &format!("manifests/{half}.partial.json"),
        by_hand::split(&partial).0.as_bytes(),
    );
    mark(&bed, "", &half, &this_host(), &prefixes("", &half), None);
    let ran = prune(&bed, &["--remote"], 0);
    assert_there(&bed, &whole);
    assert_gone(&bed, &older);
    assert_gone(&bed, &half);
    assert!(
        line(&ran, &whole).contains("kept: newest complete backup"),
        "{ran}"
    );
    Ok(())
}

#[test]
fn without_an_age_a_run_never_deletes_in_the_bucket() -> Result<()> {
    let bed = remote();
    bed.unset("retention.remote")?;
    let old = days_ago(4_000);
    put(&bed, "", &old, &this_host());
    expect(&bed, &["run"], 0);
    assert_there(&bed, &old);
    assert_eq!(bed.state()?["retention"]["bucket"]["deleted"], 0);
    Ok(())
}

#[test]
fn what_a_dead_run_left_goes_when_it_is_old_and_not_before() -> Result<()> {
    let bed = remote();
    bed.set("retention.remote.days", 3)?;
    let whole = days_ago(1);
    put(&bed, "", &whole, &this_host());
    let (fresh, young, old) = (days_ago(0), days_ago(2), days_ago(5));
    for timestamp in [&fresh, &young, &old] {
        data(&bed, "", timestamp);
        mark(
            &bed,
            "",
            timestamp,
            &this_host(),
            &prefixes("", timestamp),
            None,
        );
    }
    assert_eq!(listed(&bed, &old).as_deref(), Some("incomplete"));
    let ran = prune(&bed, &["--remote"], 0);
    assert_gone(&bed, &old);
    for timestamp in [&fresh, &young] {
        assert_eq!(keys_with(&bed, timestamp).len(), 3, "{ran}");
        assert!(line(&ran, timestamp).contains("kept: "), "{ran}");
    }
    // A day is the least, whatever the configuration says.
    bed.set("retention.remote.days", 1)?;
    let ran = prune(&bed, &["--remote"], 0);
    assert_gone(&bed, &young);
    assert_eq!(keys_with(&bed, &fresh).len(), 3, "{ran}");
    assert_there(&bed, &whole);
    Ok(())
}

#[test]
fn what_bears_no_mark_and_no_manifest_is_nobodys_and_stays() -> Result<()> {
    let bed = remote();
    put(&bed, "", &days_ago(1), &this_host());
    let old = days_ago(700);
    data(&bed, "", &old);
    for key in [
        "graphiti_export_2020-01-01.json",
        "restic/data/00/00",
        "config",
        "manifests/README",
        "manifests/x.json",
        "manifests/2020-02-30T00-00-00Z.json",
        "manifests/2020-01-01T00-00-00Z.json.bak",
        "falkordb/dump.rdb",
    ] {
        object(&bed, key, b"somebody's");
    }
    // Side by side with one of ours that goes; its name is the beginning of another's.
    let goes = days_ago(300);
    put(&bed, "", &goes, &this_host());
    for key in [
        format!("falkordb-{goes}.old/dump.rdb"),
        format!("falkordb-{goes}x"),
        format!("xfalkordb-{goes}/dump.rdb"),
        format!("sub/falkordb-{goes}/dump.rdb"),
        format!("redis-{goes}/dump.rdb"),
    ] {
        object(&bed, &key, b"somebody's");
    }
    let before = bed.keys()?;
    let ran = prune(&bed, &["--remote"], 0);
    let ours = [
        format!("falkordb-{goes}/dump.rdb"),
        format!("valkey-{goes}/dump.rdb"),
        format!("manifests/{goes}.files.json"),
        format!("manifests/{goes}.json"),
        export_of("", &goes),
    ];
    let expected: Vec<String> = before
        .into_iter()
        .filter(|key| !ours.contains(key))
        .collect();
    assert_eq!(bed.keys()?, expected, "{ran}");
    assert!(!ran.stdout.contains(&old), "{ran}");
    Ok(())
}

#[test]
fn what_cannot_be_read_is_left_alone_and_stops_no_other() -> Result<()> {
    let bed = remote();
    put(&bed, "", &days_ago(1), &this_host());
    let [broken, newer, goes, marked] = [200, 210, 220, 230].map(days_ago);
    for timestamp in [&broken, &newer, &goes] {
        put(&bed, "", timestamp, &this_host());
    }
    object(
        &bed,
        &format!("manifests/{broken}.json"),
        b"{\"schema\": {\"major\": 1",
    );
    let mut other = manifest("", &newer, &this_host());
    other["schema"]["major"] = json!(2);
    store(&bed, "", &newer, &other);
    data(&bed, "", &marked);
    by_hand::object(&bed, &format!("manifests/{marked}.started.json"), b"");
    let before = bed.keys()?;
    let ran = prune(&bed, &["--remote"], 0);
    assert_gone(&bed, &goes);
    let expected: Vec<String> = before
        .into_iter()
        .filter(|key| !key.contains(&goes))
        .collect();
    assert_eq!(bed.keys()?, expected, "{ran}");
    for timestamp in [&broken, &newer] {
        assert!(
            ran.stderr.contains(&format!(
                "manifests/{timestamp}.json cannot be read and is left alone"
            )),
            "{ran}"
        );
        assert!(line(&ran, timestamp).contains("not ours"), "{ran}");
    }
    Ok(())
}

#[test]
fn one_from_the_future_counts_for_nothing() -> Result<()> {
    let bed = remote();
    let (future, old, older) = (days_ago(-3), days_ago(100), days_ago(200));
    for timestamp in [&future, &old, &older] {
        put(&bed, "", timestamp, &this_host());
    }
    let ran = prune(&bed, &["--remote"], 0);
    assert_there(&bed, &future);
    assert_there(&bed, &old);
    assert_gone(&bed, &older);
    assert!(line(&ran, &future).contains("from the future"), "{ran}");
    Ok(())
}

/// rclone 1.60 takes any answer but 200 for "not there". A manifest that stays would call complete what has no data.
#[test]
fn where_a_manifest_cannot_be_asked_about_its_data_stays() -> Result<()> {
    for status in [403, 503] {
        let bed = remote();
        let [ours, newest] = [100, 1].map(days_ago);
        put(&bed, "", &ours, &this_host());
        put(&bed, "", &newest, &this_host());
        let before = keys_with(&bed, &ours);
        let relay = bed.relay()?;
        let manifest = format!("manifests/{ours}.json");
        relay.rule(Rule::on("HEAD").path(&manifest).status(status));
        let ran = prune(&bed, &["--remote"], 7);
        let left = keys_with(&bed, &ours);
        assert!(
            before.iter().all(|key| left.contains(key)),
            "{left:?}: {ran}"
        );
        relay.clear();
        prune(&bed, &["--remote"], 0);
        assert_eq!(keys_with(&bed, &ours), [""; 0], "{ran}");
    }
    Ok(())
}
