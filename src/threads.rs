//! Thread helpers: spawn, join, a worker pool, a semaphore, a lower priority.

use std::io;
use std::iter;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Builder, Scope, ScopedJoinHandle};

/// Starts a thread. `Scope::spawn` would panic where the system refuses one.
pub(crate) fn spawn<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    work: impl FnOnce() -> T + Send + 'scope,
) -> io::Result<ScopedJoinHandle<'scope, T>> {
    Builder::new().spawn_scoped(scope, work)
}

/// Joins the thread; a panic in it is raised again here.
pub(crate) fn joined<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| resume_unwind(panic))
}

/// Processes the items with at most `at_once` threads. The results are in the order of the items. If the system refuses
/// threads, fewer are used.
pub(crate) fn parallel<I: Sync, T: Send>(
    items: &[I],
    at_once: usize,
    work: impl Fn(&I) -> T + Sync,
) -> io::Result<Vec<T>> {
    let next = AtomicUsize::new(0);
    let take = || {
        let mut done = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(at) else {
                return done;
            };
            done.push((at, work(item)));
        }
    };
    let mut done: Vec<_> = thread::scope(|scope| {
        let first = spawn(scope, take)?;
        let more: Vec<_> = (1..at_once.min(items.len()))
            .map_while(|_| spawn(scope, take).ok())
            .collect();
        io::Result::Ok(iter::once(first).chain(more).flat_map(joined).collect())
    })?;
    done.sort_by_key(|(at, _)| *at);
    Ok(done.into_iter().map(|(_, result)| result).collect())
}

pub(crate) struct Semaphore {
    free: Mutex<usize>,
    freed: Condvar,
}

impl Semaphore {
    pub(crate) fn new(many: usize) -> Self {
        Self {
            free: Mutex::new(many),
            freed: Condvar::new(),
        }
    }

    /// Waits for a permit and holds it while `act` runs.
    pub(crate) fn take<T>(&self, act: impl FnOnce() -> T) -> T {
        let waited = self.freed.wait_while(self.lock(), |free| *free == 0);
        *waited.unwrap_or_else(PoisonError::into_inner) -= 1;
        let _turn = Turn(self);
        act()
    }

    fn lock(&self) -> MutexGuard<'_, usize> {
        // A panic cannot leave the counter half-written.
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the permit when it is dropped, also after a panic.
struct Turn<'a>(&'a Semaphore);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *self.0.lock() += 1;
        self.0.freed.notify_one();
    }
}

/// Added to the niceness: the thread gets about a tenth of the processor time that others get.
const LESS: i32 = 10;

/// Lowers the priority of this thread: no other thread waits for its work yet.
pub(crate) fn give_way() {
    // Linux counts niceness per thread. If the change is not permitted, the thread keeps its priority.
    let _ = rustix::process::nice(LESS);
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;
    use std::time::Duration;

    use rustix::process::getpriority_process;

    use super::*;

    #[test]
    fn no_more_take_a_turn_than_there_are() {
        let (turns, now, most) = (Semaphore::new(3), AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..20 {
                scope.spawn(|| {
                    turns.take(|| {
                        most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        thread::sleep(Duration::from_millis(2));
                        now.fetch_sub(1, Ordering::SeqCst);
                    })
                });
            }
        });
        assert_eq!(most.into_inner(), 3);
    }

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
