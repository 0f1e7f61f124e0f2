//! The run's timestamp: it names the snapshot, the prefixes and the manifest.
//!
//! Dashes stand where RFC 3339 has colons, so that it is a plain file and object name. Parsing
//! accepts only text that prints back to itself: a name that merely looks like one of ours must
//! never be pruned as if it were.

use std::{fmt, str::FromStr};

use chrono::{DateTime, Datelike, NaiveDate, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

const FORMAT: &str = "%Y-%m-%dT%H-%M-%SZ";

/// A UTC time of whole seconds in the years 0000 to 9999, printed as `2025-01-01T12-00-00Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Timestamp(DateTime<Utc>);

/// Text that is no [`Timestamp`]; holds the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NotATimestamp(String);

impl Timestamp {
    /// Of `2025-01-01T12-00-00Z`, in characters.
    pub(crate) const LENGTH: usize = 20;

    /// The clock's time, its fraction of a second cut off. Called once a run, in the command, and
    /// passed down: every decision of a run sees the same time.
    pub(crate) fn now() -> Self {
        let now = Utc::now();
        // Linux keeps its clock below the year 2262, so the second branch is never taken.
        Self::from_unix(now.timestamp()).unwrap_or(Self(now))
    }

    /// The time `seconds` after 1970-01-01T00:00:00Z; `None` outside the years 0000 to 9999.
    pub(crate) fn from_unix(seconds: i64) -> Option<Self> {
        DateTime::from_timestamp(seconds, 0)
            .filter(|time| (0..=9999).contains(&time.year()))
            .map(Self)
    }

    pub(crate) fn unix(self) -> i64 {
        self.0.timestamp()
    }

    /// The day, in UTC.
    pub(crate) fn date(self) -> NaiveDate {
        self.0.date_naive()
    }

    /// The same time for people and JSON readers: `2025-01-01T12:00:00Z` (RFC 3339).
    pub(crate) fn rfc3339(self) -> String {
        self.0.format("%Y-%m-%dT%H:%M:%SZ").to_string()
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0.format(FORMAT).to_string())
    }
}

impl FromStr for Timestamp {
    type Err = NotATimestamp;

    fn from_str(text: &str) -> Result<Self, NotATimestamp> {
        chrono::NaiveDateTime::parse_from_str(text, FORMAT)
            .ok()
            .and_then(|time| Self::from_unix(time.and_utc().timestamp()))
            .filter(|time| time.to_string() == text)
            .ok_or_else(|| NotATimestamp(text.to_owned()))
    }
}

impl fmt::Display for NotATimestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is not a timestamp (UTC, as in 2025-01-01T12-00-00Z)",
            self.0
        )
    }
}

impl std::error::Error for NotATimestamp {}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

/// Times as RFC 3339 in JSON: `2025-01-01T12:00:00Z`. Fractions of a second are cut off when read.
pub(crate) mod rfc3339 {
    use serde::{Deserialize, Deserializer, Serializer, de};

    use super::{DateTime, Timestamp};

    pub(crate) fn serialize<S: Serializer>(time: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&time.rfc3339())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Timestamp, D::Error> {
        let text = String::deserialize(from)?;
        let time = DateTime::parse_from_rfc3339(&text).ok();
        time.and_then(|time| Timestamp::from_unix(time.timestamp()))
            .ok_or_else(|| de::Error::custom(format_args!("{text:.40?} is no RFC 3339 time")))
    }

    pub(crate) mod optional {
        use super::{Deserialize, Deserializer, Serializer, Timestamp};

        pub(crate) fn serialize<S: Serializer>(
            time: &Option<Timestamp>,
            to: S,
        ) -> Result<S::Ok, S::Error> {
            match time {
                Some(time) => super::serialize(time, to),
                None => to.serialize_none(),
            }
        }

        pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
            from: D,
        ) -> Result<Option<Timestamp>, D::Error> {
            #[derive(Deserialize)]
            struct Time(#[serde(with = "super")] Timestamp);
            Ok(Option::<Time>::deserialize(from)?.map(|time| time.0))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const YEAR_0: i64 = -62_167_219_200;
    const YEAR_10000: i64 = 253_402_300_800;

    #[test]
    fn the_documents_example_round_trips() {
        let time: Timestamp = "2025-01-01T12-00-00Z".parse().unwrap();
        assert_eq!(time.unix(), 1_735_732_800);
        assert_eq!(time.to_string(), "2025-01-01T12-00-00Z");
        assert_eq!(time.rfc3339(), "2025-01-01T12:00:00Z");
        assert_eq!(
            format!("{time:>22}|{time:<22}|"),
            "  2025-01-01T12-00-00Z|2025-01-01T12-00-00Z  |"
        );
    }

    #[test]
    fn text_that_would_not_print_back_to_itself_is_refused() {
        for text in [
            "",
            "2025-02-30T00-00-00Z",
            "2025-02-29T00-00-00Z",
            "2025-01-01t12-00-00z",
            "2025-01-01T12-00-00z",
            "2025-01-01T12-00-00",
            "2025-01-01T12-00-00Zx",
            "2025-01-01T12-00-00Z\n",
            " 2025-01-01T12-00-00Z",
            "2025-01-01T12-00-00+00:00",
            "2025-01-01T12:00:00Z",
            "2025-1-1T12-00-00Z",
            "2025-01-01T24-00-00Z",
            "2016-12-31T23-59-60Z",
            "2025-01-01T12-00-00.5Z",
            "+2025-01-01T12-00-00Z",
            "-2025-01-01T12-00-00Z",
            "-0001-01-01T12-00-00Z",
            "+10000-01-01T00-00-00Z",
            "10000-01-01T00-00-00Z",
            "２０２５-01-01T12-00-00Z",
        ] {
            let error = text.parse::<Timestamp>().unwrap_err();
            assert!(error.to_string().contains("not a timestamp"), "{text}");
        }
        "2024-02-29T00-00-00Z".parse::<Timestamp>().unwrap();
    }

    #[test]
    fn the_range_is_the_years_0000_to_9999() {
        let first = Timestamp::from_unix(YEAR_0).unwrap();
        let last = Timestamp::from_unix(YEAR_10000 - 1).unwrap();
        assert_eq!(first.to_string(), "0000-01-01T00-00-00Z");
        assert_eq!(last.to_string(), "9999-12-31T23-59-59Z");
        for outside in [YEAR_0 - 1, YEAR_10000, i64::MIN, i64::MAX] {
            assert_eq!(Timestamp::from_unix(outside), None);
        }
    }

    #[test]
    fn now_has_no_fraction_that_would_be_lost_in_print() {
        let now = Timestamp::now();
        assert_eq!(now.to_string().parse(), Ok(now));
    }

    #[test]
    fn serde_uses_the_printed_form() {
        let time: Timestamp = "2025-01-01T12-00-00Z".parse().unwrap();
        let json = serde_json::to_string(&time).unwrap();
        assert_eq!(json, r#""2025-01-01T12-00-00Z""#);
        assert_eq!(serde_json::from_str::<Timestamp>(&json).unwrap(), time);
        serde_json::from_str::<Timestamp>(r#""2025-01-01T12:00:00Z""#).unwrap_err();
    }

    proptest! {
        #[test]
        fn every_time_survives_print_and_parse(a in YEAR_0..YEAR_10000, b in YEAR_0..YEAR_10000) {
            let (a, b) = (Timestamp::from_unix(a).unwrap(), Timestamp::from_unix(b).unwrap());
            prop_assert_eq!(a.to_string().parse::<Timestamp>().unwrap(), a);
            // The catalog sorts names as text.
            prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
        }

        #[test]
        fn whatever_is_accepted_prints_back(
            text in "[+ -]?[0-9]{3,5}-[0-3]?[0-9]-[0-3]?[0-9][Tt ][0-2]?[0-9]-[0-6][0-9]-[0-6][0-9][Zz]?.?"
        ) {
            if let Ok(time) = text.parse::<Timestamp>() {
                prop_assert_eq!(time.to_string(), text);
            }
        }
    }
}
