//! Refreshes in which nothing fails.

use std::time::Duration;

use loginradius_proto::oauth::{AccessTokenByPassword, RequestDeviceCode};
use loginradius_proto::session::SessionMemory;
use loginradius_proto::{
    AccessToken, Call, DeviceFlow, Endpoint, Error, ErrorKind, Flow, IdToken, Seed, Service, Step, TokenSet,
};

use loginradius_testing::*;

// The order of steps

#[test]
fn a_refresh_saves_the_intent_before_and_the_pair_after() {
    let mut scene = Scene::expired();
    scene.responds(200, &pair("a2", "r2"));
    let end = scene.refresh();
    assert_eq!(scene.log(), "lock, load, intent 1, send r1, pair r2, unlock");
    assert_eq!(end.token(), "a2");
    assert_eq!(end.events(), "refreshed");
    assert_eq!(scene.cached(), "fresh a2");
    assert_eq!(scene.record()["refresh_token"], "r2");
    assert!(scene.record()["intent"].is_null());
}

#[test]
fn when_the_request_goes_out_the_intent_is_stored() {
    let mut scene = Scene::expired();
    scene.on("send", |scene| {
        let record = scene.record();
        assert_eq!(record["refresh_token"], "r1");
        assert_eq!(record["intent"]["at_unix_ms"], Scene::millis(scene.now.wall));
        responded(Ok(response(200, pair("a2", "r2"))))
    });
    scene.on("unlock", |scene| {
        assert_eq!(scene.record()["refresh_token"], "r2");
        None
    });
    scene.refresh();
}

#[test]
fn the_pair_of_another_process_is_adopted() {
    let mut scene = Scene::expired();
    scene.other_process(|scene| {
        scene.responds(200, &pair("a2", "r2"));
        assert_eq!(scene.refresh().token(), "a2");
    });
    assert_eq!(scene.cached(), "missing");
    let end = scene.refresh();
    assert_eq!(scene.log(), "lock, load, unlock");
    assert_eq!(end.token(), "a2");
    assert_eq!(end.events(), "adopted");
    assert_eq!(scene.cached(), "fresh a2");
}

#[test]
fn the_tokens_of_another_login_are_adopted_as_such() {
    let mut scene = Scene::expired();
    scene.other_process(|scene| scene.start(tokens("b1", "q1", Some(s(600)))).ok());
    let end = scene.refresh();
    assert_eq!(end.token(), "b1");
    assert_eq!(end.events(), "adopted other login");
}

#[test]
fn an_adopted_pair_that_has_expired_is_refreshed() {
    let mut scene = Scene::expired();
    scene.other_process(|scene| {
        scene.responds(200, &pair("a2", "r2"));
        scene.refresh();
    });
    scene.pass(HOUR);
    scene.responds(200, &pair("a3", "r3"));
    let end = scene.refresh();
    assert_eq!(scene.log(), "lock, load, intent 1, send r2, pair r3, unlock");
    assert_eq!(end.events(), "adopted, refreshed");
}

#[test]
fn the_first_load_is_no_event() {
    let mut scene = Scene::signed_in(600);
    scene.memory = SessionMemory::default();
    let end = scene.refresh();
    assert_eq!(scene.log(), "lock, load, unlock");
    assert_eq!(end.token(), "a1");
    assert_eq!(end.events(), "");
    assert_eq!(scene.cached(), "fresh a1");
}

#[test]
fn an_expired_token_of_the_first_load_is_refreshed() {
    let mut scene = Scene::expired();
    scene.memory = SessionMemory::default();
    scene.responds(200, &pair("a2", "r2"));
    let end = scene.refresh();
    assert_eq!(scene.log(), "lock, load, intent 1, send r1, pair r2, unlock");
    assert_eq!(end.events(), "refreshed");
}

