//! Rules between keys: places that must not coincide or contain one another.
//!
//! The snapshot directory may be below the subvolume (as a subvolume of its own it is not part of the snapshots), and
//! the subvolume may be below it (both in one mount of the top level). A dataset may neither contain it nor be in it.

use std::path::Path;

use toml::de::DeTable;

use super::problem::{Problem, quoted};
use super::{Config, parse};

/// A rule that two values violate together.
pub(super) struct Clash<'a> {
    /// The paths of both keys. The one that stands later in the file is reported; it is probably the newer one.
    keys: Vec<Vec<&'a str>>,
    what: String,
    remedy: &'static str,
}

impl Clash<'_> {
    pub(super) fn at(self, text: &str, file: &DeTable<'_>) -> Problem {
        let offset = |steps: &Vec<&str>| parse::offset(file, steps);
        let line = |steps: &Vec<&str>| offset(steps).map(|offset| parse::line(text, offset));
        let steps = self.keys.iter().max_by_key(|steps| offset(steps));
        let key = steps.map(|steps| parse::shown(steps));
        Problem::new(
            key.unwrap_or_default(),
            steps.and_then(line),
            &self.what,
            self.remedy,
        )
    }
}

pub(super) fn clashes(config: &Config) -> Vec<Clash<'_>> {
    let mut found = Vec::new();
    if config.enabled().next().is_none() {
        found.push(Clash {
            keys: vec![vec!["datasets"]],
            what: "no dataset is enabled".to_owned(),
            remedy: "set enable = true in one of them, or add one",
        });
    }
    directories(config, &mut found);
    files(config, &mut found);
    nested(config, &mut found);
    found
}

fn directories<'a>(config: &'a Config, found: &mut Vec<Clash<'a>>) {
    let Ok(below) = config.snapshot_dir.strip_prefix(&config.subvolume) else {
        return;
    };
    if below.as_os_str().is_empty() {
        found.push(Clash {
            keys: vec![vec!["subvolume"], vec!["snapshot_dir"]],
            what: format!(
                "subvolume and snapshot_dir must differ, both are {}",
                shown(&config.subvolume)
            ),
            remedy: "name another directory of the same file system, like \"/.snapshots\"",
        });
        return;
    }
    for (name, dataset) in config.enabled() {
        if related(&dataset.path, below).is_some() {
            found.push(Clash {
                keys: vec![
                    vec!["subvolume"],
                    vec!["snapshot_dir"],
                    vec!["datasets", name.as_str(), "path"],
                ],
                what: format!(
                    "the dataset {name} ({}) and snapshot_dir ({}) must not contain one another",
                    shown(&config.subvolume.join(&dataset.path)),
                    shown(&config.snapshot_dir)
                ),
                remedy: "a snapshot would hold snapshots: name another directory",
            });
        }
    }
}

/// The files that are read or written are different ones: a state file over the credentials would destroy them.
fn files<'a>(config: &'a Config, found: &mut Vec<Clash<'a>>) {
    let files = [
        (vec!["env_file"], Some(&config.env_file)),
        (
            vec!["report", "state_file"],
            Some(&config.report.state_file),
        ),
        (vec!["report", "textfile"], config.report.textfile.as_ref()),
    ];
    for (index, (key, path)) in files.iter().enumerate() {
        for (other, _) in files[..index].iter().filter(|(_, other)| other == path) {
            let Some(path) = path else { continue };
            found.push(Clash {
                keys: vec![other.clone(), key.clone()],
                what: format!("must be a file of its own, {} has two uses", shown(path)),
                remedy: "name another file",
            });
        }
    }
}

/// Otherwise the same files would be stored twice, under two verdicts.
fn nested<'a>(config: &'a Config, found: &mut Vec<Clash<'a>>) {
    for (index, (name, dataset)) in config.enabled().enumerate() {
        for (other, earlier) in config.enabled().take(index) {
            let Some(relation) = related(&dataset.path, &earlier.path) else {
                continue;
            };
            found.push(Clash {
                keys: vec![
                    vec!["datasets", other.as_str(), "path"],
                    vec!["datasets", name.as_str(), "path"],
                ],
                what: format!(
                    "datasets.{name}.path ({}) {relation} datasets.{other}.path ({})",
                    shown(&dataset.path),
                    shown(&earlier.path)
                ),
                remedy: "keep one dataset for each directory; enable = false disables one",
            });
        }
    }
}

fn related(path: &Path, other: &Path) -> Option<&'static str> {
    match (path.starts_with(other), other.starts_with(path)) {
        (true, true) => Some("is the same as"),
        (true, false) => Some("is in"),
        (false, true) => Some("contains"),
        (false, false) => None,
    }
}

fn shown(path: &Path) -> String {
    quoted(&path.to_string_lossy())
}
