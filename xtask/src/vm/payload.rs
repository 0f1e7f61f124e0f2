//! What a run brings into the machine: a tar file, as a disk.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use testbed::provision::{venv, workspace};

use super::succeed;

/// b2sdk and what it imports. Their Python alone goes, since the machine's is another version.
const PYTHON: [&str; 9] = [
    "annotated_types",
    "b2sdk",
    "certifi",
    "charset_normalizer",
    "idna",
    "logfury",
    "requests",
    "typing_extensions.py",
    "urllib3",
];

/// Where Debian 13's Python looks.
const SITE: &str = "usr/local/lib/python3.13/dist-packages";

/// Puts it together, anew.
pub fn pack(folder: &Path, binary: &Path) -> Result<PathBuf> {
    let tree = folder.join("payload");
    if tree.exists() {
        fs::remove_dir_all(&tree)?;
    }
    fs::create_dir_all(&tree)?;
    let ours = workspace().join("tests/vm/guest/.");
    succeed(Command::new("cp").arg("-r").arg(ours).arg(&tree))?;
    for (name, content) in units()? {
        let kind = if name.ends_with(".service") || name.ends_with(".timer") {
            "etc/systemd/system"
        } else {
            "etc/tmpfiles.d"
        };
        put(&tree.join(kind).join(name), content.as_bytes(), 0o644)?;
    }
    copy(binary, &tree.join("usr/local/bin/opencode-backup"), 0o755)?;
    // Debian's, which backs up, has no S3 server.
    copy(
        &venv().join("bin/rclone"),
        &tree.join("opt/vm/newer/rclone"),
        0o755,
    )?;
    copy(
        &workspace().join("tests/fixtures/memory_manager.py"),
        &tree.join("root/.opencode/graphiti/memory_manager.py"),
        0o644,
    )?;
    python(&tree.join(SITE))?;
    let image = folder.join("payload.tar");
    // As Linux distributions have them, whatever the umask here.
    let mut tar = Command::new("tar");
    tar.args(["--create", "--owner=0", "--group=0", "--numeric-owner"])
        .args([
            "--mode=u=rwX,go=rX",
            "--exclude=*.so",
            "--exclude=__pycache__",
        ])
        .arg("--file")
        .arg(&image)
        .arg("--directory")
        .arg(&tree)
        .arg(".");
    succeed(&mut tar)?;
    fs::remove_dir_all(&tree)?;
    Ok(image)
}

fn put(path: &Path, content: &[u8], mode: u32) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, content).with_context(|| format!("write {}", path.display()))?;
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(mode))?)
}

fn copy(from: &Path, to: &Path, mode: u32) -> Result<()> {
    let content = fs::read(from).with_context(|| format!("read {}", from.display()))?;
    put(to, &content, mode)
}

fn python(site: &Path) -> Result<()> {
    fs::create_dir_all(site)?;
    let library = fs::read_dir(venv().join("lib"))?
        .flatten()
        .map(|entry| entry.path().join("site-packages"))
        .find(|packages| packages.join("b2sdk").is_dir())
        .context("the virtual environment has no b2sdk")?;
    let mut names: Vec<String> = PYTHON.map(str::to_owned).to_vec();
    // b2sdk asks for its own version.
    for entry in fs::read_dir(&library)?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("b2sdk-") {
            names.push(name);
        }
    }
    for name in names {
        succeed(
            Command::new("cp")
                .arg("-r")
                .arg(library.join(name))
                .arg(site),
        )?;
    }
    Ok(())
}

/// The unit files, rendered from the module's own source.
fn units() -> Result<Vec<(String, String)>> {
    let output = Command::new("nix-instantiate")
        .args(["--store", "dummy://", "--eval", "--strict", "--json"])
        .arg(workspace().join("tests/vm/units.nix"))
        // Evaluation alone needs no builders, and would complain of a group that is not there.
        .env("NIX_CONFIG", "build-users-group =")
        .output()
        .context("run nix-instantiate")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "tests/vm/units.nix: {}",
        said.trim()
    );
    let files: Value = serde_json::from_slice(&output.stdout).context("read the units' JSON")?;
    let files = files.as_object().context("the units are no JSON object")?;
    Ok(files
        .iter()
        .map(|(name, text)| (name.clone(), text.as_str().unwrap_or_default().to_owned()))
        .collect())
}
