//! How far the run is: bars on a terminal, a line now and then elsewhere, the unit's status line under systemd.
//!
//! This module alone owns the terminal, so that a log line and a bar never write over each other.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io::IsTerminal as _;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use log::{Level, debug, info, log};

use crate::step::{Event, Label, Transfer};
use crate::ui::Bytes;

/// How often a transfer tells how far it is, where there is no terminal.
const TELL_EVERY: Duration = Duration::from_secs(30);

/// The terminal, if there is one.
pub(crate) struct Terminal {
    bars: MultiProgress,
    drawn: bool,
}

impl Terminal {
    /// Bars on stderr, where that is a terminal and they are wanted.
    pub(crate) fn new(wanted: bool) -> Self {
        let drawn = wanted && std::io::stderr().is_terminal();
        let target = if drawn {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        Self {
            bars: MultiProgress::with_draw_target(target),
            drawn,
        }
    }

    /// Does something to the terminal while no bar is in the way.
    pub(crate) fn suspend(&self, act: impl FnOnce()) {
        self.bars.suspend(act);
    }
}

/// Turns events into what a person sees.
pub(crate) struct Progress {
    terminal: Arc<Terminal>,
    status: Option<StatusLine>,
    transfers: Mutex<HashMap<String, Shown>>,
}

struct Shown {
    bar: ProgressBar,
    told: Instant,
    last: Transfer,
}

impl Progress {
    /// Draws on this terminal, and tells this `NOTIFY_SOCKET`.
    pub(crate) fn new(terminal: Arc<Terminal>, notify_socket: Option<&OsStr>) -> Self {
        let status = notify_socket.and_then(StatusLine::open);
        Self {
            terminal,
            status,
            transfers: Mutex::default(),
        }
    }

    pub(crate) fn event(&self, event: Event) {
        match event {
            Event::Entered { label } => {
                debug!(step = label.step.to_string().as_str(); "{label}");
                self.status(&label.to_string());
            }
            Event::Started { label, command } => debug!("{label}: {command}"),
            Event::Line { label, level, text } => child_line(&label, level, &text),
            Event::Progress { label, transfer } => self.transfer(&label, transfer),
            Event::Ended {
                label,
                command,
                code,
                elapsed,
            } => {
                let seconds = elapsed.as_secs_f64();
                match code {
                    Some(0) => debug!("{label}: ended after {seconds:.1} s"),
                    Some(code) => {
                        debug!("{label}: exit code {code} after {seconds:.1} s: {command}")
                    }
                    None => debug!("{label}: killed by a signal after {seconds:.1} s: {command}"),
                }
                if let Some(shown) = self.transfers().remove(&label.to_string()) {
                    shown.bar.finish_and_clear();
                }
            }
        }
    }

    fn transfers(&self) -> std::sync::MutexGuard<'_, HashMap<String, Shown>> {
        // A panic elsewhere leaves a map that is still good for drawing.
        self.transfers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn transfer(&self, label: &Label, transfer: Transfer) {
        let name = label.to_string();
        let mut transfers = self.transfers();
        let shown = transfers.entry(name.clone()).or_insert_with(|| Shown {
            bar: self.terminal.bars.add(bar(&name)),
            told: Instant::now(),
            last: Transfer::default(),
        });
        shown.last = transfer;
        shown.bar.set_length(transfer.total_bytes);
        shown.bar.set_position(transfer.bytes);
        shown
            .bar
            .set_message(format!("{}/{} files", transfer.files, transfer.total_files));
        let due = shown.told.elapsed() >= TELL_EVERY;
        if due {
            shown.told = Instant::now();
        }
        let mut all: Vec<String> = transfers
            .iter()
            .map(|(name, shown)| sentence(name, shown.last))
            .collect();
        drop(transfers);
        if due && !self.terminal.drawn {
            info!("{}", sentence(&name, transfer));
        }
        all.sort();
        self.status(&all.join(", "));
    }

    fn status(&self, text: &str) {
        if let Some(status) = &self.status {
            status.tell(text);
        }
    }
}

fn child_line(label: &Label, level: Level, text: &str) {
    let (step, name) = (label.step.to_string(), label.to_string());
    match &label.dataset {
        Some(dataset) => {
            log!(level, step = step.as_str(), dataset = dataset.as_str(), child = name.as_str(); "{text}")
        }
        None => log!(level, step = step.as_str(), child = name.as_str(); "{text}"),
    }
}

fn sentence(name: &str, transfer: Transfer) -> String {
    format!(
        "{name}: {} of {}, {} of {} files",
        Bytes(transfer.bytes),
        Bytes(transfer.total_bytes),
        transfer.files,
        transfer.total_files
    )
}

fn bar(name: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(
        "{prefix:18} [{bar:30}] {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} {msg}",
    );
    // Hidden until it is added: a bar of its own would draw on stderr, wanted or not.
    let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::hidden());
    if let Ok(style) = style {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.set_prefix(name.to_owned());
    bar
}

/// `STATUS=` of sd_notify(3): one datagram, no library needed.
struct StatusLine {
    socket: UnixDatagram,
    address: SocketAddr,
}

impl StatusLine {
    fn open(name: &OsStr) -> Option<Self> {
        let address = match name.as_bytes() {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
            _ => SocketAddr::from_pathname(name),
        };
        let socket = UnixDatagram::unbound().ok()?;
        // Somebody who does not read must not hold up a backup.
        socket.set_nonblocking(true).ok()?;
        Some(Self {
            socket,
            address: address.ok()?,
        })
    }

    fn tell(&self, text: &str) {
        // Whoever does not listen misses nothing that is not in the journal too.
        let _ = self
            .socket
            .send_to_addr(format!("STATUS={text}").as_bytes(), &self.address);
    }
}
