//! The one spawn site: everything about running a child stands here once.
//!
//! Each child runs as `setpriv --pdeathsig TERM … -- TOOL …` in a process group of its own. The death signal
//! belongs to the thread that spawned, so that thread also waits: a thread that returned early would kill
//! its own child.

pub(crate) mod capabilities;
mod error;
mod lines;
mod output;
pub(crate) mod quote;
mod watch;

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::iter;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

pub(crate) use capabilities::{Capabilities, Capability, Privileges};
pub(crate) use error::{ChildError, Kind};

use crate::interrupt::{Interrupt, Interrupted};
use crate::secrets::Redactor;
use crate::step::{Event, Label, Transfer};
use lines::Tail;
use output::OutputSink;
use watch::Watch;

/// How much of a child's stderr an error carries.
pub(crate) const TAIL_BYTES: usize = 2048;
/// What a line of a tool's log means.
pub(crate) enum LogLine {
    /// A message, and how bad the tool says it is.
    Text(log::Level, String),
    /// How far a transfer is.
    Transfer(Transfer),
    Nothing,
}

/// Where a child's stdout goes.
pub(crate) enum Stdout<'j> {
    /// Into the log, like stderr.
    Log,
    /// To this function, a line at a time, without the line feed.
    Lines(&'j mut dyn FnMut(&[u8])),
    /// To this function, in pieces of any size.
    Bytes(&'j mut dyn FnMut(&[u8])),
}

/// One child to run.
pub(crate) struct Job<'j> {
    /// Short name, for messages.
    pub tool: &'static str,
    /// Whose work it is.
    pub label: Label,
    /// Program (absolute) and arguments. Its environment is ignored.
    pub command: Command,
    pub env: Vec<(OsString, OsString)>,
    /// What it may do.
    pub privileges: Privileges,
    /// What it reads; nothing, if `None`.
    pub stdin: Option<File>,
    /// Where its stdout goes.
    pub stdout: Stdout<'j>,
    /// What a line of its log means.
    pub understand: fn(&str) -> LogLine,
    /// Lines on stderr of this level and worse go into an error's tail.
    pub tail_level: log::Level,
    /// Sees each text line of its log, redacted.
    pub overhear: Option<&'j mut dyn FnMut(&str)>,
    /// When it is stopped, however well it does.
    pub deadline: Option<Duration>,
}

impl<'j> Job<'j> {
    /// A job with an empty environment, all privileges, no deadline, and its output in the log.
    pub(crate) fn new(tool: &'static str, label: Label, command: Command) -> Self {
        let understand = |line: &str| LogLine::Text(log::Level::Info, line.to_owned());
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

#[derive(Clone)]
pub(crate) struct Runner {
    pub setpriv: PathBuf,
    /// What we hold ourselves.
    pub capabilities: Capabilities,
    /// Whether we are to stop.
    pub interrupt: Interrupt,
    /// Takes secrets out of what children print.
    pub redactor: Redactor,
    pub sink: Arc<dyn Fn(Event) + Send + Sync>,
}

impl Runner {
    /// The command line that would run, `setpriv` included.
    pub(crate) fn words(&self, command: &Command, privileges: Privileges) -> Vec<OsString> {
        let mut words: Vec<OsString> = vec![
            self.setpriv.clone().into(),
            "--pdeathsig".into(),
            "TERM".into(),
        ];
        words.extend(
            capabilities::setpriv_words(privileges, self.capabilities)
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
    pub(crate) fn run(&self, job: Job<'_>) -> Result<Transfer, ChildError> {
        let line = quote::line(iter::once(job.command.get_program()).chain(job.command.get_args()));
        let line = self.redactor.redact(&line).into_owned();
        let fail = |kind, tail| ChildError {
            tool: job.tool.to_owned(),
            kind,
            tail,
        };
        if let Some(signal) = self.interrupt.signal() {
            return Err(fail(Kind::Interrupted(Interrupted(signal)), String::new()));
        }
        (self.sink)(Event::Started {
            label: job.label.clone(),
            command: line.clone(),
        });

        let words = self.words(&job.command, job.privileges);
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
        let mut watch = Watch::new(self, child, job.deadline);
        let mut output = OutputSink {
            runner: self,
            label: &job.label,
            understand: job.understand,
            overhear: job.overhear,
            stdout: job.stdout,
            tail_level: job.tail_level,
            tail: Tail::new(TAIL_BYTES),
            transfer: Transfer::default(),
        };
        let status = watch.wait(&mut output);
        let elapsed = watch.elapsed();
        let code = status.as_ref().ok().and_then(ExitStatus::code);
        (self.sink)(Event::Ended {
            label: job.label.clone(),
            command: line.clone(),
            code,
            elapsed,
        });
        let (transfer, tail) = (output.transfer, output.tail.text());
        match status.map_err(Kind::Io).map(|status| watch.failure(status)) {
            Ok(None) => Ok(transfer),
            Ok(Some(kind)) | Err(kind) => Err(fail(kind, tail)),
        }
    }
}
