//! Decides from their bytes whether the files of a Redis-family server are whole.
//!
//! The caller reads each file once, for its MD5, and feeds the same chunks to an [`Inspector`].
//! That is why nothing here opens a file, and why all state is of constant size. An RDB's body is
//! not parsed: its checksum covers everything, whatever the format version and the modules
//! (FalkorDB's graphs), and a parser would refuse the next version of either.

pub(crate) mod aof;
mod aux_fields;
mod commands;
mod rdb;
mod words;

use std::fmt;

use self::{aux_fields::Header, commands::Commands, rdb::Rdb};

const MAGIC_LEN: usize = 9;

/// What a file is to the server, which decides how it is inspected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// A dump: complete, with its checksum, or a problem.
    Rdb,
    /// The commands an AOF starts with. Where they follow an RDB preamble (servers before 7.0 wrote
    /// both into one file) the file is not checked: where the preamble ends only a parser knows.
    AofBase {
        /// The server loads no other file after it, so that a torn tail is forgiven.
        last: bool,
    },
    /// Commands that follow the base.
    AofIncrement {
        /// The one that the server was appending to, so that a torn tail is forgiven.
        last: bool,
    },
    /// The list of an AOF's files; see [`aof::Manifest`].
    AofManifest,
    /// Anything else. One that begins like an RDB (another `dbfilename`, a copy) is held to be one.
    Plain,
}

impl Role {
    /// The role of a file that no AOF manifest names; for the others see [`aof::Manifest::roles`].
    /// `*.incr.aof` and `*.base.aof` are plain here: no server loads them without a manifest.
    pub(crate) fn of(basename: &[u8]) -> Self {
        let ends = |suffix: &str| basename.ends_with(suffix.as_bytes());
        if ends(".rdb") {
            Self::Rdb
        } else if ends(".aof.manifest") {
            Self::AofManifest
        } else if ends(".aof") && !ends(".incr.aof") && !ends(".base.aof") {
            Self::AofBase { last: true }
        } else {
            Self::Plain
        }
    }
}

/// Whether a file is what a server was in the middle of writing, so that a backup leaves it out:
/// `temp-<pid>.rdb`, `temp-<time>.<pid>.rdb` (a replica's), `temp-rewriteaof-<pid>.aof`,
/// `temp-rewriteaof-bg-<pid>.aof` and `temp-<any>.manifest`. Nothing else: a name that merely
/// resembles these is somebody's file.
pub(crate) fn is_scratch(basename: &[u8]) -> bool {
    let Some(rest) = basename.strip_prefix(b"temp-") else {
        return false;
    };
    let digits = |text: &[u8]| !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    if let Some(stem) = rest.strip_suffix(b".rdb") {
        stem.split(|&byte| byte == b'.').all(digits)
    } else if let Some(stem) = rest.strip_suffix(b".aof") {
        stem.strip_prefix(b"rewriteaof-")
            .map(|stem| stem.strip_prefix(b"bg-").unwrap_or(stem))
            .is_some_and(digits)
    } else {
        rest.strip_suffix(b".manifest")
            .is_some_and(|stem| !stem.is_empty())
    }
}

/// What makes a server refuse a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Damage(pub String);

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Damage {}

/// What the bytes of one file showed. The texts name no file; the caller does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Finding {
    /// Why the file is not whole. Any one of them makes the dataset bad.
    pub problems: Vec<String>,
    /// What is worth saying of a file that may be stored.
    pub warnings: Vec<String>,
    /// When the server wrote it, in seconds since 1970: the `ctime` field of an RDB or of an AOF's
    /// RDB preamble. Absent in dumps before version 7 and where the field makes no sense.
    pub saved_at: Option<i64>,
    /// Whether the file is, or claims to be, an RDB.
    pub is_rdb: bool,
}

/// Inspects one file in one pass; feed it the file's bytes in order, in chunks of any size.
pub(crate) struct Inspector(State);

