//! A bed's configuration and credentials, and what the program left behind.
//!
//! The surprise: the configuration is complete, though the program has defaults
//! for most of it. Its defaults are a real host's paths and a real bucket.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde_json::Value;
use toml::Table;

use super::Bed;
use crate::s3::{APP_KEY, KEY_ID};

pub(super) fn write_config(bed: &Bed) -> Result<()> {
    let at = bed.scratch().display();
    let text = format!(
        r#"subvolume = "{subvolume}"
snapshot_dir = "{snapshots}"
env_file = "{at}/opencode.env"

[datasets.falkordb]
path = "containers/falkordb"
format = "redis"
max_data_age = "off"

[datasets.valkey]
path = "containers/valkey"
format = "redis"
max_data_age = "off"

[remote]
bucket = "{bucket}"
endpoint = "{endpoint}"

[export]
command = ["{at}/venv/bin/python3", "{at}/memory_manager.py", "export"]
timeout = "1m"

[report]
state_file = "{at}/state/last-run.json"
"#,
        subvolume = bed.subvolume().display(),
        snapshots = bed.snapshot_dir().display(),
        bucket = bed.bucket(),
        endpoint = bed.s3().endpoint(),
    );
    Ok(fs::write(bed.config_path(), text)?)
}

impl Bed {
    /// The configuration file.
    pub fn config_path(&self) -> PathBuf {
        self.scratch().join("config.toml")
    }

    /// The credentials' file.
    pub fn env_path(&self) -> PathBuf {
        self.scratch().join("opencode.env")
    }

    /// The state file.
    pub fn state_path(&self) -> PathBuf {
        self.scratch().join("state/last-run.json")
    }

    /// The export script, which a test may replace.
    pub fn script_path(&self) -> PathBuf {
        self.scratch().join("memory_manager.py")
    }

    /// Changes the configuration as text.
    pub fn config_edit(&self, edit: impl FnOnce(String) -> String) -> Result<()> {
        let text = fs::read_to_string(self.config_path())?;
        Ok(fs::write(self.config_path(), edit(text))?)
    }

    /// Sets one key, by its dotted path: `bed.set("export.timeout", "2s")`.
    pub fn set(&self, key: &str, value: impl Into<toml::Value>) -> Result<()> {
        self.change(key, Some(value.into()))
    }

    /// Removes one key or table.
    pub fn unset(&self, key: &str) -> Result<()> {
        self.change(key, None)
    }

    fn change(&self, key: &str, value: Option<toml::Value>) -> Result<()> {
        let mut config: Table = toml::from_str(&fs::read_to_string(self.config_path())?)?;
        let (tables, last) = key.rsplit_once('.').unwrap_or(("", key));
        let mut table = &mut config;
        for name in tables.split('.').filter(|name| !name.is_empty()) {
            let entry = table.entry(name).or_insert_with(|| Table::new().into());
            table = entry
                .as_table_mut()
                .with_context(|| format!("{name} is no table"))?;
        }
        match value {
            Some(value) => table.insert(last.to_owned(), value),
            None => table.remove(last),
        };
        Ok(fs::write(self.config_path(), toml::to_string(&config)?)?)
    }

    /// Writes the credentials' file, with more variables, or other values for
    /// the same: `bed.write_env(&[("FIXTURE_MODE", "lie")])`.
    pub fn write_env(&self, more: &[(&str, &str)]) -> Result<()> {
        let realm = self.b2().realm();
        let standard = [
            ("B2_KEY_ID", KEY_ID),
            ("B2_APP_KEY", APP_KEY),
            ("B2_REALM", &realm),
            // Closed ports: a developer's own servers are none of our business.
            ("FALKORDB_HOST", "127.0.0.1"),
            ("FALKORDB_PORT", "1"),
            ("VALKEY_HOST", "127.0.0.1"),
            ("VALKEY_PORT", "1"),
        ];
        let replaced = |name: &str| more.iter().any(|(other, _)| *other == name);
        let kept = standard
            .iter()
            .filter(|(name, _)| !replaced(name))
            .chain(more);
        let text: String = kept
            .map(|(name, value)| format!("{name}={value}\n"))
            .collect();
        let fresh = !self.env_path().exists();
        fs::write(self.env_path(), text)?;
        if fresh {
            fs::set_permissions(self.env_path(), fs::Permissions::from_mode(0o600))?;
        }
        Ok(())
    }

    /// Selects the export script's behaviour: `ok`, `exit1`, `lie`, `slow:2`…
    pub fn export_mode(&self, mode: &str) -> Result<()> {
        self.write_env(&[("FIXTURE_MODE", mode)])
    }

    /// Names in the snapshot directory, sorted.
    pub fn snapshots(&self) -> Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(self.snapshot_dir())? {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        Ok(names)
    }

    /// Keys in the bucket, sorted.
    pub fn keys(&self) -> Result<Vec<String>> {
        self.s3().keys(self.bucket())
    }

    /// Timestamps that have a manifest, oldest first: the committed backups.
    pub fn committed(&self) -> Result<Vec<String>> {
        let named = |key: String| {
            let name = key
                .strip_prefix("manifests/")?
                .strip_suffix(".json")?
                .to_owned();
            (!name.contains('.')).then_some(name)
        };
        Ok(self.keys()?.into_iter().filter_map(named).collect())
    }

    /// A JSON object in the bucket.
    pub fn json(&self, key: &str) -> Result<Value> {
        let bytes = self.s3().get(self.bucket(), key)?;
        let bytes = bytes.with_context(|| format!("no {key} among {:?}", self.keys()))?;
        serde_json::from_slice(&bytes).with_context(|| format!("{key} is no JSON"))
    }

    /// The summary of a complete backup, with the files of each dataset
    /// from its file list: `entries`, `users`, `groups`, `left_out`.
    pub fn manifest(&self, timestamp: &str) -> Result<Value> {
        self.manifest_as(timestamp, "")
    }

    /// The same for a partial backup.
    pub fn partial_manifest(&self, timestamp: &str) -> Result<Value> {
        self.manifest_as(timestamp, ".partial")
    }

    fn manifest_as(&self, timestamp: &str, kind: &str) -> Result<Value> {
        let mut summary = self.json(&format!("manifests/{timestamp}{kind}.json"))?;
        let files = self.json(&format!("manifests/{timestamp}.files.json"))?;
        let lists = files["datasets"].as_array().context("datasets")?;
        let datasets = summary["datasets"].as_array_mut().context("datasets")?;
        for dataset in datasets {
            let list = lists.iter().find(|list| list["name"] == dataset["name"]);
            let tree = list.and_then(|list| list["tree"].as_object());
            let dataset = dataset.as_object_mut().context("a dataset")?;
            dataset.extend(tree.context("a file list")?.clone());
        }
        Ok(summary)
    }

    /// The state file.
    pub fn state(&self) -> Result<Value> {
        let path = self.state_path();
        let text = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("{} is no JSON", path.display()))
    }
}
