//! The commands that answer, and what each prints where: an answer on stdout, the log on stderr, and nothing else.

mod check;
mod check_remote;
mod command_line;
mod dry_run;
mod list;
mod list_many;
mod streams;
mod terminal;

use serde_json::Value;
use testbed::{Bed, Ran};

/// The JSON on stdout, which holds nothing else.
#[track_caller]
fn json(ran: &Ran) -> Value {
    serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran}"))
}

/// The names of an object's fields, sorted.
#[track_caller]
fn fields(value: &Value) -> Vec<&str> {
    let object = value.as_object().expect("an object");
    let mut names: Vec<&str> = object.keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

/// What a command that only asks must not change.
fn everything(bed: &Bed) -> (Vec<String>, Vec<String>, bool) {
    let keys = bed.keys().expect("keys");
    let snapshots = bed.snapshots().expect("names");
    (keys, snapshots, bed.state_path().exists())
}
