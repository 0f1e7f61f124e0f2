//! What the server has: bytes in files, everything else in memory.
//!
//! The surprise: an object does not own its bytes. It holds on to one file, or one
//! for each of its parts, and a copy holds on to the same.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};

/// Keys and objects, in the order in which they are listed.
pub(super) type Bucket = BTreeMap<String, Arc<Object>>;

pub(super) struct Store {
    dir: PathBuf,
    next: u64,
    pub(super) buckets: HashMap<String, Bucket>,
    pub(super) uploads: HashMap<String, Upload>,
}

impl Store {
    pub(super) fn new(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
            next: 0,
            buckets: HashMap::new(),
            uploads: HashMap::new(),
        }
    }

    /// A file for bytes that are about to come.
    pub(super) fn incoming(&mut self) -> io::Result<Incoming> {
        self.next += 1;
        let path = self.dir.join(self.next.to_string());
        Ok(Incoming {
            file: File::create(&path)?,
            blob: Blob {
                path,
                size: 0,
                md5: [0; 16],
            },
            hash: Md5::new(),
        })
    }

    pub(super) fn begin(&mut self, upload: Upload) -> String {
        self.next += 1;
        let id = format!("upload-{}", self.next);
        self.uploads.insert(id.clone(), upload);
        id
    }
}

/// A multipart upload under way.
pub(super) struct Upload {
    pub(super) parts: HashMap<u32, Arc<Blob>>,
    pub(super) metadata: Vec<(String, String)>,
}

impl Upload {
    pub(super) fn new(metadata: Vec<(String, String)>) -> Self {
        Self {
            parts: HashMap::new(),
            metadata,
        }
    }
}

/// Bytes on their way in.
pub(super) struct Incoming {
    file: File,
    blob: Blob,
    hash: Md5,
}

impl Incoming {
    pub(super) fn add(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hash.update(bytes);
        self.blob.size += bytes.len() as u64;
        self.file.write_all(bytes)
    }

    pub(super) fn done(mut self) -> Blob {
        self.blob.md5 = self.hash.finalize().into();
        self.blob
    }
}

/// Bytes in a file, which goes when nobody holds on to it any more.
pub(super) struct Blob {
    path: PathBuf,
    size: u64,
    md5: [u8; 16],
}

impl Blob {
    pub(super) fn md5_base64(&self) -> String {
        STANDARD.encode(self.md5)
    }

    pub(super) fn etag(&self) -> String {
        format!("\"{}\"", hex(&self.md5))
    }
}

impl Drop for Blob {
    fn drop(&mut self) {
        fs::remove_file(&self.path).ok();
    }
}

pub(super) struct Object {
    blobs: Vec<Arc<Blob>>,
    pub(super) size: u64,
    /// In its quotation marks.
    pub(super) etag: String,
    pub(super) metadata: Vec<(String, String)>,
    pub(super) modified: SystemTime,
}

impl Object {
    pub(super) fn whole(blob: Arc<Blob>, metadata: Vec<(String, String)>) -> Self {
        Self {
            size: blob.size,
            etag: blob.etag(),
            blobs: vec![blob],
            metadata,
            modified: SystemTime::now(),
        }
    }

    /// Of several parts: its ETag is the MD5 of their MD5s, and how many they are.
    pub(super) fn joined(parts: Vec<Arc<Blob>>, metadata: Vec<(String, String)>) -> Self {
        let hash = parts
            .iter()
            .fold(Md5::new(), |hash, part| hash.chain_update(part.md5));
        let sum: [u8; 16] = hash.finalize().into();
        Self {
            size: parts.iter().map(|part| part.size).sum(),
            etag: format!("\"{}-{}\"", hex(&sum), parts.len()),
            blobs: parts,
            metadata,
            modified: SystemTime::now(),
        }
    }

    /// A new object with the same bytes, and its own metadata where it has any.
    pub(super) fn copy(&self, metadata: Option<Vec<(String, String)>>) -> Self {
        Self {
            blobs: self.blobs.clone(),
            size: self.size,
            etag: self.etag.clone(),
            metadata: metadata.unwrap_or_else(|| self.metadata.clone()),
            modified: SystemTime::now(),
        }
    }

    /// What of its files makes up this range.
    pub(super) fn pieces(&self, range: Range<u64>) -> io::Result<Vec<io::Take<File>>> {
        let mut pieces = Vec::new();
        let mut start = 0;
        for blob in &self.blobs {
            let from = range.start.clamp(start, start + blob.size) - start;
            let to = range.end.clamp(start, start + blob.size) - start;
            if from < to {
                let mut file = File::open(&blob.path)?;
                file.seek(SeekFrom::Start(from))?;
                pieces.push(file.take(to - from));
            }
            start += blob.size;
        }
        Ok(pieces)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
