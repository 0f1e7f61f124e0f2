//! What is written for people says what the binary does.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use super::{document, files, root, shown, text};
use crate::support::BIN;

fn answer(args: &[&str]) -> String {
    let mut command = Command::new(BIN);
    let output = command
        .args(args)
        .env_clear()
        .current_dir("/")
        .output()
        .expect("it starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {stderr}");
    String::from_utf8(output.stdout).expect("text")
}

/// The numbers in backticks in the first cells of the table below a heading.
fn codes_in_table(document: &str, heading: &str) -> BTreeSet<u8> {
    let mut lines = document.lines().skip_while(|line| {
        !(line.starts_with('#') && line.to_lowercase().contains(&heading.to_lowercase()))
    });
    assert!(lines.next().is_some(), "no heading with {heading:?}");
    let rows = lines.skip_while(|line| !line.starts_with('|'));
    let rows = rows.take_while(|line| line.starts_with('|'));
    let first_cells = rows.filter_map(|row| row.split('|').nth(1));
    first_cells
        .flat_map(|cell| {
            cell.split('`')
                .skip(1)
                .step_by(2)
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
        .map(|code| {
            code.parse()
                .unwrap_or_else(|_| panic!("{code} is no exit code"))
        })
        .collect()
}

#[test]
fn the_exit_codes_of_the_readme_are_the_binarys() {
    let help = answer(&["--help"]);
    let (_, codes) = help.split_once("Exit codes:").expect("--help has them");
    let words: Vec<&str> = codes.split_whitespace().collect();
    let starts = |at: usize| at == 0 || words[at - 1].ends_with(',') || words[at - 1] == "or";
    let of_help: BTreeSet<u8> = (0..words.len())
        .filter(|at| starts(*at))
        .filter_map(|at| words[at].parse().ok())
        .collect();
    let known: BTreeSet<u8> = [0, 1, 2, 3, 4, 5, 6, 7, 75, 130, 143].into();
    assert!(of_help.is_superset(&known), "--help: {of_help:?}");
    let of_readme = codes_in_table(&document("README.md"), "exit codes");
    assert_eq!(of_readme, of_help, "left: README.md; right: --help");
}

#[test]
fn every_key_that_config_prints_is_in_the_readme() {
    let dir = tempfile::tempdir().expect("a directory");
    let empty = dir.path().join("config.toml");
    fs::write(&empty, "").expect("a file");
    let printed = answer(&["--config", &empty.to_string_lossy(), "config"]);
    let readme = document("README.md");
    let (mut table, mut keys) = (String::new(), BTreeSet::new());
    for line in printed.lines() {
        if let Some(name) = line
            .strip_prefix('[')
            .and_then(|line| line.strip_suffix(']'))
        {
            let dataset = name.starts_with("datasets.");
            table = if dataset {
                "datasets.<name>.".to_owned()
            } else {
                format!("{name}.")
            };
        } else if let Some((key, _)) = line.trim_start_matches("# ").split_once(" = ") {
            keys.insert(format!("{table}{}", key.trim()));
        }
    }
    assert!(
        keys.len() > 20 && keys.contains("retention.days"),
        "{keys:#?}"
    );
    let missing: Vec<_> = keys
        .iter()
        .filter(|key| !readme.contains(&format!("`{key}`")))
        .collect();
    assert!(
        missing.is_empty(),
        "README.md does not describe {missing:#?}"
    );
}

#[test]
fn every_configuration_in_the_readme_is_one_and_its_scripts_are_shell() {
    let dir = tempfile::tempdir().expect("a directory");
    let (readme, file) = (document("README.md"), dir.path().join("config.toml"));
    let blocks = readme.split("```toml\n").skip(1);
    let mut scripts = 0;
    for block in blocks.filter_map(|rest| rest.split("```").next()) {
        fs::write(&file, block).expect("a file");
        let printed = answer(&["--config", &file.to_string_lossy(), "config", "--json"]);
        let config: serde_json::Value = serde_json::from_str(&printed).expect("JSON");
        let datasets = config["datasets"].as_object().expect("datasets").values();
        let checks = datasets.filter_map(|dataset| dataset["check"].as_array());
        let words: Vec<&str> = checks.flatten().filter_map(|word| word.as_str()).collect();
        for pair in words.windows(2).filter(|pair| pair[0] == "-c") {
            fs::write(&file, pair[1]).expect("a file");
            let read = Command::new("sh")
                .arg("-n")
                .arg(&file)
                .output()
                .expect("a shell");
            assert!(
                read.status.success() && read.stderr.is_empty(),
                "{read:?}: {}",
                pair[1]
            );
            scripts += 1;
        }
    }
    assert_eq!(scripts, 2, "one for a server, one for podman");
}

#[test]
fn every_function_and_test_that_the_documents_name_is_there() {
    let all = files("tests/it").into_iter().chain(files("src"));
    let all: String = all.map(|path| text(&path)).collect();
    for name in ["README.md", "CONTRIBUTING.md"] {
        let document = document(name);
        let quoted = document.split('`').skip(1).step_by(2);
        let named = quoted.filter_map(|word| word.rsplit_once("::"));
        for (_, function) in named.filter(|(_, function)| function.contains('_')) {
            let there = all.contains(&format!("fn {function}("));
            assert!(there, "{name} names {function}");
        }
    }
}

#[test]
fn the_changelog_knows_this_version() {
    let version = env!("CARGO_PKG_VERSION");
    let changelog = document("CHANGELOG.md");
    let headings = changelog.lines().filter(|line| line.starts_with("## "));
    let mut versions = headings.filter_map(|line| line.split_whitespace().nth(1));
    let known = versions.any(|word| word.trim_matches(['[', ']']) == version);
    assert!(known, "CHANGELOG.md has no heading for {version}");
}

#[test]
fn both_licences_are_there_and_named() {
    for (name, words) in [
        ("LICENSE-MIT", "Permission is hereby granted"),
        ("LICENSE-APACHE", "Version 2.0, January 2004"),
    ] {
        assert!(document(name).contains(words), "{name}");
    }
    assert_eq!(env!("CARGO_PKG_LICENSE"), "MIT OR Apache-2.0");
}

#[test]
fn nothing_names_a_registrys_host_or_somebodys_machine() {
    // Written in pieces, so that this file does not name them.
    let needles = [
        concat!("crates", ".io/"),
        concat!("pypi", ".org"),
        concat!("python", "hosted.org"),
        concat!("registry.", "npmjs"),
        concat!("proxy.", "golang"),
        concat!("deb.", "debian.org"),
        concat!("/Use", "rs/"),
        concat!("/wo", "rk/"),
        concat!("../sha", "red/"),
        env!("CARGO_MANIFEST_DIR"),
    ];
    let locks = ["Cargo.lock", "flake.lock"];
    let mut found = Vec::new();
    for path in files("") {
        if path
            .file_name()
            .is_some_and(|name| locks.iter().any(|lock| name == *lock))
        {
            continue;
        }
        for (number, line) in text(&path).lines().enumerate() {
            if needles.iter().any(|needle| line.contains(needle)) {
                found.push(format!("{}:{}: {}", shown(&path), number + 1, line.trim()));
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn ci_is_one_command() {
    let path = root().join(".ci/run");
    let script = text(&path);
    assert!(script.contains("cargo xtask ci"), "{script}");
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&path.metadata().expect("a file").permissions());
    assert!(mode & 0o111 != 0, "{} is executable", shown(&path));
}
