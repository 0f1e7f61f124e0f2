//! Each value type alone: what it takes, what it refuses, that it prints back.

use crate::config::bandwidth::bandwidth;
use crate::config::{Bucket, ByteSize, DatasetName, Endpoint, Prefix, Span, Uuid};

#[test]
fn spans_print_back() {
    let cases = [
        ("7h", 25_200, "7h"),
        ("30m", 1_800, "30m"),
        ("24h", 86_400, "24h"),
        ("1d", 86_400, "24h"),
        ("90s", 90, "1m30s"),
        ("2d", 172_800, "2d"),
        ("48h", 172_800, "2d"),
        ("1d12h", 129_600, "36h"),
        ("1h30m", 5_400, "1h30m"),
        ("36500d", 3_153_600_000, "36500d"),
    ];
    for (text, seconds, printed) in cases {
        let span: Span = text.parse().unwrap();
        assert_eq!(span.as_duration().as_secs(), seconds, "{text}");
        assert_eq!(span.to_string(), printed);
        assert_eq!(printed.parse::<Span>().unwrap(), span);
    }
    for text in [
        "",
        "0s",
        "0d0h",
        "5",
        "5 m",
        "m",
        "1h1h",
        "1m1h",
        "1.5h",
        "-1h",
        "+1h",
        "1w",
        "1H",
        "36501d",
        "99999999999s",
        "1h ",
        "1é",
        "1m30",
    ] {
        assert!(text.parse::<Span>().is_err(), "{text}");
    }
}

#[test]
fn sizes_print_back_in_the_shortest_exact_form() {
    let cases = [
        ("256M", 268_435_456, "256M"),
        ("1024M", 1 << 30, "1G"),
        ("1536M", 1536 << 20, "1536M"),
        ("1K", 1024, "1K"),
        ("1025", 1025, "1025"),
        ("1024G", 1 << 40, "1024G"),
    ];
    for (text, bytes, printed) in cases {
        let size: ByteSize = text.parse().unwrap();
        assert_eq!((size.bytes(), size.to_string().as_str()), (bytes, printed));
    }
    for text in [
        "",
        "M",
        "0",
        "0M",
        "-1M",
        "+1M",
        "1.5G",
        "256m",
        "1MB",
        "1MiB",
        "1 M",
        "1025G",
        "1T",
        "99999999999999999999",
    ] {
        assert!(text.parse::<ByteSize>().is_err(), "{text}");
    }
}

#[test]
fn uuids_print_in_lower_case_and_are_never_nil() {
    let uuid: Uuid = "C0FFEE00-1234-4000-8000-0123456789AB".parse().unwrap();
    assert_eq!(uuid.to_string(), "c0ffee00-1234-4000-8000-0123456789ab");
    assert_eq!(uuid.as_bytes()[..3], [0xc0, 0xff, 0xee]);
    assert_eq!(Uuid::from_bytes([0; 16]), None);
    for text in [
        "",
        "-",
        "c0ffee001234400080000123456789ab",
        "00000000-0000-0000-0000-000000000000",
        "c0ffee00-1234-4000-8000-0123456789ag",
        "c0ffee0-01234-4000-8000-0123456789ab",
        "c0ffee00-1234-4000-8000-0123456789ab-",
        "+0ffee00-1234-4000-8000-0123456789ab",
    ] {
        assert!(text.parse::<Uuid>().is_err(), "{text}");
    }
}

#[test]
fn a_datasets_name_cannot_escape_its_prefix_or_be_taken_for_another() {
    for text in [
        "a",
        "0",
        "falkordb",
        "valkey-2",
        "a_b",
        "persist",
        &"a".repeat(64),
    ] {
        assert_eq!(text.parse::<DatasetName>().unwrap().to_string(), text);
    }
    for text in [
        "",
        "-a",
        "a-",
        "_a",
        "A",
        "a/b",
        "a.b",
        ".",
        "..",
        "a b",
        "é",
        "manifests",
        "graphiti_export",
        "graphiti_export_x",
        "a-2025-01-01T12-00-00Z",
        &"a".repeat(65),
        "a\n",
    ] {
        assert!(text.parse::<DatasetName>().is_err(), "{text}");
    }
}

#[test]
fn buckets_are_what_b2_or_s3_allow() {
    for text in [
        "abc",
        "opencode-memory-backups",
        "myBucket",
        "a.b-c",
        &"a".repeat(63),
    ] {
        assert_eq!(text.parse::<Bucket>().unwrap().as_str(), text);
    }
    for text in [
        "",
        "ab",
        "a/b",
        "a:b",
        "-abc",
        "abc-",
        ".abc",
        "a..b",
        "a_b",
        "10.0.0.1",
        "é23",
        &"a".repeat(64),
    ] {
        assert!(text.parse::<Bucket>().is_err(), "{text}");
    }
}

