//! The network's bad days: an HTTP relay between rclone and the S3 server that
//! refuses, resets, delays and lies, as its rules say.
//!
//! The surprise: it leaves `Host` as the client sent it. The client has signed
//! that header, and a server that checks signatures sees the relay's address in
//! it and does not mind.

mod rule;
mod wire;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

pub use rule::{Action, Builder, Match, Rule};

use crate::http::{Head, decode};
use crate::listener::Listener;
use crate::process::lock;

/// A rule's handle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RuleId(usize);

/// A request that reached the relay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The HTTP method.
    pub method: String,
    /// The path, percent-decoded.
    pub path: String,
    /// The query, as sent.
    pub query: String,
    /// The access key that signed it.
    pub key_id: Option<String>,
    /// Whether it copies an object on the server.
    pub is_copy: bool,
    /// What was answered; `None` while it is under way and when nothing was.
    pub status: Option<u16>,
}

impl Request {
    fn of(head: &Head) -> Self {
        let (path, query) = head.word(1).split_once('?').unwrap_or((head.word(1), ""));
        let signer = |rest: &str| rest.split('/').next().map(str::to_owned);
        let key_id = head.get("authorization").and_then(|value| {
            let v4 = value
                .split_once("Credential=")
                .and_then(|(_, rest)| signer(rest));
            let v2 = || {
                value
                    .strip_prefix("AWS ")?
                    .split(':')
                    .next()
                    .map(str::to_owned)
            };
            v4.or_else(v2)
        });
        Self {
            method: head.word(0).to_owned(),
            path: decode(path),
            query: query.to_owned(),
            key_id,
            is_copy: head.get("x-amz-copy-source").is_some(),
            status: None,
        }
    }
}

struct Active {
    id: RuleId,
    rule: Rule,
    seen: usize,
    hits: usize,
}

#[derive(Default)]
struct Book {
    rules: Vec<Active>,
    removed: Vec<(RuleId, usize)>,
    next: usize,
    requests: Vec<Request>,
}

impl Book {
    /// The first rule that applies, counted as used.
    fn pick(&mut self, request: &Request) -> Option<(RuleId, Rule)> {
        for active in self
            .rules
            .iter_mut()
            .filter(|a| a.rule.when.matches(request))
        {
            active.seen += 1;
            let worn_off = active.rule.times.is_some_and(|times| active.hits >= times);
            if active.seen > active.rule.skip && !worn_off {
                active.hits += 1;
                return Some((active.id, active.rule.clone()));
            }
        }
        None
    }
}

/// The relay: at work until dropped, after which its port refuses connections.
pub struct Relay {
    listener: Listener,
    book: Arc<Mutex<Book>>,
}

impl Relay {
    /// Starts one in front of `upstream`. Without rules it only passes on.
    pub fn start(upstream: SocketAddr) -> Result<Self> {
        let book = Arc::new(Mutex::new(Book::default()));
        let shared = Arc::clone(&book);
        let listener = Listener::start(move |stream| {
            // A broken connection is what a relay is for; each side sees its own.
            wire::serve(stream, upstream, &shared).ok();
        })?;
        Ok(Self { listener, book })
    }

    /// `http://127.0.0.1:PORT`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.listener.addr())
    }

    /// The address it listens on.
    pub fn addr(&self) -> SocketAddr {
        self.listener.addr()
    }

    /// Adds a rule, behind those that are there; the first that applies acts.
    pub fn rule(&self, rule: Rule) -> RuleId {
        let mut book = lock(&self.book);
        let id = RuleId(book.next);
        book.next += 1;
        book.rules.push(Active {
            id,
            rule,
            seen: 0,
            hits: 0,
        });
        id
    }

    /// Removes a rule, and lets go what it stalls.
    pub fn remove(&self, id: RuleId) {
        self.retain(|active| active.id != id);
    }

    /// Removes all rules.
    pub fn clear(&self) {
        self.retain(|_| false);
    }

    fn retain(&self, keep: impl Fn(&Active) -> bool) {
        let mut book = lock(&self.book);
        let (kept, gone) = std::mem::take(&mut book.rules).into_iter().partition(keep);
        book.rules = kept;
        let gone: Vec<Active> = gone;
        book.removed
            .extend(gone.iter().map(|active| (active.id, active.hits)));
    }

    /// How often a rule has acted, also after its removal.
    pub fn hits(&self, id: RuleId) -> usize {
        let book = lock(&self.book);
        let active = book.rules.iter().find(|a| a.id == id).map(|a| a.hits);
        let removed = || {
            book.removed
                .iter()
                .find(|(gone, _)| *gone == id)
                .map(|(_, hits)| *hits)
        };
        active.or_else(removed).unwrap_or(0)
    }

    /// Every request so far, in the order of arrival.
    pub fn requests(&self) -> Vec<Request> {
        lock(&self.book).requests.clone()
    }

    /// Forgets the requests so far. Not while some are under way.
    pub fn forget_requests(&self) {
        lock(&self.book).requests.clear();
    }

    /// Waits for a request to arrive.
    pub fn wait_for(&self, limit: Duration, is: impl Fn(&Request) -> bool) -> Result<Request> {
        let start = Instant::now();
        while start.elapsed() < limit {
            if let Some(found) = lock(&self.book).requests.iter().find(|r| is(r)) {
                return Ok(found.clone());
            }
            sleep(Duration::from_millis(10));
        }
        bail!(
            "no such request within {limit:?}; there were {:#?}",
            self.requests()
        )
    }

    /// Waits until a rule has acted so many times.
    pub fn wait_for_hits(&self, id: RuleId, hits: usize, limit: Duration) -> Result<()> {
        let start = Instant::now();
        while self.hits(id) < hits {
            if start.elapsed() > limit {
                let (had, all) = (self.hits(id), self.requests());
                bail!("the rule acted {had} of {hits} times within {limit:?}: {all:#?}");
            }
            sleep(Duration::from_millis(10));
        }
        Ok(())
    }
}
