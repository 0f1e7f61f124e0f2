//! A dataset's check: a command of the operator's, run on what a drill restored.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use xshell::cmd;

use super::{clean_environment, locate, shell};
use crate::config::DatasetName;
use crate::process::{Job, Privileges, Runner};
use crate::step::{Label, Step};

/// What stands for the dataset's directory in the command's words.
const DIRECTORY: &str = "{dir}";

/// The command line of the configuration: its first word replaced by where the program is, and the directory put in.
fn command(program: &Path, words: &[String], directory: &Path) -> Command {
    let (sh, rest) = (&*shell(), words.get(1..).unwrap_or_default());
    let rest = rest.iter().map(|word| fill(word, directory));
    cmd!(sh, "{program} {rest...}").into()
}

fn fill(word: &str, directory: &Path) -> OsString {
    let pieces: Vec<&OsStr> = word.split(DIRECTORY).map(OsStr::new).collect();
    pieces.join(directory.as_os_str())
}

/// Runs it, without capabilities and without our keys; its exit code decides.
///
/// # Errors
/// Any exit code but 0, the deadline included, or why it could not be started.
pub(crate) fn run(
    runner: &Runner,
    dataset: &DatasetName,
    words: &[String],
    directory: &Path,
    path: Option<&OsStr>,
    deadline: Duration,
) -> Result<()> {
    let name = words.first().map_or("", String::as_str);
    let program = locate(name, path)?;
    let mut env = clean_environment();
    env.extend(path.map(|path| ("PATH".into(), path.to_owned())));
    let job = Job {
        env,
        privileges: Privileges::Only(&[]),
        deadline: Some(deadline),
        ..Job::new(
            "the check",
            Label::of(Step::Restore, dataset),
            command(&program, words, directory),
        )
    };
    runner.run(job)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_directory_is_put_in_wherever_it_stands() {
        let words = ["sh", "{dir}", "{dir}:/data:O", "a{dir}b{dir}", "{di", ""];
        let words = words.map(str::to_owned);
        let command = command(Path::new("/bin/sh"), &words, Path::new("/a b"));
        let args: Vec<&OsStr> = command.get_args().collect();
        assert_eq!(args, ["/a b", "/a b:/data:O", "a/a bb/a b", "{di", ""]);
    }
}
