//! What the bucket holds against what a tree says: names, sizes, MD5s.

use std::collections::HashMap;

use crate::exec::Label;
use crate::tools::rclone::{Object, Rclone, names, parse_md5};
use crate::tree::{NodeKind, Tree};

/// How many differences a sentence names.
const LISTED: usize = 5;

/// Compares what is below a prefix with a tree whose files have their MD5, in one sentence.
///
/// # Errors
/// The differences, or why the bucket cannot be asked.
pub fn listing(rclone: &Rclone, label: Label, tree: &Tree, prefix: &str) -> Result<(), String> {
    let mut found = differences(rclone, label, tree, prefix)
        .map_err(|error| format!("listing {prefix}: {error:#}"))?;
    let more = found.len().saturating_sub(LISTED);
    found.truncate(LISTED);
    if more > 0 {
        found.push(format!("… and {more} more"));
    }
    match found.is_empty() {
        true => Ok(()),
        false => Err(format!(
            "the bucket does not hold what the snapshot holds: {}",
            found.join("; ")
        )),
    }
}

/// Every difference between what the bucket lists below a prefix and a tree.
///
/// # Errors
/// Where the bucket cannot be asked.
pub fn differences(
    rclone: &Rclone,
    label: Label,
    tree: &Tree,
    prefix: &str,
) -> anyhow::Result<Vec<String>> {
    let mut comparison = Comparison::new(tree);
    rclone.list_hashes(label, prefix, &mut |object| comparison.seen(&object))?;
    Ok(comparison.finish())
}

/// The same, with every byte downloaded and hashed here: what the server says of its objects counts for nothing.
///
/// # Errors
/// Where the bucket cannot be asked.
pub fn downloaded(
    rclone: &Rclone,
    label: Label,
    tree: &Tree,
    prefix: &str,
) -> anyhow::Result<Vec<String>> {
    let mut comparison = Comparison::new(tree);
    rclone.hash_downloads(label, prefix, &mut |name, md5| comparison.hashed(name, md5))?;
    Ok(comparison.finish())
}

struct Comparison {
    expected: HashMap<String, (u64, Option<[u8; 16]>)>,
    differences: Vec<String>,
}

impl Comparison {
    fn new(tree: &Tree) -> Self {
        let expected = tree.nodes.iter().filter_map(|node| match node.kind {
            NodeKind::File { size, md5 } => Some((names::listed(&node.path), (size, md5))),
            _ => None,
        });
        Self {
            expected: expected.collect(),
            differences: Vec::new(),
        }
    }

    fn seen(&mut self, object: &Object) {
        let name = &object.path;
        let Some((size, md5)) = self.expected.remove(name) else {
            return self
                .differences
                .push(format!("{name} is there and should not be"));
        };
        if u64::try_from(object.size).ok() != Some(size) {
            return self
                .differences
                .push(format!("{name} has {} bytes, not {size}", object.size));
        }
        match (md5, object.md5().map(parse_md5)) {
            (Some(ours), Some(Ok(theirs))) if ours == theirs => {}
            (Some(_), Some(Ok(_))) => self
                .differences
                .push(format!("{name} has other contents (MD5)")),
            _ => self
                .differences
                .push(format!("{name} has no MD5 to compare")),
        }
    }

    fn hashed(&mut self, name: &str, theirs: [u8; 16]) {
        match self.expected.remove(name) {
            None => self
                .differences
                .push(format!("{name} is there and should not be")),
            Some((_, Some(ours))) if ours == theirs => {}
            Some(_) => self
                .differences
                .push(format!("{name} has other contents (every byte was read)")),
        }
    }

    fn finish(mut self) -> Vec<String> {
        let mut missing: Vec<String> = self
            .expected
            .into_keys()
            .map(|name| format!("{name} is missing"))
            .collect();
        missing.sort();
        self.differences.extend(missing);
        self.differences
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Node;

    fn tree() -> Tree {
        let node = |path: &str, md5| Node {
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
        let mut comparison = Comparison::new(&tree);
        for (path, size, md5) in objects {
            let text =
                serde_json::json!({"Path": path, "Size": size, "Hashes": {"md5": md5.repeat(16)}});
            comparison.seen(&serde_json::from_value(text).expect("an object"));
        }
        comparison.finish()
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
