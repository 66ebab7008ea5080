//! Refreshes that fail for a reason that is not the token's.

use std::time::Duration;

use loginradius_proto::session::{SaveError, SessionFlow, SessionInput, SessionMemory, SessionStep};
use loginradius_proto::{ConnectFailure, Error, ErrorKind, Retry};

use loginradius_testing::*;

/// Expects that wait, of which the jitter takes up to a quarter off.
#[track_caller]
fn expect_jittered(wait: Duration, full: Duration) {
    assert!(wait >= full * 3 / 4 && wait <= full, "{wait:?} of {full:?}");
}

type Outcome = (&'static str, fn(&mut Scene));

/// Outcomes that leave unknown whether the token was consumed.
const UNKNOWN: &[Outcome] = &[
    ("lost", Scene::lost),
    ("no response", |scene| {
        scene.policy.timeout = s(2);
        scene.on("send", |_| None);
    }),
    ("500 with a page", |scene| scene.responds(500, PAGE)),
    ("502 with nothing", |scene| scene.responds(502, "")),
    ("503 with an OAuth error", |scene| scene.responds(503, r#"{"error":"temporarily_unavailable"}"#)),
    ("500 with a rejection", |scene| scene.responds(500, REJECTED)),
    ("500 with a pair", |scene| scene.responds(500, &pair("a2", "r2"))),
    ("502 with a setting", |scene| scene.responds(502, r#"{"error":"invalid_client"}"#)),
    ("server_error", |scene| scene.responds(400, r#"{"error":"server_error"}"#)),
    ("an unknown error of LoginRadius's", |scene| {
        scene.responds(400, r#"{"ErrorCode":950,"Message":"An unknown error occurred"}"#);
    }),
    ("429 with text", |scene| scene.responds(429, "Too many requests")),
    ("429 with a rejection", |scene| scene.responds(429, REJECTED)),
    ("408", |scene| scene.responds(408, "")),
    ("a page", |scene| scene.responds(200, PAGE)),
    ("a page at 404", |scene| scene.responds(404, PAGE)),
    ("nothing", |scene| scene.responds(200, "")),
    ("half a pair", |scene| scene.responds(200, &pair("a2", "r2")[..60])),
    ("too long", |scene| {
        let body = " ".repeat(loginradius_proto::Body::LIMIT + 1) + &pair("a2", "r2");
        scene.responds(200, &body);
    }),
    ("301", |scene| scene.responds_with(301, "", &[("location", "https://example.com/")])),
    ("302 with a pair", |scene| scene.responds(302, &pair("a2", "r2"))),
    ("307 with a rejection", |scene| scene.responds(307, REJECTED)),
    ("no tokens", |scene| scene.responds(200, r#"{"token_type":"access_token"}"#)),
    ("an access token that is none", |scene| scene.responds(200, r#"{"access_token":5}"#)),
];

// Trying again

#[test]
fn a_request_of_unknown_outcome_is_sent_again_under_a_new_intent_until_the_attempts_are_used_up() {
    for (name, outcome) in UNKNOWN {
        let mut scene = Scene::expired();
        (0..4).for_each(|_| outcome(&mut scene));
        let end = scene.refresh();
        let attempts = "intent 1, send r1, wait, intent 2, send r1, wait, intent 3, send r1, wait, intent 4, send r1";
        let log = scene
            .log()
            .replace("send r1, wait, wait", "send r1, wait")
            .replace("send r1, wait, backoff", "send r1, backoff");
        assert_eq!(log, format!("lock, load, {attempts}, backoff 4, unlock"), "{name}");
        assert_eq!(end.kind(), ErrorKind::Unavailable, "{name}");
        assert_eq!(end.events(), "request failed, request failed, request failed, request failed", "{name}");
        // The next process has to know that a response may have been lost.
        assert_eq!(scene.record()["intent"]["attempt"], 4, "{name}");
        assert_eq!(scene.record()["refresh_token"], "r1", "{name}");
        assert_eq!(scene.cached(), "backing off unavailable", "{name}");
    }
}

#[test]
fn a_request_that_was_not_sent_is_sent_again_and_leaves_no_intent() {
    let mut scene = Scene::expired();
    (0..4).for_each(|_| scene.not_sent());
    let end = scene.refresh();
    let attempts = "intent 1, send r1, wait, intent 1, send r1, wait, intent 1, send r1, wait, intent 1, send r1";
    assert_eq!(scene.log(), format!("lock, load, {attempts}, backoff 4, unlock"));
    assert_eq!(end.kind(), ErrorKind::Unavailable);
    assert!(end.error().to_string().contains("nothing was sent"), "{}", end.error());
    assert!(scene.record()["intent"].is_null());
}

/// The certificate of a server, for example: the caller is told at once, and the session lives on.
#[test]
fn a_connection_that_cannot_come_about_until_something_is_changed_is_tried_once() {
    let mut scene = Scene::expired();
    scene.on("send", |_| {
        responded(Err(Error::not_connected(ConnectFailure::NotTls { address: "10.0.0.1:443".to_owned() })))
    });
    let end = scene.refresh();
    assert_eq!(scene.sends(), 1);
    assert_eq!((end.kind(), end.error().is_transient()), (ErrorKind::NotSent, false), "{}", end.error());
    assert!(end.error().to_string().contains("does not speak TLS"), "{}", end.error());
    assert!(scene.record()["intent"].is_null());
    assert_eq!(scene.record()["refresh_token"], "r1");
}

#[test]
fn the_waits_between_attempts_double() {
    let mut scene = Scene::expired();
    (0..4).for_each(|_| scene.lost());
    let end = scene.refresh();
    assert_eq!(scene.waits.len(), 3);
    for (wait, full) in scene.waits.iter().zip([ms(500), s(1), s(2)]) {
        expect_jittered(*wait, full);
    }
    let lasts = scene.lasts("backing off");
    expect_jittered(lasts, s(4));
    let retry_after = end.error().retry_after().expect("a wait");
    assert!(retry_after <= lasts && lasts - retry_after < ms(2), "{retry_after:?}, {lasts:?}");
}

#[test]
fn the_waits_grow_up_to_max_wait() {
    let mut scene = Scene::expired();
    scene.policy.retry = Retry::default().with_attempts(12).with_first_wait(ms(100)).with_max_wait(s(1));
    (0..12).for_each(|_| scene.lost());
    scene.refresh();
    assert_eq!(scene.sends(), 12);
    expect_jittered(scene.waits[10], s(1));
    expect_jittered(scene.lasts("backing off"), s(1));
}

#[test]
fn a_successful_attempt_ends_the_retries() {
    let mut scene = Scene::expired();
    scene.lost();
    scene.not_sent();
    scene.responds(200, &pair("a2", "r2"));
    let end = scene.refresh();
    let attempts = "intent 1, send r1, wait, intent 2, send r1, wait, intent 2, send r1, pair r2";
    assert_eq!(scene.log(), format!("lock, load, {attempts}, unlock"));
    assert_eq!(end.token(), "a2");
    assert_eq!(end.events(), "request failed, request failed, refreshed");
    assert!(scene.record()["hold"].is_null() && scene.record()["intent"].is_null());
    assert_eq!(scene.cached(), "fresh a2");
}

#[test]
fn an_intent_counts_attempts_of_unknown_outcome_alone() {
    let mut scene = Scene::expired();
    scene.not_sent();
    scene.lost();
    scene.not_sent();
    scene.lost();
    scene.refresh();
    let attempts = "intent 1, send r1, wait, intent 1, send r1, wait, intent 2, send r1, wait, intent 2, send r1";
    assert_eq!(scene.log(), format!("lock, load, {attempts}, backoff 4, unlock"));
    assert_eq!(scene.record()["intent"]["attempt"], 2);
}

#[test]
fn a_request_without_a_response_ends_at_its_deadline() {
    let mut scene = Scene::expired();
    scene.policy.timeout = s(7);
    scene.on("send", |_| None);
    scene.responds(200, &pair("a2", "r2"));
    let end = scene.refresh();
    assert_eq!(end.token(), "a2");
    assert_eq!(scene.log(), "lock, load, intent 1, send r1, wait, wait, intent 2, send r1, pair r2, unlock");
    assert_eq!(scene.waits[0], s(7));
    expect_jittered(scene.waits[1], ms(500));
}

#[test]
fn a_response_before_the_deadline_is_in_time() {
    let mut scene = Scene::expired();
    scene.on("send", |scene| {
        scene.pass(s(30) - ms(1));
        responded(Ok(response(200, pair("a2", "r2"))))
    });
    assert_eq!(scene.refresh().token(), "a2");
}

#[test]
fn no_attempt_begins_after_lock_wait() {
    // By default one request without a response takes as long as `lock_wait`.
    let mut scene = Scene::expired();
    scene.on("send", |_| None);
    let end = scene.refresh();
    assert_eq!(scene.log(), "lock, load, intent 1, send r1, wait, backoff 1, unlock");
    assert_eq!(scene.waits, [s(30)]);
    assert_eq!(end.kind(), ErrorKind::Unavailable);

    let mut scene = Scene::expired();
    scene.policy.lock_wait = ms(1_200);
    (0..3).for_each(|_| scene.lost());
    scene.refresh();
    assert!(scene.now.monotonic < start() + HOUR + ms(1_200));
    assert_eq!(scene.sends(), 2);
}

#[test]
fn a_wait_counts_from_the_request_if_the_driver_looked_at_its_clock_before_that() {
    let mut scene = Scene::expired();
    scene.on("send", |scene| {
        scene.now.monotonic -= s(1);
        responded(Err(Error::outcome_unknown("reset")))
    });
    scene.responds(200, &pair("a2", "r2"));
    scene.refresh();
    assert!(scene.waits[0] >= s(1) + ms(375), "{:?}", scene.waits);
}

#[test]
fn a_policy_without_retries_sends_once() {
    let mut scene = Scene::expired();
    scene.policy.retry = Retry::OFF;
    scene.lost();
    let end = scene.refresh();
    assert_eq!(scene.log(), "lock, load, intent 1, send r1, backoff 1, unlock");
    assert_eq!(end.kind(), ErrorKind::Unavailable);
    // Whatever the policy, callers do not all send at once.
    assert_eq!(scene.lasts("backing off"), s(1));
}

#[test]
fn the_error_says_what_happened_and_that_the_session_continues() {
    let mut scene = Scene::expired();
    (0..4).for_each(|_| scene.responds(503, PAGE));
    let end = scene.refresh();
    let line = end.error().to_string();
    assert!(line.starts_with("Refresh Access Token: HTTP 503"), "{line}");
    assert_eq!(end.error().http_status().unwrap().as_u16(), 503);
    let error = scene.backoff_error();
    assert_eq!((error.kind(), error.to_string()), (ErrorKind::Unavailable, line));
}

// Retry-After

#[test]
fn a_retry_after_is_obeyed() {
    for status in [429, 503] {
        let mut scene = Scene::expired();
        scene.responds_with(status, PAGE, &[("retry-after", "7")]);
        scene.responds(200, &pair("a2", "r2"));
        assert_eq!(scene.refresh().token(), "a2");
        assert_eq!(scene.waits, [s(7)]);
    }
}

#[test]
fn a_short_retry_after_does_not_make_attempts_more_frequent() {
    let mut scene = Scene::expired();
    scene.responds_with(429, "", &[("retry-after", "0")]);
    scene.responds(200, &pair("a2", "r2"));
    scene.refresh();
    expect_jittered(scene.waits[0], ms(500));
}

#[test]
fn a_retry_after_over_max_wait_is_left_to_the_next_caller() {
    let mut scene = Scene::expired();
    scene.responds_with(429, "", &[("retry-after", "120")]);
    let end = scene.refresh();
    assert_eq!(scene.log(), "lock, load, intent 1, send r1, backoff 1, unlock");
    assert_eq!(end.kind(), ErrorKind::Unavailable);
    assert_eq!(end.error().retry_after(), Some(s(120)));
    assert_eq!(scene.lasts("backing off"), s(120));
}

#[test]
fn a_retry_after_counts_for_an_hour_at_most() {
    for seconds in ["31536000", "18446744073709551615", "3601"] {
        let mut scene = Scene::expired();
        scene.responds_with(503, PAGE, &[("retry-after", seconds)]);
        let end = scene.refresh();
        assert_eq!(end.error().retry_after(), Some(HOUR));
        assert_eq!(scene.lasts("backing off"), HOUR);
        assert!(!end.error().to_string().contains("31536000"), "{}", end.error());
        let backoff = &scene.record()["hold"];
        let (since, until) = (backoff["since_unix_ms"].as_u64(), backoff["not_before_unix_ms"].as_u64());
        assert_eq!(until.unwrap() - since.unwrap(), 3_600_000);
        scene.pass(HOUR);
        assert_eq!(scene.cached(), "missing");
        scene.responds(200, &pair("a2", "r2"));
        assert_eq!(scene.refresh().token(), "a2");
    }
}

// While the old token is fresh

#[test]
fn a_fresh_token_is_returned_after_one_attempt() {
    for (name, outcome) in UNKNOWN {
        let mut scene = Scene::signed_in(600);
        scene.pass(s(570));
        outcome(&mut scene);
        let end = scene.refresh();
        assert_eq!(scene.sends(), 1, "{name}");
        assert!(scene.log().ends_with("backoff 1, unlock"), "{name}: {}", scene.log());
        assert_eq!(end.token(), "a1", "{name}");
        assert_eq!(end.events(), "request failed", "{name}");
        // Other callers get it for a moment, and then the next one tries.
        assert_eq!(scene.cached(), "fresh a1", "{name}");
        assert_eq!(scene.lasts("fresh"), s(1), "{name}");
        scene.pass(s(1));
        assert_eq!(scene.cached(), "refresh due a1", "{name}");
    }
}

#[test]
fn a_token_that_expires_while_the_request_is_out_is_not_returned() {
    let mut scene = Scene::signed_in(100);
    scene.pass(s(99));
    scene.policy.retry = Retry::OFF;
    scene.on("send", |scene| {
        scene.pass(s(2));
        responded(Err(Error::outcome_unknown("reset")))
    });
    assert_eq!(scene.refresh().kind(), ErrorKind::Unavailable);
}

#[test]
fn a_backoff_does_not_withhold_a_fresh_token() {
    let mut scene = Scene::signed_in(600);
    scene.pass(s(570));
    scene.responds_with(429, "", &[("retry-after", "120")]);
    assert_eq!(scene.refresh().token(), "a1");
    assert_eq!(scene.cached(), "fresh a1");
    scene.pass(s(30));
    assert_eq!(scene.cached(), "backing off unavailable");
    assert_eq!(scene.refresh().kind(), ErrorKind::Unavailable);
    assert_eq!(scene.log(), "lock, load, unlock");
}

// Other callers and processes

#[test]
fn another_process_gets_the_stored_failure_at_once() {
    let mut scene = Scene::expired();
    scene.responds_with(503, PAGE, &[("retry-after", "60")]);
    scene.refresh();
    scene.pass(s(20));
    scene.memory = SessionMemory::default();
    let end = scene.refresh();
    assert_eq!(scene.log(), "lock, load, unlock");
    assert_eq!(end.kind(), ErrorKind::Unavailable);
    assert_eq!(end.error().retry_after(), Some(s(40)));
    assert!(end.error().to_string().contains("HTTP 503"), "{}", end.error());
    assert_eq!(end.events(), "");
    // Later callers do not even load the record.
    assert_eq!(scene.lasts("backing off"), s(40));
    scene.pass(s(40));
    assert_eq!(scene.cached(), "missing");
}

#[test]
fn another_process_returns_the_fresh_token() {
    let mut scene = Scene::signed_in(600);
    scene.pass(s(570));
    scene.lost();
    scene.refresh();
    scene.memory = SessionMemory::default();
    assert_eq!(scene.refresh().token(), "a1");
    assert_eq!(scene.log(), "lock, load, unlock");
    assert_eq!(scene.cached(), "fresh a1");
}

#[test]
fn after_a_backoff_there_is_one_attempt_and_a_longer_backoff() {
    let mut scene = Scene::expired();
    (0..4).for_each(|_| scene.lost());
    scene.refresh();
    for (attempt, backoff) in [(5, s(8)), (6, s(10)), (7, s(10))] {
        scene.pass(scene.lasts("backing off"));
        assert_eq!(scene.cached(), "missing");
        scene.lost();
        let end = scene.refresh();
        assert_eq!(scene.log(), format!("lock, load, intent {attempt}, send r1, backoff {attempt}, unlock"));
        assert_eq!(end.kind(), ErrorKind::Unavailable);
        expect_jittered(scene.lasts("backing off"), backoff);
    }
    scene.pass(s(10));
    scene.responds(200, &pair("a2", "r2"));
    let end = scene.refresh();
    assert_eq!(scene.log(), "lock, load, intent 8, send r1, pair r2, unlock");
    assert_eq!(end.events(), "refreshed");
    assert!(scene.record()["hold"].is_null() && scene.record()["intent"].is_null());
}

#[test]
fn after_a_success_failures_are_counted_anew() {
    let mut scene = Scene::expired();
    (0..4).for_each(|_| scene.lost());
    scene.refresh();
    scene.pass(s(10));
    scene.responds(200, &pair("a2", "r2"));
    scene.refresh();
    scene.pass(HOUR);
    (0..4).for_each(|_| scene.lost());
    scene.refresh();
    assert_eq!(scene.sends(), 4);
    expect_jittered(scene.waits[0], ms(500));
}

#[test]
fn a_backoff_of_long_ago_does_not_count() {
    let mut scene = Scene::expired();
    let day = s(86_400);
    scene.set_backoff(scene.now.wall - day, scene.now.wall - day + s(10), 9);
    scene.lost();
    scene.responds(200, &pair("a2", "r2"));
    assert_eq!(scene.refresh().token(), "a2");
    assert_eq!(scene.sends(), 2);
    expect_jittered(scene.waits[0], ms(500));
}

#[test]
fn after_a_recent_backoff_there_is_one_attempt() {
    let mut scene = Scene::expired();
    scene.set_backoff(scene.now.wall - s(12), scene.now.wall - s(2), 3);
    scene.lost();
    assert_eq!(scene.refresh().kind(), ErrorKind::Unavailable);
    assert_eq!(scene.log(), "lock, load, intent 1, send r1, backoff 4, unlock");
    expect_jittered(scene.lasts("backing off"), s(4));
}

#[test]
fn a_backoff_that_ends_now_is_over() {
    let mut scene = Scene::expired();
    scene.set_backoff(scene.now.wall - s(10), scene.now.wall, 1);
    scene.responds(200, &pair("a2", "r2"));
    assert_eq!(scene.refresh().token(), "a2");
}

#[test]
fn a_backoff_from_the_future_does_not_count() {
    let mut scene = Scene::expired();
    scene.set_backoff(scene.now.wall + s(6), scene.now.wall + s(60), 9);
    scene.lost();
    scene.responds(200, &pair("a2", "r2"));
    assert_eq!(scene.refresh().token(), "a2");
    assert_eq!(scene.sends(), 2);
    expect_jittered(scene.waits[0], ms(500));
}

#[test]
fn a_backoff_of_a_clock_that_is_a_little_fast_counts_for_no_longer_than_it_was() {
    let mut scene = Scene::expired();
    scene.set_backoff(scene.now.wall + s(5), scene.now.wall + s(65), 1);
    assert_eq!(scene.refresh().error().retry_after(), Some(s(60)));
    assert_eq!(scene.lasts("backing off"), s(60));
}

#[test]
fn a_backoff_that_ends_before_it_begins_does_not_count() {
    let mut scene = Scene::expired();
    scene.set_backoff(scene.now.wall, scene.now.wall - s(60), 0);
    scene.responds(200, &pair("a2", "r2"));
    assert_eq!(scene.refresh().token(), "a2");
}

#[test]
fn a_backoff_counts_by_the_monotonic_clock_once_it_is_known() {
    let mut scene = Scene::expired();
    scene.responds_with(503, PAGE, &[("retry-after", "60")]);
    scene.refresh();
    scene.now.wall -= HOUR;
    scene.now.monotonic += s(59);
    assert_eq!(scene.cached(), "backing off unavailable");
    scene.now.monotonic += s(1);
    assert_eq!(scene.cached(), "missing");
}

#[test]
fn a_failure_in_a_stored_backoff_is_one_line() {
    let mut scene = Scene::expired();
    scene.set_backoff(scene.now.wall, scene.now.wall + s(60), 1);
    scene.edit(|record| record["hold"]["failure"] = "a\nb\u{1b}[2J\0".into());
    let end = scene.refresh();
    let line = end.error().to_string();
    assert!(!line.chars().any(char::is_control), "{line:?}");
}

#[test]
fn a_backoff_that_cannot_be_stored_counts_in_this_process() {
    for outcome in
        [|| Err(SaveError::Failed(full_disk())), || Err(SaveError::Conflict), || Err(SaveError::Unknown(full_disk()))]
    {
        let mut scene = Scene::expired();
        scene.responds_with(503, PAGE, &[("retry-after", "60")]);
        scene.on("hold", move |_| saved(outcome()));
        let end = scene.refresh();
        assert_eq!(end.kind(), ErrorKind::Unavailable);
        assert_eq!(scene.log(), "lock, load, intent 1, send r1, backoff 1, unlock");
        assert_eq!(scene.cached(), "backing off unavailable");
    }
}

// An intent that a process left

#[test]
fn attempts_are_counted_on_from_the_intent_of_a_dead_process() {
    let mut scene = Scene::expired();
    scene.edit(|record| {
        record["intent"] = serde_json::json!({ "at_unix_ms": Scene::millis(now().wall), "attempt": 3 });
    });
    scene.memory = SessionMemory::default();
    scene.responds(200, &pair("a2", "r2"));
    let end = scene.refresh();
    assert_eq!(scene.log(), "lock, load, intent 4, send r1, pair r2, unlock");
    assert_eq!(end.token(), "a2");
    assert!(scene.record()["intent"].is_null());
}

#[test]
fn the_intent_of_a_dead_process_stays_if_the_next_one_is_not_sent() {
    let mut scene = Scene::expired();
    scene.edit(|record| {
        record["intent"] = serde_json::json!({ "at_unix_ms": Scene::millis(now().wall), "attempt": 3 });
    });
    scene.policy.retry = Retry::OFF;
    scene.not_sent();
    scene.refresh();
    assert_eq!(scene.record()["intent"]["attempt"], 3);
    assert_eq!(scene.record()["intent"]["at_unix_ms"], Scene::millis(now().wall));
}

#[test]
fn the_count_of_attempts_does_not_overflow() {
    let mut scene = Scene::expired();
    scene.edit(|record| {
        record["intent"] = serde_json::json!({ "at_unix_ms": u64::MAX, "attempt": u32::MAX });
    });
    scene.set_backoff(now().wall, now().wall, u32::MAX);
    (0..4).for_each(|_| scene.lost());
    assert_eq!(scene.refresh().kind(), ErrorKind::Unavailable);
    assert_eq!(scene.record()["intent"]["attempt"], u32::MAX);
}

#[test]
fn a_token_of_a_dead_process_is_returned_while_it_is_fresh() {
    let mut scene = Scene::signed_in(600);
    scene.edit(|record| {
        record["intent"] = serde_json::json!({ "at_unix_ms": Scene::millis(now().wall), "attempt": 1 });
    });
    scene.memory = SessionMemory::default();
    assert_eq!(scene.refresh().token(), "a1");
    assert_eq!(scene.log(), "lock, load, unlock");
}

// Suspended between the intent and the request

#[test]
fn with_an_old_intent_nothing_is_sent_and_the_flow_begins_again_at_the_lock() {
    for which in ["both clocks", "the wall clock", "the monotonic clock"] {
        for step in ["intent", "lock"] {
            let mut scene = Scene::expired();
            if step == "lock" {
                // A lease may have run out before anything is loaded.
                scene.on("lock", |scene| {
                    scene.pass(s(31));
                    None
                });
            } else {
                scene.on("intent", move |scene| {
                    match which {
                        "both clocks" => scene.pass(s(31)),
                        "the wall clock" => scene.now.wall += s(31),
                        _ => scene.now.monotonic += s(31),
                    }
                    None
                });
            }
            scene.responds(200, &pair("a2", "r2"));
            assert_eq!(scene.refresh().token(), "a2", "{which}");
            if step == "lock" {
                assert_eq!(scene.log(), "lock, unlock, lock, load, intent 1, send r1, pair r2, unlock");
            } else {
                assert!(
                    scene.log().starts_with("lock, load, intent 1, unlock, lock, load, intent "),
                    "{}",
                    scene.log()
                );
                assert_eq!(scene.sends(), 1, "{which}");
            }
        }
    }
}

#[test]
fn an_intent_as_old_as_the_timeout_is_not_too_old() {
    let mut scene = Scene::expired();
    scene.on("intent", |scene| {
        scene.pass(s(30));
        None
    });
    scene.responds(200, &pair("a2", "r2"));
    assert_eq!(scene.refresh().token(), "a2");
    assert_eq!(scene.log(), "lock, load, intent 1, send r1, pair r2, unlock");
}

#[test]
fn a_clock_set_back_does_not_make_an_intent_old() {
    let mut scene = Scene::expired();
    scene.on("intent", |scene| {
        scene.now.wall -= HOUR;
        None
    });
    scene.responds(200, &pair("a2", "r2"));
    assert_eq!(scene.refresh().token(), "a2");
    assert_eq!(scene.log(), "lock, load, intent 1, send r1, pair r2, unlock");
}

#[test]
fn a_suspended_process_finds_what_another_did() {
    let mut scene = Scene::expired();
    scene.on("intent", |scene| {
        let record = scene.saving.clone().unwrap();
        scene.stored = Some(record);
        scene.pass(HOUR);
        scene.other_process(|scene| {
            scene.responds(200, &pair("a2", "r2"));
            scene.refresh();
        });
        saved(Ok(()))
    });
    let end = scene.refresh();
    assert_eq!(scene.log(), "lock, load, intent 1, unlock, lock, load, unlock");
    assert_eq!(end.token(), "a2");
    assert_eq!(end.events(), "adopted");
}

#[test]
fn a_suspended_process_waits_for_a_lock_that_became_anothers() {
    let mut scene = Scene::expired();
    scene.on("intent", |scene| {
        scene.pass(HOUR);
        None
    });
    scene.on("unlock", |scene| {
        scene.locked_until = Some(scene.now.monotonic + s(2));
        None
    });
    scene.responds(200, &pair("a2", "r2"));
    assert_eq!(scene.refresh().token(), "a2");
}

#[test]
fn an_unsent_intent_is_no_unknown_outcome() {
    let mut scene = Scene::expired();
    scene.on("intent", |scene| {
        scene.pass(s(31));
        None
    });
    scene.responds(400, REJECTED);
    let end = scene.refresh();
    assert_eq!(end.kind(), ErrorKind::SignInRequired);
    assert!(!end.error().to_string().contains("lost"), "{}", end.error());
}

#[test]
fn a_process_that_is_suspended_each_time_gives_up_without_a_request() {
    let mut scene = Scene::expired();
    for _ in 0..20 {
        scene.on("intent", |scene| {
            scene.pass(s(31));
            None
        });
    }
    assert_eq!(scene.refresh().kind(), ErrorKind::Unavailable);
    assert_eq!(scene.sends(), 0);
}

// The driver finds the lock lapsed

#[test]
fn a_request_whose_lock_has_lapsed_is_sent_under_another_lock() {
    let mut scene = Scene::expired();
    scene.lock_lapses();
    scene.responds(200, &pair("a2", "r2"));
    let end = scene.refresh();
    assert_eq!(scene.log(), "lock, load, intent 1, send r1, unlock, lock, load, intent 1, send r1, pair r2, unlock");
    assert_eq!(end.token(), "a2");
    assert_eq!(end.events(), "refreshed");
}

#[test]
fn a_flow_whose_lock_has_lapsed_adopts_what_the_next_holder_refreshed() {
    let mut scene = Scene::expired();
    scene.on("send", |scene| {
        scene.other_process(|scene| {
            scene.responds(200, &pair("a2", "r2"));
            scene.refresh();
        });
        Some(SessionInput::LockLapsed)
    });
    let end = scene.refresh();
    assert_eq!(scene.log(), "lock, load, intent 1, send r1, unlock, lock, load, unlock");
    assert_eq!((end.token(), end.events()), ("a2".to_owned(), "adopted".to_owned()));
}

#[test]
fn a_lapsed_lock_is_no_attempt_and_no_unknown_outcome() {
    let mut scene = Scene::expired();
    scene.policy.retry.attempts = 2;
    scene.lock_lapses();
    scene.not_sent();
    scene.responds(400, REJECTED);
    let end = scene.refresh();
    assert_eq!(scene.sends(), 3, "{}", scene.log());
    assert_eq!(end.kind(), ErrorKind::SignInRequired);
    assert!(!end.error().to_string().contains("lost"), "{}", end.error());
}

#[test]
fn a_lock_that_lapses_each_time_is_given_up_without_a_backoff() {
    for cached in [false, true] {
        let mut scene = if cached { Scene::signed_in(600) } else { Scene::expired() };
        if cached {
            scene.pass(s(580));
        }
        (0..6).for_each(|_| scene.lock_lapses());
        let end = scene.refresh();
        assert_eq!(scene.sends(), 6);
        if cached {
            assert_eq!(end.token(), "a1");
        } else {
            assert_eq!(end.kind(), ErrorKind::Unavailable);
            assert!(end.error().to_string().contains("stood still"), "{}", end.error());
        }
        assert!(scene.record()["hold"].is_null(), "{}", scene.record());
        // The next caller need not wait.
        scene.responds(200, &pair("a2", "r2"));
        scene.pass(s(30));
        assert_eq!(scene.refresh().token(), "a2");
    }
}

// Refusals that do not concern the token

#[test]
fn a_refusal_of_the_app_or_the_request_does_not_end_the_session() {
    for (status, body, kind) in [
        (401, r#"{"error":"invalid_client"}"#, ErrorKind::Configuration),
        (400, r#"{"error":"unauthorized_client"}"#, ErrorKind::Configuration),
        (400, r#"{"error":"invalid_request","error_description":"client_id is missing"}"#, ErrorKind::Configuration),
        (400, r#"{"error":"unsupported_grant_type"}"#, ErrorKind::Configuration),
        (200, r#"{"error":"invalid_client"}"#, ErrorKind::Configuration),
        (403, r#"{"ErrorCode":922,"Message":"API key is invalid"}"#, ErrorKind::Configuration),
        (403, r#"{"ErrorCode":991,"Message":"The user is blocked"}"#, ErrorKind::UserActionRequired),
        (400, r#"{"error":"access_denied"}"#, ErrorKind::Denied),
        (400, r#"{"ErrorCode":4711,"Message":"Something new"}"#, ErrorKind::Refused),
    ] {
        let mut scene = Scene::expired();
        scene.responds(status, body);
        let end = scene.refresh();
        // A wrong setting is this program's, and the others are not kept from trying with theirs.
        let save = if kind == ErrorKind::Configuration { "withdraw r1" } else { "backoff 1" };
        assert_eq!(scene.log(), format!("lock, load, intent 1, send r1, {save}, unlock"), "{body}");
        assert_eq!(end.kind(), kind, "{body}");
        assert_eq!(end.events(), "request failed", "{body}");
        assert!(scene.record()["intent"].is_null(), "{body}");
        assert!(scene.record()["refused"].is_null(), "{body}");
        // One caller sends again after a wait: the settings may have been corrected.
        assert_eq!(scene.lasts("backing off"), s(1), "{body}");
        assert_eq!(scene.backoff_error().kind(), kind, "{body}");
        scene.pass(s(1));
        scene.responds(200, &pair("a2", "r2"));
        let end = scene.refresh();
        assert_eq!(end.token(), "a2");
        assert_eq!(end.events(), "refreshed");
    }
}

#[test]
fn a_refusal_of_the_app_leaves_a_fresh_token() {
    let mut scene = Scene::signed_in(600);
    scene.pass(s(570));
    scene.responds(401, r#"{"error":"invalid_client"}"#);
    assert_eq!(scene.refresh().token(), "a1");
    assert_eq!(scene.cached(), "fresh a1");
}

#[test]
fn a_refusal_of_the_app_after_a_lost_response_leaves_the_intent() {
    let mut scene = Scene::expired();
    scene.lost();
    scene.responds(401, r#"{"error":"invalid_client"}"#);
    assert_eq!(scene.refresh().kind(), ErrorKind::Configuration);
    assert_eq!(scene.log(), "lock, load, intent 1, send r1, wait, intent 2, send r1, withdraw r1, unlock");
    assert_eq!(scene.record()["intent"]["attempt"], 1);
}

/// What is wrong with one program, such as its secret, its proxy or its clock, keeps no other from a request.
#[test]
fn after_a_fault_of_this_program_others_try_at_once_and_this_one_backs_off() {
    type Fault = fn(&mut Scene);
    let faults: [(&str, Fault); 4] = [
        ("a wrong secret", |scene| scene.responds(401, r#"{"error":"invalid_client"}"#)),
        ("a wrong key", |scene| scene.responds(403, r#"{"ErrorCode":922,"Message":"API key is invalid"}"#)),
        ("a client without the right", |scene| scene.responds(400, r#"{"error":"unauthorized_client"}"#)),
        ("no TLS", |scene| {
            scene.on("send", |_| {
                responded(Err(Error::not_connected(ConnectFailure::NotTls { address: "10.0.0.1:443".to_owned() })))
            });
        }),
    ];
    for (name, fault) in faults {
        let mut scene = Scene::expired();
        fault(&mut scene);
        let error = scene.refresh().error().to_string();
        assert_eq!(scene.backoff_error().to_string(), error, "{name}");
        assert!(scene.record()["hold"].is_null(), "{name}");
        scene.other_process(|scene| {
            scene.responds(200, &pair("a2", "r2"));
            assert_eq!(scene.refresh().token(), "a2", "{name}");
        });
        scene.pass(s(1));
        assert_eq!(scene.refresh().token(), "a2", "{name}");
    }
}

/// Drives a flow until it is in that state.
fn run_to(scene: &mut Scene, flow: &mut SessionFlow, state: &str) {
    while flow.state() != state {
        let step = flow.step(scene.now);
        if let Some(input) = scene.perform(step) {
            flow.receive(input, scene.now);
        }
    }
}

#[test]
fn an_intent_that_is_found_after_an_unknown_save_is_as_old_as_that() {
    let mut scene = Scene::expired();
    scene.on("load", |_| None);
    scene.on("intent", |scene| {
        scene.pass(s(20));
        scene.stored = scene.saving.take();
        saved(Err(SaveError::Unknown(full_disk())))
    });
    scene.on("load", |scene| {
        scene.pass(s(20));
        None
    });
    scene.responds(200, &pair("a2", "r2"));
    assert_eq!(scene.refresh().token(), "a2");
    assert_eq!(scene.log(), "lock, load, intent 1, load, send r1, pair r2, unlock");
}

#[test]
fn an_intent_grows_old_in_short_pauses_too() {
    let mut scene = Scene::expired();
    scene.on("intent", |scene| {
        scene.pass(s(20));
        None
    });
    let mut flow = scene.refresh_flow();
    run_to(&mut scene, &mut flow, "Ready");
    scene.pass(s(20));
    let step = flow.step(scene.now);
    assert!(matches!(step, SessionStep::Unlock), "{step:?}");
}

#[test]
fn a_process_that_was_suspended_between_two_attempts_loads_again_before_the_next() {
    let mut scene = Scene::expired();
    scene.not_sent();
    let mut flow = scene.refresh_flow();
    run_to(&mut scene, &mut flow, "BackingOff");
    scene.pass(HOUR);
    scene.responds(200, &pair("a2", "r2"));
    let end = scene.drive(flow, |_, _, _| {});
    assert_eq!(scene.log(), "intent 1, unlock, lock, load, intent 1, send r1, pair r2, unlock");
    assert_eq!(end.token(), "a2");
}

#[test]
fn an_unsent_intent_does_not_hide_that_another_process_lost_a_response() {
    let mut scene = Scene::expired();
    scene.policy.retry.attempts = 1;
    scene.on("intent", |scene| {
        scene.stored = scene.saving.clone();
        scene.pass(HOUR);
        scene.other_process(|scene| {
            scene.lost();
            assert_eq!(scene.refresh().kind(), ErrorKind::Unavailable);
        });
        scene.pass(HOUR);
        saved(Ok(()))
    });
    scene.responds(400, REJECTED);
    let end = scene.refresh();
    assert_eq!(end.kind(), ErrorKind::SignInRequired);
    assert!(end.error().to_string().contains("an earlier refresh were lost"), "{}", end.error());
}

#[test]
fn the_tokens_are_the_newest_also_after_a_faulty_response() {
    let mut scene = Scene::expired();
    scene.responds(200, r#"{"refresh_token":"r2"}"#);
    assert_eq!(scene.refresh().kind(), ErrorKind::InvalidResponse);
    assert_eq!(scene.memory.tokens(scene.now).unwrap().refresh_token.unwrap().expose(), "r2");
}
