//! Several hosts below one prefix: another one's backup is none of this one.

use anyhow::Result;
use testbed::Rclone;
use testbed::relay::Rule;

use super::status;
use crate::restore::by_hand::{manifest, put, store, this_host};
use crate::restore::{backup, impatient, plain};
use crate::support::days_ago;

#[test]
fn another_hosts_backup_is_none_of_ours() -> Result<()> {
    let bed = plain(Rclone::Old);
    let (ours, theirs) = (days_ago(2), days_ago(1));
    put(&bed, "", &ours, &this_host());
    put(&bed, "", &theirs, "other");
    let says = format!("the newest complete backup is {ours}");
    status(&bed, &["--max-age", "3d"], 0, &[&says]);
    status(&bed, &["--max-age", "36h"], 2, &["older than"]);
    // Seen from a machine that makes none.
    for key in bed.keys()? {
        if key.contains(&ours) {
            bed.s3().delete(bed.bucket(), &key)?;
        }
    }
    status(&bed, &["--max-age", "3d"], 1, &["of the host other"]);
    Ok(())
}

/// It may be ours.
#[test]
fn one_of_two_hosts_that_is_not_fetched_just_now_is_unknown_and_not_critical() -> Result<()> {
    let bed = plain(Rclone::Old);
    impatient(&bed);
    let made = backup(&bed);
    for key in bed.keys()?.iter().filter(|key| key.contains(&made)) {
        bed.s3().delete(bed.bucket(), key)?;
    }
    let [ours, theirs, older] = [2, 1, 30].map(days_ago);
    put(&bed, "", &ours, &this_host());
    put(&bed, "", &theirs, "other");
    let relay = bed.relay()?;
    relay.rule(Rule::on("GET").path(&format!("{ours}.json")).status(503));
    let says = format!("{ours} could not be fetched");
    status(&bed, &["--max-age", "3d"], 3, &[&says]);
    put(&bed, "", &older, &this_host());
    status(&bed, &["--max-age", "3d"], 3, &[&says]);
    Ok(())
}

/// However many another host has made since.
#[test]
fn a_host_whose_backups_have_stopped_is_critical() -> Result<()> {
    let bed = plain(Rclone::New);
    let ours = backup(&bed);
    let older = days_ago(40);
    put(&bed, "", &older, &this_host());
    for key in bed.keys()?.iter().filter(|key| key.contains(&ours)) {
        bed.s3().delete(bed.bucket(), key)?;
    }
    for day in 0..25 {
        if day == 20 {
            status(&bed, &["--max-age", "7d"], 2, &["of the host other"]);
        }
        let at = days_ago(day);
        store(&bed, "", &at, &manifest("", &at, "other"));
    }
    status(&bed, &["--max-age", "7d"], 2, &["of the host other"]);
    let says = format!("the newest complete backup is {older}");
    status(&bed, &["--max-age", "41d"], 0, &[&says]);
    status(&bed, &["--max-age", "39d"], 2, &["of the host other"]);
    Ok(())
}
