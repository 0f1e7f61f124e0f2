//! The relay's one thread: it waits for sockets and for the clock, and lets every
//! connection do what it can.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::Result;
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::EventFd;
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

use super::line::{Lane, Line, Step};
use super::requests::Scanner;
use super::{Profile, Totals};

const LISTENER: u64 = u64::MAX;
const CLOCK: u64 = u64::MAX - 1;
const STOP: u64 = u64::MAX - 2;
const CONNECT: Duration = Duration::from_secs(5);

struct Connection {
    id: u64,
    client: TcpStream,
    server: TcpStream,
    up: Line,
    down: Line,
    requests: Scanner,
}

pub(super) struct Relaying {
    socket: TcpListener,
    upstream: SocketAddr,
    profile: Profile,
    totals: Arc<Totals>,
    epoll: Epoll,
    clock: TimerFd,
    up: Lane,
    down: Lane,
    connections: Vec<Connection>,
    ids: u64,
}

impl Relaying {
    pub(super) fn new(
        socket: TcpListener,
        upstream: SocketAddr,
        profile: Profile,
        totals: Arc<Totals>,
        stop: &EventFd,
    ) -> Result<Self> {
        socket.set_nonblocking(true)?;
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let clock = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_CLOEXEC)?;
        // The listener and the end tell again and again, the clock once.
        epoll.add(&socket, EpollEvent::new(EpollFlags::EPOLLIN, LISTENER))?;
        epoll.add(stop, EpollEvent::new(EpollFlags::EPOLLIN, STOP))?;
        let once = EpollFlags::EPOLLIN | EpollFlags::EPOLLET;
        epoll.add(&clock, EpollEvent::new(once, CLOCK))?;
        Ok(Self {
            socket,
            upstream,
            profile,
            totals,
            epoll,
            clock,
            up: Lane::new(profile),
            down: Lane::new(profile),
            connections: Vec::new(),
            ids: 0,
        })
    }

    pub(super) fn run(&mut self) -> Result<()> {
        let mut events = vec![EpollEvent::empty(); 256];
        loop {
            let step = self.step_all();
            let timeout = if step.moved || !self.wake_at(step.next)? {
                EpollTimeout::ZERO
            } else {
                EpollTimeout::NONE
            };
            let found = match self.epoll.wait(&mut events, timeout) {
                Err(Errno::EINTR) => 0,
                found => found?,
            };
            for event in &events[..found] {
                match event.data() {
                    STOP => return Ok(()),
                    LISTENER => self.accept()?,
                    CLOCK => {}
                    token => self.note(token, event.events()),
                }
            }
        }
    }

    /// Sets the clock; `false` where it is that time already.
    fn wake_at(&self, next: Option<Instant>) -> Result<bool> {
        let Some(next) = next else {
            self.clock.unset()?;
            return Ok(true);
        };
        let left = next.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false);
        }
        let at = Expiration::OneShot(TimeSpec::from(left));
        self.clock.set(at, TimerSetTimeFlags::empty())?;
        Ok(true)
    }

    /// Once round all connections, each time beginning with another one.
    fn step_all(&mut self) -> Step {
        let mut all = Step::default();
        let (up, down) = (&mut self.up, &mut self.down);
        let totals = &self.totals;
        self.connections.retain_mut(|connection| {
            let Connection { client, server, .. } = connection;
            let (out, back) = ((&*client, &*server), (&*server, &*client));
            let (going, coming) = (&mut connection.up, &mut connection.down);
            let requests = &mut connection.requests;
            let sent = |bytes: &[u8]| {
                totals.up.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                requests.feed(bytes, &totals.requests);
            };
            let went = going.step(out, up, sent, &mut all);
            let answered = |bytes: &[u8]| {
                totals.down.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            };
            let came = coming.step(back, down, answered, &mut all);
            // A reset on one side is the end of both.
            went.and(came).is_ok() && !(going.done && coming.done)
        });
        if !self.connections.is_empty() {
            self.connections.rotate_left(1);
        }
        all
    }

    /// What a socket told: the token is the connection's number, doubled, and one
    /// more for the server's side.
    fn note(&mut self, token: u64, told: EpollFlags) {
        let mut all = self.connections.iter_mut();
        let Some(connection) = all.find(|connection| connection.id == token / 2) else {
            return;
        };
        let Connection { up, down, .. } = connection;
        let (from, to) = if token.is_multiple_of(2) {
            (up, down)
        } else {
            (down, up)
        };
        let wrong = EpollFlags::EPOLLERR | EpollFlags::EPOLLHUP;
        if told.intersects(EpollFlags::EPOLLIN | EpollFlags::EPOLLRDHUP | wrong) {
            from.readable = true;
        }
        if told.intersects(EpollFlags::EPOLLOUT | wrong) {
            to.writable = true;
        }
    }

    fn accept(&mut self) -> io::Result<()> {
        loop {
            let client = match self.socket.accept() {
                Ok((client, _)) => client,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                // The client has left meanwhile.
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => continue,
                Err(error) => return Err(error),
            };
            // A server that refuses is a client whose connection ends.
            self.open(client).ok();
        }
    }

    fn open(&mut self, client: TcpStream) -> Result<()> {
        let now = Instant::now();
        let server = TcpStream::connect_timeout(&self.upstream, CONNECT)?;
        let id = self.ids;
        self.ids += 1;
        let all = EpollFlags::EPOLLIN
            | EpollFlags::EPOLLOUT
            | EpollFlags::EPOLLRDHUP
            | EpollFlags::EPOLLET;
        for (side, stream) in [(0, &client), (1, &server)] {
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
            self.epoll
                .add(stream, EpollEvent::new(all, id * 2 + side))?;
        }
        self.totals.connections.fetch_add(1, Ordering::Relaxed);
        // SYN and its answer: the client's first byte leaves after a round trip.
        let round_trip = self.profile.round_trip;
        self.connections.push(Connection {
            id,
            client,
            server,
            up: Line::new(now + round_trip),
            down: Line::new(now + round_trip / 2),
            requests: Scanner::new(),
        });
        Ok(())
    }
}
