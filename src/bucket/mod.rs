//! What lies in the bucket: names, manifests, the catalog of backups, and the choice of one.

pub(crate) mod catalog;
pub(crate) mod manifest;
pub(crate) mod names;
pub(crate) mod select;
