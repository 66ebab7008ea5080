//! The times at which a token is valid, to the nanosecond, and what its error says about the clock.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use loginradius_jwt::{Algorithm, ErrorKind, Verifier};
use proptest::prelude::*;
use serde_json::json;

mod common;
use common::{ABSENT, BEGIN, Signer, at, claims_with};

const NANOSECOND: Duration = Duration::from_nanos(1);

fn signer() -> Signer {
    Signer::of(Algorithm::Hs256)
}

#[track_caller]
fn check(verifier: &Verifier, jwt: &str, now: SystemTime, expected: Result<(), ErrorKind>) {
    assert_eq!(verifier.verify(jwt, now).map(drop).map_err(|error| error.kind()), expected, "{now:?}");
}

#[test]
fn a_token_is_valid_until_just_before_its_expiry_and_the_leeway() {
    let jwt = signer().good();
    for leeway in [0, 1, 5, 60] {
        let verifier = signer().verifier().with_leeway(Duration::from_secs(leeway));
        check(&verifier, &jwt, at(600 + leeway) - NANOSECOND, Ok(()));
        check(&verifier, &jwt, at(600 + leeway), Err(ErrorKind::Expired));
        check(&verifier, &jwt, at(601 + leeway), Err(ErrorKind::Expired));
        check(&verifier, &jwt, at(0) - Duration::from_secs(leeway), Ok(()));
        check(&verifier, &jwt, at(0) - Duration::from_secs(leeway) - NANOSECOND, Err(ErrorKind::NotYetValid));
    }
    // The default is five seconds.
    check(&signer().verifier(), &jwt, at(605) - NANOSECOND, Ok(()));
    check(&signer().verifier(), &jwt, at(605), Err(ErrorKind::Expired));
    check(&signer().verifier(), &jwt, at(0) - Duration::from_secs(5), Ok(()));
    check(&signer().verifier(), &jwt, at(0) - Duration::from_secs(5) - NANOSECOND, Err(ErrorKind::NotYetValid));
}

#[test]
fn a_fraction_of_a_second_counts() {
    let verifier = signer().verifier().with_leeway(Duration::ZERO);
    let jwt = signer().claims(claims_with(json!({"nbf": 1_800_000_000.25, "exp": 1_800_000_600.5})));
    let quarter = Duration::from_millis(250);
    check(&verifier, &jwt, at(0) + quarter, Ok(()));
    check(&verifier, &jwt, at(0) + quarter - NANOSECOND, Err(ErrorKind::NotYetValid));
    check(&verifier, &jwt, at(600) + 2 * quarter - NANOSECOND, Ok(()));
    check(&verifier, &jwt, at(600) + 2 * quarter, Err(ErrorKind::Expired));
    let jwt = signer().claims(claims_with(json!({})).replace("1800000600", "1.8000006E9"));
    check(&verifier, &jwt, at(599), Ok(()));
    check(&verifier, &jwt, at(600), Err(ErrorKind::Expired));
}

#[test]
fn no_time_is_too_far_away_to_be_compared() {
    let clocks = [
        UNIX_EPOCH,
        UNIX_EPOCH - Duration::from_secs(1),
        UNIX_EPOCH.checked_sub(Duration::from_secs(1 << 40)).expect("a clock that is very wrong"),
        at(100),
        UNIX_EPOCH.checked_add(Duration::from_secs(1 << 40)).expect("a clock that is very wrong"),
        UNIX_EPOCH.checked_add(Duration::from_secs(i64::MAX as u64)).expect("the last second"),
    ];
    let claims = [
        json!({}),
        json!({"exp": 0}),
        json!({"exp": 253_402_300_799_u64}),
        json!({"nbf": 0, "iat": 0}),
        json!({"nbf": 253_402_300_799_u64}),
    ];
    let mut accepted = 0;
    for leeway in [Duration::ZERO, Duration::from_secs(5), Duration::from_secs(u64::MAX / 2), Duration::MAX] {
        let verifier = signer().verifier().with_leeway(leeway);
        for now in clocks {
            for claims in &claims {
                let jwt = signer().claims(claims_with(claims.clone()));
                accepted += u32::from(verifier.verify(&jwt, now).is_ok());
            }
        }
        // A token is valid in 1970, with every leeway, if it has no `nbf`.
        check(&verifier, &signer().claims(claims_with(json!({"nbf": ABSENT}))), UNIX_EPOCH, Ok(()));
    }
    assert!(accepted > 60, "{accepted}");
    // An endless leeway accepts every time.
    let forever = signer().verifier().with_leeway(Duration::MAX);
    check(&forever, &signer().good(), clocks[5], Ok(()));
    check(&forever, &signer().good(), clocks[2], Ok(()));
}

#[test]
fn an_error_says_how_far_off_the_clock_would_be() {
    let verifier = signer().verifier();
    let message = |now| verifier.verify(&signer().good(), now).unwrap_err().to_string();
    let late = message(at(600 + 7200));
    assert!(late.contains("expired 7200 s ago") && late.contains("clock"), "{late}");
    let early = message(at(0) - Duration::from_secs(3600));
    assert!(early.contains("valid in 3600 s") && early.contains("clock"), "{early}");
}

#[test]
fn nbf_and_iat_may_be_absent_or_null_and_exp_may_not() {
    let verifier = signer().verifier();
    for absent in [json!(ABSENT), json!(null)] {
        let jwt = signer().claims(claims_with(json!({"nbf": absent, "iat": absent})));
        let token = verifier.verify(&jwt, UNIX_EPOCH).expect("verified");
        assert_eq!((token.not_before(), token.issued_at()), (None, None));
        let jwt = signer().claims(claims_with(json!({"exp": absent})));
        check(&verifier, &jwt, at(0), Err(ErrorKind::InvalidClaims));
    }
    // `iat` is not checked, so it may be in the future.
    check(&verifier, &signer().claims(claims_with(json!({"iat": BEGIN + 9999}))), at(0), Ok(()));
}

proptest! {
    #[test]
    fn a_token_is_valid_exactly_between_its_bounds(
        begin in 0_u64..4_000_000_000, lasts in 0_u64..3_000_000, leeway in 0_u64..400, off in -500_i64..500, at_end: bool, nanos in 0_u32..1_000_000_000,
    ) {
        let end = begin + lasts;
        let jwt = signer().claims(claims_with(json!({"nbf": begin, "exp": end, "iat": begin})));
        let verifier = signer().verifier().with_leeway(Duration::from_secs(leeway));
        let near = if at_end { end } else { begin };
        let Some(now) = near.checked_add_signed(off) else { return Ok(()) };
        let verified = verifier.verify(&jwt, UNIX_EPOCH + Duration::new(now, nanos)).map(drop).map_err(|error| error.kind());
        // The same, computed in whole nanoseconds.
        let instant = |seconds: u64, nanos: u32| i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
        let (now, slack) = (instant(now, nanos), instant(leeway, 0));
        let expected = if now >= instant(end, 0) + slack {
            Err(ErrorKind::Expired)
        } else if instant(begin, 0) - slack > now {
            Err(ErrorKind::NotYetValid)
        } else {
            Ok(())
        };
        prop_assert_eq!(verified, expected);
    }
}
