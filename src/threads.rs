//! What several parts of the program need of threads.

use std::panic::resume_unwind;
use std::thread::ScopedJoinHandle;

/// A panic in a thread of ours is one in us.
pub fn joined<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| resume_unwind(panic))
}

/// How much less often a thread that gives way gets a processor: a tenth of the time, where others want all of it.
const LESS: i32 = 10;

/// Lets everything else that wants a processor have it first: this thread's work is awaited by nobody yet.
pub fn give_way() {
    // Linux counts niceness by thread. Where it may not be changed, the work is done all the same.
    let _ = rustix::process::nice(LESS);
}

#[cfg(test)]
mod tests {
    use std::thread;

    use rustix::process::getpriority_process;

    use super::*;

    #[test]
    fn a_thread_that_gives_way_gives_way_alone() {
        let niceness = || getpriority_process(None).expect("a niceness");
        let before = niceness();
        let given = thread::scope(|scope| {
            joined(scope.spawn(|| {
                give_way();
                niceness()
            }))
        });
        assert_eq!(given, (before + LESS).min(19));
        assert_eq!(niceness(), before);
    }
}
