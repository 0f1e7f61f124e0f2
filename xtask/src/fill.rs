//! Puts data into a server, as clients would: commands, which an AOF records.
//!
//! The surprise: the values are noise. A server compresses its dumps, and a
//! gigabyte of zeros would measure nothing.

use std::io::{BufWriter, Read, Write};
use std::os::unix::net::UnixStream;
use std::thread;

use anyhow::{Context, Result, bail, ensure};
use testbed::redis::Redis;

/// Sets `keys` keys `<prefix>:<i>`, of `size` bytes each.
pub fn fill(server: &Redis, prefix: &str, keys: u64, size: usize) -> Result<()> {
    let stream = UnixStream::connect(server.socket()).context("connect")?;
    let replies = stream.try_clone()?;
    let counting = thread::spawn(move || all_ok(replies, keys));
    let mut writer = BufWriter::with_capacity(1 << 20, stream);
    let mut noise = Noise::new(prefix);
    let mut value = vec![0; size];
    for i in 0..keys {
        noise.fill(&mut value);
        let key = format!("{prefix}:{i}");
        write!(
            writer,
            "*3\r\n$3\r\nSET\r\n${}\r\n{key}\r\n${size}\r\n",
            key.len()
        )?;
        writer.write_all(&value)?;
        writer.write_all(b"\r\n")?;
    }
    writer.flush()?;
    match counting.join() {
        Ok(answered) => answered,
        Err(_) => bail!("the thread that reads replies panicked"),
    }
}

/// Reads that many `+OK`, beside the writing: a server whose replies nobody reads
/// stops reading commands.
fn all_ok(mut replies: UnixStream, count: u64) -> Result<()> {
    const OK: &[u8] = b"+OK\r\n";
    let mut left = count * OK.len() as u64;
    let mut at = 0;
    let mut chunk = [0; 1 << 16];
    while left > 0 {
        let read = replies.read(&mut chunk)?;
        ensure!(read > 0, "the server hung up");
        for byte in &chunk[..read] {
            ensure!(
                *byte == OK[at],
                "{}",
                String::from_utf8_lossy(&chunk[..read])
            );
            at = (at + 1) % OK.len();
        }
        left = left.saturating_sub(read as u64);
    }
    Ok(())
}

/// Bytes that nothing compresses: xorshift64*, seeded by a name.
pub struct Noise(u64);

impl Noise {
    /// The same bytes for the same name.
    pub fn new(name: &str) -> Self {
        let seed = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |seed, byte| {
            (seed ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Self(seed | 1)
    }

    /// Overwrites the buffer.
    pub fn fill(&mut self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(8) {
            self.0 ^= self.0 >> 12;
            self.0 ^= self.0 << 25;
            self.0 ^= self.0 >> 27;
            let word = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_the_same_for_the_same_name_and_uses_every_byte_value() {
        let make = |name| {
            let mut bytes = vec![0; 1 << 16];
            Noise::new(name).fill(&mut bytes);
            bytes
        };
        assert_eq!(make("a"), make("a"));
        assert_ne!(make("a"), make("b"));
        let mut seen = [false; 256];
        make("a")
            .iter()
            .for_each(|byte| seen[usize::from(*byte)] = true);
        assert!(seen.iter().all(|seen| *seen));
    }
}
