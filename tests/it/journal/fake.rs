//! The journal's socket, in a mount namespace of its own: the machine's journal hears nothing of a test.
//!
//! The socket is bound below the scratch directory and mounted where the journal's is expected, so this
//! side needs no namespace. A record is one datagram in the journal's native protocol.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use testbed::{Bed, Ran, Running};

/// What a record says, by the fields' names.
pub type Fields = BTreeMap<String, String>;

/// The verdict's, as the README gives it to `journalctl`.
pub const VERDICT: &str = "b89e402814f24b4ba1964a1251f496c9";

/// For a run that nothing holds up.
pub const LIMIT: Duration = Duration::from_secs(60);

/// In a new mount namespace: `$1` as the journal's directory, then the rest as a command.
const ENTER: &str = "set -e; mount -t tmpfs tmpfs /run; mkdir -p /run/systemd/journal; \
                     mount --bind \"$1\" /run/systemd/journal; shift; exec \"$@\"";

/// A command as it is, in a namespace where `dir` is the journal's directory.
pub fn inside(plain: &Command, dir: &std::path::Path, script: &str) -> Command {
    let mut command = Command::new("unshare");
    command.args([
        "--mount",
        "--propagation",
        "private",
        "sh",
        "-c",
        script,
        "sh",
    ]);
    command
        .arg(dir)
        .arg(plain.get_program())
        .args(plain.get_args());
    command.env_clear().current_dir("/");
    for (name, value) in plain.get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    command
}

/// A journal that keeps all that it is told.
pub struct Journal {
    dir: std::path::PathBuf,
    heard: Arc<Mutex<Vec<Fields>>>,
    over: Arc<AtomicBool>,
    listener: Option<JoinHandle<()>>,
}

impl Journal {
    pub fn new(bed: &Bed) -> Self {
        let dir = bed.scratch().join("journal");
        fs::create_dir(&dir).expect("a directory");
        let socket = UnixDatagram::bind(dir.join("socket")).expect("a socket");
        socket
            .set_read_timeout(Some(Duration::from_millis(100)))
            .expect("a timeout");
        let (heard, over) = (Arc::default(), Arc::new(AtomicBool::new(false)));
        let (kept, ended): (Arc<Mutex<Vec<Fields>>>, _) = (Arc::clone(&heard), Arc::clone(&over));
        let listener = thread::spawn(move || {
            let mut buffer = vec![0; 1 << 20];
            loop {
                match socket.recv(&mut buffer) {
                    // Whoever opens the journal sends nothing, to see whether it is there.
                    Ok(0) => {}
                    Ok(length) => kept
                        .lock()
                        .expect("no panic")
                        .push(parse(&buffer[..length])),
                    // Nothing more is in the queue, and nobody is left to put anything there.
                    Err(_) if ended.load(Ordering::Relaxed) => return,
                    Err(_) => {}
                }
            }
        });
        Self {
            dir,
            heard,
            over,
            listener: Some(listener),
        }
    }

    /// The program with these arguments, where this is its journal.
    pub fn cmd(&self, bed: &Bed, args: &[&str]) -> Command {
        self.wrap(&bed.cmd(args))
    }

    /// This command, where this is its journal.
    pub fn wrap(&self, plain: &Command) -> Command {
        inside(plain, &self.dir, ENTER)
    }

    /// The same, with its stderr connected to the journal, as far as it can tell, or not.
    pub fn cmd_with_stream(&self, bed: &Bed, args: &[&str], connected: bool) -> Command {
        let stream = if connected {
            "$(stat -L -c %d:%i /dev/fd/2)"
        } else {
            "1:1"
        };
        let script = ENTER.replace("exec", &format!("export JOURNAL_STREAM={stream}; exec"));
        inside(&bed.cmd(args), &self.dir, &script)
    }

    /// Runs to the end; what it printed, and what the journal heard.
    #[track_caller]
    pub fn run(&self, bed: &Bed, args: &[&str]) -> (Ran, Vec<Fields>) {
        let run = Running::start(&mut self.cmd(bed, args)).expect("it starts");
        let ran = run.wait_timeout(LIMIT).expect("it ends");
        (ran, self.take())
    }

    /// What was heard since the last time, by a program that has ended.
    pub fn take(&self) -> Vec<Fields> {
        // An ended program's datagrams are all in the queue: a silence of 100 ms is its end.
        let mut before = usize::MAX;
        loop {
            let now = self.heard.lock().expect("no panic").len();
            if now == before {
                return std::mem::take(&mut self.heard.lock().expect("no panic"));
            }
            before = now;
            thread::sleep(Duration::from_millis(150));
        }
    }

    /// The journal is gone, as when its daemon is.
    pub fn close(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(listener) = self.listener.take() {
            listener.join().expect("the listener ends");
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

/// `NAME=value`, or a name alone, a length of eight bytes and that many bytes.
fn parse(mut record: &[u8]) -> Fields {
    let mut fields = Fields::new();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    while let Some(end) = record.iter().position(|byte| *byte == b'\n') {
        let (line, rest) = (&record[..end], &record[end + 1..]);
        if let Some(sign) = line.iter().position(|byte| *byte == b'=') {
            fields.insert(text(&line[..sign]), text(&line[sign + 1..]));
            record = rest;
        } else {
            let (length, rest) = rest.split_first_chunk::<8>().expect("a length");
            let length = usize::try_from(u64::from_le_bytes(*length)).expect("a length");
            fields.insert(text(line), text(&rest[..length]));
            record = &rest[length + 1..];
        }
    }
    fields
}

/// The records with the verdict's id.
pub fn verdicts(records: &[Fields]) -> Vec<&Fields> {
    let is_verdict = |fields: &&Fields| fields.get("MESSAGE_ID").is_some_and(|id| id == VERDICT);
    records.iter().filter(is_verdict).collect()
}
