//! What systemd hears: records with fields, one verdict on every path out, and the unit's status line.

mod fake;
mod real;
mod records;
mod status;
mod verdict;
