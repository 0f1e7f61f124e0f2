//! A Python runs whatever it finds in a home or beside its script; ours does not.
//!
//! Each test first shows that the plant works where nobody guards against it: a plant that could not have
//! been run proves nothing.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{bed, expect_cmd};

/// Debian's: the virtual environment's ignores a user's site directory by itself.
const PYTHON: &str = "/usr/bin/python3";

fn mark(at: &Path) -> String {
    format!("open({:?}, 'a').close()\n", at.display().to_string())
}

/// Runs Python unguarded.
fn plainly(args: &[&Path], home: &Path) {
    let mut command = Command::new(PYTHON);
    command.args(args).env_clear().env("HOME", home);
    command.output().expect("Python runs");
}

#[test]
fn a_planted_usercustomize_is_not_run() {
    let bed = bed();
    let home = bed.scratch().join("home");
    let ran_it = home.join("it-ran");
    let mut ask = Command::new(PYTHON);
    ask.args(["-c", "import site; print(site.getusersitepackages())"]);
    let site = ask
        .env_clear()
        .env("HOME", &home)
        .output()
        .expect("Python runs");
    let site = PathBuf::from(String::from_utf8_lossy(&site.stdout).trim().to_owned());
    assert!(site.starts_with(&home), "{}", site.display());
    fs::create_dir_all(&site).expect("directories");
    fs::write(site.join("usercustomize.py"), mark(&ran_it)).expect("a plant");
    let idle = bed.scratch().join("idle.py");
    fs::write(&idle, "print('started')\n").expect("a script");
    plainly(&[&idle], &home);
    assert!(
        ran_it.exists(),
        "the plant works where nobody guards against it"
    );
    fs::remove_file(&ran_it).expect("gone");
    fs::set_permissions(&home, PermissionsExt::from_mode(0o777)).expect("a mode");

    let words = [PYTHON, &idle.display().to_string()].map(toml::Value::from);
    bed.set("export.command", words.to_vec())
        .expect("a setting");
    let mut command = bed.as_user(&["run"]).expect("a command");
    let ran = expect_cmd(&bed, command.env("HOME", &home), 6);
    assert!(ran.stderr.contains("export | started"), "{ran}");
    assert!(!ran_it.exists(), "{ran}");
}

#[test]
fn a_module_beside_the_script_does_not_stand_in_for_the_librarys() {
    let bed = bed();
    let folder = bed.scratch().join("script");
    fs::create_dir(&folder).expect("a directory");
    let script = folder.join("memory_manager.py");
    fs::copy(bed.script_path(), &script).expect("a script");
    let loot = bed.scratch().join("loot");
    fs::create_dir(&loot).expect("a directory");
    fs::set_permissions(&loot, PermissionsExt::from_mode(0o777)).expect("a mode");
    let ran_it = loot.join("it-ran");
    // `json` is what the script imports first.
    fs::write(folder.join("json.py"), mark(&ran_it)).expect("a plant");
    plainly(&[&script], &loot);
    assert!(
        ran_it.exists(),
        "the plant works where nobody guards against it"
    );
    fs::remove_file(&ran_it).expect("gone");

    let python = bed.scratch().join("venv/bin/python3");
    let words = [python, script, PathBuf::from("export")];
    let words = words.map(|word| toml::Value::from(word.display().to_string()));
    bed.set("export.command", words.to_vec())
        .expect("a setting");
    let ran = expect_cmd(&bed, &mut bed.as_user(&["run"]).expect("a command"), 0);
    assert!(!ran_it.exists(), "{ran}");
    let state = bed.state().expect("a state file");
    assert_eq!(state["export"]["outcome"], "stored", "{state:#}");
}
