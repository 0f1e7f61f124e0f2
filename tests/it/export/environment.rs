//! What the script is given, and what happens where there is none.

use std::fs;

use serde_json::{Map, Value};
use testbed::s3::{APP_KEY, KEY_ID};

use super::exports;
use crate::support::{bed, expect};

/// Writes down what it was given, and fails.
const DUMP: &str = r#"
import json, os, sys
with open(os.environ["DUMP_TO"], "w") as out:
    json.dump({"env": dict(os.environ), "argv": sys.argv[1:], "stdin": sys.stdin.read()}, out)
sys.exit("written down")
"#;

#[test]
fn the_script_gets_the_callers_variables_the_files_and_ours() {
    let bed = bed();
    fs::write(bed.script_path(), DUMP).expect("written");
    let dump = bed.scratch().join("dump.json");
    let to = dump.to_string_lossy().into_owned();
    bed.write_env(&[
        ("OPENAI_API_KEY", "sk-from-the-file"),
        ("QUOTED", "\"two words\""),
    ])
    .expect("written");
    let mut command = bed.cmd(&["run"]);
    command.env("DUMP_TO", &to).env("FROM_THE_CALLER", "ä b");
    let ran = bed.run_cmd(&mut command).expect("started");
    assert_eq!(ran.code, Some(6), "{ran}");
    assert!(!ran.stderr.contains("sk-from-the-file"), "{ran}");

    let text = fs::read(&dump).expect("the script ran");
    let mut dump: Value = serde_json::from_slice(&text).expect("JSON");
    assert_eq!(dump["argv"], serde_json::json!(["export"]));
    assert_eq!(dump["stdin"], "");
    let env: &mut Map<String, Value> = dump["env"].as_object_mut().expect("an object");
    let state = bed.state().expect("a state file");
    // Python's own doing, where the locale is C.
    env.remove("LC_CTYPE");
    let realm = bed.b2().realm();
    let path = env.remove("PATH").expect("PATH");
    assert!(path.as_str().is_some_and(|path| path.contains("/usr/bin")));
    let expected = serde_json::json!({
        // The caller's.
        "OPENCODE_BACKUP_CONFIG": bed.config_path(),
        "DUMP_TO": to,
        "FROM_THE_CALLER": "ä b",
        // The file's.
        "B2_KEY_ID": KEY_ID,
        "B2_APP_KEY": APP_KEY,
        "B2_REALM": realm,
        "FALKORDB_HOST": "127.0.0.1",
        "FALKORDB_PORT": "1",
        "VALKEY_HOST": "127.0.0.1",
        "VALKEY_PORT": "1",
        "OPENAI_API_KEY": "sk-from-the-file",
        "QUOTED": "two words",
        // Ours.
        "B2_BUCKET": bed.bucket(),
        "OPENCODE_BACKUP_TIMESTAMP": state["timestamp"],
        "PYTHONNOUSERSITE": "1",
        "PYTHONSAFEPATH": "1",
    });
    assert_eq!(Value::from(env.clone()), expected, "{ran}");
}

#[test]
fn keys_from_the_environment_reach_the_script_too() {
    let bed = bed();
    let realm = bed.b2().realm();
    fs::remove_file(bed.env_path()).expect("removed");
    let mut command = bed.cmd(&["run"]);
    command.env("B2_KEY_ID", KEY_ID).env("B2_APP_KEY", APP_KEY);
    command
        .env("B2_REALM", realm)
        .env("FALKORDB_PORT", "1")
        .env("VALKEY_PORT", "1");
    let ran = bed.run_cmd(&mut command).expect("started");
    assert_eq!(ran.code, Some(0), "{ran}");
    assert_eq!(exports(&bed).len(), 1, "{ran}");
}

#[test]
fn an_export_that_is_switched_off_needs_no_python_and_fails_nothing() {
    let bed = bed();
    bed.set("export.enable", false).expect("set");
    bed.set(
        "export.command",
        vec!["/nonexistent/python3", "/nonexistent/script", "export"],
    )
    .expect("set");
    fs::remove_file(bed.script_path()).expect("removed");
    let path = bed.path_without(&["python3", "python"]).expect("a PATH");
    let ran = bed
        .run_cmd(bed.cmd(&["run"]).env("PATH", path))
        .expect("started");
    assert_eq!(ran.code, Some(0), "{ran}");
    assert!(exports(&bed).is_empty());
    let [timestamp] = &bed.committed().expect("keys")[..] else {
        panic!("not one backup: {ran}")
    };
    let manifest = bed.manifest(timestamp).expect("a manifest");
    assert_eq!(manifest["export"]["outcome"], "disabled", "{manifest:#}");
    let state = bed.state().expect("a state file");
    assert_eq!(state["export"]["outcome"], "disabled", "{state:#}");
    let verdict = state["verdict"].as_str().unwrap_or_default();
    assert!(verdict.contains("no export (switched off)"), "{verdict}");
    let list = expect(&bed, &["list"], 0);
    assert!(list.stdout.contains("  complete  "), "{list}");
}
