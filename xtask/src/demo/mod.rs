//! `cargo xtask demo`: a host in miniature, and a backup that is put to the test.

mod host;
mod story;

use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;

use crate::contain::{Place, contained};
use crate::steps::{prepare, release_binary};

/// Shows it. Fails where the copy is not what was backed up.
pub fn run() -> Result<ExitCode> {
    if let Some(ended) = prepare(&["demo"])? {
        return Ok(ended);
    }
    contained(&["demo"], Place::Disk, || {
        println!("Building opencode-backup…");
        let binary = release_binary()?;
        story::tell(&binary, Instant::now())
    })
}
