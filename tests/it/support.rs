//! What every group of tests needs.

use std::path::Path;

use testbed::{Bed, Ran};

/// The binary under test.
pub const BIN: &str = env!("CARGO_BIN_EXE_opencode-backup");

/// A fresh bed around the binary.
pub fn bed() -> Bed {
    Bed::new(Path::new(BIN)).expect("a test bed; `cargo xtask test` installs what it needs")
}

/// Runs and expects this exit code, showing everything where it differs.
#[track_caller]
pub fn expect(bed: &Bed, args: &[&str], code: i32) -> Ran {
    let ran = bed.run(args).expect("the binary starts");
    assert_eq!(ran.code, Some(code), "{ran}");
    ran
}
