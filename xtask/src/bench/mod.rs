//! `cargo xtask bench NAME`: measurements, kept apart from the tests. A benchmark
//! is one file; it returns a table of rows, each with the bar that it has to clear.

mod by_hand;
mod measure;
mod overhead;
mod restore;
mod stage;
mod table;

use std::process::ExitCode;

use anyhow::Result;

use crate::contain::{Place, contained};
use crate::steps::{prepare, release_binary, target_dir};

/// How thorough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effort {
    /// Less data, fewer rounds: to see that it runs.
    Quick,
    /// What the bars are meant for.
    Full,
}

/// Runs one; fails where a bar is missed.
pub fn run(words: &[&str]) -> Result<ExitCode> {
    let (name, effort) = match words {
        [name @ ("overhead" | "restore")] => (*name, Effort::Full),
        [name @ ("overhead" | "restore"), "--quick"] => (*name, Effort::Quick),
        _ => {
            eprintln!("cargo xtask bench overhead|restore [--quick]");
            return Ok(ExitCode::from(2));
        }
    };
    let ourselves = [&["bench"], words].concat();
    if let Some(ended) = prepare(&ourselves)? {
        return Ok(ended);
    }
    contained(&ourselves, Place::Memory, || {
        let binary = release_binary()?;
        let rows = match name {
            "restore" => restore::measure(&binary, effort)?,
            _ => overhead::measure(&binary, effort)?,
        };
        table::publish(name, &rows, &target_dir().join("bench"))
    })
}
