//! What every source file looks like, and what stands in one place only.

use std::path::{Path, PathBuf};

use super::{files, root, shown, text};

fn rust(below: &str) -> Vec<PathBuf> {
    let is_rust = |path: &PathBuf| path.extension().is_some_and(|end| end == "rs");
    let found: Vec<_> = files(below).into_iter().filter(is_rust).collect();
    assert!(!found.is_empty(), "no Rust below {below}");
    found
}

/// Numbered lines of the product: no tests, no comments.
fn product_lines() -> Vec<(String, usize, String)> {
    let is_test = |path: &Path| {
        let within = path.components().any(|part| part.as_os_str() == "tests");
        within || path.file_name().is_some_and(|name| name == "tests.rs")
    };
    let mut lines = Vec::new();
    for path in rust("src").into_iter().filter(|path| !is_test(path)) {
        let whole = text(&path);
        // A module of tests is a file's last part.
        let product = whole
            .split("\n#[cfg(test)]\nmod ")
            .next()
            .unwrap_or_default();
        let code = product.lines().enumerate();
        let code = code.filter(|(_, line)| !line.trim_start().starts_with("//"));
        lines.extend(code.map(|(number, line)| (shown(&path), number + 1, line.to_owned())));
    }
    assert!(lines.len() > 1000, "the product was found: {}", lines.len());
    lines
}

/// Lines of the product that hold one of these and stand nowhere where they may.
#[track_caller]
fn nowhere(needles: &[&str], but_in: &str, why: &str) {
    let holds = |line: &str| needles.iter().any(|needle| line.contains(needle));
    let lines = product_lines();
    let found: Vec<String> = lines
        .iter()
        .filter(|(file, _, line)| holds(line) && (but_in.is_empty() || !file.starts_with(but_in)))
        .map(|(file, number, line)| format!("{file}:{number}: {}", line.trim()))
        .collect();
    assert!(found.is_empty(), "{why}:\n{}", found.join("\n"));
    if !but_in.is_empty() {
        let there =
            |(file, _, line): &(String, usize, String)| file.starts_with(but_in) && holds(line);
        assert!(
            lines.iter().any(there),
            "{but_in} was looked at: {needles:?}"
        );
    }
}

#[test]
fn every_module_says_what_it_is_for() {
    let silent: Vec<String> = rust("")
        .iter()
        .filter(|path| !text(path).starts_with("//! "))
        .map(|path| shown(path))
        .collect();
    assert!(
        silent.is_empty(),
        "open with `//!`, and say why: {silent:#?}"
    );
}

#[test]
fn children_are_spawned_in_one_place() {
    nowhere(
        &["Command::new(", ".spawn()"],
        "src/process",
        "only `process` spawns",
    );
    nowhere(
        &[".output()", ".status()?", "process::exit", "fork("],
        "",
        "only `process` runs children, and `main` exits",
    );
}

#[test]
fn command_lines_are_built_in_one_place() {
    nowhere(
        &["cmd!("],
        "src/tools",
        "only `tools` builds argument lists",
    );
}

#[test]
fn nothing_panics_without_its_reason() {
    let lines = product_lines();
    let panics = |line: &str| line.contains(".unwrap()") || line.contains(".expect(");
    let excused = |at: usize| {
        let before = lines[at.saturating_sub(8)..at].iter();
        let mut before = before.filter(|(file, _, _)| *file == lines[at].0);
        before.any(|(_, _, line)| line.contains("reason = "))
    };
    let found: Vec<String> = (0..lines.len())
        .filter(|at| panics(&lines[*at].2) && !excused(*at))
        .map(|at| format!("{}:{}: {}", lines[at].0, lines[at].1, lines[at].2.trim()))
        .collect();
    assert!(
        found.is_empty(),
        "return an error, or say beside it why it cannot fail:\n{}",
        found.join("\n")
    );
}

#[test]
fn output_goes_through_its_owners_and_nothing_is_unfinished() {
    // The lints forbid the last three too; this holds where somebody allows them.
    let macros = [
        "println",
        "eprintln",
        " print",
        "eprint",
        "dbg",
        "todo",
        "unimplemented",
    ];
    let calls = macros.map(|name| format!("{name}!("));
    let calls: Vec<&str> = calls.iter().map(String::as_str).collect();
    nowhere(
        &calls,
        "",
        "answers go through `commands::print`, everything else through the log",
    );
}

#[test]
fn the_lints_hold_for_every_member() {
    for member in ["", "xtask", "tests/testbed"] {
        let path = root().join(member).join("Cargo.toml");
        let manifest: toml::Table = text(&path).parse().expect("TOML");
        let inherits = manifest
            .get("lints")
            .and_then(|lints| lints.get("workspace"));
        assert_eq!(inherits, Some(&true.into()), "{}", shown(&path));
    }
    let manifest: toml::Table = text(&root().join("Cargo.toml")).parse().expect("TOML");
    let lints = &manifest["workspace"]["lints"];
    assert_eq!(lints["rust"]["unsafe_code"].as_str(), Some("forbid"));
    for lint in ["dbg_macro", "todo", "unwrap_used", "expect_used"] {
        assert_eq!(lints["clippy"][lint].as_str(), Some("deny"), "{lint}");
    }
}
