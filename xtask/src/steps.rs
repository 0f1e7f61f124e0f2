//! What several commands do: call cargo, find what it built, prepare the machine.

use std::env;
use std::path::PathBuf;
use std::process::{Command, ExitCode, ExitStatus, Stdio};

use anyhow::{Context, Result, bail, ensure};
use nix::unistd::geteuid;
use testbed::process::tethered;
use testbed::provision::{self, require_root, which, workspace};

/// cargo, in the workspace, killed by the kernel should we die.
pub fn cargo(words: &[&str]) -> Command {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = tethered(cargo);
    command
        .args(words)
        .current_dir(workspace())
        .stdin(Stdio::null());
    command
}

/// Where cargo builds.
pub fn target_dir() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| "target".into(), PathBuf::from)
        .to_str()
        .map_or_else(
            || workspace().join("target"),
            |dir| workspace().join(dir), // an absolute path replaces the workspace's
        )
}

/// Builds the release binary and says where it is.
pub fn release_binary() -> Result<PathBuf> {
    let built = cargo(&[
        "build",
        "--quiet",
        "--release",
        "--package",
        "opencode-backup",
    ])
    .status()
    .context("run cargo")?;
    ensure!(built.success(), "cargo build --release failed ({built})");
    let binary = target_dir().join("release/opencode-backup");
    ensure!(binary.is_file(), "cargo built no {}", binary.display());
    Ok(binary)
}

/// Builds the binary for development and says where it is.
pub fn debug_binary() -> Result<PathBuf> {
    let built = cargo(&["build", "--quiet", "--package", "opencode-backup"])
        .status()
        .context("run cargo")?;
    ensure!(built.success(), "cargo build failed ({built})");
    Ok(target_dir().join("debug/opencode-backup"))
}

/// Installs a Debian package where its program is not to be had, saying so first.
pub fn apt(package: &str, program: &str, otherwise: &str) -> Result<()> {
    let found = || {
        Command::new(program)
            .arg("--version")
            .output()
            .is_ok_and(|output| output.status.success())
    };
    if found() {
        return Ok(());
    }
    let by_hand = format!("{program} is missing: `apt-get install {package}` as root, {otherwise}");
    ensure!(which("apt-get").is_some() && geteuid().is_root(), by_hand);
    apt_get(&[package])?;
    ensure!(found(), by_hand);
    Ok(())
}

/// Installs Debian packages, saying so first.
pub fn apt_get(packages: &[&str]) -> Result<()> {
    let list = packages.join(" ");
    println!("installing with apt-get: {list}");
    let install = ["install", "-qy", "--no-install-recommends"];
    for words in [&["update", "-q"][..], &[&install[..], packages].concat()] {
        let status = Command::new("apt-get")
            .args(words)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .status()
            .context("run apt-get")?;
        ensure!(
            status.success(),
            "apt-get {} failed ({status}); what is needed: {list}",
            words.join(" ")
        );
    }
    Ok(())
}

/// Installs what is missing, and insists on root. `None`: we are root and all is
/// there. `Some`: everything was done by a second self, as root, and ended so.
pub fn prepare(words: &[&str]) -> Result<Option<ExitCode>> {
    if !geteuid().is_root() {
        return as_root(words).map(Some);
    }
    provision::ensure(&mut |text| println!("{text}"))?;
    Ok(None)
}

/// Runs ourselves through sudo, where that asks no password.
fn as_root(words: &[&str]) -> Result<ExitCode> {
    let quiet = |command: &mut Command| {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    };
    let Some(sudo) = which("sudo").filter(|sudo| quiet(Command::new(sudo).args(["-n", "true"])))
    else {
        require_root()?;
        bail!("not root");
    };
    // As ourselves: what root downloads into our cargo home would be root's.
    let fetched = cargo(&["fetch", "--quiet"]).status().context("run cargo")?;
    ensure!(fetched.success(), "cargo fetch failed ({fetched})");
    let target = target_dir().join("root");
    println!(
        "loop devices need root: going on through sudo, building into {} (root's own)",
        target.display()
    );
    let mut command = Command::new(sudo);
    command.args(["-n", "-E", "env"]);
    for name in ["PATH", "HOME", "CARGO"] {
        if let Some(value) = env::var_os(name) {
            let mut word = std::ffi::OsString::from(name);
            word.push("=");
            word.push(value);
            command.arg(word);
        }
    }
    let mut setting = std::ffi::OsString::from("CARGO_TARGET_DIR=");
    setting.push(target);
    let status = command
        .arg(setting)
        .arg(env::current_exe()?)
        .args(words)
        .status()
        .context("run sudo")?;
    Ok(code(status))
}

/// How a child ended, as a shell would say it.
pub fn code(status: ExitStatus) -> ExitCode {
    use std::os::unix::process::ExitStatusExt;
    let code = status.code().or(status.signal().map(|signal| 128 + signal));
    ExitCode::from(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;

    #[test]
    fn a_signal_ends_a_child_with_128_and_its_number() {
        assert_eq!(code(ExitStatus::from_raw(0)), ExitCode::SUCCESS);
        assert_eq!(code(ExitStatus::from_raw(3 << 8)), ExitCode::from(3));
        assert_eq!(code(ExitStatus::from_raw(9)), ExitCode::from(137));
    }

    #[test]
    fn cargo_builds_into_an_absolute_directory() {
        assert!(target_dir().is_absolute());
    }
}
