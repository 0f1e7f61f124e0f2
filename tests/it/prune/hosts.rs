//! Several hosts in one bucket: none deletes what is another's.

use anyhow::Result;
use serde_json::Value;
use testbed::relay::Rule;

use super::{keys_with, line, prune, remote};
use crate::restore::SOON;
use crate::restore::by_hand::{data, export_of, mark, prefixes, put, this_host};
use crate::support::{a_new_second, days_ago, expect};

#[test]
fn without_prefixes_another_hosts_backups_stay() -> Result<()> {
    let bed = remote();
    let [ours, old] = [1, 120].map(days_ago);
    let theirs = [50, 130, 140, 500].map(days_ago);
    for timestamp in [&ours, &old] {
        put(&bed, "", timestamp, &this_host());
    }
    for timestamp in &theirs {
        put(&bed, "", timestamp, "other");
    }
    let dead = days_ago(150);
    data(&bed, "", &dead);
    mark(&bed, "", &dead, "other", &prefixes("", &dead), None);
    let before = bed.keys()?;
    for way in [&["prune", "--remote"][..], &["run"]] {
        put(&bed, "", &old, &this_host());
        let ran = expect(&bed, way, 0);
        assert_eq!(keys_with(&bed, &old), [""; 0], "{ran}");
        for key in before.iter().filter(|key| !key.contains(&old)) {
            assert!(bed.keys()?.contains(key), "{key} went: {ran}");
        }
    }
    let ran = prune(&bed, &["--remote"], 0);
    for timestamp in theirs.iter().skip(1).chain([&dead]) {
        assert!(
            line(&ran, timestamp).contains("kept: not ours: of the host other"),
            "{ran}"
        );
    }
    Ok(())
}

/// Their newest ones are none of ours: they keep nothing of ours alive, and ours are not counted away by them.
#[test]
fn another_hosts_newest_do_not_count_among_ours() -> Result<()> {
    let bed = remote();
    bed.set("retention.remote.min_keep", 2)?;
    let ours = [100, 200, 300].map(days_ago);
    for timestamp in &ours {
        put(&bed, "", timestamp, &this_host());
    }
    for days in [1, 2, 3, 150, 250] {
        put(&bed, "", &days_ago(days), "other");
    }
    let ran = prune(&bed, &["--remote"], 0);
    assert_eq!(keys_with(&bed, &ours[2]), [""; 0], "{ran}");
    for timestamp in &ours[..2] {
        assert_eq!(keys_with(&bed, timestamp).len(), 5, "{ran}");
    }
    assert_eq!(bed.committed()?.len(), 7);
    Ok(())
}

#[test]
fn with_prefixes_they_do_not_even_see_each_other() -> Result<()> {
    let bed = remote();
    bed.set("remote.prefix", "a/")?;
    let times = [100, 200, 300].map(days_ago);
    for prefix in ["a/", "b/", "", "a/a/", "aa/"] {
        for timestamp in &times {
            // Even under the same name of a host.
            put(&bed, prefix, timestamp, &this_host());
        }
    }
    let before = bed.keys()?;
    let relay = bed.relay()?;
    let list = expect(&bed, &["list", "--json"], 0);
    let rows: Value = serde_json::from_str(&list.stdout)?;
    assert_eq!(rows.as_array().map(Vec::len), Some(3), "{list}");
    let ran = prune(&bed, &["--remote"], 0);
    let gone = |key: &String| {
        times[1..].iter().any(|t| {
            let ours = [
                format!("a/falkordb-{t}/dump.rdb"),
                format!("a/valkey-{t}/dump.rdb"),
                format!("a/manifests/{t}.files.json"),
                format!("a/manifests/{t}.json"),
                export_of("a/", t),
            ];
            ours.contains(key)
        })
    };
    let expected: Vec<String> = before.into_iter().filter(|key| !gone(key)).collect();
    assert_eq!(bed.keys()?, expected, "{ran}");
    // Nothing of another's was read.
    for request in relay.requests() {
        let path = request.path.trim_start_matches('/');
        let key = path.split_once('/').map_or("", |(_, key)| key);
        assert!(
            key.is_empty()
                || key.starts_with("a/") && !key.starts_with("a/a/")
                || key == export_of("a/", &times[1])
                || key == export_of("a/", &times[2]),
            "{request:?}"
        );
    }
    let others = |keys: Vec<String>| -> Vec<String> {
        keys.into_iter()
            .filter(|key| !key.starts_with("a/") && !key.starts_with("graphiti_export_a-"))
            .collect()
    };
    let ran = expect(&bed, &["run"], 0);
    assert_eq!(others(bed.keys()?), others(expected), "{ran}");
    Ok(())
}

#[test]
fn what_another_host_deletes_meanwhile_does_not_keep_ours_alive() -> Result<()> {
    let bed = remote();
    let [ours, theirs] = [101, 100].map(days_ago);
    expect(&bed, &["run"], 0);
    put(&bed, "", &theirs, "other");
    put(&bed, "", &ours, &this_host());
    std::fs::write(bed.dataset("falkordb").join("new"), "something new")?;
    let relay = bed.relay()?;
    let held = relay.rule(Rule::on("PUT").path("/falkordb-").stall());
    a_new_second(&bed);
    let mut run = bed.spawn(&["run"])?;
    run.wait_until("the upload", SOON, |_| relay.hits(held) > 0)?;
    for key in keys_with(&bed, &theirs) {
        bed.s3().delete(bed.bucket(), &key)?;
    }
    relay.clear();
    let ran = run.wait_timeout(SOON)?;
    assert_eq!(ran.code, Some(0), "{ran}");
    assert_eq!(keys_with(&bed, &ours), [""; 0], "{ran}");
    assert!(ran.stderr.contains("was deleted meanwhile"), "{ran}");

    // One that is there and cannot be read is another matter: nothing is known.
    put(&bed, "", &ours, &this_host());
    put(&bed, "", &theirs, "other");
    let manifest = format!("manifests/{theirs}.json");
    relay.rule(Rule::on("GET").path(&manifest).status(403));
    relay.rule(Rule::on("HEAD").path(&manifest).status(403));
    expect(&bed, &["prune", "--remote"], 7);
    assert_eq!(keys_with(&bed, &ours).len(), 5);
    Ok(())
}
