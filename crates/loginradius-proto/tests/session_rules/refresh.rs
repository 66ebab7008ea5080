//! Getting a token, when nothing is in the way.

use std::time::Duration;

use loginradius_proto::oauth::{AccessTokenByPassword, RequestDeviceCode};
use loginradius_proto::session::SessionMemory;
use loginradius_proto::{
    AccessToken, Call, DeviceFlow, Endpoint, Error, ErrorKind, Flow, IdToken, Service, Step, TokenSet,
};

use crate::world::*;

// The order of steps

#[test]
fn a_refresh_saves_the_intent_before_and_the_pair_after() {
    let mut world = World::expired();
    world.answers(200, &pair("a2", "r2"));
    let end = world.token();
    assert_eq!(world.log(), "lock, load, intent 1, send r1, pair r2, unlock");
    assert_eq!(end.token(), "a2");
    assert_eq!(end.events(), "rotated");
    assert_eq!(world.handout(), "good a2");
    assert_eq!(world.record()["refresh_token"], "r2");
    assert!(world.record()["intent"].is_null());
}

#[test]
fn when_the_request_goes_out_the_intent_is_stored() {
    let mut world = World::expired();
    world.on("send", |world| {
        let record = world.record();
        assert_eq!(record["refresh_token"], "r1");
        assert_eq!(record["intent"]["at_unix_ms"], World::millis(world.clock));
        answered(Ok(answer(200, &pair("a2", "r2"))))
    });
    world.on("unlock", |world| {
        assert_eq!(world.record()["refresh_token"], "r2");
        None
    });
    world.token();
}

#[test]
fn the_pair_of_another_process_is_adopted() {
    let mut world = World::expired();
    world.other(|world| {
        world.answers(200, &pair("a2", "r2"));
        assert_eq!(world.token().token(), "a2");
    });
    assert_eq!(world.handout(), "refresh");
    let end = world.token();
    assert_eq!(world.log(), "lock, load, unlock");
    assert_eq!(end.token(), "a2");
    assert_eq!(end.events(), "adopted");
    assert_eq!(world.handout(), "good a2");
}

#[test]
fn the_pair_of_another_sign_in_is_adopted_and_told_as_such() {
    let mut world = World::expired();
    world.other(|world| world.sign_in(tokens("b1", "q1", Some(s(600)))).nothing());
    let end = world.token();
    assert_eq!(end.token(), "b1");
    assert_eq!(end.events(), "adopted another's");
}

#[test]
fn an_adopted_pair_that_is_over_is_refreshed() {
    let mut world = World::expired();
    world.other(|world| {
        world.answers(200, &pair("a2", "r2"));
        world.token();
    });
    world.pass(HOUR);
    world.answers(200, &pair("a3", "r3"));
    let end = world.token();
    assert_eq!(world.log(), "lock, load, intent 1, send r2, pair r3, unlock");
    assert_eq!(end.events(), "adopted, rotated");
}

#[test]
fn the_first_look_into_the_store_is_no_event() {
    let mut world = World::signed_in(600);
    world.memory = SessionMemory::default();
    let end = world.token();
    assert_eq!(world.log(), "lock, load, unlock");
    assert_eq!(end.token(), "a1");
    assert_eq!(end.events(), "");
    assert_eq!(world.handout(), "good a1");
}

#[test]
fn a_first_look_that_finds_an_old_token_refreshes_it() {
    let mut world = World::expired();
    world.memory = SessionMemory::default();
    world.answers(200, &pair("a2", "r2"));
    let end = world.token();
    assert_eq!(world.log(), "lock, load, intent 1, send r1, pair r2, unlock");
    assert_eq!(end.events(), "rotated");
}

#[test]
fn a_token_is_refreshed_early_and_the_caller_gets_the_new_one() {
    let mut world = World::signed_in(600);
    world.pass(s(570));
    assert_eq!(world.handout(), "early a1");
    world.answers(200, &pair("a2", "r2"));
    let end = world.token();
    assert_eq!(world.log(), "lock, load, intent 1, send r1, pair r2, unlock");
    assert_eq!(end.token(), "a2");
}

