//! Environment files that are none: pipes, endless ones, those without the keys.

use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use testbed::{Bed, Signal};

use crate::restore::SOON;
use crate::support::{bed, expect};

/// `list` with this file and no other.
fn list(bed: &Bed, file: &str) -> Result<testbed::Ran> {
    bed.run(&["--env-file", file, "list"])
}

#[test]
fn a_pipe_that_somebody_writes_to_is_read() -> Result<()> {
    let bed = bed();
    let fifo = bed.scratch().join("pipe");
    mkfifo(&fifo, Mode::S_IRUSR | Mode::S_IWUSR)?;
    let fifo = fifo.to_str().expect("a path");
    // Half of it late, as from a program that asks for a passphrase.
    let mut script = Command::new("bash");
    let env = bed.env_path();
    let write = "exec >\"$1\"; sleep 0.3; head -n 1 \"$2\"; sleep 0.3; tail -n +2 \"$2\"";
    script.args(["-c", write, "bash", fifo]).arg(env);
    let mut writer = script.spawn()?;
    let ran = list(&bed, fifo)?;
    assert_eq!(ran.code, Some(0), "{ran}");
    writer.wait()?;
    Ok(())
}

#[test]
fn a_pipe_that_nobody_writes_to_is_refused() -> Result<()> {
    let bed = bed();
    let fifo = bed.scratch().join("pipe");
    mkfifo(&fifo, Mode::S_IRUSR | Mode::S_IWUSR)?;
    let ran = list(&bed, fifo.to_str().expect("a path"))?;
    assert_eq!(ran.code, Some(3), "{ran}");
    assert!(ran.stderr.contains("nobody writes to it"), "{ran}");
    Ok(())
}

#[test]
fn a_signal_ends_the_waiting_for_a_pipe() -> Result<()> {
    let bed = bed();
    let fifo = bed.scratch().join("pipe");
    mkfifo(&fifo, Mode::S_IRUSR | Mode::S_IWUSR)?;
    let fifo = fifo.to_str().expect("a path");
    let mut holder = Command::new("sleep");
    let holder = holder
        .arg("600")
        .stdout(std::fs::File::options().read(true).write(true).open(fifo)?);
    let mut holder = holder.spawn()?;
    let mut run = bed.spawn(&["--env-file", fifo, "list"])?;
    run.wait_until("the pipe", SOON, |run| {
        let open = std::fs::read_dir(format!("/proc/{}/fd", run.pid()));
        let mut open = open.into_iter().flatten().flatten();
        open.any(|entry| std::fs::read_link(entry.path()).is_ok_and(|to| to.ends_with("pipe")))
    })?;
    run.signal(Signal::SIGTERM)?;
    let ran = run.wait_timeout(Duration::from_secs(10));
    holder.kill()?;
    holder.wait()?;
    assert_eq!(ran?.code, Some(143));
    Ok(())
}

#[test]
fn an_endless_file_is_refused() -> Result<()> {
    let bed = bed();
    let ran = list(&bed, "/dev/zero")?;
    assert_eq!(ran.code, Some(3), "{ran}");
    assert!(ran.stderr.contains("more than 1048576 bytes"), "{ran}");
    Ok(())
}

/// Whoever names a file does not want another one's keys.
#[test]
fn a_named_file_without_the_keys_is_an_error() -> Result<()> {
    let bed = bed();
    expect(&bed, &["list"], 0);
    let relay = bed.relay()?;
    relay.forget_requests();
    for (text, says) in [
        ("", "has neither B2_KEY_ID nor B2_APP_KEY"),
        ("OTHER=x\n", "has neither B2_KEY_ID nor B2_APP_KEY"),
        (
            "\u{feff}B2_KEY_ID=a\nB2_APP_KEY=b\n",
            "without a byte order mark",
        ),
    ] {
        let named = bed.scratch().join("named.env");
        std::fs::write(&named, text)?;
        let ran = list(&bed, named.to_str().expect("a path"))?;
        assert_eq!(ran.code, Some(3), "{text:?}: {ran}");
        assert!(ran.stderr.contains(says), "{text:?}: {ran}");
    }
    let asked = relay.requests();
    assert!(asked.is_empty(), "{asked:?}");
    Ok(())
}
