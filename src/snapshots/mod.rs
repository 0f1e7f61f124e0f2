//! Local snapshots: their names, the directory they lie in, and how one is taken.

mod directory;
mod name;
mod ownership;
mod take;

pub(crate) use directory::*;
pub(crate) use name::SnapshotName;
pub(crate) use ownership::{Foreign, Ownership};
pub(crate) use take::{Snapshot, take};
