//! Reading a child's pipes to their end, with bounded memory.
//!
//! A line longer than the bound is cut, and said to be cut, rather than split: the second half of a split
//! line would be taken for a line.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Read};
use std::sync::mpsc::SyncSender;

/// The longest line that is kept whole. A listed object has a name of at most 1,024 bytes.
const MAX_LINE: usize = 64 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stream {
    Stdout,
    Stderr,
}

/// What came out of a pipe.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Message {
    /// A line, without its line feed.
    Line {
        stream: Stream,
        bytes: Vec<u8>,
        /// Whether its end is missing.
        cut: bool,
    },
    Bytes(Vec<u8>),
}

/// Sends the pipe's lines. Ends with the pipe, or when nobody listens any more.
pub(super) fn pump_lines(pipe: impl Read, stream: Stream, sender: &SyncSender<Message>) {
    let mut reader = BufReader::new(pipe);
    let mut line = Vec::new();
    let mut cut = false;
    while let Ok(available) = reader.fill_buf() {
        if available.is_empty() {
            break;
        }
        let end = available.iter().position(|byte| *byte == b'\n');
        let piece = &available[..end.unwrap_or(available.len())];
        let room = MAX_LINE - line.len();
        cut |= piece.len() > room;
        line.extend_from_slice(&piece[..piece.len().min(room)]);
        let used = end.map_or(available.len(), |end| end + 1);
        reader.consume(used);
        if end.is_some() {
            let message = Message::Line {
                stream,
                bytes: std::mem::take(&mut line),
                cut,
            };
            cut = false;
            if sender.send(message).is_err() {
                return;
            }
        }
    }
    if !line.is_empty() {
        let _ = sender.send(Message::Line {
            stream,
            bytes: line,
            cut,
        });
    }
}

/// Sends the pipe's bytes.
pub(super) fn pump_bytes(mut pipe: impl Read, sender: &SyncSender<Message>) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match pipe.read(&mut buffer) {
            Ok(0) => return,
            Ok(read) => {
                if sender
                    .send(Message::Bytes(buffer[..read].to_vec()))
                    .is_err()
                {
                    return;
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}

/// The last lines of a log, within a number of bytes.
pub(super) struct Tail {
    lines: VecDeque<String>,
    bytes: usize,
    limit: usize,
}

impl Tail {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            lines: VecDeque::new(),
            bytes: 0,
            limit,
        }
    }

    pub(super) fn push(&mut self, line: &str) {
        let mut start = line.len().saturating_sub(self.limit);
        while !line.is_char_boundary(start) {
            start += 1;
        }
        let line = &line[start..];
        if self.lines.back().is_some_and(|last| last == line) {
            return;
        }
        self.bytes += line.len() + 1;
        self.lines.push_back(line.to_owned());
        while self.bytes > self.limit && self.lines.len() > 1 {
            self.bytes -= self.lines.pop_front().map_or(0, |line| line.len() + 1);
        }
    }

    pub(super) fn text(&self) -> String {
        self.lines
            .iter()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join("\n")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use super::*;

    #[test]
    fn an_endless_line_is_cut_and_said_to_be() {
        let (sender, receiver) = sync_channel(8);
        let text = [vec![b'x'; MAX_LINE + 10], b"\nshort\nlast".to_vec()].concat();
        pump_lines(&text[..], Stream::Stderr, &sender);
        drop(sender);
        let got: Vec<_> = receiver
            .iter()
            .map(|message| match message {
                Message::Line { bytes, cut, .. } => (bytes.len(), cut),
                Message::Bytes(_) => unreachable!("lines were asked for"),
            })
            .collect();
        assert_eq!(got, [(MAX_LINE, true), (5, false), (4, false)]);
    }

    #[test]
    fn the_tail_keeps_the_end_within_its_bound() {
        let mut tail = Tail::new(20);
        for line in [
            "first line",
            "second",
            "third",
            "third",
            "ü".repeat(30).as_str(),
        ] {
            tail.push(line);
        }
        assert_eq!(tail.text(), "ü".repeat(10));
        let mut tail = Tail::new(20);
        tail.push("first line");
        tail.push("second");
        tail.push("third");
        assert_eq!(tail.text(), "second\nthird");
    }
}
