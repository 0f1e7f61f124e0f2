//! QEMU: the boot, what the machine tells on its second serial line, and the end.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use testbed::process::tethered;

use super::debian::Root;

/// The first serial line's end, for whoever looks for a failure.
const TAIL: usize = 60;

/// The clock at power-on: ten minutes past midnight, with room before the timer's next tick.
const BEGIN: &str = "2031-03-01T00:10:00";

/// What to boot, and for how long.
pub struct Machine {
    /// Never written: what the machine writes goes when it does.
    pub root: Root,
    /// The tar file that is its third disk.
    pub payload: PathBuf,
    /// Its second disk, made anew.
    pub memory: PathBuf,
    /// All that it says.
    pub log: PathBuf,
    /// Virtualised instead of emulated.
    pub kvm: bool,
    /// When it is ended by force.
    pub limit: Duration,
}

/// What became of the checks.
#[derive(Debug, Default)]
pub struct Verdict {
    /// How many there are, says the machine.
    pub expected: Option<usize>,
    /// How long it took until it said so: the boot.
    pub boot: Option<Duration>,
    /// How many of them passed.
    pub ok: usize,
    /// How many did not.
    pub failed: usize,
    /// It said that it was through.
    pub through: bool,
    /// It was ended by force.
    pub late: bool,
}

impl Verdict {
    fn hear(&mut self, line: &str) {
        if let Some(number) = line.strip_prefix("checks ") {
            self.expected = number.trim().parse().ok();
        }
        self.ok += usize::from(line.starts_with("ok "));
        self.failed += usize::from(line.starts_with("not ok "));
        self.through |= line == "end";
    }

    /// All were told, and all passed: one that was not is as bad as one that failed.
    pub fn is_good(&self) -> bool {
        self.through && self.failed == 0 && self.ok > 0 && self.expected == Some(self.ok)
    }

    /// How it ended, for a person.
    pub fn end(&self) -> &'static str {
        match (self.through, self.late) {
            (true, _) => "FAILED",
            (_, true) => "NOT THROUGH in time (--minutes gives it more)",
            _ => "DIED",
        }
    }
}

impl Machine {
    /// Boots it and listens until it is off.
    pub fn boot(&self, say: &mut dyn FnMut(&str)) -> Result<Verdict> {
        let disk = File::create(&self.memory)
            .with_context(|| format!("make {}", self.memory.display()))?;
        disk.set_len(4 << 30)?;
        let mut qemu = self.command().spawn().context("run qemu-system-x86_64")?;
        let lines = qemu.stdout.take().context("QEMU has no output")?;
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(lines).lines().map_while(Result::ok) {
                sender.send(line).ok();
            }
        });
        let mut verdict = Verdict::default();
        let begun = Instant::now();
        let until = begun + self.limit;
        loop {
            match receiver.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    let line = line.trim_end();
                    verdict.hear(line);
                    if verdict.expected.is_some() {
                        verdict.boot.get_or_insert_with(|| begun.elapsed());
                    }
                    if !line.is_empty() && line != "end" {
                        say(line);
                    }
                }
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    verdict.late = true;
                    break;
                }
            }
        }
        end(qemu)?;
        fs::remove_file(&self.memory).ok();
        Ok(verdict)
    }

    fn command(&self) -> Command {
        let drive = |file: &PathBuf, options: &str| {
            let file = file.display().to_string().replace(',', ",,");
            format!("file={file},format=raw,if=virtio,{options}")
        };
        let mut qemu = tethered("qemu-system-x86_64");
        if self.kvm {
            qemu.args(["-accel", "kvm", "-cpu", "host"]);
        } else {
            // Not `max`: the AVX that QEMU 7.2 emulates went wrong (mounts that failed without cause).
            qemu.args(["-accel", "tcg,thread=multi", "-cpu", "Nehalem"]);
        }
        qemu.args(["-smp", "2", "-m", "2G", "-nic", "none"])
            .args(["-display", "none", "-monitor", "none"])
            .args(["-rtc", &format!("base={BEGIN}")])
            .arg("-kernel")
            .arg(&self.root.kernel)
            .arg("-initrd")
            .arg(&self.root.initrd)
            .args(["-append", &Self::kernel_words()])
            .args([
                "-drive",
                &drive(&self.root.image, "snapshot=on,cache=unsafe"),
            ])
            .args(["-drive", &drive(&self.memory, "cache=unsafe")])
            .args(["-drive", &drive(&self.payload, "readonly=on")])
            .args(["-serial", &format!("file:{}", self.log.display())])
            .args(["-serial", "stdio"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        qemu
    }

    /// Nobody logs in there, and nothing is to be fetched.
    fn kernel_words() -> String {
        let masked = [
            "apt-daily.timer",
            "apt-daily-upgrade.timer",
            "getty@tty1.service",
            "serial-getty@ttyS0.service",
            "systemd-logind.service",
        ];
        let words = masked.map(|unit| format!("systemd.mask={unit}"));
        format!(
            "root=/dev/vda rw console=ttyS0 panic=-1 {}",
            words.join(" ")
        )
    }

    /// The last that it said.
    pub fn tail(&self) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        let tail = lines.get(lines.len().saturating_sub(TAIL)..);
        tail.unwrap_or_default().join("\n")
    }
}

fn end(mut qemu: Child) -> Result<()> {
    let gone = Instant::now() + Duration::from_secs(10);
    while qemu.try_wait()?.is_none() {
        if Instant::now() > gone {
            qemu.kill().ok();
            qemu.wait()?;
            break;
        }
        thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Verdict;

    fn of(lines: &[&str]) -> Verdict {
        let mut verdict = Verdict::default();
        lines.iter().for_each(|line| verdict.hear(line));
        verdict
    }

    #[test]
    fn a_check_that_was_not_told_is_not_one_that_passed() {
        assert!(of(&["checks 2", "ok one", "ok two", "end"]).is_good());
        assert!(!of(&["checks 2", "ok one", "end"]).is_good());
        assert!(!of(&["checks 2", "ok one", "ok two"]).is_good());
        assert!(!of(&["checks 2", "ok one", "not ok two: why", "end"]).is_good());
        assert!(!of(&["checks 0", "end"]).is_good());
        assert!(!of(&[]).is_good());
    }
}
