//! What lies in the bucket: names, manifests, the catalog of backups, and the choice of one.

pub mod catalog;
pub mod manifest;
pub mod names;
pub mod select;
