//! What a relay does to which requests, in words that read well in a test:
//! `Rule::on("PUT").path("/falkordb-").skip(1).times(1).status(503)`.
//!
//! The surprise: a rule without `times` never wears off. "503 for ever" is the
//! plain case; "503 for a while" is the one that needs a number.

use std::time::Duration;

use super::Request;

/// Which requests a rule is about; an absent field matches everything.
#[derive(Debug, Clone, Default)]
pub struct Match {
    /// The HTTP method.
    pub method: Option<String>,
    /// A part of the path, percent-decoded.
    pub path_contains: Option<String>,
    /// A part of the query, as sent.
    pub query_contains: Option<String>,
    /// Matches requests signed by any other key, and unsigned ones.
    pub key_id_is_not: Option<String>,
    /// Matches copies on the server alone.
    pub is_copy: bool,
}

impl Match {
    /// Whether it is about this request.
    pub fn matches(&self, request: &Request) -> bool {
        let within = |part: &Option<String>, whole: &str| {
            part.as_ref()
                .is_none_or(|part| whole.contains(part.as_str()))
        };
        self.method
            .as_ref()
            .is_none_or(|method| *method == request.method)
            && within(&self.path_contains, &request.path)
            && within(&self.query_contains, &request.query)
            && (!self.is_copy || request.is_copy)
            && self
                .key_id_is_not
                .as_ref()
                .is_none_or(|id| request.key_id.as_ref() != Some(id))
    }
}

/// What happens to a request.
#[derive(Debug, Clone)]
pub enum Action {
    /// The connection is closed, unanswered.
    Close,
    /// So many bytes of the body go on to the server, then both sides get a RST.
    ResetAfter(u64),
    /// It goes on after a while.
    Delay(Duration),
    /// The server never sees it; the body is read, the answer is an S3 error.
    Status(u16),
    /// It is held until the rule is removed (then it goes on) or the client leaves.
    Stall,
    /// One bit of the body is wrong on the way: the request's for PUT and POST,
    /// else the answer's.
    CorruptBody,
}

/// An action for the requests that match, after `skip` of them, `times` times.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Which requests.
    pub when: Match,
    /// What happens to them.
    pub then: Action,
    /// So many matching requests pass untouched first.
    pub skip: usize,
    /// So many are acted on; `None` for all.
    pub times: Option<usize>,
}

/// A rule that lacks its action; the methods named for actions finish it.
#[derive(Debug, Clone, Default)]
pub struct Builder {
    when: Match,
    skip: usize,
    times: Option<usize>,
}

impl Rule {
    /// A rule about one HTTP method.
    pub fn on(method: &str) -> Builder {
        let when = Match {
            method: Some(method.to_owned()),
            ..Match::default()
        };
        Builder {
            when,
            ..Builder::default()
        }
    }

    /// A rule about every request.
    pub fn any() -> Builder {
        Builder::default()
    }
}

impl Builder {
    /// Only where the decoded path contains this.
    #[must_use]
    pub fn path(mut self, part: &str) -> Self {
        self.when.path_contains = Some(part.to_owned());
        self
    }

    /// Only where the query contains this.
    #[must_use]
    pub fn query(mut self, part: &str) -> Self {
        self.when.query_contains = Some(part.to_owned());
        self
    }

    /// Only requests that this key has not signed. With `status(403)` the
    /// answer's code is InvalidAccessKeyId.
    #[must_use]
    pub fn key_id_is_not(mut self, id: &str) -> Self {
        self.when.key_id_is_not = Some(id.to_owned());
        self
    }

    /// Only those that copy on the server.
    #[must_use]
    pub fn copies(mut self) -> Self {
        self.when.is_copy = true;
        self
    }

    /// Lets the first `n` through.
    #[must_use]
    pub fn skip(mut self, n: usize) -> Self {
        self.skip = n;
        self
    }

    /// Acts on `n` requests, then no more.
    #[must_use]
    pub fn times(mut self, n: usize) -> Self {
        self.times = Some(n);
        self
    }

    /// Finishes the rule with any action.
    pub fn then(self, then: Action) -> Rule {
        Rule {
            when: self.when,
            then,
            skip: self.skip,
            times: self.times,
        }
    }

    /// [`Action::Close`].
    pub fn close(self) -> Rule {
        self.then(Action::Close)
    }

    /// [`Action::ResetAfter`].
    pub fn reset_after(self, bytes: u64) -> Rule {
        self.then(Action::ResetAfter(bytes))
    }

    /// [`Action::Delay`].
    pub fn delay(self, time: Duration) -> Rule {
        self.then(Action::Delay(time))
    }

    /// [`Action::Status`].
    pub fn status(self, status: u16) -> Rule {
        self.then(Action::Status(status))
    }

    /// [`Action::Stall`].
    pub fn stall(self) -> Rule {
        self.then(Action::Stall)
    }

    /// [`Action::CorruptBody`].
    pub fn corrupt_body(self) -> Rule {
        self.then(Action::CorruptBody)
    }
}
