//! Backups of an AI assistant's memory: a Btrfs snapshot, an upload, a check of what arrived, a manifest, retention.
//!
//! The modules, from top to bottom; each imports only modules below it:
//!
//! - `commands`: one file a command. `cli` parses the command line.
//! - `report`: the verdict, the state file, the metrics.
//! - `backup`: the run. `restore`: the way back. `retention`: what is deleted.
//! - `preflight`: prerequisites. `host`: what every command starts from.
//! - `bucket`, `dataset`, `snapshots`: what is stored. `redis_files`: would a server load it.
//! - `tools`: command lines and answers of btrfs, rclone and the scripts. `process`: the one spawn site.
//! - `secrets`, `ui`, `step`, `exit`, `config` and small files at the bottom.

#![deny(unreachable_pub)]
#![cfg_attr(not(test), deny(clippy::too_many_lines))]

mod backup;
mod bucket;
mod cli;
mod commands;
mod config;
mod dataset;
mod exit;
mod free_space;
mod host;
mod interrupt;
mod lock;
mod preflight;
mod process;
mod redis_files;
mod report;
mod restore;
mod retention;
mod secrets;
mod small_file;
mod snapshots;
mod step;
mod threads;
mod timestamp;
mod tools;
mod ui;

pub use commands::main;
