//! Time and memory of a command.
//!
//! The surprise: memory is sampled from /proc and not taken from wait4. What wait4
//! reports of a child counts what it was before it became the program, which is
//! a copy of us. And resident sizes are not simply added up: three rclones have
//! the 49 MiB of their program's file in memory once, and each counts it.

use std::collections::HashMap;
use std::fs;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use testbed::bed::{Process, Running, descendants};

const OWN_EVERY: Duration = Duration::from_millis(1);
const CHILDREN_EVERY: Duration = Duration::from_millis(20);

/// Peaks of a run's memory, in KiB.
#[derive(Debug, Default)]
pub struct Peaks {
    /// The program's own resident size.
    pub own: u64,
    /// What its `rclone sync` children held, each at its own peak, their program's file counted once.
    pub syncs: u64,
    /// How many of those there were.
    pub sync_count: usize,
}

/// What a run takes: on the clock, and of the processors, its children included.
#[derive(Debug, Clone, Copy)]
pub struct Took {
    /// From start to end.
    pub wall: Duration,
    /// User and system time: what a busy machine leaves alone.
    pub cpu: Duration,
}

/// How long a command takes; it has to succeed.
pub fn time(command: &mut Command) -> Result<Took> {
    let name = command.get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let before = cpu_of_children()?;
    let start = Instant::now();
    let output = command.stderr(Stdio::piped()).output();
    let output = output.with_context(|| format!("run {name}"))?;
    let took = Took {
        wall: start.elapsed(),
        cpu: cpu_of_children()?.saturating_sub(before),
    };
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}:\n{said}", output.status);
    Ok(took)
}

/// A run of several processes: what it takes, and what they hold at once.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    /// Time.
    pub took: Took,
    /// The most that all of them held at one moment, in KiB; see [`held`].
    pub peak: u64,
    /// The first one's own peak, in KiB, where it is our program.
    pub own: u64,
}

/// How much a command and all its children take; it has to succeed.
pub fn usage(command: &mut Command) -> Result<Usage> {
    let name = command.get_program().to_string_lossy().into_owned();
    let before = cpu_of_children()?;
    let start = Instant::now();
    let mut running = Running::start(command).with_context(|| format!("run {name}"))?;
    let pid = running.pid();
    let (mut peak, mut own_peak, mut look) = (0, 0, start);
    while !running.ended()? {
        if Instant::now() >= look {
            let own = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            if is_ours(&own) {
                own_peak = own_peak.max(kib(&own, "VmHWM"));
            }
            let others = descendants(pid);
            let all = others.iter().map(|one| one.status.as_str());
            peak = peak.max(held(all.chain([own.as_str()])));
            look = Instant::now() + CHILDREN_EVERY;
        }
        sleep(OWN_EVERY);
    }
    let took = Took {
        wall: start.elapsed(),
        cpu: cpu_of_children()?.saturating_sub(before),
    };
    let ran = running.wait_timeout(Duration::from_secs(10))?;
    ensure!(ran.code == Some(0), "{name}: {ran}");
    Ok(Usage {
        took,
        peak,
        own: own_peak,
    })
}

/// What these processes hold, in KiB: the memory that is each one's own, and the pages of a file once for each program,
/// as many as the process that has the most of them.
fn held<'a>(statuses: impl Iterator<Item = &'a str>) -> u64 {
    let mut files: HashMap<&str, u64> = HashMap::new();
    let own = |status| {
        let of_file = files.entry(field(status, "Name").unwrap_or_default());
        let of_file = of_file.or_default();
        *of_file = (*of_file).max(kib(status, "RssFile"));
        kib(status, "RssAnon") + kib(status, "RssShmem")
    };
    let own: u64 = statuses.map(own).sum();
    own + files.values().sum::<u64>()
}

/// Of those that ended and were waited for, and theirs.
fn cpu_of_children() -> Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let micros = |time: nix::sys::time::TimeVal| time.num_microseconds().unsigned_abs();
    let all = micros(usage.user_time()) + micros(usage.system_time());
    Ok(Duration::from_micros(all))
}

/// How much a command, which becomes the program, and its uploads take.
pub fn memory(command: &mut Command) -> Result<Peaks> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut child = command.spawn().context("run the program")?;
    let pid = child.id();
    let mut peaks = Peaks::default();
    let (mut syncs, mut file): (HashMap<u32, u64>, u64) = (HashMap::new(), 0);
    let mut look = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        if is_ours(&status) {
            peaks.own = peaks.own.max(kib(&status, "VmHWM"));
        }
        if Instant::now() >= look {
            look = Instant::now() + CHILDREN_EVERY;
            let is_sync = |one: &Process| {
                let program = one
                    .argv
                    .first()
                    .is_some_and(|word| word.ends_with("rclone"));
                program && one.argv.get(1).is_some_and(|word| word == "sync")
            };
            for one in descendants(pid).into_iter().filter(is_sync) {
                let shared = kib(&one.status, "RssFile");
                let own = kib(&one.status, "VmHWM").saturating_sub(shared);
                let peak = syncs.entry(one.pid).or_default();
                *peak = (*peak).max(own);
                file = file.max(shared);
            }
        }
        sleep(OWN_EVERY);
    };
    ensure!(status.success(), "opencode-backup: {status}");
    peaks.syncs = file + syncs.values().sum::<u64>();
    peaks.sync_count = syncs.len();
    ensure!(peaks.own > 0, "the program was too quick to be looked at");
    Ok(peaks)
}

/// Until it has become the program it is setpriv, or still a copy of us.
fn is_ours(status: &str) -> bool {
    field(status, "Name").is_some_and(|name| "opencode-backup".starts_with(name))
}

fn field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    let value = |line: &'a str| line.strip_prefix(name)?.strip_prefix(':').map(str::trim);
    status.lines().find_map(value)
}

fn kib(status: &str, name: &str) -> u64 {
    let number = |text: &str| text.split(' ').next().and_then(|word| word.parse().ok());
    field(status, name).and_then(number).unwrap_or_default()
}

/// The middle one, or the mean of the two in the middle.
pub fn median(times: &[Duration]) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort();
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => Duration::ZERO,
        n if n % 2 == 1 => sorted[middle],
        _ => (sorted[middle - 1] + sorted[middle]) / 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_ignores_one_slow_round() {
        let times = |seconds: &[u64]| -> Vec<Duration> {
            seconds.iter().map(|s| Duration::from_secs(*s)).collect()
        };
        assert_eq!(median(&times(&[3, 1, 90])), Duration::from_secs(3));
        assert_eq!(median(&times(&[4, 1, 2, 90])), Duration::from_secs(3));
        assert_eq!(median(&[]), Duration::ZERO);
    }

    #[test]
    fn a_programs_file_counts_once_however_many_processes_run_it() {
        let status = |name, anon, file| {
            format!("Name:\t{name}\nRssAnon:\t{anon} kB\nRssFile:\t{file} kB\nRssShmem:\t1 kB\n")
        };
        let all = [
            status("rclone", 100, 40),
            status("rclone", 10, 50),
            status("restic", 1000, 7),
        ];
        assert_eq!(held(all.iter().map(String::as_str)), 1110 + 3 + 50 + 7);
    }

    #[test]
    fn a_status_is_read_by_the_names_of_its_fields() {
        let status = "Name:\topencode-backup\nVmPeak:\t   12 kB\nVmHWM:\t    9876 kB\n";
        assert_eq!(kib(status, "VmHWM"), 9876);
        assert_eq!(kib(status, "Vm"), 0);
        assert_eq!(field(status, "Name"), Some("opencode-backup"));
    }
}
