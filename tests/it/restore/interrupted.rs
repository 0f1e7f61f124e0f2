//! Stopped or killed at any moment: the destination is as it was, or whole; a second call goes on.

use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::Instant;

use anyhow::Result;
use testbed::bed::descendants;
use testbed::disk::Mount;
use testbed::relay::{Relay, Rule};
use testbed::{Bed, Rclone, Running, Signal};

use super::{DATASETS, SOON, assert_whole, backup, names_in, plain, restore, stage, target};

/// The files of falkordb, beside its dump; the last one is the one that stalls.
const FILES: [&str; 6] = [
    "alpha",
    "beta",
    "gamma",
    "below/delta",
    "below/epsilon",
    "last",
];

/// A backup behind a relay.
fn stored(rclone: Rclone) -> Result<(Bed, Relay, String)> {
    let bed = plain(rclone);
    let dir = bed.dataset("falkordb");
    fs::create_dir(dir.join("below"))?;
    for name in FILES {
        fs::write(dir.join(name), name.repeat(1000))?;
    }
    std::os::unix::fs::symlink("alpha", dir.join("link"))?;
    let timestamp = backup(&bed);
    let relay = bed.relay()?;
    relay.forget_requests();
    Ok((bed, relay, timestamp))
}

fn start(bed: &Bed, to: &Path) -> Result<Running> {
    bed.spawn(&["restore", "--to", to.to_str().expect("a path")])
}

/// Stops it, and sees that no child of it lives on.
#[track_caller]
fn stop(bed: &Bed, run: Running, signal: Signal) {
    run.signal(signal).expect("a signal");
    let ran = run.wait_timeout(SOON).expect("it ends");
    match signal {
        Signal::SIGKILL => assert_eq!(ran.signal, Some(9), "{ran}"),
        _ => {
            let code = if signal == Signal::SIGINT { 130 } else { 143 };
            assert_eq!(ran.code, Some(code), "{ran}");
            assert!(ran.stderr.contains(signal.as_str()), "{ran}");
        }
    }
    let left = bed.leftovers_after(SOON);
    assert!(left.is_empty(), "{left:#?} after {ran}");
}

/// Names of objects that were fetched whole.
fn fetched(relay: &Relay) -> Vec<String> {
    let requests = relay.requests();
    let whole = requests
        .iter()
        .filter(|r| r.method == "GET" && r.status.is_some_and(|status| status < 300));
    whole
        .filter_map(|r| Some(r.path.split_once("Z/")?.1.to_owned()))
        .collect()
}

/// Whether these files of falkordb came, and have their times, which rclone sets last.
fn came<'a>(bed: &Bed, staged: &Path, mut names: impl Iterator<Item = &'a str>) -> bool {
    let time = |path: &Path| {
        let metadata = fs::metadata(path);
        metadata.and_then(|metadata| metadata.modified()).ok()
    };
    let live = bed.dataset("falkordb");
    names.all(|name| time(&staged.join(name)) == time(&live.join(name)))
}

/// All of falkordb.
fn all_came(bed: &Bed, staged: &Path) -> bool {
    came(bed, staged, FILES.into_iter().chain(["dump.rdb"]))
}

