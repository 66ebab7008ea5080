//! No header of a server makes a flow wait for an unreasonable time.

use std::time::Duration;

use loginradius_proto::oauth::{RefreshAccessToken, RequestDeviceCode, RevokeRefreshToken};
use loginradius_proto::{Call, DeviceFlow, Endpoint, Flow, PendingDevice, Retry, Seed, Step};
use loginradius_testing::*;

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
const SHORT: Duration = Duration::from_secs(90);

const DATE: (&str, &str) = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");

/// Headers that ask for a wait, and the longest wait that may follow.
const HEADERS: &[(&[(&str, &str)], Duration)] = &[
    (&[("retry-after", "90")], SHORT),
    (&[("retry-after", "7200")], Duration::from_secs(7200)),
    (&[("retry-after", "86401")], DAY),
    (&[("retry-after", "18446744073709551615")], DAY),
    (&[("retry-after", "99999999999999999999999999")], DAY),
    // RFC 9110, section 5.6.7: three forms of one date.
    (&[DATE, ("retry-after", "Sun, 06 Nov 1994 08:51:07 GMT")], SHORT),
    (&[DATE, ("retry-after", "Sunday, 06-Nov-94 08:51:07 GMT")], SHORT),
    (&[DATE, ("retry-after", "Sun Nov  6 08:51:07 1994")], SHORT),
    (&[("date", "Sunday, 06-Nov-94 08:49:37 GMT"), ("retry-after", "Sun, 06 Nov 1994 08:51:07 GMT")], SHORT),
    (&[("date", "Sun Nov  6 08:49:37 1994"), ("retry-after", "Sun, 06 Nov 1994 08:51:07 GMT")], SHORT),
    (&[DATE, ("retry-after", "Wed, 21 Oct 2065 07:28:00 GMT")], DAY),
    (&[DATE, ("retry-after", "Fri, 31 Dec 9999 23:59:59 GMT")], DAY),
    // The server's own clock is wrong.
    (&[("date", "Thu, 01 Jan 1970 00:00:00 GMT"), ("retry-after", "Sun, 06 Nov 1994 08:51:07 GMT")], DAY),
    (&[("date", "Fri, 31 Dec 9999 23:59:59 GMT"), ("retry-after", "Sun, 06 Nov 1994 08:51:07 GMT")], Duration::ZERO),
];

#[test]
fn an_error_and_a_call_wait_for_a_day_at_most() {
    let patient = Retry::default().with_max_wait(Duration::MAX).with_max_time(Duration::MAX);
    for (headers, wait) in HEADERS {
        let busy = || response_with(503, PAGE, headers);
        let error = RefreshAccessToken::new("r").response(&app(), busy()).unwrap_err();
        assert_eq!(error.retry_after(), Some(*wait), "{headers:?}");

        let mut call = Call::new(RevokeRefreshToken::new("r"), &app(), Seed(1)).retry(patient);
        let Step::Send { .. } = call.step(start()) else { panic!("nothing sent") };
        call.receive(Ok(busy()), start());
        let Step::Wait(until) = call.step(start()) else { panic!("no wait") };
        // The wait after a first failure is 500 ms at most.
        let waited = until - start();
        assert!(waited >= *wait && waited <= (*wait).max(ms(500)), "{headers:?}: {waited:?}");
    }
}

#[test]
fn a_device_login_waits_for_a_day_at_most_even_if_its_codes_never_expire() {
    let body = r#"{"device_code":"d","user_code":"u","verification_uri":"https://a.example/","expires_in":1e30}"#;
    let grant = RequestDeviceCode::new().response(&app(), response(200, body)).unwrap();
    for (headers, wait) in HEADERS {
        let mut flow = DeviceFlow::new(&app(), &grant, start(), Seed(1));
        let Step::Send { .. } = flow.step(start() + s(5)) else { panic!("no poll") };
        flow.receive(Ok(response_with(503, PAGE, headers)), start() + s(5));
        let Step::Wait(until) = flow.step(start() + s(5)) else { panic!("no wait") };
        // The backoff after a first failure is 10 s at most.
        let most = (*wait).max(s(10));
        assert!(until - (start() + s(5)) <= most, "{headers:?}: {:?}", until - start());

        // Stored, and resumed on a machine whose clock is set back by thirty years.
        let pending = flow.pending(start() + s(5), now().wall).to_json();
        let pending = PendingDevice::from_json(&pending).unwrap();
        let clock = now().wall - s(30 * 365 * 86_400);
        let mut flow = DeviceFlow::resume(&app(), &pending, start(), clock, Seed(1));
        let Step::Wait(until) = flow.step(start()) else { panic!("no wait") };
        assert!(until - start() <= DAY, "{headers:?}: {:?}", until - start());
    }
}

#[test]
fn a_session_waits_for_an_hour_at_most() {
    for (headers, wait) in HEADERS {
        let mut scene = Scene::expired();
        scene.policy.retry = Retry::default().with_attempts(1);
        scene.responds_with(503, PAGE, headers);
        let error = scene.refresh().error().clone();
        assert!(error.retry_after().unwrap() <= (*wait).clamp(s(1), HOUR), "{headers:?}");
        assert!(scene.lasts("backing off") <= (*wait).clamp(s(1), HOUR), "{headers:?}");
    }
}
