//! `remote.extra_args`, element by element.

use crate::config::ExtraArg;

#[test]
fn allowed_flags_are_accepted_as_they_are() {
    for text in [
        "--transfers=8",
        "--s3-no-head",
        "--s3-force-path-style=false",
        "--s3-no-check-bucket=true",
        "--timeout=1h30m",
        "--retries-sleep=0s",
        "--tpslimit=0.5",
        "--s3-chunk-size=16Mi",
        "--s3-upload-cutoff=0",
        "--s3-storage-class=STANDARD_IA",
        "--s3-acl=private",
    ] {
        assert_eq!(text.parse::<ExtraArg>().unwrap().as_str(), text);
    }
}

#[test]
fn other_flags_and_harmful_values_are_refused() {
    let not_allowed = "is not among the allowed flags";
    #[rustfmt::skip] // one row a case
    let cases = [
        ("--transfers", "--transfers needs a value above 0"),
        ("--transfers=0", "needs a value above 0, is \"0\""),
        ("--retries=0", "needs a value above 0"),
        ("--timeout=0s", "needs a value above 0"),
        ("--s3-region=", "needs a value"),
        ("--s3-no-head=1", "needs nothing, =true or =false"),
        ("--s3-no-check-bucket=false", "needs one of true"),
        ("--s3-acl=public-read", "needs one of private"),
        ("--s3-storage-class=GLACIER", "needs one of STANDARD"),
        ("--s3-server-side-encryption=aws:kms", "needs one of AES256"),
        ("loose", "this is not among"),
        ("-v", "this is not among"),
        ("--", "this is not among"),
        ("", "this is not among"),
        ("--s3_no_head", "this is not among"),
        ("--fast-list", not_allowed),
        ("--s3-brand-new-flag=x", not_allowed),
        ("--s3-secret-access-key=x", not_allowed),
        ("--s3-disable-checksum", not_allowed),
        ("--s3-versions", not_allowed),
        ("--s3-endpoint=x", not_allowed),
        ("--bwlimit=1M", not_allowed),
        ("--metadata-mapper=/x", not_allowed),
        ("--password-command=x", not_allowed),
        ("--rc-addr=:1", not_allowed),
        ("--dump=auth", not_allowed),
        ("--log-file=/x", not_allowed),
        ("--exclude=*.rdb", not_allowed),
        ("--config=/x", not_allowed),
        ("--max-size=1", not_allowed),
        ("--dry-run", not_allowed),
        ("--ignore-errors", not_allowed),
    ];
    for (text, words) in cases {
        let refusal = text.parse::<ExtraArg>().unwrap_err().to_string();
        assert!(
            refusal.contains(words),
            "{text}: {words:?} is not in {refusal}"
        );
    }
}
