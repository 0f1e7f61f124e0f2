//! The tables `[datasets.NAME]`.
//!
//! `path` and `format` have no defaults: guessing "redis" would refuse good files, guessing
//! "files" would store broken dumps without a look.

use std::collections::BTreeMap;
use std::str::FromStr;

use super::commands::command;
use super::paths::relative;
use super::problem::Refusal;
use super::reader::{At, Reader, Section};
use super::schema::DATASET;
use super::values::{DatasetName, Span};
use super::{Dataset, Format};

/// The datasets that could be read, each with the place of its path.
pub(super) fn datasets<'a>(
    reader: &mut Reader<'a>,
    root: &Section<'a>,
) -> BTreeMap<DatasetName, At<Dataset>> {
    let table = reader.table(root, "datasets");
    let entries = reader.entries(&table, DATASET);
    if entries.is_empty() && !reader.has_syntax_errors() && table.exists() {
        let refusal = Refusal::new(
            "must have at least one dataset, is empty",
            "add a table like [datasets.falkordb], or leave [datasets] out for the defaults",
        );
        reader.note(table.offset, table.path.clone(), refusal);
    }
    let mut datasets = BTreeMap::new();
    for (name, section) in entries {
        let parsed = DatasetName::from_str(name.value);
        let dataset = dataset(reader, &section);
        match parsed {
            Err(refusal) => reader.note(name.offset, section.path, refusal),
            Ok(name) => {
                if let Some(dataset) = dataset {
                    datasets.insert(name, dataset);
                }
            }
        }
    }
    datasets
}

fn dataset<'a>(reader: &mut Reader<'a>, section: &Section<'a>) -> Option<At<Dataset>> {
    let path = reader.text(section, "path", "containers/falkordb", relative);
    let format = reader.text(section, "format", "redis", Format::from_str);
    let age = reader.text(section, "max_data_age", "24h", Span::from_str);
    let check = command(reader, section, "check");
    if let Some(check) = &check
        && !check
            .value
            .iter()
            .skip(1)
            .any(|word| word.contains("{dir}"))
    {
        let refusal = Refusal::new(
            "must name \"{dir}\" among its arguments, or it would check nothing",
            "write it like check = [\"valkey-check\", \"{dir}\"]",
        );
        reader.note(check.offset, section.key("check"), refusal);
    }
    for (key, example) in [("path", "containers/falkordb"), ("format", "redis")] {
        if section.exists() && !section.has(key) && !reader.has_syntax_errors() {
            let refusal = Refusal::new("is missing", format!("add {key} = \"{example}\""));
            reader.note(section.offset, section.key(key), refusal);
        }
    }
    let path = path?;
    Some(At {
        offset: path.offset,
        value: Dataset {
            path: path.value,
            format: format?.value,
            max_data_age: age.map(|at| at.value),
            check: check.map(|at| at.value).unwrap_or_default(),
        },
    })
}
