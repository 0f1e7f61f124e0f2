//! The effective configuration: the defaults, the round trip, the stable JSON keys.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::{SOURCE, parse};
use crate::config::{
    Config, Dataset, Drill, Export, Format, Remote, Report, Retention, Span, Uuid,
};

const DEFAULTS: &str = r##"subvolume = "/persist"
snapshot_dir = "/.snapshots"
# former_subvolume_uuids = []
env_file = "/run/secrets/opencode.env"

[datasets.falkordb]
path = "containers/falkordb"
format = "redis"
max_data_age = "24h"
# check = ["valkey-check", "{dir}"]

[datasets.valkey]
path = "containers/valkey"
format = "redis"
max_data_age = "24h"
# check = ["valkey-check", "{dir}"]

[remote]
bucket = "opencode-memory-backups"
prefix = ""
provider = "Other"
endpoint = "s3.us-west-004.backblazeb2.com"
incremental = true
bandwidth = ""
memory = "256M"
extra_args = []

[export]
enable = true
command = ["python3", "/root/.opencode/graphiti/memory_manager.py", "export"]
timeout = "30m"

[drill]
timeout = "1h"

[retention]
days = 30
min_keep = 4
# remote_days = 90
# remote_min_keep = 4

[report]
state_file = "/var/lib/opencode-backup/last-run.json"
# textfile = "/var/lib/prometheus-node-exporter/opencode-backup.prom"
"##;

fn with_source(config: Config) -> Config {
    Config {
        source: Some(PathBuf::from(SOURCE)),
        ..config
    }
}

#[test]
fn the_defaults_are_the_documents_values() {
    assert_eq!(Config::default().to_toml(), DEFAULTS);
}

#[test]
fn an_empty_file_and_the_printed_defaults_mean_the_defaults() {
    for text in [
        "",
        "\u{feff}",
        "# nothing\n",
        "[remote]\n[report]\n",
        DEFAULTS,
    ] {
        assert_eq!(
            parse(text).unwrap(),
            with_source(Config::default()),
            "{text}"
        );
    }
}

#[test]
fn the_commented_examples_are_valid_too() {
    let text = DEFAULTS.replace("# ", "");
    let config = parse(&text).unwrap();
    assert_eq!(config.retention.remote_days, NonZeroU32::new(90));
    assert!(config.report.textfile.is_some());
    assert_eq!(parse(&config.to_toml()).unwrap(), config);
}

#[test]
fn json_has_every_key_and_null_for_what_is_absent() {
    let json = Config::default().to_json();
    for absent in [
        "/datasets/valkey/check",
        "/remote/bandwidth",
        "/retention/remote_days",
        "/report/textfile",
    ] {
        assert_eq!(
            json.pointer(absent),
            Some(&serde_json::Value::Null),
            "{absent}"
        );
    }
    for (pointer, value) in [
        ("/subvolume", serde_json::json!("/persist")),
        ("/former_subvolume_uuids", serde_json::json!([])),
        ("/datasets/falkordb/format", serde_json::json!("redis")),
        ("/datasets/falkordb/max_data_age", serde_json::json!("24h")),
        ("/remote/memory", serde_json::json!("256M")),
        ("/drill/timeout", serde_json::json!("1h")),
        ("/retention/days", serde_json::json!(30)),
    ] {
        assert_eq!(json.pointer(pointer), Some(&value), "{pointer}");
    }
    // The keys of the file, no more and no less.
    let mut keys = Vec::new();
    let live = DEFAULTS.replace("# ", "");
    let toml: toml::Table = live.parse().unwrap();
    for (key, value) in &toml {
        keys.push(key.clone());
        for inner in value.as_table().into_iter().flat_map(|table| table.keys()) {
            keys.push(format!("{key}/{inner}"));
            assert!(
                json.pointer(&format!("/{key}/{inner}")).is_some(),
                "{key}.{inner}"
            );
        }
    }
    let count: usize = json
        .as_object()
        .unwrap()
        .values()
        .map(|value| 1 + value.as_object().map_or(0, serde_json::Map::len))
        .sum();
    assert_eq!(count, keys.len());
}

fn path_component() -> impl Strategy<Value = String> {
    "[^/\\p{Cc}]{1,20}".prop_filter("dots", |part| part != "." && part != "..")
}

/// Paths that do not coincide: each below a directory of its own.
fn below(root: &'static str) -> impl Strategy<Value = PathBuf> {
    path_component().prop_map(move |part| Path::new(root).join(part))
}

fn span() -> impl Strategy<Value = Span> {
    (1_u32..=36_500 * 86_400).prop_map(|seconds| Span::from_secs(seconds).unwrap())
}

fn positive(most: u32) -> impl Strategy<Value = NonZeroU32> {
    (1..=most).prop_map(|number| NonZeroU32::new(number).unwrap())
}

