//! The promises that a link keeps, each measured on a real connection.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::{Link, Profile};

const MIB: usize = 1 << 20;
/// A busy machine wakes us late. The link's own doing is what never takes less, and
/// does not take more in one of so many tries.
const TRIES: usize = 10;

/// Serves each connection on a thread of its own.
fn server(serve: impl Fn(TcpStream) + Send + Sync + Clone + 'static) -> std::net::SocketAddr {
    let socket = TcpListener::bind("127.0.0.1:0").expect("listen");
    let addr = socket.local_addr().expect("an address");
    thread::spawn(move || {
        for stream in socket.incoming().flatten() {
            let serve = serve.clone();
            thread::spawn(move || serve(stream));
        }
    });
    addr
}

/// Sends back what comes, byte for byte.
fn echo(mut stream: TcpStream) {
    stream.set_nodelay(true).expect("no delay");
    let mut from = stream.try_clone().expect("clone");
    std::io::copy(&mut from, &mut stream).ok();
    stream.shutdown(Shutdown::Write).ok();
}

/// Reads to the end, then says how much that was.
fn count(mut stream: TcpStream) {
    let read = std::io::copy(&mut stream, &mut std::io::sink()).unwrap_or(0);
    stream.write_all(&read.to_be_bytes()).ok();
}

fn connect(link: &Link) -> TcpStream {
    let stream = TcpStream::connect(link.addr()).expect("connect");
    stream.set_nodelay(true).expect("no delay");
    let limit = Some(Duration::from_secs(30));
    stream.set_read_timeout(limit).expect("a limit");
    stream
}

/// Sends so many bytes and waits until the server has them all.
fn send(link: &Link, bytes: usize) {
    let mut stream = connect(link);
    let chunk = vec![7; 64 << 10];
    for start in (0..bytes).step_by(chunk.len()) {
        let n = chunk.len().min(bytes - start);
        stream.write_all(&chunk[..n]).expect("write");
    }
    stream.shutdown(Shutdown::Write).expect("half-close");
    let mut answer = [0; 8];
    stream.read_exact(&mut answer).expect("an answer");
    assert_eq!(u64::from_be_bytes(answer), bytes as u64);
}

fn time(work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64()
}

/// Tries until the time is within the range; below it, it must never be.
#[track_caller]
fn takes(range: std::ops::Range<f64>, mut work: impl FnMut() -> f64) -> f64 {
    let mut times = Vec::new();
    while times.len() < TRIES {
        let time = work();
        times.push(time);
        assert!(
            time >= range.start,
            "{times:?} s, and never below {range:?}"
        );
        if time < range.end {
            return time;
        }
    }
    panic!("{times:?} s, and none within {range:?}");
}

fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let mut state = seed | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    std::iter::repeat_with(next).take(bytes).collect()
}

#[test]
fn a_question_and_its_answer_take_a_round_trip_and_a_new_connection_one_more() {
    let profile = Profile {
        round_trip: Duration::from_millis(60),
        ..Profile::FAR
    };
    let link = Link::start(server(echo), profile).expect("a link");
    let ask = |stream: &mut TcpStream| {
        stream.write_all(b"?").expect("ask");
        stream.read_exact(&mut [0]).expect("an answer");
    };
    takes(0.120..0.130, || time(|| ask(&mut connect(&link))));
    let mut kept = connect(&link);
    ask(&mut kept);
    takes(0.060..0.066, || time(|| ask(&mut kept)));
}

#[test]
fn all_connections_together_get_the_rate_within_five_per_cent() {
    let profile = Profile {
        round_trip: Duration::from_millis(10),
        window: 4 * MIB,
        rate: Some(400_000_000),
    };
    let link = Link::start(server(count), profile).expect("a link");
    let link = &link;
    // 30 MB at 50 MB/s; set-up, the way there and the answer are no part of the rate.
    let all = 30_000_000;
    takes(0.6 * 0.95..0.6 * 1.05, || {
        let whole = time(|| {
            thread::scope(|scope| {
                for _ in 0..8 {
                    scope.spawn(|| send(link, all / 8));
                }
            });
        });
        whole - 0.020
    });
}

#[test]
fn each_direction_has_the_rate_to_itself() {
    let profile = Profile {
        round_trip: Duration::from_millis(10),
        window: 4 * MIB,
        rate: Some(400_000_000),
    };
    let link = Link::start(server(echo), profile).expect("a link");
    let bytes = noise(1, 15_000_000);
    // 0.3 s each way, at once.
    takes(0.28..0.40, || {
        time(|| assert!(round(&link, &bytes) == bytes))
    });
}

