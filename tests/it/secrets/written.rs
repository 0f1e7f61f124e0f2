//! What we print and write, with everything said, when all is well and when it is not.

use std::fs;

use testbed::relay::Rule;
use testbed::{Bed, Rclone};

use super::fixture::{left_nothing, with_openai};
use crate::support::{BIN, bed, expect, wrap};

fn quick(bed: &Bed) {
    let quick = ["--retries=1", "--low-level-retries=2"];
    bed.set("remote.extra_args", quick.map(toml::Value::from).to_vec())
        .expect("a setting");
}

#[test]
fn a_good_run_says_everything_but_its_keys() {
    for rclone in [Rclone::Old, Rclone::New] {
        let bed = Bed::builder(BIN.as_ref())
            .rclone(rclone)
            .build()
            .expect("a bed");
        with_openai(&bed, &[]);
        let ran = expect(&bed, &["run", "-vv", "--json"], 0);
        // rclone's own words are there, so its habits were heard.
        assert!(ran.stderr.contains("rclone"), "{ran}");
        left_nothing(&bed, &ran);
    }
}

#[test]
fn the_mark_of_a_run_under_way_holds_no_key() {
    let bed = bed();
    with_openai(&bed, &[("FIXTURE_MODE", "hang")]);
    bed.set("export.timeout", "3s").expect("a setting");
    let mut run = bed.spawn(&["run", "-vv"]).expect("it starts");
    let limit = std::time::Duration::from_secs(20);
    run.wait_for_stderr("export: started", limit)
        .expect("it is under way");
    let keys = bed.keys().expect("names");
    let mark = keys.iter().find(|key| key.ends_with(".started.json"));
    let mark = bed.json(mark.expect("a mark")).expect("a mark");
    super::fixture::is_clean("the mark", &mark.to_string());
    let ran = run.wait_timeout(limit).expect("it ends");
    assert_eq!(ran.code, Some(6), "{ran}");
    left_nothing(&bed, &ran);
}

#[test]
fn a_plan_shows_the_very_commands_and_no_key() {
    let bed = bed();
    with_openai(&bed, &[]);
    for args in [
        &["run", "--dry-run", "-vv"][..],
        &["run", "--dry-run", "--json"],
    ] {
        let ran = expect(&bed, args, 0);
        assert!(
            ran.stdout.contains("lsjson") || ran.stdout.contains("sync"),
            "{ran}"
        );
        left_nothing(&bed, &ran);
    }
}

#[test]
fn check_list_and_config_show_no_key() {
    let bed = bed();
    with_openai(&bed, &[]);
    expect(&bed, &["run"], 0);
    for args in [
        &["check", "-vv"][..],
        &["check", "--remote", "-vv"],
        &["check", "--remote", "--json"],
        &["list", "-vv"],
        &["list", "--json"],
        &["config", "-vv"],
        &["config", "--json"],
    ] {
        let ran = expect(&bed, args, 0);
        left_nothing(&bed, &ran);
    }
}

#[test]
fn a_refused_key_is_not_shown_where_the_refusal_is() {
    let bed = bed();
    with_openai(&bed, &[]);
    quick(&bed);
    let relay = bed.relay().expect("a relay");
    relay.rule(Rule::any().status(403));
    let ran = expect(&bed, &["run", "-vv"], 5);
    assert!(ran.stderr.contains("403"), "{ran}");
    left_nothing(&bed, &ran);
    let ran = expect(&bed, &["check", "--remote", "-vv"], 3);
    left_nothing(&bed, &ran);
    let ran = expect(&bed, &["list", "-vv"], 1);
    left_nothing(&bed, &ran);
}

#[test]
fn an_endpoint_that_is_down_or_breaks_off_shows_no_key() {
    let bed = bed();
    with_openai(&bed, &[]);
    quick(&bed);
    let relay = bed.relay().expect("a relay");
    relay.rule(Rule::on("PUT").path("/falkordb-").reset_after(10));
    let ran = expect(&bed, &["run", "-vv"], 5);
    left_nothing(&bed, &ran);
    relay.clear();
    relay.rule(Rule::any().close());
    let ran = expect(&bed, &["run", "-vv"], 5);
    left_nothing(&bed, &ran);
}

#[test]
fn a_snapshot_that_fails_shows_no_key() {
    let bed = bed();
    with_openai(&bed, &[]);
    wrap(
        &bed,
        "btrfs",
        "[ $2 != snapshot ] || { env >&2; exit 1; }\nexec \"$REAL\" \"$@\"",
    );
    let ran = expect(&bed, &["run", "-vv"], 4);
    assert!(ran.stderr.contains("LC_ALL=C"), "{ran}");
    left_nothing(&bed, &ran);
}

#[test]
fn a_tool_that_prints_its_whole_environment_shows_no_key() {
    let bed = bed();
    with_openai(&bed, &[]);
    quick(&bed);
    // A second run would have nothing to send.
    bed.set("remote.incremental", false).expect("a setting");
    wrap(
        &bed,
        "rclone",
        "[ $1 != sync ] || env >&2\nexec \"$REAL\" \"$@\"",
    );
    let ran = expect(&bed, &["run", "-vv"], 0);
    assert!(
        ran.stderr.contains("AWS_SECRET_ACCESS_KEY=[redacted]"),
        "{ran}"
    );
    left_nothing(&bed, &ran);
    wrap(
        &bed,
        "rclone",
        "[ $1 != sync ] || { env >&2; exit 1; }\nexec \"$REAL\" \"$@\"",
    );
    let ran = expect(&bed, &["run", "-vv"], 5);
    assert!(
        bed.state()
            .expect("a state file")
            .to_string()
            .contains("[redacted]"),
        "{ran}"
    );
    left_nothing(&bed, &ran);
}

#[test]
fn a_credentials_file_that_cannot_be_understood_is_not_quoted() {
    let bed = bed();
    let file = bed.env_path();
    let text = fs::read(&file).expect("a file");
    let no_text = [&text[..], b"MORE=\xff\xfe\n"].concat();
    let no_sign = String::from_utf8_lossy(&text).replace("B2_APP_KEY=", "B2_APP_KEY ");
    for (broken, what) in [
        (no_text, "line 8"),
        (no_sign.into_bytes(), "not B2_APP_KEY"),
    ] {
        fs::write(&file, broken).expect("a file");
        let ran = expect(&bed, &["run", "-vv"], 3);
        let named = format!("{}", file.display());
        let line = ran.stderr.lines().find(|line| line.contains(&named));
        assert!(
            line.is_some_and(|line| line.contains(what)),
            "{what}: {ran}"
        );
        left_nothing(&bed, &ran);
    }
}

#[test]
fn a_key_that_strayed_into_the_configuration_is_not_quoted() {
    let bed = bed();
    bed.set("remote.B2_APP_KEY", testbed::s3::APP_KEY)
        .expect("a setting");
    let ran = expect(&bed, &["config"], 2);
    assert!(ran.stderr.contains("B2_APP_KEY"), "{ran}");
    super::fixture::is_clean("stdout", &ran.stdout);
    super::fixture::is_clean("stderr", &ran.stderr);
}
