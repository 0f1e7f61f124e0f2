//! Just enough HTTP/1.1 for a relay, a stub and a client of our own.
//!
//! The surprise: heads are kept as Latin-1, one character a byte. Header values
//! may be any bytes, and a relay has to pass on exactly what it was given, since
//! the sender has signed it.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};

/// How a body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    None,
    Length(u64),
    Chunked,
    UntilClose,
}

/// A request's or an answer's first line and headers.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    pub(crate) first: String,
    headers: Vec<(String, String)>,
}

impl Head {
    pub(crate) fn new(first: impl Into<String>) -> Self {
        Self {
            first: first.into(),
            headers: Vec::new(),
        }
    }

    fn parse(bytes: &[u8]) -> Self {
        let text: String = bytes.iter().map(|byte| char::from(*byte)).collect();
        let mut lines = text.split("\r\n").filter(|line| !line.is_empty());
        let mut head = Self::new(lines.next().unwrap_or_default());
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            head.headers
                .push((name.to_owned(), value.trim().to_owned()));
        }
        head
    }

    /// The n-th word of the first line.
    pub(crate) fn word(&self, n: usize) -> &str {
        self.first.split(' ').nth(n).unwrap_or_default()
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let mut found = self
            .headers
            .iter()
            .filter(|(n, _)| n.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| value.as_str())
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = (&str, &str)> {
        let each = self.headers.iter();
        each.map(|(name, value)| (name.as_str(), value.as_str()))
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.headers.retain(|(n, _)| !n.eq_ignore_ascii_case(name));
    }

    pub(crate) fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }

    fn has(&self, name: &str, word: &str) -> bool {
        self.get(name)
            .is_some_and(|value| value.to_ascii_lowercase().contains(word))
    }

    pub(crate) fn closes(&self) -> bool {
        self.has("connection", "close") || self.first.contains("HTTP/1.0")
    }

    fn length(&self) -> Option<u64> {
        self.get("content-length")
            .and_then(|value| value.parse().ok())
    }

    pub(crate) fn request_framing(&self) -> Framing {
        if self.has("transfer-encoding", "chunked") {
            return Framing::Chunked;
        }
        self.length().map_or(Framing::None, Framing::Length)
    }

    pub(crate) fn answer_framing(&self, method: &str) -> Framing {
        let status = self.status();
        if method == "HEAD" || status < 200 || status == 204 || status == 304 {
            return Framing::None;
        }
        if self.has("transfer-encoding", "chunked") {
            return Framing::Chunked;
        }
        self.length().map_or(Framing::UntilClose, Framing::Length)
    }

    pub(crate) fn status(&self) -> u16 {
        self.word(1).parse().unwrap_or(0)
    }

    fn bytes(&self) -> Vec<u8> {
        let headers = self
            .headers
            .iter()
            .map(|(name, value)| format!("{name}: {value}\r\n"));
        let text = format!("{}\r\n{}\r\n", self.first, headers.collect::<String>());
        text.chars().map(|c| c as u32 as u8).collect()
    }
}

/// A connection and what was read ahead of it.
pub(crate) struct Conn {
    pub(crate) stream: TcpStream,
    ahead: Vec<u8>,
}

fn gone(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, what.to_owned())
}

