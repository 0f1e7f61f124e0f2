//! Compares the bucket's objects with a tree: names, sizes, MD5s.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::Path;
use std::process::Command;
use std::thread;

use crate::config::Remote;
use crate::dataset::{NodeKind, Tree};
use crate::step::Label;
use crate::threads::{joined, spawn};
use crate::tools::rclone::args;
use crate::tools::rclone::tuning::Files;
use crate::tools::rclone::{Object, Rclone, names, parse_md5};

/// From this many multipart objects on, their MD5s are requested concurrently. lsjson requests them one after the
/// other, a round trip each.
const SEVERAL: u64 = 3;
/// How many differences a sentence names.
const LISTED: usize = 5;

/// The commands that list a prefix, for a plan.
pub(crate) fn commands(program: &Path, remote: &Remote, prefix: &str, large: u64) -> Vec<Command> {
    let several = large >= SEVERAL || any_may_go_in_parts(remote);
    let mut commands = vec![args::list_below(program, remote, prefix, !several)];
    if several {
        commands.push(args::kept_hashes(program, remote, prefix));
    }
    commands
}

/// Whether the operator may have changed which files go in parts.
fn any_may_go_in_parts(remote: &Remote) -> bool {
    let mut extra = remote.extra_args.iter();
    extra.any(|word| word.as_str().starts_with("--s3-upload-cutoff"))
}

/// What the bucket lists below a prefix, held against a tree's names and sizes. It may be asked for while the files are
/// still being read: their MD5s are compared at the end.
pub(crate) struct Listing {
    /// By name as it is listed: where in the tree, and the size.
    expected: HashMap<String, (usize, u64)>,
    /// The MD5 that the server reports, by its place in the tree.
    theirs: Vec<Option<[u8; 16]>>,
    /// Files that rclone cannot address by their listed names: listed name, path, size.
    odd: Vec<(String, Vec<u8>, u64)>,
    /// How the MD5 was obtained, for messages.
    by: &'static str,
    differences: Vec<String>,
}

impl Listing {
    pub(crate) fn of(tree: &Tree) -> Self {
        let nodes = tree.nodes.iter().enumerate();
        let expected = nodes.filter_map(|(at, node)| match node.kind {
            NodeKind::File { size, .. } => Some((names::listed(&node.path), (at, size))),
            _ => None,
        });
        let expected: HashMap<String, (usize, u64)> = expected.collect();
        let odd = expected
            .iter()
            .filter(|(name, _)| !names::is_found_again(name));
        let odd = odd.map(|(name, (at, size))| {
            let path = tree.nodes[*at].path.to_vec();
            (name.clone(), path, *size)
        });
        Self {
            odd: odd.collect(),
            expected,
            theirs: vec![None; tree.nodes.len()],
            by: "MD5",
            differences: Vec::new(),
        }
    }

