//! The one spawn site: everything about running a child stands here once.
//!
//! Each child runs as `setpriv --pdeathsig TERM … -- TOOL …` in a process group of its own. The death signal
//! belongs to the thread that spawned, so that thread also waits: a thread that returned early would kill
//! its own child.

pub mod caps;
mod error;
mod event;
mod lines;
pub mod quote;

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::iter;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;

pub use caps::{Capability, Held, Privileges};
pub use error::{ChildError, Kind};
pub use event::{Event, Label, Sink, Step, Transfer};

use crate::interrupt::Interrupt;
use crate::secret::Redactor;
use lines::{Message, Stream, Tail, pump_bytes, pump_lines};

/// How much of a child's stderr an error carries.
pub const TAIL_BYTES: usize = 2048;
/// How often a quiet child is looked after.
const TICK: Duration = Duration::from_millis(20);
/// How long a child that was asked to stop may take before it is killed. rclone aborts its multipart
/// uploads in this time; systemd allows us 30 s in all.
const GRACE: Duration = Duration::from_secs(8);
/// How long we go on reading after a child's end, should something else hold its pipes.
const LINGER: Duration = Duration::from_secs(1);

/// What a line of a tool's log means.
pub enum Spoken {
    /// A message, and how bad the tool says it is.
    Text(log::Level, String),
    /// How far a transfer is.
    Transfer(Transfer),
    /// Nothing worth telling.
    Nothing,
}

/// Where a child's stdout goes.
pub enum Stdout<'j> {
    /// Into the log, like stderr.
    Log,
    /// To this function, a line at a time, without the line feed.
    Lines(&'j mut dyn FnMut(&[u8])),
    /// To this function, in pieces of any size.
    Bytes(&'j mut dyn FnMut(&[u8])),
}

/// One child to run.
pub struct Job<'j> {
    /// Short name, for messages.
    pub tool: &'static str,
    /// Whose work it is.
    pub label: Label,
    /// Program (absolute) and arguments. Its environment is ignored.
    pub command: Command,
    /// The whole environment.
    pub env: Vec<(OsString, OsString)>,
    /// What it may do.
    pub privileges: Privileges,
    /// What it reads; nothing, if `None`.
    pub stdin: Option<File>,
    /// Where its stdout goes.
    pub stdout: Stdout<'j>,
    /// What a line of its log means.
    pub understand: fn(&str) -> Spoken,
    /// Lines on stderr of this level and worse go into an error's tail.
    pub tail_level: log::Level,
    /// Sees each text line of its log, redacted.
    pub overhear: Option<&'j mut dyn FnMut(&str)>,
    /// When it is stopped, however well it does.
    pub deadline: Option<Duration>,
}

impl<'j> Job<'j> {
    /// A job with an empty environment, all privileges, no deadline, and its output in the log.
    pub fn new(tool: &'static str, label: Label, command: Command) -> Self {
        let understand = |line: &str| Spoken::Text(log::Level::Info, line.to_owned());
        Self {
            tool,
            label,
            command,
            env: Vec::new(),
            privileges: Privileges::All,
            stdin: None,
            stdout: Stdout::Log,
            understand,
            tail_level: log::Level::Info,
            overhear: None,
            deadline: None,
        }
    }
}

/// A child that ended well.
#[derive(Clone, Copy, Debug, Default)]
pub struct Finished {
    /// How long it ran.
    pub elapsed: Duration,
    /// The last that it told of its transfer.
    pub transfer: Transfer,
}

/// Runs children.
#[derive(Clone)]
pub struct Runner {
    /// `setpriv`, absolute.
    pub setpriv: PathBuf,
    /// What we hold ourselves.
    pub held: Held,
    /// Whether we are to stop.
    pub interrupt: Interrupt,
    /// Takes secrets out of what children print.
    pub redactor: Redactor,
    /// Hears what happens.
    pub sink: Arc<dyn Fn(Event) + Send + Sync>,
}

impl Runner {
    /// The command line that would run, `setpriv` included.
    pub fn words(&self, command: &Command, privileges: Privileges) -> Vec<OsString> {
        let mut words: Vec<OsString> = vec![
            self.setpriv.clone().into(),
            "--pdeathsig".into(),
            "TERM".into(),
        ];
        words.extend(
            caps::setpriv_words(privileges, self.held)
                .into_iter()
                .map(OsString::from),
        );
        words.push("--".into());
        words.extend(
            iter::once(command.get_program())
                .chain(command.get_args())
                .map(OsStr::to_owned),
        );
        words
    }

