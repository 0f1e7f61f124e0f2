//! What a snapshot cannot hold is found before anything is sent, and named.

#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod kinds;
mod mounts;
mod scratch_files;
