//! Every refusal, with its key and its line.

use super::{only, parse, places};

/// A dataset that is right, to be put before what is wrong: three lines.
const DATASET: &str = "[datasets.a]\npath = \"a\"\nformat = \"redis\"\n";

#[test]
fn each_mistake_is_reported_with_its_key_its_line_and_the_way_out() {
    #[rustfmt::skip] // one row a case
    let cases: &[(&str, &str, &[&str])] = &[
        // Unknown keys, at every depth.
        ("\nsubvolum = \"/x\"", "subvolum@2", &["unknown key", "did you mean subvolume?"]),
        ("bucket = \"abc\"", "bucket@1", &["did you mean bucket in another place (remote)?"]),
        ("[remote]\nsubvolume = \"/x\"", "remote.subvolume@2", &["before the first table"]),
        ("[remote]\n\nbuket = \"abc\"", "remote.buket@3", &["did you mean bucket?"]),
        ("[remotes]\nbucket = \"abc\"", "remotes@1", &["did you mean remote?"]),
        ("[drill]\nzzz = 1", "drill.zzz@2", &["known here are timeout"]),
        ("[retention]\nmin-keep = 1", "retention.min-keep@2", &["did you mean min_keep?"]),
        ("\"a\\nb\" = 1", "\"a\\nb\"@1", &["unknown key"]),
        // Credentials.
        ("B2_APP_KEY = \"K004hush\"", "B2_APP_KEY@1", &["credentials have no place", "env_file"]),
        ("[remote]\nsecret_access_key = \"hush\"", "remote.secret_access_key@2", &["env_file"]),
        ("[remote]\naccount = \"hush\"\n", "remote.account@2", &["env_file"]),
        ("[remote]\nkey = \"hush\"\n", "remote.key@2", &["env_file"]),
        // Types.
        ("subvolume = 3", "subvolume@1", &["must be a string, is the number 3", "subvolume = \"/persist\""]),
        ("remote = 3", "remote@1", &["must be a table", "[remote]"]),
        ("datasets = []", "datasets@1", &["must be a table, is a list"]),
        ("[datasets]\na = \"x\"", "datasets.a@2", &["must be a table", "[datasets.a]"]),
        ("[remote]\nincremental = \"yes\"", "remote.incremental@2", &["is the string \"yes\"", "without quotation marks"]),
        ("[retention]\ndays = \"30\"", "retention.days@2", &["must be a whole number, is the string \"30\""]),
        ("[retention]\ndays = 1.5", "retention.days@2", &["is the number 1.5"]),
        ("[export]\ntimeout = 30", "export.timeout@2", &["is the number 30", "timeout = \"30m\""]),
        ("[export]\ncommand = \"python3 x\"", "export.command@2", &["must be a list of strings"]),
        ("[export]\ncommand = [\n\"a\",\n3]", "export.command[1]@4", &["must be a string, is the number 3"]),
        ("[remote]\nmemory = 1e9", "remote.memory@2", &["must be a string"]),
        ("[export]\nenable = 2025-01-01", "export.enable@2", &["is a date"]),
        // Emptiness.
        ("x.y = 1\n", "x@1", &["unknown key"]),
        ("[drill]\n[datasets]\n", "datasets@2", &["at least one dataset", "[datasets.falkordb]"]),
        ("datasets = {}", "datasets@1", &["at least one dataset"]),
        ("[export]\ncommand = []", "export.command@2", &["must name a program, is empty"]),
        ("[export]\nenable = false\ncommand = []", "export.command@3", &["is empty"]),
        ("[export]\ncommand = [\"a\", \"\"]", "export.command[1]@2", &["must not be empty"]),
        ("[export]\ncommand = [\"a\", \"b\\u0000\"]", "export.command[1]@2", &["NUL", "\"b\\0\""]),
        ("[export]\ncommand = [\"./a\"]", "export.command[0]@2", &["absolute path, is \"./a\""]),
        ("[export]\ncommand = [\"-c\"]", "export.command[0]@2", &["program's name"]),
        ("subvolume = \"\"", "subvolume@1", &["must be an absolute path, is \"\""]),
        ("[report]\ntextfile = \"\"", "report.textfile@2", &["must be an absolute path"]),
        ("[remote]\nbucket = \"\"", "remote.bucket@2", &["is \"\""]),
        ("[remote]\nprovider = \"\"", "remote.provider@2", &["\"Other\" for Backblaze B2"]),
        ("[remote]\nprovider = \"a,b\"", "remote.provider@2", &["is \"a,b\""]),
        ("[remote]\nendpoint = \"\"", "remote.endpoint@2", &["must be a host"]),
        // Zero, and far too much.
        ("[retention]\ndays = 0", "retention.days@2", &["must be between 1 and 36500, is 0"]),
        ("[retention]\ndays = -3", "retention.days@2", &["is -3"]),
        ("[retention]\ndays = 36501", "retention.days@2", &["is 36501"]),
        ("[retention]\nmin_keep = 0", "retention.min_keep@2", &["must be between 1 and"]),
        ("[retention]\nremote_days = 0", "retention.remote_days@2", &["is 0"]),
        ("[retention]\nremote_min_keep = 0", "retention.remote_min_keep@2", &["is 0"]),
        ("[retention]\nmin_keep = 99999999999999999999", "retention.min_keep@2", &["is 99999999999999999999"]),
        ("[export]\ntimeout = \"0s\"", "export.timeout@2", &["between 1s and 36500d", "is \"0s\""]),
        ("[drill]\ntimeout = \"-1m\"", "drill.timeout@2", &["is \"-1m\""]),
        ("[drill]\ntimeout = \"99999999999d\"", "drill.timeout@2", &["36500d"]),
        ("[remote]\nmemory = \"0M\"", "remote.memory@2", &["is \"0M\"", "\"256M\""]),
        ("[remote]\nmemory = \"99999999999999G\"", "remote.memory@2", &["1024G"]),
        // Paths.
        ("subvolume = \"persist\"", "subvolume@1", &["must be an absolute path, is \"persist\""]),
        ("subvolume = \"/\"", "subvolume@1", &["below \"/\"", "the last component gives the name"]),
        ("snapshot_dir = \"/a/../b\"", "snapshot_dir@1", &["no \"..\" component"]),
        ("snapshot_dir = \"/a/./b\"", "snapshot_dir@1", &["no \".\" component"]),
        ("snapshot_dir = \"/a//b\"", "snapshot_dir@1", &["empty component"]),
        ("snapshot_dir = \"/a/\"", "snapshot_dir@1", &["none at the end"]),
        ("env_file = \"/a\\u0000b\"", "env_file@1", &["control characters, is \"/a\\0b\""]),
        ("env_file = \"/a\\nb\"", "env_file@1", &["control characters"]),
        ("[report]\nstate_file = \"x.json\"", "report.state_file@2", &["must be an absolute path"]),
        ("[report]\ntextfile = \"x.prom\"", "report.textfile@2", &["must be an absolute path"]),
        ("[datasets.a]\nformat = \"files\"\npath = \"/a\"", "datasets.a.path@3", &["must be relative, is \"/a\"", "below the subvolume"]),
        ("[datasets.a]\nformat = \"files\"\npath = \"../a\"", "datasets.a.path@3", &["\"..\""]),
        ("[datasets.a]\nformat = \"files\"\npath = \"\"", "datasets.a.path@3", &["empty component"]),
        ("[datasets.a]\nformat = \"files\"\npath = \"a\\tb\"", "datasets.a.path@3", &["control characters"]),
        // Datasets.
        ("[datasets.a]\nformat = \"redis\"", "datasets.a.path@1", &["is missing", "add path ="]),
        ("\n[datasets.a]\npath = \"a\"", "datasets.a.format@2", &["is missing", "format = \"redis\""]),
        ("[datasets.a]\npath = \"a\"\nformat = \"rdb\"", "datasets.a.format@3", &["is \"rdb\""]),
        ("[datasets.a]\npath = \"a\"\nformat = \"redis\"\npaths = 1", "datasets.a.paths@4", &["did you mean path?"]),
        ("[datasets.a]\npath = \"a\"\nformat = \"redis\"\nmax_data_age = \"0h\"", "datasets.a.max_data_age@4", &["is \"0h\""]),
        ("[datasets.a]\npath = \"a\"\nformat = \"redis\"\ncheck = []", "datasets.a.check@4", &["is empty"]),
        ("[datasets.a]\npath = \"a\"\nformat = \"redis\"\ncheck = [\"true\"]", "datasets.a.check@4", &["{dir}"]),
        ("[datasets.manifests]\npath = \"a\"\nformat = \"redis\"", "datasets.manifests@1", &["taken in the bucket"]),
        ("[datasets.graphiti_export_a]\npath = \"a\"\nformat = \"redis\"", "datasets.graphiti_export_a@1", &["taken"]),
        ("[datasets.\"a/b\"]\npath = \"a\"\nformat = \"redis\"", "datasets.\"a/b\"@1", &["is \"a/b\""]),
        ("[datasets.\"..\"]\npath = \"a\"\nformat = \"redis\"", "datasets.\"..\"@1", &["is \"..\""]),
        ("[datasets.Valkey]\npath = \"a\"\nformat = \"redis\"", "datasets.Valkey@1", &["plain word"]),
        // Addresses.
        ("[remote]\nendpoint = \"http://s3.example.com\"", "remote.endpoint@2", &["plain http", "https://"]),
        ("[remote]\nprefix = \"a\"", "remote.prefix@2", &["end in \"/\"", "write \"a/\""]),
        ("[remote]\nprefix = \"/a/\"", "remote.prefix@2", &["no leading \"/\""]),
        ("[remote]\nbandwidth = \"fast\"", "remote.bandwidth@2", &["--bwlimit, is \"fast\""]),
        ("[remote]\nextra_args = [\n\"--transfers=8\",\n\"--rc\"]", "remote.extra_args[1]@4", &["opens a port"]),
        ("former_subvolume_uuids = [\"x\"]", "former_subvolume_uuids[0]@1", &["btrfs subvolume show"]),
        // TOML itself.
        ("subvolume = /persist", "@1", &["not valid TOML", "quotation marks"]),
        ("[remote]\nbucket = \"abc\"\nbucket = \"abd\"", "remote.bucket@3", &["is there twice"]),

    ];
    for (text, place, words) in cases {
        let (found, message) = only(text);
        assert_eq!(found, *place, "{text}\n{message}");
        for word in *words {
            assert!(message.contains(word), "{word:?} is not in\n{message}");
        }
        assert_eq!(message.lines().count(), 1, "{message}");
    }
}

