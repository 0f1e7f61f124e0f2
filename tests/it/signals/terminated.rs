//! SIGTERM and SIGINT in each stage.

use testbed::Signal;

use super::hold::{Hold, STOP, Stage};

/// Both signals, one run each, then a run that nobody stops.
#[track_caller]
fn stopped_in(stage: Stage) {
    let mut hold = Hold::new(stage);
    let mut all = Vec::new();
    for (signal, code) in [(Signal::SIGTERM, 143), (Signal::SIGINT, 130)] {
        let run = hold.start();
        run.signal(signal).expect("it is running");
        let ran = run.wait_timeout(STOP).expect("it stops");
        hold.check_the_verdict(&ran, signal, code);
        hold.check_what_is_left(&ran);
        all.push((hold.failed_step(), ran));
    }
    hold.check_the_next_run();
    for (step, ran) in all {
        assert!(
            stage.names().contains(&step.as_str()),
            "stage {step}: {ran}"
        );
    }
}

#[test]
fn a_stop_while_the_bucket_is_asked_touches_nothing() {
    stopped_in(Stage::Question);
}

#[test]
fn a_stop_while_the_mark_is_stored_takes_no_snapshot() {
    stopped_in(Stage::Mark);
}

#[test]
fn a_stop_before_the_snapshot_leaves_none() {
    stopped_in(Stage::BeforeSnapshot);
}

#[test]
fn a_stop_after_the_snapshot_keeps_it() {
    stopped_in(Stage::AfterSnapshot);
}

#[test]
fn a_stop_in_the_middle_of_a_huge_file_is_heeded_at_once() {
    stopped_in(Stage::Contents);
}

#[test]
fn a_stop_in_an_upload_keeps_the_snapshot_and_commits_nothing() {
    stopped_in(Stage::Upload);
}

#[test]
fn a_stop_while_the_listing_is_compared_commits_nothing() {
    stopped_in(Stage::Verify);
}

#[test]
fn a_stop_of_an_export_that_hangs_ends_the_script_and_commits_nothing() {
    stopped_in(Stage::Export);
}

#[test]
fn a_stop_before_the_manifest_is_stored_commits_nothing() {
    stopped_in(Stage::Commit);
}

#[test]
fn a_stop_after_the_manifest_is_stored_leaves_a_complete_backup() {
    stopped_in(Stage::ReadBack);
}

#[test]
fn a_stop_before_the_mark_is_withdrawn_leaves_a_complete_backup() {
    stopped_in(Stage::Withdraw);
}

#[test]
fn a_stop_in_retention_leaves_a_complete_backup_and_the_old_snapshot() {
    stopped_in(Stage::Retention);
}
