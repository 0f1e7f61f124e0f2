//! Several datasets come side by side: what is wrong with one is said, whatever becomes of the others.

use std::fs::{self, File};
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use serde_json::json;
use testbed::bed::descendants;
use testbed::disk::Mount;
use testbed::relay::Rule;
use testbed::{Bed, Rclone, Running, Signal};

use super::by_hand::{DATA, manifest, object, store, this_host};
use super::{SOON, assert_whole, backup, impatient, names_in, plain, restore, stage, target};
use crate::support::{days_ago, old_snapshot};

/// A backup, and what has been made of the dump of each of these.
fn damaged(datasets: &[&str]) -> Result<(Bed, String)> {
    let bed = plain(Rclone::New);
    impatient(&bed);
    let timestamp = backup(&bed);
    for name in datasets {
        let key = format!("{name}-{timestamp}/dump.rdb");
        bed.s3().put(bed.bucket(), &key, b"zzz")?;
    }
    Ok((bed, timestamp))
}

#[test]
fn all_that_differs_is_named() -> Result<()> {
    let (bed, timestamp) = damaged(&["falkordb", "valkey"])?;
    let to = target(&bed);
    let ran = restore(&bed, &to, &[], 8);
    let last = ran.stderr.lines().last().unwrap_or_default();
    for says in [
        "falkordb: dump.rdb has 3 bytes",
        "valkey: dump.rdb has 3 bytes",
    ] {
        assert!(last.contains(says), "{says}: {ran}");
    }
    let left = stage(&to, &timestamp);
    assert!(last.contains(&left.display().to_string()), "{ran}");
    assert!(left.is_dir());
    Ok(())
}

#[test]
fn a_difference_is_the_answer_though_another_dataset_cannot_be_fetched() -> Result<()> {
    for (bad, gone) in [("valkey", "falkordb"), ("falkordb", "valkey")] {
        let (bed, _) = damaged(&[bad])?;
        let relay = bed.relay()?;
        relay.rule(Rule::on("GET").path(&format!("/{gone}-")).status(503));
        let to = target(&bed);
        let ran = restore(&bed, &to, &[], 8);
        let last = ran.stderr.lines().last().unwrap_or_default();
        for says in [
            &format!("{bad}: dump.rdb has 3 bytes"),
            &format!("{gone}: "),
        ] {
            assert!(last.contains(says.as_str()), "{says}: {ran}");
        }
        assert!(!to.exists(), "{ran}");
    }
    Ok(())
}

#[test]
fn two_that_cannot_be_fetched_are_both_named() -> Result<()> {
    let (bed, _) = damaged(&[])?;
    let relay = bed.relay()?;
    relay.rule(Rule::on("GET").path("dump.rdb").status(503));
    let ran = restore(&bed, &target(&bed), &[], 1);
    let last = ran.stderr.lines().last().unwrap_or_default();
    for name in ["falkordb", "valkey"] {
        assert!(last.contains(&format!("{name}: ")), "{name}: {ran}");
    }
    Ok(())
}

#[test]
fn what_stops_one_is_said_while_the_others_still_come() -> Result<()> {
    let (bed, timestamp) = damaged(&[])?;
    let relay = bed.relay()?;
    let held = relay.rule(Rule::on("GET").path("/valkey-").stall());
    let to = target(&bed);
    let staged = stage(&to, &timestamp);
    fs::create_dir(&staged)?;
    fs::write(staged.join("falkordb"), "in the way")?;
    let mut run = bed.spawn(&["restore", "--to", to.to_str().expect("a path")])?;
    run.wait_until("the words", SOON, |run| {
        relay.hits(held) > 0
            && run
                .stderr_so_far()
                .contains("falkordb cannot be restored: ")
    })?;
    relay.clear();
    let ran = run.wait_timeout(SOON)?;
    assert_eq!(ran.code, Some(1), "{ran}");
    // The other one came, and a second call has it.
    fs::remove_file(staged.join("falkordb"))?;
    relay.forget_requests();
    restore(&bed, &to, &[], 0);
    assert_whole(&bed, &timestamp, &to);
    let again = relay.requests();
    assert!(
        !again
            .iter()
            .any(|one| one.method == "GET" && one.path.contains("/valkey-"))
    );
    Ok(())
}

