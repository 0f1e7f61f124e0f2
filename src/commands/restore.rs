//! `restore`: a backup back into a directory of its own.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use log::{info, warn};

use super::{print, print_json, unmet};
use crate::bucket::select::{SelectedBackup, Selector};
use crate::cli::{From, Restore};
use crate::exit::{Exit, Failure};
use crate::host::Host;
use crate::lock::{self, LockError};
use crate::preflight;
use crate::restore::{self, DatasetRestore, Destination, RestoreError};
use crate::snapshots::{self, Foreign, Ownership, SnapshotName};
use crate::step::{Label, Step};
use crate::timestamp::Timestamp;
use crate::tools::rclone::Rclone;
use crate::ui::shown;
use crate::ui::{Bytes, counted};

pub(super) fn restore(host: &Host, args: &Restore, now: Timestamp) -> Result<Exit, Failure> {
    match args.from {
        From::Bucket => from_bucket(host, args, now),
        From::Snapshot => from_snapshot(host, args, now),
    }
}

fn from_bucket(host: &Host, args: &Restore, now: Timestamp) -> Result<Exit, Failure> {
    let rclone = preflight::rclone(host).map_err(|checks| unmet(&checks))?;
    let refuse = |problem: anyhow::Error| refused(host, &problem);
    let selected = SelectedBackup::ask(args.which, &rclone, &host.config, now).map_err(refuse)?;
    let timestamp = selected.timestamp;
    let destination = Destination::new(&args.to, timestamp, &host.config).map_err(refuse)?;
    let backup = selected
        .read(Step::Restore, &rclone, &host.config)
        .map_err(|problem| ended(host, &problem.into(), &destination))?;
    if backup.summary.head.host != host.name {
        warn!(
            "{timestamp} is a backup of the host {}, and this is {}",
            shown(backup.summary.head.host.as_bytes()),
            host.name
        );
    }
    let parts = restore::parts_of(backup, &args.dataset, timestamp).map_err(refuse)?;
    carry_out(host, Some(&rclone), args, timestamp, &parts, &destination)
}

fn from_snapshot(host: &Host, args: &Restore, now: Timestamp) -> Result<Exit, Failure> {
    // Shared: other restores may read too, but nothing prunes what we read.
    let _lock = match lock::shared(&host.config.snapshot_dir) {
        Ok(lock) => lock,
        Err(LockError::Held) => {
            return Err(Failure::new(
                Exit::Locked,
                "a run is under way and may prune what would be read: wait for its end, or restore from the bucket",
            ));
        }
        Err(LockError::Failed(problem)) => {
            let dir = host.config.snapshot_dir.display();
            let what =
                format!("{dir} (snapshot_dir in the configuration) cannot be locked: {problem}");
            return Err(Failure::new(Exit::Unmet, what));
        }
    };
    let refuse = |problem: anyhow::Error| refused(host, &problem);
    let timestamp = which_snapshot(host, args.which, now).map_err(refuse)?;
    let snapshot =
        SnapshotName::of(&host.config.subvolume, timestamp).path(&host.config.snapshot_dir);
    let destination = Destination::new(&args.to, timestamp, &host.config).map_err(refuse)?;
    let parts = restore::parts_of_snapshot(host, &snapshot, &args.dataset).map_err(refuse)?;
    carry_out(host, None, args, timestamp, &parts, &destination)
}

