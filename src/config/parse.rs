//! From the text of a configuration file to a [`Config`], or to everything that is wrong with it.
//!
//! Every key is read even after one was refused; the defaults stand in for it until the end, so
//! that the rules that join two keys see only values that somebody meant.

use std::path::Path;
use std::str::FromStr;

use toml::de::DeTable;

use super::bandwidth::bandwidth;
use super::commands::command;
use super::datasets::datasets;
use super::extra_args::extra_args;
use super::paths::absolute;
use super::problem::{Problems, Refusal, quoted};
use super::reader::{Reader, Section};
use super::rules::{self, Places};
use super::values::{Span, Uuid};
use super::{Config, Drill, Export, Remote, RemoteRetention, Report, Retention};

/// The longest retention, in days: a hundred years still fit every calendar.
const MOST_DAYS: u32 = 36_500;

impl Config {
    /// Reads a configuration; `source` is only named in it and in messages.
    ///
    /// # Errors
    /// Everything that is wrong with the text, in its order.
    pub(crate) fn parse(text: &str, source: &Path) -> Result<Config, Problems> {
        let (document, errors) = DeTable::parse_recoverable(text);
        let mut reader = Reader::new(text, &errors);
        let mut config = read(&mut reader, document.get_ref());
        reader.finish(source)?;
        config.source = Some(source.to_owned());
        Ok(config)
    }
}

fn read<'a>(reader: &mut Reader<'a>, document: &'a DeTable<'a>) -> Config {
    let default = Config::default();
    let root = reader.root(document);
    let subvolume = reader.text(&root, "subvolume", "/persist", absolute);
    let snapshot_dir = reader.text(&root, "snapshot_dir", "/.snapshots", absolute);
    let env_file = reader.text(&root, "env_file", "/run/secrets/opencode.env", absolute);
    let former_subvolume_uuids = uuids(reader, &root);
    let datasets = root.has("datasets").then(|| datasets(reader, &root));
    let remote = remote(reader, &root, default.remote.clone());
    let export = export(reader, &root, default.export.clone());
    let drill = drill(reader, &root, &default.drill);
    let retention = retention(reader, &root, &default.retention);
    let section = reader.section(&root, "report");
    let state_file = reader.text(&section, "state_file", "/var/lib/…/last-run.json", absolute);
    let textfile = reader.text(
        &section,
        "textfile",
        "/var/lib/…/opencode-backup.prom",
        absolute,
    );

    let places = Places {
        subvolume: &subvolume,
        snapshot_dir: &snapshot_dir,
        files: [
            ("env_file", &env_file),
            ("report.state_file", &state_file),
            ("report.textfile", &textfile),
        ],
        datasets: datasets.as_ref(),
    };
    rules::check(reader, &root, &places, &default);

    Config {
        source: None,
        subvolume: subvolume.map_or(default.subvolume, |at| at.value),
        snapshot_dir: snapshot_dir.map_or(default.snapshot_dir, |at| at.value),
        former_subvolume_uuids,
        env_file: env_file.map_or(default.env_file, |at| at.value),
        datasets: datasets.map_or(default.datasets, |entries| {
            entries
                .into_iter()
                .map(|(name, at)| (name, at.value))
                .collect()
        }),
        remote,
        export,
        drill,
        retention,
        report: Report {
            state_file: state_file.map_or(default.report.state_file, |at| at.value),
            textfile: textfile.map(|at| at.value),
        },
    }
}

fn uuids<'a>(reader: &mut Reader<'a>, root: &Section<'a>) -> Vec<Uuid> {
    let key = "former_subvolume_uuids";
    let mut uuids: Vec<Uuid> = Vec::new();
    for (index, text) in reader.texts(root, key).into_iter().flatten().enumerate() {
        let refusal = match Uuid::from_str(text.value) {
            Ok(uuid) if !uuids.contains(&uuid) => {
                uuids.push(uuid);
                continue;
            }
            Ok(uuid) => Refusal::new(format!("{uuid} is there twice"), "keep one of them"),
            Err(refusal) => refusal,
        };
        reader.note(text.offset, format!("{key}[{index}]"), refusal);
    }
    uuids
}

