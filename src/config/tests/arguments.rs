//! `remote.extra_args`, element by element.

use crate::config::extra_args::extra_args;
use crate::config::flags::{ALLOWED, REFUSED};

fn accepted(elements: &[&str]) -> Vec<String> {
    let (accepted, refused) = extra_args(elements);
    assert!(refused.is_empty(), "{elements:?}: {refused:?}");
    accepted
}

#[test]
fn what_is_accepted_comes_out_as_one_element_an_argument() {
    let cases: &[(&[&str], &[&str])] = &[
        (&[], &[]),
        (&["--transfers=8"], &["--transfers=8"]),
        (
            &["--transfers", "8", "--checkers=16"],
            &["--transfers=8", "--checkers=16"],
        ),
        (
            &["--s3-no-head", "--s3-force-path-style=false"],
            &["--s3-no-head", "--s3-force-path-style=false"],
        ),
        (&["--s3-no-check-bucket"], &["--s3-no-check-bucket"]),
        (
            &["--timeout=1h30m", "--contimeout", "500ms"],
            &["--timeout=1h30m", "--contimeout=500ms"],
        ),
        (
            &["--retries-sleep=0s", "--tpslimit=0.5"],
            &["--retries-sleep=0s", "--tpslimit=0.5"],
        ),
        (
            &["--s3-chunk-size=16Mi", "--s3-upload-cutoff=0"],
            &["--s3-chunk-size=16Mi", "--s3-upload-cutoff=0"],
        ),
        (
            &["--s3-storage-class", "STANDARD_IA"],
            &["--s3-storage-class=STANDARD_IA"],
        ),
    ];
    for (elements, expected) in cases {
        assert_eq!(accepted(elements), *expected);
        let again: Vec<String> = accepted(elements);
        let again: Vec<&str> = again.iter().map(String::as_str).collect();
        assert_eq!(accepted(&again), *expected);
    }
}

#[test]
fn what_is_refused_is_refused_for_a_reason() {
    let cases: &[(&[&str], usize, &str)] = &[
        (&["--transfers"], 0, "has no value; write --transfers=2"),
        (&["--transfers", "--checkers=2"], 0, "has no value"),
        (&["--transfers=0"], 0, "a whole number from 1 to 1024"),
        (&["--transfers=010"], 0, "is \"010\""),
        (&["--retries=0"], 0, "a whole number from 1 to 1000"),
        (&["--timeout=0s"], 0, "a time above 0"),
        (&["--timeout=5"], 0, "write it like --timeout=1m30s"),
        (&["--timeout=1d"], 0, "up to 720h"),
        (&["--transfers=2", "--transfers=3"], 1, "is there twice"),
        (
            &["--s3-no-head", "true"],
            1,
            "rclone would take it for a path",
        ),
        (&["--s3-no-head=1"], 0, "must be true or false"),
        (&["--s3-no-check-bucket=false"], 0, "must be true"),
        (&["--s3-chunk-size=1M"], 0, "a size from 5M to 5G"),
        (&["--s3-acl=public-read"], 0, "one of private"),
        (&["--s3-storage-class=GLACIER"], 0, "one of STANDARD"),
        (&["--s3-server-side-encryption=aws:kms"], 0, "one of AES256"),
        (&["--s3-region=a b"], 0, "a word"),
        (&["loose"], 0, "neither a flag nor the value"),
        (&["--transfers=2", "3"], 1, "neither a flag nor the value"),
        (&["-v"], 0, "short options"),
        (&["-"], 0, "short options"),
        (&["--"], 0, "this is not among the allowed arguments"),
        (&["--tranfers=3"], 0, "did you mean --transfers?"),
        (&["--s3_no_head"], 0, "did you mean --s3-no-head?"),
        (&["--fast-list"], 0, "not among the allowed arguments"),
        (
            &["--s3-brand-new-flag=x"],
            0,
            "not among the allowed arguments",
        ),
        (&["--s3-secret-access-key", "x"], 0, "is a credential"),
        (&["--s3-disable-checksum"], 0, "without an MD5 sum"),
        (&["--s3-versions"], 0, "old or deleted objects"),
        (&["--s3-endpoint=x"], 0, "set remote.endpoint"),
        (&["--bwlimit=1M"], 0, "set remote.bandwidth"),
        (&["--metadata-mapper", "/x"], 0, "runs a program"),
        (&["--rc-addr=:1"], 0, "opens a port"),
        (&["--dump", "auth"], 0, "prints requests"),
        (&["--log-file=/x"], 0, "sends the log"),
        (&["--exclude", "*.rdb"], 0, "filters"),
        (&["--config=/x"], 0, "another configuration"),
        (&["--max-size=1"], 0, "stops or filters"),
        (&["--ignore-errors"], 0, "skips files or checks"),
    ];
    for (elements, index, words) in cases {
        let (_, refused) = extra_args(elements);
        assert_eq!(refused.len(), 1, "{elements:?}: {refused:?}");
        let (at, refusal) = &refused[0];
        assert_eq!(at, index, "{elements:?}");
        assert!(
            refusal.to_string().contains(words),
            "{words:?} is not in {refusal}"
        );
    }
}

#[test]
fn no_refused_pattern_covers_an_allowed_argument() {
    for (pattern, _, _) in REFUSED {
        for (flag, _) in ALLOWED {
            let covers = pattern
                .strip_suffix('*')
                .map_or(*pattern == *flag, |start| flag.starts_with(start));
            assert!(!covers, "{pattern} covers {flag}");
        }
    }
}
