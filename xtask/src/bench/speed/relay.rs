//! The relay's own bar: 1 Gbit/s with less than half a core, beside a bare socket.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use testbed::link::{Link, Profile};

const CONNECTIONS: usize = 64;
const BYTES: usize = 512 << 20;

/// What the relay carried.
#[derive(Debug, Clone, Copy)]
pub struct Carried {
    /// Gbit/s without a relay.
    pub bare: f64,
    /// Gbit/s through it, of the 1 that the link has.
    pub rate: f64,
    /// Of one core.
    pub cores: f64,
}

/// Sends 512 MiB in 64 connections, to a bare socket and through the far link.
pub fn measure() -> Result<Carried> {
    let socket = TcpListener::bind("127.0.0.1:0").context("listen")?;
    let addr = socket.local_addr()?;
    // As many as are sent below; the thread ends with the last of them.
    thread::spawn(move || {
        for stream in socket.incoming().take(2 * CONNECTIONS).flatten() {
            thread::spawn(move || drain(stream));
        }
    });
    let gbits = |seconds: f64| BYTES as f64 * 8.0 / seconds / 1e9;
    let bare = gbits(send(addr)?);
    let link = Link::start(addr, Profile::FAR)?;
    let seconds = send(link.addr())?;
    // Setting up, the way there and the answer are no part of the rate.
    let apart = 2.0 * Profile::FAR.round_trip.as_secs_f64();
    Ok(Carried {
        bare,
        rate: gbits(seconds - apart),
        cores: link.cpu()?.as_secs_f64() / seconds,
    })
}

/// Reads all of it, and says so.
fn drain(mut stream: TcpStream) {
    let mut chunk = vec![0; 256 << 10];
    while let Ok(1..) = stream.read(&mut chunk) {}
    stream.write_all(b".").ok();
}

/// How long until everything has arrived.
fn send(to: SocketAddr) -> Result<f64> {
    let one = || -> Result<()> {
        let mut stream = TcpStream::connect(to)?;
        let chunk = vec![7; 256 << 10];
        for _ in 0..BYTES / CONNECTIONS / chunk.len() {
            stream.write_all(&chunk)?;
        }
        stream.shutdown(Shutdown::Write)?;
        Ok(stream.read_exact(&mut [0])?)
    };
    let start = Instant::now();
    thread::scope(|scope| {
        let all: Vec<_> = (0..CONNECTIONS).map(|_| scope.spawn(one)).collect();
        all.into_iter()
            .try_for_each(|sending| match sending.join() {
                Ok(sent) => sent,
                Err(_) => bail!("a sender panicked"),
            })
    })?;
    Ok(start.elapsed().as_secs_f64())
}
