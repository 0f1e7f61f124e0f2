//! Counts the S3 requests that pass by, by kind.
//!
//! The surprise: only heads are looked at. A body's length is in its head, and so
//! a gigabyte of it costs one subtraction for each piece.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// A head that is longer is none.
const LONGEST: usize = 64 << 10;

/// What a request asks for. Paths are `/bucket/key`, as on loopback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An object is sent whole.
    Put,
    /// A part of one is sent.
    Part,
    /// A multipart upload begins, is completed or aborted.
    Multipart,
    /// The server copies an object, or a range of one.
    Copy,
    /// An object's metadata is asked for.
    Head,
    /// An object is read.
    Get,
    /// A bucket is listed.
    List,
    /// Objects are deleted.
    Delete,
    /// The bucket itself: is it there, where is it, create it.
    Bucket,
    /// Anything else.
    Other,
}

const KINDS: [(Kind, &str); 10] = [
    (Kind::Put, "PUT"),
    (Kind::Part, "part"),
    (Kind::Multipart, "multipart"),
    (Kind::Copy, "COPY"),
    (Kind::Head, "HEAD"),
    (Kind::Get, "GET"),
    (Kind::List, "LIST"),
    (Kind::Delete, "DELETE"),
    (Kind::Bucket, "bucket"),
    (Kind::Other, "other"),
];

/// How many requests there were of each kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Requests([u64; KINDS.len()]);

impl Requests {
    /// Of one kind.
    pub fn of(&self, kind: Kind) -> u64 {
        self.0[kind as usize]
    }

    /// Of all kinds.
    pub fn all(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Those that came since.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let mut left = *self;
        for (now, before) in left.0.iter_mut().zip(before.0) {
            *now = now.saturating_sub(before);
        }
        left
    }

    /// Names and numbers of the kinds that there were.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let each = KINDS.iter().zip(self.0);
        each.filter(|(_, n)| *n > 0)
            .map(|((_, name), n)| (*name, n))
    }
}

impl fmt::Display for Requests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<String> = self
            .named()
            .map(|(name, n)| format!("{n} {name}"))
            .collect();
        f.write_str(&words.join(", "))
    }
}

/// The same, counted by one thread and read by others.
#[derive(Default)]
pub(super) struct Counts([AtomicU64; KINDS.len()]);