#[test]
fn stopped_while_files_come_a_second_call_fetches_only_the_rest() -> Result<()> {
    for (rclone, signal) in [
        (Rclone::Old, Signal::SIGTERM),
        (Rclone::New, Signal::SIGKILL),
        (Rclone::Old, Signal::SIGKILL),
        (Rclone::New, Signal::SIGINT),
    ] {
        let (bed, relay, timestamp) = stored(rclone)?;
        let to = target(&bed);
        if signal == Signal::SIGTERM {
            fs::create_dir(&to)?;
        }
        let held = relay.rule(Rule::on("GET").path("/last").stall());
        let mut run = start(&bed, &to)?;
        let staged = stage(&to, &timestamp).join("falkordb");
        run.wait_until("all files but one", SOON, |_| {
            relay.hits(held) > 0 && came(&bed, &staged, FILES[..5].iter().copied())
        })?;
        stop(&bed, run, signal);
        match signal {
            Signal::SIGTERM => assert_eq!(names_in(&to), [""; 0]),
            _ => assert!(!to.exists()),
        }
        assert!(staged.is_dir());
        relay.clear();
        relay.forget_requests();
        let ran = restore(&bed, &to, &[&timestamp], 0);
        assert!(ran.stderr.contains("going on from"), "{ran}");
        assert_whole(&bed, &timestamp, &to);
        assert!(!stage(&to, &timestamp).exists());
        let again = fetched(&relay);
        for name in &FILES[..5] {
            assert!(
                !again.iter().any(|path| path == name),
                "{name} was fetched again: {again:?}"
            );
        }
        assert!(again.iter().any(|path| path == "last"), "{again:?}");
    }
    Ok(())
}

#[test]
fn the_datasets_come_side_by_side_none_waits_for_another() -> Result<()> {
    let (bed, relay, timestamp) = stored(Rclone::New)?;
    let to = target(&bed);
    let held = relay.rule(Rule::on("GET").path("/falkordb-").stall());
    let mut run = start(&bed, &to)?;
    let other = stage(&to, &timestamp).join("valkey/dump.rdb");
    run.wait_until("the other dataset", SOON, |_| {
        relay.hits(held) > 0 && other.exists()
    })?;
    stop(&bed, run, Signal::SIGTERM);
    Ok(())
}

#[test]
fn stopped_when_one_of_two_datasets_is_there_it_is_not_fetched_again() -> Result<()> {
    for signal in [Signal::SIGTERM, Signal::SIGKILL] {
        let (bed, relay, timestamp) = stored(Rclone::Old)?;
        let to = target(&bed);
        let held = relay.rule(Rule::on("GET").path("/valkey-").stall());
        let mut run = start(&bed, &to)?;
        let staged = stage(&to, &timestamp).join("falkordb");
        run.wait_until("one of both datasets", SOON, |_| {
            relay.hits(held) > 0 && all_came(&bed, &staged)
        })?;
        stop(&bed, run, signal);
        assert!(!to.exists());
        relay.clear();
        relay.forget_requests();
        restore(&bed, &to, &[], 0);
        assert_whole(&bed, &timestamp, &to);
        assert!(
            fetched(&relay).iter().all(|path| path == "dump.rdb"),
            "{:?}",
            fetched(&relay)
        );
    }
    Ok(())
}

#[test]
fn stopped_while_the_bucket_is_asked_there_is_nothing_to_tidy() -> Result<()> {
    let (bed, relay, timestamp) = stored(Rclone::Old)?;
    let to = target(&bed);
    for rule in [
        Rule::on("GET").query("prefix=").stall(),
        Rule::on("GET").path("Z.json").stall(),
    ] {
        for signal in [Signal::SIGTERM, Signal::SIGHUP, Signal::SIGKILL] {
            let held = relay.rule(rule.clone());
            let mut run = start(&bed, &to)?;
            run.wait_until("the question", SOON, |_| relay.hits(held) > 0)?;
            stop(&bed, run, signal);
            assert!(!to.exists() && !stage(&to, &timestamp).exists());
            relay.clear();
        }
    }
    Ok(())
}

#[test]
fn on_a_mount_point_too_a_second_call_goes_on() -> Result<()> {
    for signal in [Signal::SIGTERM, Signal::SIGKILL] {
        let (bed, relay, timestamp) = stored(Rclone::New)?;
        let to = target(&bed);
        let _mount = Mount::tmpfs(&to)?;
        let held = relay.rule(Rule::on("GET").path("/last").stall());
        let mut run = start(&bed, &to)?;
        let name = format!(".restored.opencode-backup-{timestamp}");
        let staged = to.join(&name).join("falkordb");
        run.wait_until("all files but one", SOON, |_| {
            relay.hits(held) > 0 && came(&bed, &staged, FILES[..5].iter().copied())
        })?;
        stop(&bed, run, signal);
        assert_eq!(names_in(&to), [name.as_str()], "the stage alone");
        relay.clear();
        relay.forget_requests();
        restore(&bed, &to, &[], 0);
        assert_whole(&bed, &timestamp, &to);
        assert!(!fetched(&relay).iter().any(|path| path == "alpha"));
    }
    Ok(())
}

