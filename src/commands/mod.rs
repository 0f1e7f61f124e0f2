//! A thin file for each command: arguments in, a call, a printed answer, an exit code.

mod check;
mod config;
mod drill;
mod list;
mod packaging;
mod prune;
mod restore;
mod run;
mod status;
mod verify;

use std::ffi::OsStr;
use std::io::{self, Write as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser as _;
use log::error;

use crate::cli::{self, Cli, Command};
use crate::config::{Config, PATH_VARIABLE};
use crate::exit::Exit;
use crate::host::Host;
use crate::interrupt::Interrupt;
use crate::preflight::{Check, State};
use crate::report;
use crate::secrets::Environment;
use crate::timestamp::Timestamp;
use crate::ui::logging;
use crate::ui::progress::{Progress, Terminal};

/// Parses the command line, runs the command, and returns its exit code.
pub fn main() -> ExitCode {
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
    let code = catch_unwind(AssertUnwindSafe(|| dispatch(&cli))).unwrap_or_else(|_| {
        report::announce_unexpected("this is a bug, described above");
        match cli.command {
            Command::Status(_) => status::UNKNOWN,
            _ => Exit::Unexpected.code(),
        }
    });
    ExitCode::from(code)
}

/// Does what the command line says.
fn dispatch(cli: &Cli) -> u8 {
    let is_status = matches!(cli.command, Command::Status(_));
    let code = |exit: Exit| {
        if is_status {
            status::UNKNOWN
        } else {
            exit.code()
        }
    };
    let now = Timestamp::now();
    let environment: Environment = std::env::vars_os().collect();
    let terminal = Arc::new(Terminal::new(!cli.quiet));
    let is_run = matches!(&cli.command, Command::Run(run) if !run.dry_run);
    if let Err(problem) = logging::install(
        cli.log,
        cli.level(),
        is_run.then_some(now),
        Arc::clone(&terminal),
    ) {
        let _ = writeln!(io::stderr(), "error: {problem:#}");
        return code(Exit::Usage);
    }
    // What a package build asks for needs no host.
    match &cli.command {
        Command::Completions { shell } => return packaging::completions(*shell).code(),
        Command::Man(args) => return packaging::man(args).code(),
        _ => {}
    }
    let interrupt = match Interrupt::install() {
        Ok(interrupt) => interrupt,
        Err(problem) => {
            let what = format!("signal handlers could not be installed: {problem}");
            report::announce_unexpected(&what);
            return code(Exit::Unexpected);
        }
    };
    let variable = environment
        .get(OsStr::new(PATH_VARIABLE))
        .filter(|value| !value.is_empty());
    let variable = variable.and_then(|path| std::path::absolute(path).ok());
    // Where we were started must not matter: the folder may be gone, and no child is to look into it.
    let _ = std::env::set_current_dir("/");
    let config = match Config::load(
        cli.config.as_deref(),
        variable.as_deref().map(Path::as_os_str),
    ) {
        Ok(config) => config,
        Err(problems) => return code(self::config::refuse(cli, is_run, &problems, now)),
    };
    if let Command::Config(json) = &cli.command {
        return config::show(json, &config).code();
    }
    let notify_socket = environment
        .get(OsStr::new("NOTIFY_SOCKET"))
        .map(|value| value.as_os_str());
    let progress = Progress::new(terminal, notify_socket);
    let host = Host::new(
        config,
        environment,
        cli.env_file.as_deref(),
        interrupt,
        Arc::new(move |event| progress.event(event)),
    );
    logging::redact(&host.redactor);
    let exit = match &cli.command {
        Command::Run(args) => run::run(&host, args, now),
        Command::Check(args) => check::check(&host, args, now),
        Command::List(args) => list::list(&host, args, now),
        Command::Verify(args) => verify::verify(&host, args, now),
        Command::Restore(args) => restore::restore(&host, args, now),
        Command::Prune(args) => prune::prune(&host, args, now),
        Command::Status(args) => return status::status(&host, args, now) as u8,
        Command::Drill(args) => drill::drill(&host, args, now),
        Command::Config(json) => config::show(json, &host.config),
        Command::Completions { shell } => packaging::completions(*shell),
        Command::Man(args) => packaging::man(args),
    };
    exit.code()
}

/// To stdout. A reader that went away is none of our errors; an answer that could not be written is one.
fn print(text: &str) -> Exit {
    print_bytes(format!("{text}\n").as_bytes())
}

fn print_bytes(text: &[u8]) -> Exit {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text).and_then(|()| stdout.flush()) {
        Err(problem) if problem.kind() != io::ErrorKind::BrokenPipe => {
            error!("the answer could not be written to standard output: {problem}");
            Exit::Unexpected
        }
        _ => Exit::Done,
    }
}

fn print_json(value: &impl serde::Serialize) -> Exit {
    match serde_json::to_string_pretty(value) {
        Ok(text) => print(&text),
        Err(problem) => {
            error!("the answer could not be written as JSON: {problem}");
            Exit::Unexpected
        }
    }
}

/// What was found out goes before what could not be printed.
fn worse(found: Exit, printed: Exit) -> Exit {
    if found == Exit::Done { printed } else { found }
}

/// Prints prerequisites that are unmet, each with its remedy.
fn complain(checks: &[Check]) {
    for check in checks.iter().filter(|check| check.state == State::Unmet) {
        error!(step = "preflight"; "{}: {}; {}", check.what, check.found, check.remedy.as_deref().unwrap_or_default());
    }
}
