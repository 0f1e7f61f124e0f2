//! The S3 service's address.
//!
//! rclone takes a bare host for https. `http://` sends every object, and with it the memory of
//! the assistant, in clear: it is accepted for this machine alone, where the tests' servers are.
//! An address with a user name or password in it is refused without being repeated.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::config::problem::{Refusal, quoted};

/// `host`, `host:port`, either after `https://`, or after `http://` where the host is loopback.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Endpoint(String);

super::as_text!(Endpoint);

pub(super) enum Host {
    Name(String),
    V4(Ipv4Addr),
    V6(Ipv6Addr),
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl Host {
    fn is_loopback(&self) -> bool {
        match self {
            Host::Name(name) => name.eq_ignore_ascii_case("localhost"),
            Host::V4(address) => address.is_loopback(),
            Host::V6(address) => address.is_loopback(),
        }
    }
}

impl FromStr for Endpoint {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        if text.contains('@') {
            return Err(Refusal::new("must not contain a user name or password"));
        }
        let refuse = |rule: &str| Err(Refusal::new(format!("{rule}, is {}", quoted(text))));
        let (plain, authority) = match text.split_once("://") {
            None => (false, text),
            Some(("https", rest)) => (false, rest),
            Some(("http", rest)) => (true, rest),
            Some(_) => return refuse("must be https or a bare host"),
        };
        if authority.contains(['/', '?', '#']) {
            return refuse("must end after the host and port");
        }
        let Some((host, _)) = host_and_port(authority) else {
            return refuse("must be a host with or without a port");
        };
        if plain && !host.is_loopback() {
            return refuse("plain http is accepted for 127.0.0.0/8, [::1] and localhost alone");
        }
        Ok(Self(text.to_owned()))
    }
}

pub(super) fn host_and_port(authority: &str) -> Option<(Host, Option<u16>)> {
    let (host, rest) = match authority.strip_prefix('[') {
        Some(inner) => {
            let (address, rest) = inner.split_once(']')?;
            (Host::V6(address.parse().ok()?), rest)
        }
        None => {
            let end = authority.find(':').unwrap_or(authority.len());
            let (name, rest) = authority.split_at(end);
            let host = match name.parse() {
                Ok(address) => Host::V4(address),
                Err(_) if is_host_name(name) => Host::Name(name.to_owned()),
                Err(_) => return None,
            };
            (host, rest)
        }
    };
    if rest.is_empty() {
        return Some((host, None));
    }
    let digits = rest.strip_prefix(':')?;
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let port: u16 = digits.parse().ok()?;
    (port > 0).then_some((host, Some(port)))
}

/// A DNS name. Its last label is not a number: resolvers read such a name as an address.
fn is_host_name(name: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    let last = name.rsplit('.').next().unwrap_or(name);
    let number = last.bytes().all(|byte| byte.is_ascii_digit())
        || last
            .strip_prefix("0x")
            .or(last.strip_prefix("0X"))
            .is_some();
    name.len() <= 253 && name.split('.').all(label) && !number
}
