//! `config`: the effective configuration, or everything that is wrong with it.

use log::error;

use super::{print, print_json};
use crate::cli::{Cli, Command, Json};
use crate::config::{Config, Problems};
use crate::exit::Exit;
use crate::report;
use crate::timestamp::Timestamp;
use crate::ui::counted;

pub(super) fn show(json: &Json, config: &Config) -> Exit {
    if json.json {
        return print_json(config);
    }
    let source = match &config.source {
        Some(source) => format!("# from {}", source.display()),
        None => "# the built-in defaults".to_owned(),
    };
    match toml::to_string(config) {
        Ok(text) => print(&format!("{source}\n{}", text.trim_end())),
        Err(problem) => {
            error!("the configuration could not be written as TOML: {problem}");
            Exit::Unexpected
        }
    }
}

/// Says what is wrong, for whatever command was asked for.
pub(super) fn refuse(cli: &Cli, is_run: bool, problems: &Problems, now: Timestamp) -> Exit {
    if matches!(&cli.command, Command::Config(Json { json: true })) {
        print_json(problems);
    }
    for line in problems.to_string().lines() {
        error!(step = "config"; "{line}");
    }
    if is_run {
        let count = counted(problems.list.len() as u64, "problem");
        let source = problems
            .source
            .as_ref()
            .map(|source| source.display().to_string())
            .unwrap_or_default();
        let what = format!(
            "{count} in the configuration {source}, listed above; `opencode-backup config` lists them too"
        );
        report::announce_refused(now, &what);
    }
    Exit::Usage
}
