//! One client's connection through the relay.
//!
//! The surprise: `Expect: 100-continue` ends here. The relay answers it before
//! it knows what the server would say, so that a client always sends its body
//! and a rule can act on the middle of it.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Mutex;
use std::thread::sleep;
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt};

use super::{Action, Book, Request, RuleId};
use crate::http::{Conn, Framing, Head};
use crate::process::lock;

struct Session<'a> {
    client: Conn,
    upstream: Option<Conn>,
    addr: SocketAddr,
    book: &'a Mutex<Book>,
}

/// Whether the connection may carry another request.
type KeepAlive = bool;

pub(super) fn serve(stream: TcpStream, addr: SocketAddr, book: &Mutex<Book>) -> io::Result<()> {
    let mut session = Session {
        client: Conn::new(stream),
        upstream: None,
        addr,
        book,
    };
    while let Some(mut head) = session.client.read_head()? {
        let request = Request::of(&head);
        let (index, picked) = {
            let mut book = lock(book);
            book.requests.push(request.clone());
            (book.requests.len() - 1, book.pick(&request))
        };
        let expects = head.get("expect").is_some();
        head.remove("expect");
        let unknown_key = picked
            .as_ref()
            .is_some_and(|(_, r)| r.when.key_id_is_not.is_some());
        let action = picked.map(|(id, rule)| (id, rule.then));
        if expects && !matches!(action, Some((_, Action::Close))) {
            session
                .client
                .stream
                .write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let keep = match action {
            Some((_, Action::Close)) => return Ok(()),
            Some((_, Action::ResetAfter(bytes))) => return session.reset_after(&head, bytes),
            Some((_, Action::Status(status))) => {
                session.refuse(&head, status, unknown_key)?;
                session.record(index, status);
                !head.closes()
            }
            Some((_, Action::CorruptBody)) => session.pass_on(&head, index, true)?,
            Some((_, Action::Delay(time))) => {
                sleep(time);
                session.pass_on(&head, index, false)?
            }
            Some((id, Action::Stall)) => {
                session.hold(id)?;
                session.pass_on(&head, index, false)?
            }
            None => session.pass_on(&head, index, false)?,
        };
        if !keep {
            return Ok(());
        }
    }
    Ok(())
}

impl Session<'_> {
    fn record(&self, index: usize, status: u16) {
        if let Some(request) = lock(self.book).requests.get_mut(index) {
            request.status = Some(status);
        }
    }

    /// The kept connection to the server, or a new one where it has closed.
    fn connect(&mut self) -> io::Result<Conn> {
        if let Some(kept) = self.upstream.take() {
            kept.stream.set_nonblocking(true)?;
            let idle = matches!(kept.stream.peek(&mut [0]), Err(e) if e.kind() == io::ErrorKind::WouldBlock);
            kept.stream.set_nonblocking(false)?;
            if idle {
                return Ok(kept);
            }
        }
        let stream = TcpStream::connect(self.addr)?;
        stream.set_nodelay(true)?;
        Ok(Conn::new(stream))
    }

    fn pass_on(&mut self, head: &Head, index: usize, corrupt: bool) -> io::Result<KeepAlive> {
        let mut server = self.connect()?;
        let method = head.word(0).to_owned();
        let sends = matches!(method.as_str(), "PUT" | "POST");
        server.write_head(head)?;
        let framing = head.request_framing();
        let wrong = Spoiler::new(corrupt && sends);
        copy_body(&mut self.client, &mut server, framing, wrong, Deaf::Drain)?;
        let mut answer = loop {
            let answer = server.read_head()?;
            let answer = answer.ok_or_else(|| io::Error::other("no answer from the server"))?;
            if answer.status() != 100 {
                break answer;
            }
        };
        // Before the answer leaves: who has the answer may look at the record.
        self.record(index, answer.status());
        let framing = answer.answer_framing(&method);
        let server_stays = !answer.closes() && framing != Framing::UntilClose;
        let keep = !head.closes() && framing != Framing::UntilClose;
        if keep && answer.closes() {
            answer.first = answer.first.replacen("HTTP/1.0", "HTTP/1.1", 1);
            answer.remove("connection");
        }
        self.client.write_head(&answer)?;
        let wrong = Spoiler::new(corrupt && !sends);
        copy_body(&mut server, &mut self.client, framing, wrong, Deaf::Fail)?;
        if server_stays {
            self.upstream = Some(server);
        }
        Ok(keep)
    }

    fn reset_after(mut self, head: &Head, bytes: u64) -> io::Result<()> {
        let mut server = self.connect()?;
        server.write_head(head)?;
        let mut left = usize::try_from(bytes).unwrap_or(usize::MAX);
        let framing = head.request_framing();
        let sent = self.client.body(framing, &mut |piece| {
            let n = piece.len().min(left);
            server.stream.write_all(&piece[..n])?;
            left -= n;
            if left == 0 {
                Err(io::Error::other("enough"))
            } else {
                Ok(())
            }
        });
        // With no linger time, close sends RST instead of FIN.
        let now = nix::libc::linger {
            l_onoff: 1,
            l_linger: 0,
        };
        setsockopt(&self.client.stream, sockopt::Linger, &now)?;
        setsockopt(&server.stream, sockopt::Linger, &now)?;
        sent
    }

    fn refuse(&mut self, head: &Head, status: u16, unknown_key: bool) -> io::Result<()> {
        self.client.body(head.request_framing(), &mut |_| Ok(()))?;
        let (reason, code) = match status {
            400 => ("Bad Request", "InvalidRequest"),
            403 if unknown_key => ("Forbidden", "InvalidAccessKeyId"),
            403 => ("Forbidden", "AccessDenied"),
            404 => ("Not Found", "NoSuchBucket"),
            500 => ("Internal Server Error", "InternalError"),
            503 => ("Service Unavailable", "SlowDown"),
            _ => ("Error", "InternalError"),
        };
        let body = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code>\
             <Message>the relay says {status}</Message><RequestId>relay</RequestId></Error>"
        );
        let answer = Head::new(format!("HTTP/1.1 {status} {reason}"))
            .with("Content-Type", "application/xml")
            .with(
                "Connection",
                if head.closes() { "close" } else { "keep-alive" },
            );
        self.client
            .answer(answer, body.as_bytes(), head.word(0) != "HEAD")
    }

    /// Reads ahead, so that a client's leaving is noticed; up to a limit.
    fn hold(&mut self, id: RuleId) -> io::Result<()> {
        let still = |book: &Mutex<Book>| lock(book).rules.iter().any(|active| active.id == id);
        self.client
            .stream
            .set_read_timeout(Some(Duration::from_millis(20)))?;
        while still(self.book) {
            if self.client.buffered() > 64 << 20 {
                sleep(Duration::from_millis(20));
                continue;
            }
            match self.client.fill() {
                Ok(0) => return Err(io::Error::other("the client left")),
                Ok(_) => {}
                Err(e)
                    if matches!(
                        e.kind(),
                        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
                    ) => {}
                Err(e) => return Err(e),
            }
        }
        self.client.stream.set_read_timeout(None)
    }
}

