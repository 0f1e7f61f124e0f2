//! `list`: local snapshots and remote backups, one row a timestamp.

use std::collections::BTreeMap;
use std::io::ErrorKind;

use log::info;

use super::{print, print_json, unmet};
use crate::bucket::catalog::{self, NEWEST, Remote, Row};
use crate::cli::List;
use crate::exit::{Exit, Failure};
use crate::host::Host;
use crate::preflight;
use crate::snapshots;
use crate::step::{Label, Step};
use crate::timestamp::Timestamp;
use crate::ui::shown;
use crate::ui::{Bytes, age};

pub(super) fn list(host: &Host, args: &List, now: Timestamp) -> Result<Exit, Failure> {
    let (local, local_failure) = split(local(host));
    let (remote, remote_failure) = split(remote(host, args));
    host.interrupt.check()?;
    let mut failure = remote_failure.or(local_failure);
    let local = local.unwrap_or_default();
    let prefix = host.config.remote.prefix.as_str();
    let summaries = remote.as_ref().map(|(remote, _)| remote);
    let mut rows = catalog::merge(&local, summaries, prefix, now);
    if let Some((remote, foreign)) = remote {
        if !remote.unread.is_empty() {
            // The reasons were logged when the manifests were read.
            failure.get_or_insert(Failure {
                exit: Exit::Unexpected,
                step: None,
                messages: Vec::new(),
            });
        }
        rows.extend(foreign);
    }
    let exit = failure.as_ref().map_or(Exit::Done, |failure| failure.exit);
    if args.json.json {
        print_json(exit, &rows)?;
    } else if !rows.is_empty() || failure.is_none() {
        print(exit, &table(&rows))?;
    }
    failure.map_or(Ok(exit), Err)
}

fn split<T>(result: Result<T, Failure>) -> (Option<T>, Option<Failure>) {
    match result {
        Ok(value) => (Some(value), None),
        Err(failure) => (None, Some(failure)),
    }
}

/// What the bucket holds, and with `--all` what else is in it.
fn remote(host: &Host, args: &List) -> Result<(Remote, Vec<Row>), Failure> {
    let rclone = preflight::rclone(host).map_err(|checks| unmet(&checks))?;
    let newest = if args.all { usize::MAX } else { NEWEST };
    let asked = Remote::ask(&rclone, &host.config, newest).and_then(|remote| {
        let foreign = if args.all {
            remote.foreign(&rclone, &host.config)?
        } else {
            Vec::new()
        };
        Ok((remote, foreign))
    });
    asked.map_err(|problem| {
        let what =
            format!("the bucket cannot be asked, only local snapshots are listed: {problem:#}");
        Failure::new(Exit::Unexpected, what)
    })
}

/// Snapshots by timestamp, with their ownership if Btrfs can be read.
fn local(host: &Host) -> Result<BTreeMap<Timestamp, String>, Failure> {
    let dir = host.config.snapshot_dir.display();
    let named = match snapshots::named(&host.config) {
        Ok(named) => named,
        // On another machine there is no snapshot directory; the bucket is listed anyway.
        Err(problem) if problem.kind() == ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(problem) => {
            let what = format!("{dir} cannot be read: {problem}");
            return Err(Failure::new(Exit::Unexpected, what));
        }
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
            .map(|candidate| (candidate.timestamp, candidate.ownership.to_string()))
            .collect()),
        Some(Err(problem)) => {
            if host.config.subvolume.exists() {
                info!("whose the snapshots are cannot be told: {problem:#}")
            } else {
                info!(
                    "{} is not there, so whose the snapshots are cannot be told; what the bucket holds is listed all the same",
                    host.config.subvolume.display()
                )
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
