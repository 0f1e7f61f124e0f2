//! `cargo xtask bench`: measurements, kept apart from the tests. Each publishes a
//! table, with the bars that it has to clear.

mod by_hand;
mod measure;
mod overhead;
mod speed;
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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Name {
    /// Us against others, over emulated links.
    Speed,
    /// Us against our own commands by hand.
    Overhead,
}

/// Runs one; fails where a bar is missed.
pub fn run(words: &[&str]) -> Result<ExitCode> {
    let (name, effort) = match words {
        [] | ["speed"] => (Name::Speed, Effort::Full),
        ["--quick"] | ["speed", "--quick"] => (Name::Speed, Effort::Quick),
        ["overhead"] => (Name::Overhead, Effort::Full),
        ["overhead", "--quick"] => (Name::Overhead, Effort::Quick),
        _ => {
            eprintln!("cargo xtask bench [speed|overhead] [--quick]");
            return Ok(ExitCode::from(2));
        }
    };
    let ourselves = [&["bench"], words].concat();
    if let Some(ended) = prepare(&ourselves)? {
        return Ok(ended);
    }
    if name == Name::Speed {
        speed::prepare()?;
    }
    contained(&ourselves, Place::Memory, || {
        let (binary, dir) = (release_binary()?, target_dir().join("bench"));
        match name {
            Name::Speed => speed::run(&binary, effort, &dir),
            Name::Overhead => {
                table::publish("overhead", &overhead::measure(&binary, effort)?, &dir)
            }
        }
    })
}
