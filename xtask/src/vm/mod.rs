//! `cargo xtask vm-test`: the units under a real systemd, on a real Btrfs disk, in a virtual machine.
//!
//! Debian 13, built once and kept; what a run brings (the binary, the units, the checks) is unpacked at its first
//! boot, so that the machine is never out of date. The checks are told in tests/vm, one line each.

mod debian;
mod machine;
mod payload;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use testbed::provision::which;

use crate::steps::{apt_get, prepare, release_binary, target_dir};
use machine::{Machine, Verdict};

/// What it takes, by package and program.
const PACKAGES: [(&str, &str); 4] = [
    ("qemu-system-x86", "qemu-system-x86_64"),
    ("mmdebstrap", "mmdebstrap"),
    ("e2fsprogs", "mke2fs"),
    ("nix-bin", "nix-instantiate"),
];

/// Twice what it takes two cores that do something else besides.
const LIMIT: Duration = Duration::from_secs(20 * 60);

/// `--kvm` where the machine's own virtualisation is known to work; without, everything is emulated, which works
/// everywhere. `--minutes N` where the machine is slow.
pub fn run(words: &[&str]) -> Result<ExitCode> {
    let ourselves = [&["vm-test"], words].concat();
    let (mut kvm, mut limit) = (false, LIMIT);
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        match *word {
            "--kvm" => kvm = true,
            "--minutes" => {
                let minutes: Option<u64> = rest.next().and_then(|number| number.parse().ok());
                limit =
                    Duration::from_secs(60 * minutes.context("--minutes takes a whole number")?);
            }
            other => bail!("vm-test takes --kvm and --minutes N, not {other}"),
        }
    }
    if let Some(ended) = prepare(&ourselves)? {
        return Ok(ended);
    }
    install()?;
    let folder = target_dir().join("vm");
    fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
    let root = debian::root(&folder)?;
    let payload = payload::pack(&folder, &release_binary()?)?;
    let machine = Machine {
        root,
        payload,
        memory: folder.join("memory.img"),
        log: folder.join("serial.log"),
        kvm,
        limit,
    };
    println!(
        "vm-test: booting ({}); serial line: {}",
        if kvm { "KVM" } else { "emulated" },
        machine.log.display()
    );
    let begun = Instant::now();
    let verdict = machine.boot(&mut |line| println!("{line}"))?;
    let seconds = begun.elapsed().as_secs();
    let Verdict { ok, failed, .. } = verdict;
    if verdict.is_good() {
        let boot = verdict.boot.unwrap_or_default().as_secs();
        println!("vm-test: {ok} checks passed in {seconds} s, {boot} s of them the boot");
        return Ok(ExitCode::SUCCESS);
    }
    println!("\n{}\n", machine.tail());
    println!(
        "vm-test: {} after {seconds} s: {ok} passed, {failed} failed, of {}; all of the serial line: {}",
        verdict.end(),
        verdict.expected.map_or_else(
            || "an unknown number".to_owned(),
            |number| number.to_string()
        ),
        machine.log.display()
    );
    Ok(ExitCode::FAILURE)
}

fn install() -> Result<()> {
    let missing: Vec<&str> = PACKAGES
        .iter()
        .filter(|(_, program)| which(program).is_none() && !on_the_callers_path(program))
        .map(|(package, _)| *package)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let list = missing.join(" ");
    ensure!(
        which("apt-get").is_some(),
        "this is no Debian; install by other means: {list}"
    );
    apt_get(&missing)
}

/// Nix is often elsewhere than where a distribution's programs are.
fn on_the_callers_path(program: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| {
        std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
    })
}

/// A tool's run that has to succeed.
fn succeed(command: &mut Command) -> Result<()> {
    let program = PathBuf::from(command.get_program());
    let status = command
        .status()
        .with_context(|| format!("run {}", program.display()))?;
    ensure!(status.success(), "{} failed ({status})", program.display());
    Ok(())
}