#[test]
fn a_token_that_is_good_and_not_due_is_only_looked_up() {
    let mut world = World::signed_in(600);
    let end = world.token();
    assert_eq!(world.log(), "lock, load, unlock");
    assert_eq!(end.token(), "a1");
    assert_eq!(end.events(), "");
}

#[test]
fn each_save_has_a_higher_generation() {
    let mut world = World::expired();
    let first = world.record()["generation"].as_u64().unwrap();
    world.on("send", move |world| {
        assert_eq!(world.record()["generation"], first + 1);
        answered(Ok(answer(200, &pair("a2", "r2"))))
    });
    world.token();
    assert_eq!(world.record()["generation"], first + 2);
}

#[test]
fn generations_begin_again_after_the_last_one() {
    let mut world = World::expired();
    world.edit(|record| record["generation"] = ((1_u64 << 53) - 1).into());
    world.answers(200, &pair("a2", "r2"));
    assert_eq!(world.token().token(), "a2");
    assert_eq!(world.record()["generation"], 1);
}

#[test]
fn another_sign_in_has_another_number_and_a_refresh_keeps_it() {
    let mut world = World::expired();
    let number = world.record()["sign_in"].clone();
    world.answers(200, &pair("a2", "r2"));
    world.token();
    assert_eq!(world.record()["sign_in"], number);
    world.sign_in(tokens("b1", "q1", Some(s(600)))).nothing();
    assert_ne!(world.record()["sign_in"], number);
}

// Nothing to refresh

#[test]
fn nobody_is_signed_in() {
    let mut world = World::empty();
    let end = world.token();
    assert_eq!(world.log(), "lock, load, unlock");
    assert_eq!(end.kind(), ErrorKind::SignInAgain);
    assert_eq!(end.events(), "");
}

#[test]
fn what_is_gone_from_the_store_is_gone_from_the_memory() {
    let mut world = World::signed_in(600);
    world.stored = Stored::Nothing;
    let end = world.token();
    assert_eq!(world.log(), "lock, load, unlock");
    assert_eq!(end.kind(), ErrorKind::SignInAgain);
    assert_eq!(end.events(), "over");
    assert_eq!(world.handout(), "refresh");
}

#[test]
fn without_a_refresh_token_the_end_is_the_end() {
    let mut world = World::with(tokens("a1", "", Some(s(600))));
    world.pass(s(599));
    assert_eq!(world.token().token(), "a1");
    world.pass(s(1));
    let end = world.token();
    assert_eq!(world.log(), "lock, load, unlock");
    assert_eq!(end.kind(), ErrorKind::SignInAgain);
}

#[test]
fn a_bad_token_without_a_refresh_token_is_the_end_too() {
    let mut world = World::with(tokens("a1", "", Some(s(600))));
    world.memory.report(&AccessToken::new("a1"));
    assert_eq!(world.token().kind(), ErrorKind::SignInAgain);
}

// When a lifetime begins

#[test]
fn a_lifetime_counts_from_when_the_request_was_sent() {
    let mut world = World::expired();
    world.policy.early = Duration::ZERO;
    let sent = world.clock;
    world.on("send", |world| {
        world.pass(s(25));
        answered(Ok(answer(200, &pair("a2", "r2"))))
    });
    assert_eq!(world.token().token(), "a2");
    assert_eq!(world.lasts("good"), s(575));
    assert_eq!(world.record()["obtained_at_unix_ms"], World::millis(sent));
    // By each clock alone, and in another process.
    world.clock += s(575);
    assert_eq!(world.handout(), "refresh");
    world.clock -= s(575);
    world.now += s(575);
    assert_eq!(world.handout(), "refresh");
    world.memory = SessionMemory::default();
    world.token();
    assert_eq!(world.lasts("good"), s(575));
}