#[test]
fn a_token_is_refreshed_early_and_the_caller_gets_the_new_one() {
    let mut scene = Scene::signed_in(600);
    scene.pass(s(570));
    assert_eq!(scene.cached(), "refresh due a1");
    scene.responds(200, &pair("a2", "r2"));
    let end = scene.refresh();
    assert_eq!(scene.log(), "lock, load, intent 1, send r1, pair r2, unlock");
    assert_eq!(end.token(), "a2");
}

#[test]
fn a_fresh_token_is_loaded_and_not_refreshed() {
    let mut scene = Scene::signed_in(600);
    let end = scene.refresh();
    assert_eq!(scene.log(), "lock, load, unlock");
    assert_eq!(end.token(), "a1");
    assert_eq!(end.events(), "");
}

#[test]
fn each_save_has_a_higher_generation() {
    let mut scene = Scene::expired();
    let first = scene.record()["generation"].as_u64().unwrap();
    scene.on("send", move |scene| {
        assert_eq!(scene.record()["generation"], first + 1);
        responded(Ok(response(200, pair("a2", "r2"))))
    });
    scene.refresh();
    assert_eq!(scene.record()["generation"], first + 2);
}

#[test]
fn generations_begin_again_after_the_last_one() {
    let mut scene = Scene::expired();
    scene.edit(|record| record["generation"] = ((1_u64 << 53) - 1).into());
    scene.responds(200, &pair("a2", "r2"));
    assert_eq!(scene.refresh().token(), "a2");
    assert_eq!(scene.record()["generation"], 1);
}

#[test]
fn another_login_has_another_id_and_a_refresh_keeps_it() {
    let mut scene = Scene::expired();
    let number = scene.record()["sign_in"].clone();
    scene.responds(200, &pair("a2", "r2"));
    scene.refresh();
    assert_eq!(scene.record()["sign_in"], number);
    scene.start(tokens("b1", "q1", Some(s(600)))).ok();
    assert_ne!(scene.record()["sign_in"], number);
}

// Nothing to refresh

#[test]
fn no_user_is_signed_in() {
    let mut scene = Scene::empty();
    let end = scene.refresh();
    assert_eq!(scene.log(), "lock, load, unlock");
    assert_eq!(end.kind(), ErrorKind::SignInRequired);
    assert_eq!(end.events(), "");
}

#[test]
fn a_session_that_is_missing_in_the_store_is_forgotten() {
    let mut scene = Scene::signed_in(600);
    scene.stored = None;
    let end = scene.refresh();
    assert_eq!(scene.log(), "lock, load, unlock");
    assert_eq!(end.kind(), ErrorKind::SignInRequired);
    assert_eq!(end.events(), "ended");
    assert_eq!(scene.cached(), "missing");
}

#[test]
fn without_a_refresh_token_a_session_ends_with_its_token() {
    let mut scene = Scene::with(tokens("a1", "", Some(s(600))));
    scene.pass(s(599));
    assert_eq!(scene.refresh().token(), "a1");
    scene.pass(s(1));
    let end = scene.refresh();
    assert_eq!(scene.log(), "lock, load, unlock");
    assert_eq!(end.kind(), ErrorKind::SignInRequired);
}

#[test]
fn without_a_refresh_token_a_session_ends_with_a_rejection() {
    let mut scene = Scene::with(tokens("a1", "", Some(s(600))));
    scene.memory.reject(&AccessToken::new("a1"));
    assert_eq!(scene.refresh().kind(), ErrorKind::SignInRequired);
}

// When a lifetime begins

