//! No secret anywhere: not in an argument list, an environment that does not need it, a log or a file.

mod env_files;
pub mod fixture;
mod printed;
mod processes;
mod sources;
mod written;
