//! Two runs within one second, in one prefix: each leaves a mark of its own and looks then, and who sees another's
//! mark steps back.

use std::time::Duration;

use testbed::relay::{Relay, Rule};
use testbed::{Bed, Ran, Rclone};

use super::{bed_with, timestamp};
use crate::support::{bed, expect, impatient, marks, wrap};

const LIMIT: Duration = Duration::from_secs(60);

/// Another host's mark of the same second.
const THEIRS: &str = "0123456789abcdef";

/// Waits until a run has left its mark, which is held on its way to the bucket or back; its timestamp.
fn timestamp_of_a_mark(relay: &Relay) -> String {
    let mark = relay
        .wait_for(LIMIT, |request| {
            request.method == "PUT" && request.path.ends_with(".started.json")
        })
        .expect("a mark");
    let name = mark.path.rsplit('/').next().unwrap_or_default();
    name.split('.').next().unwrap_or_default().to_owned()
}

/// A run that meets another host's mark while this rule holds it.
struct Met {
    bed: Bed,
    ran: Ran,
    timestamp: String,
    theirs: String,
    /// Our marks by then.
    ours: Vec<String>,
}

fn meets(at: Rule) -> Met {
    let bed = bed_with(Rclone::Old);
    impatient(&bed);
    let relay = bed.relay().expect("a relay");
    let held = relay.rule(at);
    let run = bed.spawn(&["run"]).expect("it starts");
    relay.wait_for_hits(held, 1, LIMIT).expect("it is held");
    let timestamp = timestamp_of_a_mark(&relay);
    let ours = marks(&bed, &timestamp);
    let theirs = format!("manifests/{timestamp}.{THEIRS}.started.json");
    bed.s3().put(bed.bucket(), &theirs, b"theirs").expect("put");
    relay.remove(held);
    let ran = run.wait_timeout(LIMIT).expect("it ends");
    Met {
        bed,
        ran,
        timestamp,
        theirs,
        ours,
    }
}

#[test]
fn of_two_runs_in_one_second_the_one_that_sees_the_other_steps_back_and_takes_its_mark_with_it() {
    let met = meets(Rule::on("GET").query("prefix=manifests").stall());
    let (bed, ran, theirs) = (&met.bed, &met.ran, met.theirs.as_str());
    assert_eq!(met.ours.len(), 1, "left before it looks");
    assert_eq!(ran.code, Some(3), "{ran}");
    assert!(
        ran.stderr.contains(&format!("already holds {theirs}")),
        "{ran}"
    );
    assert_eq!(bed.keys().expect("the bucket answers"), [theirs], "{ran}");
    assert_eq!(bed.snapshots().expect("a listing"), [""; 0], "{ran}");
}

/// It has looked by then, and the other one sees its mark.
#[test]
fn a_mark_that_comes_after_we_have_looked_stops_the_other_run_and_not_this_one() {
    let met = meets(Rule::on("PUT").path("/valkey-").stall());
    let (bed, ran, timestamp) = (&met.bed, &met.ran, met.timestamp.as_str());
    assert_eq!(met.ours.len(), 1, "the other one sees it");
    assert_eq!(ran.code, Some(0), "{ran}");
    assert_eq!(bed.committed().expect("keys"), [timestamp]);
    assert_eq!(marks(bed, timestamp), [met.theirs], "ours is gone, {ran}");
}

#[test]
fn a_mark_that_is_stored_and_not_listed_closes_the_bucket() {
    let bed = bed_with(Rclone::Old);
    impatient(&bed);
    let relay = bed.relay().expect("a relay");
    let held = relay.rule(Rule::on("GET").query("prefix=manifests").stall());
    let run = bed.spawn(&["run"]).expect("it starts");
    relay.wait_for_hits(held, 1, LIMIT).expect("it is held");
    let timestamp = timestamp_of_a_mark(&relay);
    for mark in marks(&bed, &timestamp) {
        bed.s3().delete(bed.bucket(), &mark).expect("deleted");
    }
    relay.remove(held);
    // It tries once more after the snapshot, and that mark stays.
    let ran = run.wait_timeout(LIMIT).expect("it ends");
    assert!(
        ran.stderr.contains("was stored and is not in the listing"),
        "{ran}"
    );
    assert_eq!(ran.code, Some(0), "{ran}");
    assert_eq!(bed.committed().expect("keys"), [timestamp.as_str()]);
}

/// The server has the mark, and rclone did not hear of it.
#[test]
fn a_mark_whose_answer_was_lost_is_no_conflict() {
    let bed = bed();
    let lose = "case \" $*\" in *' rcat '*started.json*) \"$REAL\" \"$@\"; exit 1;; esac";
    wrap(&bed, "rclone", &format!("{lose}\nexec \"$REAL\" \"$@\""));
    let ran = expect(&bed, &["run"], 0);
    let timestamp = timestamp(&bed);
    assert_eq!(
        bed.committed().expect("keys"),
        [timestamp.as_str()],
        "{ran}"
    );
    assert_eq!(marks(&bed, &timestamp), [""; 0], "{ran}");
}
