//! Readers of the dates in responses, with a calendar of their own.

/// Reads a date of HTTP in any of its three forms (RFC 9110, section 5.6.7), as seconds since 1970; `None` if it is in
/// none of them, or before 1970.
pub fn http(text: &str) -> Option<u64> {
    const DAYS: [&str; 7] = ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"];
    let short = |name: &str| DAYS.iter().position(|day| day[..3] == *name);
    let (day, rest) = match text.split_once(", ") {
        Some((name, rest)) => (short(name).or_else(|| DAYS.iter().position(|day| *day == name))?, rest),
        None => {
            let (name, rest) = text.split_once(' ')?;
            (short(name)?, rest)
        }
    };
    let long = text.split_once(", ").is_some_and(|(name, _)| name.len() > 3);
    let (year, month, date, time) = match (text.contains(", "), long, rest.as_bytes()) {
        // 06 Nov 1994 08:49:37 GMT
        (true, false, [d, e, b' ', _, _, _, b' ', a, b, c, f, b' ', time @ ..]) => {
            (number(&[*a, *b, *c, *f])?, rest.get(3..6)?, number(&[*d, *e])?, time.strip_suffix(b" GMT")?)
        }
        // 06-Nov-94 08:49:37 GMT
        (true, true, [d, e, b'-', _, _, _, b'-', a, b, b' ', time @ ..]) => {
            let year = number(&[*a, *b])?;
            let century = if year < 70 { 2000 } else { 1900 };
            (century + year, rest.get(3..6)?, number(&[*d, *e])?, time.strip_suffix(b" GMT")?)
        }
        // Nov  6 08:49:37 1994
        (false, _, [_, _, _, b' ', d, e, b' ', time @ .., b' ', a, b, c, f]) => {
            let d = if *d == b' ' { b'0' } else { *d };
            (number(&[*a, *b, *c, *f])?, rest.get(..3)?, number(&[d, *e])?, time)
        }
        _ => return None,
    };
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = MONTHS.iter().position(|name| *name == month)? as i64 + 1;
    let days = days(year, month, date)?;
    let seconds = u64::try_from(days * 86_400 + clock(time)?).ok()?;
    (days.rem_euclid(7) == day as i64).then_some(seconds)
}

/// Reads a date of RFC 3339, as milliseconds since 1970; `None` if it is in another form.
pub fn rfc_3339(text: &str) -> Option<i64> {
    let [a, b, c, d, b'-', e, f, b'-', g, h, b'T' | b't', rest @ ..] = text.as_bytes() else { return None };
    let days = days(number(&[*a, *b, *c, *d])?, number(&[*e, *f])?, number(&[*g, *h])?)?;
    let (time, rest) = (rest.get(..8)?, &rest[8..]);
    let digits = match rest {
        [b'.', fraction @ ..] => fraction.iter().take_while(|byte| byte.is_ascii_digit()).count(),
        _ => 0,
    };
    let (millis, zone) = match rest {
        [b'.', rest @ ..] if (1..=9).contains(&digits) => {
            let fraction = [&rest[..digits], b"00"].concat();
            (number(&fraction[..3])?, &rest[digits..])
        }
        [b'.', ..] => return None,
        _ => (0, rest),
    };
    let offset = match zone {
        [b'Z' | b'z'] => 0,
        [sign @ (b'+' | b'-'), a, b, b':', c, d] => {
            let (hours, minutes) = (number(&[*a, *b])?, number(&[*c, *d])?);
            let offset = (hours < 24 && minutes < 60).then_some(hours * 3600 + minutes * 60)?;
            if *sign == b'-' { -offset } else { offset }
        }
        _ => return None,
    };
    Some((days * 86_400 + clock(time)? - offset) * 1_000 + millis)
}

/// Reads `08:49:37`, as seconds.
fn clock(time: &[u8]) -> Option<i64> {
    let [a, b, b':', c, d, b':', e, f] = time else { return None };
    let (hours, minutes, seconds) = (number(&[*a, *b])?, number(&[*c, *d])?, number(&[*e, *f])?);
    (hours < 24 && minutes < 60 && seconds < 60).then_some(hours * 3600 + minutes * 60 + seconds)
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |number, digit| digit.is_ascii_digit().then(|| number * 10 + i64::from(digit - b'0')))
}

/// Returns the days since 1970-01-01 in the Gregorian calendar; `None` if there is no such date.
fn days(year: i64, month: i64, date: i64) -> Option<i64> {
    let leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let lengths = [31, if leap(year) { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let length = lengths.get(usize::try_from(month - 1).ok()?)?;
    // The years 1 to 1969 have 477 of them.
    let before = year - 1;
    let leap_days = before.div_euclid(4) - before.div_euclid(100) + before.div_euclid(400);
    let years = (year - 1970) * 365 + leap_days - 477;
    let months: i64 = lengths.iter().take(usize::try_from(month - 1).ok()?).sum();
    (1..=*length).contains(&date).then_some(years + months + date - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_that_are_known() {
        // RFC 9110, section 5.6.7, and RFC 3339, section 5.8.
        for text in ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"] {
            assert_eq!(http(text), Some(784_111_777), "{text}");
        }
        assert_eq!(http("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(http("Fri, 31 Dec 9999 23:59:59 GMT"), Some(253_402_300_799));
        assert_eq!(http("Tue, 29 Feb 2000 00:00:00 GMT"), Some(951_782_400));
        for text in ["Mon, 06 Nov 1994 08:49:37 GMT", "Thu, 29 Feb 2001 00:00:00 GMT", "Sun, 06 Nov 1994", ""] {
            assert_eq!(http(text), None, "{text}");
        }
        assert_eq!(rfc_3339("1985-04-12T23:20:50.52Z"), Some(482_196_050_520));
        assert_eq!(rfc_3339("1996-12-19T16:39:57-08:00"), Some(851_042_397_000));
        assert_eq!(rfc_3339("1937-01-01T12:00:27.87+00:20"), Some(-1_041_337_172_130));
        assert_eq!(rfc_3339("0000-02-29T00:00:00Z"), Some(-62_162_121_600_000));
        for text in ["1985-04-12", "1985-04-12T23:20Z", "1985-04-12 23:20:50Z", "1985-02-29T23:20:50Z"] {
            assert_eq!(rfc_3339(text), None, "{text}");
        }
    }
}
