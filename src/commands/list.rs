//! `list`: local snapshots and remote backups, one row a timestamp.

use std::collections::BTreeMap;
use std::io::ErrorKind;

use log::{error, info};

use super::{complain, print, print_json, worse};
use crate::bucket::catalog::{self, NEWEST, Remote, Row};
use crate::cli::List;
use crate::exit::Exit;
use crate::host::Host;
use crate::preflight;
use crate::retention::Ownership;
use crate::snapshots;
use crate::step::{Label, Step};
use crate::timestamp::Timestamp;
use crate::ui::shown;
use crate::ui::{Bytes, age};

pub(super) fn list(host: &Host, args: &List, now: Timestamp) -> Exit {
    let mut exit = Exit::Done;
    let local = match local(host) {
        Ok(local) => local,
        Err(problem) => {
            error!("{problem}");
            exit = Exit::Unexpected;
            BTreeMap::new()
        }
    };
    let remote = match remote(host, args) {
        Ok(remote) => Some(remote),
        Err(bad) => {
            exit = bad;
            None
        }
    };
    if let Some(signal) = host.interrupt.signal() {
        return Exit::of_signal(signal);
    }
    let mut rows = Vec::new();
    let prefix = host.config.remote.prefix.as_str();
    rows.extend(catalog::merge(
        &local,
        remote.as_ref().map(|(remote, _)| remote),
        prefix,
        now,
    ));
    if let Some((remote, foreign)) = remote {
        if !remote.unread.is_empty() {
            exit = Exit::Unexpected;
        }
        rows.extend(foreign);
    }
    let printed = if args.json.json {
        print_json(&rows)
    } else if rows.is_empty() && exit != Exit::Done {
        // Why there is nothing to show has been said.
        exit
    } else {
        print(&table(&rows))
    };
    worse(exit, printed)
}

/// What the bucket holds, and with `--all` what else is in it.
fn remote(host: &Host, args: &List) -> Result<(Remote, Vec<Row>), Exit> {
    let rclone = preflight::rclone(host).map_err(|unmet| {
        complain(&unmet);
        Exit::Unmet
    })?;
    let newest = if args.all { usize::MAX } else { NEWEST };
    let asked = Remote::ask(&rclone, &host.config, newest).and_then(|remote| {
        let foreign = match args.all {
            true => remote.foreign(&rclone, &host.config)?,
            false => Vec::new(),
        };
        Ok((remote, foreign))
    });
    asked.map_err(|problem| {
        error!("the bucket cannot be asked, only local snapshots are listed: {problem:#}");
        Exit::Unexpected
    })
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
                let ownership = match candidate.ownership {
                    Ownership::Ours(_) => "ours".to_owned(),
                    Ownership::Foreign(why) => why,
                };
                (candidate.timestamp, ownership)
            })
            .collect()),
        Some(Err(problem)) => {
            match host.config.subvolume.exists() {
                true => info!("whose the snapshots are cannot be told: {problem:#}"),
                false => info!(
                    "{} is not there, so whose the snapshots are cannot be told; what the bucket holds is listed all the same",
                    host.config.subvolume.display()
                ),
            }
            Ok(unknown())
        }
        None => Ok(unknown()),
    }
}

fn table(rows: &[Row]) -> String {
    let dash = || "-".to_owned();
    let locals = rows.iter().filter_map(|row| row.local.as_ref());
    let wide = locals
        .map(|local| local.chars().count())
        .fold(28, usize::max);
    let mut lines = vec![format!(
        "{:20}  {:>8}  {:wide$}  {:6}  {:10}  {:>7}  {:>10}  {:6}  HOST",
        "TIMESTAMP", "AGE", "LOCAL", "REMOTE", "STATE", "FILES", "SIZE", "EXPORT"
    )];
    for row in rows {
        let unknown = || if row.unread { "?" } else { "-" }.to_owned();
        let line = format!(
            "{:20}  {:>8}  {:wide$}  {:6}  {:10}  {:>7}  {:>10}  {:6}  {}",
            row.timestamp.map_or_else(
                || shown(row.prefix.as_bytes()),
                |timestamp| timestamp.to_string()
            ),
            row.age.map_or_else(dash, age),
            row.local.clone().unwrap_or_else(dash),
            match row.remote {
                Some(true) => "yes",
                Some(false) => "-",
                None => "?",
            },
            row.state.as_str(),
            row.files.map_or_else(unknown, |files| files.to_string()),
            row.bytes
                .map_or_else(unknown, |bytes| Bytes(bytes).to_string()),
            row.export
                .as_ref()
                .map_or_else(unknown, |_| "yes".to_owned()),
            row.host
                .as_ref()
                .map_or_else(unknown, |host| shown(host.as_bytes())),
        );
        lines.push(line);
    }
    if rows.is_empty() {
        lines.push("no snapshot and no backup".to_owned());
    }
    lines.join("\n")
}
