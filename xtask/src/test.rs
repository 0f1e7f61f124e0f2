//! `cargo xtask test`: every test of the workspace, in a world of its own.

use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::contain::{Place, contained};
use crate::steps::{cargo, code, prepare};

/// Runs them. Words before `--` are for cargo, those after it for the tests.
pub fn run(words: &[&str]) -> Result<ExitCode> {
    let ourselves = [&["test"], words].concat();
    if let Some(ended) = prepare(&ourselves)? {
        return Ok(ended);
    }
    contained(&ourselves, Place::Disk, || {
        let mut command = cargo(&arguments(words));
        Ok(code(command.status().context("run cargo")?))
    })
}

/// All failures are worth seeing, and so is the whole workspace, unless a package
/// is chosen.
fn arguments<'a>(words: &[&'a str]) -> Vec<&'a str> {
    let (for_cargo, for_tests) = match words.iter().position(|word| *word == "--") {
        Some(at) => words.split_at(at),
        None => (words, &[][..]),
    };
    let chosen =
        |word: &&str| matches!(*word, "-p" | "--package") || word.starts_with("--package=");
    let mut arguments = vec!["test", "--no-fail-fast"];
    if !for_cargo.iter().any(chosen) {
        arguments.push("--workspace");
    }
    arguments.extend(for_cargo);
    arguments.extend(for_tests);
    arguments
}

#[cfg(test)]
mod tests {
    use super::arguments;

    #[test]
    fn filters_go_to_the_tests_and_options_to_cargo() {
        let all = ["test", "--no-fail-fast", "--workspace"];
        assert_eq!(arguments(&[]), all);
        assert_eq!(
            arguments(&["--", "sigterm", "--nocapture"]),
            [&all[..], &["--", "sigterm", "--nocapture"]].concat()
        );
        assert_eq!(
            arguments(&["-p", "testbed", "--", "lives"]),
            ["test", "--no-fail-fast", "-p", "testbed", "--", "lives"]
        );
    }
}
