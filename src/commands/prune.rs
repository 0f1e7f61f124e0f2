//! `prune`: retention alone, with a reason on every row.

use super::{print, print_json, unmet};
use crate::bucket::catalog::Remote;
use crate::cli::Prune as Args;
use crate::exit::{Exit, Failure, StepError};
use crate::host::Host;
use crate::lock::{self, LockError};
use crate::preflight::{self, Ready};
use crate::retention::{Decision, Policy, Prune, Pruned, Row};
use crate::step::{Label, Step};
use crate::timestamp::Timestamp;

/// Deletes what retention says; in the bucket, too, with `--remote`.
pub(super) fn prune(host: &Host, args: &Args, now: Timestamp) -> Result<Exit, Failure> {
    if args.remote && Policy::remote(host.config.retention).is_none() {
        return Err(Failure::new(
            Exit::Usage,
            "--remote needs [retention.remote], which is not configured: without it the bucket is never pruned, and nothing was done",
        ));
    }
    let (checks, ready) = preflight::prepare(host, false);
    let ready = ready.ok_or_else(|| unmet(&checks))?;
    let _lock = match lock::exclusive(&host.config.snapshot_dir) {
        Ok(lock) => lock,
        Err(LockError::Held) => {
            return Err(Failure::new(
                Exit::Locked,
                "a run is under way, which prunes by itself: nothing was done",
            ));
        }
        Err(LockError::Failed(problem)) => {
            let dir = host.config.snapshot_dir.display();
            let what = format!("{dir} cannot be locked: {problem}");
            return Err(Failure::new(Exit::Unmet, what));
        }
    };
    let pruned = carry_out(host, args, &ready, now).map_err(failure)?;
    for warning in &pruned.warnings {
        log::warn!("{warning}");
    }
    let failures = pruned.failures();
    let exit = match (host.interrupt.signal(), failures.is_empty()) {
        (_, true) => Exit::Done,
        (Some(signal), _) if pruned.errors().all(StepError::is_interrupted) => {
            Exit::of_signal(signal)
        }
        (_, false) => Exit::Retention,
    };
    if args.json.json {
        print_json(exit, &pruned)?
    } else {
        print(exit, &table(&pruned, args.dry_run))?
    };
    if failures.is_empty() {
        Ok(exit)
    } else {
        Err(Failure {
            exit,
            step: Some(Step::Retention),
            messages: failures,
        })
    }
}

fn failure(error: StepError) -> Failure {
    let exit = match error {
        StepError::Interrupted(signal) => Exit::of_signal(signal),
        StepError::Failed(_) => Exit::Retention,
    };
    Failure::new(exit, format_args!("nothing was deleted: {error}"))
}

fn carry_out(host: &Host, args: &Args, ready: &Ready, now: Timestamp) -> Result<Pruned, StepError> {
    let label = Label::new(Step::Retention);
    let pruned = Prune {
        host,
        btrfs: &ready.btrfs,
        rclone: &ready.rclone,
        remote: &Remote::ask(&ready.rclone, &host.config, 0)?,
        subvolume: &ready.btrfs.show(label, &host.config.subvolume)?,
        now,
        bucket: args.remote,
        dry_run: args.dry_run,
    }
    .run();
    Ok(pruned?)
}

fn table(pruned: &Pruned, dry_run: bool) -> String {
    let row = |place: &str, row: &Row| {
        let fate = match (&row.decision, &row.error) {
            (Decision::Keep(_), _) => "kept",
            (Decision::Delete { .. }, Some(_)) => "NOT DELETED",
            (Decision::Delete { .. }, None) if dry_run => "would be deleted",
            (Decision::Delete { .. }, None) => "deleted",
        };
        format!("{place:6}  {:32}  {fate}: {}", row.name, row.decision)
    };
    let snapshots = pruned.snapshots.rows.iter().map(|one| row("here", one));
    let backups = pruned.bucket.rows.iter().map(|one| row("bucket", one));
    let lines: Vec<String> = snapshots.chain(backups).collect();
    if lines.is_empty() {
        "nothing to prune".to_owned()
    } else {
        lines.join("\n")
    }
}
