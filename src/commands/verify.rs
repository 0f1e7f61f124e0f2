//! `verify`: stored backups against their manifests.

use log::warn;
use serde::Serialize;

use super::{print, print_json, unmet};
use crate::bucket::catalog::Remote;
use crate::bucket::names::Mark;
use crate::bucket::select::SelectedBackup;
use crate::cli::Verify;
use crate::dataset::compare::Listing;
use crate::exit::{Exit, Failure};
use crate::host::Host;
use crate::preflight;
use crate::step::{Label, Step};
use crate::timestamp::Timestamp;
use crate::tools::rclone::Rclone;
use crate::ui::shown;
use crate::ui::{Bytes, counted};

#[derive(Serialize)]
struct Verdict {
    timestamp: Timestamp,
    dataset: String,
    files: u64,
    bytes: u64,
    differences: Vec<String>,
}

/// Verifies one backup, or all.
pub(super) fn verify(host: &Host, args: &Verify, now: Timestamp) -> Result<Exit, Failure> {
    let rclone = preflight::rclone(host).map_err(|checks| unmet(&checks))?;
    let selected = choose(host, args, &rclone, now).map_err(|problem| {
        host.interrupt.check().map_or_else(Failure::from, |()| {
            Failure::new(Exit::Unexpected, format_args!("{problem:#}"))
        })
    })?;
    let (mut verdicts, mut failed) = (Vec::new(), Vec::new());
    for selected in selected {
        let verified = one(host, args, &rclone, selected, &mut verdicts);
        // A signal ends the loop; differences that were found before it are printed and decide.
        if host.interrupt.signal().is_some() {
            break;
        }
        if let Err(problem) = verified {
            failed.push(format!(
                "{} cannot be verified: {problem:#}",
                selected.timestamp
            ));
        }
    }
    let differs = verdicts
        .iter()
        .any(|verdict| !verdict.differences.is_empty());
    if !differs {
        host.interrupt.check()?;
    }
    let exit = match (differs, failed.is_empty()) {
        (true, _) => Exit::Difference,
        (false, false) => Exit::Unexpected,
        (false, true) => Exit::Done,
    };
    if args.json.json {
        print_json(exit, &verdicts)?;
    } else {
        let lines: Vec<String> = verdicts.iter().map(Verdict::to_string).collect();
        print(exit, &lines.join("\n"))?;
    }
    if failed.is_empty() {
        Ok(exit)
    } else {
        Err(Failure {
            exit,
            step: Some(Step::Verify),
            messages: failed,
        })
    }
}

fn choose(
    host: &Host,
    args: &Verify,
    rclone: &Rclone,
    now: Timestamp,
) -> anyhow::Result<Vec<SelectedBackup>> {
    let marks = Remote::ask(rclone, &host.config, 0)?.marks;
    if !args.all {
        return Ok(vec![SelectedBackup::find(args.which, &marks, now)?]);
    }
    let complete = marks
        .iter()
        .rev()
        .filter(|(_, marks)| marks.contains(&Mark::Complete));
    let all: Vec<SelectedBackup> = complete
        .map(|(timestamp, _)| SelectedBackup {
            timestamp: *timestamp,
            mark: Mark::Complete,
        })
        .collect();
    anyhow::ensure!(
        !all.is_empty(),
        "the bucket holds no complete backup; `opencode-backup list` shows what there is"
    );
    Ok(all)
}

fn one(
    host: &Host,
    args: &Verify,
    rclone: &Rclone,
    chosen: SelectedBackup,
    verdicts: &mut Vec<Verdict>,
) -> anyhow::Result<()> {
    let backup = chosen.read(Step::Verify, rclone, &host.config)?;
    let missing = |dataset: &str, difference: String| Verdict {
        timestamp: chosen.timestamp,
        dataset: dataset.to_owned(),
        files: 0,
        bytes: 0,
        differences: vec![difference],
    };
    for failed in &backup.summary.failed {
        let (name, why) = (failed.name.as_str(), shown(failed.error.as_bytes()));
        warn!("{} does not hold {name}: {why}", chosen.timestamp);
    }
    if let Some(object) = &backup.summary.export.object {
        let found = rclone.stat(Label::new(Step::Verify), object)?;
        let found = found.map(|found| u64::try_from(found.size).unwrap_or_default());
        match (found, backup.summary.export.size) {
            (Some(found), Some(size)) if found != size => {
                let what = format!("{} has {found} bytes, not {size}", shown(object.as_bytes()));
                verdicts.push(missing("the export", what));
            }
            (Some(_), _) => {}
            (None, _) => {
                let what = format!("{} is missing", shown(object.as_bytes()));
                verdicts.push(missing("the export", what));
            }
        }
    }
    for dataset in backup.datasets {
        let label = Label::of(Step::Verify, &dataset.name);
        let mut listing = Listing::of(&dataset.tree);
        if args.download {
            listing.download(rclone, label, &dataset.prefix)?
        } else {
            listing.ask(rclone, label, &dataset.prefix)?
        }
        let differences = listing.differences(&dataset.tree);
        let (files, bytes) = dataset.tree.totals();
        verdicts.push(Verdict {
            timestamp: chosen.timestamp,
            dataset: dataset.name.to_string(),
            files,
            bytes,
            differences,
        });
    }
    Ok(())
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (timestamp, dataset) = (self.timestamp, &self.dataset);
        if self.differences.is_empty() {
            return write!(
                f,
                "{timestamp}  {dataset}  ok: {}, {}",
                counted(self.files, "file"),
                Bytes(self.bytes)
            );
        }
        write!(
            f,
            "{timestamp}  {dataset}  DIFFERS: {} differences",
            self.differences.len()
        )?;
        for difference in &self.differences {
            write!(f, "\n  {}", shown(difference.as_bytes()))?;
        }
        Ok(())
    }
}
