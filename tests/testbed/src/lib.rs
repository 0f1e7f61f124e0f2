//! The real parts that the black-box tests and `cargo xtask demo` run on: Btrfs
//! on loop devices, S3 servers, Redis or Valkey, and what stands where the network
//! ends (a stub of the native B2 API, a relay that misbehaves, a link that is long).
//!
//! Everything is an RAII guard, and a guard does not run when its process is
//! killed. So every server is tied to us by its parent-death signal
//! ([`process::Daemon`]) and every scratch directory has a reaper that outlives
//! us ([`scratch::Scratch`]): Ctrl-C leaves no mount, loop device or process.
//!
//! Start at [`bed::Bed`], which ties the parts together.

pub mod b2;
pub mod bed;
pub mod clock;
pub mod disk;
mod http;
pub mod link;
mod listener;
pub mod pages;
pub mod process;
pub mod provision;
pub mod rdb_fixtures;
pub mod redis;
pub mod relay;
pub mod s3;
pub mod scratch;

pub use bed::{Bed, Ran, Rclone, Running, Server};
pub use nix::sys::signal::Signal;
pub use provision::Tools;
