//! Local snapshots: their names, the directory they lie in, and how one is taken.

mod directory;
mod name;
mod take;

pub use directory::*;
pub use name::SnapshotName;
pub use take::{Snapshot, take};
