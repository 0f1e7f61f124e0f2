//! `run`: one backup, or its plan.

use super::{print, print_failure, print_json, unmet};
use crate::backup::outcome::{Outcome, Refused, exit_code};
use crate::backup::{self, plan};
use crate::cli::Run;
use crate::exit::{Exit, Failure};
use crate::host::Host;
use crate::lock::{self, Lock, LockError};
use crate::preflight::{self, Check, Ready, State};
use crate::report::Report;
use crate::timestamp::Timestamp;

pub(super) fn run(host: &Host, args: &Run, timestamp: Timestamp) -> Result<Exit, Failure> {
    let (checks, ready) = preflight::prepare(host, false);
    match ready {
        None if args.dry_run => Err(unmet(&checks)),
        Some(ready) if args.dry_run => dry_run(host, args, &ready, timestamp),
        None => {
            let outcome = Outcome {
                refused: Some(Refused::Unmet(checks)),
                ..Outcome::default()
            };
            end(host, args, timestamp, &outcome, None)
        }
        Some(ready) => {
            let (mut outcome, lock) = backup::run(host, &ready, timestamp);
            outcome.warnings.extend(checks.iter().filter_map(warning));
            end(host, args, timestamp, &outcome, lock)
        }
    }
}

fn dry_run(host: &Host, args: &Run, ready: &Ready, timestamp: Timestamp) -> Result<Exit, Failure> {
    let plan = plan::make(host, ready, timestamp);
    host.interrupt.check()?;
    if args.json.json {
        print_json(Exit::Done, &plan)
    } else {
        print(Exit::Done, plan.to_string().trim_end())
    }
}

/// Preflight warnings for the verdict. Free space is left out: the verdict reports the value at the end.
fn warning(check: &Check) -> Option<String> {
    let remedy = check
        .remedy
        .as_deref()
        .filter(|_| check.state == State::Warning && !check.is_free_space)?;
    Some(format!("{}: {}; {remedy}", check.what, check.found))
}

fn end(
    host: &Host,
    args: &Run,
    timestamp: Timestamp,
    outcome: &Outcome,
    lock: Option<Lock>,
) -> Result<Exit, Failure> {
    if let Some(Refused::Unmet(checks)) = &outcome.refused {
        print_failure(&unmet(checks));
    }
    let report = Report::new(host, timestamp, outcome);
    report.announce();
    // Only the lock's holder writes the state file: a run that was locked out must not hide the other's verdict.
    let is_locked_out = matches!(outcome.refused, Some(Refused::Locked));
    let lock = lock.map_or_else(|| lock::exclusive(&host.config.snapshot_dir), Ok);
    if !is_locked_out && !matches!(lock, Err(LockError::Held)) {
        report.save(&host.config.report);
    }
    let exit = exit_code(outcome);
    if args.json.json {
        print_json(exit, &report)
    } else {
        Ok(exit)
    }
}
