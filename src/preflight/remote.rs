//! Checks that need rclone or the bucket. A run checks rclone's version, and only if the operator has configured flags.

use chrono::DateTime;

use super::Check;
use crate::bucket::names;
use crate::host::Host;
use crate::process::{Job, Stdout};
use crate::step::{Label, Step};
use crate::timestamp::Timestamp;
use crate::tools::rclone::cause::Cause;
use crate::tools::rclone::payload::Payload;
use crate::tools::rclone::{PRIVILEGES, Rclone, args};

/// Debian 12's; nothing older was tried.
const OLDEST: (u32, u32) = (1, 60);
/// The object that proves that we may write: one name for ever, since a key that may not delete leaves it.
const PROBE: &str = "check.probe";
/// B2 runs lifecycle rules once a day: what is hidden for longer than this, in seconds, has no rule.
const RULE_RUNS: i64 = 3 * 24 * 60 * 60;

/// rclone's version, requested with the configured bandwidth and flags: rclone refuses those that it does not understand.
pub(crate) fn version(host: &Host, rclone: &Rclone) -> Check {
    let what = "rclone's version";
    let mut text = Vec::new();
    let mut take = |bytes: &[u8]| text.extend_from_slice(bytes);
    let command = args::version(&rclone.program, &rclone.remote);
    let job = Job {
        env: rclone.environment(),
        privileges: PRIVILEGES,
        stdout: Stdout::Bytes(&mut take),
        ..Job::new("rclone", Label::new(Step::Preflight), command)
    };
    match rclone.runner.run(job) {
        Ok(_) => {
            let text = String::from_utf8_lossy(&text);
            let version = text
                .lines()
                .next()
                .unwrap_or_default()
                .trim_start_matches("rclone ")
                .to_owned();
            match numbers(&version) {
                Some(found) if found >= OLDEST => Check::ok(what, version),
                _ => Check::unmet(
                    what,
                    version,
                    "install rclone 1.60 or newer: older ones know neither our flags nor our filters",
                ),
            }
        }
        Err(error) => Check::unmet(
            what,
            error.to_string(),
            if is_configured(host) {
                "correct remote.bandwidth or remote.extra_args, or install a newer rclone"
            } else {
                "install rclone 1.60 or newer"
            },
        ),
    }
}

/// Whether rclone has something of the operator's to check.
pub(super) fn is_configured(host: &Host) -> bool {
    let remote = &host.config.remote;
    !remote.bandwidth.is_empty() || !remote.extra_args.is_empty()
}

