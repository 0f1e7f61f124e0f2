//! Every refusal, with its key and its line.

use super::{only, parse, places};

#[test]
fn each_mistake_is_reported_with_its_key_its_line_and_the_way_out() {
    #[rustfmt::skip] // one row a case
    let cases: &[(&str, &str, &[&str])] = &[
        // Unknown keys, at every depth.
        ("\nsubvolum = \"/x\"", "subvolum@2", &["unknown field `subvolum`, expected one of `subvolume`"]),
        ("[remote]\nsubvolume = \"/x\"", "remote.subvolume@2", &["unknown field", "correct or remove it"]),
        ("[remotes]\nbucket = \"abc\"", "remotes@1", &["unknown field `remotes`"]),
        ("[drill]\nzzz = 1", "drill.zzz@2", &["expected `timeout`"]),
        ("[retention]\nremote_days = 1", "retention.remote_days@2", &["unknown field"]),
        ("[retention.remote]\nhourly = 1", "retention.remote.hourly@2", &["unknown field"]),
        ("\"a\\nb\" = 1", "\"a\\nb\"@1", &["unknown field"]),
        ("x.y = 1\n", "x@1", &["unknown field"]),
        // Credentials.
        ("B2_APP_KEY = \"K004hush\"", "B2_APP_KEY@1", &["env_file"]),
        ("[remote]\nsecret_access_key = \"hush\"", "remote.secret_access_key@2", &["env_file"]),
        // Types.
        ("subvolume = 3", "subvolume@1", &["integer `3`, expected a string", "write the whole path"]),
        ("remote = 3", "remote@1", &["integer `3`", "[remote]"]),
        ("retention = [1, 1]", "retention@1", &["an array, expected a table", "[remote]"]),
        ("remote = []", "remote@1", &["an array"]),
        ("[retention]\nremote = [1, 1, 1, 1, 1, 1]", "retention.remote@2", &["an array"]),
        ("[datasets]\na = [\"x\"]", "datasets.a@2", &["an array"]),
        ("datasets = []", "datasets@1", &["expected a map", "[datasets.memory]"]),
        ("[datasets]\na = \"x\"", "datasets.a@2", &["[datasets.memory]"]),
        ("[remote]\nincremental = \"yes\"", "remote.incremental@2", &["string \"yes\"", "without quotation marks"]),
        ("[retention]\ndays = \"30\"", "retention.days@2", &["string \"30\"", "whole number"]),
        ("[retention]\ndays = 1.5", "retention.days@2", &["floating point `1.5`"]),
        ("[export]\ntimeout = 30", "export.timeout@2", &["integer `30`", "\"30m\""]),
        ("[export]\ncommand = \"python3 x\"", "export.command@2", &["expected a sequence", "write a list"]),
        ("[export]\ncommand = [\n\"a\",\n3]", "export.command@4", &["integer `3`"]),
        ("[remote]\nmemory = 1e9", "remote.memory@2", &["\"256M\""]),
        ("[export]\nenable = 2025-01-01", "export.enable@2", &["write true or false"]),
        // Emptiness.
        ("[export]\ncommand = []", "export.command@2", &["must name a program, is empty"]),
        ("[export]\nenable = false\ncommand = []", "export.command@3", &["is empty"]),
        ("[export]\ncommand = [\"a\", \"\"]", "export.command@2", &["no empty word"]),
        ("[export]\ncommand = [\"a\", \"b\\u0000\"]", "export.command@2", &["NUL"]),
        ("[export]\ncommand = [\"./a\"]", "export.command@2", &["absolute path, is \"./a\""]),
        ("[export]\ncommand = [\"-c\"]", "export.command@2", &["program's name"]),
        ("[restore]\nstop = []", "restore.stop@2", &["is empty"]),
        ("subvolume = \"\"", "subvolume@1", &["must be an absolute path, is \"\""]),
        ("[report]\ntextfile = \"\"", "report.textfile@2", &["must be an absolute path"]),
        ("[remote]\nbucket = \"\"", "remote.bucket@2", &["is \"\""]),
        ("[remote]\nprovider = \"\"", "remote.provider@2", &["\"Other\" for Backblaze B2"]),
        ("[remote]\nprovider = \"a,b\"", "remote.provider@2", &["is \"a,b\""]),
        ("[remote]\nendpoint = \"\"", "remote.endpoint@2", &["must be a host"]),
        // Zero, and far too much.
        ("[retention]\ndays = 0", "retention.days@2", &["integer `0`, expected a nonzero u32", "from 1 on"]),
        ("[retention]\ndays = -3", "retention.days@2", &["`-3`"]),
        ("[retention]\nmin_keep = 0", "retention.min_keep@2", &["expected a nonzero"]),
        ("[retention.remote]\ndays = 0", "retention.remote.days@2", &["`0`"]),
        ("[retention.remote]\nmin_keep = 0", "retention.remote.min_keep@2", &["`0`"]),
        ("[retention.remote]\nweekly = -1", "retention.remote.weekly@2", &["`-1`", "0 disables the rule"]),
        ("[retention]\nmin_keep = 99999999999", "retention.min_keep@2", &["`99999999999`"]),
        ("[export]\ntimeout = \"0s\"", "export.timeout@2", &["from 1s to 36500d", "is \"0s\""]),
        ("[drill]\ntimeout = \"-1m\"", "drill.timeout@2", &["is \"-1m\""]),
        ("save_timeout = \"99999999999d\"", "save_timeout@1", &["36500d"]),
        ("[remote]\nmemory = \"0M\"", "remote.memory@2", &["is \"0M\"", "\"256M\""]),
        ("[remote]\nmemory = \"99999999999999G\"", "remote.memory@2", &["1024G"]),
        // Paths.
        ("subvolume = \"persist\"", "subvolume@1", &["must be an absolute path, is \"persist\""]),
        ("subvolume = \"/\"", "subvolume@1", &["below \"/\""]),
        ("snapshot_dir = \"/a/../b\"", "snapshot_dir@1", &["no \"..\" component"]),
        ("snapshot_dir = \"/a/./b\"", "snapshot_dir@1", &["no \".\" component"]),
        ("snapshot_dir = \"/a//b\"", "snapshot_dir@1", &["empty component"]),
        ("snapshot_dir = \"/a/\"", "snapshot_dir@1", &["at the end"]),
        ("env_file = \"/a\\u0000b\"", "env_file@1", &["control characters, is \"/a\\0b\""]),
        ("env_file = \"/a\\nb\"", "env_file@1", &["control characters"]),
        ("[report]\nstate_file = \"x.json\"", "report.state_file@2", &["must be an absolute path"]),
        ("[datasets.a]\nformat = \"files\"\npath = \"/a\"", "datasets.a.path@3", &["must be relative", "is \"/a\""]),
        ("[datasets.a]\npath = \"../a\"", "datasets.a.path@2", &["\"..\""]),
        ("[datasets.a]\npath = \"\"", "datasets.a.path@2", &["empty component"]),
        ("[datasets.a]\npath = \"a\\tb\"", "datasets.a.path@2", &["control characters"]),
        // Datasets.
        ("[datasets.a]\nformat = \"redis\"", "datasets.a@1", &["missing field `path`", "with path ="]),
        ("datasets.a.format = \"redis\"", "datasets.a@1", &["missing field `path`"]),
        ("[datasets.valkey]\nformat = \"rdb\"", "datasets.valkey.format@2", &["`rdb`, expected `redis` or `files`"]),
        ("[datasets.valkey]\npaths = 1", "datasets.valkey.paths@2", &["unknown field"]),
        ("[datasets.valkey]\nmax_data_age = \"0h\"", "datasets.valkey.max_data_age@2", &["is \"0h\"", "\"off\""]),
        ("[datasets.valkey]\nmax_shrink = \"100%\"", "datasets.valkey.max_shrink@2", &["is \"100%\"", "\"off\""]),
        ("[datasets.valkey]\nserver = \"a\"", "datasets.valkey.server@2", &["unix:/path, is \"a\""]),
        ("[datasets.valkey]\nserver_password_variable = \"hush hush\"", "datasets.valkey.server_password_variable@2", &["never the password itself"]),
        ("[datasets.valkey]\ncheck = []", "datasets.valkey.check@2", &["is empty"]),
        ("[datasets.valkey]\ncheck = [\"true\"]", "datasets.valkey.check@2", &["{dir}"]),
        ("[datasets.manifests]\npath = \"a\"", "datasets.manifests@1", &["taken in the bucket"]),
        ("[datasets.graphiti_export_a]\npath = \"a\"", "datasets.graphiti_export_a@1", &["taken"]),
        ("[datasets.\"a/b\"]\npath = \"a\"", "datasets.\"a/b\"@1", &["is \"a/b\""]),
        ("[datasets.\"..\"]\npath = \"a\"", "datasets.\"..\"@1", &["is \"..\""]),
        ("[datasets.Valkey]\npath = \"a\"", "datasets.Valkey@1", &["a dataset's name must be"]),
        // Addresses.
        ("[remote]\nendpoint = \"http://s3.example.com\"", "remote.endpoint@2", &["plain http", "https://"]),
        ("[remote]\nprefix = \"a\"", "remote.prefix@2", &["end in \"/\"", "\"host1/\""]),
        ("[remote]\nprefix = \"/a/\"", "remote.prefix@2", &["no leading \"/\""]),
        ("[remote]\nextra_args = [\n\"--transfers=8\",\n\"--rc\"]", "remote.extra_args@2", &["--rc is not among"]),
        ("[remote]\nextra_args = [\"--transfers\", \"8\"]", "remote.extra_args@2", &["--transfers needs a value", "--flag=value"]),
        ("former_subvolume_uuids = [\"x\"]", "former_subvolume_uuids@1", &["btrfs subvolume show"]),
        ("former_subvolume_uuids = [\"00000000-0000-0000-0000-000000000000\"]", "former_subvolume_uuids@1", &["nil"]),
        // TOML itself.
        ("subvolume = /persist", "@1", &["not valid TOML", "quotation marks"]),
        ("[remote]\nbucket = \"abc\"\nbucket = \"abd\"", "@3", &["duplicate key", "once in its table"]),
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
        "/etc/x.toml:3: datasets.falkordb.path: must be relative to the subvolume, is \"/x\"; write \
         the path below the subvolume, like \"containers/falkordb\""
    );
}

