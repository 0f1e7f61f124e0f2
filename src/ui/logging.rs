//! Where log lines go: the journal with fields, when systemd started us; stderr otherwise.
//!
//! Every line passes the redactor once more here. Children's lines were redacted before, but an error may
//! quote what a system call or a library said.

use std::io::{IsTerminal as _, Write as _};
use std::sync::{Arc, OnceLock};

use anyhow::{Context as _, Result};
use clap::ValueEnum;
use log::kv::{Key, VisitSource};
use log::{Level, LevelFilter, Log, Metadata, Record};
use systemd_journal_logger::{JournalLog, connected_to_journal};

use crate::secrets::Redactor;
use crate::timestamp::Timestamp;
use crate::ui::progress::Terminal;

/// The verdict's MESSAGE_ID: `journalctl MESSAGE_ID=b89e402814f24b4ba1964a1251f496c9`.
pub(crate) const VERDICT_ID: &str = "b89e402814f24b4ba1964a1251f496c9";

/// `--log`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Destination {
    /// The journal if stderr is connected to it, stderr otherwise.
    #[default]
    Auto,
    /// The journal.
    Journal,
    /// Standard error.
    Stderr,
}

static REDACTOR: OnceLock<Redactor> = OnceLock::new();

/// From here on, these secrets are taken out of every line.
pub(crate) fn redact(redactor: &Redactor) {
    // A second call comes from nowhere: a process has one command.
    let _ = REDACTOR.set(redactor.clone());
}

/// A text without the secrets.
pub(crate) fn redacted(text: &str) -> String {
    REDACTOR.get().map_or_else(
        || text.to_owned(),
        |redactor| redactor.redact(text).into_owned(),
    )
}

/// Installs the logger. Once a process.
///
/// # Errors
/// Where the journal was asked for by name and is not there.
pub(crate) fn install(
    destination: Destination,
    level: LevelFilter,
    run: Option<Timestamp>,
    terminal: Arc<Terminal>,
) -> Result<()> {
    let journal = match destination {
        Destination::Stderr => false,
        Destination::Journal => true,
        Destination::Auto => connected_to_journal(),
    };
    let sink = if journal {
        let mut journal = JournalLog::new().context(
            "opening the journal's socket; is systemd-journald running? --log stderr needs none",
        )?
        // Not the program's file name, which Nix's wrapper changes to `.opencode-backup-wrapped`.
        .with_syslog_identifier(env!("CARGO_PKG_NAME").to_owned());
        if let Some(run) = run {
            journal = journal.add_extra_field("OPENCODE_BACKUP_TIMESTAMP", run.to_string());
        }
        Sink::Journal(Box::new(journal))
    } else {
        let colour = std::io::stderr().is_terminal()
            && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Sink::Stderr { terminal, colour }
    };
    log::set_boxed_logger(Box::new(sink)).context("installing the logger")?;
    log::set_max_level(level);
    Ok(())
}

enum Sink {
    Journal(Box<JournalLog>),
    Stderr {
        terminal: Arc<Terminal>,
        colour: bool,
    },
}

impl Log for Sink {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let text = record.args().to_string();
        let text = redacted(&text);
        match self {
            Self::Journal(journal) => {
                // Nowhere to complain when the journal is gone.
                let _ =
                    journal.journal_send(&record.to_builder().args(format_args!("{text}")).build());
            }
            Self::Stderr { terminal, colour } => {
                let line = line(record, &printable(&text), *colour);
                terminal.suspend(|| {
                    let _ = writeln!(std::io::stderr(), "{line}");
                });
            }
        }
    }

    fn flush(&self) {}
}

/// What a file is called, and what a child prints, may hold escape sequences that rewrite the terminal.
fn printable(text: &str) -> String {
    let escape = |c: char| {
        if c.is_control() {
            c.escape_default().to_string()
        } else {
            c.to_string()
        }
    };
    text.chars().map(escape).collect()
}

fn line(record: &Record<'_>, text: &str, colour: bool) -> String {
    let (word, code) = match record.level() {
        Level::Error => ("error", "31;1"),
        Level::Warn => ("warning", "33"),
        Level::Info => ("", ""),
        Level::Debug | Level::Trace => ("debug", "2"),
    };
    // What a child printed is told apart from what we say.
    let mut child = Child(None);
    let _ = record.key_values().visit(&mut child);
    let text = child
        .0
        .map_or_else(|| text.to_owned(), |label| format!("{label} | {text}"));
    match (word, colour) {
        ("", _) => text,
        (word, true) => format!("\x1b[{code}m{word}:\x1b[0m {text}"),
        (word, false) => format!("{word}: {text}"),
    }
}

struct Child(Option<String>);

impl<'kvs> VisitSource<'kvs> for Child {
    fn visit_pair(
        &mut self,
        key: Key<'kvs>,
        value: log::kv::Value<'kvs>,
    ) -> Result<(), log::kv::Error> {
        if key.as_str() == "child" {
            self.0 = Some(value.to_string());
        }
        Ok(())
    }
}
