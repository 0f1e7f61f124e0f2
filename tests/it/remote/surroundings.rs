//! What is around a run and must not matter, and the settings of `[remote]` that must.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use testbed::bed::descendants;
use testbed::relay::Rule;
use testbed::s3::{APP_KEY, KEY_ID};

use super::{BOTH, assert_listed_as, assert_stored, bed_with, timestamp};
use crate::support::{bed, expect};

const SOON: Duration = Duration::from_secs(20);

/// What a caller may have, all of it poison to rclone, to btrfs or to a parser.
const HOSTILE: [(&str, &str); 33] = [
    ("AWS_ACCESS_KEY_ID", "AKIAHOSTILE0000000000"),
    ("AWS_SECRET_ACCESS_KEY", "hostile/secret"),
    ("AWS_SESSION_TOKEN", "hostile-token"),
    ("AWS_CA_BUNDLE", "/nonexistent/ca.pem"),
    ("AWS_PROFILE", "hostile"),
    ("AWS_CONFIG_FILE", "/nonexistent/config"),
    ("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent/credentials"),
    ("AWS_ENDPOINT_URL", "http://127.0.0.1:1"),
    ("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1"),
    ("AWS_REGION", "mars-north-1"),
    ("AWS_DEFAULT_REGION", "mars-north-1"),
    ("AWS_S3_FORCE_PATH_STYLE", "false"),
    ("RCLONE_TRANSFERS", "bogus"),
    ("RCLONE_DRY_RUN", "true"),
    ("RCLONE_CONFIG", "/nonexistent/rclone.conf"),
    ("RCLONE_S3_ENDPOINT", "http://127.0.0.1:1"),
    ("RCLONE_CONFIG_S3_TYPE", "local"),
    ("RCLONE_CONFIG_S3_ACCESS_KEY_ID", "hostile"),
    ("RCLONE_EXCLUDE", "*"),
    ("RCLONE_BACKUP_DIR", "s3:elsewhere"),
    ("RCLONE_VERBOSE", "2"),
    ("RCLONE_LOG_FILE", "/nonexistent/log"),
    ("TZ", "Asia/Tokyo"),
    ("LANG", "de_DE.UTF-8"),
    ("LC_ALL", "de_DE.UTF-8"),
    ("LANGUAGE", "de"),
    ("GODEBUG", "http2debug=2,netdns=cgo+2,inittrace=1"),
    ("GOMEMLIMIT", "1"),
    ("HTTP_PROXY", "http://127.0.0.1:1"),
    ("HTTPS_PROXY", "http://127.0.0.1:1"),
    // The export gets all of this, and its stub is on loopback.
    ("NO_PROXY", "127.0.0.1"),
    ("BTRFS_OUTPUT_FORMAT", "json"),
    ("TMPDIR", "/nonexistent"),
];

fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.expect("after 1970").as_secs().cast_signed()
}

#[test]
fn a_hostile_environment_changes_nothing() {
    for rclone in BOTH {
        let bed = bed_with(rclone);
        let relay = bed.relay().expect("a relay");
        let before = now();
        let mut command = bed.cmd(&["run"]);
        let ran = bed.run_cmd(command.envs(HOSTILE)).expect("started");
        assert_eq!(ran.code, Some(0), "{ran}");
        let timestamp = timestamp(&bed);
        let keys: Vec<String> = bed
            .keys()
            .expect("keys")
            .into_iter()
            .filter(|key| !key.starts_with("graphiti_export_"))
            .collect();
        let expected = [
            format!("falkordb-{timestamp}/dump.rdb"),
            format!("manifests/{timestamp}.files.json"),
            format!("manifests/{timestamp}.json"),
            format!("valkey-{timestamp}/dump.rdb"),
        ];
        assert_eq!(keys, expected, "{ran}");
        for dataset in ["falkordb", "valkey"] {
            assert_stored(&bed, &timestamp, dataset, "dump.rdb");
        }
        let manifest = bed.manifest(&timestamp).expect("a manifest");
        assert_eq!(manifest["export"]["outcome"], "stored", "{manifest:#}");
        assert_eq!(
            bed.snapshots().expect("names"),
            [format!("persist-{timestamp}")]
        );
        for request in relay.requests() {
            assert_eq!(request.key_id.as_deref(), Some(KEY_ID), "{request:?}");
        }
        // In UTC, whatever the caller's zone.
        let started = manifest["started"].as_str().expect("text");
        let started = chrono::DateTime::parse_from_rfc3339(started).expect("a time");
        let started = started.timestamp();
        assert!((before..=now()).contains(&started), "{started} {before}");
        assert_eq!(
            timestamp.replace('-', ":"),
            manifest["started"]
                .as_str()
                .unwrap_or_default()
                .replace('-', ":")
        );

        let mut list = bed.cmd(&["list"]);
        let list = bed.run_cmd(list.envs(HOSTILE)).expect("started");
        assert_eq!(list.code, Some(0), "{list}");
        assert!(list.stdout.contains("complete"), "{list}");
    }
}

