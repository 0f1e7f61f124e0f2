//! The manifest of an append-only file (since Redis 7.0): which files the server loads, in order.
//!
//! Read exactly as strictly as the servers read it: they refuse to start over a blank line, so a
//! copy with one is no backup. Unknown keys pass, as they do there (`startoffset` of Redis 8).

use super::{Damage, Role, words};

/// The servers' `MANIFEST_MAX_LINE` (aof.c), the newline included.
const LINE_MAX: usize = 1024;

/// What a file is to the AOF.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The state that the increments start from; at most one, and loaded first.
    Base,
    /// Commands since then, in the order of their numbers.
    Increment,
    /// A base or increment that a rewrite has replaced. The server unlinks it in the background,
    /// and strikes it from the manifest in a second step: between the two it is listed and gone.
    History,
}

/// One line of a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The file's name, in the manifest's directory; never a path.
    pub name: Vec<u8>,
    /// Its number, from 1; bases and increments are numbered apart.
    pub seq: u64,
    pub kind: Kind,
}

impl Entry {
    /// Whether the server refuses to start without this file.
    pub(crate) fn must_exist(&self) -> bool {
        self.kind != Kind::History
    }
}

/// A manifest, in the order of its lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Manifest {
    /// At least one file.
    pub files: Vec<Entry>,
}

impl Manifest {
    /// Reads a manifest: lines of `file NAME seq NUMBER type b|i|h`, pairs in any order.
    ///
    /// # Errors
    /// Whatever makes a server refuse it, with the line (from 1): no lines, a line that is blank,
    /// too long or without its newline, a bad pair, number, type or name, a second base, an
    /// increment whose number is not above the one before it.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, Damage> {
        let mut files: Vec<Entry> = Vec::new();
        let mut last_seq = 0;
        for (index, line) in text.split_inclusive(|&byte| byte == b'\n').enumerate() {
            let fail = |what: &str| Damage(format!("AOF manifest, line {}: {what}", index + 1));
            if line.first() == Some(&b'#') {
                continue;
            }
            if line.len() > LINE_MAX || !line.ends_with(b"\n") {
                return Err(fail("too long, or not ended by a newline"));
            }
            let entry = entry(line).map_err(fail)?;
            match entry.kind {
                Kind::Base if files.iter().any(|file| file.kind == Kind::Base) => {
                    return Err(fail("a second base"));
                }
                Kind::Increment if entry.seq <= last_seq => {
                    return Err(fail(
                        "an increment that is not newer than the one before it",
                    ));
                }
                Kind::Increment => last_seq = entry.seq,
                Kind::Base | Kind::History => {}
            }
            files.push(entry);
        }
        if files.is_empty() {
            return Err(Damage("AOF manifest: names no file".to_owned()));
        }
        Ok(Self { files })
    }

    /// The increment that the server was appending to.
    pub(crate) fn last_increment(&self) -> Option<&Entry> {
        self.files.iter().rfind(|file| file.kind == Kind::Increment)
    }

    /// Each file with its role. A base named `.rdb` is an RDB through and through; one that has no
    /// increment after it may have a torn tail; what is history is judged by its name alone.
    pub(crate) fn roles(&self) -> impl Iterator<Item = (&Entry, Role)> {
        let last = self.last_increment();
        self.files.iter().map(move |file| {
            let role = match file.kind {
                Kind::Increment => Role::AofIncrement {
                    last: last == Some(file),
                },
                Kind::Base if file.name.ends_with(b".rdb") => Role::Rdb,
                Kind::Base => Role::AofBase {
                    last: last.is_none(),
                },
                Kind::History if file.name.ends_with(b".rdb") => Role::Rdb,
                Kind::History => Role::Plain,
            };
            (file, role)
        })
    }
}