#[test]
fn a_message_reads_file_line_key_rule_value_remedy() {
    let (_, message) = only("[datasets.falkordb]\nformat = \"redis\"\npath = \"/x\"\n");
    assert_eq!(
        message,
        "/etc/x.toml:3: datasets.falkordb.path: must be relative, is \"/x\"; write it below the \
         subvolume, without the subvolume's own path"
    );
}

#[test]
fn everything_wrong_is_reported_at_once_in_the_order_of_the_file() {
    let text = "\
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
timeout = \"never\"
";
    assert_eq!(
        places(text),
        [
            "subvolume@1",
            "colour@2",
            "retention.days@5",
            "remote.endpoint@8",
            "remote.extra_args[0]@9",
            "datasets.b.path@12",
            "datasets.b.format@13",
            "export.command@16",
            "export.timeout@17",
        ]
    );
}

#[test]
fn syntax_errors_are_all_reported_and_do_not_hide_or_invent_other_mistakes() {
    let text = "subvolume = /persist\nenv_file = \"x\"\n[retention]\ndays = 0\nmin_keep = = 4\n";
    assert_eq!(places(text), ["@1", "env_file@2", "retention.days@4", "@5"]);
    // Below a header that cannot be read, nobody knows which table a key belongs to.
    let text = "[export\ntimeout = \"0s\"\n[remote]\nzzz = 1\n";
    assert_eq!(places(text), ["@1"]);
    let text = "[export\nx = = 1\n[drill]\ntimeout = 1 2\n[drill]\n";
    assert_eq!(places(text), ["@1", "@2", "@4"]);
    let text = "[a.b]\n[drill]\ntimeout = \"1h\"\n[ drill ]\n";
    assert_eq!(places(text), ["a@1", "drill@4"]);
    // A path that could not be read is not missing, and the defaults are not compared with it.
    let text = "snapshot_dir = \"/persist\n[datasets.a]\nformat = \"redis\"\npath = a\n";
    assert_eq!(places(text), ["@1", "@4"]);
}