    /// Asks the bucket.
    ///
    /// # Errors
    /// Where it cannot be asked.
    pub(crate) fn ask(
        &mut self,
        rclone: &Rclone,
        label: Label,
        prefix: &str,
    ) -> anyhow::Result<()> {
        let sizes = self.expected.values().map(|(_, size)| *size);
        let mut files = Files::default();
        sizes.for_each(|size| files.add(size));
        let any = any_may_go_in_parts(&rclone.remote);
        let odd: Vec<_> = self
            .odd
            .iter()
            .filter(|(.., size)| any || Files::is_large(*size))
            .collect();
        let mut apart: HashMap<String, [u8; 16]> = HashMap::new();
        for (name, path, _) in &odd {
            if let Some(md5) = rclone.kept_md5(label.clone(), prefix, path)? {
                apart.insert(name.clone(), md5);
            }
        }
        if files.large < SEVERAL && !any && odd.is_empty() {
            return self.ask_one_by_one(rclone, &label, prefix);
        }
        let without: HashSet<String> = odd.iter().map(|(name, ..)| name.clone()).collect();
        // The listing has no MD5 of multipart objects: request those concurrently. They are requested before it is
        // known whether there are any, because a HEAD returns the uploader's MD5.
        let (listed, kept) = thread::scope(|scope| {
            let kept = spawn(scope, || {
                let mut kept = apart;
                let without: Vec<&str> = without.iter().map(String::as_str).collect();
                rclone.kept_hashes(label.clone(), prefix, &without, &mut |name, md5| {
                    kept.insert(name.to_owned(), md5);
                })?;
                anyhow::Ok(kept)
            })?;
            let mut objects = Vec::new();
            let listed = rclone.list_below(label.clone(), prefix, false, &mut |object| {
                objects.push(object);
            });
            anyhow::Ok((listed.map(|()| objects), joined(kept)))
        })?;
        let (listed, kept) = (listed?, kept?);
        for object in listed {
            let (name, md5) = (&object.path, kept.get(&object.path).copied());
            // Only `lsjson` can read these names, and it continues after a refused request.
            let whole =
                self.expected.get(name).map(|(_, size)| *size) == u64::try_from(object.size).ok();
            anyhow::ensure!(
                md5.is_some() || !whole || !without.contains(name),
                "{name} is there, and the server did not say its MD5: the question was refused, or nobody stored one \
                 with it; ask again, and where it stays so, `verify --download` reads it"
            );
            self.seen(&object, md5);
        }
        Ok(())
    }

    /// Lists with MD5s. `lsjson` continues after a refused request, and the object then has no MD5. Those objects are
    /// requested again with a command that fails.
    fn ask_one_by_one(
        &mut self,
        rclone: &Rclone,
        label: &Label,
        prefix: &str,
    ) -> anyhow::Result<()> {
        let mut without = Vec::new();
        rclone.list_below(label.clone(), prefix, true, &mut |object| match object
            .md5()
            .and_then(|md5| parse_md5(md5).ok())
        {
            None => without.push(object),
            md5 => self.seen(&object, md5),
        })?;
        if without.is_empty() {
            return Ok(());
        }
        let mut kept: HashMap<String, [u8; 16]> = HashMap::new();
        rclone.kept_hashes(label.clone(), prefix, &[], &mut |name, md5| {
            kept.insert(name.to_owned(), md5);
        })?;
        for object in without {
            self.seen(&object, kept.get(&object.path).copied());
        }
        Ok(())
    }

    /// Downloads every byte and computes the MD5 locally: the server's MD5s are not used.
    ///
    /// # Errors
    /// Where it cannot be asked.
    pub(crate) fn download(
        &mut self,
        rclone: &Rclone,
        label: Label,
        prefix: &str,
    ) -> anyhow::Result<()> {
        self.by = "every byte was read";
        let odd = std::mem::take(&mut self.odd);
        let without: Vec<&str> = odd.iter().map(|(name, ..)| name.as_str()).collect();
        rclone.hash_downloads(label.clone(), prefix, &without, &mut |name, md5| {
            self.hashed(name, md5)
        })?;
        if odd.is_empty() {
            return Ok(());
        }
        // The listing shows which of them exist and their sizes; a missing object reads like an empty one.
        let mut there: HashMap<String, i64> = HashMap::new();
        rclone.list_below(label.clone(), prefix, false, &mut |object| {
            there.insert(object.path, object.size);
        })?;
        for (name, path, size) in &odd {
            match there.get(name).map(|there| u64::try_from(*there)) {
                None => {}
                Some(Ok(there)) if there == *size => {
                    let md5 = rclone.downloaded_md5(label.clone(), prefix, path, there)?;
                    self.hashed(name, md5);
                }
                Some(_) => {
                    self.expected.remove(name);
                    let there = there[name];
                    self.differences
                        .push(format!("{name} has {there} bytes, not {size}"));
                }
            }
        }
        Ok(())
    }