fn command(middle: &'static str) -> impl Strategy<Value = Vec<String>> {
    proptest::collection::vec("[^\0]{1,12}", 0..3).prop_map(move |rest| {
        let mut words = vec!["/bin/x".to_owned(), middle.to_owned()];
        words.extend(rest);
        words
    })
}

fn dataset() -> impl Strategy<Value = Dataset> {
    (
        prop_oneof![Just(Format::Redis), Just(Format::Files)],
        proptest::option::of(span()),
        prop_oneof![Just(Vec::new()), command("--dir={dir}")],
    )
        .prop_map(|(format, max_data_age, check)| Dataset {
            path: PathBuf::new(),
            format,
            max_data_age,
            check,
        })
}

fn datasets() -> impl Strategy<Value = Vec<(String, Dataset)>> {
    let name = "[a-f0-9]([a-z0-9_-]{0,20}[a-z0-9])?";
    let map = proptest::collection::btree_map(name, dataset(), 1..4);
    map.prop_map(|datasets| {
        datasets
            .into_iter()
            .map(|(name, dataset)| {
                let path = PathBuf::from(format!("d {name}/\u{e9}'\"\\"));
                (name, Dataset { path, ..dataset })
            })
            .collect()
    })
}

fn remote() -> impl Strategy<Value = Remote> {
    (
        "[A-Za-z][A-Za-z0-9-]{1,60}[a-z]",
        "([a-z0-9._~-]{3,9}/){0,3}".prop_filter("dots", |text| !text.contains("...")),
        prop_oneof![
            Just("s3.example.com"),
            Just("https://a.b:8443"),
            Just("http://[::1]:9"),
        ],
        any::<bool>(),
        proptest::option::of(prop_oneof![
            Just("1.5M:off"),
            Just("08:00,512k Sat-12:00,off")
        ]),
        1_u64..=1 << 40,
        prop_oneof![Just(vec![]), Just(vec!["--s3-no-head", "--transfers=8"])],
    )
        .prop_map(
            |(bucket, prefix, endpoint, incremental, bandwidth, memory, args)| Remote {
                bucket: bucket.parse().unwrap(),
                prefix: prefix.parse().unwrap(),
                provider: "Minio".to_owned(),
                endpoint: endpoint.parse().unwrap(),
                incremental,
                bandwidth: bandwidth.map(str::to_owned),
                memory: memory.try_into().unwrap(),
                extra_args: args.into_iter().map(str::to_owned).collect(),
            },
        )
}

fn config() -> impl Strategy<Value = Config> {
    let uuids = proptest::collection::btree_set(any::<[u8; 16]>(), 0..3);
    (
        (
            below("/sub"),
            below("/snap"),
            below("/env"),
            uuids,
            datasets(),
            remote(),
        ),
        (any::<bool>(), command("export"), span(), span()),
        (
            positive(36_500),
            positive(u32::MAX),
            proptest::option::of(positive(36_500)),
            positive(u32::MAX),
        ),
        (below("/state"), proptest::option::of(below("/text"))),
    )
        .prop_map(|(first, export, keep, (state_file, textfile))| {
            let (subvolume, snapshot_dir, env_file, uuids, datasets, remote) = first;
            let datasets: BTreeMap<_, _> = datasets
                .into_iter()
                .map(|(name, dataset)| (name.parse().unwrap(), dataset))
                .collect();
            let (enable, command, timeout, drill) = export;
            let (days, min_keep, remote_days, remote_min_keep) = keep;
            with_source(Config {
                source: None,
                subvolume,
                snapshot_dir,
                former_subvolume_uuids: uuids.into_iter().filter_map(Uuid::from_bytes).collect(),
                env_file,
                datasets,
                remote,
                export: Export {
                    enable,
                    command,
                    timeout,
                },
                drill: Drill { timeout: drill },
                retention: Retention {
                    days,
                    min_keep,
                    remote_days,
                    remote_min_keep,
                },
                report: Report {
                    state_file,
                    textfile,
                },
            })
        })
}

proptest! {
    #[test]
    fn what_is_printed_parses_back_to_an_equal_configuration(config in config()) {
        let text = config.to_toml();
        let back = parse(&text);
        prop_assert!(back.is_ok(), "{}\n{}", text, back.unwrap_err());
        prop_assert_eq!(back.unwrap(), config);
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in "(\\[|\\]|=|\"|\n|\\PC|remote|datasets|path|[0-9]|\\.|\\{|\\}| ){0,60}") {
        if let Err(problems) = parse(&text) {
            prop_assert!(!problems.list.is_empty());
            prop_assert!(problems.list.is_sorted_by_key(|problem| problem.line));
            prop_assert_eq!(problems.to_string().lines().count(), problems.list.len());
        }
    }
}
