//! What is deleted, here and in the bucket.

pub(crate) mod bucket;
mod policy;
pub(crate) mod snapshots;

use serde::Serialize;

pub(crate) use policy::*;

#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Pruned {
    /// Every candidate, with its reason.
    pub rows: Vec<Row>,
    pub deleted: u64,
    /// The same for the bucket, where `[retention.remote]` is set.
    pub remote_rows: Vec<Row>,
    /// How many backups went from the bucket.
    pub remote_deleted: u64,
    /// Which could not be deleted, and why.
    pub failed: Vec<String>,
    /// What somebody should look at.
    pub warnings: Vec<String>,
}
