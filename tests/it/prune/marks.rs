//! Whoever can write to the bucket can write a mark. It leads to nothing that is not of its own run.

use anyhow::Result;
use serde_json::json;
use testbed::Bed;

use super::{keys_with, prune, remote};
use crate::restore::by_hand::{
    data, manifest, mark, object, prefixes, put, split, store, this_host,
};
use crate::support::days_ago;

#[test]
fn a_mark_that_names_what_is_not_its_own_deletes_nothing_of_it() -> Result<()> {
    let bed = remote();
    let (newest, old) = (days_ago(1), days_ago(200));
    put(&bed, "", &newest, &this_host());
    put(&bed, "b/", &old, "other");
    data(&bed, "", &days_ago(300));
    object(&bed, "precious", b"x");
    object(&bed, "graphiti_export_/../precious.json", b"x");
    data(&bed, "", &old);
    let before = bed.keys()?;
    let foreign: Vec<String> = [
        "",
        "/",
        ".",
        "..",
        "*",
        "manifests",
        "manifests/",
        "precious",
        "b",
        "b/",
        &format!("b/falkordb-{old}"),
        &format!("falkordb-{newest}"),
        &format!("falkordb-{}", days_ago(300)),
        &format!("/falkordb-{old}"),
        &format!("../x/falkordb-{old}"),
        &format!("-{old}"),
        &format!("valkey-{newest}/x-{old}"),
        &format!("{{valkey,falkordb}}-{old}"),
        &format!("*-{old}"),
        "falkordb",
    ]
    .iter()
    .map(|text| (*text).to_owned())
    .collect();
    let exports = [
        "precious",
        "manifests/x.json",
        "graphiti_export_/../precious.json",
        "../precious",
        "",
        "b/graphiti_export_x.json",
    ];
    for export in exports {
        mark(&bed, "", &old, &this_host(), &foreign, Some(export));
        let ran = prune(&bed, &["--remote"], 0);
        assert_eq!(
            bed.keys()?,
            before,
            "{export}: the mark alone has gone: {ran}"
        );
    }
    Ok(())
}

#[test]
fn a_manifest_that_names_what_is_not_its_own_deletes_nothing_of_it() -> Result<()> {
    let bed = remote();
    let (newest, old) = (days_ago(1), days_ago(200));
    put(&bed, "", &newest, &this_host());
    object(&bed, "precious/x", b"x");
    object(&bed, "precious", b"x");
    let before = bed.keys()?;
    let export = json!({"outcome": "stored", "object": "precious", "size": 1, "error": null});
    for (pointer, bad) in [
        ("/datasets/0/name", json!("../precious")),
        ("/datasets/1/prefix", json!("precious")),
        ("/export", export),
        ("/failed", json!([{"name": "a/b", "error": "x"}])),
    ] {
        let mut text = manifest("", &old, &this_host());
        *text.pointer_mut(pointer).expect("a field") = bad;
        store(&bed, "", &old, &text);
        let ran = prune(&bed, &["--remote"], 0);
        let after = bed.keys()?;
        assert!(
            before.iter().all(|key| after.contains(key)),
            "{pointer}: {ran}"
        );
    }
    Ok(())
}

/// A manifest under one name that claims to be another one, which is another host's.
#[test]
fn a_manifest_that_claims_anothers_time_deletes_nothing_of_it() -> Result<()> {
    let bed = remote();
    let [newest, theirs, after, before_it] = [1, 200, 199, 201].map(days_ago);
    put(&bed, "", &newest, &this_host());
    put(&bed, "", &theirs, "other");
    for name in [&after, &before_it] {
        object(
            &bed,
            &format!("manifests/{name}.json"),
            split(&manifest("", &theirs, &this_host())).0.as_bytes(),
        );
    }
    let ran = prune(&bed, &["--remote"], 0);
    assert_eq!(keys_with(&bed, &theirs).len(), 5, "{ran}");
    Ok(())
}

#[test]
fn a_manifest_of_a_newer_format_is_left_alone_whatever_the_mark_beside_it_says() -> Result<()> {
    let bed = remote();
    let (old, broken) = (days_ago(200), days_ago(210));
    for timestamp in [&old, &broken] {
        put(&bed, "", timestamp, &this_host());
        mark(
            &bed,
            "",
            timestamp,
            &this_host(),
            &prefixes("", timestamp),
            None,
        );
    }
    let key = format!("manifests/{old}.json");
    let mut newer = bed.json(&key)?;
    newer["schema"]["major"] = 2.into();
    bed.s3()
        .put(bed.bucket(), &key, newer.to_string().as_bytes())?;
    bed.s3().put(
        bed.bucket(),
        &format!("manifests/{broken}.json"),
        b"garbage",
    )?;
    put(&bed, "", &days_ago(1), &this_host());
    let before = bed.keys()?;
    prune(&bed, &["--remote"], 0);
    assert_eq!(bed.keys()?, before);
    Ok(())
}

/// A mark under the name that a run gives it.
fn begun(bed: &Bed, timestamp: &str, host: &str, nonce: &str) -> String {
    mark(bed, "", timestamp, host, &prefixes("", timestamp), None);
    let plain = format!("manifests/{timestamp}.started.json");
    let mut text = bed.json(&plain).expect("a mark");
    text["nonce"] = json!(nonce);
    let key = format!("manifests/{timestamp}.{nonce}.started.json");
    object(bed, &key, text.to_string().as_bytes());
    bed.s3().delete(bed.bucket(), &plain).expect("deleted");
    key
}

const OURS: &str = "00000000000000aa";
const THEIRS: &str = "00000000000000bb";

#[test]
fn what_a_run_left_that_died_long_ago_goes_with_its_mark() -> Result<()> {
    let bed = remote();
    let old = days_ago(200);
    put(&bed, "", &days_ago(1), &this_host());
    data(&bed, "", &old);
    begun(&bed, &old, &this_host(), OURS);
    let ran = prune(&bed, &["--remote"], 0);
    assert_eq!(keys_with(&bed, &old), [""; 0], "{ran}");
    Ok(())
}

/// Two hosts began in one second, and nobody can tell whose the data is.
#[test]
fn what_two_hosts_marks_claim_is_left_alone() -> Result<()> {
    for theirs in ["other", "unreadable"] {
        let bed = remote();
        let old = days_ago(200);
        put(&bed, "", &days_ago(1), &this_host());
        data(&bed, "", &old);
        begun(&bed, &old, &this_host(), OURS);
        let key = begun(&bed, &old, "other", THEIRS);
        if theirs == "unreadable" {
            object(&bed, &key, b"");
        }
        let before = bed.keys()?;
        let ran = prune(&bed, &["--remote"], 0);
        assert_eq!(bed.keys()?, before, "{theirs}: {ran}");
    }
    Ok(())
}

#[test]
fn a_backup_of_ours_goes_and_another_hosts_mark_of_its_second_stays_with_what_it_names()
-> Result<()> {
    let bed = remote();
    let old = days_ago(200);
    put(&bed, "", &days_ago(1), &this_host());
    put(&bed, "", &old, &this_host());
    let theirs = begun(&bed, &old, "other", THEIRS);
    let mut text = bed.json(&theirs)?;
    text["prefixes"] = json!([format!("graph-{old}")]);
    object(&bed, &theirs, text.to_string().as_bytes());
    let data = format!("graph-{old}/dump.rdb");
    object(&bed, &data, b"theirs");
    let ran = prune(&bed, &["--remote"], 0);
    assert_eq!(keys_with(&bed, &old), [data, theirs], "{ran}");
    Ok(())
}
