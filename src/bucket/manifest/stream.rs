//! From a child's stdout, which comes in pieces to a function, to a parser, which wants something to read from.

use std::io::{self, BufReader, Read};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use anyhow::Result;

/// Gives what it has, in pieces, to the function that it is called with.
pub(crate) type Source<'a> = &'a mut dyn FnMut(&mut dyn FnMut(&[u8])) -> Result<()>;

/// Runs `source` here and `parse` in a thread that reads what comes; at most `limit` bytes of it.
///
/// # Errors
/// What `parse` says, else what `source` says.
pub(super) fn parse<T: Send>(
    limit: u64,
    source: impl FnOnce(&mut dyn FnMut(&[u8])) -> Result<()>,
    parse: impl FnOnce(BufReader<Pieces>) -> Result<T> + Send,
) -> Result<T> {
    let (sender, receiver) = sync_channel(16);
    thread::scope(|scope| {
        let parser = scope.spawn(move || {
            // The parser asks for a byte at a time.
            parse(BufReader::new(Pieces {
                receiver,
                piece: Vec::new(),
                at: 0,
                left: limit,
            }))
        });
        // A parser that gave up does not listen any more, and says why below.
        let source = source(&mut |bytes| drop(sender.send(bytes.to_vec())));
        drop(sender);
        let parsed = parser
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        source.and(parsed)
    })
}

/// Pieces from another thread, as one stream.
pub(super) struct Pieces {
    receiver: Receiver<Vec<u8>>,
    piece: Vec<u8>,
    at: usize,
    left: u64,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.piece.len() {
            match self.receiver.recv() {
                Ok(piece) => (self.piece, self.at) = (piece, 0),
                Err(_) => return Ok(0),
            }
            let length = self.piece.len() as u64;
            self.left = self
                .left
                .checked_sub(length)
                .ok_or_else(|| io::Error::other("it is larger than 512 MiB, and refused"))?;
        }
        let read = (&self.piece[self.at..]).read(buffer)?;
        self.at += read;
        Ok(read)
    }
}