#[test]
fn a_signal_ends_the_check_of_a_large_file() -> Result<()> {
    const LARGE: u64 = 2 << 30;
    let bed = plain(Rclone::Old);
    // Zeros in no space at all; which are copied as that, and read.
    File::create(bed.dataset("falkordb").join("large"))?.set_len(LARGE)?;
    let snapshot = old_snapshot(&bed, 1);
    let to = bed.subvolume().join("restored");
    let to_text = to.to_str().expect("a path");
    let mut run = bed.spawn(&["restore", "--from", "snapshot", "--to", to_text])?;
    let timestamp = snapshot.trim_start_matches("persist-");
    let large = stage(&to, timestamp).join("falkordb/large");
    let whole = |path: &Path| fs::metadata(path).is_ok_and(|file| file.len() == LARGE);
    run.wait_until("the check", Duration::from_secs(300), |run| {
        let open = fs::read_dir(format!("/proc/{}/fd", run.pid()));
        let mut open = open.into_iter().flatten().flatten();
        whole(&large) && open.any(|entry| fs::read_link(entry.path()).is_ok_and(|to| to == large))
    })?;
    let read = |run: &Running| -> Result<u64> {
        let io = fs::read_to_string(format!("/proc/{}/io", run.pid()))?;
        let line = io.lines().find_map(|line| line.strip_prefix("rchar: "));
        Ok(line.unwrap_or_default().parse()?)
    };
    let before = read(&run)?;
    run.signal(Signal::SIGTERM)?;
    let mut last = before;
    while !run.ended()? {
        last = read(&run).unwrap_or(last);
    }
    let ran = run.wait_timeout(SOON)?;
    assert_eq!(ran.code, Some(143), "{ran}");
    assert!(
        last - before < LARGE / 4,
        "{} bytes more were read: {ran}",
        last - before
    );
    Ok(())
}

/// A backup, and a tmpfs of 64 MiB on which its restore was killed while its parts moved up.
fn half_placed() -> Result<(Bed, String, Mount)> {
    let bed = plain(Rclone::New);
    fs::write(bed.dataset("falkordb").join("large"), vec![7; 40 << 20])?;
    let timestamp = backup(&bed);
    let to = target(&bed);
    let mount = Mount::tmpfs(&to)?;
    restore(&bed, &to, &[], 0);
    let staged = to.join(format!(".restored.opencode-backup-{timestamp}"));
    fs::create_dir(&staged)?;
    fs::write(staged.join(".moving"), "")?;
    fs::rename(to.join("valkey"), staged.join("valkey"))?;
    Ok((bed, timestamp, mount))
}

#[test]
fn what_had_moved_up_counts_as_there_when_room_is_asked_for() -> Result<()> {
    let (bed, timestamp, _mount) = half_placed()?;
    let to = target(&bed);
    restore(&bed, &to, &[], 0);
    assert_whole(&bed, &timestamp, &to);
    Ok(())
}

#[test]
fn half_of_it_in_place_is_not_called_as_it_was() -> Result<()> {
    let (bed, _, _mount) = half_placed()?;
    let to = target(&bed);
    fs::write(to.join("somebody's"), "")?;
    let ran = restore(&bed, &to, &[], 1);
    assert!(ran.stderr.contains("holds a part of it"), "{ran}");
    assert!(!ran.stderr.contains("as it was"), "{ran}");
    Ok(())
}

