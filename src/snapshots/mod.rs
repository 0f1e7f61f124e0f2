//! Local snapshots: their names, the directory they lie in, and how one is taken.

mod directory;
mod name;
mod take;

pub(crate) use directory::*;
pub(crate) use name::SnapshotName;
pub(crate) use take::{Snapshot, take};
