//! What a person sees: log lines, progress, formatted values.

mod format;
pub(crate) mod logging;
pub(crate) mod progress;

pub(crate) use format::{Bytes, age, counted, shown};
