//! A thin file for each command: arguments in, a call, a printed answer, an exit code.

mod check;
mod config;
mod list;
mod packaging;
mod run;

use std::ffi::OsStr;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use log::error;

use crate::backup::outcome::Exit;
use crate::cli::{Cli, Command};
use crate::config::{Config, PATH_VARIABLE};
use crate::credentials::Environment;
use crate::host::Host;
use crate::interrupt::Interrupt;
use crate::logging;
use crate::preflight::{Check, State};
use crate::progress::{Progress, Terminal};
use crate::report;
use crate::timestamp::Timestamp;

/// Does what the command line says.
pub fn dispatch(cli: &Cli) -> Exit {
    match &cli.command {
        Command::Completions { shell } => return packaging::completions(*shell),
        Command::Man => return packaging::man(),
        _ => {}
    }
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
        return Exit::Usage;
    }
    let interrupt = match Interrupt::install() {
        Ok(interrupt) => interrupt,
        Err(problem) => {
            let what = format!("signal handlers could not be installed: {problem}");
            report::announce_unexpected(&what);
            return Exit::Unexpected;
        }
    };
    let variable = environment
        .get(OsStr::new(PATH_VARIABLE))
        .filter(|value| !value.is_empty());
    let variable = absolute(variable.map(Path::new));
    let (config, env_file) = (
        absolute(cli.config.as_deref()),
        absolute(cli.env_file.as_deref()),
    );
    // Where we were started must not matter: the folder may be gone, and no child is to look into it.
    let _ = std::env::set_current_dir("/");
    let config = match Config::load(config.as_deref(), variable.as_deref().map(Path::as_os_str)) {
        Ok(config) => config,
        Err(problems) => return self::config::refuse(cli, is_run, &problems, now),
    };
    if let Command::Config(json) = &cli.command {
        return config::show(json, &config);
    }
    let notify_socket = environment
        .get(OsStr::new("NOTIFY_SOCKET"))
        .map(|value| value.as_os_str());
    let progress = Progress::new(terminal, notify_socket);
    let host = Host::new(
        config,
        environment,
        env_file.as_deref(),
        interrupt,
        Arc::new(move |event| progress.event(event)),
    );
    logging::redact(&host.redactor);
    match &cli.command {
        Command::Run(args) => run::run(&host, args, now),
        Command::Check(args) => check::check(&host, args, now),
        Command::List(args) => list::list(&host, args, now),
        Command::Config(json) => config::show(json, &host.config),
        Command::Completions { shell } => packaging::completions(*shell),
        Command::Man => packaging::man(),
    }
}

/// A path that is meant relative to where we were started.
fn absolute(path: Option<&Path>) -> Option<PathBuf> {
    path.map(|path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned()))
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
