//! Makes sense of what a child prints: redacted first, then kept or passed on.

use super::lines::{Message, Stream, Tail};
use super::{LogLine, Runner, Stdout};
use crate::step::{Event, Label, Transfer};
use crate::ui::shown;

/// Makes sense of what a child prints.
pub(super) struct OutputSink<'a, 'j> {
    pub(super) runner: &'a Runner,
    pub(super) label: &'a Label,
    pub(super) understand: fn(&str) -> LogLine,
    pub(super) overhear: Option<&'j mut dyn FnMut(&str)>,
    pub(super) stdout: Stdout<'j>,
    pub(super) tail_level: log::Level,
    pub(super) tail: Tail,
    pub(super) transfer: Transfer,
}

impl OutputSink<'_, '_> {
    pub(super) fn message(&mut self, message: Message) {
        match message {
            Message::Bytes(bytes) => {
                if let Stdout::Bytes(take) = &mut self.stdout {
                    take(&bytes);
                }
            }
            Message::Line { stream, bytes, cut } => match (&mut self.stdout, stream) {
                (Stdout::Lines(take), Stream::Stdout) => take(&bytes),
                _ => self.line(stream, &bytes, cut),
            },
        }
    }

    fn line(&mut self, stream: Stream, bytes: &[u8], cut: bool) {
        let redactor = &self.runner.redactor;
        // A cut line may end in the first half of a secret, which no redactor knows.
        let bytes = if cut {
            &bytes[..bytes.len().saturating_sub(redactor.longest())]
        } else {
            bytes
        };
        let line = String::from_utf8_lossy(bytes);
        match (self.understand)(line.trim_end()) {
            LogLine::Nothing => {}
            LogLine::Transfer(transfer) => {
                self.transfer = transfer;
                (self.runner.sink)(Event::Progress {
                    label: self.label.clone(),
                    transfer,
                });
            }
            LogLine::Text(level, text) => {
                let text = redactor.redact(&text).into_owned();
                if let Some(overhear) = &mut self.overhear {
                    overhear(&text);
                }
                // What was overheard may be several lines; what is kept is one that rewrites no terminal.
                let text = shown(text.replace('\t', " ").as_bytes());
                if stream == Stream::Stderr && level <= self.tail_level {
                    self.tail.push(&text);
                }
                (self.runner.sink)(Event::Line {
                    label: self.label.clone(),
                    level,
                    text,
                });
            }
        }
    }
}
