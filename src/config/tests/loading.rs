//! Which file is read, and what happens when it cannot be.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use super::parse;
use crate::config::Config;
use crate::config::load::load_or;

fn file(dir: &Path, name: &str, text: impl AsRef<[u8]>) -> std::path::PathBuf {
    let path = dir.join(name);
    fs::write(&path, text).unwrap();
    path
}

#[test]
fn the_flag_goes_before_the_variable_and_the_variable_before_the_usual_place() {
    let dir = tempfile::tempdir().unwrap();
    let flag = file(dir.path(), "flag", "subvolume = \"/flag\"");
    let variable = file(dir.path(), "variable", "subvolume = \"/variable\"");
    let usual = file(dir.path(), "usual", "subvolume = \"/usual\"");
    let variable = Some(variable.as_os_str());
    let cases = [
        (Some(flag.as_path()), variable, "/flag"),
        (None, variable, "/variable"),
        (None, None, "/usual"),
        (None, Some(OsStr::new("")), "/usual"),
    ];
    for (flag, variable, expected) in cases {
        let config = load_or(flag, variable, &usual).unwrap();
        assert_eq!(config.subvolume, Path::new(expected));
        assert!(config.source.is_some());
    }
}

#[test]
fn only_the_usual_file_may_be_absent() {
    let dir = tempfile::tempdir().unwrap();
    let absent = dir.path().join("absent");
    assert_eq!(load_or(None, None, &absent), Config::parse("", None));
    let usual = file(dir.path(), "usual", "");
    let by_flag = load_or(Some(&absent), None, &usual).unwrap_err();
    assert!(
        by_flag.to_string().contains("--config names it"),
        "{by_flag}"
    );
    assert_eq!(by_flag.source.as_deref(), Some(absent.as_path()));
    let by_variable = load_or(None, Some(absent.as_os_str()), &usual).unwrap_err();
    assert!(
        by_variable
            .to_string()
            .contains("OPENCODE_BACKUP_CONFIG names it"),
        "{by_variable}"
    );
}

#[test]
fn a_dangling_link_in_the_usual_place_does_not_mean_the_defaults() {
    let dir = tempfile::tempdir().unwrap();
    let link = dir.path().join("link");
    std::os::unix::fs::symlink(dir.path().join("nothing"), &link).unwrap();
    let problems = load_or(None, None, &link).unwrap_err();
    assert!(
        problems
            .to_string()
            .contains("link to a file that is absent"),
        "{problems}"
    );
}

#[test]
fn what_cannot_be_read_as_a_configuration_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let large = file(dir.path(), "large", vec![b'\n'; (1 << 20) + 1]);
    let exact = file(dir.path(), "exact", vec![b'\n'; 1 << 20]);
    let latin = file(dir.path(), "latin", b"# ok\nsubvolume = \"/\xe9\"\n");
    let cases = [
        (large.as_path(), None, "larger than 1 MiB"),
        (latin.as_path(), Some(2), "not UTF-8"),
        (dir.path(), None, "cannot be read"),
    ];
    for (path, line, words) in cases {
        let problems = load_or(Some(path), None, Path::new("/nonexistent")).unwrap_err();
        assert!(problems.to_string().contains(words), "{problems}");
        assert_eq!(problems.list[0].line, line);
    }
    assert!(load_or(Some(&exact), None, Path::new("/nonexistent")).is_ok());
}

#[test]
fn problems_print_as_json_too() {
    let problems = parse("x = 1").unwrap_err();
    let json = serde_json::to_value(problems).unwrap();
    assert_eq!(json["source"], super::SOURCE);
    assert_eq!(json["problems"][0]["key"], "x");
    assert_eq!(json["problems"][0]["line"], 1);
}
