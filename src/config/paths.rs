//! Paths as a configuration may name them: absolute ones, and ones below the subvolume.
//!
//! They are compared as text later on (a dataset against the snapshot directory, a snapshot's
//! name against the subvolume's), so there must be one spelling of each: no `.`, no `..`, no
//! doubled and no trailing slash. Nothing here looks at a disk.

use std::path::PathBuf;

use super::problem::{Refusal, quoted};

/// An absolute path to something below `/`.
pub(super) fn absolute(text: &str) -> Result<PathBuf, Refusal> {
    let Some(inner) = text.strip_prefix('/') else {
        return Err(Refusal::new(
            format!("must be an absolute path, is {}", quoted(text)),
            "write the whole path, from \"/\" on",
        ));
    };
    if inner.is_empty() {
        return Err(Refusal::new(
            "must name something below \"/\", is \"/\"",
            "the last component gives the name: write the path of a subvolume, directory or file \
             of its own",
        ));
    }
    components(text, inner)
}

/// A path below the subvolume: relative, at least one component.
pub(super) fn relative(text: &str) -> Result<PathBuf, Refusal> {
    if text.starts_with('/') {
        return Err(Refusal::new(
            format!("must be relative, is {}", quoted(text)),
            "write it below the subvolume, without the subvolume's own path",
        ));
    }
    components(text, text)
}

fn components(text: &str, inner: &str) -> Result<PathBuf, Refusal> {
    if text.chars().any(char::is_control) {
        return Err(Refusal::new(
            format!("must have no control characters, is {}", quoted(text)),
            "leave them out, or rename the directory",
        ));
    }
    match inner
        .split('/')
        .find(|part| matches!(*part, "" | "." | "..") || part.len() > 255)
    {
        None => Ok(PathBuf::from(text)),
        Some("") => Err(Refusal::new(
            format!(
                "must have no empty component and no \"/\" at the end, is {}",
                quoted(text)
            ),
            "write each \"/\" once, and none at the end",
        )),
        Some(part @ ("." | "..")) => Err(Refusal::new(
            format!("must have no \"{part}\" component, is {}", quoted(text)),
            "write the path it stands for",
        )),
        Some(_) => Err(Refusal::new(
            format!(
                "must have no component beyond 255 bytes, is {}",
                quoted(text)
            ),
            "no file system has such a name",
        )),
    }
}
