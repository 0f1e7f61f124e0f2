//! From the text of a file to a [`Config`], or to its problems.

use std::path::Path;

use serde::Deserialize as _;
use toml::Spanned;
use toml::de::{DeTable, DeValue, Deserializer, Error};

use super::Config;
use super::places::{self, Clash};
use super::problem::{Problem, Problems, quoted, remedy};

const DEFAULTS: &str = include_str!("defaults.toml");

/// The keys that are tables, besides `datasets`, its keys, and `retention.remote`.
const TABLES: [&str; 6] = [
    "remote",
    "export",
    "drill",
    "retention",
    "report",
    "restore",
];

/// A file with more problems is not worth reading on: it is another file.
const MOST_PROBLEMS: usize = 20;

impl Config {
    /// Reads a configuration; `source` is the name of its file in messages.
    pub(crate) fn parse(text: &str, source: Option<&Path>) -> Result<Self, Problems> {
        let mut list = Vec::new();
        match read(text, &mut list) {
            Some(config) if list.is_empty() => Ok(Self {
                source: source.map(Path::to_owned),
                ..config
            }),
            _ => {
                list.sort_by_key(|problem| problem.line);
                Err(Problems {
                    source: source.map(Path::to_owned),
                    list,
                })
            }
        }
    }
}

/// Removes each refused key and reads again, so that one run reports the problems of all tables.
fn read(text: &str, problems: &mut Vec<Problem>) -> Option<Config> {
    let (defaults, file) = (table(DEFAULTS, problems)?, table(text, problems)?);
    let mut sound = file.clone();
    for (steps, offset) in arrays(&file) {
        let key = shown(&steps.iter().map(String::as_str).collect::<Vec<_>>());
        let what = "an array, expected a table";
        problems.push(Problem::new(
            key,
            Some(line(text, offset)),
            what,
            remedy(""),
        ));
        remove(&mut sound, &steps);
    }
    loop {
        let mut merged = defaults.clone();
        merge(&mut merged, sound.clone());
        let error = match Config::deserialize(Deserializer::from(Spanned::new(0..0, merged))) {
            Ok(config) => {
                // Rules between keys are checked only if every key was accepted.
                if problems.is_empty() {
                    let clashes = places::clashes(&config).into_iter();
                    problems.extend(clashes.map(|clash| clashing(text, &file, &clash)));
                }
                return Some(config);
            }
            Err(error) => error,
        };
        let offset = error.span().map_or(0, |span| span.start);
        let found = locate(&sound, offset);
        problems.push(refused(text, &found, offset, &error));
        if problems.len() == MOST_PROBLEMS || !remove(&mut sound, &found.steps) {
            return None;
        }
    }
}

/// Where an array stands in the place of a table. serde would take its items for the table's values, in order.
fn arrays(file: &DeTable<'_>) -> Vec<(Vec<String>, usize)> {
    let mut found = Vec::new();
    for (key, value) in file {
        let name = key.get_ref().to_string();
        match value.get_ref() {
            DeValue::Array(_) if TABLES.contains(&name.as_str()) => {
                found.push((vec![name], value.span().start));
            }
            DeValue::Table(inner) if matches!(name.as_str(), "datasets" | "retention") => {
                for (key, value) in inner {
                    let is_table = name == "datasets" || key.get_ref() == "remote";
                    if is_table && matches!(value.get_ref(), DeValue::Array(_)) {
                        let steps = vec![name.clone(), key.get_ref().to_string()];
                        found.push((steps, value.span().start));
                    }
                }
            }
            _ => {}
        }
    }
    found
}

fn table<'a>(text: &'a str, problems: &mut Vec<Problem>) -> Option<DeTable<'a>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    let start = |error: &&Error| error.span().map(|span| span.start);
    let Some(error) = errors.iter().min_by_key(start) else {
        return Some(table.into_inner());
    };
    let line = error.span().map(|span| line(text, span.start));
    let what = format!("not valid TOML: {}", error.message());
    let remedy = "correct the line; strings need quotation marks, a key stands once in its table";
    problems.push(Problem::new(String::new(), line, &what, remedy));
    None
}

