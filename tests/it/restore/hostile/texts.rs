//! Texts that are no manifest, or one of another kind.

use anyhow::Result;
use serde_json::json;

use super::{AT, bed, changed, refused, refused_by_all};
use crate::restore::by_hand::{manifest, md5, object, split};

#[test]
fn what_is_of_another_type_or_size_or_kind_is_refused() -> Result<()> {
    let bed = bed()?;
    let entry = "/datasets/0/entries/1";
    for (field, values) in [
        (
            "path",
            vec![
                json!(1),
                json!(null),
                json!([]),
                json!({"base64": 1}),
                json!({}),
            ],
        ),
        (
            "type",
            vec![
                json!("fifo"),
                json!("device"),
                json!(""),
                json!(0),
                json!("symlink"),
                json!("directory"),
            ],
        ),
        (
            "size",
            vec![json!(-1), json!(1.5), json!("5"), json!(null), json!(1e30)],
        ),
        (
            "md5",
            vec![
                json!(""),
                json!("00"),
                json!("g".repeat(32)),
                json!("é".repeat(16)),
                json!(null),
                json!(5),
                json!("+0".repeat(16)),
            ],
        ),
        (
            "mode",
            vec![
                json!("10000"),
                json!("0o644"),
                json!("-1"),
                json!("rwx"),
                json!(420),
                json!(""),
                json!("99999999999"),
                json!("+644"),
            ],
        ),
        ("uid", vec![json!(-1), json!(4_294_967_296u64), json!("0")]),
        (
            "mtime",
            vec![json!(1.5), json!("0"), json!(null), json!(1e300)],
        ),
        ("mtime_ns", vec![json!(1_000_000_000), json!(-1)]),
    ] {
        for value in values {
            changed(&bed, &format!("{entry}/{field}"), value, &["manifest"]);
        }
    }
    for (pointer, value) in [
        ("/datasets", json!({})),
        ("/datasets", json!([1])),
        ("/datasets/0/entries", json!({})),
        ("/complete", json!("yes")),
        ("/schema", json!(1)),
        ("/schema/major", json!("1")),
        ("/export", json!(null)),
        ("/host", json!(null)),
    ] {
        changed(&bed, pointer, value, &["manifest"]);
    }
    Ok(())
}

#[test]
fn what_is_no_json_or_too_deep_or_two_documents_is_refused() -> Result<()> {
    let bed = bed()?;
    let (honest, files) = split(&manifest("", AT, "other"));
    object(
        &bed,
        &format!("manifests/{AT}.files.json"),
        files.as_bytes(),
    );
    object(&bed, &format!("manifests/{AT}.json"), b"");
    refused_by_all(&bed, &["manifest"]);
    refused(&bed, b"\xff\xfe", &["manifest"]);
    refused(&bed, b"null", &["manifest"]);
    refused(&bed, b"[]", &["manifest"]);
    for cut in [1, honest.len() / 3, honest.len() / 2, honest.len() - 1] {
        refused(&bed, &honest.as_bytes()[..cut], &["manifest"]);
    }
    refused(&bed, format!("{honest}{honest}").as_bytes(), &["manifest"]);
    refused(&bed, format!("{honest}\n{{}}").as_bytes(), &["manifest"]);
    refused(
        &bed,
        honest
            .replacen(
                "\"complete\":true",
                "\"complete\":true,\"complete\":true",
                1,
            )
            .as_bytes(),
        &["manifest"],
    );
    let brackets = "[".repeat(100_000);
    refused(&bed, brackets.as_bytes(), &["manifest"]);
    for key in ["datasets", "export", "host", "novelty", "schema"] {
        refused(
            &bed,
            format!("{{\"{key}\":{brackets}").as_bytes(),
            &["manifest"],
        );
    }
    refused(
        &bed,
        format!("{{\"a\":{}", "{\"a\":".repeat(100_000)).as_bytes(),
        &["manifest"],
    );
    let mut deep = manifest("", AT, "other");
    deep["datasets"][0]["entries"][1]["path"] = json!("DEEP");
    let (_, files) = split(&deep);
    let nested = format!("{brackets}{}", "]".repeat(100_000));
    let files = files.replacen("\"DEEP\"", &nested, 1);
    let mut summary = deep.clone();
    summary["file_list"] = json!({"size": files.len(), "md5": md5(files.as_bytes())});
    object(
        &bed,
        &format!("manifests/{AT}.files.json"),
        files.as_bytes(),
    );
    refused(&bed, summary.to_string().as_bytes(), &["manifest"]);
    Ok(())
}

#[test]
fn a_manifest_of_another_major_version_asks_for_a_newer_program() -> Result<()> {
    let bed = bed()?;
    for major in [0, 2, 4_000_000_000u32] {
        changed(
            &bed,
            "/schema/major",
            json!(major),
            &["newer", &format!("format {major}")],
        );
    }
    // One that has nothing else in common with ours.
    let other = br#"{"schema": {"major": 2, "minor": 0}, "chunks": [{"of": "anything"}], "datasets": {"falkordb": {}}}"#;
    object(&bed, &format!("manifests/{AT}.json"), other);
    refused_by_all(&bed, &["newer", "format 2"]);
    Ok(())
}
