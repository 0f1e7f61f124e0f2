//! Parse, dispatch, exit code.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use clap::Parser as _;
use opencode_backup::backup::outcome::Exit;
use opencode_backup::cli::Cli;
use opencode_backup::{commands, report};

fn main() -> ExitCode {
    // A wrong word ends here with exit code 2, which is clap's and ours.
    let cli = Cli::parse();
    let exit = catch_unwind(AssertUnwindSafe(|| commands::dispatch(&cli))).unwrap_or_else(|_| {
        report::announce_unexpected("this is a bug, described above");
        Exit::Unexpected
    });
    ExitCode::from(exit.code())
}
