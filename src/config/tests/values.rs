//! Each value type alone: what it takes, what it refuses, that it prints back.

use crate::config::{Bucket, ByteSize, DatasetName, Endpoint, Prefix, Server, ShrinkLimit, Span};

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
        ("7h30m", 27_000, "7h30m"),
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
        "m",
        "-1h",
        "+1h",
        "30M",
        "1H",
        "500ms",
        "36501d",
        "99999999999s",
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
fn a_shrink_limit_is_a_percentage() {
    for text in ["1%", "50%", "99%"] {
        assert_eq!(text.parse::<ShrinkLimit>().unwrap().to_string(), text);
    }
    for text in ["", "%", "0%", "100%", "50", "+5%", "-5%", "5.5%", "999%"] {
        assert!(text.parse::<ShrinkLimit>().is_err(), "{text}");
    }
}

#[test]
fn a_server_is_a_host_with_a_port_or_a_socket() {
    for text in [
        "127.0.0.1:6379",
        "[::1]:6380",
        "valkey.local:1",
        "unix:/run/valkey.sock",
    ] {
        assert_eq!(text.parse::<Server>().unwrap().to_string(), text);
    }
    for text in [
        "",
        "127.0.0.1",
        "a:0",
        ":6379",
        "redis://a:1",
        "unix:",
        "unix:x",
        "unix:/a/../b",
        "/run/x",
    ] {
        assert!(text.parse::<Server>().is_err(), "{text}");
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
        assert_eq!(text.parse::<Bucket>().unwrap().to_string(), text);
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
    for text in [
        "s3.us-west-004.backblazeb2.com",
        "s3.example.com:9000",
        "https://s3.example.com",
        "https://[2001:db8::1]:8443",
        "10.0.0.1",
        "http://127.0.0.1:5000",
        "http://127.9.9.9",
        "http://localhost:1",
        "http://[::1]:9000",
    ] {
        assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), text);
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
fn serde_goes_through_the_same_parser() {
    let json = serde_json::to_string(&"1h30m".parse::<Span>().unwrap()).unwrap();
    assert_eq!(json, "\"1h30m\"");
    assert!(serde_json::from_str::<DatasetName>("\"a/b\"").is_err());
    assert!(serde_json::from_str::<Endpoint>("\"http://example.com\"").is_err());
    let name: DatasetName = serde_json::from_str("\"valkey\"").unwrap();
    assert_eq!(name.as_str(), "valkey");
}
