//! Run after run, six hours apart, on a clock of its own.

use std::path::Path;

use anyhow::{Context, Result};
use testbed::Bed;

use crate::support::{BIN, expect};

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

/// One run at this distance from now: its timestamp.
fn run_at(bed: &Bed, offset: i64) -> Result<String> {
    bed.clock()?.set_offset_seconds(offset)?;
    expect(bed, &["run"], 0);
    bed.committed()?.pop().context("a backup")
}

fn local(bed: &Bed) -> Result<Vec<String>> {
    let name = |name: String| name.strip_prefix("persist-").map(str::to_owned);
    Ok(bed.snapshots()?.into_iter().filter_map(name).collect())
}

#[test]
fn ten_runs_leave_ten_backups_and_a_month_later_retention_keeps_what_it_should() -> Result<()> {
    let bed = Bed::builder(Path::new(BIN)).clock().build()?;
    let mut all = vec![run_at(&bed, 0)?];
    assert_eq!(
        bed.keys()?
            .iter()
            .filter(|key| key.starts_with("graphiti_export_"))
            .count(),
        1
    );
    // The export takes longer than all the rest.
    bed.set("export.enable", false)?;
    for hours in 1..9 {
        all.push(run_at(&bed, hours * 6 * HOUR)?);
    }
    bed.set("export.enable", true)?;
    all.push(run_at(&bed, 54 * HOUR)?);

    assert_eq!(bed.committed()?, all);
    assert_eq!(local(&bed)?, all, "none of them is a month old");
    assert_eq!(bed.state()?["snapshots"], 10);
    for timestamp in &all {
        for name in ["falkordb", "valkey"] {
            let key = format!("{name}-{timestamp}/dump.rdb");
            assert!(bed.s3().get(bed.bucket(), &key)?.is_some(), "{key}");
        }
        assert_eq!(bed.manifest(timestamp)?["timestamp"], timestamp.as_str());
    }
    assert!(!bed.keys()?.iter().any(|key| key.ends_with(".started.json")));

    // The first five are older than thirty days now, the last five are not.
    bed.set("export.enable", false)?;
    all.push(run_at(&bed, 30 * DAY + 27 * HOUR)?);
    assert_eq!(local(&bed)?, all[5..]);
    assert_eq!(bed.state()?["retention"]["snapshots"]["deleted"], 5);

    // Half a year of silence: all are old, and the newest four stay.
    all.push(run_at(&bed, 180 * DAY)?);
    assert_eq!(local(&bed)?, all[8..]);
    assert_eq!(bed.committed()?, all, "the bucket is never pruned unasked");
    Ok(())
}
