//! What children print: an export that shows its keys in every notation it can think of.

use std::fs;

use serde_json::Value;
use testbed::s3::{APP_KEY, KEY_ID};
use testbed::{Bed, Ran};

use super::fixture::{AWKWARD, OPENAI, all_forms, is_clean, left_nothing, with_openai};
use crate::support::{bed, expect};

/// Replaces the export by these lines of Python; `key`, `key_id` and `openai` are at hand.
fn export(bed: &Bed, body: &str) {
    let head = "import base64, json, os, sys, urllib.parse\n\
                key, key_id = os.environ['B2_APP_KEY'], os.environ['B2_KEY_ID']\n\
                openai = os.environ.get('OPENAI_API_KEY', '')\n\
                def say(text):\n    print(text)\n    print(text, file=sys.stderr)\n\
                b64 = lambda text: base64.b64encode(text.encode()).decode()\n";
    fs::write(bed.script_path(), format!("{head}{body}\nsys.exit(1)\n")).expect("a script");
}

/// Runs with everything said; the export fails, nothing shows, and the words around the secrets are there.
#[track_caller]
fn prints_nothing(bed: &Bed, words: &[&str]) -> Ran {
    let ran = expect(bed, &["run", "-vv"], 6);
    for word in words {
        let line = ran.stderr.lines().find(|line| line.contains(word));
        let line = line.unwrap_or_else(|| panic!("no line with {word}: {ran}"));
        assert!(line.contains("[redacted]"), "{line}");
    }
    left_nothing(bed, &ran);
    ran
}

const EVERY_FORM: &str = "
for name, value in [('key', key), ('id', key_id), ('openai', openai)]:
    say(f'clear-{name} <{value}>')
    say(f'base64-{name} <{b64(value)}>')
    say(f'json-{name} ' + json.dumps({'value': value}))
    say(f'percent-{name} <' + urllib.parse.quote(value, safe='') + '>')
say('basic <Authorization: Basic ' + b64(key_id + ':' + key) + '>')
say('pair <' + key_id + ':' + key + '>')
";

const WORDS: [&str; 10] = [
    "clear-key",
    "clear-id",
    "clear-openai",
    "base64-key",
    "base64-openai",
    "json-key",
    "percent-key",
    "percent-openai",
    "basic",
    "pair",
];

#[test]
fn an_export_that_shows_its_keys_in_every_form_shows_nothing() {
    let bed = bed();
    with_openai(&bed, &[]);
    export(&bed, EVERY_FORM);
    let ran = prints_nothing(&bed, &WORDS);
    let state = bed.state().expect("a state file");
    assert!(
        state["export"]["error"].to_string().contains("[redacted]"),
        "{state:#}: {ran}"
    );
    let timestamp = bed.committed().expect("names").remove(0);
    let manifest = bed.manifest(&timestamp).expect("a manifest");
    assert!(
        manifest["export"].to_string().contains("[redacted]"),
        "{manifest:#}"
    );
}

#[test]
fn a_key_of_awkward_characters_is_found_in_every_form() {
    let bed = bed();
    let quoted = format!("'{AWKWARD}'");
    with_openai(&bed, &[("B2_APP_KEY", &quoted)]);
    // The key that the script sees is the key that was meant.
    let check = format!("assert key == {}\n", Value::from(AWKWARD));
    export(&bed, &(check + EVERY_FORM));
    prints_nothing(&bed, &WORDS);
}

#[test]
fn a_key_as_pythons_own_tools_quote_it_is_found() {
    let bed = bed();
    with_openai(&bed, &[]);
    export(
        &bed,
        "say('quote <' + urllib.parse.quote(key) + '>')\n\
         say('lower <' + urllib.parse.quote(key, safe='').replace('%2F', '%2f').replace('%2B', '%2b') + '>')\n\
         say('url-safe <' + base64.urlsafe_b64encode(key.encode()).decode() + '>')\n\
         say('slashes ' + json.dumps(key).replace('/', '\\\\/'))\n\
         say('repr ' + repr({'key': key}))",
    );
    prints_nothing(
        &bed,
        &["quote <", "lower <", "url-safe <", "slashes ", "repr "],
    );
}