#[test]
fn killed_while_its_parts_move_up_a_second_call_takes_them_back() -> Result<()> {
    let (bed, relay, timestamp) = stored(Rclone::Old)?;
    let to = target(&bed);
    let _mount = Mount::tmpfs(&to)?;
    let held = relay.rule(Rule::on("GET").path("/valkey-").stall());
    let mut run = start(&bed, &to)?;
    let staged = to.join(format!(".restored.opencode-backup-{timestamp}"));
    run.wait_until("one of both datasets", SOON, |_| {
        relay.hits(held) > 0 && all_came(&bed, &staged.join("falkordb"))
    })?;
    stop(&bed, run, Signal::SIGKILL);
    relay.clear();
    // What a kill between two renames leaves, for which no test can wait.
    fs::write(staged.join(".moving"), "")?;
    fs::rename(staged.join("falkordb"), to.join("falkordb"))?;
    relay.forget_requests();
    restore(&bed, &to, &[], 0);
    assert_whole(&bed, &timestamp, &to);
    assert!(fetched(&relay).iter().all(|path| path == "dump.rdb"));
    Ok(())
}

#[test]
fn a_mount_point_that_got_other_contents_in_the_meantime_is_refused() -> Result<()> {
    let (bed, relay, timestamp) = stored(Rclone::Old)?;
    let to = target(&bed);
    let _mount = Mount::tmpfs(&to)?;
    let held = relay.rule(Rule::on("GET").path("/last").stall());
    let mut run = start(&bed, &to)?;
    run.wait_until("the fetch", SOON, |_| relay.hits(held) > 0)?;
    stop(&bed, run, Signal::SIGKILL);
    relay.clear();
    fs::write(to.join("mine"), "mine")?;
    let ran = restore(&bed, &to, &[], 1);
    assert!(
        ran.stderr.contains("is not empty") && ran.stderr.contains("mine"),
        "{ran}"
    );
    fs::remove_file(to.join("mine"))?;
    // A directory with a dataset's name, which no restore has moved there.
    fs::create_dir(to.join("falkordb"))?;
    fs::write(to.join("falkordb/mine"), "mine")?;
    let ran = bed.run(&["restore", "--to", to.to_str().expect("a path")])?;
    assert_ne!(ran.code, Some(0), "{ran}");
    assert_eq!(
        fs::read_to_string(to.join("falkordb/mine"))?,
        "mine",
        "{ran}"
    );
    fs::remove_dir_all(to.join("falkordb"))?;
    restore(&bed, &to, &[], 0);
    assert_whole(&bed, &timestamp, &to);
    Ok(())
}

/// A dataset that takes its time to be checked.
fn with_a_large_file() -> Result<(Bed, String)> {
    let bed = plain(Rclone::New);
    fs::File::create(bed.dataset("falkordb").join("large"))?.set_len(192 << 20)?;
    let timestamp = backup(&bed);
    Ok((bed, timestamp))
}

#[test]
fn stopped_while_it_checks_the_destination_is_as_it_was() -> Result<()> {
    let (bed, timestamp) = with_a_large_file()?;
    for signal in [Signal::SIGTERM, Signal::SIGKILL] {
        let to = bed.scratch().join(format!("restored-{}", signal.as_str()));
        let mut run = start(&bed, &to)?;
        let large = stage(&to, &timestamp).join("falkordb/large");
        let pid = run.pid();
        // The file is there and rclone has gone.
        run.wait_until("the check", SOON, |_| {
            large.exists() && descendants(pid).is_empty()
        })?;
        stop(&bed, run, signal);
        assert!(!to.exists());
        restore(&bed, &to, &[], 0);
        assert_whole(&bed, &timestamp, &to);
    }
    Ok(())
}

