//! A small object on its way to the bucket: a nameless file in memory.
//!
//! Not a temporary file, since the disk may be the thing that is full; not a pipe, since a child that dies
//! would have to be fed again by a thread.

use std::fs::File;
use std::io::{self, Seek as _, Write};

use nix::sys::memfd::{MFdFlags, memfd_create};

pub(crate) struct Payload {
    file: File,
}

impl Payload {
    /// Filled by this function.
    ///
    /// # Errors
    /// Where the kernel gives no memory, or the function fails.
    pub(crate) fn write(fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<Self> {
        let file = File::from(memfd_create(c"opencode-backup", MFdFlags::MFD_CLOEXEC)?);
        let mut writer = io::BufWriter::new(file);
        fill(&mut writer)?;
        let file = writer
            .into_inner()
            .map_err(io::IntoInnerError::into_error)?;
        Ok(Self { file })
    }

    /// A handle that reads from the start. Handles share their place, so one is used at a time.
    ///
    /// # Errors
    /// Where the kernel gives no handle.
    pub(crate) fn size(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    pub(crate) fn reader(&self) -> io::Result<File> {
        let mut file = self.file.try_clone()?;
        file.rewind()?;
        Ok(file)
    }
}
