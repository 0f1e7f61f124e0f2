//! Rules between keys: places that must not coincide or contain one another.
//!
//! The snapshot directory may be below the subvolume (as a subvolume of its own it is not part of the snapshots), and
//! the subvolume may be below it (both in one mount of the top level). A dataset may neither contain it nor be in it.

use std::path::Path;

use super::Config;
use super::problem::quoted;

/// The most datasets: a manifest holds no more.
const MOST: usize = 1000;

/// A rule that the values of some keys violate together.
pub(super) struct Clash {
    pub keys: Vec<String>,
    pub what: String,
    pub remedy: &'static str,
}

pub(super) fn clashes(config: &Config) -> Vec<Clash> {
    let mut found = Vec::new();
    if config.enabled().next().is_none() {
        found.push(Clash {
            keys: vec!["datasets".to_owned()],
            what: "no dataset is enabled".to_owned(),
            remedy: "set enable = true in one of them, or add one",
        });
    }
    if config.datasets.len() > MOST {
        found.push(Clash {
            keys: vec!["datasets".to_owned()],
            what: format!("more than {MOST} datasets"),
            remedy: "store several directories as one dataset",
        });
        return found;
    }
    let enabled = config.enabled();
    let datasets: Vec<(String, &Path)> = enabled
        .map(|(name, dataset)| (format!("datasets.{name}.path"), dataset.path.as_path()))
        .collect();
    if let Ok(below) = config.snapshot_dir.strip_prefix(&config.subvolume) {
        directories(config, below, &datasets, &mut found);
    }
    // Otherwise the same files would be stored twice, under two verdicts.
    for (index, (key, path)) in datasets.iter().enumerate() {
        for (other, earlier) in datasets[..index]
            .iter()
            .filter(|(_, earlier)| overlap(path, earlier))
        {
            let (path, earlier) = (shown(path), shown(earlier));
            found.push(Clash {
                keys: vec![other.clone(), key.clone()],
                what: format!(
                    "{other} ({earlier}) and {key} ({path}) must not contain one another"
                ),
                remedy: "keep one dataset for each directory; enable = false disables one",
            });
        }
    }
    files(config, &mut found);
    found
}

/// `below` is the snapshot directory's place in the subvolume.
fn directories(
    config: &Config,
    below: &Path,
    datasets: &[(String, &Path)],
    found: &mut Vec<Clash>,
) {
    let snapshot_dir = shown(&config.snapshot_dir);
    let keys = ["subvolume", "snapshot_dir"].map(str::to_owned).to_vec();
    if below.as_os_str().is_empty() {
        found.push(Clash {
            keys,
            what: format!("subvolume and snapshot_dir must differ, both are {snapshot_dir}"),
            remedy: "name another directory of the same file system, like \"/.snapshots\"",
        });
        return;
    }
    for (key, path) in datasets.iter().filter(|(_, path)| overlap(path, below)) {
        let path = shown(&config.subvolume.join(path));
        found.push(Clash {
            keys: keys.iter().chain([key]).cloned().collect(),
            what: format!(
                "{key} ({path}) and snapshot_dir ({snapshot_dir}) must not contain one another"
            ),
            remedy: "a snapshot would hold snapshots: name another directory",
        });
    }
}

/// Two keys must not name the same file: a state file would overwrite the credentials.
fn files(config: &Config, found: &mut Vec<Clash>) {
    let files = [
        ("env_file", Some(&config.env_file)),
        ("report.state_file", Some(&config.report.state_file)),
        ("report.textfile", config.report.textfile.as_ref()),
    ];
    for (index, (key, path)) in files.iter().enumerate() {
        for (other, _) in files[..index].iter().filter(|(_, other)| other == path) {
            let path = path.map(|path| shown(path)).unwrap_or_default();
            found.push(Clash {
                keys: vec![(*other).to_owned(), (*key).to_owned()],
                what: format!("must be a file of its own, {path} has two uses"),
                remedy: "name another file",
            });
        }
    }
}

fn overlap(path: &Path, other: &Path) -> bool {
    path.starts_with(other) || other.starts_with(path)
}

fn shown(path: &Path) -> String {
    quoted(&path.to_string_lossy())
}
