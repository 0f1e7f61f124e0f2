//! `cargo xtask dist --check`: what dist writes is what the binary prints, all of it and nothing else, and systemd
//! reads the units without a word.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};

use super::{ENV_FILE, INSTALL, effective, make, printed, read, remove};
use crate::steps::{apt, target_dir};

/// What an installed service is called in a tree of its own.
const PROGRAM: &str = "usr/local/bin/opencode-backup";
const UNITS: &str = "etc/systemd/system";
/// The distribution's own units.
const SYSTEM: &str = "usr/lib/systemd/system";

/// How exposed the services may be by `systemd-analyze security`, in tenths.
const EXPOSURE: [(&str, u32); 2] = [
    ("opencode-backup.service", 22),
    ("opencode-backup-drill.service", 13),
];

/// The contents of a folder's files, by name.
type Files = BTreeMap<String, Vec<u8>>;

/// Looks at everything, and says at the end what is wrong.
pub fn run(binary: &Path) -> Result<ExitCode> {
    apt("systemd", "systemd-analyze", "or systemd by other means")?;
    let folder = target_dir().join("dist-check");
    make(binary, &folder)?;
    let files = files(&folder)?;
    let mut good = true;
    for (what, problems) in [
        (
            "a second call writes the same",
            again(binary, &folder, &files)?,
        ),
        (
            "a call that fails leaves what there was",
            failing(&folder, &files)?,
        ),
        (
            "completions and manual pages are what the binary prints",
            as_printed(binary, &files)?,
        ),
        (
            "the sample configuration is one, and every key of it",
            configuration(binary, &folder, &files)?,
        ),
        ("INSTALL says where each file goes", installed(&files)),
        ("systemd accepts the units", verify(&folder, &files)?),
    ] {
        let state = if problems.is_empty() { "ok" } else { "FAILED" };
        println!("dist: {state:<6} {what}");
        for problem in &problems {
            println!("  {problem}");
        }
        good &= problems.is_empty();
    }
    Ok(if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn files(folder: &Path) -> Result<Files> {
    let entries = fs::read_dir(folder).with_context(|| format!("read {}", folder.display()))?;
    entries
        .map(|entry| {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            Ok((name, read(&entry.path())?))
        })
        .collect()
}

/// Which files differ, either way.
fn differences(one: &Files, other: &Files) -> Vec<String> {
    let names: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
    let differ = names
        .into_iter()
        .filter(|name| one.get(*name) != other.get(*name));
    differ.map(|name| format!("{name} differs")).collect()
}

fn again(binary: &Path, folder: &Path, before: &Files) -> Result<Vec<String>> {
    make(binary, folder)?;
    Ok(differences(before, &files(folder)?))
}

/// A binary that fails at its first word, and one that is not there.
fn failing(folder: &Path, before: &Files) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    for binary in ["/bin/false", "/no/such/binary"] {
        if make(Path::new(binary), folder).is_ok() {
            problems.push(format!("{binary} made a folder"));
        }
        problems.extend(differences(before, &files(folder)?));
    }
    Ok(problems)
}

fn as_printed(binary: &Path, files: &Files) -> Result<Vec<String>> {
    let mut wanted = Files::new();
    for (name, shell) in [
        ("opencode-backup.bash", "bash"),
        ("_opencode-backup", "zsh"),
        ("opencode-backup.fish", "fish"),
    ] {
        wanted.insert(name.to_owned(), printed(binary, &["completions", shell])?);
    }
    let folder = target_dir().join("dist-check.man");
    remove(&folder)?;
    fs::create_dir(&folder)?;
    let to = folder.to_str().context("the folder's name is no text")?;
    printed(binary, &["man", "--to", to])?;
    wanted.extend(self::files(&folder)?);
    remove(&folder)?;
    // The first page is also what is printed where no folder is named.
    wanted.insert("opencode-backup.1".to_owned(), printed(binary, &["man"])?);

    let is_ours = |name: &str| name.ends_with(".1") || wanted.contains_key(name);
    let found = files.iter().filter(|(name, _)| is_ours(name));
    let found: Files = found
        .map(|(name, text)| (name.clone(), text.clone()))
        .collect();
    let mut problems = differences(&wanted, &found);
    problems.extend(
        wanted
            .iter()
            .filter(|(_, text)| text.is_empty())
            .map(|(name, _)| format!("{name} is empty")),
    );
    Ok(problems)
}

fn configuration(binary: &Path, folder: &Path, files: &Files) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    let sample = text(files, "config.toml");
    let (_, keys) = sample.split_once('\n').unwrap_or_default();
    if effective(binary, &folder.join("config.toml"))? != keys {
        problems.push("`opencode-backup config` prints another one".to_owned());
    }
    let defaults = effective(binary, Path::new("/dev/null"))?;
    let ours = format!("env_file = \"{ENV_FILE}\"");
    let other = |(one, other): &(&str, &str)| one != other && *one != ours;
    problems.extend(
        keys.lines()
            .zip(defaults.lines())
            .filter(other)
            .map(|(one, other)| format!("{one} is not the default, which is {other}")),
    );
    for unit in ["opencode-backup.service", "opencode-backup-drill.service"] {
        if !text(files, unit).contains(&format!("\nEnvironmentFile=-{ENV_FILE}\n")) {
            problems.push(format!(
                "{unit} takes its keys from elsewhere than {ENV_FILE}"
            ));
        }
    }
    Ok(problems)
}

