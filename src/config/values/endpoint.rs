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
pub struct Endpoint {
    text: String,
    host: Host,
    port: Option<u16>,
}

super::as_text!(Endpoint);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Host {
    Name(String),
    V4(Ipv4Addr),
    V6(Ipv6Addr),
}

impl Endpoint {
    /// The address as it was written, which is what rclone gets.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The host without scheme, port and brackets.
    #[must_use]
    pub fn host(&self) -> String {
        match &self.host {
            Host::Name(name) => name.clone(),
            Host::V4(address) => address.to_string(),
            Host::V6(address) => address.to_string(),
        }
    }

    /// The port that is connected to: the one written, else 80 for `http://` and 443.
    #[must_use]
    pub fn port(&self) -> u16 {
        let default = if self.is_plain() { 80 } else { 443 };
        self.port.unwrap_or(default)
    }

    /// Whether the address is `http://`, and so loopback.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.text.starts_with("http://")
    }

    pub(in crate::config) fn known(host: &'static str) -> Self {
        Self {
            text: host.to_owned(),
            host: Host::Name(host.to_owned()),
            port: None,
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
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

const FORM: &str = "write it like \"s3.us-west-004.backblazeb2.com\" or \"https://host:port\"";

impl FromStr for Endpoint {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        if text.contains('@') {
            return Err(Refusal::new(
                "must not contain a user name or password",
                "take them out; the keys come from the environment or env_file",
            ));
        }
        let (plain, authority) = match text.split_once("://") {
            None => (false, text),
            Some(("https", rest)) => (false, rest),
            Some(("http", rest)) => (true, rest),
            Some(_) => {
                return Err(Refusal::new(
                    format!("must be https or a bare host, is {}", quoted(text)),
                    FORM,
                ));
            }
        };
        if authority.contains(['/', '?', '#']) {
            return Err(Refusal::new(
                format!("must end after the host and port, is {}", quoted(text)),
                "leave out what begins at the first \"/\", \"?\" or \"#\" after the host",
            ));
        }
        let Some((host, port)) = host_and_port(authority) else {
            return Err(Refusal::new(
                format!("must be a host with or without a port, is {}", quoted(text)),
                FORM,
            ));
        };
        if plain && !host.is_loopback() {
            return Err(Refusal::new(
                format!(
                    "plain http is accepted for 127.0.0.0/8, [::1] and localhost alone, is {}",
                    quoted(text)
                ),
                "write https:// in its place",
            ));
        }
        Ok(Self {
            text: text.to_owned(),
            host,
            port,
        })
    }
}

fn host_and_port(authority: &str) -> Option<(Host, Option<u16>)> {
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
