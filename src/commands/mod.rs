//! One file a command: arguments in, `Result<Exit, Failure>` out. A failure is printed here, once.

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
use crate::exit::{Exit, Failure};
use crate::host::Host;
use crate::interrupt::Interrupt;
use crate::preflight::{Check, State};
use crate::report;
use crate::secrets::Environment;
use crate::step::Step;
use crate::timestamp::Timestamp;
use crate::ui::logging;
use crate::ui::progress::{Progress, Terminal};

/// Parses the command line, runs the command, and returns its exit code.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        // A monitoring plug-in answers a wrong command line with UNKNOWN.
        Err(problem) => {
            let _ = problem.print();
            return ExitCode::from(match problem.use_stderr() {
                true if cli::asks_for_status(std::env::args_os().skip(1)) => status::UNKNOWN,
                true => Exit::Usage.code(),
                false => Exit::Done.code(),
            });
        }
    };
    let failed = |exit: Exit| match cli.command {
        Command::Status(_) => status::UNKNOWN,
        _ => exit.code(),
    };
    let code = match catch_unwind(AssertUnwindSafe(|| dispatch(&cli))) {
        Ok(Ok(code)) => code,
        Ok(Err(failure)) => {
            print_failure(&failure);
            failed(failure.exit)
        }
        Err(_) => {
            report::announce_unexpected("this is a bug, described above");
            failed(Exit::Unexpected)
        }
    };
    ExitCode::from(code)
}

fn dispatch(cli: &Cli) -> Result<u8, Failure> {
    let now = Timestamp::now();
    let terminal = Arc::new(Terminal::new(!cli.quiet));
    let is_run = matches!(&cli.command, Command::Run(run) if !run.dry_run);
    let run = is_run.then_some(now);
    if let Err(problem) = logging::install(cli.log, cli.level(), run, Arc::clone(&terminal)) {
        // There is no log to print it to.
        let _ = writeln!(io::stderr(), "error: {problem:#}");
        return Err(Failure {
            messages: Vec::new(),
            ..Failure::new(Exit::Usage, problem)
        });
    }
    // A package build calls these, on a machine that may have no configuration.
    match &cli.command {
        Command::Completions { shell } => return packaging::completions(*shell).map(Exit::code),
        Command::Man(args) => return packaging::man(args).map(Exit::code),
        _ => {}
    }
    let environment: Environment = std::env::vars_os().collect();
    let config = load(cli, &environment, run)?;
    if let Command::Config(json) = &cli.command {
        return config::show(json, &config).map(Exit::code);
    }
    let host = host(cli, config, environment, terminal)?;
    let exit = match &cli.command {
        Command::Run(args) => run::run(&host, args, now),
        Command::Check(args) => check::check(&host, args, now),
        Command::List(args) => list::list(&host, args, now),
        Command::Verify(args) => verify::verify(&host, args, now),
        Command::Restore(args) => restore::restore(&host, args, now),
        Command::Prune(args) => prune::prune(&host, args, now),
        Command::Status(args) => return status::status(&host, args, now),
        Command::Drill(args) => drill::drill(&host, args, now),
        Command::Config(json) => config::show(json, &host.config),
        Command::Completions { shell } => packaging::completions(*shell),
        Command::Man(args) => packaging::man(args),
    };
    exit.map(Exit::code)
}

fn load(cli: &Cli, environment: &Environment, run: Option<Timestamp>) -> Result<Config, Failure> {
    let variable = environment
        .get(OsStr::new(PATH_VARIABLE))
        .filter(|value| !value.is_empty());
    let variable = variable.and_then(|path| std::path::absolute(path).ok());
    // The current directory must not matter: it may be gone, and no child may read from it.
    let _ = std::env::set_current_dir("/");
    let variable = variable.as_deref().map(Path::as_os_str);
    Config::load(cli.config.as_deref(), variable)
        .map_err(|problems| config::refuse(cli, run, &problems))
}

fn host(
    cli: &Cli,
    config: Config,
    environment: Environment,
    terminal: Arc<Terminal>,
) -> Result<Host, Failure> {
    let interrupt = Interrupt::install().map_err(|problem| {
        let what = format!("signal handlers could not be installed: {problem}");
        Failure::new(Exit::Unexpected, what)
    })?;
    let notify_socket = environment
        .get(OsStr::new("NOTIFY_SOCKET"))
        .map(|value| value.as_os_str());
    let progress = Progress::new(terminal, notify_socket);
    let sink = Arc::new(move |event| progress.event(event));
    let host = Host::new(
        config,
        environment,
        cli.env_file.as_deref(),
        interrupt,
        sink,
    );
    logging::redact(&host.redactor);
    Ok(host)
}

fn print_failure(failure: &Failure) {
    let step = failure.step.map(|step| step.to_string());
    for message in &failure.messages {
        match &step {
            Some(step) => error!(step = step.as_str(); "{message}"),
            None => error!("{message}"),
        }
    }
}

/// Prints a command's output. A closed pipe is no failure. If the output cannot be written, the command fails, unless
/// it has failed already.
fn print(exit: Exit, text: &str) -> Result<Exit, Failure> {
    print_bytes(exit, format!("{text}\n").as_bytes())
}

fn print_bytes(exit: Exit, text: &[u8]) -> Result<Exit, Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text).and_then(|()| stdout.flush()) {
        Err(problem) if problem.kind() != io::ErrorKind::BrokenPipe => {
            Err(unprinted(exit, problem))
        }
        _ => Ok(exit),
    }
}

fn print_json(exit: Exit, value: &impl serde::Serialize) -> Result<Exit, Failure> {
    match serde_json::to_string_pretty(value) {
        Ok(text) => print(exit, &text),
        Err(problem) => Err(unprinted(exit, problem.into())),
    }
}

fn unprinted(exit: Exit, problem: io::Error) -> Failure {
    let exit = match exit {
        Exit::Done => Exit::Unexpected,
        exit => exit,
    };
    Failure::new(
        exit,
        format_args!("the answer could not be written to standard output: {problem}"),
    )
}

/// The unmet ones of these checks, a message each.
fn unmet(checks: &[Check]) -> Failure {
    let unmet = checks.iter().filter(|check| check.state == State::Unmet);
    let messages = unmet.map(|check| {
        let remedy = check.remedy.as_deref().unwrap_or_default();
        format!("{}: {}; {remedy}", check.what, check.found)
    });
    Failure {
        exit: Exit::Unmet,
        step: Some(Step::Preflight),
        messages: messages.collect(),
    }
}
