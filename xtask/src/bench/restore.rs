//! What getting it back costs beyond its commands: a restore against the same `rclone copy` by hand, and a
//! `verify` against the same listings.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use testbed::process::tethered;
use testbed::s3::{APP_KEY, KEY_ID};
use testbed::{Rclone, Server};

use super::Effort;
use super::measure::{self, Took};
use super::overhead::{alternate, compared, ratios};
use super::stage::Stage;
use super::table::Row;

/// Measures both.
pub fn measure(binary: &Path, effort: Effort) -> Result<Vec<Row>> {
    let (large_mib, rounds, many) = match effort {
        Effort::Full => (1024, 7, 10_000),
        Effort::Quick => (128, 3, 1000),
    };
    let mut rows = Vec::new();

    let stage = Stage::new(binary, Rclone::New, Server::RcloneServe)?;
    stage.write_servers(large_mib)?;
    stage.keep_one()?;
    let to = stage.bed().scratch().join("restored");
    let words = ["restore", "--to", &to.to_string_lossy()];
    for way in [Way::InTurn, Way::AtOnce] {
        let by_hand = Script::of(&stage, &words, "copy", way)?;
        fs::remove_dir_all(&to)?;
        let (how, bar) = match way {
            Way::InTurn => ("one command after the other", Some(1.1)),
            // To be known: where the server shares our processors, what checks the files is added whole.
            Way::AtOnce => ("both commands at once", None),
        };
        let what = format!("restore of {large_mib} MiB of RDB and AOF, {how}");
        let (ours, theirs) = alternate(
            &what,
            rounds,
            || by_hand.ours(&stage, &words, Some(&to)),
            || by_hand.run(&stage, Some(&to)),
        )?;
        rows.extend(ratios(&what, bar, ours, theirs));
    }
    drop(stage);

    // moto lists quicker than rclone's server, which reads every file for its MD5.
    let stage = Stage::new(binary, Rclone::New, Server::Moto)?;
    stage.write_files([&[(many, 512)], &[(many, 512)]])?;
    stage.keep_one()?;
    let by_hand = Script::of(&stage, &["verify"], "lsjson", Way::InTurn)?;
    let what = format!("verify of {} files", 2 * many);
    let (ours, theirs) = alternate(
        &what,
        rounds,
        || by_hand.ours(&stage, &["verify"], None),
        || by_hand.run(&stage, None),
    )?;
    rows.push(Row {
        value: ours.wall.as_secs_f64() - theirs.wall.as_secs_f64(),
        bar: Some(1.0),
        unit: " s",
        ..compared("time", &what, ours.wall, theirs.wall)
    });
    Ok(rows)
}

/// How somebody would type several commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// One after the other.
    InTurn,
    /// Each in the background, and a `wait` for all.
    AtOnce,
}

/// The commands that ours runs, as somebody would type them.
struct Script {
    path: PathBuf,
}

impl Script {
    /// Lets ours say what it runs, and keeps its commands of one kind.
    fn of(stage: &Stage, words: &[&str], kind: &str, way: Way) -> Result<Self> {
        let bed = stage.bed();
        let said = Command::output(bed.cmd(&["-v"]).args(words))?;
        let said = String::from_utf8_lossy(&said.stderr);
        let word = format!("rclone {kind} ");
        let state = bed.state()?;
        let timestamp = state["timestamp"].as_str().context("no timestamp")?;
        let stage = format!(".restored.opencode-backup-{timestamp}");
        let commands = said.lines().filter_map(|line| {
            let at = line.find(&word)?;
            let start = line[..at].rfind(' ').map_or(0, |blank| blank + 1);
            // Listing the marks finds the backup; by hand one knows it.
            (!line.contains("/manifests/")).then(|| line[start..].replace(&stage, "restored"))
        });
        let mut text = "set -e\n".to_owned();
        for (name, value) in [
            ("RCLONE_CONFIG", ""),
            ("RCLONE_CONFIG_S3_TYPE", "s3"),
            ("RCLONE_CONFIG_S3_ENV_AUTH", "true"),
            ("AWS_EC2_METADATA_DISABLED", "true"),
            ("AWS_ACCESS_KEY_ID", KEY_ID),
            ("AWS_SECRET_ACCESS_KEY", APP_KEY),
        ] {
            text.push_str(&format!("export {name}='{value}'\n"));
        }
        let commands: Vec<String> = commands.collect();
        ensure!(commands.len() == 2, "two {kind} commands, in:\n{said}");
        for command in commands {
            text.push_str(&match way {
                Way::InTurn => format!("{command} >/dev/null 2>&1\n"),
                Way::AtOnce => format!("{command} >/dev/null 2>&1 &\nall=\"$all $!\"\n"),
            });
        }
        if way == Way::AtOnce {
            // One `wait` each: with several it has the status of the last one.
            text.push_str("for one in $all; do wait \"$one\"; done\n");
        }
        let path = bed.scratch().join(format!("{kind}.sh"));
        fs::write(&path, text)?;
        Ok(Self { path })
    }

    /// Runs ours.
    fn ours(&self, stage: &Stage, words: &[&str], to: Option<&Path>) -> Result<Took> {
        let took = measure::time(&mut stage.bed().cmd(words))?;
        stage.gone(to)?;
        Ok(took)
    }

    /// Runs the commands.
    fn run(&self, stage: &Stage, to: Option<&Path>) -> Result<Took> {
        let mut command = tethered("bash");
        command.arg(&self.path).env_clear().current_dir("/");
        command.env("PATH", testbed::process::PATH);
        let took = measure::time(&mut command).context("by hand")?;
        stage.gone(to)?;
        Ok(took)
    }
}
