//! A running child, from its start to its reaping, and the reasons to end it before its time.

use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, ExitStatus};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;

use super::lines::{Message, Stream, pump_bytes, pump_lines};
use super::output::OutputSink;
use super::{Kind, Runner, Stdout};
use crate::interrupt::Interrupted;

/// How often a quiet child is looked after.
const TICK: Duration = Duration::from_millis(20);
/// How long a child that was asked to stop may take before it is killed. rclone aborts its multipart
/// uploads in this time; systemd allows us 30 s in all.
const GRACE: Duration = Duration::from_secs(8);
/// How long we wait for more after a child's end, should something else hold its pipes.
const LINGER: Duration = Duration::from_secs(5);
/// How many messages may have been under way at a child's end: what the channel holds, and a line for each byte in
/// two pipes. A slow reader must still get them all, but not what another process writes without end.
const UNDER_WAY: u32 = 256 + 2 * 65_536;

#[derive(Clone, Copy)]
enum Reason {
    Interrupt(Signal),
    Deadline(Duration),
}

struct Stop {
    reason: Reason,
    asked: Instant,
    killed: bool,
}

/// A running child and the reasons to end it.
pub(super) struct Watch<'r> {
    runner: &'r Runner,
    child: Child,
    started: Instant,
    deadline: Option<Duration>,
    stop: Option<Stop>,
}

impl<'r> Watch<'r> {
    /// Watches a child that has just been spawned by this thread.
    pub(super) fn new(runner: &'r Runner, child: Child, deadline: Option<Duration>) -> Self {
        Self {
            runner,
            child,
            started: Instant::now(),
            deadline,
            stop: None,
        }
    }

    /// How long it has been running.
    pub(super) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Why it did not end well; `None` where it did. One that finished before it heard us did end well.
    pub(super) fn failure(&self, status: ExitStatus) -> Option<Kind> {
        if status.success() {
            return None;
        }
        Some(match (&self.stop, status.code()) {
            (
                Some(Stop {
                    reason: Reason::Interrupt(signal),
                    ..
                }),
                _,
            ) => Kind::Interrupted(Interrupted(*signal)),
            (
                Some(Stop {
                    reason: Reason::Deadline(limit),
                    ..
                }),
                _,
            ) => Kind::Deadline(*limit),
            (None, Some(code)) => Kind::Exit(code),
            (None, None) => {
                let signal = status
                    .signal()
                    .and_then(|number| Signal::try_from(number).ok());
                Kind::Signal(signal.unwrap_or(Signal::SIGKILL))
            }
        })
    }

    /// Reads all that the child prints, stops it where it must stop, and reaps it.
    pub(super) fn wait(&mut self, output: &mut OutputSink<'_, '_>) -> io::Result<ExitStatus> {
        let receiver = match self.pumps(matches!(output.stdout, Stdout::Bytes(_))) {
            Ok(receiver) => receiver,
            Err(error) => {
                self.signal(Signal::SIGKILL);
                self.child.wait()?;
                return Err(error);
            }
        };
        let mut open = true;
        let mut ended: Option<Instant> = None;
        let mut under_way = UNDER_WAY;
        loop {
            if open {
                match receiver.recv_timeout(TICK) {
                    Ok(message) => {
                        output.message(message);
                        if let Some(at) = ended.as_mut().filter(|_| under_way > 0) {
                            (*at, under_way) = (Instant::now(), under_way - 1);
                        }
                    }
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => open = false,
                }
            } else if ended.is_none() {
                thread::sleep(Duration::from_millis(1));
            }
            self.stop_if_due();
            if ended.is_none() && self.leader_ended()? {
                // The leader is still unreaped, so its number is still its group's: what it left behind is
                // found by it and nobody else is.
                self.signal(Signal::SIGKILL);
                ended = Some(Instant::now());
            }
            if ended.is_some_and(|at| !open || at.elapsed() > LINGER) {
                let status = self.child.wait()?;
                // A log may end early; an answer that is cut must not pass for a short one.
                if open && !matches!(output.stdout, Stdout::Log) {
                    return Err(io::Error::other("its output could not be read to the end"));
                }
                return Ok(status);
            }
        }
    }

    fn pumps(&mut self, raw_stdout: bool) -> io::Result<Receiver<Message>> {
        let (sender, receiver) = sync_channel(256);
        if let Some(stdout) = self.child.stdout.take() {
            let sender = sender.clone();
            thread::Builder::new().spawn(move || {
                if raw_stdout {
                    pump_bytes(stdout, &sender)
                } else {
                    pump_lines(stdout, Stream::Stdout, &sender)
                }
            })?;
        }
        if let Some(stderr) = self.child.stderr.take() {
            thread::Builder::new().spawn(move || pump_lines(stderr, Stream::Stderr, &sender))?;
        }
        Ok(receiver)
    }

    fn leader_ended(&self) -> io::Result<bool> {
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        match waitid(Id::Pid(self.pid()), flags) {
            Ok(WaitStatus::StillAlive) | Err(nix::errno::Errno::EINTR) => Ok(false),
            Ok(_) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    fn stop_if_due(&mut self) {
        match &mut self.stop {
            None => {
                let reason = match (self.runner.interrupt.signal(), self.deadline) {
                    (Some(signal), _) => Reason::Interrupt(signal),
                    (None, Some(limit)) if self.started.elapsed() > limit => {
                        Reason::Deadline(limit)
                    }
                    _ => return,
                };
                self.signal(Signal::SIGTERM);
                self.stop = Some(Stop {
                    reason,
                    asked: Instant::now(),
                    killed: false,
                });
            }
            Some(stop) if !stop.killed && stop.asked.elapsed() > GRACE => {
                stop.killed = true;
                self.signal(Signal::SIGKILL);
            }
            Some(_) => {}
        }
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).unwrap_or(i32::MAX))
    }

    /// To the whole group. Nobody left in it is no error.
    fn signal(&self, signal: Signal) {
        let _ = killpg(self.pid(), signal);
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::sync::Arc;

    use super::super::{Capabilities, Job};
    use super::*;
    use crate::interrupt::Interrupt;
    use crate::secrets::Redactor;
    use crate::step::{Label, Step};

    #[test]
    fn whoever_hears_slowly_hears_a_child_to_its_end() {
        let runner = Runner {
            setpriv: which::which("setpriv").expect("util-linux is needed"),
            capabilities: Capabilities::default(),
            interrupt: Interrupt::default(),
            redactor: Redactor::default(),
            sink: Arc::new(|_| {}),
        };
        const SIZE: usize = 20 << 20;
        let mut heard = 0;
        // As much as the channel holds is still to come when the child ends, and takes longer than the wait.
        let mut take = |bytes: &[u8]| {
            heard += bytes.len();
            thread::sleep(LINGER / 200);
        };
        // By its path from PATH: a Nix sandbox has no /usr.
        let mut command = Command::new(which::which("head").expect("coreutils is needed"));
        command.args(["-c", &SIZE.to_string(), "/dev/zero"]);
        let mut job = Job::new("head", Label::new(Step::Report), command);
        job.stdout = Stdout::Bytes(&mut take);
        let outcome = runner.run(job).map(|_| ());
        assert!(
            outcome.is_ok(),
            "{:?}",
            outcome.map_err(|error| error.to_string())
        );
        assert_eq!(heard, SIZE);
    }
}
