//! `restore --from snapshot`: no network, the lock shared.

use std::fs::{self, File};

use anyhow::Result;
use testbed::relay::Rule;
use testbed::{Rclone, Signal};

use super::{
    DATASETS, SOON, assert_whole, backup, names_in, plain, restore, target, timestamp, tree,
};
use crate::support::{days_ago, expect, old_snapshot};

const LOCAL: [&str; 2] = ["--from", "snapshot"];

#[test]
fn a_snapshot_gives_back_everything_as_it_is_in_it() -> Result<()> {
    let bed = plain(Rclone::Old);
    let dir = bed.dataset("falkordb");
    fs::create_dir_all(dir.join("empty/also empty"))?;
    std::os::unix::fs::symlink("/no/such", dir.join("link"))?;
    fs::write(dir.join("-strange\n\x01"), "")?;
    let sparse = File::create(dir.join("sparse"))?;
    sparse.set_len(4 << 20)?;
    std::os::unix::fs::chown(dir.join("sparse"), Some(123), Some(456))?;
    fs::set_permissions(
        dir.join("sparse"),
        std::os::unix::fs::PermissionsExt::from_mode(0o4000),
    )?;
    let first = backup(&bed);
    fs::write(dir.join("later"), "later")?;
    let second = backup(&bed);
    // The network and the bucket are of no account.
    bed.set("remote.endpoint", "http://127.0.0.1:1")?;
    for (more, taken) in [
        (&[][..], &second),
        (&["latest"], &second),
        (&[&*first], &first),
    ] {
        for to in [target(&bed), bed.subvolume().join("restored")] {
            restore(&bed, &to, &[&LOCAL[..], more].concat(), 0);
            assert_whole(&bed, taken, &to);
            fs::remove_dir_all(&to)?;
        }
    }
    let to = target(&bed);
    restore(
        &bed,
        &to,
        &[&LOCAL[..], &["--dataset", "valkey"]].concat(),
        0,
    );
    assert_eq!(names_in(&to), ["valkey"]);
    Ok(())
}

#[test]
fn one_from_the_future_is_not_the_latest() -> Result<()> {
    let bed = plain(Rclone::Old);
    let dump = bed.dataset("valkey").join("mark");
    fs::write(&dump, "ours")?;
    let ours = backup(&bed);
    fs::write(&dump, "from the future")?;
    old_snapshot(&bed, -2);
    let to = target(&bed);
    restore(&bed, &to, &LOCAL, 0);
    assert_eq!(
        fs::read_to_string(to.join("valkey/mark"))?,
        "ours",
        "{ours}"
    );
    Ok(())
}

#[test]
fn what_no_snapshot_holds_is_not_restored() -> Result<()> {
    let bed = plain(Rclone::Old);
    let to = target(&bed);
    let ran = restore(&bed, &to, &LOCAL, 3);
    assert!(ran.stderr.contains("holds no snapshot"), "{ran}");
    let absent = days_ago(3);
    let ran = restore(&bed, &to, &[&LOCAL[..], &[&absent]].concat(), 3);
    assert!(ran.stderr.contains(&format!("persist-{absent}")), "{ran}");
    backup(&bed);
    let ran = restore(
        &bed,
        &to,
        &[&LOCAL[..], &["--dataset", "postgres"]].concat(),
        3,
    );
    assert!(ran.stderr.contains("no dataset postgres"), "{ran}");
    assert!(!to.exists());
    Ok(())
}

/// Somebody who writes temporary files all the time: they come back from neither source.
#[test]
fn what_is_left_out_of_a_backup_is_left_out_here_too() -> Result<()> {
    let bed = crate::support::bed();
    bed.set("export.enable", false)?;
    fs::write(bed.dataset("valkey").join("temp-123.rdb"), "half")?;
    backup(&bed);
    let (here, there) = (target(&bed), bed.scratch().join("from-the-bucket"));
    restore(&bed, &here, &LOCAL, 0);
    restore(&bed, &there, &[], 0);
    assert!(!here.join("valkey/temp-123.rdb").exists());
    for name in DATASETS {
        tree::assert_same(&there.join(name), &here.join(name));
    }
    Ok(())
}

