//! `cargo xtask ci`: format, lints, documentation, the NixOS module, the unit tests in a sandbox like Nix's, what a
//! package installs, all of the tests, and then the virtual machine.

use std::process::{Command, ExitCode};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::steps::cargo;
use crate::{dist, nix_format, nix_test, sandbox, test, vm};

/// The checks before the tests, by name: cargo's words.
const CHECKS: [(&str, &[&str]); 3] = [
    ("format", &["fmt", "--all", "--check"]),
    (
        "lints",
        &[
            "clippy",
            "--workspace",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ],
    ),
    (
        "documentation",
        &[
            "doc",
            "--workspace",
            "--no-deps",
            "--document-private-items",
        ],
    ),
];

/// One of our own commands, given its words.
type Part = fn(&[&str]) -> Result<ExitCode>;

/// Runs all of them, whatever fails, and says at the end what did.
pub fn run() -> Result<ExitCode> {
    components()?;
    let mut lines = Vec::new();
    let mut good = true;
    let mut note = |name: &str, start: Instant, passed: bool| {
        let state = if passed { "ok" } else { "FAILED" };
        let line = format!(
            "ci: {name:<13} {state:<6} {:7.1} s",
            start.elapsed().as_secs_f64()
        );
        println!("{line}");
        lines.push(line);
        good &= passed;
    };
    for (name, words) in CHECKS {
        let start = Instant::now();
        let mut command = cargo(words);
        command.env("RUSTDOCFLAGS", "-D warnings");
        let passed = command.status().context("run cargo")?.success();
        note(name, start, passed);
    }
    let parts: [(&str, Part, &[&str]); 6] = [
        ("nix format", nix_format::run, &["--check"]),
        ("nix", nix_test::run, &[]),
        ("nix sandbox", sandbox::run, &[]),
        ("dist", dist::run, &["--check"]),
        ("tests", test::run, &[]),
        ("vm", vm::run, &[]),
    ];
    for (name, part, words) in parts {
        let start = Instant::now();
        let passed = part(words).unwrap_or_else(|error| {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        });
        note(name, start, passed == ExitCode::SUCCESS);
    }
    println!("\n{}", lines.join("\n"));
    Ok(if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn components() -> Result<()> {
    for (name, package) in [("fmt", "rustfmt"), ("clippy", "clippy")] {
        let found =
            |command: &mut Command| command.output().is_ok_and(|output| output.status.success());
        if !found(&mut cargo(&[name, "--version"])) {
            bail!(
                "cargo {name} is missing: `rustup component add {package}`, or your distribution's package of that name"
            );
        }
    }
    Ok(())
}