/// From the start to the end, at moments that nobody chose: whole or not there, and the last call succeeds.
fn at_any_moment(bed: &Bed, timestamp: &str, to: &Path, is_empty: impl Fn() -> bool) -> Result<()> {
    let began = Instant::now();
    let whole = bed.scratch().join("whole");
    restore(bed, &whole, &[], 0);
    let length = began.elapsed();
    fs::remove_dir_all(&whole)?;
    for step in 1..=10 {
        let run = start(bed, to)?;
        sleep(length * step / 10 * 9 / 10);
        run.kill()?;
        let ran = run.wait_timeout(SOON)?;
        bed.leftovers_after(SOON);
        if !is_empty() {
            assert_whole(bed, timestamp, to);
            for name in DATASETS {
                fs::remove_dir_all(to.join(name))?;
            }
            fs::remove_dir(to).ok();
        }
        assert!(is_empty(), "{ran}");
    }
    restore(bed, to, &[], 0);
    assert_whole(bed, timestamp, to);
    Ok(())
}

#[test]
fn killed_at_any_moment_the_destination_is_absent_or_whole() -> Result<()> {
    let (bed, _relay, timestamp) = stored(Rclone::Old)?;
    let to = target(&bed);
    at_any_moment(&bed, &timestamp, &to, || !to.exists())
}

#[test]
fn a_stage_that_somebody_tampered_with_is_checked_like_any_other() -> Result<()> {
    let (bed, relay, timestamp) = stored(Rclone::Old)?;
    let to = target(&bed);
    let held = relay.rule(Rule::on("GET").path("/last").stall());
    let mut run = start(&bed, &to)?;
    let staged = stage(&to, &timestamp).join("falkordb");
    run.wait_until("all files but one", SOON, |_| {
        relay.hits(held) > 0 && came(&bed, &staged, FILES[..5].iter().copied())
    })?;
    stop(&bed, run, Signal::SIGKILL);
    relay.clear();
    // The same size and time, other contents; a link where a directory belongs, to a place outside.
    let outside = bed.scratch().join("outside");
    fs::create_dir(&outside)?;
    let alpha = staged.join("alpha");
    let time = fs::metadata(&alpha)?.modified()?;
    fs::write(&alpha, "alphX".repeat(1000))?;
    fs::File::options()
        .write(true)
        .open(&alpha)?
        .set_modified(time)?;
    fs::remove_dir_all(staged.join("below"))?;
    std::os::unix::fs::symlink(&outside, staged.join("below"))?;
    fs::remove_file(staged.join("gamma"))?;
    fs::create_dir(staged.join("gamma"))?;
    fs::write(staged.join("stranger"), "x")?;
    restore(&bed, &to, &[], 0);
    assert_whole(&bed, &timestamp, &to);
    assert_eq!(names_in(&outside), [""; 0]);
    Ok(())
}

#[test]
fn what_stands_where_the_stage_belongs_is_not_taken_for_one() -> Result<()> {
    let (bed, _relay, timestamp) = stored(Rclone::Old)?;
    let to = target(&bed);
    let outside = bed.scratch().join("outside");
    fs::create_dir(&outside)?;
    std::os::unix::fs::symlink(&outside, stage(&to, &timestamp))?;
    let ran = restore(&bed, &to, &[], 1);
    assert!(ran.stderr.contains("is in the way: remove it"), "{ran}");
    assert_eq!(names_in(&outside), [""; 0]);
    fs::remove_file(stage(&to, &timestamp))?;
    // Another user's directory, who could change what is in it.
    fs::create_dir(stage(&to, &timestamp))?;
    std::os::unix::fs::chown(stage(&to, &timestamp), Some(4711), Some(4711))?;
    let ran = restore(&bed, &to, &[], 1);
    assert!(ran.stderr.contains("is in the way: remove it"), "{ran}");
    assert!(!to.exists() && names_in(&stage(&to, &timestamp)).is_empty());
    Ok(())
}
