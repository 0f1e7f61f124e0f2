//! `run`: one backup, or its plan.

use std::panic::{AssertUnwindSafe, catch_unwind};

use log::error;

use super::{complain, print, print_json, worse};
use crate::backup::outcome::{Outcome, Refused, exit_code};
use crate::backup::{self, plan};
use crate::cli::Run;
use crate::exit::Exit;
use crate::host::Host;
use crate::lock::{self, Lock, LockError};
use crate::preflight::{self, Check, State};
use crate::report::Report;
use crate::timestamp::Timestamp;

pub(super) fn run(host: &Host, args: &Run, timestamp: Timestamp) -> Exit {
    let prepare = || preflight::prepare(host, false);
    let prepared = match args.dry_run {
        true => Ok(prepare()),
        // Where no thread can be had, a panic is how it shows; the verdict is this run's all the same.
        false => catch_unwind(AssertUnwindSafe(prepare)),
    };
    let Ok((checks, ready)) = prepared else {
        let outcome = Outcome {
            panicked: true,
            ..Outcome::default()
        };
        return end(host, args, timestamp, &outcome, None);
    };
    let Some(ready) = ready else {
        if args.dry_run {
            complain(&checks);
            return Exit::Unmet;
        }
        let outcome = Outcome {
            refused: Some(Refused::Unmet(checks)),
            ..Outcome::default()
        };
        return end(host, args, timestamp, &outcome, None);
    };
    if args.dry_run {
        let plan = match plan::make(host, &ready, timestamp) {
            Ok(plan) => plan,
            Err(problem) => {
                error!("the plan could not be made: {problem:#}");
                return Exit::Unexpected;
            }
        };
        if let Some(signal) = host.interrupt.signal() {
            return Exit::of_signal(signal);
        }
        if args.json.json {
            return print_json(&plan);
        }
        return print(plan.to_string().trim_end());
    }
    let (mut outcome, lock) = backup::run(host, &ready, timestamp);
    outcome.warnings.extend(checks.iter().filter_map(warning));
    end(host, args, timestamp, &outcome, lock)
}

/// What preflight warned of. Free space is in the verdict anyway.
fn warning(check: &Check) -> Option<String> {
    let remedy = check
        .remedy
        .as_deref()
        .filter(|_| check.state == State::Warning && check.what != "free space")?;
    Some(format!("{}: {}; {remedy}", check.what, check.found))
}

fn end(
    host: &Host,
    args: &Run,
    timestamp: Timestamp,
    outcome: &Outcome,
    lock: Option<Lock>,
) -> Exit {
    if let Some(Refused::Unmet(checks)) = &outcome.refused {
        complain(checks);
    }
    let report = Report::new(host, timestamp, outcome);
    report.announce();
    // Only the lock's holder writes the state file: who came too late must not hide the other's verdict.
    let late = matches!(outcome.refused, Some(Refused::Locked));
    let lock = lock.map_or_else(|| lock::exclusive(&host.config.snapshot_dir), Ok);
    if !late && !matches!(lock, Err(LockError::Held)) {
        report.save(&host.config.report);
    }
    let printed = if args.json.json {
        print_json(&report)
    } else {
        Exit::Done
    };
    worse(exit_code(outcome), printed)
}