#[test]
fn the_window_bounds_what_one_connection_gets() {
    let profile = Profile {
        round_trip: Duration::from_millis(50),
        window: MIB,
        rate: Some(1_000_000_000),
    };
    let link = Link::start(server(count), profile).expect("a link");
    let link = &link;
    // A window a round trip: 12 MiB go out in 11 of them after the first, one more
    // for the set-up and one for the way there and the answer.
    let alone = takes(0.640..0.720, || time(|| send(link, 12 * MIB)));
    takes(0.640..alone * 1.25, || {
        time(|| {
            thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| send(link, 12 * MIB));
                }
            });
        })
    });
}

/// Sends bytes and reads them back at the same time.
fn round(link: &Link, bytes: &[u8]) -> Vec<u8> {
    let mut stream = connect(link);
    let mut to = stream.try_clone().expect("clone");
    thread::scope(|scope| {
        scope.spawn(move || {
            to.write_all(bytes).expect("write");
            to.shutdown(Shutdown::Write).expect("half-close");
        });
        let mut back = Vec::new();
        stream.read_to_end(&mut back).expect("read");
        back
    })
}

#[test]
fn bytes_of_a_hundred_connections_arrive_unaltered_both_ways_and_are_counted() {
    for profile in [Profile::COUNTING, Profile::FAR] {
        let link = Link::start(server(echo), profile).expect("a link");
        let sizes: Vec<usize> = (0..100).map(|i| i * 5003).collect();
        thread::scope(|scope| {
            let one = |size: usize| {
                let sent = noise(size as u64, size);
                assert!(
                    round(&link, &sent) == sent,
                    "{size} bytes came back altered"
                );
            };
            let started: Vec<_> = sizes.iter().map(|s| scope.spawn(move || one(*s))).collect();
            started.into_iter().for_each(|one| one.join().expect("one"));
        });
        let all: usize = sizes.iter().sum();
        assert_eq!((link.up(), link.down()), (all as u64, all as u64));
        assert_eq!(link.connections(), 100);
    }
}

#[test]
fn a_client_that_has_ended_still_gets_its_answer() {
    for profile in [Profile::COUNTING, Profile::NEAR] {
        let link = Link::start(server(count), profile).expect("a link");
        send(&link, 300_000);
        send(&link, 0);
    }
}

#[test]
fn a_receiver_that_does_not_read_holds_its_sender_and_nobody_else() {
    let deaf = server(|stream: TcpStream| {
        let mut first = [0];
        (&stream).read_exact(&mut first).ok();
        if first == *b"d" {
            thread::sleep(Duration::from_secs(600));
        }
        count(stream);
    });
    let link = Link::start(deaf, Profile::COUNTING).expect("a link");
    let mut held = connect(&link);
    held.set_write_timeout(Some(Duration::from_millis(300)))
        .expect("a limit");
    let lots = vec![b'd'; 64 * MIB];
    assert!(held.write_all(&lots).is_err(), "64 MiB went nowhere");
    let mut other = connect(&link);
    other.write_all(b"xyz").expect("write");
    other.shutdown(Shutdown::Write).expect("half-close");
    let mut answer = [0; 8];
    other.read_exact(&mut answer).expect("an answer");
    assert_eq!(u64::from_be_bytes(answer), 2);
}

#[test]
fn a_link_that_goes_closes_what_it_had_and_refuses_what_comes() {
    let link = Link::start(server(echo), Profile::NEAR).expect("a link");
    let addr = link.addr();
    let mut streams: Vec<TcpStream> = (0..70).map(|_| connect(&link)).collect();
    for stream in &mut streams {
        stream.write_all(b"?").expect("ask");
        stream.read_exact(&mut [0]).expect("an answer");
    }
    let reading: JoinHandle<_> = {
        let mut stream = streams.pop().expect("a stream");
        thread::spawn(move || stream.read(&mut [0]).map_or(0, |n| n))
    };
    drop(link);
    assert_eq!(reading.join().expect("a reader"), 0);
    assert!(TcpStream::connect(addr).is_err());
}

#[test]
fn a_server_that_is_not_there_is_a_connection_that_ends() {
    let gone = TcpListener::bind("127.0.0.1:0").expect("listen");
    let addr = gone.local_addr().expect("an address");
    drop(gone);
    let link = Link::start(addr, Profile::NEAR).expect("a link");
    let mut stream = connect(&link);
    assert_eq!(stream.read(&mut [0]).unwrap_or(0), 0);
}
