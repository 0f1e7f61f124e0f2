//! Backups of an AI assistant's memory: a Btrfs snapshot, uploaded, proven, pruned, and loud when any of it
//! failed.
//!
//! The map, in the order in which a run meets it:
//!
//! - [`cli`] parses, [`commands`] has a thin file for each command, [`host`] is what they start from.
//! - [`config`], [`env_file`], [`credentials`], [`secret`]: strings end here.
//! - [`preflight`] and [`lock`]: before anything is touched.
//! - [`backup`]: the run. [`tree`] is a dataset's files, [`redis_files`] knows whether they are whole,
//!   [`verify`] whether they arrived, [`manifest`] what is written last, [`retention`] what goes.
//! - [`snapshots`] and [`catalog`]: what there is, here and in the bucket.
//! - [`tools`] build command lines and read answers; [`exec`] runs them; [`interrupt`] stops them.
//! - [`report`], [`logging`] and [`progress`] tell.

pub mod backup;
pub mod catalog;
pub mod chosen;
pub mod cli;
pub mod commands;
pub mod config;
pub mod credentials;
pub mod env_file;
pub mod exec;
pub mod expiry;
pub mod host;
pub mod interrupt;
pub mod lock;
pub mod logging;
pub mod manifest;
pub mod metrics;
pub mod preflight;
pub mod progress;
pub mod prune;
pub mod redis_files;
pub mod report;
pub mod restore;
pub mod retention;
pub mod secret;
pub mod small_file;
pub mod snapshot_name;
pub mod snapshots;
pub mod space;
pub mod threads;
pub mod timestamp;
pub mod tools;
pub mod tree;
pub mod verify;