#[test]
fn rclone_gets_the_keys_by_the_aws_names_and_nothing_of_the_callers() {
    for rclone in BOTH {
        let bed = bed_with(rclone);
        let relay = bed.relay().expect("a relay");
        let rule = relay.rule(Rule::on("PUT").path("/dump.rdb").stall());
        let mut command = bed.cmd(&["run"]);
        command.envs(HOSTILE);
        let run = testbed::Running::start(&mut command).expect("started");
        relay.wait_for_hits(rule, 2, SOON).expect("both uploads");
        let children = descendants(run.pid());
        relay.remove(rule);
        let ran = run.wait_timeout(SOON).expect("ended");
        assert_eq!(ran.code, Some(0), "{ran}");
        let mut seen = 0;
        for child in children
            .iter()
            .filter(|child| child.argv.iter().any(|word| word == "sync"))
        {
            seen += 1;
            let mut names: Vec<&str> = child
                .environ
                .iter()
                .filter_map(|pair| Some(pair.split_once('=')?.0))
                .collect();
            names.sort_unstable();
            let expected = [
                "AWS_ACCESS_KEY_ID",
                "AWS_EC2_METADATA_DISABLED",
                "AWS_SECRET_ACCESS_KEY",
                "LC_ALL",
                "RCLONE_CONFIG",
                "RCLONE_CONFIG_S3_ENV_AUTH",
                "RCLONE_CONFIG_S3_TYPE",
                "TZ",
            ];
            assert_eq!(names, expected);
            for pair in [
                format!("AWS_ACCESS_KEY_ID={KEY_ID}"),
                format!("AWS_SECRET_ACCESS_KEY={APP_KEY}"),
                "RCLONE_CONFIG=".to_owned(),
                "LC_ALL=C".to_owned(),
                "TZ=UTC".to_owned(),
            ] {
                assert!(child.environ.contains(&pair), "{:?}", child.environ);
            }
            for word in &child.argv {
                assert!(!word.contains(KEY_ID) && !word.contains(APP_KEY), "{word}");
            }
        }
        assert_eq!(seen, 2, "{children:#?}");
    }
}

#[test]
fn everything_but_the_export_lies_below_the_prefix() {
    let bed = bed();
    bed.set("remote.prefix", "host1/").expect("set");
    // Another host's, in the same bucket.
    let other = "manifests/2026-01-01T00-00-00Z.json";
    bed.s3().put(bed.bucket(), other, b"{}").expect("put");
    expect(&bed, &["check", "--remote"], 0);
    expect(&bed, &["run"], 0);
    let timestamp = timestamp(&bed);
    let keys = bed.keys().expect("keys");
    let export = keys.iter().find(|key| key.starts_with("graphiti_export_"));
    let mut expected = vec![
        export.expect("an export in the root").clone(),
        format!("host1/falkordb-{timestamp}/dump.rdb"),
        format!("host1/manifests/{timestamp}.files.json"),
        format!("host1/manifests/{timestamp}.json"),
        format!("host1/valkey-{timestamp}/dump.rdb"),
        other.to_owned(),
    ];
    expected.sort();
    assert_eq!(keys, expected);
    let manifest = bed.json(&format!("host1/manifests/{timestamp}.json"));
    let manifest = manifest.expect("a manifest");
    let prefix = format!("host1/falkordb-{timestamp}");
    assert_eq!(
        manifest["datasets"][0]["prefix"],
        prefix.as_str(),
        "{manifest:#}"
    );
    assert_eq!(manifest["export"]["object"], export.expect("one").as_str());
    assert_listed_as(&bed, &timestamp, "complete");
    let list = expect(&bed, &["list"], 0);
    assert!(!list.stdout.contains("2026-01-01T00-00-00Z"), "{list}");
}

#[test]
fn extra_arguments_and_the_bandwidth_reach_rclone() {
    let bed = bed();
    let args = vec!["--transfers=3", "--s3-region=eu-central-003"];
    bed.set("remote.extra_args", args).expect("set");
    bed.set("remote.bandwidth", "900M").expect("set");
    let plan = expect(&bed, &["run", "--dry-run"], 0);
    let ran = expect(&bed, &["run", "-v"], 0);
    for (whose, text) in [("plan", &plan.stdout), ("log", &ran.stderr)] {
        let uploads: Vec<&str> = text
            .lines()
            .filter(|line| line.contains(" sync "))
            .collect();
        assert_eq!(uploads.len(), 2, "{whose}: {text}");
        for upload in uploads {
            assert!(upload.contains(" --bwlimit 900M "), "{whose}: {upload}");
            let end = " --transfers=3 --s3-region=eu-central-003";
            assert!(upload.ends_with(end), "{whose}: {upload}");
        }
    }
}

#[test]
fn the_bandwidth_limit_holds_back_the_upload() {
    let bed = bed();
    let noise = vec![7; 3 << 20];
    std::fs::write(bed.dataset("falkordb").join("large.bin"), noise).expect("written");
    bed.set("remote.bandwidth", "1M").expect("set");
    let ran = expect(&bed, &["run"], 0);
    // A bucket full of tokens comes first, so the time is not exact.
    assert!(ran.took > Duration::from_secs(2), "{ran}");
}
