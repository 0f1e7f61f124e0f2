//! `cargo xtask sandbox`: the unit tests as Nix runs them when it builds the package.
//!
//! nixpkgs is not needed. package.nix names the sources, the flags and the tools; bubblewrap makes a sandbox like
//! Nix's: no /usr, nothing in /bin but sh, no network, another user. Only the profile differs (debug, to reuse what
//! is built) and the folder of the libraries.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use testbed::provision::workspace;

use crate::nix_eval;
use crate::steps::{apt, cargo, target_dir};

/// Evaluates package.nix.
const PACKAGE: &str = "nixos-module/tests/package.nix";
/// The Debian packages of the programs that every build finds in Nix.
const STDENV: [&str; 7] = [
    "bash",
    "coreutils",
    "diffutils",
    "findutils",
    "grep",
    "sed",
    "tar",
];
/// Where the machine's programs are mounted in the sandbox. PATH names only links to some of them.
const PROGRAMS: &str = "/programs";
/// The users that Nix's sandbox knows.
const PASSWD: &str = "root:x:0:0:Nix build user:/build:/noshell\n\
    nixbld:x:1000:100:Nix build user:/build:/noshell\n\
    nobody:x:65534:65534:Nobody:/:/noshell\n";

/// Builds the test programs from package.nix's sources and runs them in the sandbox.
pub fn run(words: &[&str]) -> Result<ExitCode> {
    if !words.is_empty() {
        bail!("sandbox takes no arguments, not {}", words.join(" "));
    }
    nix_eval::install()?;
    apt("bubblewrap", "bwrap", "or bubblewrap by other means")?;
    let package = nix_eval::evaluate(PACKAGE, &[])?;
    let list = |key: &str| -> Result<Vec<String>> {
        serde_json::from_value(package[key].clone()).with_context(|| format!("{PACKAGE}: {key}"))
    };
    let folder = target_dir().join("sandbox");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    tools(&folder.join("tools"), &list("nativeCheckInputs")?)?;
    fs::create_dir_all(folder.join("etc"))?;
    fs::write(folder.join("etc/passwd"), PASSWD)?;
    fs::write(folder.join("etc/hosts"), "127.0.0.1 localhost\n")?;
    let sources = list("src")?;
    for program in build(&sources, &list("cargoTestFlags")?)? {
        let mut tests = sandbox(&folder, &sources);
        let status = tests
            .arg("--ro-bind")
            .args([&program, &program])
            .arg(&program)
            .args(list("checkFlags")?)
            .status()
            .context("run bwrap")?;
        if !status.success() {
            println!("sandbox: FAILED: the package does not build in Nix ({status})");
            return Ok(ExitCode::FAILURE);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Makes a folder of links to the programs of these packages and of every Nix build.
fn tools(folder: &Path, packages: &[String]) -> Result<()> {
    fs::create_dir_all(folder)?;
    let mut dpkg = Command::new("dpkg");
    let output = dpkg
        .arg("--listfiles")
        .args(STDENV)
        .args(packages)
        .output()
        .context("run dpkg (the sandbox's programs are Debian's)")?;
    let files = String::from_utf8_lossy(&output.stdout);
    ensure!(
        output.status.success(),
        "dpkg: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    for name in files.lines().filter_map(|file| {
        let file = file.strip_prefix("/usr").unwrap_or(file);
        file.strip_prefix("/bin/")
    }) {
        let link = folder.join(name);
        if fs::symlink_metadata(&link).is_err() {
            symlink(Path::new(PROGRAMS).join(name), &link)?;
        }
    }
    Ok(())
}

/// The test programs, as package.nix asks cargo for them. cargo sees nothing of the workspace but package.nix's
/// sources, at their own paths: what is built elsewhere is reused.
fn build(sources: &[String], flags: &[String]) -> Result<Vec<PathBuf>> {
    let target = target_dir();
    fs::create_dir_all(&target)?;
    let cargo = cargo(&["test", "--no-run", "--locked", "--message-format=json"]);
    let output = Command::new("bwrap")
        .args(["--die-with-parent", "--dev-bind", "/", "/", "--tmpfs"])
        .arg(workspace())
        .args(mounts(sources))
        .arg("--bind")
        .args([&target, &target])
        .arg("--chdir")
        .arg(workspace())
        .arg(cargo.get_program())
        .args(cargo.get_args())
        .args(flags)
        .env("CARGO_TARGET_DIR", &target)
        .stderr(Stdio::inherit())
        .output()
        .context("run bwrap")?;
    ensure!(
        output.status.success(),
        "the sources that package.nix names do not build ({})",
        output.status
    );
    let programs: Vec<PathBuf> = output
        .stdout
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice::<Value>(line).ok())
        .filter(|message| message["profile"]["test"] == true)
        .filter_map(|message| message["executable"].as_str().map(PathBuf::from))
        .collect();
    ensure!(!programs.is_empty(), "cargo built no test program");
    Ok(programs)
}

/// bubblewrap's arguments for these paths, read-only, where they are.
fn mounts(sources: &[String]) -> impl Iterator<Item = &str> {
    sources
        .iter()
        .flat_map(|path| ["--ro-bind", path.as_str(), path.as_str()])
}

/// A sandbox like the one of Nix's builder; the caller adds the command.
fn sandbox(folder: &Path, sources: &[String]) -> Command {
    let mut command = Command::new("bwrap");
    command
        .args(["--unshare-all", "--die-with-parent", "--new-session"])
        .args(["--uid", "1000", "--gid", "100", "--hostname", "localhost"])
        .args(["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"])
        .args(["--ro-bind", "/bin/sh", "/bin/sh"])
        .args(["--ro-bind", "/lib", "/lib"])
        .args(["--ro-bind-try", "/lib64", "/lib64"])
        .args(["--ro-bind", "/usr/bin", PROGRAMS])
        .args(mounts(sources));
    for (from, to) in [("etc", "/etc"), ("tools", "/tools")] {
        command.arg("--ro-bind").arg(folder.join(from)).arg(to);
    }
    command
        .args(["--clearenv", "--setenv", "PATH", "/tools"])
        .args(["--setenv", "TMPDIR", "/tmp"])
        .args(["--setenv", "HOME", "/homeless-shelter", "--chdir"])
        .arg(workspace());
    command
}
