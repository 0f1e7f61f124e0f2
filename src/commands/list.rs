//! `list`: local snapshots and remote backups, one row a timestamp.

use std::collections::BTreeMap;
use std::io::ErrorKind;

use log::{error, info};

use super::{complain, print, print_json, worse};
use crate::backup::outcome::Exit;
use crate::catalog::{self, NEWEST, Remote, Row};
use crate::cli::List;
use crate::exec::{Label, Step};
use crate::host::Host;
use crate::preflight;
use crate::retention::Standing;
use crate::snapshots;
use crate::space::{Bytes, age};
use crate::timestamp::Timestamp;

/// Looks and prints.
pub fn list(host: &Host, args: &List, now: Timestamp) -> Exit {
    let mut exit = Exit::Done;
    let local = match local(host) {
        Ok(local) => local,
        Err(problem) => {
            error!("{problem}");
            exit = Exit::Unexpected;
            BTreeMap::new()
        }
    };
    let newest = if args.all { usize::MAX } else { NEWEST };
    let remote = match preflight::rclone(host) {
        Ok(rclone) => Remote::ask(&rclone, &host.config, newest).unwrap_or_else(|problem| {
            error!("the bucket cannot be asked, only local snapshots are listed: {problem:#}");
            exit = Exit::Unexpected;
            Remote::default()
        }),
        Err(unmet) => {
            complain(&unmet);
            exit = Exit::Unmet;
            Remote::default()
        }
    };
    if let Some(signal) = host.interrupt.signal() {
        return Exit::of_signal(signal);
    }
    if !remote.unread.is_empty() {
        exit = Exit::Unexpected;
    }
    let rows = catalog::merge(&local, &remote, now);
    let printed = if args.json.json {
        print_json(&rows)
    } else {
        print(&table(&rows))
    };
    worse(exit, printed)
}

/// Snapshots by timestamp, with whose they are, as far as we may know.
fn local(host: &Host) -> Result<BTreeMap<Timestamp, String>, String> {
    let dir = host.config.snapshot_dir.display();
    let named = match snapshots::named(&host.config) {
        Ok(named) => named,
        // On another machine there are none, and the bucket's backups are all the same worth listing.
        Err(problem) if problem.kind() == ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(problem) => return Err(format!("{dir} cannot be read: {problem}")),
    };
    let unknown = || {
        named
            .iter()
            .map(|(_, timestamp)| (*timestamp, "unknown".to_owned()))
            .collect()
    };
    let candidates = preflight::btrfs(host).map(|btrfs| {
        let subvolume = btrfs.show(Label::new(Step::Preflight), &host.config.subvolume)?;
        snapshots::candidates(&host.config, &btrfs, &subvolume)
    });
    match candidates {
        Some(Ok(candidates)) => Ok(candidates
            .into_iter()
            .map(|candidate| {
                let standing = match candidate.standing {
                    Standing::Ours(_) => "ours".to_owned(),
                    Standing::Foreign(why) => why,
                };
                (candidate.timestamp, standing)
            })
            .collect()),
        Some(Err(problem)) => {
            info!("whose the snapshots are cannot be told: {problem:#}");
            Ok(unknown())
        }
        None => Ok(unknown()),
    }
}

fn table(rows: &[Row]) -> String {
    let mut lines = vec![format!(
        "{:20}  {:>8}  {:28}  {:6}  {:10}  {:>7}  {:>10}",
        "TIMESTAMP", "AGE", "LOCAL", "REMOTE", "STATE", "FILES", "SIZE"
    )];
    for row in rows {
        let dash = || "-".to_owned();
        lines.push(format!(
            "{:20}  {:>8}  {:28}  {:6}  {:10}  {:>7}  {:>10}",
            row.timestamp,
            age(row.age),
            row.local.clone().unwrap_or_else(dash),
            if row.remote { "yes" } else { "-" },
            row.state.as_str(),
            row.files.map_or_else(dash, |files| files.to_string()),
            row.bytes
                .map_or_else(dash, |bytes| Bytes(bytes).to_string()),
        ));
    }
    if rows.is_empty() {
        lines.push("no snapshot and no backup".to_owned());
    }
    lines.join("\n")
}