/// Puts the keys of a file over the defaults, table by table.
fn merge<'a>(under: &mut DeTable<'a>, over: DeTable<'a>) {
    for (key, value) in over {
        let (span, mut value) = (value.span(), value.into_inner());
        let below = under
            .remove(key.get_ref().as_ref())
            .map(Spanned::into_inner);
        if let (Some(DeValue::Table(mut below)), DeValue::Table(above)) = (below, &mut value) {
            merge(&mut below, std::mem::take(above));
            *above = below;
        }
        under.insert(key, Spanned::new(span, value));
    }
}

/// A place in the file: the keys that lead to it.
struct Found {
    steps: Vec<String>,
    /// Whether it is a key's name rather than its value.
    is_name: bool,
}

fn refused(text: &str, found: &Found, offset: usize, error: &Error) -> Problem {
    let steps: Vec<&str> = found.steps.iter().map(String::as_str).collect();
    let remedy = match (steps.as_slice(), found.is_name) {
        (["datasets", _], _) => "write it like [datasets.memory] with path = \"containers/memory\"",
        (_, true) => {
            "correct or remove it; B2_KEY_ID and B2_APP_KEY belong in the environment or in env_file"
        }
        ([.., name], false) => remedy(name),
        ([], false) => remedy(""),
    };
    let key = shown(&steps);
    Problem::new(key, Some(line(text, offset)), error.message(), remedy)
}

fn locate(table: &DeTable<'_>, offset: usize) -> Found {
    let mut found = Found {
        steps: Vec::new(),
        is_name: false,
    };
    descend(table, offset, &mut found);
    found
}

/// Whether the offset is in this table.
fn descend(table: &DeTable<'_>, offset: usize, found: &mut Found) -> bool {
    for (key, value) in table {
        found.steps.push(key.get_ref().to_string());
        if let DeValue::Table(inner) = value.get_ref()
            && descend(inner, offset, found)
        {
            return true;
        }
        found.is_name = key.span().contains(&offset);
        if found.is_name || value.span().contains(&offset) {
            return true;
        }
        found.steps.pop();
    }
    false
}

/// Removes a refused key. A dataset is removed as a whole: without its path it would be refused again.
fn remove(table: &mut DeTable<'_>, steps: &[String]) -> bool {
    let [first, rest @ ..] = steps else {
        return false;
    };
    let depth = if first == "datasets" { 1 } else { rest.len() };
    let rest = &rest[..depth.min(rest.len())];
    if rest.is_empty() {
        return table.remove(first.as_str()).is_some();
    }
    match table.get_mut(first.as_str()).map(Spanned::get_mut) {
        Some(DeValue::Table(inner)) => remove(inner, rest),
        _ => false,
    }
}

/// Of the keys that clash, the one that is last in the file is reported: it is probably the newest.
fn clashing(text: &str, file: &DeTable<'_>, clash: &Clash) -> Problem {
    let place = |key: &&String| offset(file, key);
    let key = clash.keys.iter().max_by_key(place);
    let line = key
        .as_ref()
        .and_then(place)
        .map(|offset| line(text, offset));
    let key = key.cloned().unwrap_or_default();
    Problem::new(key, line, &clash.what, clash.remedy)
}

/// Where a key is in the file, in bytes.
fn offset(table: &DeTable<'_>, key: &str) -> Option<usize> {
    let (first, rest) = key.split_once('.').unwrap_or((key, ""));
    let value = table.get(first)?;
    match value.get_ref() {
        _ if rest.is_empty() => Some(value.span().start),
        DeValue::Table(inner) => offset(inner, rest),
        _ => None,
    }
}

/// Counted from 1.
fn line(text: &str, offset: usize) -> usize {
    let before = text.as_bytes().iter().take(offset);
    1 + before.filter(|byte| **byte == b'\n').count()
}

/// The path of a key as TOML writes it.
fn shown(steps: &[&str]) -> String {
    let bare = |step: &str| {
        (1..=80).contains(&step.len())
            && step
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    let steps: Vec<String> = steps
        .iter()
        .map(|step| {
            if bare(step) {
                (*step).to_owned()
            } else {
                quoted(step)
            }
        })
        .collect();
    steps.join(".")
}
