//! Every refusal of the contract, by key and line, one of each table at once, in one line each.

use super::{Place, json};

/// A dataset whose third line is at fault.
macro_rules! dataset {
    ($name:literal, $path:literal) => {
        concat!(
            "[datasets.",
            $name,
            "]\nformat = \"redis\"\npath = \"",
            $path,
            "\"\n"
        )
    };
}

/// The text, where the only mistake is, and what the message contains.
type Case = (&'static str, &'static str, &'static [&'static str]);

#[rustfmt::skip] // one row a case
const CASES: &[Case] = &[
    // Unknown keys, at every depth.
    ("colour = 1\n", "1: colour: ", &["unknown field `colour`"]),
    ("[remote]\n\nbuket = \"abc\"\n", "3: remote.buket: ", &["unknown field", "expected one of `bucket`"]),
    ("[remotes]\nbucket = \"abc\"\n", "1: remotes: ", &["unknown field"]),
    (concat!(dataset!("a", "x"), "age = 1\n"), "4: datasets.a.age: ", &["unknown field"]),
    ("[export]\nenabled = true\n", "2: export.enabled: ", &["expected one of `enable`"]),
    ("[retention]\nremote_days = 1\n", "2: retention.remote_days: ", &["unknown field"]),
    ("[retention.remote]\nhourly = 1\n", "2: retention.remote.hourly: ", &["unknown field"]),
    ("[drill]\nx = 1\n", "2: drill.x: ", &["unknown field"]),
    ("[restore]\nx = 1\n", "2: restore.x: ", &["unknown field"]),
    ("[report]\nstatefile = \"/x\"\n", "2: report.statefile: ", &["expected `state_file` or `textfile`"]),
    // Nothing to do.
    ("[datasets]\nfalkordb.enable = false\nvalkey.enable = false\n", "1: datasets: ", &["no dataset is enabled", "enable = true"]),
    ("[datasets.a]\nformat = \"files\"\n", "1: datasets.a: ", &["missing field `path`"]),
    ("[export]\ncommand = []\n", "2: export.command: ", &["must name a program, is empty"]),
    (concat!(dataset!("a", "x"), "check = []\n"), "4: datasets.a.check: ", &["is empty"]),
    ("[remote]\nbucket = \"\"\n", "2: remote.bucket: ", &["must be a bucket's name"]),
    // A retention that keeps nothing.
    ("[retention]\ndays = 0\n", "2: retention.days: ", &["`0`, expected a nonzero", "from 1 on"]),
    ("[retention]\nmin_keep = 0\n", "2: retention.min_keep: ", &["`0`, expected a nonzero", "from 1 on"]),
    ("[retention.remote]\ndays = 0\n", "2: retention.remote.days: ", &["`0`"]),
    ("[retention.remote]\nmin_keep = 0\n", "2: retention.remote.min_keep: ", &["`0`"]),
    ("[retention]\ndays = -30\n", "2: retention.days: ", &["`-30`"]),
    // Relative paths where absolute ones belong, and the other way round.
    ("subvolume = \"persist\"\n", "1: subvolume: ", &["must be an absolute path, is \"persist\""]),
    ("snapshot_dir = \".snapshots\"\n", "1: snapshot_dir: ", &["must be an absolute path"]),
    ("env_file = \"opencode.env\"\n", "1: env_file: ", &["must be an absolute path"]),
    ("[report]\nstate_file = \"last-run.json\"\n", "2: report.state_file: ", &["must be an absolute path"]),
    ("[report]\ntextfile = \"x.prom\"\n", "2: report.textfile: ", &["must be an absolute path"]),
    ("[export]\ncommand = [\"./export\"]\n", "2: export.command: ", &["absolute path, is \"./export\""]),
    (dataset!("a", "/persist/x"), "3: datasets.a.path: ", &["must be relative", "below the subvolume"]),
    // `..` and its kin.
    ("subvolume = \"/a/../persist\"\n", "1: subvolume: ", &["no \"..\" component"]),
    ("snapshot_dir = \"/..\"\n", "1: snapshot_dir: ", &["no \"..\" component"]),
    (dataset!("a", "../outside"), "3: datasets.a.path: ", &["\"..\""]),
    (dataset!("a", "x/../../outside"), "3: datasets.a.path: ", &["\"..\""]),
    (dataset!("a", "./x"), "3: datasets.a.path: ", &["\".\""]),
    ("[remote]\nprefix = \"a/../b/\"\n", "2: remote.prefix: ", &["\"..\""]),
    // Places that coincide or contain one another.
    ("snapshot_dir = \"/persist\"\n", "1: snapshot_dir: ", &["must differ"]),
    (dataset!("a", "containers/valkey/x"), "3: datasets.a.path: ", &["must not contain one another", "datasets.valkey.path (\"containers/valkey\")"]),
    // Names that could leave their prefix.
    (dataset!("\"../x\"", "x"), "1: datasets.\"../x\": ", &["a dataset's name must be"]),
    (dataset!("\"a/b\"", "x"), "1: datasets.\"a/b\": ", &["a dataset's name must be"]),
    (dataset!("\"..\"", "x"), "1: datasets.\"..\": ", &["a dataset's name must be"]),
    (dataset!("\"\"", "x"), "1: datasets.\"\": ", &["a dataset's name must be"]),
    (dataset!("Falkordb", "x"), "1: datasets.Falkordb: ", &["a dataset's name must be"]),
    (dataset!("manifests", "x"), "1: datasets.manifests: ", &["taken in the bucket"]),
    (dataset!("graphiti_export_", "x"), "1: datasets.graphiti_export_: ", &["a dataset's name"]),
    ("[remote]\nbucket = \"a/b\"\n", "2: remote.bucket: ", &["is \"a/b\"", "remote.prefix"]),
    ("[remote]\nprefix = \"host1\"\n", "2: remote.prefix: ", &["end in \"/\"", "like \"host1/\""]),
    ("[remote]\nprefix = \"/host1/\"\n", "2: remote.prefix: ", &["no leading \"/\""]),
    ("[remote]\nprefix = \"manifests/\"\n", "2: remote.prefix: ", &["among the manifests"]),
    ("[remote]\nprefix = \"falkordb-2025-01-01T12-00-00Z/\"\n", "2: remote.prefix: ", &["inside a backup"]),
    // In clear over the network.
    ("[remote]\nendpoint = \"http://s3.example.com\"\n", "2: remote.endpoint: ", &["plain http", "https://"]),
    ("[remote]\nendpoint = \"http://192.168.1.1:9000\"\n", "2: remote.endpoint: ", &["plain http"]),
    ("[remote]\nendpoint = \"http://127.0.0.1.example.com\"\n", "2: remote.endpoint: ", &["plain http"]),
    ("[remote]\nendpoint = \"http://localhost.example.com\"\n", "2: remote.endpoint: ", &["plain http"]),
    ("[remote]\nendpoint = \"ftp://127.0.0.1\"\n", "2: remote.endpoint: ", &["https or a bare host"]),
    // Flags that run, listen, dump or filter, and what nobody has examined.
    ("[remote]\nextra_args = [\"--metadata-mapper=/bin/x\"]\n", "2: remote.extra_args: ", &["--metadata-mapper is not among the allowed flags"]),
    ("[remote]\nextra_args = [\"--password-command\", \"x\"]\n", "2: remote.extra_args: ", &["--password-command is not"]),
    ("[remote]\nextra_args = [\"--transfers=2\",\n\"--rc\"]\n", "2: remote.extra_args: ", &["--rc is not"]),
    ("[remote]\nextra_args = [\"--dump=auth\"]\n", "2: remote.extra_args: ", &["--dump is not"]),
    ("[remote]\nextra_args = [\"-vv\"]\n", "2: remote.extra_args: ", &["is not among"]),
    ("[remote]\nextra_args = [\"--exclude=*.rdb\"]\n", "2: remote.extra_args: ", &["--exclude is not"]),
    ("[remote]\nextra_args = [\"--dry-run\"]\n", "2: remote.extra_args: ", &["--dry-run is not"]),
    ("[remote]\nextra_args = [\"--ignore-checksum\"]\n", "2: remote.extra_args: ", &["--ignore-checksum is not"]),
    ("[remote]\nextra_args = [\"--s3-endpoint=evil\"]\n", "2: remote.extra_args: ", &["endpoint and bandwidth have keys"]),
    ("[remote]\nextra_args = [\"--config=/x\"]\n", "2: remote.extra_args: ", &["--config is not"]),
    ("[remote]\nextra_args = [\"/etc\"]\n", "2: remote.extra_args: ", &["is not among"]),
    ("[remote]\nextra_args = [\"--brand-new-flag\"]\n", "2: remote.extra_args: ", &["is not among"]),
    ("[remote]\nextra_args = [\"--retries=0\"]\n", "2: remote.extra_args: ", &["--retries needs a value above 0"]),
    ("[remote]\nextra_args = [\"--s3-acl=public-read\"]\n", "2: remote.extra_args: ", &["needs one of private"]),
    // Types, forms, and TOML itself.
    ("[export]\ntimeout = 30\n", "2: export.timeout: ", &["integer `30`", "\"30m\""]),
    ("[remote]\nmemory = \"0M\"\n", "2: remote.memory: ", &["is \"0M\""]),
    ("former_subvolume_uuids = [\"x\"]\n", "1: former_subvolume_uuids: ", &["btrfs subvolume show"]),
    ("subvolume = /persist\n", "1: ", &["not valid TOML"]),
    ("[remote]\nbucket = \"abc\"\nbucket = \"abd\"\n", "3: ", &["duplicate key"]),
];

