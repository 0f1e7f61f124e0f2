//! The effective configuration: the defaults, the round trip, the keys in JSON.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use uuid::Uuid;

use super::{SOURCE, parse};
use crate::config::{
    Config, Dataset, Drill, Export, Format, Remote, RemoteRetention, Report, Restore, Retention,
    ShrinkLimit, Span,
};

const DEFAULTS: &str = r##"subvolume = "/persist"
snapshot_dir = "/.snapshots"
former_subvolume_uuids = []
env_file = "/run/secrets/opencode.env"
save_timeout = "5m"

[datasets.falkordb]
enable = true
path = "containers/falkordb"
format = "redis"
max_data_age = "24h"
max_shrink = "50%"

[datasets.valkey]
enable = true
path = "containers/valkey"
format = "redis"
max_data_age = "24h"
max_shrink = "50%"

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

[retention]
days = 30
min_keep = 4

[drill]
timeout = "1h"

[restore]
stop = ["systemctl", "stop", "opencode-memory-pod.service"]
start = ["systemctl", "start", "opencode-memory-pod.service"]
timeout = "5m"

[report]
state_file = "/var/lib/opencode-backup/last-run.json"
"##;

#[test]
fn the_defaults_are_the_documents_values() {
    let defaults = Config::parse("", None).unwrap();
    assert_eq!(toml::to_string(&defaults).unwrap(), DEFAULTS);
}

#[test]
fn an_empty_file_and_the_printed_defaults_mean_the_defaults() {
    for text in [
        "",
        "\u{feff}",
        "# nothing\n",
        "[datasets]\n[datasets.valkey]\n[remote]\n[report]\n",
        DEFAULTS,
    ] {
        let config = parse(text).unwrap();
        assert_eq!(config.source.as_deref(), Some(Path::new(SOURCE)));
        let without = Config {
            source: None,
            ..config
        };
        assert_eq!(without, Config::parse("", None).unwrap(), "{text}");
    }
}

#[test]
fn a_dataset_is_merged_into_the_defaults_key_by_key() {
    let text = "[datasets.falkordb]\nserver = \"127.0.0.1:6379\"\nmax_shrink = \"off\"\n\
                [datasets.valkey]\nenable = false\n[datasets.notes]\npath = \"n\"\n";
    let config = parse(text).unwrap();
    let all: Vec<&str> = config.datasets.keys().map(|name| name.as_str()).collect();
    assert_eq!(all, ["falkordb", "notes", "valkey"]);
    let enabled: Vec<&str> = config.enabled().map(|(name, _)| name.as_str()).collect();
    assert_eq!(enabled, ["falkordb", "notes"]);
    let falkordb = &config.datasets[&"falkordb".parse().unwrap()];
    assert_eq!(falkordb.path, Path::new("containers/falkordb"));
    assert_eq!(falkordb.max_shrink, None);
    assert!(falkordb.server.is_some());
    let notes = &config.datasets[&"notes".parse().unwrap()];
    assert_eq!(notes.format, Format::Redis);
    assert_eq!(notes.max_data_age, Span::from_secs(86_400));
    assert_eq!(notes.max_shrink, Some(ShrinkLimit::HALF));
}

#[test]
fn the_bucket_is_pruned_only_where_it_has_a_table() {
    assert_eq!(parse("").unwrap().retention.remote, None);
    let remote = |text: &str| parse(text).unwrap().retention.remote.unwrap();
    let table = remote("[retention.remote]\n");
    assert_eq!(table, RemoteRetention::default());
    let numbers = [table.daily, table.weekly, table.monthly, table.yearly];
    assert_eq!(
        (table.days.get(), numbers, table.min_keep.get()),
        (30, [60, 26, 24, 10], 4)
    );
    assert_eq!(remote("[retention.remote]\ndaily = 0\ndays = 7\n").daily, 0);
}

#[test]
fn json_has_every_key_and_null_for_what_is_absent() {
    let json = serde_json::to_value(Config::parse("", None).unwrap()).unwrap();
    let null = serde_json::Value::Null;
    for absent in [
        "/datasets/valkey/check",
        "/datasets/valkey/server",
        "/datasets/valkey/server_password_variable",
        "/retention/remote",
        "/report/textfile",
    ] {
        assert_eq!(json.pointer(absent), Some(&null), "{absent}");
    }
    assert_eq!(json.pointer("/source"), None);
    assert_eq!(json["datasets"]["falkordb"]["max_data_age"], "24h");
    assert_eq!(json["retention"]["days"], 30);
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
        proptest::option::of(
            (1_u8..100).prop_map(|limit| format!("{limit}%").parse::<ShrinkLimit>().unwrap()),
        ),
        proptest::option::of(prop_oneof![Just("[::1]:1"), Just("unix:/a b")]),
        any::<bool>(),
    )
        .prop_map(
            |(format, max_data_age, check, max_shrink, server, enable)| Dataset {
                enable,
                path: PathBuf::new(),
                format,
                max_data_age,
                max_shrink,
                server: server.map(|server| server.parse().unwrap()),
                server_password_variable: enable.then(|| "A_1".to_owned()),
                check,
            },
        )
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
        "[^\\p{Cc}]{0,9}",
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
                bandwidth,
                memory: memory.to_string().parse().unwrap(),
                extra_args: args.into_iter().map(|arg| arg.parse().unwrap()).collect(),
            },
        )
}

fn remote_retention() -> impl Strategy<Value = RemoteRetention> {
    (
        positive(u32::MAX),
        any::<(u32, u32, u32, u32)>(),
        positive(u32::MAX),
    )
        .prop_map(
            |(days, (daily, weekly, monthly, yearly), min_keep)| RemoteRetention {
                days,
                daily,
                weekly,
                monthly,
                yearly,
                min_keep,
            },
        )
}

fn config() -> impl Strategy<Value = Config> {
    let uuids = proptest::collection::btree_set(1_u128.., 0..3);
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
            positive(u32::MAX),
            positive(u32::MAX),
            proptest::option::of(remote_retention()),
        ),
        (below("/state"), proptest::option::of(below("/text"))),
    )
        .prop_map(|(first, export, keep, (state_file, textfile))| {
            let (subvolume, snapshot_dir, env_file, uuids, datasets, remote) = first;
            // The defaults are there in any case, and something is enabled.
            let mut all = parse("").unwrap().datasets;
            all.extend(
                datasets
                    .into_iter()
                    .map(|(name, dataset)| (name.parse().unwrap(), dataset)),
            );
            let (enable, command, timeout, drill) = export;
            let (days, min_keep, remote_retention) = keep;
            Config {
                source: Some(PathBuf::from(SOURCE)),
                subvolume,
                snapshot_dir,
                former_subvolume_uuids: uuids.into_iter().map(Uuid::from_u128).collect(),
                env_file,
                save_timeout: drill,
                datasets: all,
                remote,
                restore: Restore {
                    stop: command.clone(),
                    start: command.clone(),
                    timeout,
                },
                export: Export {
                    enable,
                    command,
                    timeout,
                },
                drill: Drill { timeout: drill },
                retention: Retention {
                    days,
                    min_keep,
                    remote: remote_retention,
                },
                report: Report {
                    state_file,
                    textfile,
                },
            }
        })
}

proptest! {
    #[test]
    fn what_is_printed_parses_back_to_an_equal_configuration(config in config()) {
        let text = toml::to_string(&config).unwrap();
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
