//! Two runs within one second, in one prefix: both saw nothing, both left a mark, and the later one stands.

use std::time::Duration;

use testbed::relay::{Relay, Rule, RuleId};
use testbed::{Bed, Rclone};

use super::{assert_nothing_committed, bed_with};
use crate::support::impatient;

const LIMIT: Duration = Duration::from_secs(60);

/// Holds a run at a request, lets the other run's mark take the place of ours, and lets go.
#[track_caller]
fn overtaken(bed: &Bed, relay: &Relay, held: RuleId, until: impl Fn(&Relay)) {
    let run = bed.spawn(&["run"]).expect("it starts");
    relay.wait_for_hits(held, 1, LIMIT).expect("it is held");
    until(relay);
    let keys = bed.keys().expect("the bucket answers");
    let mark = keys.iter().find(|key| key.ends_with(".started.json"));
    let mark = mark.expect("our mark");
    let mut theirs = bed.json(mark).expect("a mark");
    theirs["nonce"] = "theirs".into();
    bed.s3()
        .put(bed.bucket(), mark, theirs.to_string().as_bytes())
        .expect("put");
    relay.remove(held);
    let ran = run.wait_timeout(LIMIT).expect("it ends");
    assert_nothing_committed(bed, &ran, &["another run has begun within the same second"]);
    // It is theirs: it stays.
    assert_eq!(bed.json(mark).expect("a mark"), theirs, "{ran}");
}

#[test]
fn a_run_whose_mark_was_replaced_sends_nothing() {
    let bed = bed_with(Rclone::Old);
    impatient(&bed);
    let relay = bed.relay().expect("a relay");
    let held = relay.rule(Rule::on("GET").path(".started.json").stall());
    overtaken(&bed, &relay, held, |_| {});
    let keys = bed.keys().expect("the bucket answers");
    let sent = keys
        .iter()
        .filter(|key| !key.starts_with("manifests/") && !key.starts_with("graphiti"));
    assert_eq!(sent.count(), 0, "{keys:?}");
}

/// The mark came late, after a 503 perhaps: when the first dataset had long been verified.
#[test]
fn a_run_whose_mark_was_replaced_during_its_upload_commits_nothing() {
    let bed = bed_with(Rclone::Old);
    impatient(&bed);
    let relay = bed.relay().expect("a relay");
    let held = relay.rule(Rule::on("PUT").path("/valkey-").stall());
    overtaken(&bed, &relay, held, |relay| {
        relay
            .wait_for(LIMIT, |request| {
                let verifies = "delimiter=&max-keys=1000&prefix=falkordb-";
                request.query.contains(verifies) && request.status == Some(200)
            })
            .expect("the other dataset is verified meanwhile");
    });
}
