//! SIGTERM and SIGINT in each stage.

use std::fs::File;
use std::time::Duration;

use testbed::{Bed, Signal};

use super::hold::{Hold, STOP, Stage};
use crate::support::{bed, wrap};

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

/// A dataset that takes hours to read, and an upload that is refused at once.
fn refused_upload_beside_a_long_read() -> Bed {
    let bed = bed();
    let big = File::create(bed.dataset("valkey").join("big.bin")).expect("a file");
    // Sparse: it takes no room on the disk.
    big.set_len(1 << 42).expect("a size");
    let refuse = "case \" $*\" in *' sync '*/valkey-*) : > refused; echo 'AccessDenied: status code: 403' >&2; exit 1;; esac";
    let refuse = refuse.replace("refused", &bed.scratch().join("refused").to_string_lossy());
    wrap(&bed, "rclone", &format!("{refuse}\nexec \"$REAL\" \"$@\""));
    bed
}

#[test]
fn a_refused_upload_is_reported_before_its_dataset_is_read_to_the_end() {
    let bed = refused_upload_beside_a_long_read();
    let ran = bed.spawn(&["run"]).expect("started");
    let ran = ran.wait_timeout(STOP * 6).expect("it ends by itself");
    assert_eq!(ran.code, Some(5), "{ran}");
    assert!(ran.stderr.contains("403"), "{ran}");
}

#[test]
fn an_upload_that_failed_before_the_signal_is_a_failure_and_no_interruption() {
    let bed = refused_upload_beside_a_long_read();
    bed.export_mode("hang").expect("a mode");
    let run = bed.spawn(&["run"]).expect("started");
    while !bed.scratch().join("refused").exists() {
        std::thread::sleep(Duration::from_millis(20));
    }
    std::thread::sleep(Duration::from_secs(1));
    run.signal(Signal::SIGTERM).expect("it is running");
    let ran = run.wait_timeout(STOP).expect("it stops");
    assert_eq!(ran.code, Some(5), "{ran}");
    assert!(ran.stderr.contains("403"), "{ran}");
}

#[test]
fn a_file_list_that_was_refused_before_the_signal_is_a_failure_and_no_interruption() {
    let bed = bed();
    // The first attempt is refused, the second hangs.
    let refuse = "case \" $*\" in *' rcat '*.files.json*) cat > /dev/null; [ ! -e refused ] || { : > hung; exec sleep 600; }; : > refused; echo 'AccessDenied: status code: 403' >&2; exit 1;; esac";
    let at = |name: &str| bed.scratch().join(name).to_string_lossy().into_owned();
    let refuse = refuse
        .replace("refused", &at("refused"))
        .replace("hung", &at("hung"));
    wrap(&bed, "rclone", &format!("{refuse}\nexec \"$REAL\" \"$@\""));
    let run = bed.spawn(&["run"]).expect("started");
    while !bed.scratch().join("hung").exists() {
        std::thread::sleep(Duration::from_millis(20));
    }
    run.signal(Signal::SIGTERM).expect("it is running");
    let ran = run.wait_timeout(STOP).expect("it stops");
    assert_eq!(ran.code, Some(5), "{ran}");
    assert!(ran.stderr.contains("403"), "{ran}");
}
