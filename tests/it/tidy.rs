//! The house's own rules, as far as a program can see them.

mod documents;
mod sources;

use std::fs;
use std::path::{Path, PathBuf};

/// The project's root.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file of ours below a folder; what is built or fetched is not ours.
fn files(below: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(below)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder").flatten() {
            let (path, name) = (entry.path(), entry.file_name());
            let ours = name != "target" && name != ".git";
            match entry.file_type().expect("a type") {
                kind if kind.is_dir() && ours => folders.push(path),
                kind if kind.is_file() && ours => found.push(path),
                _ => {}
            }
        }
    }
    found.sort();
    assert!(!found.is_empty(), "there is nothing below {below}");
    found
}

/// The text of a file; nothing where it is none.
fn text(path: &Path) -> String {
    String::from_utf8(fs::read(path).expect("readable")).unwrap_or_default()
}

/// A document at the root that has to be there.
#[track_caller]
fn document(name: &str) -> String {
    let path = root().join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name} has to be there: {error}"))
}

/// As a person would name it.
fn shown(path: &Path) -> String {
    path.strip_prefix(root())
        .unwrap_or(path)
        .display()
        .to_string()
}