    /// Runs a child to its end.
    ///
    /// # Errors
    /// Anything but exit code 0, see [`Kind`].
    pub fn run(&self, job: Job<'_>) -> Result<Finished, ChildError> {
        let line = quote::line(iter::once(job.command.get_program()).chain(job.command.get_args()));
        let line = self.redactor.redact(&line).into_owned();
        let fail = |kind, tail| ChildError {
            tool: job.tool.to_owned(),
            command: line.clone(),
            kind,
            tail,
        };
        if let Some(signal) = self.interrupt.signal() {
            return Err(fail(Kind::Interrupted(signal), String::new()));
        }
        (self.sink)(Event::Started {
            label: job.label.clone(),
            command: line.clone(),
        });

        let words = self.words(&job.command, job.privileges);
        let started = Instant::now();
        let child = Command::new(&words[0])
            .args(&words[1..])
            .env_clear()
            .envs(job.env.iter().map(|(name, value)| (name, value)))
            .process_group(0)
            .stdin(job.stdin.map_or_else(Stdio::null, Stdio::from))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| fail(Kind::Spawn(error), String::new()))?;
        let mut tail = Tail::new(TAIL_BYTES);
        let mut watch = Watch {
            runner: self,
            child,
            started,
            deadline: job.deadline,
            stop: None,
        };
        let mut hear = Hearing {
            runner: self,
            label: &job.label,
            understand: job.understand,
            overhear: job.overhear,
            stdout: job.stdout,
            tail_level: job.tail_level,
            tail: &mut tail,
            transfer: Transfer::default(),
        };
        let status = watch.attend(&mut hear);
        let transfer = hear.transfer;
        let elapsed = started.elapsed();
        let code = status.as_ref().ok().and_then(ExitStatus::code);
        (self.sink)(Event::Ended {
            label: job.label.clone(),
            code,
            elapsed,
        });
        let status = status.map_err(|error| fail(Kind::Io(error), tail.text()))?;
        if status.success() {
            return Ok(Finished { elapsed, transfer });
        }
        let kind = match (watch.stop, status.code()) {
            (
                Some(Stop {
                    reason: Reason::Interrupt(signal),
                    ..
                }),
                _,
            ) => Kind::Interrupted(signal),
            (
                Some(Stop {
                    reason: Reason::Deadline(limit),
                    ..
                }),
                _,
            ) => Kind::Deadline(limit),
            (None, Some(code)) => Kind::Exit(code),
            (None, None) => {
                let signal = status
                    .signal()
                    .and_then(|number| Signal::try_from(number).ok());
                Kind::Signal(signal.unwrap_or(Signal::SIGKILL))
            }
        };
        Err(fail(kind, tail.text()))
    }
}

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
struct Watch<'r> {
    runner: &'r Runner,
    child: Child,
    started: Instant,
    deadline: Option<Duration>,
    stop: Option<Stop>,
}

impl Watch<'_> {
    /// Reads all that the child prints, stops it where it must stop, and reaps it.
    fn attend(&mut self, hear: &mut Hearing<'_, '_>) -> std::io::Result<ExitStatus> {
        let receiver = self.pumps(matches!(hear.stdout, Stdout::Bytes(_)));
        let mut open = true;
        let mut ended: Option<Instant> = None;
        loop {
            if open {
                match receiver.recv_timeout(TICK) {
                    Ok(message) => hear.message(message),
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
                return self.child.wait();
            }
        }
    }

    fn pumps(&mut self, raw_stdout: bool) -> Receiver<Message> {
        let (sender, receiver) = sync_channel(256);
        if let Some(stdout) = self.child.stdout.take() {
            let sender = sender.clone();
            thread::spawn(move || match raw_stdout {
                true => pump_bytes(stdout, &sender),
                false => pump_lines(stdout, Stream::Stdout, &sender),
            });
        }
        if let Some(stderr) = self.child.stderr.take() {
            thread::spawn(move || pump_lines(stderr, Stream::Stderr, &sender));
        }
        receiver
    }

    fn leader_ended(&self) -> std::io::Result<bool> {
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

/// Makes sense of what a child prints.
struct Hearing<'a, 'j> {
    runner: &'a Runner,
    label: &'a Label,
    understand: fn(&str) -> Spoken,
    overhear: Option<&'j mut dyn FnMut(&str)>,
    stdout: Stdout<'j>,
    tail_level: log::Level,
    tail: &'a mut Tail,
    transfer: Transfer,
}

impl Hearing<'_, '_> {
    fn message(&mut self, message: Message) {
        match message {
            Message::Bytes(bytes) => {
                if let Stdout::Bytes(take) = &mut self.stdout {
                    take(&bytes);
                }
            }
            Message::Line { stream, bytes, cut } => match (&mut self.stdout, stream) {
                (Stdout::Lines(take), Stream::Stdout) => take(&bytes),
                _ => self.line(stream, &bytes, cut),
            },
        }
    }

    fn line(&mut self, stream: Stream, bytes: &[u8], cut: bool) {
        let redactor = &self.runner.redactor;
        // A cut line may end in the first half of a secret, which no redactor knows.
        let bytes = if cut {
            &bytes[..bytes.len().saturating_sub(redactor.longest())]
        } else {
            bytes
        };
        let line = String::from_utf8_lossy(bytes);
        match (self.understand)(line.trim_end()) {
            Spoken::Nothing => {}
            Spoken::Transfer(transfer) => {
                self.transfer = transfer;
                (self.runner.sink)(Event::Progress {
                    label: self.label.clone(),
                    transfer,
                });
            }
            Spoken::Text(level, text) => {
                let text = redactor.redact(&text).into_owned();
                if let Some(overhear) = &mut self.overhear {
                    overhear(&text);
                }
                if stream == Stream::Stderr && level <= self.tail_level {
                    self.tail.push(&text);
                }
                (self.runner.sink)(Event::Line {
                    label: self.label.clone(),
                    level,
                    text,
                });
            }
        }
    }
}
