//! `cargo xtask bench NAME`: measurements, kept apart from the tests. A benchmark
//! is one file; it returns a table of rows, each with the bar that it has to clear.

mod by_hand;
mod measure;
mod overhead;
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
    let effort = match words {
        ["overhead"] => Effort::Full,
        ["overhead", "--quick"] => Effort::Quick,
        _ => {
            eprintln!("cargo xtask bench overhead [--quick]");
            return Ok(ExitCode::from(2));
        }
    };
    let ourselves = [&["bench"], words].concat();
    if let Some(ended) = prepare(&ourselves)? {
        return Ok(ended);
    }
    contained(&ourselves, Place::Memory, || {
        let rows = overhead::measure(&release_binary()?, effort)?;
        table::publish("overhead", &rows, &target_dir().join("bench"))
    })
}