#[test]
fn places_that_coincide_or_contain_one_another_are_refused() {
    let dataset = |name: &str, path: &str| {
        format!("[datasets.{name}]\nformat = \"files\"\npath = \"{path}\"\n")
    };
    let snapshots = |path: &str| format!("snapshot_dir = \"{path}\"\n");
    let cases: &[(String, &[&str])] = &[
        (snapshots("/persist"), &["snapshot_dir@1"]),
        ("subvolume = \"/.snapshots\"".to_owned(), &["subvolume@1"]),
        (
            snapshots("/persist/containers"),
            &["snapshot_dir@1", "snapshot_dir@1"],
        ),
        (
            snapshots("/persist/containers/valkey/x"),
            &["snapshot_dir@1"],
        ),
        (
            snapshots("/persist/s") + &dataset("a", "s"),
            &["datasets.a.path@4"],
        ),
        (
            snapshots("/persist/s") + &dataset("a", "s/t"),
            &["datasets.a.path@4"],
        ),
        (
            snapshots("/persist/s/t") + &dataset("a", "s"),
            &["datasets.a.path@4"],
        ),
        // Fine: beside, and both below one mount.
        (snapshots("/persist/.snapshots"), &[]),
        (snapshots("/persist/s") + &dataset("a", "st"), &[]),
        (
            "subvolume = \"/mnt/persist\"\nsnapshot_dir = \"/mnt\"".to_owned(),
            &[],
        ),
        // Between datasets, the later one in the file is named.
        (
            dataset("b", "x") + &dataset("a", "x"),
            &["datasets.a.path@6"],
        ),
        (
            dataset("b", "x") + &dataset("a", "x/y"),
            &["datasets.a.path@6"],
        ),
        (
            dataset("b", "x/y") + &dataset("a", "x"),
            &["datasets.a.path@6"],
        ),
        (dataset("b", "x") + &dataset("a", "xy"), &[]),
        // Files.
        (
            "env_file = \"/s\"\n[report]\nstate_file = \"/s\"".to_owned(),
            &["report.state_file@3"],
        ),
        (
            "[report]\nstate_file = \"/s\"\ntextfile = \"/s\"".to_owned(),
            &["report.textfile@3"],
        ),
        (
            "[report]\nstate_file = \"/run/secrets/opencode.env\"".to_owned(),
            &["report.state_file@2"],
        ),
        // What was refused is not compared as if it were the default.
        (
            "subvolume = \"x\"\nsnapshot_dir = \"/persist\"".to_owned(),
            &["subvolume@1"],
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(places(text), *expected, "{text}");
    }
}

#[test]
fn a_secret_in_the_wrong_place_is_not_repeated() {
    let texts = [
        "[remote]\nsecret_access_key = \"hush\"",
        "[remote]\nwhatever = \"hush\"",
        "[remote]\nendpoint = \"https://user:hush@example.com\"",
        "[remote]\nextra_args = [\"--s3-secret-access-key\", \"hush\"]",
        "[remote]\nextra_args = [\"--s3-sse-customer-key=hush\"]",
        "[remote]\nextra_args = [\"hush\"]",
        "[remote]\nextra_args = [\"--HUSH-hush\"]",
        "B2_APP_KEY = hush",
    ];
    for text in texts {
        let (_, message) = only(text);
        assert!(!message.to_lowercase().contains("hush"), "{message}");
    }
}

#[test]
fn datasets_in_the_file_replace_those_of_the_defaults() {
    let config = parse(DATASET).unwrap();
    let names: Vec<&str> = config.datasets.keys().map(|name| name.as_str()).collect();
    assert_eq!(names, ["a"]);
    let dataset = config.datasets.values().next().unwrap();
    assert_eq!(dataset.max_data_age, None);
    assert!(dataset.check.is_empty());
    assert_eq!(parse("").unwrap().datasets.len(), 2);
}

#[test]
fn an_export_that_is_off_may_keep_its_command() {
    let config = parse("[export]\nenable = false\ncommand = [\"true\"]").unwrap();
    assert!(!config.export.enable);
}

#[test]
fn a_uuid_given_twice_is_refused() {
    let uuid = "c0ffee00-0000-4000-8000-00000000000a";
    let upper = uuid.to_uppercase();
    let text = format!("former_subvolume_uuids = [\n\"{uuid}\",\n\"{upper}\",\n]");
    let (place, message) = only(&text);
    assert_eq!(place, "former_subvolume_uuids[1]@3");
    assert!(message.contains("is there twice"), "{message}");
}

#[test]
fn a_file_of_rubbish_is_answered_at_once() {
    let text = "x y\n".repeat(100_000);
    let problems = parse(&text).unwrap_err();
    assert_eq!(problems.list.len(), 100_000);
    assert_eq!(problems.list.last().unwrap().line, Some(100_000));
    let problems = parse(&"x=1\n".repeat(100_000)).unwrap_err();
    assert_eq!(problems.list.len(), 100_000);
}