#[test]
fn a_line_that_is_cut_inside_a_key_shows_no_half_of_it() {
    let bed = bed();
    with_openai(&bed, &[]);
    // The bound is 64 KiB: wherever it falls, a part of the key stands before it.
    for kept in [1, APP_KEY.len() / 2, APP_KEY.len() - 1] {
        export(
            &bed,
            &format!(
                "line = 'x' * (64 * 1024 - {kept}) + key + 'y' * 100\nsay('before')\nsay(line)\nsay('after')"
            ),
        );
        let ran = expect(&bed, &["run", "-vv"], 6);
        assert!(
            ran.stderr.contains("export | after"),
            "the next line is whole"
        );
        let half = &APP_KEY[..kept.max(6)];
        let shown = ran.stderr.lines().filter(|line| line.contains("xxxx"));
        for line in shown {
            let end = line.trim_end_matches(['…', '.', ' ']);
            let tail: String = end
                .chars()
                .rev()
                .take(80)
                .collect::<Vec<_>>()
                .into_iter()
                .rev()
                .collect();
            assert!(!line.contains(half), "{tail}");
            if kept > 5 {
                assert!(!end.ends_with(&APP_KEY[..6]), "{tail}");
            }
        }
        left_nothing(&bed, &ran);
        wait_for_the_next_second();
    }
}

#[test]
fn a_long_line_shows_neither_end_of_a_key() {
    let bed = bed();
    with_openai(&bed, &[]);
    // An error keeps the last 2 KiB: a cut that begins inside a key must not show the rest of it.
    for before in [2040, 2048 - APP_KEY.len() / 2, 2030] {
        export(
            &bed,
            &format!("print('a' * 3000 + key + 'b' * {before}, file=sys.stderr)"),
        );
        let ran = expect(&bed, &["run"], 6);
        let rest = &APP_KEY[APP_KEY.len() - 8..];
        assert!(!ran.stderr.contains(rest), "{before}");
        left_nothing(&bed, &ran);
        let state = bed.state().expect("a state file").to_string();
        assert!(
            state.contains("bbbb") && !state.contains(rest),
            "{before}: {state}"
        );
        wait_for_the_next_second();
    }
}

#[test]
fn a_key_without_a_line_feed_or_among_other_bytes_is_found() {
    let bed = bed();
    with_openai(&bed, &[]);
    export(
        &bed,
        "sys.stderr.buffer.write(b'bytes \\xff\\xfe<' + key.encode() + b'>\\x00\\r\\n')\n\
         sys.stderr.buffer.write(b'tail ' + key.encode())\nsys.stderr.buffer.flush()",
    );
    prints_nothing(&bed, &["bytes ", "tail "]);
}

#[test]
fn a_secret_of_several_lines_is_found_line_by_line() {
    let bed = bed();
    let lines = ["first-half-of-a-secret", "second+half/of=it"];
    let quoted = format!("'{}'", lines.join("\n"));
    with_openai(&bed, &[("SIGNING_KEY", &quoted)]);
    export(&bed, "say('signing <' + os.environ['SIGNING_KEY'] + '>')");
    let ran = expect(&bed, &["run", "-vv"], 6);
    assert!(ran.stderr.contains("signing <"), "{ran}");
    let state = bed.state().expect("a state file").to_string();
    for line in lines {
        assert!(
            !ran.stderr.contains(line) && !state.contains(line),
            "{line}: {ran}"
        );
    }
    left_nothing(&bed, &ran);
}

#[test]
fn the_fixtures_own_leak_is_stopped() {
    let bed = bed();
    with_openai(&bed, &[("FIXTURE_MODE", "leak")]);
    let ran = expect(&bed, &["run", "-vv"], 6);
    assert!(
        ran.stderr.contains("cannot log in with [redacted]"),
        "{ran}"
    );
    left_nothing(&bed, &ran);
}

#[test]
fn the_forms_that_are_looked_for_are_those_that_are_printed() {
    // The looking glass itself: a test that looks for nothing finds nothing.
    let forms = all_forms();
    for secret in [APP_KEY, KEY_ID, OPENAI, AWKWARD] {
        assert!(forms.iter().any(|form| form == secret), "{forms:#?}");
    }
    let caught = std::panic::catch_unwind(|| is_clean("a text", &format!("a\nb {APP_KEY} c\n")));
    assert!(caught.is_err(), "a key in a text is seen");
}

fn wait_for_the_next_second() {
    let now = || chrono::Utc::now().timestamp();
    let started = now();
    while now() == started {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}
