//! A dataset with `enable = false`.

use std::fs;

use crate::support::{bed, expect};

#[test]
fn a_disabled_dataset_is_not_stored_and_need_not_exist() {
    let bed = bed();
    bed.set("datasets.valkey.enable", false).expect("set");
    fs::remove_dir_all(bed.dataset("valkey")).expect("removed");
    let checked = expect(&bed, &["check"], 0);
    assert!(!checked.stdout.contains("dataset valkey"), "{checked}");
    let ran = expect(&bed, &["run"], 0);
    assert!(!ran.stderr.contains("valkey:"), "{ran}");
    let keys = bed.keys().expect("keys");
    assert!(keys.iter().any(|key| key.starts_with("falkordb-")));
    assert!(!keys.iter().any(|key| key.starts_with("valkey-")));
    // It is still configured.
    let printed = expect(&bed, &["config"], 0);
    assert!(
        printed.stdout.contains("[datasets.valkey]\nenable = false"),
        "{printed}"
    );
}
