//! Parse, dispatch, exit code.

use std::process::ExitCode;

use clap::Parser as _;
use opencode_backup::cli::Cli;
use opencode_backup::commands;

fn main() -> ExitCode {
    // A wrong word ends here with exit code 2, which is clap's and ours.
    let cli = Cli::parse();
    ExitCode::from(commands::dispatch(&cli).code())
}
