//! Everything that a file system can say of a file comes back.

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, PermissionsExt, chown, lchown, symlink};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};

use anyhow::Result;
use testbed::Rclone;

use super::{assert_whole, backup, plain, restore, stage, target};

fn links(dir: &Path) -> Result<()> {
    for (name, to) in [
        ("relative", "dump.rdb"),
        ("dangling", "no/such/file"),
        ("absolute", "/etc/hostname"),
        ("to a directory", "full"),
        ("in a circle", "in a circle"),
        ("up", "../../.."),
    ] {
        symlink(to, dir.join(name))?;
        lchown(dir.join(name), Some(77), Some(78))?;
    }
    let odd = OsStr::from_bytes(b"\xff\n");
    Ok(symlink(odd, dir.join(odd))?)
}

/// Owners, permissions and times, each unlike any default; of files and of directories.
fn metadata(dir: &Path) -> Result<()> {
    let modes = [0o000, 0o400, 0o644, 0o4755, 0o2711, 0o777];
    for (number, mode) in (0u32..).zip(modes) {
        let (file, folder) = (
            dir.join(format!("full/file-{mode:04o}")),
            dir.join(format!("folder-{mode:04o}")),
        );
        fs::write(&file, format!("{mode:o}"))?;
        fs::create_dir(&folder)?;
        fs::write(folder.join("within"), "within")?;
        for path in [&file, &folder] {
            chown(path, Some(10_000 + number), Some(20_000 + number))?;
            fs::set_permissions(path, Permissions::from_mode(mode))?;
            let mtime = UNIX_EPOCH + Duration::new(1_000_000_000 + u64::from(number), 123_456_789);
            File::open(path)?.set_modified(mtime)?;
        }
    }
    fs::write(dir.join("before 1970"), "long ago")?;
    File::open(dir.join("before 1970"))?.set_modified(UNIX_EPOCH - Duration::from_millis(1500))?;
    let empty = dir.join("empty/also empty");
    fs::create_dir_all(&empty)?;
    fs::set_permissions(&empty, Permissions::from_mode(0o1777))?;
    chown(&empty, Some(33), Some(4))?;
    File::open(dir.join("empty"))?.set_modified(UNIX_EPOCH + Duration::new(1_234_567_890, 1))?;
    Ok(())
}

fn everything_comes_back(rclone: Rclone) -> Result<()> {
    let bed = plain(rclone);
    let dir = bed.dataset("falkordb");
    fs::create_dir(dir.join("full"))?;
    links(&dir)?;
    metadata(&dir)?;
    fs::write(dir.join("nothing"), "")?;
    // Above what goes in one request, and mostly holes.
    let sparse = File::create(dir.join("sparse"))?;
    sparse.set_len(24 << 20)?;
    sparse.write_at(b"island", 9 << 20)?;
    sparse.write_at(b"end", (24 << 20) - 3)?;

    let timestamp = backup(&bed);
    // The live tree goes on: what comes back is what the snapshot holds.
    fs::write(dir.join("nothing"), "something")?;
    fs::write(dir.join("new"), "new")?;
    let to = target(&bed);
    let ran = restore(&bed, &to, &[], 0);
    assert_whole(&bed, &timestamp, &to);
    assert!(!stage(&to, &timestamp).exists(), "{ran}");
    assert_eq!(fs::metadata(&to)?.permissions().mode() & 0o7777, 0o700);
    for word in [
        timestamp.as_str(),
        "is restored",
        to.to_str().expect("text"),
    ] {
        assert!(ran.stderr.contains(word), "{word} in {ran}");
    }
    assert!(!ran.stderr.contains("another owner"), "{ran}");
    // rclone's own way to keep metadata leaves attributes behind; ours leaves none.
    let script = "import os,sys\nfor r,d,f in os.walk(sys.argv[1]):\n  for n in d+f: print(*os.listxattr(os.path.join(r,n),follow_symlinks=False),end='')";
    let attributes = Command::new("python3")
        .args(["-c", script])
        .arg(&to)
        .output()?;
    assert!(
        attributes.status.success() && attributes.stdout.is_empty(),
        "{attributes:?}"
    );
    Ok(())
}

#[test]
fn everything_comes_back_with_rclone_1_60() -> Result<()> {
    everything_comes_back(Rclone::Old)
}

#[test]
fn everything_comes_back_with_rclone_1_75() -> Result<()> {
    everything_comes_back(Rclone::New)
}

#[test]
fn what_was_restored_is_told_as_json_too() -> Result<()> {
    let bed = plain(Rclone::Old);
    let timestamp = backup(&bed);
    let to = target(&bed);
    let ran = restore(&bed, &to, &["--json", &timestamp], 0);
    let told: serde_json::Value = serde_json::from_str(&ran.stdout)?;
    assert_eq!(told["timestamp"], timestamp.as_str());
    assert_eq!(told["to"], to.to_str().expect("text"));
    assert_eq!(told["datasets"], serde_json::json!(["falkordb", "valkey"]));
    assert_eq!(
        (&told["files"], &told["owners_not_set"]),
        (&2.into(), &0.into()),
        "{told:#}"
    );
    let bytes: u64 = super::DATASETS
        .iter()
        .map(|name| fs::metadata(to.join(name).join("dump.rdb")).map_or(0, |m| m.len()))
        .sum();
    assert_eq!(told["bytes"], bytes, "{told:#}");
    Ok(())
}
