//! The commands of an AOF: `*2\r\n$3\r\nGET\r\n$1\r\nk\r\n`, with `#` lines between them.
//!
//! A crash leaves the end of the file that was being appended to incomplete, or filled with NUL bytes,
//! and so does a Btrfs snapshot in the middle of a write, whose size goes ahead of its data; a transaction without its EXEC counts as incomplete too, since the server
//! takes it back. All that is for [`Commands::finish`] to judge: only it knows that the end came.

use super::Damage;

/// Digits that `*` and `$` are followed by: fewer than would overflow, more than any server writes.
const DIGITS_MAX: u8 = 18;
/// `AOF_ANNOTATION_LINE_MAX_LEN` in the servers' aof.c, which read no longer line.
const ANNOTATION_MAX: u16 = 1024;

/// One byte more than MULTI has, so that no longer name is taken for it.
const NAME_MAX: usize = 6;

/// A scan of a command stream, in constant memory.
#[derive(Default)]
pub(super) struct Commands {
    offset: u64,
    /// Where the last complete command outside a transaction ends: what the server falls back to.
    sound: u64,
    in_transaction: bool,
    state: State,
    /// Arguments of the current command, and how many of them are still to come.
    count: u64,
    left: u64,
    /// The start of a command's only argument: MULTI and EXEC are all that is looked for.
    name: Vec<u8>,
}

#[derive(Clone, Copy, Default)]
enum State {
    #[default]
    Between,
    Annotation(u16),
    Count {
        digits: u8,
        value: u64,
    },
    CountEnd(u64),
    Argument,
    Length {
        digits: u8,
        value: u64,
    },
    LengthEnd(u64),
    Payload(u64),
    PayloadCr,
    PayloadLf,
    /// Nothing but NUL bytes since the place where something else was expected.
    Nuls {
        at: u64,
        expected: &'static str,
    },
    Malformed {
        at: u64,
        expected: &'static str,
        found: u8,
    },
}

impl Commands {
    pub(super) fn feed(&mut self, mut chunk: &[u8]) {
        while let Some(&byte) = chunk.first() {
            let used = match self.state {
                State::Payload(left) => {
                    let used = usize::try_from(left).unwrap_or(usize::MAX).min(chunk.len());
                    if self.count == 1 {
                        let room = NAME_MAX - self.name.len();
                        self.name.extend_from_slice(&chunk[..used.min(room)]);
                    }
                    self.state = match left - used as u64 {
                        0 => State::PayloadCr,
                        left => State::Payload(left),
                    };
                    used
                }
                State::Malformed { .. } => chunk.len(),
                State::Nuls { at, expected } => {
                    let nuls = chunk.iter().take_while(|&&byte| byte == 0).count();
                    if nuls < chunk.len() {
                        let found = 0;
                        self.state = State::Malformed {
                            at,
                            expected,
                            found,
                        };
                    }
                    nuls
                }
                state => {
                    let at = self.offset;
                    self.state = self
                        .step(state, byte)
                        .unwrap_or_else(|expected| match byte {
                            0 => State::Nuls { at, expected },
                            found => State::Malformed {
                                at,
                                expected,
                                found,
                            },
                        });
                    1
                }
            };
            self.offset += used as u64;
            chunk = &chunk[used..];
        }
    }

    /// The state after `byte`, or what was expected in its place.
    fn step(&mut self, state: State, byte: u8) -> Result<State, &'static str> {
        Ok(match (state, byte) {
            (State::Between, b'*') => State::Count {
                digits: 0,
                value: 0,
            },
            (State::Between, b'#') => State::Annotation(1),
            (State::Between, _) => return Err("a command (*) or an annotation (#)"),
            (State::Annotation(_), b'\n') => State::Between,
            (State::Annotation(length), 1..) if length < ANNOTATION_MAX - 2 => {
                State::Annotation(length + 1)
            }
            (State::Annotation(_), _) => return Err("the end of an annotation line"),
            (State::Count { digits, value }, b'0'..=b'9') if digits < DIGITS_MAX => {
                let value = value * 10 + u64::from(byte - b'0');
                State::Count {
                    digits: digits + 1,
                    value,
                }
            }
            (
                State::Count {
                    value: count @ 1.., ..
                },
                b'\r',
            ) => State::CountEnd(count),
            (State::Count { .. }, _) => return Err("a number of arguments and \\r\\n"),
            (State::CountEnd(count), b'\n') => {
                (self.count, self.left) = (count, count);
                self.name.clear();
                State::Argument
            }
            (State::Argument, b'$') => State::Length {
                digits: 0,
                value: 0,
            },
            (State::Argument, _) => return Err("an argument ($)"),
            (State::Length { digits, value }, b'0'..=b'9') if digits < DIGITS_MAX => {
                let value = value * 10 + u64::from(byte - b'0');
                State::Length {
                    digits: digits + 1,
                    value,
                }
            }
            (State::Length { digits: 1.., value }, b'\r') => State::LengthEnd(value),
            (State::Length { .. }, _) => return Err("the length of an argument and \\r\\n"),
            (State::LengthEnd(0), b'\n') => State::PayloadCr,
            (State::LengthEnd(length), b'\n') => State::Payload(length),
            (State::PayloadCr, b'\r') => State::PayloadLf,
            (State::PayloadCr, _) => return Err("\\r\\n after an argument"),
            (State::PayloadLf, b'\n') => self.argument_complete(),
            _ => return Err("\\n after \\r"),
        })
    }

    fn argument_complete(&mut self) -> State {
        self.left -= 1;
        if self.left > 0 {
            return State::Argument;
        }
        if self.name.eq_ignore_ascii_case(b"MULTI") {
            self.in_transaction = true;
        } else if self.name.eq_ignore_ascii_case(b"EXEC") {
            self.in_transaction = false;
        }
        if !self.in_transaction {
            self.sound = self.offset + 1;
        }
        State::Between
    }

    /// Whether the stream is whole: a warning where a crash explains what is wrong with the end of
    /// the last file, an error where nothing does.
    pub(super) fn finish(self, last: bool) -> Result<Option<String>, Damage> {
        let (sound, torn) = (self.sound, self.offset - self.sound);
        let malformed = |at, expected, found| {
            Err(Damage(format!(
                "AOF malformed at offset {at}: expected {expected}, found 0x{found:02x}"
            )))
        };
        match self.state {
            State::Between if !self.in_transaction => Ok(None),
            State::Malformed {
                at,
                expected,
                found,
            } => malformed(at, expected, found),
            State::Nuls { at, expected } if !last => malformed(at, expected, 0),
            State::Nuls { at, .. } => Ok(Some(format!(
                "torn tail: {torn} bytes after offset {sound} (NUL bytes from {at} on), what a snapshot \
                 leaves that was taken while the server was writing, and a crash on some file systems; \
                 a server loads the file once redis-check-aof --fix or valkey-check-aof --fix has cut \
                 them off"
            ))),
            _ if last => Ok(Some(format!(
                "torn tail: {torn} bytes after offset {sound}, what a crash leaves; the server \
                 truncates it when aof-load-truncated is on"
            ))),
            _ => Err(Damage(format!(
                "AOF truncated: its last {torn} bytes, after offset {sound}, are no complete command \
                 or transaction, and more files of the AOF follow it"
            ))),
        }
    }
}