fn text<'f>(files: &'f Files, name: &str) -> &'f str {
    let text = files.get(name).map(|text| str::from_utf8(text));
    text.and_then(Result::ok).unwrap_or_default()
}

fn installed(files: &Files) -> Vec<String> {
    let words: Vec<&str> = INSTALL
        .lines()
        .filter(|line| line.contains("install -"))
        .flat_map(str::split_whitespace)
        .collect();
    let names = |name: &str| {
        let page = name.ends_with(".1") && words.contains(&"opencode-backup*.1");
        page || words.contains(&name)
    };
    let stays = |name: &str| name == "INSTALL" || name.starts_with("LICENSE-");
    let mut problems: Vec<String> = files
        .keys()
        .filter(|name| !names(name) && !stays(name))
        .map(|name| format!("{name} is not installed"))
        .collect();
    let is_file = |word: &&&str| {
        let ends = [".service", ".timer", ".bash", ".fish", ".conf", ".toml"];
        !word.contains('/') && ends.iter().any(|end| word.ends_with(end))
    };
    problems.extend(
        words
            .iter()
            .filter(is_file)
            .filter(|word| !files.contains_key(**word))
            .map(|word| format!("{word} is not there")),
    );
    problems
}

/// `systemd-analyze verify` in a tree that has the distribution's units, ours, and the binary where ours expect it.
fn verify(folder: &Path, files: &Files) -> Result<Vec<String>> {
    let tree: PathBuf = target_dir().join("dist-check.tree");
    remove(&tree)?;
    for path in [PROGRAM, UNITS, SYSTEM] {
        let parent = tree.join(path);
        fs::create_dir_all(parent.parent().context("a folder")?)?;
    }
    fs::create_dir(tree.join(UNITS))?;
    let copied = Command::new("cp")
        .arg("-a")
        .arg(Path::new("/").join(SYSTEM))
        .arg(tree.join(SYSTEM))
        .status()
        .context("run cp")?;
    ensure!(copied.success(), "cp of /{SYSTEM} failed ({copied})");
    fs::copy(folder.join("opencode-backup"), tree.join(PROGRAM))?;
    let is_unit = |name: &&String| name.ends_with(".service") || name.ends_with(".timer");
    let units: Vec<&String> = files.keys().filter(is_unit).collect();
    for unit in &units {
        fs::write(tree.join(UNITS).join(unit), &files[*unit])?;
    }
    let output = Command::new("systemd-analyze")
        // Their manual pages are not installed there, and are looked at elsewhere.
        .args(["verify", "--man=no"])
        .arg(format!("--root={}", tree.display()))
        .args(&units)
        .output()
        .context("run systemd-analyze")?;
    let too_exposed = exposure(&tree)?;
    remove(&tree)?;
    let said = String::from_utf8_lossy(&output.stderr);
    // An unknown key is a warning to systemd, and an error to us. What it says of other units is not about ours.
    let mut problems: Vec<String> = said
        .lines()
        .filter(|line| !output.status.success() || line.contains("opencode-backup"))
        .map(str::to_owned)
        .collect();
    if !output.status.success() {
        problems.push(format!("systemd-analyze ended with {}", output.status));
    }
    problems.extend(too_exposed);
    if units.len() != 4 {
        problems.push(format!("four units were to be looked at, not {units:?}"));
    }
    for unit in &units {
        let documentation = text(files, unit)
            .lines()
            .find_map(|line| line.strip_prefix("Documentation=man:"));
        if let Some(page) = documentation.and_then(|page| page.strip_suffix("(1)"))
            && !files.contains_key(&format!("{page}.1"))
        {
            problems.push(format!("{unit} refers to {page}(1), which is not there"));
        }
    }
    Ok(problems)
}

/// What `systemd-analyze security` says of the services, held against their limits.
fn exposure(tree: &Path) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    for (unit, limit) in EXPOSURE {
        let output = Command::new("systemd-analyze")
            .args(["security", "--offline=true", "--no-pager"])
            // In tenths.
            .arg(format!("--threshold={limit}"))
            .arg(format!("--root={}", tree.display()))
            .arg(unit)
            .output()
            .context("run systemd-analyze")?;
        let table = String::from_utf8_lossy(&output.stdout);
        let last = table.lines().last().unwrap_or_default();
        println!("dist: {}", last.trim());
        if !output.status.success() {
            problems.push(format!(
                "{unit} is more exposed than {}.{}: {last} {}",
                limit / 10,
                limit % 10,
                String::from_utf8_lossy(&output.stderr).trim()
            ));
        }
    }
    Ok(problems)
}