#[test]
fn a_lifetime_counts_from_when_the_request_was_sent() {
    let mut scene = Scene::expired();
    scene.policy.early = Duration::ZERO;
    let sent = scene.now.wall;
    scene.on("send", |scene| {
        scene.pass(s(25));
        responded(Ok(response(200, pair("a2", "r2"))))
    });
    assert_eq!(scene.refresh().token(), "a2");
    assert_eq!(scene.lasts("fresh"), s(575));
    assert_eq!(scene.record()["obtained_at_unix_ms"], Scene::millis(sent));
    // By each clock alone, and in another process.
    scene.now.wall += s(575);
    assert_eq!(scene.cached(), "missing");
    scene.now.wall -= s(575);
    scene.now.monotonic += s(575);
    assert_eq!(scene.cached(), "missing");
    scene.memory = SessionMemory::default();
    scene.refresh();
    assert_eq!(scene.lasts("fresh"), s(575));
}

#[test]
fn a_driver_that_looks_at_its_clock_late_or_early_does_not_make_it_longer() {
    let mut scene = Scene::expired();
    scene.policy.early = Duration::ZERO;
    scene.on("send", |scene| {
        // Another thread read its clock before the request was sent.
        scene.now.monotonic -= s(1);
        responded(Ok(response(200, pair("a2", "r2"))))
    });
    scene.refresh();
    scene.now.monotonic += s(1);
    assert_eq!(scene.lasts("fresh"), s(600));
}

#[test]
fn a_response_that_came_after_its_lifetime_is_saved_and_not_returned() {
    let mut scene = Scene::expired();
    scene.on("send", |scene| {
        scene.pass(s(20));
        let body = r#"{"access_token":"a2","expires_in":10,"refresh_token":"r2"}"#;
        responded(Ok(response(200, body)))
    });
    let end = scene.refresh();
    assert_eq!(end.kind(), ErrorKind::Unavailable);
    assert_eq!(end.events(), "refreshed");
    assert_eq!(scene.record()["refresh_token"], "r2");
    // The next refresh would yield no longer lifetime.
    assert_eq!(scene.cached(), "backing off unavailable");
    assert_eq!(scene.lasts("backing off"), s(1));
    assert_eq!(end.error().retry_after(), Some(s(1)));
    scene.pass(s(1));
    scene.responds(200, &pair("a3", "r3"));
    assert_eq!(scene.refresh().token(), "a3");
    assert_eq!(scene.log(), "lock, load, intent 1, send r2, pair r3, unlock");
}

#[test]
fn a_token_that_expires_while_the_lock_is_released_is_not_returned() {
    for refresh in [true, false] {
        let mut scene = Scene::signed_in(600);
        if refresh {
            scene.pass(HOUR);
            scene.responds(200, &pair("a2", "r2"));
        }
        scene.on("unlock", |scene| {
            scene.pass(s(601));
            None
        });
        let end = scene.refresh();
        assert_eq!(end.kind(), ErrorKind::Unavailable);
        assert_eq!(scene.cached(), "missing");
    }
}

#[test]
fn a_login_counts_from_its_request_if_that_is_known() {
    let mut scene = Scene::empty();
    scene.policy.early = Duration::ZERO;
    let mut tokens = tokens("a1", "r1", Some(s(600)));
    tokens.requested_at = Some(scene.now.monotonic);
    scene.pass(s(100));
    scene.start(tokens).ok();
    assert_eq!(scene.lasts("fresh"), s(500));
    assert_eq!(scene.record()["obtained_at_unix_ms"], Scene::millis(now().wall));
    scene.now.wall += s(500);
    assert_eq!(scene.cached(), "missing");
}

#[test]
fn a_login_that_was_requested_in_the_future_counts_from_now() {
    let mut scene = Scene::empty();
    scene.policy.early = Duration::ZERO;
    let mut tokens = tokens("a1", "r1", Some(s(600)));
    // The moments of two threads.
    tokens.requested_at = Some(scene.now.monotonic + ms(1));
    scene.start(tokens).ok();
    assert_eq!(scene.record()["obtained_at_unix_ms"], Scene::millis(now().wall));
    assert_eq!(scene.cached(), "fresh a1");
}