#[test]
fn every_refusal_names_file_line_key_rule_and_remedy() {
    let place = Place::new();
    let source = place.path().join("config.toml");
    for (text, at, words) in CASES {
        let ran = place.with(text, &["config"]);
        assert_eq!(
            (ran.code, ran.stdout.as_str()),
            (Some(2), ""),
            "{text}\n{ran}"
        );
        assert_eq!(ran.stderr.lines().count(), 1, "{text}\n{ran}");
        let start = format!("error: {}:{at}", source.display());
        assert!(
            ran.stderr.starts_with(&start),
            "{start:?} does not begin {ran}"
        );
        for word in *words {
            assert!(
                ran.stderr.contains(word),
                "{text}\n{word:?} is not in {ran}"
            );
        }
        // Rule and remedy are two things.
        assert!(ran.stderr.contains("; "), "{ran}");
    }
}

#[test]
fn loopback_in_clear_and_plain_words_are_accepted() {
    let place = Place::new();
    for text in [
        "[remote]\nendpoint = \"http://127.0.0.1:9000\"\n",
        "[remote]\nendpoint = \"http://[::1]:9000\"\n",
        "[remote]\nendpoint = \"http://localhost\"\n",
        "[remote]\nendpoint = \"https://s3.example.com:8443\"\nprefix = \"host1/\"\n",
        "[remote]\nextra_args = [\"--transfers=8\", \"--s3-region=eu\", \"--tpslimit=10\", \"--timeout=1m\"]\n",
        "[retention]\ndays = 1\nmin_keep = 1\n[retention.remote]\ndays = 1\nmin_keep = 1\ndaily = 0\n",
        dataset!("a-1_b", "deep/er"),
    ] {
        let ran = place.with(text, &["config"]);
        assert_eq!(
            (ran.code, ran.stderr.as_str()),
            (Some(0), ""),
            "{text}\n{ran}"
        );
    }
}

