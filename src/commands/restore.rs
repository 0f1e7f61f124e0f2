//! `restore`: a backup back into a directory of its own.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use log::{error, info, warn};

use super::{complain, print, print_json};
use crate::bucket::select::{SelectedBackup, Selector};
use crate::cli::{From, Restore};
use crate::exit::Exit;
use crate::host::Host;
use crate::lock::{self, LockError};
use crate::preflight;
use crate::restore::{self, DatasetRestore, Destination, Failure};
use crate::retention::Ownership;
use crate::snapshots;
use crate::snapshots::SnapshotName;
use crate::step::{Label, Step};
use crate::timestamp::Timestamp;
use crate::tools::rclone::Rclone;
use crate::ui::shown;
use crate::ui::{Bytes, counted};

pub(super) fn restore(host: &Host, args: &Restore, now: Timestamp) -> Exit {
    match args.from {
        From::Bucket => from_bucket(host, args, now),
        From::Snapshot => from_snapshot(host, args, now),
    }
}

fn from_bucket(host: &Host, args: &Restore, now: Timestamp) -> Exit {
    let rclone = match preflight::rclone(host) {
        Ok(rclone) => rclone,
        Err(unmet) => {
            complain(&unmet);
            return Exit::Unmet;
        }
    };
    let chosen = match SelectedBackup::ask(args.which, &rclone, &host.config, now) {
        Ok(chosen) => chosen,
        Err(problem) => return refused(host, &problem),
    };
    let destination = match Destination::new(&args.to, chosen.timestamp, &host.config) {
        Ok(destination) => destination,
        Err(problem) => return refused(host, &problem),
    };
    let manifest = match chosen.manifest(Step::Restore, &rclone, &host.config) {
        Ok(manifest) => manifest,
        Err(problem) => return ended(host, Failure::Other(problem), &destination),
    };
    if manifest.head.host != host.name {
        warn!(
            "{} is a backup of the host {}, and this is {}",
            chosen.timestamp,
            shown(manifest.head.host.as_bytes()),
            host.name
        );
    }
    let parts = match restore::parts_of(manifest, &args.dataset, chosen.timestamp) {
        Ok(parts) => parts,
        Err(problem) => return refused(host, &problem),
    };
    carry_out(
        host,
        Some(&rclone),
        args,
        chosen.timestamp,
        &parts,
        &destination,
    )
}

fn from_snapshot(host: &Host, args: &Restore, now: Timestamp) -> Exit {
    // Shared: other restores may read too, but nothing prunes what we read.
    let _lock = match lock::shared(&host.config.snapshot_dir) {
        Ok(lock) => lock,
        Err(LockError::Held) => {
            error!(
                "a run is under way and may prune what would be read: wait for its end, or restore from the bucket"
            );
            return Exit::Locked;
        }
        Err(LockError::Failed(problem)) => {
            error!(
                "{} (snapshot_dir in the configuration) cannot be locked: {problem}",
                host.config.snapshot_dir.display()
            );
            return Exit::Unmet;
        }
    };
    let timestamp = match which_snapshot(host, args.which, now) {
        Ok(timestamp) => timestamp,
        Err(problem) => return refused(host, &problem),
    };
    let snapshot =
        SnapshotName::of(&host.config.subvolume, timestamp).path(&host.config.snapshot_dir);
    let destination = match Destination::new(&args.to, timestamp, &host.config) {
        Ok(destination) => destination,
        Err(problem) => return refused(host, &problem),
    };
    match restore::parts_of_snapshot(host, &snapshot, &args.dataset) {
        Ok(parts) => carry_out(host, None, args, timestamp, &parts, &destination),
        Err(problem) => refused(host, &problem),
    }
}

/// The newest that is ours, or the one that was named; one from the future counts for nothing. What bears such a name
/// and is none of our snapshots (a directory, a link, somebody's writable copy) is refused; where Btrfs cannot be asked,
/// as far as that shows.
fn which_snapshot(host: &Host, which: Selector, now: Timestamp) -> anyhow::Result<Timestamp> {
    let asked = preflight::btrfs(host).and_then(|btrfs| {
        let subvolume = btrfs
            .show(Label::new(Step::Restore), &host.config.subvolume)
            .ok()?;
        snapshots::candidates(&host.config, &btrfs, &subvolume).ok()
    });
    let ownership: BTreeMap<Timestamp, Result<(), String>> = match asked {
        Some(candidates) => candidates
            .into_iter()
            .map(|one| match one.ownership {
                Ownership::Ours(_) => (one.timestamp, Ok(())),
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
) -> Exit {
    let restored = match restore::restore(host, rclone, parts, destination) {
        Ok(restored) => restored,
        Err(failure) => return ended(host, failure, destination),
    };
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
    if args.json.json {
        return print_json(&serde_json::json!({
            "timestamp": timestamp,
            "to": destination.path.to_string_lossy(),
            "datasets": parts.iter().map(|part| part.name.as_str()).collect::<Vec<_>>(),
            "files": restored.files,
            "bytes": restored.bytes,
            "owners_not_set": restored.unowned,
        }));
    }
    print(&restore::handover(host, timestamp, parts, destination))
}

fn refused(host: &Host, problem: &anyhow::Error) -> Exit {
    if let Some(signal) = host.interrupt.signal() {
        error!("stopped because we received {signal}; nothing was restored");
        return Exit::of_signal(signal);
    }
    error!("nothing was restored: {problem:#}");
    Exit::Unmet
}

fn ended(host: &Host, failure: Failure, destination: &Destination) -> Exit {
    let (path, stage) = (destination.path.display(), destination.stage.display());
    let as_it_was = match (destination.is_half_placed(), destination.resumes()) {
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
    match (host.interrupt.signal(), failure) {
        (Some(signal), _) => {
            error!("stopped because we received {signal}; {as_it_was}");
            Exit::of_signal(signal)
        }
        (None, Failure::Difference(what)) => {
            error!(
                "nothing was put in place, since what is stored is not what the manifest says: {what}; {as_it_was}"
            );
            Exit::Difference
        }
        (None, Failure::Other(problem)) => {
            let nothing = match destination.is_half_placed() {
                true => "it was not put in place",
                false => "nothing was put in place",
            };
            error!("{nothing}: {problem:#}; {as_it_was}");
            Exit::Unexpected
        }
    }
}
