//! Whatever a file list contains, the reader ends, and what it accepts stays inside its directory.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use super::*;

const AT: &str = "2025-01-01T12-00-00Z";

/// The backup with this file list.
fn read(file_list: &[u8]) -> Result<Backup> {
    let summary = json!({
        "schema": {"major": 1, "minor": 0}, "tool": "t", "host": "h", "timestamp": AT,
        "started": "2025-01-01T12:00:00Z", "finished": "2025-01-01T12:00:01Z", "complete": true,
        "snapshot": {"path": "/x", "uuid": "u", "parent_uuid": "p"},
        "export": {"outcome": "disabled", "object": null, "size": null, "error": null},
        "datasets": [{"name": "valkey", "prefix": format!("valkey-{AT}"), "files": 1, "bytes": 5}],
        "file_list": {"size": 0, "md5": ""},
    });
    let summary = serde_json::from_value(summary)?;
    Backup::join(summary, file_list, &Prefix::default(), AT.parse()?)
}

fn entry(path: &str, kind: &str) -> Value {
    let mut entry = json!({"path": path, "type": kind, "mode": "0600", "uid": 1, "gid": 2, "mtime": 3, "mtime_ns": 4});
    match kind {
        "file" => (entry["size"], entry["md5"]) = (json!(5), json!("0".repeat(32))),
        "symlink" => entry["target"] = json!("/etc"),
        _ => {}
    }
    entry
}

/// A file list of one dataset.
fn file_list(entries: &[Value]) -> String {
    let list = json!({
        "schema": {"major": 1, "minor": 0}, "timestamp": AT,
        "datasets": [{"name": "valkey", "tree": {"entries": entries}}],
    });
    list.to_string()
}

fn honest() -> String {
    let entries = [
        ("", "directory"),
        ("a", "directory"),
        ("a/b", "file"),
        ("link", "symlink"),
    ];
    file_list(&entries.map(|(path, kind)| entry(path, kind)))
}

/// Relative, normal, once, in a directory: said in another way than the reader says it.
fn stays_inside(entries: &[(String, &str)]) -> bool {
    let mut kinds = BTreeMap::new();
    for (path, kind) in entries {
        let odd = |name: &str| matches!(name, "" | "." | "..") || name.contains('\0');
        if (!path.is_empty() && path.split('/').any(odd))
            || kinds.insert(path.as_str(), *kind).is_some()
        {
            return false;
        }
    }
    let parent = |path: &str| {
        path.rsplit_once('/')
            .map_or("", |(parent, _)| parent)
            .to_owned()
    };
    kinds.get("") == Some(&"directory")
        && kinds
            .keys()
            .all(|path| path.is_empty() || kinds.get(parent(path).as_str()) == Some(&"directory"))
}

fn of(stored: &Backup) -> Vec<(String, &'static str)> {
    let nodes = stored
        .datasets
        .iter()
        .flat_map(|dataset| &dataset.tree.nodes);
    nodes
        .map(|node| {
            let kind = match node.kind {
                NodeKind::File { .. } => "file",
                NodeKind::Symlink(_) => "symlink",
                NodeKind::Directory => "directory",
            };
            // Bytes that are no text are as good as letters here.
            (String::from_utf8_lossy(&node.path).into_owned(), kind)
        })
        .collect()
}

#[test]
fn an_honest_one_is_read() {
    let stored = read(honest().as_bytes()).expect("it is honest");
    assert_eq!(stored.datasets[0].tree.nodes.len(), 4);
    assert!(stays_inside(&of(&stored)));
}

#[test]
fn what_is_in_a_directory_comes_after_it_whatever_the_order() {
    let entries = [
        ("z/y/x", "file"),
        ("z/y", "directory"),
        ("", "directory"),
        ("z", "directory"),
    ];
    let stored = read(file_list(&entries.map(|(path, kind)| entry(path, kind))).as_bytes())
        .expect("it is honest");
    let paths: Vec<String> = of(&stored).into_iter().map(|(path, _)| path).collect();
    assert_eq!(paths, ["", "z", "z/y", "z/y/x"]);
}

/// What an attacker would put somewhere.
const PIECES: [&str; 22] = [
    "\"",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "..",
    "/",
    "../",
    "\\u0000",
    "null",
    "-1",
    "1e999",
    "\"path\":\"..\"",
    "\"base64\":\"Li4=\"",
    "[[[[[[[[",
    "{\"base64\":\"Lw==\"}",
    "symlink",
    "directory",
    "9999999999999999999999",
    "\u{0}",
];

proptest! {
    #[test]
    fn of_any_entries_only_those_that_stay_inside_are_accepted(
        entries in proptest::collection::vec(
            (proptest::collection::vec(select(vec!["a", "b", "c", "..", ".", "", "x\0y"]), 0..4), select(vec!["file", "symlink", "directory", "directory", "directory"])),
            0..7,
        ),
        with_root in any::<bool>(),
    ) {
        let mut entries: Vec<(String, &str)> = entries.into_iter().map(|(names, kind)| (names.join("/"), kind)).collect();
        if with_root {
            entries.retain(|(path, _)| !path.is_empty());
            entries.push((String::new(), "directory"));
        }
        let text = file_list(&entries.iter().map(|(path, kind)| entry(path, kind)).collect::<Vec<_>>());
        prop_assert_eq!(read(text.as_bytes()).is_ok(), stays_inside(&entries), "{:?}", entries);
    }

    #[test]
    fn no_change_of_the_text_makes_it_panic_or_leave_its_directory(
        edits in proptest::collection::vec((any::<prop::sample::Index>(), 0usize..40, select(PIECES.to_vec()), 0u8..4), 1..6),
    ) {
        let mut text = honest().into_bytes();
        for (index, length, piece, how) in edits {
            let at = index.index(text.len() + 1);
            let end = (at + length).min(text.len());
            match how {
                0 => drop(text.splice(at..end, piece.bytes())),
                1 => drop(text.splice(at..at, piece.bytes())),
                2 => { let again = text[at..end].to_vec(); drop(text.splice(at..at, again)); }
                _ => if let Some(byte) = text.get_mut(at) { *byte ^= 1 << (length % 8); },
            }
        }
        if let Ok(stored) = read(&text) {
            prop_assert!(stays_inside(&of(&stored)), "{}", String::from_utf8_lossy(&text));
        }
    }
}