#[test]
fn an_empty_stage_where_all_is_in_place_is_nothing_to_go_on_from() -> Result<()> {
    let bed = plain(Rclone::Old);
    let timestamp = backup(&bed);
    let to = target(&bed);
    let _mount = Mount::tmpfs(&to)?;
    let staged = to.join(format!(".restored.opencode-backup-{timestamp}"));
    fs::create_dir(&staged)?;
    restore(&bed, &to, &[], 0);
    assert_whole(&bed, &timestamp, &to);
    fs::create_dir(&staged)?;
    let ran = restore(&bed, &to, &[], 3);
    assert!(ran.stderr.contains("is not empty"), "{ran}");
    assert!(!ran.stderr.contains("goes on from"), "{ran}");
    assert_eq!(names_in(&to).len(), 3, "{ran}");
    Ok(())
}

#[test]
fn a_snapshot_comes_back_where_there_is_no_room_for_a_second_copy_of_it() -> Result<()> {
    let bed = plain(Rclone::Old);
    let huge = bed.dataset("falkordb").join("huge");
    File::create(&huge)?.set_len(1 << 30)?;
    let snapshot = old_snapshot(&bed, 1);
    fs::remove_file(&huge)?;
    let to = bed.subvolume().join("restored");
    let ran = restore(&bed, &to, &["--from", "snapshot"], 0);
    assert!(ran.stderr.contains("share their blocks"), "{ran}");
    assert!(
        ran.stderr.contains("every byte compared with the snapshot"),
        "{ran}"
    );
    assert_whole(&bed, snapshot.trim_start_matches("persist-"), &to);
    Ok(())
}

/// A manifest may name any number of datasets.
#[test]
fn no_more_are_fetched_at_once_than_there_is_memory_for() -> Result<()> {
    const MANY: usize = 40;
    let bed = plain(Rclone::New);
    let at = days_ago(1);
    let names: Vec<String> = (0..MANY).map(|number| format!("d{number}")).collect();
    let mut made = manifest("", &at, &this_host());
    let dataset = made["datasets"][0].clone();
    let each = names.iter().map(|name| {
        let (mut one, prefix) = (dataset.clone(), format!("{name}-{at}"));
        object(&bed, &format!("{prefix}/dump.rdb"), DATA);
        (one["name"], one["prefix"]) = (json!(name), json!(prefix));
        one
    });
    made["datasets"] = each.collect();
    store(&bed, "", &at, &made);
    let to = target(&bed);
    let mut run = bed.spawn(&["restore", "--to", to.to_str().expect("a path")])?;
    let mut most = 0;
    while !run.ended()? {
        let rclones = descendants(run.pid()).into_iter();
        let rclones = rclones.filter(|one| {
            one.argv
                .first()
                .is_some_and(|word| word.ends_with("rclone"))
        });
        most = most.max(rclones.count());
    }
    let ran = run.wait_timeout(SOON)?;
    assert_eq!(ran.code, Some(0), "{ran}");
    assert_eq!(names_in(&to).len(), MANY);
    // 256 MiB, of which 49 are the program's, and each has 16 and room for two parts.
    assert!((2..=7).contains(&most), "{most} at once");
    Ok(())
}

#[test]
fn where_a_dataset_belongs_that_the_configuration_does_not_know_is_not_guessed() -> Result<()> {
    let bed = plain(Rclone::Old);
    let text = fs::read_to_string(bed.config_path())?;
    let other = "[datasets.falkordb]\nenable = false\n[datasets.graph]";
    let renamed = text.replace("[datasets.falkordb]", other);
    fs::write(bed.config_path(), renamed)?;
    backup(&bed);
    fs::write(bed.config_path(), text)?;
    let ran = restore(&bed, &target(&bed), &[], 0);
    assert!(
        ran.stdout
            .starts_with("# graph is not in the configuration"),
        "{ran}"
    );
    assert!(!ran.stdout.contains("systemctl"), "{ran}");
    assert!(
        ran.stderr.contains("graph is not in the configuration"),
        "{ran}"
    );
    Ok(())
}
