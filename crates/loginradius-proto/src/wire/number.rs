//! Numbers and dates in all the ways in which LoginRadius and its proxies write them.

use std::time::{Duration, SystemTime};

use serde_json::value::RawValue;

use super::date;
use super::json::JsonText;

/// Reads a number of seconds, written as a JSON number or as a string of one. `None` if it is negative or no number;
/// `Duration::MAX` if it is too large for a `Duration`.
pub(crate) fn seconds(raw: &RawValue) -> Option<Duration> {
    seconds_in(&unquoted(raw)?)
}

/// Reads a lifetime: a number of seconds as of [`seconds`], or a date (RFC 3339), which counts from `now`.
///
/// Zero if the number is negative or the date is past: that lifetime is over, not unknown. `None` if it is neither, or
/// if it is a date and `now` is not known.
pub(crate) fn lifetime(raw: &RawValue, now: impl FnOnce() -> Option<SystemTime>) -> Option<Duration> {
    let text = unquoted(raw)?;
    lifetime_in(&text).or_else(|| until(&text, now()?))
}

/// Reads a lifetime that is written as a number of seconds, as of [`lifetime`].
pub(crate) fn lifetime_in(text: &str) -> Option<Duration> {
    let is_negative = || number_in(text).is_some_and(|number| number < 0.0);
    seconds_in(text).or_else(|| is_negative().then_some(Duration::ZERO))
}

fn seconds_in(text: &str) -> Option<Duration> {
    if let Ok(whole) = text.trim().parse::<u64>() {
        return Some(Duration::from_secs(whole));
    }
    let number = number_in(text).filter(|number| *number >= 0.0)?;
    Some(Duration::try_from_secs_f64(number).unwrap_or(Duration::MAX))
}

fn number_in(text: &str) -> Option<f64> {
    let text = text.trim();
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    // `f64` parses words such as "inf", too.
    unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.').then(|| text.parse().ok())?
}

fn until(text: &str, now: SystemTime) -> Option<Duration> {
    let millis = u64::try_from(date::millis_since_1970(text.trim())?).unwrap_or_default();
    Some((SystemTime::UNIX_EPOCH + Duration::from_millis(millis)).duration_since(now).unwrap_or_default())
}

/// The longest wait that a server can ask for, whatever its header says and whichever clock it goes by.
pub(crate) const MAX_RETRY_AFTER: Duration = Duration::from_secs(24 * 3600);

/// Reads the value of `Retry-After` ([RFC 9110, section 10.2.3]): seconds, or a date in any form of [section 5.6.7],
/// which is taken relative to the response's own `Date`, so that a wrong clock of the server does not matter. At most
/// [`MAX_RETRY_AFTER`].
///
/// [RFC 9110, section 10.2.3]: https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3
/// [section 5.6.7]: https://www.rfc-editor.org/rfc/rfc9110#section-5.6.7
pub(crate) fn retry_after(value: &str, date: impl FnOnce() -> Option<SystemTime>) -> Option<Duration> {
    let value = value.trim();
    let wait = if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        value.parse().map_or(Duration::MAX, Duration::from_secs)
    } else {
        httpdate::parse_http_date(value).ok()?.duration_since(date()?).unwrap_or_default()
    };
    Some(wait.min(MAX_RETRY_AFTER))
}

