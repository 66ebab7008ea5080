//! The emulator's clock: real time that a test can push forward, or time that only a test moves.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// 9999-12-31 00:00:00 UTC. An HTTP date (RFC 9110, section 5.6.7) has four digits for the year, so a response cannot
/// state a later time.
const MAX_UNIX_TIME: u64 = 253_402_214_400;

#[derive(Debug)]
pub(crate) struct Clock {
    start: SystemTime,
    /// `None` in a manual clock. Elapsed time comes from the monotonic clock, so that the time does not go backwards
    /// when the machine's clock is corrected.
    running: Option<Instant>,
    moved: Duration,
}

impl Clock {
    pub(crate) fn new(manual: bool) -> Self {
        Self { start: SystemTime::now(), running: (!manual).then(Instant::now), moved: Duration::ZERO }
    }

    pub(crate) fn now(&self) -> SystemTime {
        let elapsed = self.running.map_or(Duration::ZERO, |since| since.elapsed());
        later(self.start, elapsed.saturating_add(self.moved))
    }

    pub(crate) fn advance(&mut self, by: Duration) {
        self.moved = self.moved.saturating_add(by);
    }
}

/// Returns `time + by`, or the latest time that a response can state.
pub(crate) fn later(time: SystemTime, by: Duration) -> SystemTime {
    let latest = UNIX_EPOCH + Duration::from_secs(MAX_UNIX_TIME);
    time.checked_add(by).map_or(latest, |sum| sum.min(latest))
}

/// Returns whole seconds since 1970, as in JWT claims (RFC 7519, section 2, "NumericDate").
pub(crate) fn unix(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Formats a time as RFC 3339 with milliseconds, as `LoginLockedTimeout` on LoginRadius's page "Auth Security
/// Configuration".
pub(crate) fn rfc3339(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (year, month, day) = date(days);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}Z",
        second / 3600,
        second / 60 % 60,
        second % 60,
        since.subsec_millis()
    )
}

/// Returns year, month and day of the proleptic Gregorian calendar, from days since 1970-01-01. The computation lets
/// years begin in March, so that the leap day is the last of its year.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468; // since 0000-03-01
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> String {
        rfc3339(UNIX_EPOCH + Duration::from_secs(seconds))
    }

    #[test]
    fn dates_are_right_around_leap_days_and_centuries() {
        assert_eq!(at(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(at(951_782_399), "2000-02-28T23:59:59.000Z");
        assert_eq!(at(951_782_400), "2000-02-29T00:00:00.000Z");
        assert_eq!(at(951_868_800), "2000-03-01T00:00:00.000Z");
        assert_eq!(at(1_539_294_044), "2018-10-11T21:40:44.000Z");
        assert_eq!(at(4_107_542_399), "2100-02-28T23:59:59.000Z");
        assert_eq!(at(4_107_542_400), "2100-03-01T00:00:00.000Z");
    }

    #[test]
    fn a_manual_clock_moves_only_by_advance() {
        let mut clock = Clock::new(true);
        let before = clock.now();
        std::thread::sleep(Duration::from_millis(2));
        assert_eq!(clock.now(), before);
        clock.advance(Duration::from_secs(7));
        assert_eq!(clock.now(), before + Duration::from_secs(7));
    }

    #[test]
    fn no_time_is_too_late_for_an_http_date() {
        for far in [Duration::from_secs(86_400 * 365 * 9000), Duration::MAX] {
            let mut clock = Clock::new(true);
            clock.advance(far);
            clock.advance(far);
            assert_eq!(httpdate::fmt_http_date(clock.now()), "Fri, 31 Dec 9999 00:00:00 GMT");
        }
    }
}
