//! Numbers and dates in all the ways in which LoginRadius and its proxies write them.

use std::time::{Duration, SystemTime};

use serde_json::value::RawValue;

/// Reads a number of seconds, written as a JSON number or as a string of one. `None` if it is negative or no number;
/// `Duration::MAX` if it is too large for a `Duration`.
pub(crate) fn seconds(raw: &RawValue) -> Option<Duration> {
    let text = unquoted(raw)?;
    let text = text.trim();
    if let Ok(whole) = text.parse::<u64>() {
        return Some(Duration::from_secs(whole));
    }
    // `f64` parses words such as "inf", too.
    if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.')) {
        return None;
    }
    let number = text.parse::<f64>().ok().filter(|number| *number >= 0.0)?;
    Some(Duration::try_from_secs_f64(number).unwrap_or(Duration::MAX))
}

/// Reads a date (RFC 3339) as the time from `now` to it; `None` if it is no date or before `now`.
pub(crate) fn until(raw: &RawValue, now: SystemTime) -> Option<Duration> {
    let date: jiff::Timestamp = unquoted(raw)?.trim().parse().ok()?;
    let millis = u64::try_from(date.as_millisecond()).ok()?;
    (SystemTime::UNIX_EPOCH + Duration::from_millis(millis)).duration_since(now).ok()
}

/// Reads the value of `Retry-After` ([RFC 9110, section 10.2.3]): seconds, or a date, which is taken relative to the
/// response's own `Date`, so that a wrong clock of the server makes no wait of years.
///
/// [RFC 9110, section 10.2.3]: https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3
pub(crate) fn retry_after(value: &str, date: Option<SystemTime>) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(value.parse().map_or(Duration::MAX, Duration::from_secs));
    }
    let at = httpdate::parse_http_date(value).ok()?;
    Some(at.duration_since(date?).unwrap_or_default())
}

fn unquoted(raw: &RawValue) -> Option<String> {
    let text = raw.get();
    if text.starts_with('"') { serde_json::from_str(text).ok() } else { Some(text.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    #[test]
    fn seconds_in_every_way_that_servers_write_them() {
        let read = |text| seconds(&raw(text));
        assert_eq!(read("3600"), Some(Duration::from_secs(3600)));
        assert_eq!(read("\"3600\""), Some(Duration::from_secs(3600)));
        assert_eq!(read("\" 5 \""), Some(Duration::from_secs(5)));
        assert_eq!(read("1.5"), Some(Duration::from_millis(1500)));
        assert_eq!(read("3.6e3"), Some(Duration::from_secs(3600)));
        assert_eq!(read("0"), Some(Duration::ZERO));
        assert_eq!(read("1e30"), Some(Duration::MAX));
        assert_eq!(read("1e999"), Some(Duration::MAX));
        assert_eq!(read("18446744073709551616"), Some(Duration::MAX));
        for unreadable in ["-1", "-0.5", "null", "true", "[]", "{}", "\"\"", "\"soon\"", "\"inf\"", "\"NaN\""] {
            assert_eq!(read(unreadable), None, "{unreadable}");
        }
    }

    #[test]
    fn a_date_is_the_time_until_it() {
        let noon = httpdate::parse_http_date("Wed, 28 Feb 2018 07:55:00 GMT").unwrap();
        let read = |text| until(&raw(text), noon);
        assert_eq!(read("\"2018-02-28T07:55:59.6519482Z\""), Some(Duration::from_millis(59_651)));
        assert_eq!(read("\"2018-02-28T09:56:00+02:00\""), Some(Duration::from_secs(60)));
        assert_eq!(read("\"2018-02-28T07:00:00Z\""), None);
        assert_eq!(read("\"tomorrow\""), None);
        assert_eq!(read("3600"), None);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_relative_to_the_response() {
        let date = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").ok();
        assert_eq!(retry_after("120", None), Some(Duration::from_secs(120)));
        assert_eq!(retry_after("99999999999999999999999", None), Some(Duration::MAX));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:50:07 GMT", date), Some(Duration::from_secs(30)));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:00:00 GMT", date), Some(Duration::ZERO));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:50:07 GMT", None), None);
        for nonsense in ["", "-1", "1.5", "soon", "٣"] {
            assert_eq!(retry_after(nonsense, date), None, "{nonsense}");
        }
    }
}
