//! Sign-outs, and forgetting.

use loginradius_proto::session::{SessionInput, SessionMemory};
use loginradius_proto::{Dialect, Error, ErrorKind, Retry, RevocationKey, Service};

use loginradius_testing::*;

/// Responses to a revocation whose token is not valid any more.
const GONE: &[(u16, &str)] = &[
    (400, REJECTED),
    (400, r#"{"error":"invalid_request","error_description":"The access_token is invalid or expired."}"#),
    (200, r#"{"error":"invalid_grant"}"#),
    (403, r#"{"ErrorCode":906,"Message":"Access token is expired"}"#),
    (400, r#"{"ErrorCode":2010,"Message":"invalid_grant","Description":"invalid_grant"}"#),
];

const FAILURES: &[(u16, &str)] = &[
    (500, PAGE),
    (503, REJECTED),
    (429, ""),
    (429, REJECTED),
    (302, ""),
    (404, PAGE),
    (400, r#"{"error":"server_error"}"#),
];

#[test]
fn a_sign_out_marks_revokes_and_clears() {
    let mut scene = Scene::signed_in(600);
    scene.on("revoke", |scene| {
        // From now on no caller gets the token.
        assert_eq!(scene.record()["signing_out"], true);
        scene.other_process(|scene| assert_eq!(scene.refresh().kind(), ErrorKind::SignInRequired));
        responded(Ok(response(200, "")))
    });
    let end = scene.sign_out();
    assert_eq!(scene.log(), "lock, load, mark r1, revoke r1, clear, unlock");
    end.ok();
    assert_eq!(end.events(), "signed out");
    assert_eq!(scene.stored, None);
    assert_eq!(scene.cached(), "missing");
    assert!(scene.memory.tokens(scene.now).is_none());
    assert_eq!(scene.refresh().kind(), ErrorKind::SignInRequired);
}

#[test]
fn a_sign_out_whose_lock_has_lapsed_takes_it_again() {
    let mut scene = Scene::signed_in(600);
    scene.on("revoke", |_| Some(SessionInput::LockLapsed));
    scene.revokes(200, "");
    let end = scene.sign_out();
    assert_eq!(scene.log(), "lock, load, mark r1, revoke r1, unlock, lock, load, revoke r1, clear, unlock");
    end.ok();
    assert_eq!((end.events(), &scene.stored), ("signed out".to_owned(), &None));
}

#[test]
fn a_session_whose_token_has_expired_is_signed_out_like_any_other() {
    let mut scene = Scene::expired();
    scene.revokes(200, PAGE);
    scene.sign_out().ok();
    assert_eq!(scene.log(), "lock, load, mark r1, revoke r1, clear, unlock");
}

#[test]
fn a_mark_ends_what_was_stored_of_refreshes() {
    let mut scene = Scene::expired();
    scene.edit(|record| record["intent"] = serde_json::json!({ "at_unix_ms": 5, "attempt": 3 }));
    scene.set_backoff(scene.now.wall, scene.now.wall + HOUR, 7);
    scene.on("revoke", |scene| {
        assert!(scene.record()["hold"].is_null() && scene.record()["intent"].is_null());
        responded(Ok(response(200, "")))
    });
    scene.sign_out().ok();
}

#[test]
fn a_sign_out_in_another_process_needs_no_memory() {
    let mut scene = Scene::signed_in(600);
    scene.memory = SessionMemory::default();
    scene.revokes(200, "");
    let end = scene.sign_out();
    end.ok();
    assert_eq!(end.events(), "signed out");
}

#[test]
fn what_is_revoked_is_what_is_stored() {
    let mut scene = Scene::signed_in(600);
    scene.other_process(|scene| {
        scene.pass(HOUR);
        scene.responds(200, &pair("a2", "r2"));
        scene.refresh();
    });
    scene.revokes(200, "");
    scene.sign_out().ok();
    assert_eq!(scene.log(), "lock, load, mark r2, revoke r2, clear, unlock");
}

#[test]
fn a_sign_out_without_a_session_is_done() {
    let mut scene = Scene::empty();
    let end = scene.sign_out();
    assert_eq!(scene.log(), "lock, load, unlock");
    end.ok();
    assert_eq!(end.events(), "");
}

#[test]
fn what_another_process_signed_out_is_signed_out() {
    let mut scene = Scene::signed_in(600);
    scene.stored = None;
    let end = scene.sign_out();
    end.ok();
    assert_eq!(end.events(), "signed out");
    assert!(scene.memory.tokens(scene.now).is_none());
}

#[test]
fn without_a_refresh_token_there_is_nothing_to_revoke() {
    let mut scene = Scene::with(tokens("a1", "", Some(s(600))));
    let end = scene.sign_out();
    assert_eq!(scene.log(), "lock, load, clear, unlock");
    end.ok();
    assert_eq!(end.events(), "signed out");
    assert_eq!(scene.stored, None);
}

#[test]
fn a_token_that_was_rejected_needs_no_revocation() {
    let mut scene = Scene::expired();
    scene.responds(400, REJECTED);
    scene.refresh();
    scene.sign_out().ok();
    assert_eq!(scene.log(), "lock, load, clear, unlock");
}

#[test]
fn the_key_of_the_token_is_the_dialects() {
    for (key, written) in [(RevocationKey::RefreshToken, "refresh_token=r1"), (RevocationKey::Token, "&token=r1")] {
        let mut scene = Scene::signed_in(600);
        scene.app = speaking(&scene.app, Dialect::new().with_revocation_key(key));
        let flow = &mut scene.sign_out_flow();
        let (request, options) = scene.run_to_request(flow);
        let body = String::from_utf8(request.body().as_bytes().to_vec()).unwrap();
        assert!(body.ends_with(written), "{body}");
        assert_eq!(options.deadline, scene.now.monotonic + s(30));
    }
}

// What the server says

#[test]
fn a_token_that_is_not_valid_any_more_counts_as_revoked() {
    for (status, body) in GONE {
        let mut scene = Scene::signed_in(600);
        scene.revokes(*status, body);
        let end = scene.sign_out();
        assert_eq!(scene.log(), "lock, load, mark r1, revoke r1, clear, unlock", "{body}");
        end.ok();
        assert_eq!(end.events(), "signed out");
        assert_eq!(scene.stored, None);
    }
}

#[test]
fn a_revocation_that_failed_is_sent_again() {
    for (status, body) in FAILURES {
        let mut scene = Scene::signed_in(600);
        scene.revokes(*status, body);
        scene.on("revoke", |_| responded(Err(Error::outcome_unknown("reset"))));
        scene.on("revoke", |_| responded(Err(Error::not_sent("refused"))));
        scene.revokes(200, "");
        let end = scene.sign_out();
        let attempts = "revoke r1, wait, revoke r1, wait, revoke r1, wait, revoke r1";
        assert_eq!(scene.log(), format!("lock, load, mark r1, {attempts}, clear, unlock"), "{status} {body}");
        end.ok();
        assert_eq!(end.events(), "request failed, request failed, request failed, signed out");
        for (wait, full) in scene.waits.iter().zip([ms(500), s(1), s(2)]) {
            assert!(*wait >= full * 3 / 4 && *wait <= full, "{wait:?}");
        }
    }
}

#[test]
fn failures_without_end_leave_the_mark_and_the_next_sign_out_continues() {
    let mut scene = Scene::signed_in(600);
    (0..4).for_each(|_| scene.revokes(503, PAGE));
    let end = scene.sign_out();
    let attempts = "revoke r1, wait, revoke r1, wait, revoke r1, wait, revoke r1";
    assert_eq!(scene.log(), format!("lock, load, mark r1, {attempts}, unlock"));
    assert_eq!(end.kind(), ErrorKind::Unavailable);
    assert!(end.error().to_string().contains("sign out again"), "{}", end.error());
    assert!(end.error().retry_after().is_some());
    assert_eq!(end.events(), "request failed, request failed, request failed, request failed");
    assert_eq!(scene.record()["signing_out"], true);
    // No caller gets the token any more, here and elsewhere.
    assert_eq!(scene.cached(), "missing");
    assert!(scene.memory.tokens(scene.now).is_none());
    let end = scene.refresh();
    assert_eq!(scene.log(), "lock, load, unlock");
    assert_eq!(end.kind(), ErrorKind::SignInRequired);
    assert_eq!(end.events(), "");

    scene.revokes(200, "");
    let end = scene.sign_out();
    assert_eq!(scene.log(), "lock, load, revoke r1, clear, unlock");
    end.ok();
    assert_eq!(end.events(), "signed out");
}

#[test]
fn the_mark_of_another_process_ends_the_session_here() {
    let mut scene = Scene::signed_in(600);
    scene.other_process(|scene| {
        (0..4).for_each(|_| scene.revokes(503, PAGE));
        scene.sign_out().error();
    });
    scene.pass(s(570));
    let end = scene.refresh();
    assert_eq!(end.kind(), ErrorKind::SignInRequired);
    assert_eq!(end.events(), "ended");
    assert!(scene.memory.tokens(scene.now).is_none());
}

#[test]
fn a_response_is_waited_for_until_the_deadline() {
    let mut scene = Scene::signed_in(600);
    scene.policy.timeout = s(3);
    scene.on("revoke", |_| None);
    scene.revokes(200, "");
    scene.sign_out().ok();
    assert_eq!(scene.waits[0], s(3));
    assert_eq!(scene.sends(), 2);
}

#[test]
fn a_retry_after_over_max_wait_is_left_to_the_next_sign_out() {
    let mut scene = Scene::signed_in(600);
    let unavailable = response_with(429, "", &[("retry-after", "120")]);
    scene.on("revoke", move |_| responded(Ok(unavailable)));
    let end = scene.sign_out();
    assert_eq!(scene.sends(), 1);
    assert_eq!(end.kind(), ErrorKind::Unavailable);
    assert_eq!(end.error().retry_after(), Some(s(120)));
}

#[test]
fn another_refusal_is_returned_and_the_mark_stays() {
    for (status, body, kind) in [
        (401, r#"{"error":"invalid_client"}"#, ErrorKind::Configuration),
        (400, r#"{"error":"invalid_request","error_description":"client_id is missing"}"#, ErrorKind::Configuration),
        (400, r#"{"ErrorCode":4711,"Message":"Something new"}"#, ErrorKind::Refused),
    ] {
        let mut scene = Scene::signed_in(600);
        scene.revokes(status, body);
        let end = scene.sign_out();
        assert_eq!(scene.log(), "lock, load, mark r1, revoke r1, unlock");
        assert_eq!(end.kind(), kind, "{body}");
        assert_eq!(scene.record()["signing_out"], true);
    }
}

#[test]
fn a_configuration_that_allows_no_request_is_an_error() {
    let mut scene = Scene::signed_in(600);
    scene.app = scene.app.clone().with_service(Service::site("acme.hub.loginradius.com").unwrap());
    let end = scene.sign_out();
    assert_eq!(end.kind(), ErrorKind::Configuration);
    assert_eq!(scene.sends(), 0);
}

// Saves and clears that do not work

#[test]
fn a_mark_that_cannot_be_saved_revokes_nothing() {
    let mut scene = Scene::signed_in(600);
    scene.fails("mark");
    let end = scene.sign_out();
    assert_eq!(scene.log(), "lock, load, mark r1, unlock");
    assert_eq!(end.kind(), ErrorKind::Unavailable);
    assert_eq!(end.events(), "");
    // Nothing was revoked, and the token is still fresh.
    assert_eq!(scene.cached(), "fresh a1");
}

#[test]
fn a_mark_that_may_have_been_saved_is_looked_for() {
    for (stored, log) in [
        (true, "lock, load, mark r1, load, revoke r1, clear, unlock"),
        (false, "lock, load, mark r1, load, mark r1, revoke r1, clear, unlock"),
    ] {
        let mut scene = Scene::signed_in(600);
        scene.outcome_unknown("mark", stored);
        scene.revokes(200, "");
        scene.sign_out().ok();
        assert_eq!(scene.log(), log);
    }
}

#[test]
fn a_mark_in_conflict_with_a_refresh_revokes_the_newer_token() {
    let mut scene = Scene::expired();
    scene.on("mark", |scene| {
        scene.other_process(|scene| {
            scene.responds(200, &pair("a2", "r2"));
            scene.refresh();
        });
        None
    });
    scene.revokes(200, "");
    scene.sign_out().ok();
    assert_eq!(scene.log(), "lock, load, mark r1, unlock, lock, load, mark r2, revoke r2, clear, unlock");
}

#[test]
fn another_login_in_between_stays() {
    for step in ["mark", "clear"] {
        let mut scene = Scene::expired();
        scene.on(step, |scene| {
            scene.other_process(|scene| scene.start(tokens("b1", "q1", Some(s(600)))).ok());
            None
        });
        scene.revokes(200, "");
        let end = scene.sign_out();
        end.ok();
        assert_eq!(end.events(), "signed out", "{step}");
        assert_eq!(scene.record()["refresh_token"], "q1", "{step}");
        assert_eq!(scene.cached(), "missing");
        assert_eq!(scene.refresh().token(), "b1", "{step}");
    }
}

#[test]
fn a_clear_that_fails_leaves_the_mark() {
    let mut scene = Scene::signed_in(600);
    scene.revokes(200, "");
    scene.fails("clear");
    let end = scene.sign_out();
    assert_eq!(end.kind(), ErrorKind::Unavailable);
    assert_eq!(scene.record()["signing_out"], true);
    assert_eq!(scene.refresh().kind(), ErrorKind::SignInRequired);
    scene.revokes(400, REJECTED);
    scene.sign_out().ok();
    assert_eq!(scene.log(), "lock, load, revoke r1, clear, unlock");
    assert_eq!(scene.stored, None);
}

#[test]
fn a_clear_that_may_have_happened_is_looked_for() {
    let mut scene = Scene::signed_in(600);
    scene.revokes(200, "");
    scene.outcome_unknown("clear", true);
    let end = scene.sign_out();
    assert_eq!(scene.log(), "lock, load, mark r1, revoke r1, clear, load, unlock");
    end.ok();
    assert_eq!(end.events(), "signed out");

    let mut scene = Scene::signed_in(600);
    scene.revokes(200, "");
    scene.outcome_unknown("clear", false);
    scene.revokes(400, REJECTED);
    scene.sign_out().ok();
    assert_eq!(scene.stored, None);
}

#[test]
fn clears_whose_outcomes_stay_unknown_are_given_up() {
    let mut scene = Scene::signed_in(600);
    for _ in 0..50 {
        scene.revokes(200, "");
        scene.outcome_unknown("clear", false);
    }
    assert_eq!(scene.sign_out().kind(), ErrorKind::Unavailable);
    assert_eq!(scene.record()["signing_out"], true);
}

// Over an unsaved pair

#[test]
fn a_sign_out_over_an_unsaved_pair_revokes_the_newest_token() {
    let mut scene = Scene::unsaved();
    scene.revokes(200, "");
    let end = scene.sign_out();
    assert_eq!(scene.log(), "load, mark r2, revoke r2, clear, unlock");
    end.ok();
    assert_eq!(end.events(), "signed out");
    assert_eq!(scene.stored, None);
    assert!(!scene.memory.retains_lock() && scene.memory.save_error().is_none());
}

#[test]
fn an_unsaved_pair_is_in_the_store_once_it_is_marked() {
    let mut scene = Scene::unsaved();
    scene.policy.retry = Retry::OFF;
    scene.revokes(503, PAGE);
    assert_eq!(scene.sign_out().kind(), ErrorKind::Unavailable);
    assert_eq!(scene.record()["refresh_token"], "r2");
    assert!(!scene.memory.retains_lock() && scene.memory.save_error().is_none());
    scene.memory = SessionMemory::default();
    scene.revokes(200, "");
    scene.sign_out().ok();
    assert_eq!(scene.log(), "lock, load, revoke r2, clear, unlock");
}

#[test]
fn a_mark_that_cannot_be_saved_leaves_an_unsaved_pair_as_it_was() {
    let mut scene = Scene::unsaved();
    scene.fails("mark");
    let end = scene.sign_out();
    assert_eq!(end.kind(), ErrorKind::Unavailable);
    assert_eq!(end.events(), "");
    assert!(scene.memory.retains_lock());
    assert_eq!(scene.cached(), "fresh a2");
    scene.pass(s(60));
    assert_eq!(scene.refresh().events(), "saved");
}

#[test]
fn no_token_of_an_unsaved_pair_is_returned_once_the_mark_of_another_process_was_seen() {
    let mut scene = Scene::unsaved();
    scene.edit(|record| record["signing_out"] = true.into());
    scene.fails("mark");
    assert_eq!(scene.sign_out().kind(), ErrorKind::Unavailable);
    assert_eq!(scene.cached(), "missing");
    // The newest refresh token is still there to be revoked.
    scene.revokes(200, "");
    scene.sign_out().ok();
    assert_eq!(scene.log(), "load, mark r2, revoke r2, clear, unlock");
}

#[test]
fn a_sign_out_over_an_unsaved_pair_whose_store_has_a_newer_one_revokes_that() {
    let mut scene = Scene::unsaved();
    scene.other_process(|scene| {
        scene.responds(200, &pair("x2", "s2"));
        scene.refresh();
    });
    scene.revokes(200, "");
    scene.sign_out().ok();
    assert_eq!(scene.log(), "load, mark s2, revoke s2, clear, unlock");
}

#[test]
fn a_sign_out_over_an_unsaved_pair_whose_session_is_missing_is_done() {
    let mut scene = Scene::unsaved();
    scene.stored = None;
    let end = scene.sign_out();
    assert_eq!(scene.log(), "load, unlock");
    end.ok();
    assert!(!scene.memory.retains_lock());
}

// Forgetting

#[test]
fn forgetting_clears_and_sends_nothing() {
    let mut scene = Scene::signed_in(600);
    let end = scene.forget();
    assert_eq!(scene.log(), "lock, load, clear, unlock");
    end.ok();
    assert_eq!(end.events(), "signed out");
    assert_eq!(scene.stored, None);
    assert_eq!(scene.cached(), "missing");
    assert!(scene.memory.tokens(scene.now).is_none());
}

#[test]
fn forgetting_in_a_process_without_memory_is_an_event_too() {
    let mut scene = Scene::signed_in(600);
    scene.memory = SessionMemory::default();
    assert_eq!(scene.forget().events(), "signed out");
}

#[test]
fn forgetting_nothing_is_done() {
    let mut scene = Scene::empty();
    let end = scene.forget();
    assert_eq!(scene.log(), "lock, load, unlock");
    end.ok();
    assert_eq!(end.events(), "");
}

#[test]
fn forgetting_clears_marks_and_rejections() {
    for body in [r#"{"signing_out":true}"#, r#"{"refused":"invalid_grant"}"#] {
        let mut scene = Scene::signed_in(600);
        let mark: serde_json::Value = serde_json::from_str(body).unwrap();
        scene.edit(|record| record.as_object_mut().unwrap().extend(mark.as_object().unwrap().clone()));
        scene.forget().ok();
        assert_eq!(scene.stored, None);
    }
}

#[test]
fn forgetting_drops_an_unsaved_pair_and_its_lock() {
    let mut scene = Scene::unsaved();
    let end = scene.forget();
    assert_eq!(scene.log(), "load, clear, unlock");
    end.ok();
    assert_eq!(end.events(), "signed out");
    assert!(!scene.memory.retains_lock() && scene.memory.save_error().is_none());
}

#[test]
fn a_record_that_cannot_be_cleared_is_an_error() {
    let mut scene = Scene::signed_in(600);
    scene.fails("clear");
    let end = scene.forget();
    assert_eq!(end.kind(), ErrorKind::Unavailable);
    assert_eq!(end.events(), "");
    assert_eq!(scene.cached(), "fresh a1");
    let mut scene = Scene::signed_in(600);
    scene.stored = damaged();
    scene.fails("clear");
    assert_eq!(scene.forget().kind(), ErrorKind::Unavailable);
}

#[test]
fn forgetting_that_fails_over_an_unsaved_pair_retains_it() {
    let mut scene = Scene::unsaved();
    scene.fails("clear");
    assert_eq!(scene.forget().kind(), ErrorKind::Unavailable);
    assert!(scene.memory.retains_lock());
    assert_eq!(scene.cached(), "fresh a2");
}

#[test]
fn a_forget_in_conflict_begins_again() {
    let mut scene = Scene::expired();
    scene.on("clear", |scene| {
        scene.other_process(|scene| {
            scene.responds(200, &pair("a2", "r2"));
            scene.refresh();
        });
        None
    });
    scene.forget().ok();
    assert_eq!(scene.log(), "lock, load, clear, unlock, lock, load, clear, unlock");
    assert_eq!(scene.stored, None);
}

#[test]
fn a_clear_of_unknown_outcome_for_a_forget_is_looked_for() {
    for (happened, log) in
        [(true, "lock, load, clear, load, unlock"), (false, "lock, load, clear, load, clear, unlock")]
    {
        let mut scene = Scene::signed_in(600);
        scene.outcome_unknown("clear", happened);
        let end = scene.forget();
        assert_eq!(scene.log(), log);
        end.ok();
        assert_eq!(end.events(), "signed out");
    }
}

#[test]
fn after_an_unknown_clear_no_token_is_returned_before_the_record_is_loaded() {
    for happened in [true, false] {
        let mut scene = Scene::signed_in(600);
        scene.outcome_unknown("clear", happened);
        scene.on("load", |_| None);
        scene.on("load", |_| loaded(unreadable()));
        assert_eq!(scene.forget().kind(), ErrorKind::Unavailable);
        assert_eq!(scene.cached(), "missing");
        assert!(!scene.memory.is_signed_in());
        let end = scene.refresh();
        if happened {
            assert_eq!(end.kind(), ErrorKind::SignInRequired);
        } else {
            assert_eq!(end.token(), "a1");
        }
    }
}

#[test]
fn a_revocation_without_a_response_is_sent_again_under_the_same_mark() {
    let mut scene = Scene::signed_in(600);
    scene.policy.lock_wait = s(120);
    scene.on("revoke", |_| None);
    scene.revokes(200, "");
    scene.sign_out().ok();
    assert_eq!(scene.log(), "lock, load, mark r1, revoke r1, wait, wait, revoke r1, clear, unlock");
}

/// Begins with an unsaved pair of a session that another process has begun to sign out, and that could not be saved
/// with the mark.
fn unsaved_with_a_mark() -> Scene {
    let mut scene = Scene::unsaved();
    scene.edit(|record| {
        record["signing_out"] = true.into();
        record["generation"] = (record["generation"].as_u64().unwrap() + 5).into();
    });
    scene.fails("mark");
    scene.pass(s(61));
    let _ = scene.refresh();
    assert!(scene.memory.retains_lock(), "{}", scene.log());
    scene
}

#[test]
fn an_unsaved_pair_of_a_marked_session_is_revoked() {
    let mut scene = unsaved_with_a_mark();
    scene.revokes(200, "");
    let end = scene.sign_out();
    end.ok();
    assert_eq!(scene.log(), "load, revoke r2, clear, unlock");
    assert_eq!(scene.stored, None);
}

#[test]
fn an_unsaved_pair_of_a_session_that_was_signed_out_can_be_started_again() {
    let mut scene = unsaved_with_a_mark();
    scene.stored = None;
    scene.start(tokens("a1", "r1", Some(s(600)))).ok();
    assert_eq!(scene.record()["refresh_token"], "r2");
    assert!(scene.record()["signing_out"].is_null());
    assert_eq!(scene.cached(), "fresh a2");
}
