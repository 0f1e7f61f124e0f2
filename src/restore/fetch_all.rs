//! The parts of a backup, side by side: fetched, checked, and fetched once more where they arrived damaged.

use std::path::Path;

use anyhow::{Context as _, Result, anyhow, bail};
use log::warn;

use super::{DatasetRestore, RestoreError, Source, apply, fetch};
use crate::host::Host;
use crate::threads::parallel;
use crate::tools::rclone::Rclone;
use crate::tools::rclone::tuning::MemoryBudget;

/// So many are copied out of a snapshot at once.
const MOST_COPIED: usize = 8;

/// Fetches all parts side by side, as a run stores them, and checks each when it is there; what arrived damaged is
/// fetched once more.
pub(super) fn fetch_all(
    host: &Host,
    rclone: Option<&Rclone>,
    parts: &[DatasetRestore],
    stage: &Path,
) -> Result<(), RestoreError> {
    let share = MemoryBudget::among(
        host.config.remote.memory.bytes(),
        parts.iter().map(|part| part.tree.sizes()),
    );
    let fetch = |part: &DatasetRestore| {
        fetch_once(host, rclone, part, share, &stage.join(part.name.as_str()))
    };
    // The others may take hours yet, and are not in vain: a second call finds them there.
    let told = |part: &DatasetRestore, error: &anyhow::Error| {
        if host.interrupt.signal().is_none() {
            warn!(step = "restore", dataset = part.name.as_str(); "{} cannot be restored: {error:#}", part.name);
        }
    };
    let look = |part: &DatasetRestore| {
        let looked = fetch(part).and_then(|failed| Ok((failed, check(host, part, stage)?)));
        match &looked {
            Ok((Some(error), differences)) if !differences.is_empty() => told(part, error),
            Err(error) => told(part, error),
            Ok(_) => {}
        }
        looked
    };
    // No more at once than there is memory for: a manifest may name any number of them.
    let at_once = match rclone {
        Some(_) => share.at_once(),
        None => MOST_COPIED,
    };
    let looked = parallel(parts, at_once, look).context("starting a thread that fetches")?;
    let mut all = Ok(());
    for (part, looked) in parts.iter().zip(looked) {
        let one = looked
            .map_err(RestoreError::Other)
            .and_then(|looked| settle(host, part, looked, stage, fetch))
            .map_err(|failure| match failure {
                RestoreError::Other(error) => {
                    RestoreError::Other(error.context(part.name.to_string()))
                }
                difference => difference,
            });
        all = both(all, one);
    }
    all
}

/// What came of one part, when all have been looked at; what arrived damaged is fetched once more.
fn settle(
    host: &Host,
    part: &DatasetRestore,
    (failed, differences): (Option<anyhow::Error>, Vec<String>),
    stage: &Path,
    fetch: impl Fn(&DatasetRestore) -> Result<Option<anyhow::Error>>,
) -> Result<(), RestoreError> {
    let name = part.name.as_str();
    match (failed, differences.is_empty()) {
        (None, true) => return Ok(()),
        // What somebody else put there may be what cannot be fetched; all that the manifest names came.
        (Some(error), true) => {
            warn!(step = "restore", dataset = name; "{name}: all of it is here, and yet: {error:#}");
            return Ok(());
        }
        (Some(error), false) => return Err(error.into()),
        (None, false) => {}
    }
    warn!(step = "restore", dataset = name; "{name}: {}; fetching it again", differences.join("; "));
    if let Some(error) = fetch(part)? {
        return Err(error.into());
    }
    let differences = check(host, part, stage)?;
    if differences.is_empty() {
        Ok(())
    } else {
        Err(RestoreError::Difference(format!(
            "{name}: {}",
            differences.join("; ")
        )))
    }
}

/// All that is wrong. A difference is the answer, whatever else could not be fetched: asking again will not mend it.
fn both(
    one: Result<(), RestoreError>,
    other: Result<(), RestoreError>,
) -> Result<(), RestoreError> {
    use RestoreError::{Difference, Other};
    match (one, other) {
        (Ok(()), result) | (result, Ok(())) => result,
        (Err(Difference(one)), Err(Difference(other))) => {
            Err(Difference(format!("{one}; {other}")))
        }
        (Err(Difference(what)), Err(Other(error))) | (Err(Other(error)), Err(Difference(what))) => {
            Err(Difference(format!("{what}; {error:#}")))
        }
        (Err(Other(one)), Err(Other(other))) => Err(Other(anyhow!("{one:#}; {other:#}"))),
    }
}

/// Fetches; where rclone failed, what it said comes back, since the check knows whether anything is missing.
fn fetch_once(
    host: &Host,
    rclone: Option<&Rclone>,
    part: &DatasetRestore,
    share: MemoryBudget,
    into: &Path,
) -> Result<Option<anyhow::Error>> {
    fetch::prepare(into)?;
    // Of an interrupted restore; what the bucket itself has too much is named below.
    apply::remove_strangers(into, &part.tree)?;
    match (&part.source, rclone) {
        (Source::Bucket(prefix), Some(rclone)) => {
            let fetched = fetch::from_bucket(rclone, &part.name, &part.tree, prefix, share, into);
            match fetched {
                Err(error) if host.interrupt.signal().is_none() => Ok(Some(error)),
                result => result.map(|()| None),
            }
        }
        (Source::Snapshot(from), _) => {
            fetch::from_snapshot(from, &part.tree, into, &host.interrupt).map(|()| None)
        }
        (Source::Bucket(_), None) => bail!("rclone is needed"),
    }
}

fn check(host: &Host, part: &DatasetRestore, stage: &Path) -> Result<Vec<String>> {
    let into = stage.join(part.name.as_str());
    for stranger in apply::remove_strangers(&into, &part.tree)? {
        warn!(step = "restore", dataset = part.name.as_str(); "{}: {stranger} is not in the manifest and was left out", part.name);
    }
    apply::check(&into, &part.tree, &host.interrupt)
}
