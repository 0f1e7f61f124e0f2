//! A subvolume that was itself restored from a snapshot: another identity, the same name.

use std::fs;

use anyhow::{Context, Result};
use toml::Value;

use super::shown;
use crate::support::{bed, expect, old_snapshot};

#[test]
fn snapshots_of_the_replaced_subvolume_are_ours_only_where_its_uuid_is_named() -> Result<()> {
    let bed = bed();
    bed.set("export.enable", false)?;
    bed.set("retention.min_keep", 1)?;
    let old = old_snapshot(&bed, 50);
    let former = shown(bed.subvolume(), "UUID")?;

    let aside = bed.disk().path().join("persist.broken");
    fs::rename(bed.subvolume(), &aside)?;
    bed.disk().snapshot(&aside, bed.subvolume(), false)?;
    bed.disk().delete(&aside)?;
    assert_ne!(shown(bed.subvolume(), "UUID")?, former);

    let ran = expect(&bed, &["run"], 0);
    assert!(bed.snapshots()?.contains(&old), "{:?}", bed.snapshots()?);
    let remedy = "former_subvolume_uuids";
    assert!(
        ran.stderr.contains(remedy) && ran.stderr.contains("1 "),
        "{ran}"
    );
    let first = bed.committed()?.pop().context("a backup")?;

    bed.set("former_subvolume_uuids", Value::Array(vec![former.into()]))?;
    let ran = expect(&bed, &["run"], 0);
    assert!(!ran.stderr.contains(remedy), "{ran}");
    let second = bed.committed()?.pop().context("a backup")?;
    assert_eq!(
        bed.snapshots()?,
        [format!("persist-{first}"), format!("persist-{second}")]
    );
    assert_eq!(bed.state()?["retention"]["snapshots"]["deleted"], 1);
    Ok(())
}
