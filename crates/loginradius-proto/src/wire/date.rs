//! Dates as of RFC 3339. By hand, because only one such date is read, and a crate for dates takes nearly as long to
//! build as this one.

use std::ops::RangeInclusive;

/// Reads a date ([RFC 3339, section 5.6]) as milliseconds since 1970. A leap second counts as the second before it.
///
/// [RFC 3339, section 5.6]: https://www.rfc-editor.org/rfc/rfc3339#section-5.6
pub(super) fn millis_since_1970(text: &str) -> Option<i64> {
    let mut text = Reader(text.as_bytes());
    let year = text.number(4, 0..=9999)?;
    text.one_of(b"-")?;
    let month = text.number(2, 1..=12)?;
    text.one_of(b"-")?;
    let is_leap_year = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let day = text.number(2, 1..=days_in_month(month, is_leap_year))?;
    text.one_of(b"Tt ")?;
    let minutes = text.hours_and_minutes()?;
    text.one_of(b":")?;
    let second = text.number(2, 0..=60)?.min(59);
    let millis = if text.one_of(b".").is_some() { text.fraction()? } else { 0 };
    let offset = match text.one_of(b"Zz+-")? {
        b'+' => text.hours_and_minutes()?,
        b'-' => -text.hours_and_minutes()?,
        _ => 0,
    };
    if !text.0.is_empty() {
        return None;
    }
    let years = year - 1;
    let days_of_years = years * 365 + years.div_euclid(4) - years.div_euclid(100) + years.div_euclid(400);
    let days_of_months: i64 = (1..month).map(|month| days_in_month(month, is_leap_year)).sum();
    let days = days_of_years + days_of_months + day - DAYS_UNTIL_1970;
    Some(((days * 24 * 60 + minutes - offset) * 60 + second) * 1000 + millis)
}

/// From the last day of the year 0 to the first of 1970.
const DAYS_UNTIL_1970: i64 = 719_163;

fn days_in_month(month: i64, is_leap_year: bool) -> i64 {
    match month {
        2 => 28 + i64::from(is_leap_year),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// What has not been read yet.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn one_of(&mut self, expected: &[u8]) -> Option<u8> {
        let (first, rest) = self.0.split_first().filter(|(first, _)| expected.contains(first))?;
        self.0 = rest;
        Some(*first)
    }

    fn digit(&mut self) -> Option<i64> {
        self.one_of(b"0123456789").map(|digit| i64::from(digit - b'0'))
    }

    fn number(&mut self, digits: u32, range: RangeInclusive<i64>) -> Option<i64> {
        let number = (0..digits).try_fold(0, |number, _| Some(number * 10 + self.digit()?))?;
        Some(number).filter(|number| range.contains(number))
    }

    fn hours_and_minutes(&mut self) -> Option<i64> {
        let hours = self.number(2, 0..=23)?;
        self.one_of(b":")?;
        Some(hours * 60 + self.number(2, 0..=59)?)
    }

    /// Reads digits of a second, as milliseconds.
    fn fraction(&mut self) -> Option<i64> {
        let mut millis = self.digit()? * 100;
        for unit in [10, 1] {
            millis += self.digit().unwrap_or(0) * unit;
        }
        while self.digit().is_some() {}
        Some(millis)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::millis_since_1970;

    fn expected(text: &str) -> Option<i128> {
        text.parse().ok().map(|date: jiff::Timestamp| date.as_nanosecond().div_euclid(1_000_000))
    }

    #[test]
    fn the_limits_of_each_part() {
        for text in [
            "1970-01-01T00:00:00Z",
            "1970-01-01t00:00:00z",
            "1970-01-01 00:00:00Z",
            "2018-02-28T07:55:59.6519482Z",
            "2018-02-28T07:55:59.6Z",
            "2018-02-28T07:55:59.123456789+23:59",
            "2018-02-28T07:55:59-23:59",
            "2018-02-28T07:55:59-00:00",
            "0000-01-01T00:00:00Z",
            "0000-12-31T23:59:59.999Z",
            "0001-01-01T00:00:00Z",
            "1600-02-29T00:00:00Z",
            "1900-03-01T00:00:00Z",
            "2000-02-29T00:00:00Z",
            "2024-02-29T00:00:00Z",
            "2024-12-31T00:00:00Z",
            "2016-12-31T23:59:60Z",
            "9999-12-30T00:00:00Z",
        ] {
            assert!(expected(text).is_some(), "{text}");
            assert_eq!(millis_since_1970(text).map(i128::from), expected(text), "{text}");
        }
        // Where RFC 3339 and the library differ.
        assert_eq!(millis_since_1970("2018-02-28T07:55Z"), None);
        assert_eq!(millis_since_1970("1970-01-01T00:00:00.0009999999999Z"), Some(0), "any number of digits");
        assert_eq!(millis_since_1970("1970-01-01T00:00:00+24:00"), None);
        for text in [
            "",
            "2018-02-28",
            "2018-02-28T07:55:59",
            "2018-02-28T07:55:59.Z",
            "2018-02-28T07:55:59ZZ",
            "2018-02-28T07:55:59+",
            "2018-02-28T07:55:59+26:00",
            "2018-02-28T07:55:59+01:60",
            "2018-02-28T24:00:00Z",
            "2018-02-28T07:60:00Z",
            "2018-02-28T07:55:61Z",
            "2018-02-29T00:00:00Z",
            "1900-02-29T00:00:00Z",
            "2018-04-31T00:00:00Z",
            "2018-00-01T00:00:00Z",
            "2018-13-01T00:00:00Z",
            "2018-01-00T00:00:00Z",
            "+018-01-01T00:00:00Z",
            "2018-1-01T00:00:000Z",
            "\u{662}018-01-01T00:00:00Z",
        ] {
            assert_eq!(millis_since_1970(text), None, "{text}");
            assert_eq!(expected(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_date_is_read_as_by_a_library(
            date in (0..=9998, 0..=13, 0..=32),
            time in (0..=24, 0..=60, 0..=61),
            fraction in "|[.][0-9]{0,9}",
            offset in "[Zz]|[+-]([01][0-9]|2[0-36]):[0-6][0-9]",
        ) {
            let ((year, month, day), (hour, minute, second)) = (date, time);
            let text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}{offset}");
            prop_assert_eq!(millis_since_1970(&text).map(i128::from), expected(&text), "{}", text);
        }

        #[test]
        fn a_changed_date_is_not_read_as_another_than_by_a_library(
            place in 0..29_usize,
            by in "[0-9TZtz:., +-]{0,2}",
        ) {
            let mut text = "2018-02-28T07:55:59.651+02:00".to_owned();
            text.replace_range(place..=place, &by);
            if let Some(millis) = millis_since_1970(&text) {
                prop_assert_eq!(Some(i128::from(millis)), expected(&text), "{}", text);
            }
        }
    }
}
