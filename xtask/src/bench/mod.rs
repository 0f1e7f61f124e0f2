//! `cargo xtask bench`: measurements, kept apart from the tests. Each publishes a
//! table, with the bars that it has to clear.

mod by_hand;
mod cold;
mod measure;
mod overhead;
mod restore;
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
    /// Our run against others, over emulated links.
    Speed,
    /// Our run against its own commands by hand.
    Overhead,
    /// Our restore against its own commands by hand.
    Restore,
    /// How it grows.
    Scale,
}

/// Runs one; fails where a bar is missed.
pub fn run(words: &[&str]) -> Result<ExitCode> {
    let (name, effort) = match words {
        [rest @ .., "--quick"] => (rest, Effort::Quick),
        all => (all, Effort::Full),
    };
    let name = match name {
        [] | ["speed"] => Name::Speed,
        ["overhead"] => Name::Overhead,
        ["restore"] => Name::Restore,
        ["scale"] => Name::Scale,
        _ => {
            eprintln!("cargo xtask bench [speed|overhead|restore|scale] [--quick]");
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
    let place = match name {
        // Ten gigabytes are there three times.
        Name::Scale => Place::Disk,
        _ => Place::Memory,
    };
    contained(&ourselves, place, || {
        let (binary, dir) = (release_binary()?, target_dir().join("bench"));
        let (title, beside, rows) = match name {
            Name::Speed => return speed::run(&binary, effort, &dir),
            Name::Overhead => ("overhead", "by hand", overhead::measure(&binary, effort)?),
            Name::Restore => ("restore", "by hand", restore::measure(&binary, effort)?),
            Name::Scale => ("scale", "beside", speed::scale::measure(&binary, effort)?),
        };
        table::publish(title, beside, &rows, &dir)
    })
}