fn entry(line: &[u8]) -> Result<Entry, &'static str> {
    let words = words::split(line).ok_or("an unbalanced quote")?;
    if words.is_empty() {
        return Err("blank");
    }
    let (mut name, mut seq, mut kind) = (None, None, None);
    for pair in words.chunks(2) {
        let [key, value] = pair else {
            return Err("a key without a value");
        };
        if key.eq_ignore_ascii_case(b"file") {
            let base = !value.is_empty() && value != b"." && value != b"..";
            if !base || value.iter().any(|byte| matches!(byte, b'/' | b'\\' | 0)) {
                return Err("a file name that is no plain name");
            }
            name = Some(value.clone());
        } else if key.eq_ignore_ascii_case(b"seq") {
            let number = str::from_utf8(value)
                .ok()
                .and_then(|text| text.parse().ok());
            seq = Some(
                number
                    .filter(|&n| n > 0)
                    .ok_or("seq is no number above 0")?,
            );
        } else if key.eq_ignore_ascii_case(b"type") {
            kind = Some(match value.as_slice() {
                b"b" => Kind::Base,
                b"i" => Kind::Increment,
                b"h" => Kind::History,
                _ => return Err("an unknown type (expected b, i or h)"),
            });
        }
    }
    Ok(Entry {
        name: name.ok_or("no file")?,
        seq: seq.ok_or("no seq")?,
        kind: kind.ok_or("no type")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const REWRITTEN: &[u8] = b"file a.aof.2.base.rdb seq 2 type b\n\
        file a.aof.1.incr.aof seq 1 type h\n\
        # a comment\n\
        TYPE i startoffset 7 file \"a b\\x22.aof.2.incr.aof\" seq 2\n\
        file a.aof.3.incr.aof seq 3 type i\n";

    #[test]
    fn each_file_gets_its_role() {
        let manifest = Manifest::parse(REWRITTEN).unwrap();
        let roles: Vec<_> = manifest
            .roles()
            .map(|(file, role)| (file.name.as_slice(), role, file.must_exist()))
            .collect();
        let expected: [(&[u8], Role, bool); 4] = [
            (b"a.aof.2.base.rdb", Role::Rdb, true),
            (b"a.aof.1.incr.aof", Role::Plain, false),
            (
                b"a b\".aof.2.incr.aof",
                Role::AofIncrement { last: false },
                true,
            ),
            (b"a.aof.3.incr.aof", Role::AofIncrement { last: true }, true),
        ];
        assert_eq!(roles, expected);
        assert_eq!(manifest.last_increment().unwrap().seq, 3);
    }

    #[test]
    fn a_base_alone_may_be_torn_and_one_with_increments_may_not() {
        let base_role = |text: &[u8]| Manifest::parse(text).unwrap().roles().next().unwrap().1;
        let base = b"file appendonly.aof seq 1 type b\n".as_slice();
        assert_eq!(base_role(base), Role::AofBase { last: true });
        let both = [base, b"file a.1.incr.aof seq 1 type i\n"].concat();
        assert_eq!(base_role(&both), Role::AofBase { last: false });
    }

    #[test]
    fn what_a_server_refuses_is_refused_with_its_line() {
        for (text, expected) in [
            ("", "names no file"),
            ("# only\n", "names no file"),
            ("file a seq 1 type b\n\n", "line 2: blank"),
            ("file a seq 1 type b", "line 1: too long, or not ended"),
            ("file a seq 1 type\n", "line 1: a key without a value"),
            ("file \"a seq 1 type b\n", "line 1: an unbalanced quote"),
            ("file a seq 1 type x\n", "line 1: an unknown type"),
            ("file a seq 0 type b\n", "line 1: seq is no number"),
            ("file a seq -1 type b\n", "line 1: seq is no number"),
            ("file a seq 1x type b\n", "line 1: seq is no number"),
            ("file a/b seq 1 type b\n", "line 1: a file name"),
            ("file .. seq 1 type b\n", "line 1: a file name"),
            ("file \"\" seq 1 type b\n", "line 1: a file name"),
            ("file a seq 1\n", "line 1: no type"),
            (
                "file a seq 1 type b\nfile b seq 2 type b\n",
                "line 2: a second base",
            ),
            (
                "file a seq 2 type i\nfile b seq 2 type i\n",
                "line 2: an increment",
            ),
        ] {
            let error = Manifest::parse(text.as_bytes()).unwrap_err();
            assert!(error.0.contains(expected), "{text:?}: {error}");
        }
        let long = format!("file {} seq 1 type b\n", "a".repeat(LINE_MAX));
        Manifest::parse(long.as_bytes()).unwrap_err();
    }
}
