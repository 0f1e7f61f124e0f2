//! A bucket that is too large to be filled through a real server in a test: read-only, its
//! objects in memory, listed as S3's ListObjects (v1) does, by pages of a thousand.
//!
//! The surprise: prefixes that a delimiter folds together count towards a page as objects do,
//! as on the real service. That is what makes a careless listing expensive.

use std::collections::BTreeMap;
use std::io;
use std::net::TcpStream;
use std::sync::{Arc, Mutex};

use anyhow::Result;

use crate::http::{Conn, Head, decode};
use crate::listener::Listener;
use crate::process::lock;

const PAGE: usize = 1000;

struct Stub {
    bucket: String,
    objects: BTreeMap<String, Vec<u8>>,
    requests: Mutex<Vec<String>>,
}

/// The running server.
pub struct Pages {
    listener: Listener,
    stub: Arc<Stub>,
}

impl Pages {
    /// Serves these objects.
    pub fn start(bucket: &str, objects: BTreeMap<String, Vec<u8>>) -> Result<Self> {
        let stub = Arc::new(Stub {
            bucket: bucket.to_owned(),
            objects,
            requests: Mutex::default(),
        });
        let shared = Arc::clone(&stub);
        let listener = Listener::start(move |stream| {
            shared.serve(stream).ok();
        })?;
        Ok(Self { listener, stub })
    }

    /// `http://127.0.0.1:PORT`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.listener.addr())
    }

    /// What was asked since the last call: method and target.
    pub fn requests(&self) -> Vec<String> {
        std::mem::take(&mut lock(&self.stub.requests))
    }
}

impl Stub {
    fn serve(&self, stream: TcpStream) -> io::Result<()> {
        let mut conn = Conn::new(stream);
        while let Some(head) = conn.read_head()? {
            conn.whole_body(head.request_framing())?;
            let (method, target) = (head.word(0), head.word(1));
            lock(&self.requests).push(format!("{method} {target}"));
            let (status, body) = self.answer(method, target);
            let now = chrono::Utc::now().format("%a, %d %b %Y %H:%M:%S GMT");
            let first = Head::new(format!("HTTP/1.1 {status} -"))
                // Not an MD5: nobody is to compare it with the body's.
                .with("ETag", "\"0-1\"")
                .with("Last-Modified", &now)
                .with("Date", &now);
            conn.answer(first, &body, method != "HEAD")?;
            if head.closes() {
                break;
            }
        }
        Ok(())
    }

    fn answer(&self, method: &str, target: &str) -> (u16, Vec<u8>) {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let path = decode(path);
        let Some(key) = path.strip_prefix(&format!("/{}", self.bucket)) else {
            return (404, b"<Error><Code>NoSuchBucket</Code></Error>".to_vec());
        };
        match (method, key.trim_start_matches('/')) {
            ("GET", "") => (200, self.list(query).into_bytes()),
            ("GET" | "HEAD", key) => match self.objects.get(key) {
                Some(body) => (200, body.clone()),
                None => (404, b"<Error><Code>NoSuchKey</Code></Error>".to_vec()),
            },
            _ => (403, b"<Error><Code>AccessDenied</Code></Error>".to_vec()),
        }
    }

    fn list(&self, query: &str) -> String {
        let field = |name: &str| {
            let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs
                .find(|(key, _)| *key == name)
                .map(|(_, value)| decode(&value.replace('+', " ")))
                .unwrap_or_default()
        };
        let (prefix, delimiter, marker) = (field("prefix"), field("delimiter"), field("marker"));
        let page = field("max-keys").parse().unwrap_or(PAGE).min(PAGE);
        let (mut rows, mut last, mut more) = (Vec::new(), String::new(), false);
        for (key, body) in self.objects.range(prefix.clone()..) {
            let Some(rest) = key.strip_prefix(&prefix) else {
                break;
            };
            let folded = rest
                .split_once(&delimiter)
                .filter(|_| !delimiter.is_empty())
                .map(|(name, _)| format!("{prefix}{name}{delimiter}"));
            let name = folded.as_ref().unwrap_or(key);
            if *name <= marker || *name == last {
                continue;
            }
            if rows.len() == page {
                more = true;
                break;
            }
            rows.push(match &folded {
                Some(name) => format!("<CommonPrefixes><Prefix>{name}</Prefix></CommonPrefixes>"),
                None => format!(
                    "<Contents><Key>{key}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>\
                     <ETag>\"0-1\"</ETag><Size>{}</Size></Contents>",
                    body.len()
                ),
            });
            last.clone_from(name);
        }
        format!(
            "<ListBucketResult><Name>{}</Name><IsTruncated>{more}</IsTruncated><NextMarker>{}</NextMarker>{}</ListBucketResult>",
            self.bucket,
            if more { &last } else { "" },
            rows.concat()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_hold_a_thousand_names_with_folded_prefixes_among_them() {
        let objects = (0..2500).map(|n| (format!("a/{n:04}/x"), Vec::new()));
        let stub = Stub {
            bucket: "b".to_owned(),
            objects: objects.chain([("z".to_owned(), Vec::new())]).collect(),
            requests: Mutex::default(),
        };
        let page = |query: &str| {
            let text = stub.list(query);
            let count = |what: &str| text.matches(what).count();
            (
                count("<Prefix>"),
                count("<Key>"),
                text.contains("<IsTruncated>true"),
            )
        };
        assert_eq!(page("delimiter=%2F"), (1, 1, false));
        assert_eq!(page("delimiter=%2F&prefix=a%2F"), (1000, 0, true));
        assert_eq!(
            page("delimiter=%2F&prefix=a%2F&marker=a%2F1999%2F"),
            (500, 0, false)
        );
        assert_eq!(page("marker=a%2F2000%2Fx"), (0, 500, false));
    }
}
