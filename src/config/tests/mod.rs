//! What the configuration promises, in tables: the text, then the key, line and words of each problem.

mod arguments;
mod loading;
mod printing;
mod refusals;
mod values;

use std::path::Path;

use super::{Config, Problems};

const SOURCE: &str = "/etc/x.toml";

fn parse(text: &str) -> Result<Config, Problems> {
    Config::parse(text, Some(Path::new(SOURCE)))
}

/// `KEY@LINE` of everything that is wrong.
fn places(text: &str) -> Vec<String> {
    parse(text).err().map_or_else(Vec::new, |problems| {
        let list = problems.list.into_iter();
        list.map(|p| format!("{}@{}", p.key, p.line.unwrap_or(0)))
            .collect()
    })
}

/// The one problem, as `KEY@LINE` and as the message printed.
#[track_caller]
fn only(text: &str) -> (String, String) {
    let Err(problems) = parse(text) else {
        panic!("accepted:\n{text}");
    };
    assert_eq!(problems.list.len(), 1, "{text}\n{problems}");
    let problem = &problems.list[0];
    let place = format!("{}@{}", problem.key, problem.line.unwrap_or(0));
    (place, problems.to_string())
}