#[test]
fn a_run_and_a_restore_from_a_snapshot_keep_out_of_each_others_way() -> Result<()> {
    let bed = plain(Rclone::Old);
    // Hours of zeros to read, in no space at all; and room that nobody asks for before they are read.
    File::create(bed.dataset("falkordb").join("huge"))?.set_len(1 << 35)?;
    let name = format!("persist-{}", days_ago(1));
    bed.disk()
        .snapshot(bed.subvolume(), &bed.snapshot_dir().join(&name), true)?;
    fs::remove_file(bed.dataset("falkordb").join("huge"))?;
    let to = target(&bed);
    let to_text = to.to_str().expect("a path");

    let mut reading = bed.spawn(&["restore", "--to", to_text, "--from", "snapshot"])?;
    reading.wait_until("the reading", SOON, |run| {
        let open = fs::read_dir(format!("/proc/{}/fd", run.pid()))
            .into_iter()
            .flatten()
            .flatten();
        open.filter_map(|entry| fs::read_link(entry.path()).ok())
            .any(|file| file.ends_with("huge"))
    })?;
    let ran = bed.run(&["prune"])?;
    assert_eq!(ran.code, Some(75), "{ran}");
    let ran = expect(&bed, &["run"], 75);
    assert!(!bed.state_path().exists(), "{ran}");
    assert_eq!(bed.snapshots()?, [name.as_str()]);
    // Another restore may read beside it.
    let small = bed.scratch().join("small");
    let ran = bed.run(&[
        "restore",
        "--to",
        small.to_str().expect("a path"),
        "--from",
        "snapshot",
        "--dataset",
        "valkey",
    ])?;
    assert_eq!(ran.code, Some(0), "{ran}");
    reading.signal(Signal::SIGTERM)?;
    let ran = reading.wait_timeout(SOON)?;
    assert_eq!(ran.code, Some(143), "{ran}");
    assert!(!to.exists(), "{ran}");

    // The other way round: from the bucket it needs no lock.
    bed.disk().delete(&bed.snapshot_dir().join(&name))?;
    let whole = backup(&bed);
    let relay = bed.relay()?;
    let held = relay.rule(Rule::on("PUT").path("/valkey-").stall());
    crate::support::a_new_second(&bed);
    let mut run = bed.spawn(&["run"])?;
    run.wait_until("the upload", SOON, |_| relay.hits(held) > 0)?;
    let ran = restore(&bed, &to, &LOCAL, 75);
    assert!(ran.stderr.contains("restore from the bucket"), "{ran}");
    assert!(!to.exists());
    restore(&bed, &to, &[], 0);
    assert_whole(&bed, &whole, &to);
    relay.clear();
    let ran = run.wait_timeout(SOON)?;
    assert_eq!(ran.code, Some(0), "{ran}");
    assert_ne!(timestamp(&bed), whole);
    Ok(())
}

#[test]
fn what_only_bears_a_snapshots_name_is_not_restored() -> Result<()> {
    let bed = plain(Rclone::Old);
    let first = backup(&bed);
    let at = |days| {
        let name = format!("persist-{}", days_ago(days));
        (days_ago(days), bed.snapshot_dir().join(name))
    };
    // Older than ours, so that `latest` cannot be the reason.
    let (plain_directory, path) = at(3);
    for name in DATASETS {
        fs::create_dir_all(path.join("containers").join(name))?;
        fs::write(path.join("containers").join(name).join("forged"), "x")?;
    }
    let (link, path) = at(4);
    std::os::unix::fs::symlink(bed.subvolume(), path)?;
    let (writable, path) = at(5);
    bed.disk().snapshot(bed.subvolume(), &path, false)?;
    for timestamp in [plain_directory, link, writable] {
        let to = target(&bed);
        let ran = restore(&bed, &to, &[&LOCAL[..], &[&timestamp]].concat(), 3);
        assert!(ran.stderr.contains("is not ours"), "{ran}");
        assert!(!to.exists());
    }
    restore(&bed, &target(&bed), &LOCAL, 0);
    assert_whole(&bed, &first, &target(&bed));
    Ok(())
}