/// Major and minor of `v1.60.1-DEV`.
fn numbers(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.trim_start_matches('v').split(['.', '-']);
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// Lists, writes, reads back and deletes.
pub(crate) fn prove(host: &Host, rclone: &Rclone, now: Timestamp) -> Vec<Check> {
    let label = || Label::new(Step::Preflight);
    let mut checks = Vec::new();
    let folder = names::folder(&host.config.remote.prefix);
    let key = format!("{folder}{PROBE}");
    let bucket = &host.config.remote.bucket;
    let answer = match rclone.ask(label(), &[format!("/{}{PROBE}", args::literal(&folder))]) {
        Ok(answer) => answer,
        Err(error) => {
            let found = format!("{bucket}: {error:#}");
            let remedy = Cause::of(&error).remedy();
            checks.push(Check::unmet("the bucket can be listed", found, remedy));
            return checks;
        }
    };
    checks.push(Check::ok("the bucket can be listed", bucket.to_string()));
    checks.push(clock(answer.clock, now));
    let probe = format!("opencode-backup check {now} {}\n", host.name);
    let written = Payload::write(|writer| writer.write_all(probe.as_bytes()))
        .map_err(anyhow::Error::from)
        .and_then(|payload| rclone.put(label(), &key, &payload));
    if let Err(error) = written {
        checks.push(Check::unmet(
            "the bucket can be written",
            format!("{error:#}"),
            "give the key the right writeFiles",
        ));
        return checks;
    }
    checks.push(Check::ok("the bucket can be written", key.clone()));
    let mut back = Vec::new();
    let read = rclone.get(label(), &key, &mut |bytes| back.extend_from_slice(bytes));
    checks.push(match read {
        Ok(()) if back == probe.as_bytes() => {
            Check::ok("the bucket can be read", "what was written came back")
        }
        Ok(()) => Check::unmet(
            "the bucket can be read",
            "something else came back",
            "is another host using the same remote.prefix?",
        ),
        Err(error) => Check::unmet(
            "the bucket can be read",
            format!("{error:#}"),
            "give the key the right readFiles",
        ),
    });
    checks.push(deletable(host, rclone, &key));
    checks.push(versions(
        rclone.hidden_versions(label(), &folder, PROBE),
        now,
    ));
    checks
}

/// Deletes the probe. Only a bucket that is pruned needs a key that may delete.
fn deletable(host: &Host, rclone: &Rclone, key: &str) -> Check {
    let wanted = host.config.retention.remote.is_some();
    let what = "the bucket's objects can be deleted";
    match (rclone.delete(Label::new(Step::Preflight), key), wanted) {
        (Ok(()), true) => Check::ok(what, "yes, as [retention.remote] needs"),
        (Ok(()), false) => Check::ok(
            what,
            "yes; there is no [retention.remote], so a key without deleteFiles would be the safer one",
        ),
        (Err(error), true) => Check::unmet(
            what,
            format!("{error:#}"),
            "give the key the right deleteFiles, or remove [retention.remote]",
        ),
        (Err(error), false) if Cause::of(&error).is_refusal() => Check::ok(
            what,
            format!(
                "no, and none needs to be: a stolen key cannot delete backups, though it could overwrite them ({key} stays)"
            ),
        ),
        (Err(error), false) => Check::warning(
            what,
            format!("it could not be tried: {error:#}"),
            "run check --remote again",
        ),
    }
}

/// On B2 a delete through S3 hides an object. The lifecycle rule cannot be read through S3. B2 runs the rule once a
/// day, so hidden old probes show that there is none.
fn versions(found: anyhow::Result<Vec<String>>, now: Timestamp) -> Check {
    let what = "deleted objects go";
    let rule = "the bucket's lifecycle rule should be \"keep only the last version\" (daysFromHidingToDeleting = 1)";
    let oldest = match found {
        Ok(times) => times.into_iter().next(),
        Err(error) => {
            return Check::ok(
                what,
                format!("this could not be looked at ({error:#}); {rule}"),
            );
        }
    };
    let Some(oldest) = oldest else {
        return Check::ok(what, "the bucket keeps no hidden versions");
    };
    let written = DateTime::parse_from_rfc3339(&oldest).map(|time| time.timestamp());
    match written {
        Ok(written) if now.unix() - written > RULE_RUNS => Check::warning(
            what,
            format!(
                "they stay as hidden versions, the oldest probe since {oldest}, and their space never comes back"
            ),
            format!("{rule}; `rclone backend cleanup-hidden` removes those that there are"),
        ),
        _ => Check::ok(
            what,
            format!("they stay for a while as hidden versions; {rule}"),
        ),
    }
}

fn clock(server: Option<Timestamp>, now: Timestamp) -> Check {
    let what = "the bucket's clock";
    let remedy = "set the clock (timedatectl); until then nothing is pruned";
    match server {
        Some(server) if server.unix().abs_diff(now.unix()) <= 3600 => {
            Check::ok(what, server.rfc3339())
        }
        Some(server) => Check::warning(
            what,
            format!("{}, and ours {}", server.rfc3339(), now.rfc3339()),
            remedy,
        ),
        None => Check::warning(what, "the answer has no date", remedy),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_rclone_is_told_from_a_new_one() {
        assert!(numbers("v1.60.1-DEV").expect("a version") >= OLDEST);
        assert!(numbers("v1.75.2").expect("a version") >= OLDEST);
        assert!(numbers("v1.53.3").expect("a version") < OLDEST);
        assert_eq!(numbers("nonsense"), None);
    }
}
