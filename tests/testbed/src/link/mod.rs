//! A long link on loopback: a TCP relay with a round-trip time, a window for each
//! connection and a rate that all connections share. It counts what passes.
//!
//! The surprise: it waits before it reads, not after. Who reads at once and sends
//! late has built an endless queue, in which a small request stands behind all the
//! megabytes of the other connections. Here the sender's own socket buffer fills,
//! as with a real link, and connections take turns.
//!
//! Not emulated: loss, and TCP's slow start. Everybody gets the whole window with
//! the first byte.

mod line;
mod requests;
mod run;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::unistd::gettid;

pub use requests::{Kind, Requests};

use crate::process::free_port;
use requests::Counts;
use run::Relaying;

/// What a link is like.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Profile {
    /// From here to there and back.
    pub round_trip: Duration,
    /// How many bytes of one connection may be under way, each way: sent, and not
    /// yet known to have arrived.
    pub window: usize,
    /// Bits in a second, each way, of all connections together; `None`: as quick
    /// as loopback is.
    pub rate: Option<u64>,
}

impl Profile {
    /// No link at all: only counts.
    pub const COUNTING: Self = Self {
        round_trip: Duration::ZERO,
        window: 1 << 20,
        rate: None,
    };
    /// Germany to the US west coast.
    pub const FAR: Self = Self {
        round_trip: Duration::from_millis(150),
        window: 4 << 20,
        rate: Some(1_000_000_000),
    };
    /// Within Europe, over a small line. The window is more than it ever fills.
    pub const NEAR: Self = Self {
        round_trip: Duration::from_millis(30),
        window: 4 << 20,
        rate: Some(100_000_000),
    };
}

#[derive(Default)]
struct Totals {
    up: AtomicU64,
    down: AtomicU64,
    connections: AtomicU64,
    requests: Counts,
    thread: AtomicU64,
}

/// The relay: at work until dropped, after which its port refuses connections and
/// those that it had are closed.
pub struct Link {
    addr: SocketAddr,
    totals: Arc<Totals>,
    stop: EventFd,
    thread: Option<JoinHandle<()>>,
}

impl Link {
    /// Starts one in front of `upstream`.
    pub fn start(upstream: SocketAddr, profile: Profile) -> Result<Self> {
        let socket = TcpListener::bind(("127.0.0.1", free_port()?)).context("listen")?;
        let addr = socket.local_addr()?;
        let totals = Arc::new(Totals::default());
        let stop = EventFd::from_flags(EfdFlags::EFD_NONBLOCK)?;
        let mut relaying = Relaying::new(socket, upstream, profile, Arc::clone(&totals), &stop)?;
        let named = Arc::clone(&totals);
        let thread = thread::Builder::new().name("link".to_owned());
        let thread = thread.spawn(move || {
            let id = u64::from(gettid().as_raw().unsigned_abs());
            named.thread.store(id, Ordering::Relaxed);
            // Only the kernel out of memory ends it; then every client sees the end.
            relaying.run().ok();
        })?;
        Ok(Self {
            addr,
            totals,
            stop,
            thread: Some(thread),
        })
    }

    /// `http://127.0.0.1:PORT`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// The address it listens on.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Bytes that clients sent, as far as they have been taken.
    pub fn up(&self) -> u64 {
        self.totals.up.load(Ordering::Relaxed)
    }

    /// Bytes that the server sent.
    pub fn down(&self) -> u64 {
        self.totals.down.load(Ordering::Relaxed)
    }

    /// Connections so far.
    pub fn connections(&self) -> u64 {
        self.totals.connections.load(Ordering::Relaxed)
    }

    /// S3 requests so far, by kind.
    pub fn requests(&self) -> Requests {
        self.totals.requests.get()
    }

    /// Processor time of the relay so far: it has one thread.
    pub fn cpu(&self) -> Result<Duration> {
        let id = self.totals.thread.load(Ordering::Relaxed);
        let path = format!("/proc/self/task/{id}/schedstat");
        let text = std::fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
        let nanos = text
            .split(' ')
            .next()
            .and_then(|word| word.parse().ok())
            .with_context(|| format!("no time in {path}"))?;
        Ok(Duration::from_nanos(nanos))
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.stop.write(1).ok();
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

#[cfg(test)]
mod tests;
