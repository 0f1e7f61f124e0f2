//! What must hold between keys: places that may not coincide or contain one another.
//!
//! The snapshot directory may lie below the subvolume (as a subvolume of its own it is not part
//! of its snapshots), and the subvolume may lie below it (both under one mount of the top level).
//! A dataset may not share a branch with it: it would hold snapshots, or be one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::problem::{Refusal, quoted};
use super::reader::{At, Reader, Section};
use super::values::DatasetName;
use super::{Config, Dataset};

type Place<'a> = &'a Option<At<PathBuf>>;

/// What the file says about places; `None` where it is silent or was refused.
pub(super) struct Places<'a> {
    pub(super) subvolume: Place<'a>,
    pub(super) snapshot_dir: Place<'a>,
    pub(super) files: [(&'static str, Place<'a>); 3],
    /// `None`: the file has no datasets of its own.
    pub(super) datasets: Option<&'a BTreeMap<DatasetName, At<Dataset>>>,
}

pub(super) fn check(
    reader: &mut Reader<'_>,
    root: &Section<'_>,
    places: &Places<'_>,
    default: &Config,
) {
    // What could not be read must not be taken for the default.
    if reader.has_syntax_errors() {
        return;
    }
    let refused = |key, place: Place<'_>| root.has(key) && place.is_none();
    let unclear =
        refused("subvolume", places.subvolume) || refused("snapshot_dir", places.snapshot_dir);
    if !unclear {
        directories(reader, places, default);
    }
    files(reader, places, default);
    if let Some(datasets) = places.datasets {
        nested(reader, datasets);
    }
}

fn directories(reader: &mut Reader<'_>, places: &Places<'_>, default: &Config) {
    let or = |place: Place<'_>, default: &Path| match place {
        Some(at) => at.value.clone(),
        None => default.to_owned(),
    };
    let subvolume = or(places.subvolume, &default.subvolume);
    let snapshot_dir = or(places.snapshot_dir, &default.snapshot_dir);
    let (key, offset) = match (places.snapshot_dir, places.subvolume) {
        (Some(at), _) => ("snapshot_dir", at.offset),
        (None, Some(at)) => ("subvolume", at.offset),
        (None, None) => ("snapshot_dir", 0),
    };
    let Ok(below) = snapshot_dir.strip_prefix(&subvolume) else {
        return;
    };
    if below.as_os_str().is_empty() {
        let what = format!(
            "subvolume and snapshot_dir must differ, both are {}",
            shown(&subvolume)
        );
        let remedy = "keep the snapshots elsewhere on the same file system, like \"/.snapshots\"";
        reader.note(offset, key.to_owned(), Refusal::new(what, remedy));
        return;
    }
    let mut clash = |name: &DatasetName, path: &Path, key: String, offset| {
        if path.starts_with(below) || below.starts_with(path) {
            let what = format!(
                "the dataset {name} ({}) and snapshot_dir ({}) must not contain one another",
                shown(&subvolume.join(path)),
                shown(&snapshot_dir)
            );
            let remedy =
                "a snapshot would hold snapshots: move snapshot_dir or choose another path";
            reader.note(offset, key, Refusal::new(what, remedy));
        }
    };
    match places.datasets {
        Some(datasets) => {
            for (name, at) in datasets {
                clash(
                    name,
                    &at.value.path,
                    format!("datasets.{name}.path"),
                    at.offset,
                );
            }
        }
        None => {
            for (name, dataset) in &default.datasets {
                clash(name, &dataset.path, key.to_owned(), offset);
            }
        }
    }
}

/// The files we read or write are different ones: a state file over the credentials loses them.
fn files(reader: &mut Reader<'_>, places: &Places<'_>, default: &Config) {
    let defaults = [
        Some(&default.env_file),
        Some(&default.report.state_file),
        default.report.textfile.as_ref(),
    ];
    let files: Vec<(&str, &Path, Option<usize>)> = places
        .files
        .iter()
        .zip(defaults)
        .filter_map(|((key, place), default)| match place {
            Some(at) => Some((*key, at.value.as_path(), Some(at.offset))),
            None => default.map(|path| (*key, path.as_path(), None)),
        })
        .collect();
    for (index, (key, path, offset)) in files.iter().enumerate() {
        for (earlier, other, other_offset) in &files[..index] {
            if path == other {
                let later = (*offset).max(*other_offset).unwrap_or_default();
                let key = if *offset == Some(later) { key } else { earlier };
                let what = format!("must be a file of its own, {} has two uses", shown(path));
                reader.note(
                    later,
                    (*key).to_owned(),
                    Refusal::new(what, "name another file"),
                );
            }
        }
    }
}

/// No dataset is or contains another: the same files would be stored twice under two verdicts.
fn nested(reader: &mut Reader<'_>, datasets: &BTreeMap<DatasetName, At<Dataset>>) {
    let mut ordered: Vec<_> = datasets.iter().collect();
    ordered.sort_by_key(|(_, at)| at.offset);
    for (index, (name, at)) in ordered.iter().enumerate() {
        for (other, earlier) in &ordered[..index] {
            let (path, before) = (&at.value.path, &earlier.value.path);
            let relation = if path == before {
                "is the same as"
            } else if path.starts_with(before) {
                "lies in"
            } else if before.starts_with(path) {
                "contains"
            } else {
                continue;
            };
            let what = format!(
                "{} {relation} datasets.{other}.path ({})",
                shown(path),
                shown(before)
            );
            let refusal = Refusal::new(what, "one dataset for each directory: drop one of them");
            reader.note(at.offset, format!("datasets.{name}.path"), refusal);
        }
    }
}

fn shown(path: &Path) -> String {
    quoted(&path.to_string_lossy())
}
