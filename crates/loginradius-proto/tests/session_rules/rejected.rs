//! Rejections of the refresh token: the session ends, or another process has refreshed it.

use std::error::Error as _;

use loginradius_proto::session::{SaveError, SessionMemory};
use loginradius_proto::{AccessToken, ErrorKind};

use loginradius_testing::*;

const REJECTIONS: &[(u16, &str)] = &[
    (400, REJECTED),
    (400, r#"{"error":"invalid_grant"}"#),
    (401, r#"{"error":"invalid_grant"}"#),
    (200, r#"{"error":"invalid_grant"}"#),
    (400, r#"{"ErrorCode":2010,"Message":"invalid_grant","Description":"invalid_grant"}"#),
    (403, r#"{"ErrorCode":905,"Message":"The access token is not valid"}"#),
    (403, r#"{"errorCode":906,"message":"Access token is expired"}"#),
    (400, r#"{"ErrorCode":1217,"Message":"The refresh token is expired"}"#),
];

/// Refreshes the session, as another process does that has the lock in between.
fn rotates(scene: &mut Scene) {
    scene.responds(200, &pair("a2", "r2"));
    assert_eq!(scene.refresh().token(), "a2");
}

// The newest token

#[test]
fn a_rejection_of_the_newest_refresh_token_ends_the_session_and_is_stored() {
    for (status, body) in REJECTIONS {
        let mut scene = Scene::expired();
        scene.responds(*status, body);
        let end = scene.refresh();
        assert_eq!(scene.log(), "lock, load, intent 1, send r1, load, rejection r1, unlock", "{body}");
        assert_eq!(end.kind(), ErrorKind::SignInRequired, "{body}");
        assert!(end.error().api_error().is_some(), "{body}");
        assert_eq!(end.events(), "ended", "{body}");
        assert!(scene.record()["intent"].is_null() && scene.record()["hold"].is_null());
        assert_eq!(scene.cached(), "missing");
        assert!(scene.memory.tokens(scene.now).is_none());
    }
}

#[test]
fn the_next_process_learns_of_the_end_without_a_request() {
    let mut scene = Scene::expired();
    scene.responds(400, REJECTED);
    let first = scene.refresh();
    for memory in [scene.memory.clone(), SessionMemory::default()] {
        scene.memory = memory;
        let end = scene.refresh();
        assert_eq!(scene.log(), "lock, load, unlock");
        assert_eq!(end.kind(), ErrorKind::SignInRequired);
        assert!(end.error().to_string().contains("invalid_grant"), "{}", end.error());
        assert_eq!(end.events(), "");
    }
    assert_eq!(first.events(), "ended");
}

#[test]
fn another_process_with_the_tokens_in_memory_learns_of_the_end() {
    let mut scene = Scene::expired();
    scene.other_process(|scene| {
        scene.responds(400, REJECTED);
        scene.refresh();
    });
    let end = scene.refresh();
    assert_eq!(scene.log(), "lock, load, unlock");
    assert_eq!(end.kind(), ErrorKind::SignInRequired);
    assert_eq!(end.events(), "ended");
    assert!(scene.memory.tokens(scene.now).is_none());
}

#[test]
fn a_login_after_a_rejection_begins_a_new_session() {
    let mut scene = Scene::expired();
    scene.responds(400, REJECTED);
    scene.refresh();
    let end = scene.start(tokens("b1", "q1", Some(s(600))));
    end.ok();
    assert_eq!(end.events(), "started");
    assert!(scene.record()["refused"].is_null());
    scene.memory = SessionMemory::default();
    assert_eq!(scene.refresh().token(), "b1");
}

/// In each process, at once and later, whatever was known of the session before.
#[test]
fn the_end_of_a_session_asks_for_a_login_once() {
    let times = |error: &loginradius_proto::Error| error.to_string().matches("sign in again").count();
    for (status, body) in REJECTIONS {
        for lost in [false, true] {
            let mut scene = Scene::expired();
            if lost {
                scene.lost();
            }
            scene.responds(*status, body);
            let mut errors = vec![scene.refresh().error().clone()];
            for memory in [scene.memory.clone(), SessionMemory::default()] {
                scene.memory = memory;
                errors.push(scene.refresh().error().clone());
            }
            for error in errors {
                assert_eq!(times(&error), 1, "{body}: {error}");
            }
        }
    }
}

#[test]
fn a_stored_reason_is_one_line() {
    let mut scene = Scene::expired();
    scene.edit(|record| record["refused"] = "a\nb\u{1b}[2J\0".into());
    let line = scene.refresh().error().to_string();
    assert!(!line.chars().any(char::is_control), "{line:?}");
}

#[test]
fn a_rejection_ends_at_a_new_login_of_another_process() {
    let mut scene = Scene::expired();
    scene.other_process(|scene| {
        scene.responds(400, REJECTED);
        scene.refresh();
        scene.start(tokens("b1", "q1", Some(s(600)))).ok();
    });
    let end = scene.refresh();
    assert_eq!(end.token(), "b1");
    assert_eq!(end.events(), "adopted other login");
}

// Lost responses

#[test]
fn a_rejection_without_a_lost_response_says_nothing_of_one() {
    let mut scene = Scene::expired();
    scene.not_sent();
    scene.responds(400, REJECTED);
    let end = scene.refresh();
    assert_eq!(end.kind(), ErrorKind::SignInRequired);
    assert!(!end.error().to_string().contains("lost"), "{}", end.error());
    assert!(end.error().source().is_none());
}

#[test]
fn a_rejection_after_a_lost_response_says_so_and_shows_it() {
    let mut scene = Scene::expired();
    scene.lost();
    scene.responds(400, REJECTED);
    let end = scene.refresh();
    assert_eq!(end.kind(), ErrorKind::SignInRequired);
    assert_eq!(end.events(), "request failed, ended");
    assert!(end.error().to_string().contains("lost"), "{}", end.error());
    let source = end.error().source().expect("the lost response").to_string();
    assert!(source.contains("no complete response"), "{source}");
}

#[test]
fn a_rejection_after_an_intent_of_a_dead_process_says_so() {
    let mut scene = Scene::expired();
    scene.edit(|record| {
        record["intent"] = serde_json::json!({ "at_unix_ms": Scene::millis(now().wall), "attempt": 1 });
    });
    scene.responds(400, REJECTED);
    let end = scene.refresh();
    assert_eq!(end.kind(), ErrorKind::SignInRequired);
    assert!(end.error().to_string().contains("lost"), "{}", end.error());
}

#[test]
fn a_rejection_after_the_lost_response_of_an_earlier_caller_says_so() {
    let mut scene = Scene::expired();
    (0..4).for_each(|_| scene.lost());
    scene.refresh();
    scene.pass(HOUR);
    scene.memory = SessionMemory::default();
    scene.responds(400, REJECTED);
    assert!(scene.refresh().error().to_string().contains("lost"));
}

// Another process was faster

#[test]
fn a_newer_pair_in_the_store_is_adopted() {
    for (status, body) in REJECTIONS {
        let mut scene = Scene::expired();
        scene.on("send", |scene| {
            scene.other_process(rotates);
            responded(Ok(response(*status, *body)))
        });
        let end = scene.refresh();
        assert_eq!(scene.log(), "lock, load, intent 1, send r1, load, unlock");
        assert_eq!(end.token(), "a2");
        assert_eq!(end.events(), "adopted");
        assert_eq!(scene.cached(), "fresh a2");
    }
}

#[test]
fn the_tokens_of_another_login_are_adopted_too() {
    let mut scene = Scene::expired();
    scene.on("send", |scene| {
        scene.other_process(|scene| scene.start(tokens("b1", "q1", Some(s(600)))).ok());
        responded(Ok(response(400, REJECTED)))
    });
    let end = scene.refresh();
    assert_eq!(end.token(), "b1");
    assert_eq!(end.events(), "adopted other login");
}

#[test]
fn a_newer_pair_that_has_expired_is_refreshed() {
    let mut scene = Scene::expired();
    scene.on("send", |scene| {
        scene.other_process(|scene| {
            scene.responds(200, r#"{"access_token":"a2","refresh_token":"r2","expires_in":5}"#);
            scene.refresh();
        });
        scene.pass(s(5));
        responded(Ok(response(400, REJECTED)))
    });
    scene.responds(200, &pair("a3", "r3"));
    let end = scene.refresh();
    assert_eq!(scene.log(), "lock, load, intent 1, send r1, load, intent 1, send r2, pair r3, unlock");
    assert_eq!(end.token(), "a3");
    assert_eq!(end.events(), "adopted, refreshed");
}

#[test]
fn a_newer_pair_that_is_rejected_as_well_is_the_end() {
    let mut scene = Scene::expired();
    scene.on("send", |scene| {
        scene.other_process(|scene| {
            scene.responds(200, r#"{"access_token":"a2","refresh_token":"r2","expires_in":5}"#);
            scene.refresh();
        });
        scene.pass(s(5));
        responded(Ok(response(400, REJECTED)))
    });
    scene.responds(400, REJECTED);
    let end = scene.refresh();
    assert_eq!(scene.log(), "lock, load, intent 1, send r1, load, intent 1, send r2, load, rejection r2, unlock");
    assert_eq!(end.kind(), ErrorKind::SignInRequired);
}

#[test]
fn a_session_that_is_missing_after_a_rejection_was_signed_out() {
    let mut scene = Scene::expired();
    scene.on("send", |scene| {
        scene.stored = None;
        responded(Ok(response(400, REJECTED)))
    });
    let end = scene.refresh();
    assert_eq!(scene.log(), "lock, load, intent 1, send r1, load, unlock");
    assert_eq!(end.kind(), ErrorKind::SignInRequired);
    assert_eq!(end.events(), "ended");
}

#[test]
fn a_session_that_is_signing_out_after_a_rejection_has_ended() {
    let mut scene = Scene::expired();
    scene.on("send", |scene| {
        scene.edit(|record| record["signing_out"] = true.into());
        responded(Ok(response(400, REJECTED)))
    });
    let end = scene.refresh();
    assert_eq!(scene.log(), "lock, load, intent 1, send r1, load, unlock");
    assert_eq!(end.kind(), ErrorKind::SignInRequired);
    // The process that signs out continues.
    assert_eq!(scene.record()["signing_out"], true);
}

#[test]
fn a_rejection_does_not_end_the_session_before_the_record_is_loaded() {
    let mut scene = Scene::expired();
    scene.responds(400, REJECTED);
    scene.on("load", |_| None);
    scene.on("load", |_| loaded(unreadable()));
    let end = scene.refresh();
    assert_eq!(end.kind(), ErrorKind::Unavailable);
    assert_eq!(end.events(), "");
    assert!(scene.record()["refused"].is_null());
    assert!(scene.memory.tokens(scene.now).is_some());
}

// A rejection that cannot be stored

#[test]
fn a_rejection_that_cannot_be_stored_is_returned_all_the_same() {
    for outcome in [|| Err(SaveError::Failed(full_disk())), || Err(SaveError::Unknown(full_disk()))] {
        let mut scene = Scene::expired();
        scene.responds(400, REJECTED);
        scene.on("rejection", move |_| saved(outcome()));
        let end = scene.refresh();
        assert_eq!(end.kind(), ErrorKind::SignInRequired);
        assert_eq!(scene.log(), "lock, load, intent 1, send r1, load, rejection r1, unlock");
        // The next caller learns it from LoginRadius.
        scene.responds(400, REJECTED);
        let end = scene.refresh();
        assert_eq!(end.kind(), ErrorKind::SignInRequired);
        assert_eq!(scene.sends(), 1);
    }
}

#[test]
fn a_rejection_in_conflict_with_a_newer_pair_is_not_the_end() {
    let mut scene = Scene::expired();
    scene.responds(400, REJECTED);
    scene.on("rejection", |scene| {
        scene.other_process(rotates);
        saved(Err(SaveError::Conflict))
    });
    let end = scene.refresh();
    assert_eq!(end.token(), "a2", "{}", scene.log());
    assert_eq!(end.events(), "adopted");
}

#[test]
fn the_rejection_of_an_access_token_outlives_one_that_cannot_be_stored() {
    let mut scene = Scene::signed_in(600);
    scene.memory.reject(&AccessToken::new("a1"));
    scene.responds(400, REJECTED);
    scene.fails("rejection");
    assert_eq!(scene.refresh().kind(), ErrorKind::SignInRequired);
    scene.responds(400, REJECTED);
    let end = scene.refresh();
    assert_eq!(end.kind(), ErrorKind::SignInRequired);
}

#[test]
fn a_rejection_ends_what_was_stored_of_failures() {
    let mut scene = Scene::expired();
    scene.set_backoff(scene.now.wall - s(12), scene.now.wall - s(2), 3);
    scene.responds(400, REJECTED);
    assert_eq!(scene.refresh().kind(), ErrorKind::SignInRequired);
    assert!(scene.record()["hold"].is_null() && scene.record()["intent"].is_null());
}
