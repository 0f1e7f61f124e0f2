//! `prune`: retention alone, with a reason on every row.

use std::collections::{BTreeMap, BTreeSet};

use super::{print, print_json, unmet};
use crate::backup::same_clock;
use crate::bucket::catalog::Remote;
use crate::bucket::names::Mark;
use crate::cli::Prune;
use crate::exit::{Exit, Failure};
use crate::host::Host;
use crate::lock::{self, LockError};
use crate::preflight::{self, Ready};
use crate::retention::bucket::Expiry;
use crate::retention::snapshots as local;
use crate::retention::{Policy, Pruned, Row};
use crate::snapshots;
use crate::step::{Label, Step};
use crate::timestamp::Timestamp;

/// Deletes what retention says; in the bucket, too, with `--remote`.
pub(super) fn prune(host: &Host, args: &Prune, now: Timestamp) -> Result<Exit, Failure> {
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
    let pruned = carry_out(host, args, &ready, now).map_err(|problem| {
        let what = format!("nothing was deleted: {problem:#}");
        Failure::new(Exit::Retention, what).or_interrupted(&host.interrupt, "nothing was deleted")
    })?;
    for warning in &pruned.warnings {
        log::warn!("{warning}");
    }
    let exit = match (host.interrupt.signal(), pruned.failed.is_empty()) {
        (Some(signal), false) => Exit::of_signal(signal),
        (None, false) => Exit::Retention,
        (_, true) => Exit::Done,
    };
    match args.json.json {
        true => print_json(exit, &pruned)?,
        false => print(exit, &table(&pruned, args.dry_run))?,
    };
    match pruned.failed.is_empty() {
        true => Ok(exit),
        false => Err(Failure {
            exit,
            step: Some(Step::Retention),
            messages: pruned.failed,
        }),
    }
}

fn carry_out(host: &Host, args: &Prune, ready: &Ready, now: Timestamp) -> anyhow::Result<Pruned> {
    let label = || Label::new(Step::Retention);
    let remote = Remote::ask(&ready.rclone, &host.config, 0)?;
    same_clock(remote.clock, now)?;
    let subvolume = ready.btrfs.show(label(), &host.config.subvolume)?;
    let mut adopted = BTreeMap::new();
    if args.adopt && args.dry_run {
        adopted = snapshots::adoptable(&host.config, &ready.btrfs, &subvolume)?;
        for name in adopted.keys() {
            log::info!("{name} would be made read-only, and ours");
        }
    } else if args.adopt {
        for path in snapshots::adopt(&host.config, &ready.btrfs, &subvolume)? {
            log::info!("{} is read-only now, and ours", path.display());
        }
    }
    let committed: BTreeSet<Timestamp> = remote
        .marks
        .iter()
        .filter(|(_, marks)| marks.contains(&Mark::Complete))
        .map(|(timestamp, _)| *timestamp)
        .collect();
    let rows = local::plan_local(host, &ready.btrfs, &subvolume, &committed, &adopted, now)?;
    let mut pruned = match args.dry_run {
        true => Pruned {
            rows,
            ..Pruned::default()
        },
        false => local::local(host, &ready.btrfs, &subvolume, rows),
    };
    let Some(policy) = Policy::remote(host.config.retention).filter(|_| args.remote) else {
        return Ok(pruned);
    };
    match Expiry::look(host, &ready.rclone, &remote, policy, now) {
        Ok((expiry, rows)) => {
            if !args.dry_run {
                let (deleted, failed) = expiry.carry_out(&rows);
                pruned.remote_deleted = deleted;
                pruned.failed.extend(failed);
            }
            pruned.remote_rows = rows;
        }
        // What went here has gone: the rows say so.
        Err(error) => pruned
            .failed
            .push(format!("nothing was deleted in the bucket: {error:#}")),
    }
    Ok(pruned)
}

fn table(pruned: &Pruned, dry_run: bool) -> String {
    let going = if dry_run { "would go" } else { "gone" };
    let row = |place: &str, row: &Row| {
        let fate = match row.delete {
            Some(_)
                if pruned
                    .failed
                    .iter()
                    .any(|failed| failed.starts_with(&row.name)) =>
            {
                "STAYS"
            }
            Some(_) => going,
            None => "kept",
        };
        format!("{fate:8}  {place:6}  {:32}  {}", row.name, row.reason)
    };
    let local = pruned.rows.iter().map(|one| row("here", one));
    let lines: Vec<String> = local
        .chain(pruned.remote_rows.iter().map(|one| row("bucket", one)))
        .collect();
    if lines.is_empty() {
        "nothing to prune".to_owned()
    } else {
        lines.join("\n")
    }
}
