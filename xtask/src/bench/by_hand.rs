//! The shell script that somebody would write instead: a read-only snapshot, the
//! same uploads side by side with the checksums, a listing of each.
//!
//! The surprise: its commands are not ours to choose. They are taken from the
//! plan that `run --dry-run --json` prints, flags and all, so that what is
//! compared is everything else.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// The script for a plan. It wants B2_KEY_ID, B2_APP_KEY, and OUT, a directory for
/// what it finds out.
pub fn script(plan: &Value) -> Result<String> {
    let timestamp = plan["timestamp"]
        .as_str()
        .context("a plan without a time")?;
    let steps = plan["steps"].as_array().context("a plan without steps")?;
    let all = |step: &str, dataset: Option<&str>| -> Result<Vec<String>> {
        let wanted = |found: &&Value| found["step"] == step && found["dataset"].as_str() == dataset;
        let found = steps.iter().filter(wanted);
        let commands = found.filter_map(|found| found["command"].as_str());
        let commands: Vec<String> = commands.map(|text| by_hand(text, timestamp)).collect();
        ensure!(!commands.is_empty(), "a plan without {step} {dataset:?}");
        Ok(commands)
    };
    let find = |step: &str, dataset: Option<&str>| all(step, dataset).map(|mut all| all.remove(0));
    let uploads = steps.iter().filter(|step| step["step"] == "upload");
    let datasets: Vec<&str> = uploads
        .filter_map(|step| step["dataset"].as_str())
        .collect();
    ensure!(!datasets.is_empty(), "a plan without uploads");

    let mut script = String::from("#!/bin/bash\nset -eu\nT=$(date -u +%FT%H-%M-%SZ)\n");
    for variable in plan["environment"].as_array().into_iter().flatten() {
        let variable = variable.as_str().context("a variable that is no text")?;
        let (name, value) = variable.split_once('=').context("a variable without =")?;
        script.push_str(&format!("export {name}=\"{value}\"\n"));
    }
    script.push_str(&format!("{} >/dev/null\n", find("snapshot", None)?));
    for dataset in &datasets {
        let sync = find("upload", Some(dataset))?;
        // Side by side, as ours asks; the second one's stdin is empty: it leaves no name out.
        let lists = all("verify", Some(dataset))?;
        let list = lists.join(&format!(" 2>>\"$OUT/{dataset}.log\" & "));
        let source = source(&sync)?;
        script.push_str(&format!(
            "( {sync} 2>\"$OUT/{dataset}.log\"; {{ {list}; wait; }} >\"$OUT/{dataset}.list\" 2>>\"$OUT/{dataset}.log\" ) & all+=($!)\n\
             ( cd {source}; find . -type f -exec md5sum {{}} + >\"$OUT/{dataset}.md5\" ) & all+=($!)\n"
        ));
    }
    script.push_str("for one in \"${all[@]}\"; do wait \"$one\"; done\n");
    Ok(script)
}

/// A planned command without the wrapper that keeps a child on a leash, which
/// nobody writes by hand, and at another time.
fn by_hand(command: &str, timestamp: &str) -> String {
    let bare = match command.split_once(" -- ") {
        Some((wrapper, bare)) if wrapper.contains("setpriv") => bare,
        _ => command,
    };
    bare.replace(timestamp, "$T")
}

/// What a sync uploads: the word after `sync`.
fn source(sync: &str) -> Result<&str> {
    let mut words = sync.split(' ').skip_while(|word| *word != "sync");
    words.nth(1).with_context(|| format!("no source in {sync}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_script_has_the_planned_commands_without_the_leash() {
        let plan = json!({
            "timestamp": "2025-01-01T12-00-00Z",
            "environment": ["PATH=/bin", "RCLONE_CONFIG=", "AWS_ACCESS_KEY_ID=$B2_KEY_ID"],
            "steps": [
                { "step": "snapshot", "dataset": null,
                  "command": "/usr/bin/setpriv --pdeathsig TERM -- /bin/btrfs subvolume snapshot -r /p /s/persist-2025-01-01T12-00-00Z" },
                { "step": "upload", "dataset": "valkey",
                  "command": "setpriv --pdeathsig TERM -- /bin/rclone sync /s/persist-2025-01-01T12-00-00Z/v s3:b/valkey-2025-01-01T12-00-00Z --skip-links" },
                { "step": "verify", "dataset": "valkey",
                  "command": "setpriv --pdeathsig TERM -- /bin/rclone lsjson s3:b/valkey-2025-01-01T12-00-00Z" },
                { "step": "verify", "dataset": "valkey",
                  "command": "setpriv --pdeathsig TERM -- /bin/rclone hashsum MD5 s3:b/valkey-2025-01-01T12-00-00Z" },
            ],
        });
        let script = script(&plan).expect("a script");
        for line in [
            "export AWS_ACCESS_KEY_ID=\"$B2_KEY_ID\"",
            "/bin/btrfs subvolume snapshot -r /p /s/persist-$T >/dev/null",
            "( /bin/rclone sync /s/persist-$T/v s3:b/valkey-$T --skip-links 2>",
            "; { /bin/rclone lsjson s3:b/valkey-$T 2>>\"$OUT/valkey.log\" & /bin/rclone hashsum MD5 s3:b/valkey-$T; wait; } >",
            "( cd /s/persist-$T/v; find . -type f -exec md5sum",
        ] {
            assert!(script.contains(line), "no {line} in\n{script}");
        }
        assert!(!script.contains("setpriv"), "{script}");
    }

    #[test]
    fn a_plan_that_uploads_nothing_makes_no_script() {
        let plan = json!({ "timestamp": "t", "environment": [], "steps": [] });
        assert!(script(&plan).is_err());
    }
}
