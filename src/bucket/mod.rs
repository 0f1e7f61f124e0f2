//! What lies in the bucket: the names of objects, a backup's summary and file list, and all backups together.

pub(crate) mod backup;
pub(crate) mod catalog;
pub(crate) mod names;
pub(crate) mod select;
pub(crate) mod summary;
