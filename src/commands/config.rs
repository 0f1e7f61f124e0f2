//! `config`: the effective configuration, or everything that is wrong with it.

use super::{print, print_json};
use crate::cli::{Cli, Command, Json};
use crate::config::{Config, Problems};
use crate::exit::{Exit, Failure};
use crate::report;
use crate::step::Step;
use crate::timestamp::Timestamp;
use crate::ui::counted;

pub(super) fn show(json: &Json, config: &Config) -> Result<Exit, Failure> {
    if json.json {
        return print_json(Exit::Done, config);
    }
    let source = match &config.source {
        Some(source) => format!("# from {}", source.display()),
        None => "# the built-in defaults".to_owned(),
    };
    let text = toml::to_string(config).map_err(|problem| {
        let what = format!("the configuration could not be written as TOML: {problem}");
        Failure::new(Exit::Unexpected, what)
    })?;
    print(Exit::Done, &format!("{source}\n{}", text.trim_end()))
}

/// Reports a configuration that is refused; a run that ends so has a verdict, too.
pub(super) fn refuse(cli: &Cli, run: Option<Timestamp>, problems: &Problems) -> Failure {
    let failure = Failure {
        exit: Exit::Usage,
        step: Some(Step::Config),
        messages: problems.to_string().lines().map(str::to_owned).collect(),
    };
    if matches!(&cli.command, Command::Config(Json { json: true }))
        && let Err(unprinted) = print_json(Exit::Usage, problems)
    {
        return unprinted;
    }
    if let Some(run) = run {
        let count = counted(problems.list.len() as u64, "problem");
        let source = problems.source.as_ref();
        let source = source.map(|source| source.display().to_string());
        let what = format!(
            "{count} in the configuration {}, listed above; `opencode-backup config` lists them too",
            source.unwrap_or_default()
        );
        super::print_failure(&failure);
        report::announce_refused(run, &what);
        return Failure {
            messages: Vec::new(),
            ..failure
        };
    }
    failure
}
