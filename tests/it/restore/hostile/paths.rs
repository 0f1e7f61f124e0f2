//! Paths, links and prefixes that lead elsewhere.

use anyhow::Result;
use serde_json::json;

use super::{AT, bed, changed, entries};
use crate::restore::by_hand::{DATA, directory, file, link};
use crate::restore::names_in;

#[test]
fn a_path_that_leads_anywhere_else_is_refused() -> Result<()> {
    let bed = bed()?;
    let outside = bed
        .scratch()
        .join("outside/evil")
        .to_string_lossy()
        .into_owned();
    let long = "n".repeat(256);
    let deep = vec!["d"; 2100].join("/");
    for path in [
        &*outside,
        "/etc/passwd",
        "../evil",
        "..",
        ".",
        "a/../../evil",
        "a/..",
        "./x",
        "a//b",
        "/",
        "a/",
        "//",
        "x/.",
        "x\0y",
        &long,
        &deep,
    ] {
        entries(
            &bed,
            &[directory("a"), directory("x"), file(path, DATA)],
            &["refused"],
        );
        entries(&bed, &[directory("a"), directory(path)], &["refused"]);
    }
    let mut bytes = file("x", DATA);
    for base64 in ["Li4vZXZpbA==", "L2V0Yy9wYXNzd2Q=", "eAB5"] {
        bytes["path"] = json!({"base64": base64});
        entries(&bed, &[bytes.clone()], &["refused"]);
    }
    bytes["path"] = json!({"base64": "no base64!"});
    entries(&bed, &[bytes], &["no base64"]);
    assert_eq!(names_in(&bed.scratch().join("outside")), [""; 0]);
    Ok(())
}

#[test]
fn a_path_below_a_link_or_a_file_or_nothing_is_refused() -> Result<()> {
    let bed = bed()?;
    let outside = bed.scratch().join("outside").to_string_lossy().into_owned();
    entries(
        &bed,
        &[link("link", &outside), file("link/evil", DATA)],
        &["link/evil", "not in a directory"],
    );
    entries(
        &bed,
        &[file("link/evil", DATA), link("link", &outside)],
        &["not in a directory"],
    );
    entries(
        &bed,
        &[
            link("link", &outside),
            directory("link"),
            file("link/evil", DATA),
        ],
        &["\"link\" is there twice"],
    );
    entries(
        &bed,
        &[
            directory("link"),
            file("link/evil", DATA),
            link("link", &outside),
        ],
        &["is there twice"],
    );
    entries(
        &bed,
        &[file("x", DATA), file("x", DATA)],
        &["is there twice"],
    );
    entries(
        &bed,
        &[file("x", DATA), file("x/y", DATA)],
        &["not in a directory"],
    );
    entries(&bed, &[file("a/b", DATA)], &["not in a directory"]);
    entries(
        &bed,
        &[link("x", ""), file("dump.rdb", DATA)],
        &["no target"],
    );
    entries(&bed, &[link("x", "a\0b")], &["no target"]);
    changed(
        &bed,
        "/datasets/0/entries",
        json!([file("dump.rdb", DATA)]),
        &["its own directory is missing"],
    );
    changed(
        &bed,
        "/datasets/0/entries",
        json!([link("", &outside), file("evil", DATA)]),
        &["directory"],
    );
    changed(
        &bed,
        "/datasets/0/entries",
        json!([file("", DATA)]),
        &["directory"],
    );
    assert_eq!(names_in(&bed.scratch().join("outside")), [""; 0]);
    Ok(())
}

#[test]
fn a_dataset_that_is_anothers_is_refused() -> Result<()> {
    let bed = bed()?;
    for prefix in [
        "valkey-2025-01-01T00-00-00Z",
        "falkordb-2024-01-01T00-00-00Z",
        "",
        "/",
        "falkordb-2025-01-01T00-00-00Z/",
        "../x",
        "x/falkordb-2025-01-01T00-00-00Z",
    ] {
        changed(
            &bed,
            "/datasets/0/prefix",
            json!(prefix),
            &["falkordb-2025-01-01T00-00-00Z"],
        );
    }
    for name in [
        "a/b",
        "..",
        "",
        "/etc",
        "a\0b",
        "manifests",
        &"n".repeat(300),
    ] {
        changed(&bed, "/datasets/0/name", json!(name), &["manifest"]);
    }
    changed(&bed, "/datasets/0/name", json!("valkey"), &["valkey"]);
    changed(
        &bed,
        "/timestamp",
        json!("2025-01-01T06-00-00Z"),
        &[AT, "2025-01-01T06-00-00Z"],
    );
    changed(&bed, "/timestamp", json!("../x"), &["manifest"]);
    Ok(())
}
