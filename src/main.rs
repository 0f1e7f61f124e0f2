//! Parse, dispatch, exit code.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use clap::Parser as _;
use opencode_backup::backup::outcome::Exit;
use opencode_backup::cli::{self, Cli, Command};
use opencode_backup::commands::{self, status};
use opencode_backup::report;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        // A wrong word is exit code 2, clap's and ours; a monitoring plug-in says that it does not know.
        Err(problem) => {
            let _ = problem.print();
            return ExitCode::from(match problem.use_stderr() {
                true if cli::asks_for_status(std::env::args_os().skip(1)) => status::UNKNOWN,
                true => Exit::Usage.code(),
                false => Exit::Done.code(),
            });
        }
    };
    let code = catch_unwind(AssertUnwindSafe(|| commands::dispatch(&cli))).unwrap_or_else(|_| {
        report::announce_unexpected("this is a bug, described above");
        match cli.command {
            Command::Status(_) => status::UNKNOWN,
            _ => Exit::Unexpected.code(),
        }
    });
    ExitCode::from(code)
}
