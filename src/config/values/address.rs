//! Addresses of the S3 service and of the servers that save.

use std::net::{IpAddr, Ipv6Addr};
use std::path::{Component, Path};

use super::checked_text;
use crate::config::problem::{Refusal, refuse};

checked_text!(
    /// `host`, `host:port`, either after `https://`, or after `http://` where the host is loopback: plain http would
    /// send the assistant's memory in clear. rclone takes a bare host for https.
    Endpoint,
    endpoint
);

fn endpoint(text: &str) -> Result<(), Refusal> {
    // Not repeated: it may be a password.
    if text.contains('@') {
        return Err(Refusal::new("must not contain a user name or password"));
    }
    let (plain, authority) = match text.split_once("://") {
        None => (false, text),
        Some(("https", rest)) => (false, rest),
        Some(("http", rest)) => (true, rest),
        Some(_) => return refuse("must be https or a bare host", text),
    };
    let Some((host, _)) = host_and_port(authority) else {
        return refuse("must be a host with or without a port, and end there", text);
    };
    let address = host.parse::<IpAddr>();
    let loopback = host.eq_ignore_ascii_case("localhost")
        || address.is_ok_and(|address| address.is_loopback());
    if plain && !loopback {
        return refuse(
            "plain http is accepted for 127.0.0.0/8, [::1] and localhost alone",
            text,
        );
    }
    Ok(())
}

checked_text!(
    /// `host:port`, or `unix:` and the absolute path of a socket.
    Server,
    server
);

fn server(text: &str) -> Result<(), Refusal> {
    let plain = |part: Component<'_>| part != Component::ParentDir;
    let fits = match text.strip_prefix("unix:").map(Path::new) {
        Some(path) => path.is_absolute() && path.components().all(plain) && !text.contains('\0'),
        None => host_and_port(text).is_some_and(|(_, port)| port.is_some()),
    };
    if fits {
        Ok(())
    } else {
        refuse("must be host:port or unix:/path", text)
    }
}

/// The host without brackets, and the port.
fn host_and_port(authority: &str) -> Option<(&str, Option<u16>)> {
    let (host, rest) = match authority.strip_prefix('[') {
        Some(inner) => {
            let (host, rest) = inner.split_once(']')?;
            host.parse::<Ipv6Addr>().ok()?;
            (host, rest)
        }
        None => {
            let (host, rest) = authority.split_at(authority.find(':').unwrap_or(authority.len()));
            (host, host.split('.').all(is_label).then_some(rest)?)
        }
    };
    if rest.is_empty() {
        return Some((host, None));
    }
    let digits = rest.strip_prefix(':')?;
    let port = digits.parse::<u16>().ok()?;
    (port > 0 && !digits.starts_with('+')).then_some((host, Some(port)))
}

fn is_label(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=63).contains(&text.len()) && !text.starts_with('-') && text.bytes().all(inner)
}
