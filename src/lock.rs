//! The lock: an flock on the snapshot directory itself.
//!
//! The same for the timer's run and a person's, nothing to create, and gone with its holder however that
//! ends. Who holds it cannot be told: /proc/locks shows every subvolume root as the same file.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag};

pub(crate) struct Lock(#[expect(dead_code, reason = "held, never read")] Flock<File>);

/// Why there is no lock.
pub(crate) enum LockError {
    /// Another run holds it.
    Held,
    /// The directory cannot be opened or locked.
    Failed(std::io::Error),
}

/// Takes the lock, or says at once that it is held.
///
/// # Errors
/// See [`LockError`].
pub(crate) fn exclusive(directory: &Path) -> Result<Lock, LockError> {
    take(directory, FlockArg::LockExclusiveNonblock)
}

/// Takes it beside others that only read.
///
/// # Errors
/// See [`LockError`].
pub(crate) fn shared(directory: &Path) -> Result<Lock, LockError> {
    take(directory, FlockArg::LockSharedNonblock)
}

fn take(directory: &Path, how: FlockArg) -> Result<Lock, LockError> {
    let file = File::options()
        .read(true)
        .custom_flags(OFlag::O_DIRECTORY.bits())
        .open(directory)
        .map_err(LockError::Failed)?;
    match Flock::lock(file, how) {
        Ok(lock) => Ok(Lock(lock)),
        Err((_, Errno::EWOULDBLOCK)) => Err(LockError::Held),
        Err((_, error)) => Err(LockError::Failed(error.into())),
    }
}
