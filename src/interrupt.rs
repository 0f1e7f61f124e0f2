//! SIGTERM, SIGINT and SIGHUP as a value that loops look at.
//!
//! Handlers and not a blocked mask: children inherit the mask and would go deaf. A handler only stores the
//! signal's number, so a second signal finds nothing to corrupt.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use nix::sys::signal::Signal;

/// The signal that asked us to stop, if any.
#[derive(Clone, Default)]
pub(crate) struct Interrupt(Arc<AtomicUsize>);

impl Interrupt {
    /// Installs the handlers, for the life of the process.
    ///
    /// # Errors
    /// Where the kernel refuses a handler.
    pub(crate) fn install() -> std::io::Result<Self> {
        let cell = Arc::new(AtomicUsize::new(0));
        for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
            let number = signal as i32;
            let value = usize::try_from(number).unwrap_or_default();
            signal_hook::flag::register_usize(number, Arc::clone(&cell), value)?;
        }
        // Over a limit on the size of files, a write is to fail and not to kill us: only a state file may be lost.
        signal_hook::flag::register(Signal::SIGXFSZ as i32, Arc::default())?;
        Ok(Self(cell))
    }

    /// The last signal that arrived.
    pub(crate) fn signal(&self) -> Option<Signal> {
        match self.0.load(Ordering::Relaxed) {
            0 => None,
            number => i32::try_from(number)
                .ok()
                .and_then(|number| Signal::try_from(number).ok()),
        }
    }

    /// For loops that may take long.
    ///
    /// # Errors
    /// Where a signal has arrived.
    pub(crate) fn check(&self) -> Result<(), Interrupted> {
        self.signal()
            .map_or(Ok(()), |signal| Err(Interrupted(signal)))
    }
}

/// A signal that asks the program to stop has arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Interrupted(pub Signal);

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stopped because we received {}", self.0)
    }
}

impl std::error::Error for Interrupted {}

#[cfg(test)]
mod tests {
    use super::*;

    impl Interrupt {
        fn raise(&self, signal: Signal) {
            let number = usize::try_from(signal as i32).unwrap_or_default();
            self.0.store(number, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_signal_is_seen_and_a_second_one_replaces_it() {
        let interrupt = Interrupt::default();
        assert_eq!(interrupt.signal(), None);
        interrupt.raise(Signal::SIGINT);
        interrupt.raise(Signal::SIGTERM);
        assert_eq!(interrupt.signal(), Some(Signal::SIGTERM));
    }
}
