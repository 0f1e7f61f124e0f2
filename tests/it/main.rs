//! Black-box tests: the real binary on real parts, a file for each group of promises.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails with these words"
)]

mod answers;
mod configuration;
mod contents;
mod drill;
mod export;
mod files;
mod journal;
mod metrics;
mod prerequisites;
mod privileges;
mod prune;
mod remote;
mod restore;
mod retention;
mod secrets;
mod signals;
mod snapshot;
mod status;
mod structure;
mod support;
mod tidy;
mod verify;
