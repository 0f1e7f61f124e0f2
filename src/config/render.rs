//! The effective configuration, as TOML that parses back to an equal one, and as JSON.
//!
//! Written by hand and not by a serialiser, so that options that are absent appear too, commented
//! out, with a value to start from.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};

use super::Config;

impl Config {
    /// The configuration as a file; absent options are commented out.
    #[must_use]
    pub(crate) fn to_toml(&self) -> String {
        let mut out = Lines::default();
        out.set("subvolume", path(&self.subvolume));
        out.set("snapshot_dir", path(&self.snapshot_dir));
        let uuids = list(self.former_subvolume_uuids.iter().map(ToString::to_string));
        out.set_if(
            !self.former_subvolume_uuids.is_empty(),
            "former_subvolume_uuids",
            uuids,
        );
        out.set("env_file", path(&self.env_file));
        for (name, dataset) in &self.datasets {
            out.table(&format!("datasets.{name}"));
            out.set("path", path(&dataset.path));
            out.set("format", string(dataset.format.as_str()));
            let age = dataset.max_data_age.map(|age| string(&age.to_string()));
            out.option("max_data_age", age, "\"24h\"");
            let check = (!dataset.check.is_empty()).then(|| list(&dataset.check));
            out.option("check", check, "[\"valkey-check\", \"{dir}\"]");
        }
        self.remote_to_toml(&mut out);
        out.table("export");
        out.set("enable", self.export.enable.to_string());
        out.set("command", list(&self.export.command));
        out.set("timeout", string(&self.export.timeout.to_string()));
        out.table("drill");
        out.set("timeout", string(&self.drill.timeout.to_string()));
        let retention = &self.retention;
        out.table("retention");
        out.set("days", retention.days.to_string());
        out.set("min_keep", retention.min_keep.to_string());
        if let Some(remote) = &retention.remote {
            out.table("retention.remote");
            out.set("days", remote.days.to_string());
            out.set("min_keep", remote.min_keep.to_string());
        }
        out.table("report");
        out.set("state_file", path(&self.report.state_file));
        let example = "\"/var/lib/prometheus-node-exporter/opencode-backup.prom\"";
        out.option(
            "textfile",
            self.report.textfile.as_deref().map(path),
            example,
        );
        out.0
    }

    fn remote_to_toml(&self, out: &mut Lines) {
        let remote = &self.remote;
        out.table("remote");
        out.set("bucket", string(remote.bucket.as_str()));
        out.set("prefix", string(remote.prefix.as_str()));
        out.set("provider", string(&remote.provider));
        out.set("endpoint", string(remote.endpoint.as_str()));
        out.set("incremental", remote.incremental.to_string());
        out.set(
            "bandwidth",
            string(remote.bandwidth.as_deref().unwrap_or_default()),
        );
        out.set("memory", string(&remote.memory.to_string()));
        out.set("extra_args", list(&remote.extra_args));
    }

    /// The configuration as JSON: the keys are those of the file, all are there, and options that
    /// are absent are null.
    #[must_use]
    pub(crate) fn to_json(&self) -> Value {
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let datasets: serde_json::Map<String, Value> = self
            .datasets
            .iter()
            .map(|(name, dataset)| {
                let value = json!({
                    "path": text(&dataset.path),
                    "format": dataset.format.as_str(),
                    "max_data_age": dataset.max_data_age.map(|age| age.to_string()),
                    "check": (!dataset.check.is_empty()).then_some(&dataset.check),
                });
                (name.to_string(), value)
            })
            .collect();
        let uuids = self.former_subvolume_uuids.iter().map(ToString::to_string);
        json!({
            "subvolume": text(&self.subvolume),
            "snapshot_dir": text(&self.snapshot_dir),
            "former_subvolume_uuids": uuids.collect::<Vec<_>>(),
            "env_file": text(&self.env_file),
            "datasets": datasets,
            "remote": {
                "bucket": self.remote.bucket.as_str(),
                "prefix": self.remote.prefix.as_str(),
                "provider": self.remote.provider,
                "endpoint": self.remote.endpoint.as_str(),
                "incremental": self.remote.incremental,
                "bandwidth": self.remote.bandwidth,
                "memory": self.remote.memory.to_string(),
                "extra_args": self.remote.extra_args,
            },
            "export": {
                "enable": self.export.enable,
                "command": self.export.command,
                "timeout": self.export.timeout.to_string(),
            },
            "drill": { "timeout": self.drill.timeout.to_string() },
            "retention": {
                "days": self.retention.days,
                "min_keep": self.retention.min_keep,
                "remote": self.retention.remote.map(|remote| json!({
                    "days": remote.days,
                    "min_keep": remote.min_keep,
                })),
            },
            "report": {
                "state_file": text(&self.report.state_file),
                "textfile": self.report.textfile.as_deref().map(text),
            },
        })
    }
}

#[derive(Default)]
struct Lines(String);

impl Lines {
    fn table(&mut self, name: &str) {
        self.line(format_args!("\n[{name}]"));
    }

    fn set(&mut self, key: &str, value: String) {
        self.line(format_args!("{key} = {value}"));
    }

    /// Commented out where the value is only the default's.
    fn set_if(&mut self, live: bool, key: &str, value: String) {
        let mark = if live { "" } else { "# " };
        self.line(format_args!("{mark}{key} = {value}"));
    }

    fn option(&mut self, key: &str, value: Option<String>, example: &str) {
        let live = value.is_some();
        self.set_if(live, key, value.unwrap_or_else(|| example.to_owned()));
    }

    #[expect(clippy::expect_used, reason = "writing to a String does not fail")]
    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        writeln!(self.0, "{line}").expect("a String takes all");
    }
}

fn path(path: &Path) -> String {
    string(&path.to_string_lossy())
}

fn list<S: AsRef<str>>(items: impl IntoIterator<Item = S>) -> String {
    let items: Vec<String> = items
        .into_iter()
        .map(|item| string(item.as_ref()))
        .collect();
    format!("[{}]", items.join(", "))
}

/// A basic string on one line: TOML wants every control character but tab escaped, DEL included.
fn string(text: &str) -> String {
    let mut out = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => out.push_str(&format!("\\U{:08X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
