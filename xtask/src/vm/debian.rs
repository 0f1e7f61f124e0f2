//! The machine's root disk: Debian 13 by mmdebstrap, kept below `target/vm/`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use testbed::provision::workspace;

use super::succeed;

const SUITE: &str = "trixie";

const PACKAGES: [&str; 10] = [
    "linux-image-cloud-amd64",
    "initramfs-tools",
    "systemd-sysv",
    "dbus",
    "udev",
    "btrfs-progs",
    "rclone",
    "valkey-server",
    "redis-server",
    "python3-minimal,libpython3-stdlib",
];

/// When mmdebstrap is ended by force, in seconds: it waits for ever on a mirror that does not answer.
const LIMIT: &str = "900";

/// The only file that is not Debian's: it unpacks what a run brings.
const UNIT: &str = "tests/vm/payload.service";

/// What to boot.
pub struct Root {
    /// An ext4 file system.
    pub image: PathBuf,
    /// Its kernel.
    pub kernel: PathBuf,
    /// Its initial RAM disk.
    pub initrd: PathBuf,
}

/// Builds it, unless it is there and made of the same things.
pub fn root(folder: &Path) -> Result<Root> {
    let root = Root {
        image: folder.join("root.img"),
        kernel: folder.join("vmlinuz"),
        initrd: folder.join("initrd.img"),
    };
    let unit =
        fs::read_to_string(workspace().join(UNIT)).with_context(|| format!("read {UNIT}"))?;
    let recipe = format!("{SUITE} {}\n{unit}", PACKAGES.join(","));
    let stamp = folder.join("root.recipe");
    if fs::read_to_string(&stamp).is_ok_and(|made| made == recipe) {
        return Ok(root);
    }
    // What is half built must not pass for what was there before.
    fs::remove_file(&stamp).ok();
    build(folder, &root)?;
    fs::write(stamp, recipe)?;
    Ok(root)
}

fn build(folder: &Path, root: &Root) -> Result<()> {
    let tree = folder.join("root");
    if tree.exists() {
        fs::remove_dir_all(&tree)?;
    }
    println!(
        "vm-test: building Debian {SUITE} with mmdebstrap into {}, once (a few minutes)",
        folder.display()
    );
    let mut debootstrap = Command::new("timeout");
    debootstrap
        .args(["--kill-after=30", LIMIT, "mmdebstrap"])
        .args(["--quiet", "--variant=minbase", "--format=directory"])
        .arg(format!("--include={}", PACKAGES.join(",")))
        .args([
            "--aptopt=Acquire::Languages \"none\"",
            "--dpkgopt=path-exclude=/usr/share/doc/*",
        ]);
    for option in connection()? {
        debootstrap.arg(format!("--aptopt={option}"));
    }
    debootstrap.arg(SUITE).arg(&tree).arg(mirror()?);
    succeed(&mut debootstrap)?;

    let units = tree.join("etc/systemd/system");
    let wanted = units.join("multi-user.target.wants");
    // The stand-in for the pod runs these servers, and nobody else.
    for server in ["redis-server.service", "valkey-server.service"] {
        let link = wanted.join(server);
        fs::remove_file(&link).with_context(|| format!("remove {}", link.display()))?;
    }
    fs::copy(workspace().join(UNIT), units.join("payload.service"))?;
    std::os::unix::fs::symlink("../payload.service", wanted.join("payload.service"))?;

    fs::copy(boot_file(&tree, "vmlinuz-")?, &root.kernel)?;
    fs::copy(boot_file(&tree, "initrd.img-")?, &root.initrd)?;
    fs::remove_file(&root.image).ok();
    succeed(
        Command::new("mke2fs")
            .args(["-q", "-t", "ext4", "-d"])
            .arg(&tree)
            .arg(&root.image)
            .arg("2G"),
    )?;
    fs::remove_dir_all(&tree)?;
    Ok(())
}

fn boot_file(tree: &Path, start: &str) -> Result<PathBuf> {
    let mut files = fs::read_dir(tree.join("boot"))?.flatten();
    files
        .find(|file| file.file_name().to_string_lossy().starts_with(start))
        .map(|file| file.path())
        .with_context(|| format!("Debian's kernel package left no /boot/{start}*"))
}

fn ask(program: &str, words: &[&str]) -> Result<Vec<String>> {
    let output = Command::new(program)
        .args(words)
        .output()
        .with_context(|| format!("run {program}"))?;
    ensure!(
        output.status.success(),
        "{program} failed ({})",
        output.status
    );
    Ok(String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(str::to_owned)
        .collect())
}

/// Where this machine gets Debian from, if it does.
fn mirror() -> Result<String> {
    let format = "$(ORIGIN) $(LABEL) $(REPO_URI)";
    let sources = ask("apt-get", &["indextargets", "--format", format])?;
    let mut ours = sources
        .iter()
        .filter_map(|source| source.strip_prefix("Debian Debian "));
    let ours = ours.next().context(
        "apt knows no Debian archive here: the machine is made from the one that /etc/apt/sources.list names",
    )?;
    Ok(ours.to_owned())
}

/// How this machine gets there: proxies and the like.
fn connection() -> Result<Vec<String>> {
    let format = "%f \"%v\";%n";
    let sections = ["Acquire::http", "Acquire::https", "Acquire::Retries"];
    let lines = ask(
        "apt-config",
        &[&["dump", "--format", format][..], &sections].concat(),
    )?;
    Ok(lines
        .into_iter()
        .filter(|line| !line.ends_with(" \"\";"))
        .collect())
}
