//! Nix, as far as it evaluates: without a store, a build or the network.

use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use testbed::provision::workspace;

use crate::steps::apt;

/// Debian's `nix-bin`, where there is no Nix.
pub fn install() -> Result<()> {
    apt("nix-bin", "nix-instantiate", "or Nix by other means")
}

/// `nix-instantiate` on a file of the workspace.
pub fn instantiate(file: &str, words: &[&str]) -> Result<Output> {
    Command::new("nix-instantiate")
        .args(["--store", "dummy://", "--eval", "--strict", "--json"])
        .arg(workspace().join(file))
        .args(words)
        // Evaluation alone needs no builders, and would complain of a group that is not there.
        .env("NIX_CONFIG", "build-users-group =")
        .output()
        .context("run nix-instantiate")
}

/// What a file of the workspace evaluates to.
pub fn evaluate(file: &str, words: &[&str]) -> Result<Value> {
    let output = instantiate(file, words)?;
    let what = || format!("{file} {}", words.join(" "));
    ensure!(
        output.status.success(),
        "{}: {}",
        what(),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    serde_json::from_slice(&output.stdout).with_context(|| format!("{}: no JSON", what()))
}