/// Flips one bit of the body's first byte: whatever the body is and however long, its reader can see it.
struct Spoiler {
    at: Option<u64>,
    seen: u64,
}

impl Spoiler {
    fn new(active: bool) -> Self {
        Self {
            at: active.then_some(0),
            seen: 0,
        }
    }

    fn apply(&mut self, piece: &mut [u8]) {
        let at = self.at.and_then(|at| at.checked_sub(self.seen));
        if let Some(byte) = at.and_then(|at| piece.get_mut(usize::try_from(at).ok()?)) {
            *byte ^= 1;
        }
        self.seen += piece.len() as u64;
    }
}

/// Where a body goes when the other side has stopped listening.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Deaf {
    /// Read it to its end: a server may answer before it has read everything.
    Drain,
    Fail,
}

fn copy_body(
    from: &mut Conn,
    to: &mut Conn,
    framing: Framing,
    mut wrong: Spoiler,
    deaf: Deaf,
) -> io::Result<()> {
    let chunked = framing == Framing::Chunked;
    let mut send = |bytes: &[u8]| match to.stream.write_all(bytes) {
        Err(_) if deaf == Deaf::Drain => Ok(()),
        result => result,
    };
    from.body(framing, &mut |piece| {
        let mut piece = piece.to_vec();
        wrong.apply(&mut piece);
        if chunked {
            piece.splice(0..0, format!("{:x}\r\n", piece.len()).into_bytes());
            piece.extend(b"\r\n");
        }
        send(&piece)
    })?;
    if chunked { send(b"0\r\n\r\n") } else { Ok(()) }
}
