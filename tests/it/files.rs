//! Whatever the files are called, and whatever they are: stored to the byte, or refused by name.
//!
//! Each with both rclones: what a name becomes on the way is theirs to decide, and has changed before.

#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod entries;
mod incremental;
mod many;
mod names;
pub mod stored;

use std::path::Path;

use testbed::{Bed, Rclone, Server};

use crate::support::BIN;

/// A bed without the export, whose falkordb is a dataset of plain files.
#[track_caller]
fn plain(rclone: Rclone, server: Server) -> Bed {
    let bed = Bed::builder(Path::new(BIN)).rclone(rclone).s3(server);
    let bed = bed.build().expect("a bed");
    bed.set("export.enable", false).expect("a setting");
    bed.set("datasets.falkordb.format", "files")
        .expect("a setting");
    bed
}
