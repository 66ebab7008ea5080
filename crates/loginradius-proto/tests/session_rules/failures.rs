//! Refreshes that fail for a reason that is not the token's.

use std::time::Duration;

use loginradius_proto::session::{SaveOutcome, SessionMemory};
use loginradius_proto::{Error, ErrorKind, Retry};

use crate::world::*;

/// Between three quarters of that and that.
#[track_caller]
fn within(wait: Duration, longest: Duration) {
    assert!(wait >= longest * 3 / 4 && wait <= longest, "{wait:?}, not up to {longest:?}");
}

type Outcome = (&'static str, fn(&mut World));

/// Outcomes after which nobody knows whether the token was spent.
const LOST: &[Outcome] = &[
    ("lost", World::lost),
    ("no answer", |world| {
        world.policy.timeout = s(2);
        world.on("send", |_| None);
    }),
    ("500 with a page", |world| world.answers(500, PAGE)),
    ("502 with nothing", |world| world.answers(502, "")),
    ("503 with an OAuth error", |world| world.answers(503, r#"{"error":"temporarily_unavailable"}"#)),
    ("500 with a refusal", |world| world.answers(500, REFUSED)),
    ("500 with a pair", |world| world.answers(500, &pair("a2", "r2"))),
    ("502 with a setting", |world| world.answers(502, r#"{"error":"invalid_client"}"#)),
    ("server_error", |world| world.answers(400, r#"{"error":"server_error"}"#)),
    ("an unknown error of LoginRadius's", |world| {
        world.answers(400, r#"{"ErrorCode":950,"Message":"An unknown error occurred"}"#);
    }),
    ("429 with text", |world| world.answers(429, "Too many requests")),
    ("429 with a refusal", |world| world.answers(429, REFUSED)),
    ("408", |world| world.answers(408, "")),
    ("a page", |world| world.answers(200, PAGE)),
    ("a page at 404", |world| world.answers(404, PAGE)),
    ("nothing", |world| world.answers(200, "")),
    ("half a pair", |world| world.answers(200, &pair("a2", "r2")[..60])),
    ("too long", |world| {
        let body = " ".repeat(loginradius_proto::Body::LIMIT + 1) + &pair("a2", "r2");
        world.answers(200, &body);
    }),
    ("301", |world| world.answers_with(301, "", &[("location", "https://example.com/")])),
    ("302 with a pair", |world| world.answers(302, &pair("a2", "r2"))),
    ("307 with a refusal", |world| world.answers(307, REFUSED)),
    ("no tokens", |world| world.answers(200, r#"{"token_type":"access_token"}"#)),
    ("an access token that is none", |world| world.answers(200, r#"{"access_token":5}"#)),
];

// Trying again

#[test]
fn a_lost_answer_is_tried_again_under_a_new_intent_until_the_attempts_are_used_up() {
    for (name, outcome) in LOST {
        let mut world = World::expired();
        (0..4).for_each(|_| outcome(&mut world));
        let end = world.token();
        let attempts = "intent 1, send r1, wait, intent 2, send r1, wait, intent 3, send r1, wait, intent 4, send r1";
        let log =
            world.log().replace("send r1, wait, wait", "send r1, wait").replace("send r1, wait, hold", "send r1, hold");
        assert_eq!(log, format!("lock, load, {attempts}, hold 4, unlock"), "{name}");
        assert_eq!(end.kind(), ErrorKind::TryLater, "{name}");
        assert_eq!(end.events(), "retried, retried, retried, retried", "{name}");
        // Somebody has to know that an answer may have been lost.
        assert_eq!(world.record()["intent"]["attempt"], 4, "{name}");
        assert_eq!(world.record()["refresh_token"], "r1", "{name}");
        assert_eq!(world.handout(), "held try_later", "{name}");
    }
}

#[test]
fn what_was_not_sent_is_tried_again_and_leaves_no_intent() {
    let mut world = World::expired();
    (0..4).for_each(|_| world.not_sent());
    let end = world.token();
    let attempts = "intent 1, send r1, wait, intent 1, send r1, wait, intent 1, send r1, wait, intent 1, send r1";
    assert_eq!(world.log(), format!("lock, load, {attempts}, hold 4, unlock"));
    assert_eq!(end.kind(), ErrorKind::TryLater);
    assert!(end.error().to_string().contains("nothing was sent"), "{}", end.error());
    assert!(world.record()["intent"].is_null());
}

#[test]
fn the_waits_double() {
    let mut world = World::expired();
    (0..4).for_each(|_| world.lost());
    let end = world.token();
    assert_eq!(world.waits.len(), 3);
    for (wait, longest) in world.waits.iter().zip([ms(500), s(1), s(2)]) {
        within(*wait, longest);
    }
    let held = world.lasts("held");
    within(held, s(4));
    let told = end.error().retry_after().expect("a wait");
    assert!(told <= held && held - told < ms(2), "{told:?}, {held:?}");
}

#[test]
fn the_waits_end_at_the_longest_one() {
    let mut world = World::expired();
    world.policy.retry = Retry { attempts: 12, first_wait: ms(100), longest_wait: s(1) };
    (0..12).for_each(|_| world.lost());
    world.token();
    assert_eq!(world.sends(), 12);
    within(world.waits[10], s(1));
    within(world.lasts("held"), s(1));
}

#[test]
fn an_attempt_that_works_ends_it() {
    let mut world = World::expired();
    world.lost();
    world.not_sent();
    world.answers(200, &pair("a2", "r2"));
    let end = world.token();
    let attempts = "intent 1, send r1, wait, intent 2, send r1, wait, intent 2, send r1, pair r2";
    assert_eq!(world.log(), format!("lock, load, {attempts}, unlock"));
    assert_eq!(end.token(), "a2");
    assert_eq!(end.events(), "retried, retried, rotated");
    assert!(world.record()["hold"].is_null() && world.record()["intent"].is_null());
    assert_eq!(world.handout(), "good a2");
}

#[test]
fn lost_answers_are_counted_and_others_are_not() {
    let mut world = World::expired();
    world.not_sent();
    world.lost();
    world.not_sent();
    world.lost();
    world.token();
    let attempts = "intent 1, send r1, wait, intent 1, send r1, wait, intent 2, send r1, wait, intent 2, send r1";
    assert_eq!(world.log(), format!("lock, load, {attempts}, hold 4, unlock"));
    assert_eq!(world.record()["intent"]["attempt"], 2);
}

#[test]
fn a_request_without_an_answer_is_over_at_its_deadline() {
    let mut world = World::expired();
    world.policy.timeout = s(7);
    world.on("send", |_| None);
    world.answers(200, &pair("a2", "r2"));
    let end = world.token();
    assert_eq!(end.token(), "a2");
    assert_eq!(world.log(), "lock, load, intent 1, send r1, wait, wait, intent 2, send r1, pair r2, unlock");
    assert_eq!(world.waits[0], s(7));
    within(world.waits[1], ms(500));
}

#[test]
fn an_answer_before_the_deadline_is_in_time() {
    let mut world = World::expired();
    world.on("send", |world| {
        world.pass(s(30) - ms(1));
        answered(Ok(answer(200, &pair("a2", "r2"))))
    });
    assert_eq!(world.token().token(), "a2");
}

#[test]
fn there_is_no_attempt_after_those_who_wait_for_the_lock_have_given_up() {
    // With the defaults one request without an answer takes all the time there is.
    let mut world = World::expired();
    world.on("send", |_| None);
    let end = world.token();
    assert_eq!(world.log(), "lock, load, intent 1, send r1, wait, hold 1, unlock");
    assert_eq!(world.waits, [s(30)]);
    assert_eq!(end.kind(), ErrorKind::TryLater);

    let mut world = World::expired();
    world.policy.lock_wait = ms(1_200);
    (0..3).for_each(|_| world.lost());
    world.token();
    assert!(world.now < start() + HOUR + ms(1_200));
    assert_eq!(world.sends(), 2);
}

#[test]
fn a_wait_counts_from_the_request_if_the_driver_looked_at_its_clock_before_that() {
    let mut world = World::expired();
    world.on("send", |world| {
        world.now -= s(1);
        answered(Err(Error::lost("reset")))
    });
    world.answers(200, &pair("a2", "r2"));
    world.token();
    assert!(world.waits[0] >= s(1) + ms(375), "{:?}", world.waits);
}

#[test]
fn one_attempt_is_one_attempt() {
    let mut world = World::expired();
    world.policy.retry = Retry::OFF;
    world.lost();
    let end = world.token();
    assert_eq!(world.log(), "lock, load, intent 1, send r1, hold 1, unlock");
    assert_eq!(end.kind(), ErrorKind::TryLater);
    // Whatever the policy, not everybody at once.
    assert_eq!(world.lasts("held"), s(1));
}

#[test]
fn the_error_says_what_happened_and_that_it_goes_on() {
    let mut world = World::expired();
    (0..4).for_each(|_| world.answers(503, PAGE));
    let end = world.token();
    let line = end.error().to_string();
    assert!(line.starts_with("Refresh Access Token: HTTP 503"), "{line}");
    assert_eq!(end.error().http_status().unwrap().as_u16(), 503);
    let held = world.held();
    assert_eq!((held.kind(), held.to_string()), (ErrorKind::TryLater, line));
}

// Retry-After

#[test]
fn a_wait_that_the_server_asks_for_is_kept() {
    for status in [429, 503] {
        let mut world = World::expired();
        world.answers_with(status, PAGE, &[("retry-after", "7")]);
        world.answers(200, &pair("a2", "r2"));
        assert_eq!(world.token().token(), "a2");
        assert_eq!(world.waits, [s(7)]);
    }
}

#[test]
fn a_short_wait_does_not_make_attempts_more_frequent() {
    let mut world = World::expired();
    world.answers_with(429, "", &[("retry-after", "0")]);
    world.answers(200, &pair("a2", "r2"));
    world.token();
    within(world.waits[0], ms(500));
}

#[test]
fn a_wait_longer_than_the_policys_is_for_the_next_caller() {
    let mut world = World::expired();
    world.answers_with(429, "", &[("retry-after", "120")]);
    let end = world.token();
    assert_eq!(world.log(), "lock, load, intent 1, send r1, hold 1, unlock");
    assert_eq!(end.kind(), ErrorKind::TryLater);
    assert_eq!(end.error().retry_after(), Some(s(120)));
    assert_eq!(world.lasts("held"), s(120));
}

#[test]
fn a_wait_of_a_year_is_an_hour() {
    for seconds in ["31536000", "18446744073709551615", "3601"] {
        let mut world = World::expired();
        world.answers_with(503, PAGE, &[("retry-after", seconds)]);
        let end = world.token();
        assert_eq!(end.error().retry_after(), Some(HOUR));
        assert_eq!(world.lasts("held"), HOUR);
        assert!(!end.error().to_string().contains("31536000"), "{}", end.error());
        let hold = &world.record()["hold"];
        let (since, until) = (hold["since_unix_ms"].as_u64(), hold["not_before_unix_ms"].as_u64());
        assert_eq!(until.unwrap() - since.unwrap(), 3_600_000);
        world.pass(HOUR);
        assert_eq!(world.handout(), "refresh");
        world.answers(200, &pair("a2", "r2"));
        assert_eq!(world.token().token(), "a2");
    }
}

// While the old token lives

#[test]
fn a_token_that_lives_is_handed_out_after_one_attempt() {
    for (name, outcome) in LOST {
        let mut world = World::signed_in(600);
        world.pass(s(570));
        outcome(&mut world);
        let end = world.token();
        assert_eq!(world.sends(), 1, "{name}");
        assert!(world.log().ends_with("hold 1, unlock"), "{name}: {}", world.log());
        assert_eq!(end.token(), "a1", "{name}");
        assert_eq!(end.events(), "retried", "{name}");
        // Others are let be for a moment, and then the next one tries.
        assert_eq!(world.handout(), "good a1", "{name}");
        assert_eq!(world.lasts("good"), s(1), "{name}");
        world.pass(s(1));
        assert_eq!(world.handout(), "early a1", "{name}");
    }
}

#[test]
fn a_token_that_ends_while_the_attempt_is_out_is_not_handed_out() {
    let mut world = World::signed_in(100);
    world.pass(s(99));
    world.policy.retry = Retry::OFF;
    world.on("send", |world| {
        world.pass(s(2));
        answered(Err(Error::lost("reset")))
    });
    assert_eq!(world.token().kind(), ErrorKind::TryLater);
}

#[test]
fn a_hold_is_not_in_the_way_of_a_token_that_lives() {
    let mut world = World::signed_in(600);
    world.pass(s(570));
    world.answers_with(429, "", &[("retry-after", "120")]);
    assert_eq!(world.token().token(), "a1");
    assert_eq!(world.handout(), "good a1");
    world.pass(s(30));
    assert_eq!(world.handout(), "held try_later");
    assert_eq!(world.token().kind(), ErrorKind::TryLater);
    assert_eq!(world.log(), "lock, load, unlock");
}

// Others who come meanwhile

#[test]
fn another_process_gets_the_stored_failure_at_once() {
    let mut world = World::expired();
    world.answers_with(503, PAGE, &[("retry-after", "60")]);
    world.token();
    world.pass(s(20));
    world.memory = SessionMemory::default();
    let end = world.token();
    assert_eq!(world.log(), "lock, load, unlock");
    assert_eq!(end.kind(), ErrorKind::TryLater);
    assert_eq!(end.error().retry_after(), Some(s(40)));
    assert!(end.error().to_string().contains("HTTP 503"), "{}", end.error());
    assert_eq!(end.events(), "");
    // And those after it do not even look.
    assert_eq!(world.lasts("held"), s(40));
    world.pass(s(40));
    assert_eq!(world.handout(), "refresh");
}

#[test]
fn another_process_hands_out_the_token_that_lives() {
    let mut world = World::signed_in(600);
    world.pass(s(570));
    world.lost();
    world.token();
    world.memory = SessionMemory::default();
    assert_eq!(world.token().token(), "a1");
    assert_eq!(world.log(), "lock, load, unlock");
    assert_eq!(world.handout(), "good a1");
}

#[test]
fn after_a_hold_there_is_one_attempt_and_a_longer_hold() {
    let mut world = World::expired();
    (0..4).for_each(|_| world.lost());
    world.token();
    for (attempt, hold) in [(5, s(8)), (6, s(10)), (7, s(10))] {
        world.pass(world.lasts("held"));
        assert_eq!(world.handout(), "refresh");
        world.lost();
        let end = world.token();
        assert_eq!(world.log(), format!("lock, load, intent {attempt}, send r1, hold {attempt}, unlock"));
        assert_eq!(end.kind(), ErrorKind::TryLater);
        within(world.lasts("held"), hold);
    }
    world.pass(s(10));
    world.answers(200, &pair("a2", "r2"));
    let end = world.token();
    assert_eq!(world.log(), "lock, load, intent 8, send r1, pair r2, unlock");
    assert_eq!(end.events(), "rotated");
    assert!(world.record()["hold"].is_null() && world.record()["intent"].is_null());
}

#[test]
fn after_a_success_failures_begin_again() {
    let mut world = World::expired();
    (0..4).for_each(|_| world.lost());
    world.token();
    world.pass(s(10));
    world.answers(200, &pair("a2", "r2"));
    world.token();
    world.pass(HOUR);
    (0..4).for_each(|_| world.lost());
    world.token();
    assert_eq!(world.sends(), 4);
    within(world.waits[0], ms(500));
}

#[test]
fn a_hold_of_long_ago_does_not_count() {
    let mut world = World::expired();
    let day = s(86_400);
    world.hold(world.clock - day, world.clock - day + s(10), 9);
    world.lost();
    world.answers(200, &pair("a2", "r2"));
    assert_eq!(world.token().token(), "a2");
    assert_eq!(world.sends(), 2);
    within(world.waits[0], ms(500));
}

#[test]
fn a_hold_of_just_before_leaves_one_attempt() {
    let mut world = World::expired();
    world.hold(world.clock - s(12), world.clock - s(2), 3);
    world.lost();
    assert_eq!(world.token().kind(), ErrorKind::TryLater);
    assert_eq!(world.log(), "lock, load, intent 1, send r1, hold 4, unlock");
    within(world.lasts("held"), s(4));
}

#[test]
fn a_hold_that_ends_now_is_over() {
    let mut world = World::expired();
    world.hold(world.clock - s(10), world.clock, 1);
    world.answers(200, &pair("a2", "r2"));
    assert_eq!(world.token().token(), "a2");
}

#[test]
fn a_hold_from_the_future_does_not_count() {
    let mut world = World::expired();
    world.hold(world.clock + s(6), world.clock + s(60), 9);
    world.lost();
    world.answers(200, &pair("a2", "r2"));
    assert_eq!(world.token().token(), "a2");
    assert_eq!(world.sends(), 2);
    within(world.waits[0], ms(500));
}

#[test]
fn a_hold_of_a_clock_that_is_a_little_fast_counts_for_no_longer_than_it_was() {
    let mut world = World::expired();
    world.hold(world.clock + s(5), world.clock + s(65), 1);
    assert_eq!(world.token().error().retry_after(), Some(s(60)));
    assert_eq!(world.lasts("held"), s(60));
}

#[test]
fn a_hold_that_ends_before_it_begins_does_not_count() {
    let mut world = World::expired();
    world.hold(world.clock, world.clock - s(60), 0);
    world.answers(200, &pair("a2", "r2"));
    assert_eq!(world.token().token(), "a2");
}

#[test]
fn a_hold_counts_by_the_monotonic_clock_once_it_is_known() {
    let mut world = World::expired();
    world.answers_with(503, PAGE, &[("retry-after", "60")]);
    world.token();
    world.clock -= HOUR;
    world.now += s(59);
    assert_eq!(world.handout(), "held try_later");
    world.now += s(1);
    assert_eq!(world.handout(), "refresh");
}

#[test]
fn a_failure_in_a_stored_hold_is_one_line() {
    let mut world = World::expired();
    world.hold(world.clock, world.clock + s(60), 1);
    world.edit(|record| record["hold"]["failure"] = "a\nb\u{1b}[2J\0".into());
    let end = world.token();
    let line = end.error().to_string();
    assert!(!line.chars().any(char::is_control), "{line:?}");
}

#[test]
fn a_hold_that_cannot_be_stored_holds_in_this_process() {
    for outcome in [|| SaveOutcome::Failed(full_disk()), || SaveOutcome::Conflict, || SaveOutcome::Unknown(full_disk())]
    {
        let mut world = World::expired();
        world.answers_with(503, PAGE, &[("retry-after", "60")]);
        world.on("hold", move |_| saved(outcome()));
        let end = world.token();
        assert_eq!(end.kind(), ErrorKind::TryLater);
        assert_eq!(world.log(), "lock, load, intent 1, send r1, hold 1, unlock");
        assert_eq!(world.handout(), "held try_later");
    }
}

// An intent that somebody left

#[test]
fn the_intent_of_a_dead_process_is_gone_on_from() {
    let mut world = World::expired();
    world.edit(|record| {
        record["intent"] = serde_json::json!({ "at_unix_ms": World::millis(noon()), "attempt": 3 });
    });
    world.memory = SessionMemory::default();
    world.answers(200, &pair("a2", "r2"));
    let end = world.token();
    assert_eq!(world.log(), "lock, load, intent 4, send r1, pair r2, unlock");
    assert_eq!(end.token(), "a2");
    assert!(world.record()["intent"].is_null());
}

#[test]
fn the_intent_of_a_dead_process_stays_if_the_next_one_is_not_sent() {
    let mut world = World::expired();
    world.edit(|record| {
        record["intent"] = serde_json::json!({ "at_unix_ms": World::millis(noon()), "attempt": 3 });
    });
    world.policy.retry = Retry::OFF;
    world.not_sent();
    world.token();
    assert_eq!(world.record()["intent"]["attempt"], 3);
    assert_eq!(world.record()["intent"]["at_unix_ms"], World::millis(noon()));
}

#[test]
fn attempts_beyond_all_count_do_not_overflow() {
    let mut world = World::expired();
    world.edit(|record| {
        record["intent"] = serde_json::json!({ "at_unix_ms": u64::MAX, "attempt": u32::MAX });
    });
    world.hold(noon(), noon(), u32::MAX);
    (0..4).for_each(|_| world.lost());
    assert_eq!(world.token().kind(), ErrorKind::TryLater);
    assert_eq!(world.record()["intent"]["attempt"], u32::MAX);
}

#[test]
fn a_token_of_a_dead_process_is_handed_out_while_it_lives() {
    let mut world = World::signed_in(600);
    world.edit(|record| {
        record["intent"] = serde_json::json!({ "at_unix_ms": World::millis(noon()), "attempt": 1 });
    });
    world.memory = SessionMemory::default();
    assert_eq!(world.token().token(), "a1");
    assert_eq!(world.log(), "lock, load, unlock");
}

// Suspended between the intent and the request

#[test]
fn an_intent_that_grew_old_is_not_sent_and_all_begins_again_at_the_lock() {
    for which in ["both clocks", "the wall clock", "the monotonic clock"] {
        for step in ["intent", "lock"] {
            let mut world = World::expired();
            if step == "lock" {
                // A lease may have run out before anything is loaded.
                world.on("lock", |world| {
                    world.pass(s(31));
                    None
                });
            } else {
                world.on("intent", move |world| {
                    match which {
                        "both clocks" => world.pass(s(31)),
                        "the wall clock" => world.clock += s(31),
                        _ => world.now += s(31),
                    }
                    None
                });
            }
            world.answers(200, &pair("a2", "r2"));
            assert_eq!(world.token().token(), "a2", "{which}");
            if step == "lock" {
                assert_eq!(world.log(), "lock, unlock, lock, load, intent 1, send r1, pair r2, unlock");
            } else {
                assert!(
                    world.log().starts_with("lock, load, intent 1, unlock, lock, load, intent "),
                    "{}",
                    world.log()
                );
                assert_eq!(world.sends(), 1, "{which}");
            }
        }
    }
}

#[test]
fn an_intent_of_the_age_of_a_timeout_may_be_sent() {
    let mut world = World::expired();
    world.on("intent", |world| {
        world.pass(s(30));
        None
    });
    world.answers(200, &pair("a2", "r2"));
    assert_eq!(world.token().token(), "a2");
    assert_eq!(world.log(), "lock, load, intent 1, send r1, pair r2, unlock");
}

#[test]
fn a_clock_set_back_does_not_make_an_intent_old() {
    let mut world = World::expired();
    world.on("intent", |world| {
        world.clock -= HOUR;
        None
    });
    world.answers(200, &pair("a2", "r2"));
    assert_eq!(world.token().token(), "a2");
    assert_eq!(world.log(), "lock, load, intent 1, send r1, pair r2, unlock");
}

#[test]
fn a_suspended_process_finds_what_another_did_meanwhile() {
    let mut world = World::expired();
    world.on("intent", |world| {
        let record = world.saving.clone().unwrap();
        world.stored = Stored::Record(record.to_json());
        world.pass(HOUR);
        world.other(|world| {
            world.answers(200, &pair("a2", "r2"));
            world.token();
        });
        saved(SaveOutcome::Saved)
    });
    let end = world.token();
    assert_eq!(world.log(), "lock, load, intent 1, unlock, lock, load, unlock");
    assert_eq!(end.token(), "a2");
    assert_eq!(end.events(), "adopted");
}

#[test]
fn a_suspended_process_waits_for_a_lock_that_became_anothers() {
    let mut world = World::expired();
    world.on("intent", |world| {
        world.pass(HOUR);
        None
    });
    world.on("unlock", |world| {
        world.busy_until = Some(world.now + s(2));
        None
    });
    world.answers(200, &pair("a2", "r2"));
    assert_eq!(world.token().token(), "a2");
}

#[test]
fn an_intent_that_was_never_sent_is_no_lost_answer() {
    let mut world = World::expired();
    world.on("intent", |world| {
        world.pass(s(31));
        None
    });
    world.answers(400, REFUSED);
    let end = world.token();
    assert_eq!(end.kind(), ErrorKind::SignInAgain);
    assert!(!end.error().to_string().contains("lost"), "{}", end.error());
}

#[test]
fn whoever_is_suspended_each_time_gives_up_without_a_request() {
    let mut world = World::expired();
    for _ in 0..20 {
        world.on("intent", |world| {
            world.pass(s(31));
            None
        });
    }
    assert_eq!(world.token().kind(), ErrorKind::TryLater);
    assert_eq!(world.sends(), 0);
}

// Refusals that are not the token's

#[test]
fn a_refusal_of_the_app_or_the_request_does_not_end_the_session() {
    for (status, body, kind) in [
        (401, r#"{"error":"invalid_client"}"#, ErrorKind::Settings),
        (400, r#"{"error":"unauthorized_client"}"#, ErrorKind::Settings),
        (400, r#"{"error":"invalid_request","error_description":"client_id is missing"}"#, ErrorKind::Settings),
        (400, r#"{"error":"unsupported_grant_type"}"#, ErrorKind::Settings),
        (200, r#"{"error":"invalid_client"}"#, ErrorKind::Settings),
        (403, r#"{"ErrorCode":922,"Message":"API key is invalid"}"#, ErrorKind::Settings),
        (403, r#"{"ErrorCode":991,"Message":"The user is blocked"}"#, ErrorKind::AskUser),
        (400, r#"{"error":"access_denied"}"#, ErrorKind::Denied),
        (400, r#"{"ErrorCode":4711,"Message":"Something new"}"#, ErrorKind::Refused),
    ] {
        let mut world = World::expired();
        world.answers(status, body);
        let end = world.token();
        assert_eq!(world.log(), "lock, load, intent 1, send r1, hold 1, unlock", "{body}");
        assert_eq!(end.kind(), kind, "{body}");
        assert_eq!(end.events(), "retried", "{body}");
        assert!(world.record()["intent"].is_null(), "{body}");
        assert!(world.record()["refused"].is_null(), "{body}");
        // Not everybody at once, and then again: the settings may have been corrected.
        assert_eq!(world.lasts("held"), s(1), "{body}");
        assert_eq!(world.held().kind(), kind, "{body}");
        world.pass(s(1));
        world.answers(200, &pair("a2", "r2"));
        let end = world.token();
        assert_eq!(end.token(), "a2");
        assert_eq!(end.events(), "rotated");
    }
}

#[test]
fn a_refusal_of_the_app_leaves_a_token_that_lives() {
    let mut world = World::signed_in(600);
    world.pass(s(570));
    world.answers(401, r#"{"error":"invalid_client"}"#);
    assert_eq!(world.token().token(), "a1");
    assert_eq!(world.handout(), "good a1");
}

#[test]
fn a_refusal_of_the_app_after_a_lost_answer_leaves_the_intent() {
    let mut world = World::expired();
    world.lost();
    world.answers(401, r#"{"error":"invalid_client"}"#);
    assert_eq!(world.token().kind(), ErrorKind::Settings);
    assert_eq!(world.log(), "lock, load, intent 1, send r1, wait, intent 2, send r1, hold 2, unlock");
    assert_eq!(world.record()["intent"]["attempt"], 1);
}
