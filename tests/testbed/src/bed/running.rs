//! The program under test while it runs, and what it left when it ended.
//!
//! The surprise: its output is collected by threads that are waited for only a
//! while. An orphan that holds the pipe is a failure to be shown, not a test
//! that hangs.

use std::fmt;
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::process::lock;

/// What a finished run left. `Display` shows all of it, for assertions.
#[derive(Debug, Clone)]
pub struct Ran {
    /// The exit code, unless it died of a signal.
    pub code: Option<i32>,
    /// The signal it died of.
    pub signal: Option<i32>,
    /// Everything on stdout; what is not UTF-8 is replaced.
    pub stdout: String,
    /// Everything on stderr.
    pub stderr: String,
    /// From start to end.
    pub took: Duration,
}

impl fmt::Display for Ran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.code, self.signal) {
            (Some(code), _) => write!(f, "exit code {code}")?,
            (None, signal) => write!(f, "killed by signal {}", signal.unwrap_or_default())?,
        }
        writeln!(f, " after {:.1?}", self.took)?;
        writeln!(
            f,
            "--- stdout\n{}\n--- stderr\n{}",
            self.stdout.trim_end(),
            self.stderr.trim_end()
        )
    }
}

struct Collected {
    bytes: Arc<Mutex<Vec<u8>>>,
    thread: JoinHandle<()>,
}

impl Collected {
    fn from(mut pipe: impl Read + Send + 'static) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&bytes);
        let thread = thread::spawn(move || {
            let mut chunk = [0; 8192];
            while let Ok(n @ 1..) = pipe.read(&mut chunk) {
                lock(&kept).extend(&chunk[..n]);
            }
        });
        Self { bytes, thread }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&lock(&self.bytes)).into_owned()
    }

    /// The text once the pipe is closed, or after three seconds.
    fn final_text(&self) -> String {
        let start = Instant::now();
        while !self.thread.is_finished() {
            if start.elapsed() > Duration::from_secs(3) {
                return self.text() + "\n[the testbed: some process still holds this pipe]";
            }
            sleep(Duration::from_millis(2));
        }
        self.text()
    }
}

/// A run under way; killed and waited for on drop.
pub struct Running {
    child: Child,
    stdout: Collected,
    stderr: Collected,
    start: Instant,
    status: Option<ExitStatus>,
}

impl Running {
    /// Starts any command, its output collected, its input empty.
    pub fn start(command: &mut Command) -> Result<Self> {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let start = Instant::now();
        let mut child = command.spawn().context("start the program under test")?;
        let stdout = Collected::from(child.stdout.take().context("stdout")?);
        let stderr = Collected::from(child.stderr.take().context("stderr")?);
        Ok(Self {
            child,
            stdout,
            stderr,
            start,
            status: None,
        })
    }

    /// The process id: the program's own, since `setpriv` becomes it.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal to the program alone.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        kill(Pid::from_raw(self.pid().cast_signed()), signal).context("send a signal")
    }

    /// SIGKILL.
    pub fn kill(&self) -> Result<()> {
        self.signal(Signal::SIGKILL)
    }

    /// What it wrote on stderr so far.
    pub fn stderr_so_far(&self) -> String {
        self.stderr.text()
    }

    /// What it wrote on stdout so far.
    pub fn stdout_so_far(&self) -> String {
        self.stdout.text()
    }

    /// Whether it has ended.
    pub fn ended(&mut self) -> Result<bool> {
        if self.status.is_none() {
            self.status = self.child.try_wait()?;
        }
        Ok(self.status.is_some())
    }

    /// Waits until its stderr contains `text`; an error when it ends before.
    pub fn wait_for_stderr(&mut self, text: &str, limit: Duration) -> Result<()> {
        let what = format!("{text:?} on stderr");
        self.wait_until(&what, limit, |run| run.stderr.text().contains(text))
    }

    /// Waits until `is` holds; an error, with all output, when it ends before.
    pub fn wait_until(
        &mut self,
        what: &str,
        limit: Duration,
        mut is: impl FnMut(&Self) -> bool,
    ) -> Result<()> {
        let start = Instant::now();
        loop {
            let ended = self.ended()?;
            if is(self) {
                return Ok(());
            }
            if ended {
                bail!("it ended before {what}: {}", self.outcome());
            }
            if start.elapsed() > limit {
                bail!("no {what} within {limit:?}: {}", self.outcome());
            }
            sleep(Duration::from_millis(5));
        }
    }

    /// Waits for its end; an error, with all output, where it takes too long.
    pub fn wait_timeout(mut self, limit: Duration) -> Result<Ran> {
        let start = Instant::now();
        while !self.ended()? {
            if start.elapsed() > limit {
                bail!("still running after {limit:?}: {}", self.outcome());
            }
            sleep(Duration::from_millis(2));
        }
        Ok(self.outcome())
    }

    fn outcome(&self) -> Ran {
        let ended = self.status.is_some();
        let text = |pipe: &Collected| {
            if ended {
                pipe.final_text()
            } else {
                pipe.text()
            }
        };
        Ran {
            code: self.status.and_then(|status| status.code()),
            signal: self.status.and_then(|status| status.signal()),
            took: self.start.elapsed(),
            stdout: text(&self.stdout),
            stderr: text(&self.stderr),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.status.is_none() {
            self.child.kill().ok();
            self.child.wait().ok();
        }
    }
}