impl Counts {
    fn add(&self, kind: Kind) {
        self.0[kind as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> Requests {
        let mut all = Requests::default();
        for (to, from) in all.0.iter_mut().zip(&self.0) {
            *to = from.load(Ordering::Relaxed);
        }
        all
    }
}

/// Where in a connection's requests the last byte was.
enum State {
    /// In a head, which has this so far.
    Head(Vec<u8>),
    /// In a body, or a chunk of one, that has so many bytes left.
    Body { left: u64, chunked: bool },
    /// In a chunk's first line, or behind the last chunk.
    Line(Vec<u8>),
    /// This is no HTTP.
    Lost,
}

/// Follows what one client sends.
pub(super) struct Scanner(State);

impl Scanner {
    pub(super) fn new() -> Self {
        Self(State::Head(Vec::new()))
    }

    /// What comes next, in pieces cut anywhere.
    pub(super) fn feed(&mut self, mut bytes: &[u8], counts: &Counts) {
        while !bytes.is_empty() {
            let (state, used) = match &mut self.0 {
                State::Lost => return,
                State::Body { left, chunked } => {
                    let passed = bytes
                        .len()
                        .min(usize::try_from(*left).unwrap_or(usize::MAX));
                    *left -= passed as u64;
                    let next = match (*left, *chunked) {
                        (0, true) => Some(State::Line(Vec::new())),
                        (0, false) => Some(State::Head(Vec::new())),
                        _ => None,
                    };
                    (next, passed)
                }
                State::Head(head) => {
                    let used = take_until(head, bytes, b"\r\n\r\n");
                    let next = match used {
                        Some(_) => Some(after_head(head, counts)),
                        None if head.len() > LONGEST => Some(State::Lost),
                        None => None,
                    };
                    (next, used.unwrap_or(bytes.len()))
                }
                State::Line(line) => {
                    let used = take_until(line, bytes, b"\r\n");
                    let next = match used {
                        Some(_) => Some(after_line(line)),
                        None if line.len() > LONGEST => Some(State::Lost),
                        None => None,
                    };
                    (next, used.unwrap_or(bytes.len()))
                }
            };
            bytes = &bytes[used..];
            if let Some(state) = state {
                self.0 = state;
            }
        }
    }
}

/// Moves bytes behind `kept` up to and with `end`: how many, where it was there.
fn take_until(kept: &mut Vec<u8>, bytes: &[u8], end: &[u8]) -> Option<usize> {
    let from = kept.len().saturating_sub(end.len() - 1);
    let had = kept.len();
    let few = bytes.len().min(LONGEST + 1);
    kept.extend(&bytes[..few]);
    let at = kept[from..].windows(end.len()).position(|w| w == end)?;
    kept.truncate(from + at + end.len());
    Some(kept.len() - had)
}

fn after_line(line: &[u8]) -> State {
    let text = String::from_utf8_lossy(line);
    let digits = text.split(';').next().unwrap_or_default().trim();
    match u64::from_str_radix(digits, 16) {
        // Two more end the chunk; behind the last one, they end the request.
        Ok(0) => State::Body {
            left: 2,
            chunked: false,
        },
        Ok(size) => State::Body {
            left: size.saturating_add(2),
            chunked: true,
        },
        Err(_) => State::Lost,
    }
}

fn after_head(head: &[u8], counts: &Counts) -> State {
    let text = String::from_utf8_lossy(head);
    let mut lines = text.split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (Some(method), Some(target), Some("HTTP/1.1")) = (words.next(), words.next(), words.next())
    else {
        return State::Lost;
    };
    let (mut length, mut chunked, mut copies) = (0, false, false);
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        let is = |wanted: &str| name.eq_ignore_ascii_case(wanted);
        if is("content-length") {
            length = value.trim().parse().unwrap_or(0);
        } else if is("transfer-encoding") {
            chunked = value.to_ascii_lowercase().contains("chunked");
        } else if is("x-amz-copy-source") {
            copies = true;
        }
    }
    counts.add(kind(method, target, copies));
    match (chunked, length) {
        (true, _) => State::Line(Vec::new()),
        (false, 0) => State::Head(Vec::new()),
        (false, left) => State::Body {
            left,
            chunked: false,
        },
    }
}

fn kind(method: &str, target: &str, copies: bool) -> Kind {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let has = |name: &str| {
        query
            .split('&')
            .any(|pair| pair.split('=').next() == Some(name))
    };
    let object = path.trim_matches('/').contains('/');
    match method {
        "PUT" if copies => Kind::Copy,
        "PUT" if has("partNumber") => Kind::Part,
        "POST" | "DELETE" if has("uploads") || has("uploadId") => Kind::Multipart,
        "POST" if has("delete") => Kind::Delete,
        "PUT" if object => Kind::Put,
        "HEAD" if object => Kind::Head,
        "GET" if object => Kind::Get,
        "DELETE" if object => Kind::Delete,
        "GET" if query.is_empty() || has("prefix") || has("list-type") || has("max-keys") => {
            Kind::List
        }
        "GET" | "HEAD" | "PUT" => Kind::Bucket,
        _ => Kind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(stream: &[u8], piece: usize) -> Requests {
        let (mut scanner, counts) = (Scanner::new(), Counts::default());
        for piece in stream.chunks(piece) {
            scanner.feed(piece, &counts);
        }
        counts.get()
    }

    #[test]
    fn requests_are_counted_wherever_the_stream_is_cut() {
        let stream = b"PUT /b/k?x-id=PutObject HTTP/1.1\r\nHost: h\r\nContent-Length: 20\r\n\r\n\
            GET / HTTP/1.1\r\n\r\n..\
            HEAD /b/k HTTP/1.1\r\n\r\n\
            PUT /b/k HTTP/1.1\r\ntransfer-encoding: Chunked\r\n\r\n5;x=1\r\nHEAD \r\n10\r\n0123456789abcdef\r\n0\r\n\r\n\
            GET /b?prefix=a HTTP/1.1\r\n\r\n";
        for piece in 1..stream.len() {
            let all = counted(stream, piece);
            assert_eq!(
                all.to_string(),
                "2 PUT, 1 HEAD, 1 LIST",
                "cut every {piece}"
            );
        }
    }

    #[test]
    fn a_request_is_of_the_kind_that_s3_says() {
        for (method, target, copies, expected) in [
            ("PUT", "/b/a/k", false, Kind::Put),
            ("PUT", "/b/a/k", true, Kind::Copy),
            ("PUT", "/b/a/k?partNumber=3&uploadId=x", false, Kind::Part),
            ("PUT", "/b/a/k?partNumber=3&uploadId=x", true, Kind::Copy),
            ("POST", "/b/a/k?uploads=", false, Kind::Multipart),
            ("POST", "/b/a/k?uploadId=x", false, Kind::Multipart),
            ("DELETE", "/b/a/k?uploadId=x", false, Kind::Multipart),
            ("DELETE", "/b/a/k", false, Kind::Delete),
            ("POST", "/b?delete", false, Kind::Delete),
            ("HEAD", "/b/a/k", false, Kind::Head),
            ("GET", "/b/a/k", false, Kind::Get),
            ("GET", "/b/?delimiter=%2F&prefix=a", false, Kind::List),
            ("GET", "/b", false, Kind::List),
            ("GET", "/b/?location=", false, Kind::Bucket),
            ("HEAD", "/b", false, Kind::Bucket),
            ("PUT", "/b/", false, Kind::Bucket),
            ("OPTIONS", "/", false, Kind::Other),
        ] {
            assert_eq!(kind(method, target, copies), expected, "{method} {target}");
        }
    }

    #[test]
    fn what_is_no_http_is_not_counted_and_not_kept() {
        let all = counted(&[7; 300_000], 100_000);
        assert_eq!(all.all(), 0);
        assert_eq!(
            counted(b"SSH-2.0-x\r\n\r\nPUT /b/k HTTP/1.1\r\n\r\n", 9).all(),
            0
        );
    }
}