#[test]
fn a_login_counts_from_its_first_step_otherwise() {
    let mut scene = Scene::empty();
    scene.policy.early = Duration::ZERO;
    scene.on("load", |scene| {
        scene.pass(s(50));
        None
    });
    scene.start(tokens("a1", "r1", Some(s(600)))).ok();
    assert_eq!(scene.lasts("fresh"), s(550));
    scene.now.wall += s(550);
    assert_eq!(scene.cached(), "missing");
}

#[test]
fn a_call_says_when_the_request_was_sent_that_got_the_response() {
    let scene = Scene::empty();
    let sent = |first_is_lost: bool| {
        let mut call = Call::new(AccessTokenByPassword::new("user", "password"), &scene.app, Seed(42));
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
        call.receive(Ok(response(200, pair("a1", "r1"))), now + s(20));
        let Step::Done(Ok(tokens)) = call.step(now + s(21)) else { panic!("no tokens") };
        (sent, tokens.requested_at)
    };
    for first_is_lost in [false, true] {
        let (sent, requested_at) = sent(first_is_lost);
        assert_eq!(requested_at, Some(sent));
    }
}

#[test]
fn a_device_login_says_when_the_last_poll_was_sent() {
    let app = Scene::empty().app.with_oauth_app("my-oauth-app");
    let body = r#"{"device_code":"d","user_code":"u","verification_uri":"https://a/","interval":5,"expires_in":600}"#;
    let grant = RequestDeviceCode::new().response(&app, response(200, body)).unwrap();
    let mut flow = DeviceFlow::new(&app, &grant, start(), Seed(42));
    let Step::Send { .. } = flow.step(start() + s(5)) else { panic!("no poll") };
    flow.receive(Ok(response(400, r#"{"error":"authorization_pending"}"#)), start() + s(6));
    let Step::Send { .. } = flow.step(start() + s(11)) else { panic!("no second poll") };
    flow.receive(Ok(response(200, pair("a1", "r1"))), start() + s(19));
    let Step::Done(Ok(tokens)) = flow.step(start() + s(30)) else { panic!("no tokens") };
    assert_eq!(tokens.requested_at, Some(start() + s(11)));
}

#[test]
fn an_operation_without_a_flow_has_no_time_of_its_request() {
    let scene = Scene::empty();
    let operation = AccessTokenByPassword::new("user", "password");
    assert_eq!(operation.response(&scene.app, response(200, pair("a1", "r1"))).unwrap().requested_at, None);
    assert_eq!(TokenSet::new("a1").requested_at, None);
}

// Lifetimes and members of a response

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
        (r#","expires_in":"""#, None),
        (r#","expires_in":"soon""#, None),
        (r#","expires_in":[]"#, None),
    ] {
        let mut scene = Scene::expired();
        scene.policy.early = Duration::ZERO;
        scene.responds(200, &format!(r#"{{"access_token":"a2","refresh_token":"r2"{member}}}"#));
        assert_eq!(scene.refresh().token(), "a2", "{member}");
        match lifetime {
            Some(lifetime) => assert_eq!(scene.lasts("fresh"), lifetime, "{member}"),
            None => {
                scene.pass(s(400 * 86_400));
                assert_eq!(scene.cached(), "fresh a2", "{member}");
            }
        }
    }
}

#[test]
fn a_huge_lifetime_is_no_error() {
    for number in ["1e30", "18446744073709551615", "9223372036854775807", "1e17", "\"99999999999999\""] {
        let mut scene = Scene::expired();
        scene.responds(200, &format!(r#"{{"access_token":"a2","refresh_token":"r2","expires_in":{number}}}"#));
        assert_eq!(scene.refresh().token(), "a2", "{number}");
        scene.pass(s(10 * 365 * 86_400));
        assert_eq!(scene.cached(), "fresh a2", "{number}");
        scene.memory = SessionMemory::default();
        assert_eq!(scene.refresh().token(), "a2", "{number}");
    }
}

#[test]
fn without_a_refresh_token_the_old_one_stays() {
    for member in ["", r#","refresh_token":null"#, r#","refresh_token":"""#] {
        let mut scene = Scene::expired();
        scene.responds(200, &format!(r#"{{"access_token":"a2","expires_in":600{member}}}"#));
        let end = scene.refresh();
        assert_eq!(end.token(), "a2", "{member}");
        assert_eq!(end.events(), "refreshed");
        assert_eq!(scene.log(), "lock, load, intent 1, send r1, pair r1, unlock", "{member}");
        assert!(scene.record()["intent"].is_null());
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
        let mut scene = Scene::expired();
        scene.responds(200, &format!(r#"{{"access_token":"a2","expires_in":600,{members}}}"#));
        assert_eq!(scene.refresh().token(), "a2", "{members}");
        assert_eq!(scene.record()["refresh_token"], expected, "{members}");
    }
}

#[test]
fn a_refresh_token_that_cannot_be_used_is_an_event_and_counts_as_lost() {
    for value in ["7", r#"["r2"]"#, r#"{"token":"r2"}"#, r#""\ud800""#, r#""r2\n""#, r#""r\u00002""#] {
        let mut scene = Scene::expired();
        scene.responds(200, &format!(r#"{{"access_token":"a2","expires_in":600,"refresh_token":{value}}}"#));
        let end = scene.refresh();
        assert_eq!(end.token(), "a2", "{value}");
        assert_eq!(end.events(), "request failed, refreshed", "{value}");
        assert_eq!(scene.record()["refresh_token"], "r1", "{value}");
        assert_eq!(scene.record()["intent"]["attempt"], 1, "{value}");
        // What was consumed for it is rejected, and the error says why.
        scene.pass(s(600));
        scene.responds(400, REJECTED);
        let end = scene.refresh();
        let error = end.error();
        assert_eq!(error.kind(), ErrorKind::SignInRequired);
        assert!(error.to_string().contains("an earlier refresh were lost"), "{error}");
    }
}

#[test]
fn a_faulty_response_makes_other_processes_wait() {
    let mut scene = Scene::expired();
    scene.responds(200, r#"{"refresh_token":"r2"}"#);
    let end = scene.refresh();
    let error = end.error();
    assert_eq!(error.kind(), ErrorKind::InvalidResponse);
    assert!(error.retry_after().unwrap() >= s(1), "{error}");
    assert_eq!(scene.record()["hold"]["failures"], 1);
    scene.memory = SessionMemory::default();
    assert_eq!(scene.refresh().kind(), ErrorKind::Unavailable);
    assert_eq!(scene.log(), "lock, load, unlock");
    scene.pass(error.retry_after().unwrap());
    scene.responds(200, r#"{"refresh_token":"r3"}"#);
    scene.refresh().error();
    assert_eq!(scene.record()["hold"]["failures"], 2);
}

#[test]
fn what_a_server_says_of_the_access_token_is_not_repeated() {
    let mut scene = Scene::expired();
    scene.responds(400, r#"{"error":"invalid_grant","error_description":"the token access-a1 is over"}"#);
    scene.edit(|record| record["access_token"] = "access-a1".into());
    let end = scene.refresh();
    let error = end.error();
    assert_eq!(error.kind(), ErrorKind::SignInRequired);
    assert!(!format!("{error:?}{error:#?}{}", scene.record()["refused"]).contains("access-a1"), "{error}");
}

#[test]
fn what_a_response_does_not_say_stays_and_what_it_says_counts() {
    let mut first = tokens("a1", "r1", Some(s(600)));
    first.scope = Some("email".into());
    first.token_type = Some("access_token".into());
    first.id_token = Some(IdToken::new("e30.1"));
    let now = |scene: &Scene| {
        let tokens = scene.memory.tokens(scene.now).unwrap();
        let id_token = tokens.id_token.map(|token| token.expose().to_owned());
        [tokens.scope, tokens.token_type, id_token].map(Option::unwrap_or_default)
    };
    let mut scene = Scene::with(first);
    scene.pass(HOUR);
    scene.responds(200, r#"{"access_token":"a2","expires_in":600,"refresh_token":"r2"}"#);
    scene.refresh();
    assert_eq!(now(&scene), ["email", "access_token", "e30.1"]);
    scene.pass(HOUR);
    let body =
        r#"{"access_token":"a3","scope":"email profile","token_type":"Bearer","id_token":"e30.2","expires_in":9}"#;
    scene.responds(200, body);
    scene.refresh();
    assert_eq!(now(&scene), ["email profile", "Bearer", "e30.2"]);
    // The store has the same.
    scene.memory = SessionMemory::default();
    scene.refresh();
    assert_eq!(now(&scene), ["email profile", "Bearer", "e30.2"]);
}

#[test]
fn a_lifetime_that_a_response_does_not_say_is_unknown() {
    let mut scene = Scene::expired();
    scene.responds(200, r#"{"access_token":"a2","refresh_token":"r2"}"#);
    scene.refresh();
    assert!(scene.record()["lifetime_ms"].is_null());
}

// A faulty response with a refresh token in it

const FAULTY: &[&str] = &[
    r#"{"refresh_token":"r2"}"#,
    r#"{"access_token":null,"refresh_token":"r2"}"#,
    r#"{"access_token":"","refresh_token":"r2","expires_in":600}"#,
    r#"{"access_token":["a2"],"refresh_token":"r2","expires_in":600}"#,
    r#"{"access_token":"a2","access_token":"a3","refresh_token":"r2"}"#,
    r#"{"access_token":"a\n2","refresh_token":"r2"}"#,
    r#"{"access_token":"a2","id_token":"\u001b","refresh_token":"r2"}"#,
];

#[test]
fn a_refresh_token_in_a_faulty_response_is_saved_before_the_error_is_returned() {
    for body in FAULTY {
        let mut scene = Scene::expired();
        scene.responds(200, body);
        let end = scene.refresh();
        assert_eq!(scene.log(), "lock, load, intent 1, send r1, pair r2, unlock", "{body}");
        assert_eq!(end.kind(), ErrorKind::InvalidResponse, "{body}");
        assert_eq!(end.events(), "request failed");
        assert!(scene.record()["intent"].is_null());
        // The next refresh waits for the end of the backoff, and sends the new token.
        assert!(scene.cached().starts_with("backing off"), "{}", scene.cached());
        assert!(scene.lasts("backing off") >= s(1));
        scene.pass(s(1) + scene.lasts("backing off"));
        scene.responds(200, &pair("a3", "r3"));
        let end = scene.refresh();
        assert_eq!(end.token(), "a3");
        assert_eq!(scene.log(), "lock, load, intent 1, send r2, pair r3, unlock");
    }
}

#[test]
fn a_faulty_response_leaves_a_fresh_token() {
    for body in FAULTY {
        let mut scene = Scene::signed_in(600);
        scene.pass(s(570));
        scene.responds(200, body);
        let end = scene.refresh();
        assert_eq!(end.token(), "a1");
        assert_eq!(end.events(), "request failed");
        assert_eq!(scene.record()["refresh_token"], "r2");
        assert_eq!(scene.cached(), "fresh a1");
        scene.pass(s(30));
        // Its lifetime is the old one's.
        assert_ne!(scene.cached(), "fresh a1");
    }
}

#[test]
fn a_faulty_response_does_not_make_a_rejected_token_fresh() {
    let mut scene = Scene::signed_in(600);
    scene.memory.reject(&AccessToken::new("a1"));
    scene.responds(200, r#"{"refresh_token":"r2"}"#);
    assert_eq!(scene.refresh().kind(), ErrorKind::InvalidResponse);
    assert!(scene.cached().starts_with("backing off"));
}

// Rejected access tokens

#[test]
fn a_rejected_token_is_refreshed_though_its_lifetime_is_not_over() {
    let mut scene = Scene::signed_in(600);
    assert!(scene.memory.reject(&AccessToken::new("a1")));
    scene.responds(200, &pair("a2", "r2"));
    assert_eq!(scene.refresh().token(), "a2");
    assert_eq!(scene.log(), "lock, load, intent 1, send r1, pair r2, unlock");
    // The rejection does not concern the new one.
    assert!(!scene.memory.reject(&AccessToken::new("a1")));
    assert_eq!(scene.cached(), "fresh a2");
}

#[test]
fn a_rejected_token_is_not_refreshed_if_another_process_already_did() {
    let mut scene = Scene::signed_in(600);
    scene.other_process(|scene| {
        scene.pass(s(570));
        scene.responds(200, &pair("a2", "r2"));
        scene.refresh();
    });
    assert!(scene.memory.reject(&AccessToken::new("a1")));
    let end = scene.refresh();
    assert_eq!(scene.log(), "lock, load, unlock");
    assert_eq!(end.token(), "a2");
    assert_eq!(end.events(), "adopted");
}

#[test]
fn the_same_token_again_is_fresh_because_the_server_says_so() {
    let mut scene = Scene::signed_in(600);
    scene.memory.reject(&AccessToken::new("a1"));
    scene.responds(200, &pair("a1", "r2"));
    assert_eq!(scene.refresh().token(), "a1");
    assert_eq!(scene.cached(), "fresh a1");
}

#[test]
fn a_rejection_is_remembered_until_there_is_another_token() {
    let mut scene = Scene::signed_in(600);
    scene.memory.reject(&AccessToken::new("a1"));
    scene.not_sent();
    scene.policy.retry = loginradius_proto::Retry::OFF;
    assert_eq!(scene.refresh().kind(), ErrorKind::Unavailable);
    scene.pass(s(2));
    assert_eq!(scene.cached(), "missing");
}

// What is sent

#[test]
fn the_request_is_the_one_of_the_operation_over_a_connection_of_its_own() {
    let mut scene = Scene::expired();
    let flow = &mut scene.refresh_flow();
    let (request, options) = scene.run_to_request(flow);
    assert!(options.fresh_connection);
    assert_eq!(options.deadline, scene.now.monotonic + s(30));
    let operation = loginradius_proto::oauth::RefreshAccessToken::new("r1").request(&scene.app).unwrap();
    assert_eq!(request.uri(), operation.uri());
    assert_eq!(request.body().as_bytes(), operation.body().as_bytes());
}

#[test]
fn a_configuration_that_allows_no_request_leaves_no_intent() {
    let mut scene = Scene::expired();
    scene.app = scene.app.clone().with_service(Service::site("acme.hub.loginradius.com").unwrap());
    let end = scene.refresh();
    assert_eq!(scene.log(), "lock, load, unlock");
    assert_eq!(end.kind(), ErrorKind::Configuration);
    assert!(scene.record()["intent"].is_null());

    let mut scene = Scene::signed_in(600);
    scene.app = scene.app.clone().with_service(Service::site("acme.hub.loginradius.com").unwrap());
    scene.pass(s(570));
    assert_eq!(scene.refresh().token(), "a1");
}

#[test]
fn a_refresh_token_alone_that_another_process_got_is_adopted() {
    let mut scene = Scene::signed_in(600);
    scene.pass(s(570));
    scene.other_process(|scene| {
        scene.responds(200, r#"{"refresh_token":"r2"}"#);
        assert_eq!(scene.refresh().token(), "a1");
    });
    let end = scene.refresh();
    assert_eq!(end.token(), "a1");
    assert_eq!(end.events(), "adopted");
    scene.pass(HOUR);
    scene.responds(200, &pair("a3", "r3"));
    assert_eq!(scene.refresh().token(), "a3");
    assert!(scene.log().contains("send r2"), "{}", scene.log());
}
