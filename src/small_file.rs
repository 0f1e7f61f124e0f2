//! Files that are small and lie where others may put something else.

use std::fs::File;
use std::io::{Error, Read as _, Result};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::Path;

use nix::fcntl::OFlag;

/// At most so many bytes. A FIFO that nobody writes to would hold us for ever, deaf to signals: it is refused.
///
/// # Errors
/// What the kernel says.
pub fn read(path: &Path, at_most: u64) -> Result<Vec<u8>> {
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