/// The newest snapshot that is ours, or the named one. Snapshots from the future are ignored. An entry that is not ours
/// is refused; without Btrfs, only its type is checked.
fn which_snapshot(host: &Host, which: Selector, now: Timestamp) -> anyhow::Result<Timestamp> {
    let asked = preflight::btrfs(host).and_then(|btrfs| {
        let subvolume = btrfs
            .show(Label::new(Step::Restore), &host.config.subvolume)
            .ok()?;
        snapshots::candidates(&host.config, &btrfs, &subvolume).ok()
    });
    let ownership: BTreeMap<Timestamp, Result<(), Foreign>> = match asked {
        Some(candidates) => candidates
            .into_iter()
            .map(|one| match one.ownership {
                Ownership::Ours => (one.timestamp, Ok(())),
                Ownership::Foreign(why) => (one.timestamp, Err(why)),
            })
            .collect(),
        None => snapshots::named(&host.config)?
            .into_iter()
            .map(|(name, timestamp)| {
                let looks = snapshots::looks_like_one(&host.config.snapshot_dir.join(name));
                (timestamp, looks)
            })
            .collect(),
    };
    let dir = host.config.snapshot_dir.display();
    match which {
        Selector::At(timestamp) => match ownership.get(&timestamp) {
            Some(Ok(())) => Ok(timestamp),
            Some(Err(why)) => bail!("the snapshot of {timestamp} in {dir} is not ours: {why}"),
            None => bail!(
                "{dir} holds no {}; `opencode-backup list` shows those that there are",
                SnapshotName::of(&host.config.subvolume, timestamp)
            ),
        },
        Selector::Latest => ownership
            .range(..=now)
            .rfind(|(_, ownership)| ownership.is_ok())
            .map(|(timestamp, _)| *timestamp)
            .with_context(|| format!("{dir} holds no snapshot")),
    }
}

fn carry_out(
    host: &Host,
    rclone: Option<&Rclone>,
    args: &Restore,
    timestamp: Timestamp,
    parts: &[DatasetRestore],
    destination: &Destination,
) -> Result<Exit, Failure> {
    let restored = restore::restore(host, rclone, parts, destination)
        .map_err(|error| ended(host, &error, destination))?;
    if restored.unowned > 0 {
        warn!(
            "{} entries have another owner than in the backup, since only root may set owners: chown them before the service reads them",
            restored.unowned
        );
    }
    info!(
        "{timestamp} is restored: {}, {} in {}",
        counted(restored.files, "file"),
        Bytes(restored.bytes),
        destination.path.display()
    );
    if !args.json.json {
        let commands = restore::handover(host, timestamp, parts, destination);
        return print(Exit::Done, &commands);
    }
    print_json(
        Exit::Done,
        &serde_json::json!({
            "timestamp": timestamp,
            "to": destination.path.to_string_lossy(),
            "datasets": parts.iter().map(|part| part.name.as_str()).collect::<Vec<_>>(),
            "files": restored.files,
            "bytes": restored.bytes,
            "owners_not_set": restored.unowned,
        }),
    )
}

fn refused(host: &Host, problem: &anyhow::Error) -> Failure {
    let what = format!("nothing was restored: {problem:#}");
    Failure::new(Exit::Unmet, what).or_interrupted(&host.interrupt, "nothing was restored")
}

fn ended(host: &Host, error: &RestoreError, destination: &Destination) -> Failure {
    let (path, stage) = (destination.path.display(), destination.stage.display());
    let left = match (destination.is_half_placed(), destination.resumes()) {
        (true, _) => {
            format!(
                "{path} holds a part of it, and a second call goes on from there and from {stage}"
            )
        }
        (false, true) => {
            format!("{path} is as it was, and a second call goes on from {stage}")
        }
        (false, false) => format!("{path} is as it was"),
    };
    let failure = match error {
        RestoreError::Difference(what) => Failure::new(
            Exit::Difference,
            format_args!(
                "nothing was put in place, since what is stored is not what the manifest says: {what}; {left}"
            ),
        ),
        RestoreError::Other(problem) => {
            let nothing = if destination.is_half_placed() {
                "it was not put in place"
            } else {
                "nothing was put in place"
            };
            Failure::new(
                Exit::Unexpected,
                format_args!("{nothing}: {problem:#}; {left}"),
            )
        }
    };
    match error {
        // A difference that was found before a signal stays one.
        RestoreError::Difference(_) => failure,
        RestoreError::Other(_) => failure.or_interrupted(&host.interrupt, &left),
    }
}
