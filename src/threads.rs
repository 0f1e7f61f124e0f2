//! What several parts of the program need of threads.

use std::panic::resume_unwind;
use std::thread::ScopedJoinHandle;

/// A panic in a thread of ours is one in us.
pub fn joined<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| resume_unwind(panic))
}
