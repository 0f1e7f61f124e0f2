//! `cargo xtask dist`: everything that a host without Nix installs, in one folder.
//!
//! Each file is made where it is at home: units by `units.nix`, the rest by the binary itself. The folder is made
//! beside the old one and takes its place by renaming, so that nobody finds half of it.

mod check;

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail, ensure};
use nix::fcntl::{Flock, FlockArg};
use testbed::provision::workspace;

use crate::nix_eval;
use crate::steps::{debug_binary, release_binary, target_dir};

/// What the units are made of.
const UNITS: &str = "nixos-module/dist.nix";
/// Where the keys are on such a host; the units say the same.
const ENV_FILE: &str = "/etc/opencode-backup/opencode.env";
const INSTALL: &str = include_str!("INSTALL");
const LICENCES: [&str; 2] = ["LICENSE-MIT", "LICENSE-APACHE"];

/// What the binary prints, by file: its words.
const PRINTED: [(&str, [&str; 2]); 3] = [
    ("opencode-backup.bash", ["completions", "bash"]),
    ("_opencode-backup", ["completions", "zsh"]),
    ("opencode-backup.fish", ["completions", "fish"]),
];

/// Makes `target/dist`. `--check` makes one of the binary for development elsewhere, and looks at it.
pub fn run(words: &[&str]) -> Result<ExitCode> {
    nix_eval::install()?;
    match words {
        [] => {
            let folder = target_dir().join("dist");
            make(&release_binary()?, &folder)?;
            println!(
                "dist: {}; INSTALL in it says what goes where",
                folder.display()
            );
            Ok(ExitCode::SUCCESS)
        }
        ["--check"] => check::run(&debug_binary()?),
        other => bail!("dist takes --check or nothing, not {}", other.join(" ")),
    }
}

/// Puts a folder with all of it at a path, or leaves there what was there before.
fn make(binary: &Path, folder: &Path) -> Result<()> {
    let beside = |end: &str| {
        let mut name = folder.file_name().unwrap_or_default().to_owned();
        name.push(end);
        folder.with_file_name(name)
    };
    let (stage, old) = (beside(".new"), beside(".old"));
    let lock = beside(".lock");
    let file = File::create(&lock).with_context(|| format!("make {}", lock.display()))?;
    let _held = Flock::lock(file, FlockArg::LockExclusive)
        .map_err(|(_, error)| error)
        .with_context(|| format!("lock {}", lock.display()))?;
    for left in [&stage, &old] {
        remove(left)?;
    }
    fs::create_dir(&stage).with_context(|| format!("make {}", stage.display()))?;
    fill(binary, &stage)?;
    if folder.exists() {
        fs::rename(folder, &old).with_context(|| format!("rename {}", folder.display()))?;
    }
    fs::rename(&stage, folder).with_context(|| format!("rename {}", stage.display()))?;
    remove(&old)
}

fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}

fn fill(binary: &Path, folder: &Path) -> Result<()> {
    for (name, words) in PRINTED {
        put(&folder.join(name), &printed(binary, &words)?, 0o644)?;
    }
    pages(binary, folder)?;
    put(&folder.join("config.toml"), &sample(binary, folder)?, 0o644)?;
    for (name, text) in units()? {
        put(&folder.join(name), text.as_bytes(), 0o644)?;
    }
    put(&folder.join("INSTALL"), INSTALL.as_bytes(), 0o644)?;
    for name in LICENCES {
        put(&folder.join(name), &read(&workspace().join(name))?, 0o644)?;
    }
    put(&folder.join("opencode-backup"), &read(binary)?, 0o755)
}

/// The manual pages, which the binary writes by itself.
fn pages(binary: &Path, folder: &Path) -> Result<()> {
    let to = folder.to_str().context("the folder's name is no text")?;
    printed(binary, &["man", "--to", to])?;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|end| end == "1") {
            fs::set_permissions(path, Permissions::from_mode(0o644))?;
        }
    }
    Ok(())
}

/// The template that `config` prints, with the one default that is another where nothing decrypts secrets at boot.
fn sample(binary: &Path, folder: &Path) -> Result<Vec<u8>> {
    let seed: PathBuf = folder.join("seed.toml");
    put(
        &seed,
        format!("env_file = \"{ENV_FILE}\"\n").as_bytes(),
        0o644,
    )?;
    let template = effective(binary, &seed)?;
    fs::remove_file(&seed)?;
    let head = "# Every key with its default; what is commented out is off. README.md says what each one is.";
    Ok(format!("{head}\n{template}").into_bytes())
}

/// What `config` prints of a file, but for the first line, which says where it comes from.
fn effective(binary: &Path, config: &Path) -> Result<String> {
    let config = config.to_str().context("the file's name is no text")?;
    let printed = String::from_utf8(printed(binary, &["--config", config, "config"])?)?;
    let rest = printed.split_once('\n').map(|(_, rest)| rest.to_owned());
    rest.context("`opencode-backup config` printed nothing")
}

fn units() -> Result<Vec<(String, String)>> {
    let units = nix_eval::evaluate(UNITS, &[])?;
    let files = units.as_object().into_iter().flatten();
    let text = files.map(|(name, text)| Some((name.clone(), text.as_str()?.to_owned())));
    text.collect::<Option<_>>()
        .with_context(|| format!("{UNITS}: a file that is no text"))
}

/// What the binary prints; anything on stderr is a failure.
fn printed(binary: &Path, words: &[&str]) -> Result<Vec<u8>> {
    let what = || format!("{} {}", binary.display(), words.join(" "));
    let output = Command::new(binary)
        .args(words)
        .env_clear()
        .output()
        .with_context(|| format!("run {}", what()))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success() && said.is_empty(),
        "{} ended with {}: {said}",
        what(),
        output.status
    );
    Ok(output.stdout)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("read {}", path.display()))
}

/// Writes a file with this mode, whatever the umask.
fn put(path: &Path, content: &[u8], mode: u32) -> Result<()> {
    fs::write(path, content).with_context(|| format!("write {}", path.display()))?;
    Ok(fs::set_permissions(path, Permissions::from_mode(mode))?)
}
