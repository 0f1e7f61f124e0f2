//! What is stored, put there and looked up past the client under test.
//!
//! The surprise: nothing here goes through S3 signatures. moto checks none, so
//! plain requests do; `rclone serve s3` checks them, but stores objects as
//! files, so the files are read and written.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use crate::http::{decode, encode, fetch, fetch_saying};

#[derive(Debug, Clone)]
pub(super) enum Store {
    /// Requests with a signature that nobody checks.
    Http,
    /// A directory a bucket, a file an object.
    Directory(PathBuf),
}

/// A server's buckets and objects.
#[derive(Debug, Clone)]
pub struct Objects {
    pub(super) addr: SocketAddr,
    pub(super) store: Store,
}

impl Objects {
    /// Creates a bucket.
    pub fn create_bucket(&self, bucket: &str) -> Result<()> {
        match &self.store {
            Store::Http => self.expect_ok("PUT", &format!("/{bucket}"), b"").map(drop),
            Store::Directory(dir) => Ok(fs::create_dir(dir.join(bucket))?),
        }
    }

    /// Lets a bucket keep what is overwritten and deleted, as B2 does.
    pub fn keep_versions(&self, bucket: &str) -> Result<()> {
        ensure!(
            matches!(self.store, Store::Http),
            "moto alone keeps versions"
        );
        let on = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
        self.expect_ok("PUT", &format!("/{bucket}?versioning"), on)
            .map(drop)
    }

    /// Stores an object.
    pub fn put(&self, bucket: &str, key: &str, bytes: &[u8]) -> Result<()> {
        match &self.store {
            Store::Http => self
                .expect_ok("PUT", &format!("/{bucket}/{}", encode(key)), bytes)
                .map(drop),
            Store::Directory(dir) => {
                ensure!(dir.join(bucket).is_dir(), "no bucket {bucket}");
                let file = dir.join(bucket).join(key);
                fs::create_dir_all(file.parent().unwrap_or(dir))?;
                Ok(fs::write(file, bytes)?)
            }
        }
    }

    /// Stores an object in one piece, and says of it what rclone says of a large one: its MD5, in base64. The server
    /// believes that; it is a moto.
    pub fn put_claiming(&self, bucket: &str, key: &str, bytes: &[u8], md5: &str) -> Result<()> {
        ensure!(matches!(self.store, Store::Http), "moto alone keeps claims");
        let target = format!("/{bucket}/{}", encode(key));
        let claim = [("x-amz-meta-md5chksum", md5)];
        let (head, answer) = fetch_saying(self.addr, "PUT", &target, &claim, bytes)?;
        ensure!(head.status() == 200, "PUT {target}: {}", text(&answer));
        Ok(())
    }

    /// An object's bytes; `None` where there is no such object.
    pub fn get(&self, bucket: &str, key: &str) -> Result<Option<Vec<u8>>> {
        match &self.store {
            Store::Http => {
                let target = format!("/{bucket}/{}", encode(key));
                let (answer, body) = fetch(self.addr, "GET", &target, b"")?;
                match answer.status() {
                    200 => Ok(Some(body)),
                    404 => Ok(None),
                    status => bail!("GET {target}: {status} {}", text(&body)),
                }
            }
            Store::Directory(dir) => match fs::read(dir.join(bucket).join(key)) {
                Ok(bytes) => Ok(Some(bytes)),
                Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(e) => Err(e.into()),
            },
        }
    }

    /// Deletes an object.
    pub fn delete(&self, bucket: &str, key: &str) -> Result<()> {
        match &self.store {
            Store::Http => self
                .expect_ok("DELETE", &format!("/{bucket}/{}", encode(key)), b"")
                .map(drop),
            Store::Directory(dir) => Ok(fs::remove_file(dir.join(bucket).join(key))?),
        }
    }

    /// All keys of a bucket, sorted; an error where there is no such bucket.
    pub fn keys(&self, bucket: &str) -> Result<Vec<String>> {
        let mut keys = Vec::new();
        match &self.store {
            Store::Http => loop {
                let after = keys.last().map_or("", String::as_str);
                let target = format!("/{bucket}?encoding-type=url&marker={}", encode(after));
                let page = text(&self.expect_ok("GET", &target, b"")?);
                let listed = elements(&page, "Key").into_iter();
                keys.extend(listed.map(|key| decode(&unescape(key).replace('+', " "))));
                if !page.contains("<IsTruncated>true") {
                    break;
                }
            },
            Store::Directory(dir) => files_below(&dir.join(bucket), "", &mut keys)?,
        }
        keys.sort();
        Ok(keys)
    }

    /// Whether there is such a bucket.
    pub fn has_bucket(&self, bucket: &str) -> Result<bool> {
        match &self.store {
            Store::Http => Ok(fetch(self.addr, "HEAD", &format!("/{bucket}"), b"")?
                .0
                .status()
                == 200),
            Store::Directory(dir) => Ok(dir.join(bucket).is_dir()),
        }
    }

    /// The `Date` of an answer: the server's clock, as clients see it.
    pub fn date(&self) -> Result<String> {
        let (answer, _) = fetch(self.addr, "HEAD", "/", b"")?;
        Ok(answer
            .get("date")
            .context("an answer without a date")?
            .to_owned())
    }

    /// Ids of multipart uploads that were begun and neither finished nor aborted.
    pub fn unfinished_uploads(&self, bucket: &str) -> Result<Vec<String>> {
        ensure!(
            matches!(self.store, Store::Http),
            "only moto is asked for uploads"
        );
        let page = text(&self.expect_ok("GET", &format!("/{bucket}?uploads"), b"")?);
        Ok(elements(&page, "UploadId")
            .into_iter()
            .map(str::to_owned)
            .collect())
    }

    fn expect_ok(&self, method: &str, target: &str, body: &[u8]) -> Result<Vec<u8>> {
        let (head, answer) =
            fetch(self.addr, method, target, body).with_context(|| format!("{method} {target}"))?;
        let status = head.status();
        ensure!(
            (200..300).contains(&status),
            "{method} {target}: {status} {}",
            text(&answer)
        );
        Ok(answer)
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The texts of all elements of one name, as they stand in the XML.
pub(super) fn elements<'a>(xml: &'a str, name: &str) -> Vec<&'a str> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let after = xml.split(open.as_str()).skip(1);
    after
        .filter_map(|rest| rest.split_once(close.as_str()))
        .map(|(text, _)| text)
        .collect()
}

fn unescape(xml: &str) -> String {
    let plain = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#x27;", "'"),
        ("&#39;", "'"),
    ];
    let text = plain
        .iter()
        .fold(xml.to_owned(), |text, (name, is)| text.replace(name, is));
    text.replace("&amp;", "&")
}

fn files_below(dir: &Path, prefix: &str, out: &mut Vec<String>) -> Result<()> {
    for entry in fs::read_dir(dir).with_context(|| format!("list {}", dir.display()))? {
        let entry = entry?;
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            files_below(&entry.path(), &format!("{name}/"), out)?;
        } else {
            out.push(name);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ampersand_is_unescaped_last() {
        assert_eq!(unescape("a&amp;lt;b &lt;&#x27;"), "a&lt;b <'");
    }
}