fn unquoted(raw: &RawValue) -> Option<JsonText<'_>> {
    let text = raw.get();
    if text.starts_with('"') { JsonText::read(raw) } else { Some(JsonText::Plain(text)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    fn date(text: &str) -> SystemTime {
        httpdate::parse_http_date(text).unwrap()
    }

    #[test]
    fn seconds_in_every_way_that_servers_write_them() {
        let both = |text| (seconds(&raw(text)), lifetime(&raw(text), || None));
        for (text, expected) in [
            ("3600", Duration::from_secs(3600)),
            ("\"3600\"", Duration::from_secs(3600)),
            ("\" 5 \"", Duration::from_secs(5)),
            ("\"+5\"", Duration::from_secs(5)),
            ("1.5", Duration::from_millis(1500)),
            ("3.6e3", Duration::from_secs(3600)),
            ("0", Duration::ZERO),
            ("-0", Duration::ZERO),
            ("\"0.0\"", Duration::ZERO),
            ("1e30", Duration::MAX),
            ("1e999", Duration::MAX),
            ("18446744073709551616", Duration::MAX),
        ] {
            assert_eq!(both(text), (Some(expected), Some(expected)), "{text}");
        }
        for negative in ["-1", "\"-1\"", "\" -3600 \"", "-0.5", "-1e30", "-1e999", "-18446744073709551616"] {
            assert_eq!(both(negative), (None, Some(Duration::ZERO)), "{negative}");
        }
        for unreadable in [
            "null", "true", "[]", "{}", "\"\"", "\"soon\"", "\"inf\"", "\"+inf\"", "\"-inf\"", "\"NaN\"", "\"-\"",
            "\"--1\"", "\"- 1\"", "\"-1 s\"",
        ] {
            assert_eq!(both(unreadable), (None, None), "{unreadable}");
        }
    }

    #[test]
    fn a_date_is_the_time_until_it_and_zero_if_it_is_past() {
        let read = |text| lifetime(&raw(text), || Some(date("Wed, 28 Feb 2018 07:55:00 GMT")));
        for (text, expected) in [
            ("\"2018-02-28T07:55:59.6519482Z\"", Some(Duration::from_millis(59_651))),
            ("\"2018-02-28T09:56:00+02:00\"", Some(Duration::from_secs(60))),
            ("\"2018-02-28T07:55:00Z\"", Some(Duration::ZERO)),
            ("\"2018-02-28T07:00:00Z\"", Some(Duration::ZERO)),
            ("\"1969-12-31T23:59:59Z\"", Some(Duration::ZERO)),
            ("\"0001-01-01T00:00:00Z\"", Some(Duration::ZERO)),
            ("\"tomorrow\"", None),
            ("\"2018-02-28\"", None),
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
        assert_eq!(lifetime(&raw("\"2018-02-28T07:55:59Z\""), || None), None, "from when is not known");
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_and_a_day_at_most() {
        // RFC 9110, section 5.6.7: the three forms of one moment.
        const FORMS: [&str; 3] =
            ["Sun, 06 Nov 1994 08:50:07 GMT", "Sunday, 06-Nov-94 08:50:07 GMT", "Sun Nov  6 08:50:07 1994"];
        const DAY: Duration = Duration::from_secs(24 * 3600);
        let now = date("Sun, 06 Nov 1994 08:49:37 GMT");
        let rows = [
            ("0", now, Some(Duration::ZERO)),
            ("120", now, Some(Duration::from_secs(120))),
            ("86400", now, Some(DAY)),
            ("86401", now, Some(DAY)),
            ("18446744073709551615", now, Some(DAY)),
            ("99999999999999999999999", now, Some(DAY)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", now, Some(Duration::ZERO)),
            ("Mon, 07 Nov 1994 08:49:37 GMT", now, Some(DAY)),
            ("Wed, 21 Oct 2065 07:28:00 GMT", now, Some(DAY)),
            ("Fri, 31 Dec 9999 23:59:59 GMT", now, Some(DAY)),
            // The response's own clock is wrong by decades.
            (FORMS[0], date("Thu, 01 Jan 1970 00:00:00 GMT"), Some(DAY)),
            (FORMS[0], date("Fri, 31 Dec 9999 23:59:59 GMT"), Some(Duration::ZERO)),
        ];
        let forms = FORMS.map(|form| (form, now, Some(Duration::from_secs(30))));
        let nonsense = ["", "-1", "1.5", "soon", "٣", "Sun, 06 Nov 1994", "1994-11-06T08:50:07Z"];
        for (value, date, expected) in rows.into_iter().chain(forms).chain(nonsense.map(|value| (value, now, None))) {
            assert_eq!(retry_after(value, || Some(date)), expected, "{value}");
        }
        assert_eq!(retry_after("120", || None), Some(Duration::from_secs(120)));
        assert_eq!(retry_after(FORMS[0], || None), None);
    }
}
