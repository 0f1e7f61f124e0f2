//! One way of one connection, and the lane that all connections share that way.
//!
//! The surprise: nothing here sleeps. A step does what can be done now and says
//! when there will be more to do.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

/// How far ahead of the clock a lane may be given away: what is read in one go
/// after one wake-up.
const AHEAD: Duration = Duration::from_millis(1);
/// How much unused time a lane keeps: we are woken late on a busy machine, and the
/// link does not get slower by that.
const KEPT: Duration = Duration::from_millis(20);
/// The most and the least that is read in one go.
const READ: (usize, usize) = (8 << 10, 256 << 10);

/// What all connections share in one direction.
pub(super) struct Lane {
    /// When everything that was given away so far will have left.
    free: Instant,
    nanos_per_byte: f64,
    half: Duration,
    window: usize,
    /// About a millisecond's worth.
    read: usize,
    spare: Vec<Vec<u8>>,
}

impl Lane {
    pub(super) fn new(profile: super::Profile) -> Self {
        let nanos = |rate: u64| 8e9 / rate as f64;
        let nanos_per_byte = profile.rate.map_or(0.0, nanos);
        let bytes = AHEAD.as_nanos() as f64 / nanos_per_byte;
        Self {
            free: Instant::now(),
            nanos_per_byte,
            half: profile.round_trip / 2,
            window: profile.window,
            read: (bytes as usize).clamp(READ.0, READ.1),
            spare: Vec::new(),
        }
    }

    /// Gives away the time that so many bytes take; when the last of them leaves.
    fn take(&mut self, bytes: usize, now: Instant) -> Instant {
        let earliest = now.checked_sub(KEPT).unwrap_or(now);
        let takes = Duration::from_nanos((bytes as f64 * self.nanos_per_byte) as u64);
        self.free = self.free.max(earliest) + takes;
        self.free.max(now)
    }
}

struct Chunk {
    due: Instant,
    bytes: Vec<u8>,
    from: usize,
    to: usize,
}

/// One way of one connection.
pub(super) struct Line {
    opens: Instant,
    queue: VecDeque<Chunk>,
    acks: VecDeque<(Instant, usize)>,
    in_flight: usize,
    /// The sender's socket may have something for us.
    pub(super) readable: bool,
    /// The receiver's socket may take something.
    pub(super) writable: bool,
    /// When the receiver learns that the sender has ended.
    end: Option<Instant>,
    /// All has been passed on, the end as well.
    pub(super) done: bool,
}

/// What came of a step.
#[derive(Default)]
pub(super) struct Step {
    /// Something was done; there may be more at once.
    pub(super) moved: bool,
    /// When there will be something to do, unless a socket says so before.
    pub(super) next: Option<Instant>,
}

impl Step {
    pub(super) fn at(&mut self, time: Instant) {
        self.next = Some(self.next.map_or(time, |next| next.min(time)));
    }
}

impl Line {
    /// A way on which nothing leaves before `opens`.
    pub(super) fn new(opens: Instant) -> Self {
        Self {
            opens,
            queue: VecDeque::new(),
            acks: VecDeque::new(),
            in_flight: 0,
            readable: true,
            writable: true,
            end: None,
            done: false,
        }
    }

    /// Passes on what is due and takes what there is room for, which `taken` sees.
    pub(super) fn step(
        &mut self,
        (from, to): (&TcpStream, &TcpStream),
        lane: &mut Lane,
        taken: impl FnMut(&[u8]),
        step: &mut Step,
    ) -> io::Result<()> {
        let now = Instant::now();
        self.hear_acks(now);
        if let Some(bytes) = self.room(lane, now, step) {
            self.read(from, bytes, lane, taken, step)?;
        }
        self.write(to, lane, step)
    }

    fn hear_acks(&mut self, now: Instant) {
        while let Some((at, bytes)) = self.acks.front()
            && *at <= now
        {
            self.in_flight -= bytes;
            self.acks.pop_front();
        }
    }

    /// How much may be read now.
    fn room(&self, lane: &Lane, now: Instant, step: &mut Step) -> Option<usize> {
        if !self.readable || self.end.is_some() {
            return None;
        }
        if now < self.opens {
            step.at(self.opens);
            return None;
        }
        if lane.free > now + AHEAD {
            step.at(lane.free.checked_sub(AHEAD / 2).unwrap_or(lane.free));
            return None;
        }
        let room = lane.read.min(lane.window.saturating_sub(self.in_flight));
        if room == 0 {
            // With nothing on its way back it is the receiver that has to read.
            if let Some((at, _)) = self.acks.front() {
                step.at(*at);
            }
            return None;
        }
        Some(room)
    }

    fn read(
        &mut self,
        mut from: &TcpStream,
        room: usize,
        lane: &mut Lane,
        mut taken: impl FnMut(&[u8]),
        step: &mut Step,
    ) -> io::Result<()> {
        let mut bytes = lane.spare.pop().unwrap_or_else(|| vec![0; lane.read]);
        let read = match from.read(&mut bytes[..room]) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.readable = false;
                lane.spare.push(bytes);
                return Ok(());
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => 0,
            Err(error) => return Err(error),
            Ok(0) => {
                self.end = Some(Instant::now().max(lane.free) + lane.half);
                lane.spare.push(bytes);
                step.moved = true;
                return Ok(());
            }
            Ok(read) => read,
        };
        step.moved = true;
        taken(&bytes[..read]);
        self.in_flight += read;
        // A few bytes need no large buffer for the time of their journey.
        let bytes = if read < lane.read / 4 {
            let few = bytes[..read].to_vec();
            lane.spare.push(bytes);
            few
        } else {
            bytes
        };
        self.queue.push_back(Chunk {
            due: lane.take(read, Instant::now()) + lane.half,
            bytes,
            from: 0,
            to: read,
        });
        Ok(())
    }

    fn write(&mut self, mut to: &TcpStream, lane: &mut Lane, step: &mut Step) -> io::Result<()> {
        let now = Instant::now();
        while let Some(chunk) = self.queue.front_mut() {
            if !self.writable {
                return Ok(());
            }
            if chunk.due > now {
                step.at(chunk.due);
                return Ok(());
            }
            let wrote = match to.write(&chunk.bytes[chunk.from..chunk.to]) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.writable = false;
                    continue;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => 0,
                Err(error) => return Err(error),
                Ok(wrote) => wrote,
            };
            step.moved = true;
            // Late because of us: as if it had been on time. Late because of a
            // receiver that does not read: the window opens late.
            let arrived = if now > chunk.due + KEPT {
                now
            } else {
                chunk.due
            };
            self.acks.push_back((arrived + lane.half, wrote));
            chunk.from += wrote;
            if chunk.from == chunk.to
                && let Some(Chunk { bytes, .. }) = self.queue.pop_front()
                && bytes.len() == lane.read
            {
                lane.spare.push(bytes);
            }
        }
        match self.end {
            Some(at) if at <= now && !self.done => {
                self.done = true;
                step.moved = true;
                // Where the receiver is gone already there is nobody to tell.
                to.shutdown(Shutdown::Write).ok();
            }
            Some(at) if !self.done => step.at(at),
            _ => {}
        }
        Ok(())
    }
}