#[test]
fn prefixes_are_plain_paths_that_end_in_a_slash() {
    for text in ["", "a/", "hosts/hetzner-vps/", "x@y:z/"] {
        assert_eq!(text.parse::<Prefix>().unwrap().as_str(), text);
    }
    for text in [
        "a",
        "/",
        "/a/",
        "a//b/",
        "a//",
        "./",
        "../",
        "a/../b/",
        "a b/",
        "a\u{0}/",
        "a\n/",
        "é/",
        "a\\b/",
        "\u{201b}/",
        "manifests/",
        "a/manifests/",
        "valkey-2025-01-01T12-00-00Z/",
        "2025-01-01T12-00-00Z/x/",
        &format!("{}/", "a".repeat(256)),
    ] {
        assert!(text.parse::<Prefix>().is_err(), "{text}");
    }
}

#[test]
fn an_endpoint_is_a_host_and_in_clear_only_on_this_machine() {
    let cases = [
        (
            "s3.us-west-004.backblazeb2.com",
            "s3.us-west-004.backblazeb2.com",
            443,
        ),
        ("s3.example.com:9000", "s3.example.com", 9000),
        ("https://s3.example.com", "s3.example.com", 443),
        ("https://[2001:db8::1]:8443", "2001:db8::1", 8443),
        ("10.0.0.1", "10.0.0.1", 443),
        ("http://127.0.0.1:5000", "127.0.0.1", 5000),
        ("http://127.9.9.9", "127.9.9.9", 80),
        ("http://localhost:1", "localhost", 1),
        ("http://[::1]:9000", "::1", 9000),
    ];
    for (text, host, port) in cases {
        let endpoint: Endpoint = text.parse().unwrap();
        assert_eq!(endpoint.to_string(), text);
        assert_eq!((endpoint.host().as_str(), endpoint.port()), (host, port));
        assert_eq!(endpoint.is_plain(), text.starts_with("http:"));
    }
    for text in [
        "",
        "http://",
        "http://example.com",
        "http://127.0.0.1.example.com",
        "http://10.0.0.1",
        "http://[::2]",
        "http://127.1",
        "http://0x7f000001",
        "http://2130706433",
        "http://localhost.example.com",
        "HTTP://127.0.0.1",
        "ftp://a",
        "https://a/",
        "https://a/b",
        "a?b",
        "a#b",
        "u@a",
        "u:p@a",
        "a:0",
        "a:65536",
        "a:",
        "a:+1",
        "a b",
        "-a.b",
        "a..b",
        "a.",
        "[::1",
        "::1",
        "[::1]x",
        "é.com",
        "a\n",
    ] {
        assert!(text.parse::<Endpoint>().is_err(), "{text}");
    }
}

#[test]
fn a_bandwidth_is_what_both_rclones_accept() {
    assert_eq!(bandwidth("").unwrap(), None);
    for text in [
        "1M",
        "1Mi",
        "1MiB",
        "1.5M",
        "512",
        "0",
        "off",
        "1M:off",
        "10:20",
        "08:00,512k 12:00,10M",
        "Mon-08:00,1M",
        "monday-08:00,1M:2M",
        "Mon-00:00,512 Fri-23:59,10M Sun-20:00,off",
    ] {
        assert_eq!(bandwidth(text).unwrap().as_deref(), Some(text));
    }
    for text in [
        "fast",
        "1MB",
        "1e3",
        "inf",
        "-1M",
        " 1M",
        "1M ",
        "1M:",
        ":1M",
        "24:00,1M",
        "8:00,1M",
        "+1:00,1M",
        "08:60,1M",
        "08x00,1M",
        "Mo-08:00,1M",
        "08:00,1M;12:00,2M",
        "08:00,1M  12:00,2M",
        "08:00,",
        "08:00,1M,2M",
        "99999999P",
        "1M\n",
        ".",
        "1.",
        ".5M",
        "--rc",
    ] {
        assert!(bandwidth(text).is_err(), "{text}");
    }
}

#[test]
fn serde_goes_through_the_same_parser() {
    let json = serde_json::to_string(&"1h30m".parse::<Span>().unwrap()).unwrap();
    assert_eq!(json, "\"1h30m\"");
    assert!(serde_json::from_str::<DatasetName>("\"a/b\"").is_err());
    assert!(serde_json::from_str::<Endpoint>("\"http://example.com\"").is_err());
    let name: DatasetName = serde_json::from_str("\"valkey\"").unwrap();
    assert_eq!(name.as_str(), "valkey");
}