impl Conn {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            ahead: Vec::new(),
        }
    }

    /// Reads once into the buffer; 0 means that the peer has closed.
    pub(crate) fn fill(&mut self) -> io::Result<usize> {
        let mut chunk = [0; 64 * 1024];
        let n = self.stream.read(&mut chunk)?;
        self.ahead.extend(&chunk[..n]);
        Ok(n)
    }

    pub(crate) fn buffered(&self) -> usize {
        self.ahead.len()
    }

    /// Takes everything up to and including `end`; `None` at a clean end.
    fn take_until(&mut self, end: &[u8]) -> io::Result<Option<Vec<u8>>> {
        let mut seen = 0;
        loop {
            let from = seen.min(self.ahead.len());
            if let Some(at) = self.ahead[from..].windows(end.len()).position(|w| w == end) {
                return Ok(Some(self.ahead.drain(..from + at + end.len()).collect()));
            }
            seen = self.ahead.len().saturating_sub(end.len());
            if self.ahead.len() > 1 << 20 {
                return Err(gone("a head of over 1 MiB"));
            }
            if self.fill()? == 0 {
                let clean = self.ahead.is_empty();
                return if clean {
                    Ok(None)
                } else {
                    Err(gone("closed in a head"))
                };
            }
        }
    }

    pub(crate) fn read_head(&mut self) -> io::Result<Option<Head>> {
        Ok(self
            .take_until(b"\r\n\r\n")?
            .map(|bytes| Head::parse(&bytes)))
    }

    fn pieces(&mut self, mut left: u64, each: &mut Each<'_>) -> io::Result<()> {
        let room = |left: u64| usize::try_from(left).unwrap_or(usize::MAX);
        let n = self.ahead.len().min(room(left));
        if n > 0 {
            let piece: Vec<u8> = self.ahead.drain(..n).collect();
            left -= n as u64;
            each(&piece)?;
        }
        // Straight from the socket: a large body is not kept on its way.
        let mut chunk = vec![0; room(left).min(256 << 10)];
        while left > 0 {
            let n = chunk.len().min(room(left));
            let n = self.stream.read(&mut chunk[..n])?;
            if n == 0 {
                return Err(gone("closed in a body"));
            }
            left -= n as u64;
            each(&chunk[..n])?;
        }
        Ok(())
    }

    /// Hands the body to `each`, piece by piece, without its chunk framing.
    pub(crate) fn body(&mut self, framing: Framing, each: &mut Each<'_>) -> io::Result<()> {
        match framing {
            Framing::None => Ok(()),
            Framing::Length(n) => self.pieces(n, each),
            Framing::UntilClose => loop {
                if self.ahead.is_empty() && self.fill()? == 0 {
                    return Ok(());
                }
                let piece = std::mem::take(&mut self.ahead);
                each(&piece)?;
            },
            Framing::Chunked => loop {
                let line = self
                    .take_until(b"\r\n")?
                    .ok_or_else(|| gone("closed in a chunk"))?;
                let line = String::from_utf8_lossy(&line);
                let size = line.split(';').next().unwrap_or_default().trim();
                let size = u64::from_str_radix(size, 16).map_err(io::Error::other)?;
                self.pieces(size, each)?;
                let mut line = self.take_until(b"\r\n")?;
                if size == 0 {
                    // After the last chunk come trailers, and an empty line.
                    while line.is_some_and(|line| line.len() > 2) {
                        line = self.take_until(b"\r\n")?;
                    }
                    return Ok(());
                }
            },
        }
    }

    pub(crate) fn whole_body(&mut self, framing: Framing) -> io::Result<Vec<u8>> {
        let mut all = Vec::new();
        self.body(framing, &mut |piece| {
            all.extend(piece);
            Ok(())
        })?;
        Ok(all)
    }

    pub(crate) fn write_head(&mut self, head: &Head) -> io::Result<()> {
        self.stream.write_all(&head.bytes())
    }

    /// An answer with its body, or without one (to HEAD) but with its length.
    pub(crate) fn answer(&mut self, head: Head, body: &[u8], send_body: bool) -> io::Result<()> {
        let mut bytes = head.with("Content-Length", body.len()).bytes();
        if send_body {
            bytes.extend(body);
        }
        self.stream.write_all(&bytes)
    }
}

const NO_SIGNATURE: &str = "AWS4-HMAC-SHA256 \
    Credential=testbed/20250101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0";

/// What a body's pieces are handed to.
pub(crate) type Each<'a> = dyn FnMut(&[u8]) -> io::Result<()> + 'a;

/// One request on a connection of its own. Its signature is none: moto checks
/// no signatures, but treats a request without any as a stranger's.
pub(crate) fn fetch(
    addr: SocketAddr,
    method: &str,
    target: &str,
    body: &[u8],
) -> io::Result<(Head, Vec<u8>)> {
    fetch_saying(addr, method, target, &[], body)
}

/// The same with more headers.
pub(crate) fn fetch_saying(
    addr: SocketAddr,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> io::Result<(Head, Vec<u8>)> {
    let mut conn = Conn::new(TcpStream::connect(addr)?);
    let mut head = Head::new(format!("{method} {target} HTTP/1.1"))
        .with("Host", addr)
        .with("Authorization", NO_SIGNATURE)
        .with("Connection", "close");
    for (name, value) in headers {
        head = head.with(name, value);
    }
    conn.answer(head, body, true)?;
    let answer = conn
        .read_head()?
        .ok_or_else(|| gone("closed without an answer"))?;
    let body = conn.whole_body(answer.answer_framing(method))?;
    Ok((answer, body))
}

/// Percent-encodes everything but letters, digits, `-._~` and `/`.
pub(crate) fn encode(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

/// Undoes percent-encoding; what is not UTF-8 becomes replacement characters.
pub(crate) fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        let hex = text
            .get(i + 1..i + 3)
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match (bytes[i], hex) {
            (b'%', Some(byte)) => {
                out.push(byte);
                i += 3;
            }
            (byte, _) => {
                out.push(byte);
                i += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}
