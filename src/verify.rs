//! What the bucket lists against what a tree holds: names, sizes, MD5s.

use std::collections::HashMap;

use crate::exec::Label;
use crate::tools::rclone::{Object, Rclone, names, parse_md5};
use crate::tree::{NodeKind, Tree};

/// How many differences an error names.
const LISTED: usize = 5;

/// Compares what is below a prefix with a tree whose files have their MD5.
///
/// # Errors
/// The differences, or why the bucket cannot be asked.
pub fn listing(rclone: &Rclone, label: Label, tree: &Tree, prefix: &str) -> Result<(), String> {
    let mut comparison = Comparison::new(tree);
    rclone
        .list_hashes(label, prefix, &mut |object| comparison.seen(&object))
        .map_err(|error| format!("listing {prefix}: {error:#}"))?;
    comparison.finish().map_err(|differences| {
        format!("the bucket does not hold what the snapshot holds: {differences}")
    })
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

    fn finish(mut self) -> Result<(), String> {
        let mut missing: Vec<String> = self
            .expected
            .into_keys()
            .map(|name| format!("{name} is missing"))
            .collect();
        missing.sort();
        self.differences.extend(missing);
        let more = self.differences.len().saturating_sub(LISTED);
        self.differences.truncate(LISTED);
        if more > 0 {
            self.differences.push(format!("… and {more} more"));
        }
        match self.differences.is_empty() {
            true => Ok(()),
            false => Err(self.differences.join("; ")),
        }
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

    fn compare(objects: &[(&str, i64, &str)]) -> Result<(), String> {
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
        assert_eq!(compare(&[("a", 3, "01"), ("b", 3, "02")]), Ok(()));
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
            let error = compare(objects).expect_err("a difference");
            assert!(error.contains(says), "{error}");
        }
    }
}
