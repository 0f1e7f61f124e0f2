//! A deletion that does not come to its end leaves an incomplete backup that is known to be ours, and the next
//! one finishes it.

use anyhow::Result;
use testbed::relay::{Relay, Rule};
use testbed::{Bed, Rclone, Signal};

use super::{keys_with, line, listed, prune, remote};
use crate::restore::by_hand::{export_of, put, this_host};
use crate::restore::{SOON, plain};
use crate::support::{days_ago, expect, old_snapshot, wrap};

/// The requests of a deletion, in their order: what the rule holds, and whether the manifest has gone by then.
fn steps(old: &str) -> Vec<(&'static str, Rule, Rule, bool)> {
    let of = |method: &str, path: String, gone: bool, name| {
        let rule = || Rule::on(method).path(&path);
        (name, rule().status(403), rule().stall(), gone)
    };
    vec![
        of(
            "PUT",
            format!("manifests/{old}.started.json"),
            false,
            "the mark",
        ),
        of(
            "DELETE",
            format!("manifests/{old}.json"),
            false,
            "the manifest",
        ),
        of(
            "DELETE",
            format!("/falkordb-{old}"),
            true,
            "the first dataset",
        ),
        of(
            "DELETE",
            format!("/valkey-{old}"),
            true,
            "the second dataset",
        ),
        of("DELETE", export_of("", old), true, "the export"),
        of(
            "DELETE",
            format!("manifests/{old}.started.json"),
            true,
            "the mark again",
        ),
    ]
}

/// A backup that is to go, one that goes too, and one that stays.
fn filled() -> Result<(Bed, Relay, String, String)> {
    let bed = remote();
    let (old, older) = (days_ago(100), days_ago(200));
    for timestamp in [&days_ago(1), &old, &older] {
        put(&bed, "", timestamp, &this_host());
    }
    let relay = bed.relay()?;
    Ok((bed, relay, old, older))
}

/// What looks complete is so, and is found to be so; what is not does not.
#[track_caller]
fn assert_honest(bed: &Bed, old: &str, manifest_gone: bool) {
    let state = listed(bed, old);
    let keys = keys_with(bed, old);
    if manifest_gone {
        assert!(!keys.contains(&format!("manifests/{old}.json")), "{keys:?}");
        assert_eq!(state.as_deref(), Some("incomplete"), "{keys:?}");
        assert!(
            keys.contains(&format!("manifests/{old}.started.json")),
            "known to be ours: {keys:?}"
        );
        let ran = expect(bed, &["verify", old], 1);
        assert!(ran.stderr.contains("no backup"), "{ran}");
        let mark = bed
            .json(&format!("manifests/{old}.started.json"))
            .expect("a mark");
        assert_eq!(
            mark["prefixes"].as_array().map(Vec::len),
            Some(2),
            "{mark:#}"
        );
        assert_eq!(mark["export"], export_of("", old), "{mark:#}");
    } else {
        assert_eq!(state.as_deref(), Some("complete"), "{keys:?}");
        expect(bed, &["verify", old], 0);
    }
}

#[test]
fn refused_at_any_step_it_says_so_goes_on_with_the_others_and_can_be_finished() -> Result<()> {
    for step in 0..6 {
        let (bed, relay, old, older) = filled()?;
        let (name, refuse, _, gone) = steps(&old).swap_remove(step);
        let rule = relay.rule(refuse);
        let ran = prune(&bed, &["--remote"], 7);
        assert!(relay.hits(rule) > 0, "{name}: {ran}");
        assert!(
            ran.stderr.contains(&format!("{old} in the bucket")),
            "{name}: {ran}"
        );
        let row = ran.stdout.lines().find(|line| line.contains(&old));
        assert!(
            row.is_some_and(|row| row.contains("NOT DELETED: ")),
            "{name}: {ran}"
        );
        assert_eq!(keys_with(&bed, &older), [""; 0], "{name}: {ran}");
        relay.clear();
        assert_honest(&bed, &old, gone);
        let ran = prune(&bed, &["--remote"], 0);
        assert_eq!(keys_with(&bed, &old), [""; 0], "{name}: {ran}");
        assert_eq!(bed.committed()?.len(), 1);
    }
    Ok(())
}

#[test]
fn killed_at_any_step_the_next_run_finishes_it() -> Result<()> {
    for (step, signal) in (0..6).zip([Signal::SIGKILL, Signal::SIGTERM].into_iter().cycle()) {
        let (bed, relay, old, _) = filled()?;
        let (name, _, stall, gone) = steps(&old).swap_remove(step);
        let rule = relay.rule(stall);
        let mut pruning = bed.spawn(&["prune", "--remote"])?;
        pruning.wait_until(name, SOON, |_| relay.hits(rule) > 0)?;
        pruning.signal(signal)?;
        let ran = pruning.wait_timeout(SOON)?;
        match signal {
            Signal::SIGKILL => assert_eq!(ran.signal, Some(9), "{ran}"),
            _ => assert_eq!(ran.code, Some(143), "{ran}"),
        }
        assert_eq!(bed.leftovers_after(SOON), [""; 0], "{name}");
        relay.clear();
        assert_honest(&bed, &old, gone);
        let ran = expect(&bed, &["run"], 0);
        assert_eq!(keys_with(&bed, &old), [""; 0], "{name}: {ran}");
    }
    Ok(())
}

/// A run says so in its verdict, and with the code that retention has.
#[test]
fn a_key_that_may_not_delete_loses_no_backup() -> Result<()> {
    let (bed, relay, old, older) = filled()?;
    relay.rule(Rule::on("DELETE").path("/falkordb-").status(403));
    let ran = expect(&bed, &["run"], 7);
    let state = bed.state()?;
    assert_eq!(state["failed_step"], "retention", "{state:#}");
    let verdict = state["verdict"].as_str().unwrap_or_default();
    assert!(
        verdict.contains(&old) && verdict.contains("in the bucket"),
        "{verdict}"
    );
    assert_eq!(
        bed.committed()?.len(),
        2,
        "the newest by hand, and the run: {ran}"
    );
    assert!(!keys_with(&bed, &older).is_empty());
    Ok(())
}

#[test]
fn what_a_stop_left_standing_is_not_called_gone() -> Result<()> {
    let bed = plain(Rclone::Old);
    bed.set("retention.min_keep", 1)?;
    let newest = old_snapshot(&bed, 1);
    let old = [40, 50, 60].map(|days| old_snapshot(&bed, days));
    let held = bed.scratch().join("held");
    let body = format!(
        "case \"$*\" in *'subvolume delete'*) touch '{0}'; exec sleep 60;; esac; exec \"$REAL\" \"$@\"",
        held.display()
    );
    wrap(&bed, "btrfs", &body);
    let mut run = bed.spawn(&["prune"])?;
    run.wait_until("a deletion", SOON, |_| held.exists())?;
    run.signal(Signal::SIGTERM)?;
    let ran = run.wait_timeout(SOON)?;
    assert_eq!(ran.code, Some(143), "{ran}");
    for name in &old {
        assert!(line(&ran, name).contains("NOT DELETED: "), "{ran}");
    }
    assert!(line(&ran, &newest).contains("kept: "), "{ran}");
    assert_eq!(bed.snapshots()?.len(), 4, "{ran}");
    Ok(())
}
