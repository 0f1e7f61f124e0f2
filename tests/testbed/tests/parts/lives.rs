//! What happens when a test's process is killed: nothing stays.
//!
//! The test runs itself again, with an environment variable that makes it the
//! victim: it makes servers and mounts, says where, and waits for its end.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use testbed::Bed;
use testbed::scratch::mounts_below;

const VICTIM: &str = "OCB_TESTBED_VICTIM";

#[test]
fn a_killed_test_leaves_no_mount_no_directory_and_no_process() -> Result<()> {
    if std::env::var_os(VICTIM).is_some() {
        let bed = Bed::new(Path::new("/usr/bin/env"))?;
        let _child = bed.spawn(&["sleep", "600"])?;
        writeln!(
            std::io::stderr(),
            "{} {}",
            bed.scratch().display(),
            bed.s3().pid()
        )?;
        sleep(Duration::from_secs(600));
    }
    let mut victim = Command::new(std::env::current_exe()?)
        .args([
            "--exact",
            "--nocapture",
            "lives::a_killed_test_leaves_no_mount_no_directory_and_no_process",
        ])
        .env(VICTIM, "1")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut line = String::new();
    BufReader::new(victim.stderr.take().context("stderr")?).read_line(&mut line)?;
    victim.kill()?;
    victim.wait()?;
    let (path, moto) = line.trim().split_once(' ').with_context(|| line.clone())?;
    let (path, moto) = (Path::new(path), Path::new("/proc").join(moto));
    let start = Instant::now();
    while path.exists() || !mounts_below(path).is_empty() || moto.exists() {
        assert!(
            start.elapsed() < Duration::from_secs(20),
            "still there: {line}"
        );
        sleep(Duration::from_millis(50));
    }
    Ok(())
}
