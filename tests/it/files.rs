//! Whatever the files are called, and whatever they are: stored to the byte, or refused by name.

#![allow(clippy::expect_used, reason = "a test fails by panicking")]

pub mod stored;