/// A mistake in every table.
const MANY: &str = "\
subvolume = \"persist\"
colour = 3

[retention]
days = 0

[remote]
endpoint = \"http://example.com\"
extra_args = [\"--rc\", \"loose\"]

[datasets.b]
path = \"/b\"
format = \"what\"

[export]
command = []
";

/// Their keys and lines.
const PLACES: [(&str, u64); 7] = [
    ("subvolume", 1),
    ("colour", 2),
    ("retention.days", 5),
    ("remote.endpoint", 8),
    ("remote.extra_args", 9),
    ("datasets.b.format", 13),
    ("export.command", 16),
];

#[test]
fn everything_wrong_is_told_at_once_in_the_order_of_the_file() {
    let place = Place::new();
    let source = place.path().join("config.toml");
    for command in ["config", "check", "list"] {
        let ran = place.with(MANY, &[command]);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{ran}");
        let lines: Vec<&str> = ran.stderr.lines().collect();
        assert_eq!(lines.len(), PLACES.len(), "{ran}");
        for (line, (key, number)) in lines.iter().zip(PLACES) {
            let start = format!("error: {}:{number}: {key}: ", source.display());
            assert!(
                line.starts_with(&start),
                "{start:?} does not begin {line:?}"
            );
        }
    }
}

#[test]
fn everything_wrong_is_told_as_json_too() {
    let place = Place::new();
    let ran = place.with(MANY, &["config", "--json"]);
    assert_eq!(ran.code, Some(2), "{ran}");
    let answer = json(&ran);
    let source = place.path().join("config.toml");
    assert_eq!(answer["source"], source.to_string_lossy().as_ref(), "{ran}");
    let problems = answer["problems"].as_array().expect("a list");
    let found: Vec<(&str, u64)> = problems
        .iter()
        .map(|problem| {
            assert_eq!(
                problem.as_object().map(serde_json::Map::len),
                Some(4),
                "{problem:#}"
            );
            assert!(
                problem["what"].is_string() && problem["remedy"].is_string(),
                "{problem:#}"
            );
            let key = problem["key"].as_str().unwrap_or_default();
            (key, problem["line"].as_u64().unwrap_or_default())
        })
        .collect();
    assert_eq!(found, PLACES);
}

#[test]
fn a_secret_that_does_not_belong_there_is_never_repeated() {
    let place = Place::new();
    for text in [
        "B2_APP_KEY = \"hush-K004\"\n",
        "B2_APP_KEY = hush-K004\n",
        "[remote]\nsecret_access_key = \"hush-K004\"\n",
        "[remote]\nanything = \"hush-K004\"\n",
        "[remote]\nendpoint = \"https://user:hush-K004@example.com\"\n",
        "[remote]\nextra_args = [\"--s3-secret-access-key\", \"hush-K004\"]\n",
        "[remote]\nextra_args = [\"--s3-secret-access-key=hush-K004\"]\n",
        "[remote]\nextra_args = [\"hush-K004\"]\n",
    ] {
        for args in [
            &["config"][..],
            &["config", "--json"],
            &["run"],
            &["check", "-vv"],
        ] {
            let ran = place.with(text, args);
            assert_eq!(ran.code, Some(2), "{text}\n{ran}");
            assert!(!ran.to_string().contains("hush"), "{text}\n{ran}");
        }
    }
}
