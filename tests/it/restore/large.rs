//! Manifests that are made to fill the memory of whoever reads them.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use testbed::{Bed, Ran, Server};

use super::by_hand::{manifest, split};
use super::target;
use crate::support::BIN;

const AT: &str = "2025-01-01T00-00-00Z";
/// What a process may have had in its memory at most, in KiB: it has some 10 MiB of its own.
const MODEST: u64 = 100 * 1024;
const LIMIT: Duration = Duration::from_secs(300);

/// A bed whose objects are files.
fn bed() -> Result<Bed> {
    let bed = Bed::builder(Path::new(BIN))
        .s3(Server::RcloneServe)
        .build()?;
    super::impatient(&bed);
    Ok(bed)
}

/// The summary's file in the server's directory.
fn write(bed: &Bed, text: impl FnOnce(&mut BufWriter<File>) -> std::io::Result<()>) -> Result<()> {
    write_as(bed, ".json", text)
}

/// An object of the backup below `manifests/`.
fn write_as(
    bed: &Bed,
    end: &str,
    text: impl FnOnce(&mut BufWriter<File>) -> std::io::Result<()>,
) -> Result<()> {
    let folder = bed
        .scratch()
        .join("s3")
        .join(bed.bucket())
        .join("manifests");
    fs::create_dir_all(&folder)?;
    let mut file = BufWriter::new(File::create(folder.join(format!("{AT}{end}")))?);
    text(&mut file)?;
    Ok(file.flush()?)
}

fn repeat(file: &mut BufWriter<File>, text: &str, bytes: usize) -> std::io::Result<()> {
    let block = text.repeat((1 << 16) / text.len());
    for _ in 0..bytes / block.len() {
        file.write_all(block.as_bytes())?;
    }
    Ok(())
}

/// Runs, and watches the most that was ever in its memory, in KiB.
fn watched(bed: &Bed, args: &[&str]) -> Result<(Ran, u64)> {
    let mut run = bed.spawn(args)?;
    let status = format!("/proc/{}/status", run.pid());
    let mut most = 0;
    let began = std::time::Instant::now();
    while !run.ended()? {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        if let Some(kib) = line.and_then(|line| line.trim().strip_suffix(" kB")) {
            most = kib.trim().parse()?;
        }
        anyhow::ensure!(began.elapsed() < LIMIT, "{args:?} still runs");
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok((run.wait_timeout(LIMIT)?, most))
}

#[test]
fn a_summary_of_more_than_a_mebibyte_is_refused_in_little_memory() -> Result<()> {
    let bed = bed()?;
    write(&bed, |file| {
        file.write_all(b"{")?;
        repeat(file, " ", 513 << 20)
    })?;
    let to = target(&bed);
    let (ran, most) = watched(&bed, &["restore", "--to", to.to_str().context("a path")?])?;
    assert_eq!(ran.code, Some(1), "{ran}");
    assert!(
        ran.stderr.contains("larger than 1024 KiB, and refused"),
        "{ran}"
    );
    assert!(most > 0 && most < MODEST, "{most} KiB: {ran}");
    assert!(!to.exists());
    Ok(())
}

#[test]
fn a_file_list_of_more_than_64_mib_is_refused_in_little_memory() -> Result<()> {
    let bed = bed()?;
    let (honest, _) = split(&manifest("", AT, "other"));
    write(&bed, |file| file.write_all(honest.as_bytes()))?;
    write_as(&bed, ".files.json", |file| repeat(file, " ", 300 << 20))?;
    let to = target(&bed);
    let (ran, most) = watched(&bed, &["restore", "--to", to.to_str().context("a path")?])?;
    assert_eq!(ran.code, Some(1), "{ran}");
    let refused = "larger than 65536 KiB, and refused";
    assert!(ran.stderr.contains(refused), "{ran}");
    assert!(most > 0 && most < MODEST, "{most} KiB: {ran}");
    assert!(!to.exists());
    Ok(())
}

/// Beside one that cannot be read, each is read alone.
#[test]
fn a_damaged_manifest_does_not_make_retention_hold_the_others_in_memory() -> Result<()> {
    let bed = bed()?;
    let (honest, _) = split(&manifest("", AT, "other"));
    write(&bed, |file| {
        file.write_all(b"{\"novelty\":[0")?;
        repeat(file, ",0", 400_000)?;
        file.write_all(b"],")?;
        file.write_all(&honest.as_bytes()[1..])
    })?;
    let damaged = "manifests/2025-01-02T00-00-00Z.json";
    bed.s3().put(bed.bucket(), damaged, b"{}")?;
    bed.set("retention.remote.days", 90)?;
    let (ran, most) = watched(&bed, &["prune", "--remote", "--dry-run"])?;
    assert_eq!(ran.code, Some(0), "{ran}");
    assert!(ran.stdout.contains("of the host other"), "{ran}");
    assert!(most > 0 && most < MODEST, "{most} KiB: {ran}");
    Ok(())
}

#[test]
fn fields_that_nobody_knows_take_no_memory() -> Result<()> {
    let bed = bed()?;
    let (honest, _) = split(&manifest("", AT, "other"));
    write(&bed, |file| {
        file.write_all(b"{\"novelty\":[0")?;
        repeat(file, ",0", 400_000)?;
        file.write_all(b"],")?;
        file.write_all(&honest.as_bytes()[1..])
    })?;
    for args in [
        &["verify", AT][..],
        &["list", "--json"],
        &["status"],
        &["prune", "--dry-run"],
    ] {
        let (ran, most) = watched(&bed, args)?;
        assert!(most > 0 && most < MODEST, "{args:?}: {most} KiB: {ran}");
    }
    Ok(())
}