enum State {
    /// Fewer bytes so far than an RDB's magic has.
    Undecided(Role, Vec<u8>),
    Rdb(Box<Rdb>),
    Preamble(Header),
    Commands {
        commands: Commands,
        last: bool,
    },
    Manifest {
        text: Vec<u8>,
        too_long: bool,
    },
    Plain,
}

/// A manifest has a line for each file; a server with thousands of increments is far from this.
const MANIFEST_MAX: usize = 1 << 20;

impl Inspector {
    /// An inspector of a file in this role.
    pub(crate) fn new(role: Role) -> Self {
        Self(match role {
            Role::Rdb => State::Rdb(Box::default()),
            Role::AofIncrement { last } => State::commands(last),
            Role::AofManifest => State::Manifest {
                text: Vec::new(),
                too_long: false,
            },
            Role::AofBase { .. } | Role::Plain => State::Undecided(role, Vec::new()),
        })
    }

    /// Takes the file's next bytes.
    pub(crate) fn feed(&mut self, mut chunk: &[u8]) {
        if let State::Undecided(role, head) = &mut self.0 {
            let (taken, rest) = chunk.split_at(chunk.len().min(MAGIC_LEN - head.len()));
            head.extend_from_slice(taken);
            chunk = rest;
            if head.len() == MAGIC_LEN {
                let (mut state, head) = (State::decide(*role, head), std::mem::take(head));
                state.feed(&head);
                self.0 = state;
            }
        }
        self.0.feed(chunk);
    }

    /// The verdict, after the last byte.
    pub(crate) fn finish(self) -> Finding {
        match self.0 {
            State::Undecided(role, head) => {
                let mut state = State::decide(role, &head);
                state.feed(&head);
                state.finish()
            }
            state => state.finish(),
        }
    }
}

impl State {
    fn commands(last: bool) -> Self {
        Self::Commands {
            commands: Commands::default(),
            last,
        }
    }

    fn decide(role: Role, head: &[u8]) -> Self {
        match (role, rdb::Version::of(head)) {
            (Role::AofBase { .. }, Some(_)) => Self::Preamble(Header::default()),
            (Role::AofBase { last }, None) => Self::commands(last),
            (_, Some(_)) => Self::Rdb(Box::default()),
            (_, None) => Self::Plain,
        }
    }

    fn feed(&mut self, chunk: &[u8]) {
        match self {
            Self::Rdb(rdb) => rdb.feed(chunk),
            Self::Preamble(header) => header.feed(chunk),
            Self::Commands { commands, .. } => commands.feed(chunk),
            Self::Manifest { text, too_long } => {
                let room = MANIFEST_MAX - text.len();
                text.extend_from_slice(&chunk[..chunk.len().min(room)]);
                *too_long |= chunk.len() > room;
            }
            Self::Undecided(..) | Self::Plain => {}
        }
    }

    fn finish(self) -> Finding {
        let mut finding = Finding::default();
        match self {
            Self::Rdb(rdb) => return rdb.finish(),
            Self::Preamble(header) => {
                finding.saved_at = header.saved_at();
                finding.warnings.push(
                    "it begins with an RDB and goes on with commands, as servers before 7.0 write it, and \
                     cannot be checked: BGREWRITEAOF on a newer server separates the two"
                        .to_owned(),
                );
            }
            Self::Commands { commands, last } => match commands.finish(last) {
                Ok(warning) => finding.warnings.extend(warning),
                Err(damage) => finding.problems.push(damage.0),
            },
            Self::Manifest { too_long: true, .. } => finding
                .problems
                .push(format!("an AOF manifest of more than {MANIFEST_MAX} bytes")),
            Self::Manifest { text, .. } => finding
                .problems
                .extend(aof::Manifest::parse(&text).err().map(|damage| damage.0)),
            Self::Undecided(..) | Self::Plain => {}
        }
        finding
    }
}

#[cfg(test)]
mod tests;
