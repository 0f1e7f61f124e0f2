//! Black-box tests: the real binary on real parts, a file for each group of promises.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails with these words"
)]

mod answers;
mod configuration;
mod contents;
mod export;
mod files;
mod journal;
mod prerequisites;
mod privileges;
mod remote;
mod retention;
mod secrets;
mod signals;
mod snapshot;
mod structure;
mod support;
mod tidy;
