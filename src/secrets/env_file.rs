//! systemd's `EnvironmentFile=` syntax, read as systemd reads it.
//!
//! The unit gets its keys from systemd and a person at the shell gets them from here, out of the
//! same file: where the two readers differed, a backup that works by hand would fail at night. So
//! the syntax is that of systemd.exec(5), and where the page is silent this does what systemd
//! does, odd as that may be: a carriage return ends a line, `export A=b` is ignored, an
//! unterminated quote runs to the end of the file. A backslash at the end of a comment does not
//! continue it (systemd 254 and later; earlier ones read on).
//!
//! The values are secrets: nothing here implements `Debug` or `Display` over them.

use std::{collections::BTreeMap, fmt, mem};

/// What an environment file assigns. Deliberately without `Debug`.
pub(super) struct EnvFile {
    /// Name to value; of several assignments to one name the last one holds.
    pub vars: BTreeMap<String, String>,
    /// Lines (from 1) that assign nothing though they are neither blank nor comments: they have no
    /// `=`, or what stands before it is no variable name (`export A`, a byte order mark).
    pub ignored: Vec<usize>,
}

/// Why systemd would not start a unit with this file. Names a line, never its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    /// The line, from 1, on which the assignment begins.
    pub line: usize,
    what: &'static str,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

impl std::error::Error for Problem {}

#[derive(Clone, Copy)]
enum State {
    BeforeName,
    Name,
    /// After the `=`, or after a closing quote: a quote opens here and nowhere else.
    BeforeValue,
    Bare,
    BareEscape,
    Single,
    Double,
    DoubleEscape,
    Comment,
}

#[derive(Default)]
struct Assignment {
    line: usize,
    name: Vec<u8>,
    value: Vec<u8>,
    /// Length of `value` without the blanks that an unquoted value may end in.
    kept: usize,
}

/// Reads a whole environment file.
///
/// # Errors
/// A NUL byte anywhere, or a name or value that is not UTF-8 or holds a Unicode noncharacter:
/// systemd then refuses the file, and the unit with it. A comment may hold any other byte.
pub(super) fn parse(text: &[u8]) -> Result<EnvFile, Problem> {
    let mut file = EnvFile {
        vars: BTreeMap::new(),
        ignored: Vec::new(),
    };
    let mut state = State::BeforeName;
    let mut line = 1;
    let mut current = Assignment::default();
    for &byte in text {
        if byte == 0 {
            let what = "a NUL byte";
            return Err(Problem { line, what });
        }
        let (next, complete) = step(state, byte, line, &mut current);
        match (state, next) {
            (State::Name, State::BeforeName) => file.ignored.push(mem::take(&mut current).line),
            _ if complete => file.assign(mem::take(&mut current))?,
            _ => {}
        }
        state = next;
        line += usize::from(byte == b'\n');
    }
    match state {
        State::BeforeName | State::Comment => {}
        State::Name => file.ignored.push(current.line),
        _ => file.assign(current)?,
    }
    Ok(file)
}

/// The state after `byte`, and whether the byte ends an assignment.
fn step(state: State, byte: u8, line: usize, current: &mut Assignment) -> (State, bool) {
    let newline = matches!(byte, b'\n' | b'\r');
    let blank = newline || matches!(byte, b' ' | b'\t');
    let next = match state {
        State::BeforeName if blank => State::BeforeName,
        State::BeforeName if matches!(byte, b'#' | b';') => State::Comment,
        State::BeforeName => {
            current.line = line;
            current.name.push(byte);
            State::Name
        }
        State::Name | State::Comment if newline => State::BeforeName,
        State::Comment => State::Comment,
        State::Name if byte == b'=' => State::BeforeValue,
        State::Name => {
            current.name.push(byte);
            State::Name
        }
        State::BeforeValue | State::Bare if newline => return (State::BeforeName, true),
        State::BeforeValue if blank => State::BeforeValue,
        State::BeforeValue if byte == b'\'' => State::Single,
        State::BeforeValue if byte == b'"' => State::Double,
        State::BeforeValue | State::Bare if byte == b'\\' => {
            current.keep_all();
            State::BareEscape
        }
        State::BeforeValue | State::Bare => {
            current.value.push(byte);
            if !blank {
                current.keep_all();
            }
            State::Bare
        }
        State::BareEscape => {
            if !newline {
                current.keep(byte);
            }
            State::Bare
        }
        State::Single if byte == b'\'' => State::BeforeValue,
        State::Double if byte == b'"' => State::BeforeValue,
        State::Double if byte == b'\\' => State::DoubleEscape,
        State::Single | State::Double => {
            current.keep(byte);
            state
        }
        State::DoubleEscape => {
            if !matches!(byte, b'"' | b'\\' | b'`' | b'$' | b'\n') {
                current.keep(b'\\');
            }
            if byte != b'\n' {
                current.keep(byte);
            }
            State::Double
        }
    };
    (next, false)
}

impl Assignment {
    fn keep(&mut self, byte: u8) {
        self.value.push(byte);
        self.keep_all();
    }

    fn keep_all(&mut self) {
        self.kept = self.value.len();
    }
}

impl EnvFile {
    fn assign(&mut self, mut new: Assignment) -> Result<(), Problem> {
        let line = new.line;
        new.value.truncate(new.kept);
        let what = "not UTF-8 text, which systemd refuses";
        let name = text(new.name).ok_or(Problem { line, what })?;
        let value = text(new.value).ok_or(Problem { line, what })?;
        let name = name.trim_end_matches([' ', '\t']);
        if is_name(name) {
            self.vars.insert(name.to_owned(), value);
        } else {
            self.ignored.push(line);
        }
        Ok(())
    }
}

fn text(bytes: Vec<u8>) -> Option<String> {
    let text = String::from_utf8(bytes).ok()?;
    // Unicode's noncharacters: the last two code points of each plane and U+FDD0 to U+FDEF.
    let noncharacter =
        |c: char| u32::from(c) & 0xFFFE == 0xFFFE || ('\u{FDD0}'..='\u{FDEF}').contains(&c);
    (!text.contains(noncharacter)).then_some(text)
}

fn is_name(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

#[cfg(test)]
mod tests;
