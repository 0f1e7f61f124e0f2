//! Reads small files and pipes with a bound on size and time; who may write them is `preflight::trust`'s question.

use std::fs::File;
use std::io::{Error, ErrorKind, Read as _, Result};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;

use crate::interrupt::Interrupt;

/// How long somebody may take to write to a pipe: long enough to type the passphrase of a key.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long we wait for somebody to open its other end.
const NOBODY: Duration = Duration::from_secs(5);
const AGAIN: Duration = Duration::from_millis(20);

/// The same from a pipe as well, such as `<(sops -d …)`, whose writer has its time; more bytes than that are an error.
///
/// # Errors
/// What the kernel says, or that nobody writes, or too much.
pub(crate) fn read_or_receive(path: &Path, at_most: u64, interrupt: &Interrupt) -> Result<Vec<u8>> {
    let file = File::options()
        .read(true)
        .custom_flags(OFlag::O_NONBLOCK.bits())
        .open(path)?;
    let is_pipe = file.metadata()?.file_type().is_fifo();
    let mut file = file.take(at_most + 1);
    let (mut bytes, began) = (Vec::new(), Instant::now());
    loop {
        match file.read_to_end(&mut bytes) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                if began.elapsed() > PATIENCE {
                    return Err(Error::other("nobody has written all of it within a minute"));
                }
            }
            // Not opened for writing yet.
            Ok(_) if is_pipe && bytes.is_empty() => {
                if began.elapsed() > NOBODY {
                    return Err(Error::other("it is a named pipe, and nobody writes to it"));
                }
            }
            Ok(_) if bytes.len() as u64 > at_most => {
                return Err(Error::other(format!("it has more than {at_most} bytes")));
            }
            Ok(_) => return Ok(bytes),
            Err(error) => return Err(error),
        }
        interrupt.check().map_err(Error::other)?;
        sleep(AGAIN);
    }
}

/// At most so many bytes. A FIFO that nobody writes to would hold us for ever, deaf to signals: it is refused.
///
/// # Errors
/// What the kernel says.
pub(crate) fn read(path: &Path, at_most: u64) -> Result<Vec<u8>> {
    let file = File::options()
        .read(true)
        .custom_flags(OFlag::O_NONBLOCK.bits())
        .open(path)?;
    if file.metadata()?.file_type().is_fifo() {
        return Err(Error::other("it is a named pipe"));
    }
    let mut bytes = Vec::new();
    file.take(at_most).read_to_end(&mut bytes)?;
    Ok(bytes)
}
