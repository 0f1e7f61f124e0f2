//! All that a directory holds, to the nanosecond and the byte. Nothing of the program under test helps here.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use md5::{Digest, Md5};

/// What can be told of an entry; of a file its MD5, of a link its target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub mode: String,
    pub owner: (u32, u32),
    pub mtime: (i64, i64),
    pub size: Option<u64>,
    pub contents: Vec<u8>,
}

/// Every entry by its path, the directory itself as "".
#[track_caller]
pub fn of(dir: &Path) -> BTreeMap<Vec<u8>, Entry> {
    let mut all = BTreeMap::new();
    walk(dir, b"", &mut all);
    all
}

fn walk(dir: &Path, below: &[u8], all: &mut BTreeMap<Vec<u8>, Entry>) {
    let path = if below.is_empty() {
        dir.to_owned()
    } else {
        dir.join(OsStr::from_bytes(below))
    };
    let metadata =
        fs::symlink_metadata(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let kind = metadata.file_type();
    let (mut size, mut contents) = (None, Vec::new());
    if kind.is_dir() {
        for child in fs::read_dir(&path).expect("a directory") {
            let name = child.expect("a name").file_name();
            let slash: &[u8] = if below.is_empty() { b"" } else { b"/" };
            walk(dir, &[below, slash, name.as_bytes()].concat(), all);
        }
    } else if kind.is_symlink() {
        let target = fs::read_link(&path).expect("a target");
        contents = target.as_os_str().as_bytes().to_vec();
    } else {
        size = Some(metadata.len());
        contents = Md5::digest(fs::read(&path).expect("a file")).to_vec();
    }
    let entry = Entry {
        mode: format!("{:06o}", metadata.mode()),
        owner: (metadata.uid(), metadata.gid()),
        mtime: (metadata.mtime(), metadata.mtime_nsec()),
        size,
        contents,
    };
    all.insert(below.to_vec(), entry);
}

/// Two directories are alike in everything.
#[track_caller]
pub fn assert_same(there: &Path, here: &Path) {
    assert_alike(&of(there), &of(here));
}

/// Two trees are alike; the first differences are shown where they are not.
#[track_caller]
pub fn assert_alike(there: &BTreeMap<Vec<u8>, Entry>, here: &BTreeMap<Vec<u8>, Entry>) {
    let mut differences = Vec::new();
    for path in there
        .keys()
        .chain(here.keys().filter(|path| !there.contains_key(*path)))
    {
        let (was, is) = (there.get(path), here.get(path));
        if was != is {
            differences.push(format!(
                "{:?}: {was:?} became {is:?}",
                OsStr::from_bytes(path)
            ));
        }
    }
    let first: Vec<_> = differences.iter().take(5).collect();
    assert!(
        differences.is_empty(),
        "{} differences: {first:#?}",
        differences.len()
    );
}
