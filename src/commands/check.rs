//! `check`: every prerequisite with its state and remedy.

use super::{print, print_json};
use crate::cli::Check as Args;
use crate::dataset::unsnapshotable;
use crate::exit::{Exit, Failure};
use crate::host::Host;
use crate::preflight::{self, Check, State, remote};
use crate::timestamp::Timestamp;

pub(super) fn check(host: &Host, args: &Args, now: Timestamp) -> Result<Exit, Failure> {
    let (mut checks, _) = preflight::prepare(host, true);
    for (name, dataset) in host.config.enabled() {
        let problems = unsnapshotable(&host.config.subvolume, dataset);
        checks.extend((!problems.is_empty()).then(|| {
            Check::warning(
                format!("all of dataset {name} is in a snapshot"),
                problems.join("; "),
                "until then this dataset is not stored (exit code 5)",
            )
        }));
    }
    if args.remote
        && let Ok(rclone) = preflight::rclone(host)
    {
        checks.extend(remote::prove(host, &rclone, now));
    }
    host.interrupt.check()?;
    let is_unmet = checks.iter().any(|check| check.state == State::Unmet);
    let exit = if is_unmet { Exit::Unmet } else { Exit::Done };
    if args.json.json {
        print_json(
            exit,
            &serde_json::json!({ "ready": !is_unmet, "checks": checks }),
        )
    } else {
        print(exit, &table(&checks))
    }
}

fn table(checks: &[Check]) -> String {
    let width = checks
        .iter()
        .map(|check| check.what.chars().count())
        .max()
        .unwrap_or_default();
    let mut lines = Vec::new();
    for check in checks {
        let state = match check.state {
            State::Ok => "ok",
            State::Warning => "warning",
            State::Unmet => "UNMET",
        };
        lines.push(format!(
            "{state:<7}  {:width$}  {}",
            check.what, check.found
        ));
        if let Some(remedy) = &check.remedy {
            lines.push(format!("{:<7}  {:width$}  -> {remedy}", "", ""));
        }
    }
    lines.join("\n")
}
