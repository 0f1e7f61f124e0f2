//! The keys to the bucket: where they come from, and what keeps them out of every output.

mod env_file;
mod keys;
mod redaction;

pub(crate) use keys::{APP_KEY, Credentials, Environment, KEY_ID, NoCredentials, find, redactor};
pub(crate) use redaction::{Redactor, Secret};
