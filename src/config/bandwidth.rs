//! rclone's `--bwlimit` syntax, checked before rclone sees it.
//!
//! A typing error here would otherwise show as a failed upload at night. The grammar is the part
//! that rclone 1.60.1 and 1.75.2 both accept (tried on both); rclone's floating-point extras
//! (`1e3`, `0x1p4`), `;` between slots and times like `+1:00` are left out.

use super::problem::{Refusal, quoted};

const DAYS: [&str; 7] = [
    "sunday",
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
];

/// The most one rate may say, in bytes a second: beyond it rclone's integer overflows.
const LIMIT: f64 = (1_u64 << 62) as f64;

/// `None` for an empty text: no limit.
pub(super) fn bandwidth(text: &str) -> Result<Option<String>, Refusal> {
    if text.is_empty() {
        return Ok(None);
    }
    let good = if text.contains([' ', ',']) {
        text.split(' ').all(is_slot)
    } else {
        is_pair(text)
    };
    good.then(|| Some(text.to_owned())).ok_or_else(|| {
        Refusal::new(
            format!("must be an rclone --bwlimit, is {}", quoted(text)),
            "write \"10M\", \"10M:off\" (up:down) or \"08:00,512k Sat-12:00,off\", one space \
             between slots",
        )
    })
}

fn is_slot(text: &str) -> bool {
    let Some((when, rate)) = text.split_once(',') else {
        return false;
    };
    let (day, time) = when
        .split_once('-')
        .map_or((None, when), |(day, time)| (Some(day), time));
    day.is_none_or(is_day) && is_time(time) && is_pair(rate)
}

fn is_day(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    DAYS.iter().any(|day| *day == text || day[..3] == text)
}

fn is_time(text: &str) -> bool {
    let two = |digits: &str, limit: u8| {
        digits.len() == 2
            && digits.bytes().all(|byte| byte.is_ascii_digit())
            && digits.parse::<u8>().is_ok_and(|number| number < limit)
    };
    text.split_once(':')
        .is_some_and(|(hour, minute)| two(hour, 24) && two(minute, 60))
}

/// One rate, or one up and one down.
fn is_pair(text: &str) -> bool {
    text.split_once(':')
        .map_or_else(|| is_rate(text), |(up, down)| is_rate(up) && is_rate(down))
}

fn is_rate(text: &str) -> bool {
    text.eq_ignore_ascii_case("off") || suffixed(text).is_some_and(|bytes| bytes <= LIMIT)
}

/// rclone's SizeSuffix without `off`: a decimal number of KiB, or with a binary suffix; in bytes.
pub(super) fn suffixed(text: &str) -> Option<f64> {
    let split = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at(split);
    let exponent = match suffix.to_ascii_lowercase().as_str() {
        "b" => 0,
        "" | "k" | "ki" | "kib" => 1,
        "m" | "mi" | "mib" => 2,
        "g" | "gi" | "gib" => 3,
        "t" | "ti" | "tib" => 4,
        "p" | "pi" | "pib" => 5,
        _ => return None,
    };
    decimal(number).map(|value| value * 1024_f64.powi(exponent))
}

/// Digits, and perhaps a point with digits on both sides.
pub(super) fn decimal(text: &str) -> Option<f64> {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let plain = text.split_once('.').map_or_else(
        || digits(text),
        |(whole, part)| digits(whole) && digits(part),
    );
    plain.then(|| text.parse().ok()).flatten()
}
