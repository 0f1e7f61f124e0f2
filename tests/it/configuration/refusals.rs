//! Every refusal of the contract, by key and line, all at once, in one line each.

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

/// The text, where the only mistake is, and what is said of it.
type Case = (&'static str, &'static str, &'static [&'static str]);

#[rustfmt::skip] // one row a case
const CASES: &[Case] = &[
    // Unknown keys, at every depth.
    ("colour = 1\n", "1: colour: ", &["unknown key"]),
    ("[remote]\n\nbuket = \"abc\"\n", "3: remote.buket: ", &["unknown key", "did you mean bucket?"]),
    ("[remotes]\nbucket = \"abc\"\n", "1: remotes: ", &["unknown key", "did you mean remote?"]),
    (concat!(dataset!("a", "x"), "age = 1\n"), "4: datasets.a.age: ", &["unknown key"]),
    ("[export]\nenabled = true\n", "2: export.enabled: ", &["did you mean enable?"]),
    ("[retention]\nmin-keep = 1\n", "2: retention.min-keep: ", &["did you mean min_keep?"]),
    ("[drill]\nx = 1\n", "2: drill.x: ", &["unknown key"]),
    ("[report]\nstatefile = \"/x\"\n", "2: report.statefile: ", &["did you mean state_file?"]),
    // Empty sets.
    ("[datasets]\n", "1: datasets: ", &["must have at least one dataset, is empty", "add a table"]),
    ("[export]\ncommand = []\n", "2: export.command: ", &["must name a program, is empty"]),
    (concat!(dataset!("a", "x"), "check = []\n"), "4: datasets.a.check: ", &["is empty"]),
    ("[remote]\nbucket = \"\"\n", "2: remote.bucket: ", &["must be a bucket's name"]),
    // A retention that keeps nothing.
    ("[retention]\ndays = 0\n", "2: retention.days: ", &["must be between 1 and", "is 0"]),
    ("[retention]\nmin_keep = 0\n", "2: retention.min_keep: ", &["must be between 1 and", "is 0"]),
    ("[retention]\nremote_days = 0\n", "2: retention.remote_days: ", &["is 0"]),
    ("[retention]\nremote_min_keep = 0\n", "2: retention.remote_min_keep: ", &["is 0"]),
    ("[retention]\ndays = -30\n", "2: retention.days: ", &["is -30"]),
    // Relative paths where absolute ones belong, and the other way round.
    ("subvolume = \"persist\"\n", "1: subvolume: ", &["must be an absolute path, is \"persist\""]),
    ("snapshot_dir = \".snapshots\"\n", "1: snapshot_dir: ", &["must be an absolute path"]),
    ("env_file = \"opencode.env\"\n", "1: env_file: ", &["must be an absolute path"]),
    ("[report]\nstate_file = \"last-run.json\"\n", "2: report.state_file: ", &["must be an absolute path"]),
    ("[report]\ntextfile = \"x.prom\"\n", "2: report.textfile: ", &["must be an absolute path"]),
    ("[export]\ncommand = [\"./export\"]\n", "2: export.command[0]: ", &["absolute path, is \"./export\""]),
    (dataset!("a", "/persist/x"), "3: datasets.a.path: ", &["must be relative", "below the subvolume"]),
    // `..` and its kin.
    ("subvolume = \"/a/../persist\"\n", "1: subvolume: ", &["no \"..\" component"]),
    ("snapshot_dir = \"/..\"\n", "1: snapshot_dir: ", &["no \"..\" component"]),
    (dataset!("a", "../outside"), "3: datasets.a.path: ", &["\"..\""]),
    (dataset!("a", "x/../../outside"), "3: datasets.a.path: ", &["\"..\""]),
    (dataset!("a", "./x"), "3: datasets.a.path: ", &["\".\""]),
    ("[remote]\nprefix = \"a/../b/\"\n", "2: remote.prefix: ", &["\"..\""]),
    // Names that could escape their prefix.
    (dataset!("\"../x\"", "x"), "1: datasets.\"../x\": ", &["a dataset's name is"]),
    (dataset!("\"a/b\"", "x"), "1: datasets.\"a/b\": ", &["a dataset's name is"]),
    (dataset!("\"..\"", "x"), "1: datasets.\"..\": ", &["a dataset's name is"]),
    (dataset!("\"\"", "x"), "1: datasets.\"\": ", &["a dataset's name is"]),
    (dataset!("Falkordb", "x"), "1: datasets.Falkordb: ", &["a dataset's name is"]),
    (dataset!("manifests", "x"), "1: datasets.manifests: ", &["taken in the bucket"]),
    (dataset!("graphiti_export_", "x"), "1: datasets.graphiti_export_: ", &["a dataset's name"]),
    ("[remote]\nbucket = \"a/b\"\n", "2: remote.bucket: ", &["is \"a/b\"", "remote.prefix"]),
    ("[remote]\nprefix = \"host1\"\n", "2: remote.prefix: ", &["end in \"/\"", "write \"host1/\""]),
    ("[remote]\nprefix = \"/host1/\"\n", "2: remote.prefix: ", &["no leading \"/\""]),
    ("[remote]\nprefix = \"manifests/\"\n", "2: remote.prefix: ", &["among the manifests"]),
    ("[remote]\nprefix = \"falkordb-2025-01-01T12-00-00Z/\"\n", "2: remote.prefix: ", &["inside a backup"]),
    // In clear over the network.
    ("[remote]\nendpoint = \"http://s3.example.com\"\n", "2: remote.endpoint: ", &["plain http", "write https://"]),
    ("[remote]\nendpoint = \"http://192.168.1.1:9000\"\n", "2: remote.endpoint: ", &["plain http"]),
    ("[remote]\nendpoint = \"http://127.0.0.1.example.com\"\n", "2: remote.endpoint: ", &["plain http"]),
    ("[remote]\nendpoint = \"http://localhost.example.com\"\n", "2: remote.endpoint: ", &["plain http"]),
    ("[remote]\nendpoint = \"ftp://127.0.0.1\"\n", "2: remote.endpoint: ", &["https or a bare host"]),
    // Arguments that run, listen, dump or filter, and what nobody has thought about.
    ("[remote]\nextra_args = [\"--metadata-mapper=/bin/x\"]\n", "2: remote.extra_args[0]: ", &["--metadata-mapper is refused: it runs a program"]),
    ("[remote]\nextra_args = [\"--password-command\", \"x\"]\n", "2: remote.extra_args[0]: ", &["runs a program"]),
    ("[remote]\nextra_args = [\"--transfers=2\",\n\"--rc\"]\n", "3: remote.extra_args[1]: ", &["--rc is refused: it opens a port"]),
    ("[remote]\nextra_args = [\"--rc-addr=:5572\"]\n", "2: remote.extra_args[0]: ", &["opens a port"]),
    ("[remote]\nextra_args = [\"--dump=auth\"]\n", "2: remote.extra_args[0]: ", &["prints requests, keys included"]),
    ("[remote]\nextra_args = [\"-vv\"]\n", "2: remote.extra_args[0]: ", &["short options are refused"]),
    ("[remote]\nextra_args = [\"--exclude=*.rdb\"]\n", "2: remote.extra_args[0]: ", &["filters"]),
    ("[remote]\nextra_args = [\"--max-size\", \"1M\"]\n", "2: remote.extra_args[0]: ", &["filters"]),
    ("[remote]\nextra_args = [\"--dry-run\"]\n", "2: remote.extra_args[0]: ", &["stores nothing"]),
    ("[remote]\nextra_args = [\"--ignore-checksum\"]\n", "2: remote.extra_args[0]: ", &["skips files or checks"]),
    ("[remote]\nextra_args = [\"--s3-endpoint=evil\"]\n", "2: remote.extra_args[0]: ", &["remote.endpoint"]),
    ("[remote]\nextra_args = [\"--config=/x\"]\n", "2: remote.extra_args[0]: ", &["is refused"]),
    ("[remote]\nextra_args = [\"/etc\"]\n", "2: remote.extra_args[0]: ", &["neither a flag nor the value"]),
    ("[remote]\nextra_args = [\"--brand-new-flag\"]\n", "2: remote.extra_args[0]: ", &["not among the allowed arguments"]),
    ("[remote]\nextra_args = [\"--retries=0\"]\n", "2: remote.extra_args[0]: ", &["from 1 to"]),
    // Types, forms, and TOML itself.
    ("[export]\ntimeout = 30\n", "2: export.timeout: ", &["timeout = \"30m\""]),
    ("[remote]\nbandwidth = \"fast\"\n", "2: remote.bandwidth: ", &["--bwlimit, is \"fast\""]),
    ("[remote]\nmemory = \"0M\"\n", "2: remote.memory: ", &["is \"0M\""]),
    ("former_subvolume_uuids = [\"x\"]\n", "1: former_subvolume_uuids[0]: ", &["btrfs subvolume show"]),
    ("subvolume = /persist\n", "1: ", &["not valid TOML"]),
    ("[remote]\nbucket = \"abc\"\nbucket = \"abd\"\n", "3: remote.bucket: ", &["is there twice"]),
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
        "[remote]\nextra_args = [\"--transfers\", \"8\", \"--s3-region=eu\", \"--tpslimit=10\", \"--timeout=1m\"]\n",
        "[retention]\ndays = 1\nmin_keep = 1\nremote_days = 1\nremote_min_keep = 1\n",
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
const PLACES: [(&str, u64); 8] = [
    ("subvolume", 1),
    ("colour", 2),
    ("retention.days", 5),
    ("remote.endpoint", 8),
    ("remote.extra_args[0]", 9),
    ("datasets.b.path", 12),
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
