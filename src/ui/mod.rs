//! What a person sees: log lines, progress, formatted values.

mod format;
pub mod logging;
pub mod progress;

pub use format::{Bytes, age, counted, shown};
