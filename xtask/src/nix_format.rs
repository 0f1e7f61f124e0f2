//! `cargo xtask nix-format`: the Nix files formatted, and without unused names.
//!
//! Both tools are crates, built once into `target/nix-tools`: the machine needs no nixpkgs.

use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail, ensure};
use testbed::provision::workspace;

use crate::steps::{cargo, target_dir};

/// A tool's crate, its version and its program.
const TOOLS: [[&str; 3]; 2] = [
    ["nixfmt_rs", "0.5.3", "nixfmt"],
    ["deadnix", "1.3.1", "deadnix"],
];

/// Formats the files; `--check` changes nothing. Fails on a file that is not formatted and on an unused name.
pub fn run(words: &[&str]) -> Result<ExitCode> {
    let formatting: &[&str] = match words {
        [] => &[],
        ["--check"] => &["--check"],
        other => bail!(
            "nix-format takes --check or nothing, not {}",
            other.join(" ")
        ),
    };
    let root_of = |package: &str, version: &str| {
        let folder = format!("{package}-{version}");
        target_dir().join("nix-tools").join(folder)
    };
    for [package, version, program] in TOOLS {
        let root = root_of(package, version);
        if !root.join("bin").join(program).is_file() {
            println!(
                "nix-format: building {package} {version} into {}, once",
                root.display()
            );
            let status = cargo(&["install", "--quiet", "--locked", "--root"])
                .arg(&root)
                .args([package, "--version", version])
                .status()
                .context("run cargo install")?;
            ensure!(
                status.success(),
                "cargo install {package} failed ({status})"
            );
        }
    }
    let listed = Command::new("git")
        .args(["ls-files", "*.nix"])
        .current_dir(workspace())
        .output()
        .context("run git")?;
    ensure!(listed.status.success(), "git ls-files failed");
    let files = String::from_utf8(listed.stdout)?;
    ensure!(!files.is_empty(), "git lists no Nix file");
    let mut good = true;
    for ([package, version, program], options) in TOOLS.into_iter().zip([formatting, &["--fail"]]) {
        let status = Command::new(root_of(package, version).join("bin").join(program))
            .args(options)
            .args(files.lines())
            .current_dir(workspace())
            .status()
            .with_context(|| format!("run {program}"))?;
        good &= status.success();
    }
    Ok(if good {
        println!("nix-format: ok");
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
