//! Answers: status, XML, dates.

use std::ops::Range;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use super::store::Object;
use crate::http::Head;

/// An answer, with a text or with an object's bytes.
pub(super) struct Answer {
    pub(super) head: Head,
    pub(super) body: String,
    pub(super) object: Option<(Arc<Object>, Range<u64>)>,
}

impl Answer {
    pub(super) fn status(status: u16) -> Self {
        Self {
            head: Head::new(format!("HTTP/1.1 {status} -")),
            body: String::new(),
            object: None,
        }
    }

    pub(super) fn ok() -> Self {
        Self::status(200)
    }

    pub(super) fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.head = self.head.with(name, value);
        self
    }

    pub(super) fn xml(text: &str) -> Self {
        let mut answer = Self::ok().with("Content-Type", "application/xml");
        answer.body = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{text}");
        answer
    }

    /// All of an object, or the part that `bytes=…` asks for.
    pub(super) fn object(object: &Arc<Object>, range: Option<&str>) -> Self {
        let asked = range.and_then(|text| parse_range(text, object.size));
        let mut answer = Self::status(if asked.is_some() { 206 } else { 200 })
            .with("ETag", &object.etag)
            .with("Last-Modified", date(object.modified))
            .with("Accept-Ranges", "bytes");
        if let Some(Range { start, end }) = &asked {
            let value = format!("bytes {start}-{}/{}", end - 1, object.size);
            answer = answer.with("Content-Range", value);
        }
        for (name, value) in &object.metadata {
            answer = answer.with(name, value);
        }
        answer.object = Some((Arc::clone(object), asked.unwrap_or(0..object.size)));
        answer
    }
}

pub(super) fn error(status: u16, code: &str, message: &str) -> Answer {
    let mut answer = Answer::xml(&format!(
        "<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    ));
    answer.head.first = format!("HTTP/1.1 {status} -");
    answer
}

fn parse_range(text: &str, size: u64) -> Option<Range<u64>> {
    let (from, to) = text.strip_prefix("bytes=")?.split_once('-')?;
    let range = match (from.parse::<u64>(), to.parse::<u64>()) {
        (Ok(from), Ok(to)) => from..to.saturating_add(1).min(size),
        (Ok(from), Err(_)) => from..size,
        (Err(_), Ok(last)) => size.saturating_sub(last)..size,
        (Err(_), Err(_)) => return None,
    };
    (range.start < range.end).then_some(range)
}

pub(super) fn xml(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    text.replace('>', "&gt;").replace('"', "&quot;")
}

/// Year, month, day, day of the week from Sunday, and seconds of the day.
fn civil(time: SystemTime) -> (u64, usize, u64, usize, u64) {
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |t| t.as_secs());
    let (mut days, rest) = (seconds / 86_400, seconds % 86_400);
    let weekday = (days + 4) % 7;
    let leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let mut year = 1970;
    while days >= 365 + u64::from(leap(year)) {
        days -= 365 + u64::from(leap(year));
        year += 1;
    }
    let february = 28 + u64::from(leap(year));
    let lengths = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while days >= lengths[month] {
        days -= lengths[month];
        month += 1;
    }
    (year, month, days + 1, weekday as usize, rest)
}

/// As in HTTP's headers.
pub(super) fn date(time: SystemTime) -> String {
    const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let (year, month, day, weekday, s) = civil(time);
    let (hour, minute, second) = (s / 3600, s / 60 % 60, s % 60);
    let (weekday, month) = (DAYS[weekday], MONTHS[month]);
    format!("{weekday}, {day:02} {month} {year} {hour:02}:{minute:02}:{second:02} GMT")
}

/// As in listings.
pub(super) fn stamp(time: SystemTime) -> String {
    let (year, month, day, _, s) = civil(time);
    let (month, hour, minute, second) = (month + 1, s / 3600, s / 60 % 60, s % 60);
    format!("{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.000Z")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, expected, listed) in [
            (
                0,
                "Thu, 01 Jan 1970 00:00:00 GMT",
                "1970-01-01T00:00:00.000Z",
            ),
            (
                951_782_399,
                "Mon, 28 Feb 2000 23:59:59 GMT",
                "2000-02-28T23:59:59.000Z",
            ),
            (
                951_782_400,
                "Tue, 29 Feb 2000 00:00:00 GMT",
                "2000-02-29T00:00:00.000Z",
            ),
            (
                1_767_225_599,
                "Wed, 31 Dec 2025 23:59:59 GMT",
                "2025-12-31T23:59:59.000Z",
            ),
        ] {
            let time = UNIX_EPOCH + Duration::from_secs(seconds);
            assert_eq!(
                (date(time), stamp(time)),
                (expected.to_owned(), listed.to_owned())
            );
        }
    }

    #[test]
    fn a_range_ends_where_the_object_does() {
        assert_eq!(parse_range("bytes=0-0", 9), Some(0..1));
        assert_eq!(parse_range("bytes=4-", 9), Some(4..9));
        assert_eq!(parse_range("bytes=4-99", 9), Some(4..9));
        assert_eq!(parse_range("bytes=-3", 9), Some(6..9));
        assert_eq!(parse_range("bytes=9-", 9), None);
    }
}