fn remote<'a>(reader: &mut Reader<'a>, root: &Section<'a>, default: Remote) -> Remote {
    let section = reader.section(root, "remote");
    let bucket = reader.text(&section, "bucket", "opencode-memory-backups", str::parse);
    let prefix = reader.text(&section, "prefix", "host/", str::parse);
    let provider = reader.text(&section, "provider", "Other", provider);
    let endpoint = reader.text(
        &section,
        "endpoint",
        "s3.us-west-004.backblazeb2.com",
        str::parse,
    );
    let incremental = reader.switch(&section, "incremental");
    let bandwidth = reader.text(&section, "bandwidth", "10M", bandwidth);
    let memory = reader.text(&section, "memory", "256M", str::parse);
    let elements = reader.texts(&section, "extra_args").unwrap_or_default();
    let words: Vec<&str> = elements.iter().map(|element| element.value).collect();
    let (extra_args, refused) = extra_args(&words);
    for (index, refusal) in refused {
        let offset = elements.get(index).map_or(section.offset, |at| at.offset);
        reader.note(offset, format!("remote.extra_args[{index}]"), refusal);
    }
    Remote {
        bucket: bucket.map_or(default.bucket, |at| at.value),
        prefix: prefix.map_or(default.prefix, |at| at.value),
        provider: provider.map_or(default.provider, |at| at.value),
        endpoint: endpoint.map_or(default.endpoint, |at| at.value),
        incremental: incremental.unwrap_or(default.incremental),
        bandwidth: bandwidth.map_or(default.bandwidth, |at| at.value),
        memory: memory.map_or(default.memory, |at| at.value),
        extra_args,
    }
}

fn export<'a>(reader: &mut Reader<'a>, root: &Section<'a>, default: Export) -> Export {
    let section = reader.section(root, "export");
    let enable = reader.switch(&section, "enable");
    let command = command(reader, &section, "command");
    let timeout = reader.text(&section, "timeout", "30m", Span::from_str);
    Export {
        enable: enable.unwrap_or(default.enable),
        command: command.map_or(default.command, |at| at.value),
        timeout: timeout.map_or(default.timeout, |at| at.value),
    }
}

fn drill<'a>(reader: &mut Reader<'a>, root: &Section<'a>, default: &Drill) -> Drill {
    let section = reader.section(root, "drill");
    let timeout = reader.text(&section, "timeout", "1h", Span::from_str);
    Drill {
        timeout: timeout.map_or(default.timeout, |at| at.value),
    }
}

fn retention<'a>(reader: &mut Reader<'a>, root: &Section<'a>, default: &Retention) -> Retention {
    let section = reader.section(root, "retention");
    let table = section
        .has("remote")
        .then(|| reader.table(&section, "remote"));
    let mut count = |key, most| reader.count(&section, key, most);
    Retention {
        days: count("days", MOST_DAYS).unwrap_or(default.days),
        min_keep: count("min_keep", u32::MAX).unwrap_or(default.min_keep),
        remote: table.map(|table| {
            let mut count = |key| reader.count(&table, key, u32::MAX);
            let default = RemoteRetention::default();
            RemoteRetention {
                days: count("days").unwrap_or(default.days),
                min_keep: count("min_keep").unwrap_or(default.min_keep),
                ..default
            }
        }),
    }
}

/// rclone's name for the kind of service; rclone itself knows which there are.
fn provider(text: &str) -> Result<String, Refusal> {
    if (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Ok(text.to_owned());
    }
    Err(Refusal::new(
        format!("must be one of rclone's S3 providers, is {}", quoted(text)),
        "write \"Other\" for Backblaze B2",
    ))
}