#[test]
fn a_driver_that_looks_at_its_clock_late_or_early_does_not_make_it_longer() {
    let mut world = World::expired();
    world.policy.early = Duration::ZERO;
    world.on("send", |world| {
        // Another thread looked at the clock before the request went out.
        world.now -= s(1);
        answered(Ok(answer(200, &pair("a2", "r2"))))
    });
    world.token();
    world.now += s(1);
    assert_eq!(world.lasts("good"), s(600));
}

#[test]
fn an_answer_that_came_after_its_lifetime_is_saved_and_not_handed_out() {
    let mut world = World::expired();
    world.on("send", |world| {
        world.pass(s(20));
        let body = r#"{"access_token":"a2","expires_in":10,"refresh_token":"r2"}"#;
        answered(Ok(answer(200, body)))
    });
    let end = world.token();
    assert_eq!(end.kind(), ErrorKind::TryLater);
    assert_eq!(end.events(), "rotated");
    assert_eq!(world.record()["refresh_token"], "r2");
    // The next refresh would fare no better.
    assert_eq!(world.handout(), "held try_later");
    assert_eq!(world.lasts("held"), s(1));
    assert_eq!(end.error().retry_after(), Some(s(1)));
    world.pass(s(1));
    world.answers(200, &pair("a3", "r3"));
    assert_eq!(world.token().token(), "a3");
    assert_eq!(world.log(), "lock, load, intent 1, send r2, pair r3, unlock");
}

#[test]
fn a_token_that_ends_while_it_is_unlocked_is_not_handed_out() {
    for refresh in [true, false] {
        let mut world = World::signed_in(600);
        if refresh {
            world.pass(HOUR);
            world.answers(200, &pair("a2", "r2"));
        }
        world.on("unlock", |world| {
            world.pass(s(601));
            None
        });
        let end = world.token();
        assert_eq!(end.kind(), ErrorKind::TryLater);
        assert_eq!(world.handout(), "refresh");
    }
}

#[test]
fn a_sign_in_counts_from_the_request_if_that_is_known() {
    let mut world = World::empty();
    world.policy.early = Duration::ZERO;
    let mut tokens = tokens("a1", "r1", Some(s(600)));
    tokens.requested_at = Some(world.now);
    world.pass(s(100));
    world.sign_in(tokens).nothing();
    assert_eq!(world.lasts("good"), s(500));
    assert_eq!(world.record()["obtained_at_unix_ms"], World::millis(noon()));
    world.clock += s(500);
    assert_eq!(world.handout(), "refresh");
}

#[test]
fn a_sign_in_that_was_asked_for_in_the_future_counts_from_now() {
    let mut world = World::empty();
    world.policy.early = Duration::ZERO;
    let mut tokens = tokens("a1", "r1", Some(s(600)));
    // The moments of two threads.
    tokens.requested_at = Some(world.now + ms(1));
    world.sign_in(tokens).nothing();
    assert_eq!(world.record()["obtained_at_unix_ms"], World::millis(noon()));
    assert_eq!(world.handout(), "good a1");
}

#[test]
fn a_sign_in_counts_from_its_first_step_otherwise() {
    let mut world = World::empty();
    world.policy.early = Duration::ZERO;
    world.on("load", |world| {
        world.pass(s(50));
        None
    });
    world.sign_in(tokens("a1", "r1", Some(s(600)))).nothing();
    assert_eq!(world.lasts("good"), s(550));
    world.clock += s(550);
    assert_eq!(world.handout(), "refresh");
}

#[test]
fn calls_tell_when_the_request_was_handed_out_that_was_answered() {
    let world = World::empty();
    let sent = |first_is_lost: bool| {
        let mut call = Call::new(AccessTokenByPassword::new("user", "password"), &world.app, 42);
        let mut now = start() + s(7);
        let Step::Send { .. } = call.step(now) else { panic!("nothing is sent") };
        let mut sent = now;
        if first_is_lost {
            call.receive(Err(Error::not_sent("refused")), now + s(1));
            let Step::Wait(until) = call.step(now + s(1)) else { panic!("no wait") };
            now = until;
            let Step::Send { .. } = call.step(now) else { panic!("nothing is sent again") };
            sent = now;
        }
        call.receive(Ok(answer(200, &pair("a1", "r1"))), now + s(20));
        let Step::Done(Ok(tokens)) = call.step(now + s(21)) else { panic!("no tokens") };
        (sent, tokens.requested_at)
    };
    for first_is_lost in [false, true] {
        let (sent, told) = sent(first_is_lost);
        assert_eq!(told, Some(sent));
    }
}

