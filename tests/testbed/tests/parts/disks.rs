//! File systems that come and go.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::Command;

use anyhow::{Context, Result};
use testbed::disk::{Btrfs, Mount};
use testbed::scratch::{Scratch, mounts_below};

#[test]
fn a_snapshot_keeps_what_the_subvolume_held_and_cannot_be_written() -> Result<()> {
    let scratch = Scratch::new()?;
    let disk = Btrfs::new(scratch.path(), 128)?;
    let (live, snap) = (disk.path().join("persist"), disk.path().join("snap"));
    disk.subvolume(&live)?;
    fs::write(live.join("file"), "before")?;
    disk.snapshot(&live, &snap, true)?;
    fs::write(live.join("file"), "after")?;
    assert_eq!(fs::read_to_string(snap.join("file"))?, "before");
    assert!(fs::write(snap.join("file"), "x").is_err());
    assert!(
        disk.snapshot(&live, &snap, true).is_err(),
        "nested instead of refused"
    );
    disk.set_readonly(&snap, false)?;
    fs::write(snap.join("file"), "x")?;
    disk.delete(&snap)?;
    assert!(!snap.exists());
    Ok(())
}

#[test]
fn subvolumes_mounted_separately_are_one_file_system_with_two_device_numbers() -> Result<()> {
    let scratch = Scratch::new()?;
    let disk = Btrfs::new(scratch.path(), 128)?;
    let mut mounts = Vec::new();
    for name in ["@a", "@b"] {
        disk.subvolume(&disk.path().join(name))?;
        mounts.push(disk.mount_subvol(name, &scratch.path().join(name))?);
    }
    let (a, b) = (scratch.path().join("@a"), scratch.path().join("@b"));
    assert_ne!(fs::metadata(&a)?.dev(), fs::metadata(&b)?.dev());
    disk.snapshot(&a, &b.join("snap"), true)
}

#[test]
fn nothing_stays_mounted_and_no_loop_device_stays_bound() -> Result<()> {
    let scratch = Scratch::new()?;
    let path = scratch.path().to_owned();
    let disk = Btrfs::new(&path, 128)?;
    let ext4 = Mount::ext4(&path.join("other"), 16)?;
    let tmpfs = Mount::tmpfs(&path.join("memory"))?;
    ext4.set_readonly(true)?;
    assert!(fs::write(ext4.path().join("file"), "x").is_err());
    assert_eq!(mounts_below(&path).len(), 3);
    drop((disk, ext4, tmpfs));
    assert_eq!(mounts_below(&path), Vec::<std::path::PathBuf>::new());
    drop(scratch);
    assert!(!path.exists());
    let loops = Command::new("losetup").arg("-a").output()?;
    let loops = String::from_utf8(loops.stdout).context("losetup")?;
    assert!(!loops.contains(path.to_string_lossy().as_ref()), "{loops}");
    Ok(())
}
