//! SIGKILL in each stage: we cannot clean up, so the kernel and the next run have to.

use testbed::{Running, Signal};

use super::hold::{Hold, STOP, Stage};

/// Killed, then a run that nobody stops. The lock went with its holder, or that one would exit with 75.
#[track_caller]
fn killed_in(stage: Stage) {
    let mut hold = Hold::new(stage);
    let run = hold.start();
    kill(&hold, run);
    hold.check_the_next_run();
}

#[track_caller]
fn kill(hold: &Hold, run: Running) {
    run.kill().expect("it is running");
    let ran = run.wait_timeout(STOP).expect("it is dead");
    assert_eq!(ran.signal, Some(Signal::SIGKILL as i32), "{ran}");
    assert!(hold.bed.state().is_err(), "it could write no state file");
    hold.check_what_is_left(&ran);
}

#[test]
fn killed_while_the_bucket_is_asked() {
    killed_in(Stage::Question);
}

#[test]
fn killed_while_the_mark_is_stored() {
    killed_in(Stage::Mark);
}

#[test]
fn killed_before_the_snapshot() {
    killed_in(Stage::BeforeSnapshot);
}

#[test]
fn killed_after_the_snapshot() {
    killed_in(Stage::AfterSnapshot);
}

#[test]
fn killed_in_the_middle_of_a_huge_file() {
    killed_in(Stage::Contents);
}

#[test]
fn killed_in_an_upload() {
    killed_in(Stage::Upload);
}

#[test]
fn killed_while_the_listing_is_compared() {
    killed_in(Stage::Verify);
}

#[test]
fn killed_while_the_export_hangs() {
    killed_in(Stage::Export);
}

#[test]
fn killed_before_the_manifest_is_stored() {
    killed_in(Stage::Commit);
}

#[test]
fn killed_after_the_manifest_is_stored() {
    killed_in(Stage::ReadBack);
}

#[test]
fn killed_before_the_mark_is_withdrawn() {
    killed_in(Stage::Withdraw);
}

#[test]
fn killed_in_retention() {
    killed_in(Stage::Retention);
}

#[test]
fn the_death_signal_reaches_children_that_gave_up_capabilities() {
    let mut hold = Hold::new(Stage::Export);
    let run = hold.start_cmd(|bed| {
        Running::start(&mut bed.as_user(&["run"]).expect("a command")).expect("the binary starts")
    });
    kill(&hold, run);
}