#[test]
fn a_device_sign_in_tells_when_the_last_poll_was_sent() {
    let app = World::empty().app.oauth_app("my-oauth-app");
    let body = r#"{"device_code":"d","user_code":"u","verification_uri":"v","interval":5,"expires_in":600}"#;
    let grant = RequestDeviceCode::new().response(&app, answer(200, body)).unwrap();
    let mut flow = DeviceFlow::new(&app, &grant, start(), 42);
    let Step::Send { .. } = flow.step(start() + s(5)) else { panic!("no poll") };
    flow.receive(Ok(answer(400, r#"{"error":"authorization_pending"}"#)), start() + s(6));
    let Step::Send { .. } = flow.step(start() + s(11)) else { panic!("no second poll") };
    flow.receive(Ok(answer(200, &pair("a1", "r1"))), start() + s(19));
    let Step::Done(Ok(tokens)) = flow.step(start() + s(30)) else { panic!("no tokens") };
    assert_eq!(tokens.requested_at, Some(start() + s(11)));
}

#[test]
fn an_operation_without_a_flow_does_not_know_when() {
    let world = World::empty();
    let operation = AccessTokenByPassword::new("user", "password");
    assert_eq!(operation.response(&world.app, answer(200, &pair("a1", "r1"))).unwrap().requested_at, None);
    assert_eq!(TokenSet::new("a1").requested_at, None);
}

// Lifetimes and fields of an answer

#[test]
fn a_lifetime_in_any_form_is_read_and_none_is_no_error() {
    for (member, lifetime) in [
        (r#","expires_in":600"#, Some(s(600))),
        (r#","expires_in":"600""#, Some(s(600))),
        (r#","expires":600"#, Some(s(600))),
        (r#","expire_in":"600""#, Some(s(600))),
        (r#","expires_in":60.5"#, Some(ms(60_500))),
        ("", None),
        (r#","expires_in":null"#, None),
        (r#","expires_in":0"#, None),
        (r#","expires_in":"0""#, None),
        (r#","expires_in":-1"#, None),
        (r#","expires_in":"soon""#, None),
        (r#","expires_in":[]"#, None),
    ] {
        let mut world = World::expired();
        world.policy.early = Duration::ZERO;
        world.answers(200, &format!(r#"{{"access_token":"a2","refresh_token":"r2"{member}}}"#));
        assert_eq!(world.token().token(), "a2", "{member}");
        match lifetime {
            Some(lifetime) => assert_eq!(world.lasts("good"), lifetime, "{member}"),
            None => {
                world.pass(s(400 * 86_400));
                assert_eq!(world.handout(), "good a2", "{member}");
            }
        }
    }
}

#[test]
fn a_huge_lifetime_is_no_error() {
    for number in ["1e30", "18446744073709551615", "9223372036854775807", "1e17", "\"99999999999999\""] {
        let mut world = World::expired();
        world.answers(200, &format!(r#"{{"access_token":"a2","refresh_token":"r2","expires_in":{number}}}"#));
        assert_eq!(world.token().token(), "a2", "{number}");
        world.pass(s(10 * 365 * 86_400));
        assert_eq!(world.handout(), "good a2", "{number}");
        world.memory = SessionMemory::default();
        assert_eq!(world.token().token(), "a2", "{number}");
    }
}

#[test]
fn without_a_refresh_token_the_old_one_goes_on() {
    for member in ["", r#","refresh_token":null"#, r#","refresh_token":"""#] {
        let mut world = World::expired();
        world.answers(200, &format!(r#"{{"access_token":"a2","expires_in":600{member}}}"#));
        let end = world.token();
        assert_eq!(end.token(), "a2", "{member}");
        assert_eq!(end.events(), "rotated");
        assert_eq!(world.log(), "lock, load, intent 1, send r1, pair r1, unlock", "{member}");
        assert!(world.record()["intent"].is_null());
    }
}

#[test]
fn of_two_refresh_tokens_the_last_that_can_be_read_counts() {
    for (members, expected) in [
        (r#""refresh_token":"r2","refresh_token":"r2""#, "r2"),
        (r#""refresh_token":"r2","refresh_token":"r3""#, "r3"),
        (r#""refresh_token":"r2","refresh_token":null"#, "r2"),
        (r#""refresh_token":"r2","refresh_token":7"#, "r2"),
    ] {
        let mut world = World::expired();
        world.answers(200, &format!(r#"{{"access_token":"a2","expires_in":600,{members}}}"#));
        assert_eq!(world.token().token(), "a2", "{members}");
        assert_eq!(world.record()["refresh_token"], expected, "{members}");
    }
}

#[test]
fn a_refresh_token_that_cannot_be_used_is_told_and_counts_as_lost() {
    for value in ["7", r#"["r2"]"#, r#"{"token":"r2"}"#, r#""\ud800""#, r#""r2\n""#, r#""r\u00002""#] {
        let mut world = World::expired();
        world.answers(200, &format!(r#"{{"access_token":"a2","expires_in":600,"refresh_token":{value}}}"#));
        let end = world.token();
        assert_eq!(end.token(), "a2", "{value}");
        assert_eq!(end.events(), "retried, rotated", "{value}");
        assert_eq!(world.record()["refresh_token"], "r1", "{value}");
        assert_eq!(world.record()["intent"]["attempt"], 1, "{value}");
        // What was spent for it is refused, and everybody can read why.
        world.pass(s(600));
        world.answers(400, REFUSED);
        let end = world.token();
        let error = end.error();
        assert_eq!(error.kind(), ErrorKind::SignInAgain);
        assert!(error.to_string().contains("an earlier refresh was lost"), "{error}");
    }
}

#[test]
fn a_faulty_answer_is_not_asked_for_again_by_another_process_at_once() {
    let mut world = World::expired();
    world.answers(200, r#"{"refresh_token":"r2"}"#);
    let end = world.token();
    let error = end.error();
    assert_eq!(error.kind(), ErrorKind::BadAnswer);
    assert!(error.retry_after().unwrap() >= s(1), "{error}");
    assert_eq!(world.record()["hold"]["failures"], 1);
    world.memory = SessionMemory::default();
    assert_eq!(world.token().kind(), ErrorKind::TryLater);
    assert_eq!(world.log(), "lock, load, unlock");
    world.pass(error.retry_after().unwrap());
    world.answers(200, r#"{"refresh_token":"r3"}"#);
    world.token().error();
    assert_eq!(world.record()["hold"]["failures"], 2);
}

#[test]
fn what_a_server_says_of_the_access_token_is_not_repeated() {
    let mut world = World::expired();
    world.answers(400, r#"{"error":"invalid_grant","error_description":"the token access-a1 is over"}"#);
    world.edit(|record| record["access_token"] = "access-a1".into());
    let end = world.token();
    let error = end.error();
    assert_eq!(error.kind(), ErrorKind::SignInAgain);
    assert!(!format!("{error:?}{error:#?}{}", world.record()["refused"]).contains("access-a1"), "{error}");
}

#[test]
fn what_an_answer_does_not_say_goes_on_and_what_it_says_counts() {
    let mut first = tokens("a1", "r1", Some(s(600)));
    first.scope = Some("email".into());
    first.token_type = Some("access_token".into());
    first.id_token = Some(IdToken::new("e30.1"));
    let now = |world: &World| {
        let tokens = world.memory.tokens(world.now, world.clock).unwrap();
        let id_token = tokens.id_token.map(|token| token.expose().to_owned());
        [tokens.scope, tokens.token_type, id_token].map(Option::unwrap_or_default)
    };
    let mut world = World::with(first);
    world.pass(HOUR);
    world.answers(200, r#"{"access_token":"a2","expires_in":600,"refresh_token":"r2"}"#);
    world.token();
    assert_eq!(now(&world), ["email", "access_token", "e30.1"]);
    world.pass(HOUR);
    let body =
        r#"{"access_token":"a3","scope":"email profile","token_type":"Bearer","id_token":"e30.2","expires_in":9}"#;
    world.answers(200, body);
    world.token();
    assert_eq!(now(&world), ["email profile", "Bearer", "e30.2"]);
    // And that is what the store has.
    world.memory = SessionMemory::default();
    world.token();
    assert_eq!(now(&world), ["email profile", "Bearer", "e30.2"]);
}

#[test]
fn a_lifetime_that_is_not_said_is_not_the_old_one() {
    let mut world = World::expired();
    world.answers(200, r#"{"access_token":"a2","refresh_token":"r2"}"#);
    world.token();
    assert!(world.record()["lifetime_ms"].is_null());
}

// A faulty answer with a refresh token in it

const FAULTY: &[&str] = &[
    r#"{"refresh_token":"r2"}"#,
    r#"{"access_token":null,"refresh_token":"r2"}"#,
    r#"{"access_token":"","refresh_token":"r2","expires_in":600}"#,
    r#"{"access_token":["a2"],"refresh_token":"r2","expires_in":600}"#,
    r#"{"access_token":"a2","access_token":"a3","refresh_token":"r2"}"#,
];

#[test]
fn a_refresh_token_in_a_faulty_answer_is_saved_before_the_fault_is_told() {
    for body in FAULTY {
        let mut world = World::expired();
        world.answers(200, body);
        let end = world.token();
        assert_eq!(world.log(), "lock, load, intent 1, send r1, pair r2, unlock", "{body}");
        assert_eq!(end.kind(), ErrorKind::BadAnswer, "{body}");
        assert_eq!(end.events(), "retried");
        assert!(world.record()["intent"].is_null());
        // Not at once, and then with the new one.
        assert!(world.handout().starts_with("held"), "{}", world.handout());
        assert!(world.lasts("held") >= s(1));
        world.pass(s(1) + world.lasts("held"));
        world.answers(200, &pair("a3", "r3"));
        let end = world.token();
        assert_eq!(end.token(), "a3");
        assert_eq!(world.log(), "lock, load, intent 1, send r2, pair r3, unlock");
    }
}

#[test]
fn a_faulty_answer_does_not_end_a_token_that_lives() {
    for body in FAULTY {
        let mut world = World::signed_in(600);
        world.pass(s(570));
        world.answers(200, body);
        let end = world.token();
        assert_eq!(end.token(), "a1");
        assert_eq!(end.events(), "retried");
        assert_eq!(world.record()["refresh_token"], "r2");
        assert_eq!(world.handout(), "good a1");
        world.pass(s(30));
        // Its lifetime is the old one's.
        assert_ne!(world.handout(), "good a1");
    }
}

#[test]
fn a_faulty_answer_does_not_make_a_bad_token_good() {
    let mut world = World::signed_in(600);
    world.memory.report(&AccessToken::new("a1"));
    world.answers(200, r#"{"refresh_token":"r2"}"#);
    assert_eq!(world.token().kind(), ErrorKind::BadAnswer);
    assert!(world.handout().starts_with("held"));
}

// Reports

#[test]
fn a_token_that_was_reported_is_refreshed_though_its_lifetime_is_not_over() {
    let mut world = World::signed_in(600);
    assert!(world.memory.report(&AccessToken::new("a1")));
    world.answers(200, &pair("a2", "r2"));
    assert_eq!(world.token().token(), "a2");
    assert_eq!(world.log(), "lock, load, intent 1, send r1, pair r2, unlock");
    // The report is not about the new one.
    assert!(!world.memory.report(&AccessToken::new("a1")));
    assert_eq!(world.handout(), "good a2");
}

#[test]
fn a_token_that_was_reported_is_not_refreshed_if_another_process_already_did() {
    let mut world = World::signed_in(600);
    world.other(|world| {
        world.pass(s(570));
        world.answers(200, &pair("a2", "r2"));
        world.token();
    });
    assert!(world.memory.report(&AccessToken::new("a1")));
    let end = world.token();
    assert_eq!(world.log(), "lock, load, unlock");
    assert_eq!(end.token(), "a2");
    assert_eq!(end.events(), "adopted");
}

#[test]
fn the_same_token_again_is_good_because_the_server_says_so() {
    let mut world = World::signed_in(600);
    world.memory.report(&AccessToken::new("a1"));
    world.answers(200, &pair("a1", "r2"));
    assert_eq!(world.token().token(), "a1");
    assert_eq!(world.handout(), "good a1");
}

#[test]
fn a_report_is_kept_until_there_is_another_token() {
    let mut world = World::signed_in(600);
    world.memory.report(&AccessToken::new("a1"));
    world.not_sent();
    world.policy.retry = loginradius_proto::Retry::OFF;
    assert_eq!(world.token().kind(), ErrorKind::TryLater);
    world.pass(s(2));
    assert_eq!(world.handout(), "refresh");
}

// What is sent

#[test]
fn the_request_is_the_one_of_the_operation_over_a_connection_of_its_own() {
    let mut world = World::expired();
    let flow = &mut world.token_flow();
    let mut sent = None;
    for _ in 0..4 {
        use loginradius_proto::session::{LoadOutcome, SaveOutcome, SessionInput, SessionStep};
        let input = match flow.step(world.now, world.clock) {
            SessionStep::Lock => SessionInput::Locked(Ok(true)),
            SessionStep::Load => SessionInput::Loaded(LoadOutcome::from_json(&world.record().to_string())),
            SessionStep::Save { .. } => SessionInput::Saved(SaveOutcome::Saved),
            SessionStep::Send { request, options } => {
                sent = Some((request, options));
                break;
            }
            step => panic!("{step:?}"),
        };
        flow.receive(input, world.now, world.clock);
    }
    let (request, options) = sent.expect("a request");
    assert!(options.fresh_connection);
    assert_eq!(options.deadline, world.now + s(30));
    let operation = loginradius_proto::oauth::RefreshAccessToken::new("r1").request(&world.app).unwrap();
    assert_eq!(request.uri(), operation.uri());
    assert_eq!(request.body().as_bytes(), operation.body().as_bytes());
}

#[test]
fn settings_of_which_no_request_can_be_made_leave_no_intent() {
    let mut world = World::expired();
    world.app = world.app.clone().service(Service::site("acme.hub.loginradius.com").unwrap());
    let end = world.token();
    assert_eq!(world.log(), "lock, load, unlock");
    assert_eq!(end.kind(), ErrorKind::Settings);
    assert!(world.record()["intent"].is_null());

    let mut world = World::signed_in(600);
    world.app = world.app.clone().service(Service::site("acme.hub.loginradius.com").unwrap());
    world.pass(s(570));
    assert_eq!(world.token().token(), "a1");
}

#[test]
fn a_refresh_token_alone_that_another_process_got_is_adopted() {
    let mut world = World::signed_in(600);
    world.pass(s(570));
    world.other(|world| {
        world.answers(200, r#"{"refresh_token":"r2"}"#);
        assert_eq!(world.token().token(), "a1");
    });
    let end = world.token();
    assert_eq!(end.token(), "a1");
    assert_eq!(end.events(), "adopted");
    world.pass(HOUR);
    world.answers(200, &pair("a3", "r3"));
    assert_eq!(world.token().token(), "a3");
    assert!(world.log().contains("send r2"), "{}", world.log());
}
