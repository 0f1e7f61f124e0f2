//! The address of a Redis, Valkey or FalkorDB server.

use std::fmt;
use std::path::{Component, Path};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::endpoint::host_and_port;
use crate::config::problem::{Refusal, quoted};

/// `host:port`, or `unix:` and the absolute path of a socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Server(String);

super::as_text!(Server);

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for Server {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        let plain = |part: Component<'_>| part != Component::ParentDir;
        let fits = match text.strip_prefix("unix:").map(Path::new) {
            Some(path) => {
                path.is_absolute() && path.components().all(plain) && !text.contains('\0')
            }
            None => host_and_port(text).is_some_and(|(_, port)| port.is_some()),
        };
        if fits {
            return Ok(Self(text.to_owned()));
        }
        let what = format!("must be host:port or unix:/path, is {}", quoted(text));
        Err(Refusal::new(what))
    }
}