#[test]
fn the_problems_of_all_tables_are_reported_at_once_in_the_order_of_the_file() {
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
            "remote.extra_args@9",
            "datasets.b.format@13",
            "export.command@16",
            "export.timeout@17",
        ]
    );
}

#[test]
fn the_first_syntax_error_is_reported_alone() {
    let text = "subvolume = /persist\nenv_file = \"x\"\n[retention]\ndays = 0\nmin_keep = = 4\n";
    assert_eq!(places(text), ["@1"]);
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
        (
            snapshots("/persist/containers/valkey") + &dataset("a", "a"),
            &["snapshot_dir@1"],
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
        (dataset("a", "containers/valkey/x"), &["datasets.a.path@3"]),
        (
            dataset("a", "containers/valkey/x") + "[datasets.valkey]\nenable = false\n",
            &[],
        ),
        // Something is enabled.
        (
            "[datasets]\nfalkordb.enable = false\nvalkey.enable = false\n".to_owned(),
            &["datasets@1"],
        ),
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
    assert_eq!(place, "former_subvolume_uuids@1");
    assert!(message.contains("is there twice"), "{message}");
}

#[test]
fn a_file_of_rubbish_is_answered_at_once() {
    assert_eq!(places(&"x y\n".repeat(10_000)), ["@1"]);
    let many: String = (0..10_000).map(|n| format!("x{n} = 1\n")).collect();
    assert_eq!(places(&many).len(), 20);
}

#[test]
fn more_datasets_than_a_manifest_holds_are_refused() {
    // With the two of the defaults.
    let datasets = |count: usize| -> String {
        let each = (2..count).map(|n| format!("[datasets.d{n}]\npath = \"d/{n}\"\n"));
        each.collect()
    };
    assert_eq!(places(&datasets(1000)), [""; 0]);
    assert_eq!(places(&datasets(1001)), ["datasets@1"]);
}
