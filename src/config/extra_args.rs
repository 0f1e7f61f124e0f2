//! `remote.extra_args`: each element is judged before it reaches rclone's command line.
//!
//! What comes out is always `--flag` or `--flag=value`, whatever way it was written: an element
//! that stands alone could be taken for a source to upload. A refused argument's value is not
//! repeated in the message, since it may be a key.

use super::bandwidth::{decimal, suffixed};
use super::flags::{ALLOWED, Kind, REFUSED};
use super::problem::{Refusal, quoted};
use super::suggest::nearest;

const MIB: f64 = 1_048_576.0;

/// The arguments to pass on, and what is wrong, by the element's index.
pub(super) fn extra_args(elements: &[&str]) -> (Vec<String>, Vec<(usize, Refusal)>) {
    let mut accepted: Vec<String> = Vec::new();
    let mut refused = Vec::new();
    let mut index = 0;
    while let Some(element) = elements.get(index) {
        let (name, attached) = element
            .split_once('=')
            .map_or((*element, None), |(name, value)| (name, Some(value)));
        let following = elements
            .get(index + 1)
            .copied()
            .filter(|next| attached.is_none() && !next.starts_with('-'));
        let kind = ALLOWED
            .iter()
            .find(|(flag, _)| *flag == name)
            .map(|(_, kind)| *kind);
        // A switch never takes the next element; anything else does, a refused flag included:
        // its value is not a mistake of its own.
        let takes_next = name.starts_with("--")
            && following.is_some()
            && !matches!(kind, Some(Kind::Switch | Kind::On));
        let value = attached.or(following.filter(|_| takes_next));
        let repeated = accepted
            .iter()
            .any(|earlier| earlier.split('=').next() == Some(name));
        let verdict = match kind {
            _ if !name.starts_with("--") => Err(not_a_flag(name)),
            None => Err(not_allowed(name)),
            Some(_) if repeated => Err(Refusal::new(
                format!("{name} is there twice"),
                "keep one of them",
            )),
            Some(kind) => check(name, kind, value),
        };
        match verdict {
            Ok(argument) => accepted.push(argument),
            Err(refusal) => refused.push((index, refusal)),
        }
        index += if takes_next { 2 } else { 1 };
    }
    (accepted, refused)
}

fn not_a_flag(element: &str) -> Refusal {
    if element.starts_with('-') {
        return Refusal::new(
            "short options are refused",
            "write the long form, if it is one of the allowed arguments",
        );
    }
    Refusal::new(
        "is neither a flag nor the value of the flag before it: rclone would take it for a path",
        "write --flag=value",
    )
}

fn not_allowed(name: &str) -> Refusal {
    let reason = REFUSED.iter().find(|(pattern, _, _)| {
        pattern
            .strip_suffix('*')
            .map_or(*pattern == name, |start| name.starts_with(start))
    });
    if let Some((_, what, remedy)) = reason {
        return Refusal::new(format!("{} is refused: it {what}", shown(name)), *remedy);
    }
    let remedy = match nearest(name, ALLOWED.iter().map(|(flag, _)| *flag)) {
        Some(flag) => format!("did you mean {flag}?"),
        None => "allowed are --transfers, --checkers, --tpslimit, timeouts, retries and most of \
                 --s3-*"
            .to_owned(),
    };
    Refusal::new(
        format!("{} is not among the allowed arguments", shown(name)),
        remedy,
    )
}

/// A flag's name as rclone spells them; anything else is not repeated.
fn shown(name: &str) -> &str {
    let plain = name.len() <= 60
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if plain && name != "--" { name } else { "this" }
}

fn check(name: &str, kind: Kind, value: Option<&str>) -> Result<String, Refusal> {
    let Some(value) = value else {
        return match kind {
            Kind::Switch | Kind::On => Ok(name.to_owned()),
            _ => Err(Refusal::new(
                format!("{name} has no value"),
                format!("write {name}={}", example(kind)),
            )),
        };
    };
    if fits(kind, value) {
        return Ok(format!("{name}={value}"));
    }
    Err(Refusal::new(
        format!("{name} must be {}, is {}", describe(kind), quoted(value)),
        format!("write it like {name}={}", example(kind)),
    ))
}

fn fits(kind: Kind, value: &str) -> bool {
    match kind {
        Kind::Switch => matches!(value, "true" | "false"),
        Kind::On => value == "true",
        Kind::Tristate => matches!(value, "true" | "false" | "unset"),
        // No leading zero: rclone would read "010" as eight.
        Kind::Count(low, high) => value
            .parse::<u32>()
            .is_ok_and(|number| number.to_string() == value && (low..=high).contains(&number)),
        Kind::Rate(low) => decimal(value).is_some_and(|rate| (low..=1e6).contains(&rate)),
        Kind::Size => {
            suffixed(value).is_some_and(|size| (5.0 * MIB..=5120.0 * MIB).contains(&size))
        }
        Kind::Cutoff => suffixed(value).is_some_and(|size| size <= 5120.0 * MIB),
        Kind::Time { zero } => go_seconds(value)
            .is_some_and(|seconds| seconds <= 30.0 * 86_400.0 && (zero || seconds > 0.0)),
        Kind::Word => {
            (1..=64).contains(&value.len())
                && value
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
        }
        Kind::Choice(choices) => choices.contains(&value),
    }
}

fn describe(kind: Kind) -> String {
    match kind {
        Kind::Switch => "true or false".to_owned(),
        Kind::On => "true".to_owned(),
        Kind::Tristate => "true, false or unset".to_owned(),
        Kind::Count(low, high) => format!("a whole number from {low} to {high}"),
        Kind::Rate(low) => format!("a number from {low} to 1000000"),
        Kind::Size => "a size from 5M to 5G".to_owned(),
        Kind::Cutoff => "a size up to 5G".to_owned(),
        Kind::Time { zero: true } => "a time up to 720h".to_owned(),
        Kind::Time { zero: false } => "a time above 0 and up to 720h".to_owned(),
        Kind::Word => "a word of letters, digits, -, _ and .".to_owned(),
        Kind::Choice(choices) => format!("one of {}", choices.join(", ")),
    }
}

fn example(kind: Kind) -> String {
    match kind {
        Kind::Switch | Kind::On | Kind::Tristate => "true".to_owned(),
        Kind::Count(low, _) => low.max(2).to_string(),
        Kind::Rate(_) => "10".to_owned(),
        Kind::Size | Kind::Cutoff => "16M".to_owned(),
        Kind::Time { .. } => "1m30s".to_owned(),
        Kind::Word => "us-west-004".to_owned(),
        Kind::Choice(choices) => choices.first().copied().unwrap_or_default().to_owned(),
    }
}

/// A Go duration without sign, in seconds. Days are not among its units; rclone 1.60.1 does not
/// add them either.
fn go_seconds(text: &str) -> Option<f64> {
    let mut total = 0.0;
    let mut rest = text;
    loop {
        let split = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(split);
        let end = tail
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(end);
        let scale = match unit {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 0.001,
            _ => return None,
        };
        total += decimal(number)? * scale;
        if tail.is_empty() {
            return Some(total);
        }
        rest = tail;
    }
}