    fn seen(&mut self, object: &Object, md5: Option<[u8; 16]>) {
        let name = &object.path;
        let Some((at, size)) = self.expected.remove(name) else {
            return self.stranger(name);
        };
        if u64::try_from(object.size).ok() != Some(size) {
            return self
                .differences
                .push(format!("{name} has {} bytes, not {size}", object.size));
        }
        match md5 {
            Some(md5) => self.theirs[at] = Some(md5),
            None => self
                .differences
                .push(format!("{name} has no MD5 to compare")),
        }
    }

    fn hashed(&mut self, name: &str, md5: [u8; 16]) {
        match self.expected.remove(name) {
            None => self.stranger(name),
            Some((at, _)) => self.theirs[at] = Some(md5),
        }
    }

    fn stranger(&mut self, name: &str) {
        self.differences
            .push(format!("{name} is there and should not be"));
    }

    /// Every difference from the tree, whose files have their MD5 by now.
    pub(crate) fn differences(mut self, tree: &Tree) -> Vec<String> {
        for (node, theirs) in tree.nodes.iter().zip(self.theirs) {
            let (NodeKind::File { md5, .. }, Some(theirs)) = (&node.kind, theirs) else {
                continue;
            };
            if *md5 != Some(theirs) {
                self.differences.push(format!(
                    "{} has other contents ({})",
                    names::listed(&node.path),
                    self.by
                ));
            }
        }
        let mut missing: Vec<String> = self
            .expected
            .into_keys()
            .map(|name| format!("{name} is missing"))
            .collect();
        missing.sort();
        self.differences.extend(missing);
        self.differences
    }

    /// Fails where there is a difference.
    pub(crate) fn compare(self, tree: &Tree) -> Result<(), Difference> {
        let found = self.differences(tree);
        if found.is_empty() {
            Ok(())
        } else {
            Err(Difference(found))
        }
    }
}

/// What the bucket holds differs from what the snapshot holds.
#[derive(Debug)]
pub(crate) struct Difference(Vec<String>);

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = &self.0[..self.0.len().min(LISTED)];
        write!(
            f,
            "the bucket does not hold what the snapshot holds: {}",
            shown.join("; ")
        )?;
        match self.0.len() - shown.len() {
            0 => Ok(()),
            more => write!(f, "; … and {more} more"),
        }
    }
}

impl std::error::Error for Difference {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::Node;

    fn tree() -> Tree {
        let node = |path: &str, md5| Node {
            ctime: (0, 0),
            inode: 0,
            sent: None,
            facts: None,
            path: path.as_bytes().into(),
            mode: 0,
            uid: 0,
            gid: 0,
            mtime: (0, 0),
            kind: NodeKind::File {
                size: 3,
                md5: Some([md5; 16]),
            },
        };
        Tree {
            nodes: vec![node("a", 1), node("b", 2)],
            ..Tree::default()
        }
    }

    fn compare(objects: &[(&str, i64, &str)]) -> Vec<String> {
        let tree = tree();
        let mut listing = Listing::of(&tree);
        for (path, size, md5) in objects {
            let text =
                serde_json::json!({"Path": path, "Size": size, "Hashes": {"md5": md5.repeat(16)}});
            let object: Object = serde_json::from_value(text).expect("an object");
            let md5 = object.md5().and_then(|md5| parse_md5(md5).ok());
            listing.seen(&object, md5);
        }
        listing.differences(&tree)
    }

    #[test]
    fn every_kind_of_difference_is_named() {
        assert!(compare(&[("a", 3, "01"), ("b", 3, "02")]).is_empty());
        for (objects, says) in [
            (&[("a", 3, "01")][..], "b is missing"),
            (
                &[("a", 3, "01"), ("b", 3, "02"), ("c", 3, "02")],
                "c is there and should not be",
            ),
            (&[("a", 3, "01"), ("b", 4, "02")], "b has 4 bytes, not 3"),
            (&[("a", 3, "01"), ("b", 3, "03")], "b has other contents"),
            (&[("a", 3, "01"), ("b", 3, "")], "b has no MD5"),
        ] {
            let found = compare(objects);
            assert!(found.len() == 1 && found[0].contains(says), "{found:?}");
        }
    }
}
