//! Refusals of the refresh token: the end, or somebody else was faster.

use std::error::Error as _;

use loginradius_proto::session::{LoadOutcome, SaveOutcome, SessionMemory};
use loginradius_proto::{AccessToken, Error, ErrorKind};

use crate::world::*;

const REFUSALS: &[(u16, &str)] = &[
    (400, REFUSED),
    (400, r#"{"error":"invalid_grant"}"#),
    (401, r#"{"error":"invalid_grant"}"#),
    (200, r#"{"error":"invalid_grant"}"#),
    (400, r#"{"ErrorCode":2010,"Message":"invalid_grant","Description":"invalid_grant"}"#),
    (403, r#"{"ErrorCode":905,"Message":"The access token is not valid"}"#),
    (403, r#"{"errorCode":906,"message":"Access token is expired"}"#),
    (400, r#"{"ErrorCode":1217,"Message":"The refresh token is expired"}"#),
];

/// What another process does that had the lock meanwhile.
fn rotates(world: &mut World) {
    world.answers(200, &pair("a2", "r2"));
    assert_eq!(world.token().token(), "a2");
}

// The newest token

#[test]
fn the_newest_refresh_token_refused_is_the_end_and_is_marked() {
    for (status, body) in REFUSALS {
        let mut world = World::expired();
        world.answers(*status, body);
        let end = world.token();
        assert_eq!(world.log(), "lock, load, intent 1, send r1, load, refusal r1, unlock", "{body}");
        assert_eq!(end.kind(), ErrorKind::SignInAgain, "{body}");
        assert!(end.error().service().is_some(), "{body}");
        assert_eq!(end.events(), "over", "{body}");
        assert!(world.record()["intent"].is_null() && world.record()["hold"].is_null());
        assert_eq!(world.handout(), "refresh");
        assert!(world.memory.tokens(world.now, world.clock).is_none());
    }
}

#[test]
fn the_next_process_hears_of_the_end_without_a_request() {
    let mut world = World::expired();
    world.answers(400, REFUSED);
    let first = world.token();
    for memory in [world.memory.clone(), SessionMemory::default()] {
        world.memory = memory;
        let end = world.token();
        assert_eq!(world.log(), "lock, load, unlock");
        assert_eq!(end.kind(), ErrorKind::SignInAgain);
        assert!(end.error().to_string().contains("invalid_grant"), "{}", end.error());
        assert_eq!(end.events(), "");
    }
    assert_eq!(first.events(), "over");
}

#[test]
fn another_process_with_the_tokens_in_memory_is_told_that_it_is_over() {
    let mut world = World::expired();
    world.other(|world| {
        world.answers(400, REFUSED);
        world.token();
    });
    let end = world.token();
    assert_eq!(world.log(), "lock, load, unlock");
    assert_eq!(end.kind(), ErrorKind::SignInAgain);
    assert_eq!(end.events(), "over");
    assert!(world.memory.tokens(world.now, world.clock).is_none());
}

#[test]
fn signing_in_again_helps() {
    let mut world = World::expired();
    world.answers(400, REFUSED);
    world.token();
    let end = world.sign_in(tokens("b1", "q1", Some(s(600))));
    end.nothing();
    assert_eq!(end.events(), "signed in");
    assert!(world.record()["refused"].is_null());
    world.memory = SessionMemory::default();
    assert_eq!(world.token().token(), "b1");
}

#[test]
fn a_stored_reason_is_one_line() {
    let mut world = World::expired();
    world.edit(|record| record["refused"] = "a\nb\u{1b}[2J\0".into());
    let line = world.token().error().to_string();
    assert!(!line.chars().any(char::is_control), "{line:?}");
}

#[test]
fn the_mark_ends_at_a_new_sign_in_of_another_process() {
    let mut world = World::expired();
    world.other(|world| {
        world.answers(400, REFUSED);
        world.token();
        world.sign_in(tokens("b1", "q1", Some(s(600)))).nothing();
    });
    let end = world.token();
    assert_eq!(end.token(), "b1");
    assert_eq!(end.events(), "adopted another's");
}

// Lost answers

#[test]
fn a_refusal_without_a_lost_answer_says_nothing_of_one() {
    let mut world = World::expired();
    world.not_sent();
    world.answers(400, REFUSED);
    let end = world.token();
    assert_eq!(end.kind(), ErrorKind::SignInAgain);
    assert!(!end.error().to_string().contains("lost"), "{}", end.error());
    assert!(end.error().source().is_none());
}

#[test]
fn a_refusal_after_a_lost_answer_says_so_and_shows_it() {
    let mut world = World::expired();
    world.lost();
    world.answers(400, REFUSED);
    let end = world.token();
    assert_eq!(end.kind(), ErrorKind::SignInAgain);
    assert_eq!(end.events(), "retried, over");
    assert!(end.error().to_string().contains("lost"), "{}", end.error());
    let source = end.error().source().expect("the lost answer").to_string();
    assert!(source.contains("no whole answer"), "{source}");
}

#[test]
fn a_refusal_after_an_intent_of_a_dead_process_says_so() {
    let mut world = World::expired();
    world.edit(|record| {
        record["intent"] = serde_json::json!({ "at_unix_ms": World::millis(noon()), "attempt": 1 });
    });
    world.answers(400, REFUSED);
    let end = world.token();
    assert_eq!(end.kind(), ErrorKind::SignInAgain);
    assert!(end.error().to_string().contains("lost"), "{}", end.error());
}

#[test]
fn a_refusal_after_the_lost_answer_of_an_earlier_caller_says_so() {
    let mut world = World::expired();
    (0..4).for_each(|_| world.lost());
    world.token();
    world.pass(HOUR);
    world.memory = SessionMemory::default();
    world.answers(400, REFUSED);
    assert!(world.token().error().to_string().contains("lost"));
}

// Somebody else was faster

#[test]
fn a_newer_pair_in_the_store_is_adopted() {
    for (status, body) in REFUSALS {
        let mut world = World::expired();
        let body = (*body).to_owned();
        let status = *status;
        world.on("send", move |world| {
            world.other(rotates);
            answered(Ok(answer(status, &body)))
        });
        let end = world.token();
        assert_eq!(world.log(), "lock, load, intent 1, send r1, load, unlock");
        assert_eq!(end.token(), "a2");
        assert_eq!(end.events(), "adopted");
        assert_eq!(world.handout(), "good a2");
    }
}

#[test]
fn the_pair_of_another_sign_in_is_adopted_too_and_told() {
    let mut world = World::expired();
    world.on("send", |world| {
        world.other(|world| world.sign_in(tokens("b1", "q1", Some(s(600)))).nothing());
        answered(Ok(answer(400, REFUSED)))
    });
    let end = world.token();
    assert_eq!(end.token(), "b1");
    assert_eq!(end.events(), "adopted another's");
}

#[test]
fn a_newer_pair_that_is_over_is_refreshed() {
    let mut world = World::expired();
    world.on("send", |world| {
        world.other(|world| {
            world.answers(200, r#"{"access_token":"a2","refresh_token":"r2","expires_in":5}"#);
            world.token();
        });
        world.pass(s(5));
        answered(Ok(answer(400, REFUSED)))
    });
    world.answers(200, &pair("a3", "r3"));
    let end = world.token();
    assert_eq!(world.log(), "lock, load, intent 1, send r1, load, intent 1, send r2, pair r3, unlock");
    assert_eq!(end.token(), "a3");
    assert_eq!(end.events(), "adopted, rotated");
}

#[test]
fn a_newer_pair_that_is_refused_as_well_is_the_end() {
    let mut world = World::expired();
    world.on("send", |world| {
        world.other(|world| {
            world.answers(200, r#"{"access_token":"a2","refresh_token":"r2","expires_in":5}"#);
            world.token();
        });
        world.pass(s(5));
        answered(Ok(answer(400, REFUSED)))
    });
    world.answers(400, REFUSED);
    let end = world.token();
    assert_eq!(world.log(), "lock, load, intent 1, send r1, load, intent 1, send r2, load, refusal r2, unlock");
    assert_eq!(end.kind(), ErrorKind::SignInAgain);
}

#[test]
fn a_session_that_is_gone_meanwhile_is_signed_out() {
    let mut world = World::expired();
    world.on("send", |world| {
        world.stored = Stored::Nothing;
        answered(Ok(answer(400, REFUSED)))
    });
    let end = world.token();
    assert_eq!(world.log(), "lock, load, intent 1, send r1, load, unlock");
    assert_eq!(end.kind(), ErrorKind::SignInAgain);
    assert_eq!(end.events(), "over");
}

#[test]
fn a_session_that_is_being_signed_out_meanwhile_is_over() {
    let mut world = World::expired();
    world.on("send", |world| {
        world.edit(|record| record["signing_out"] = true.into());
        answered(Ok(answer(400, REFUSED)))
    });
    let end = world.token();
    assert_eq!(world.log(), "lock, load, intent 1, send r1, load, unlock");
    assert_eq!(end.kind(), ErrorKind::SignInAgain);
    // Whoever signs out goes on.
    assert_eq!(world.record()["signing_out"], true);
}

#[test]
fn a_refusal_is_not_believed_before_the_store_was_looked_at() {
    let mut world = World::expired();
    world.answers(400, REFUSED);
    world.on("load", |_| None);
    world.on("load", |_| loaded(LoadOutcome::Failed(Error::try_later("the disk is busy", "EIO"))));
    let end = world.token();
    assert_eq!(end.kind(), ErrorKind::TryLater);
    assert_eq!(end.events(), "");
    assert!(world.record()["refused"].is_null());
    assert!(world.memory.tokens(world.now, world.clock).is_some());
}

// A refusal that cannot be stored

#[test]
fn a_refusal_that_cannot_be_stored_is_told_all_the_same() {
    for outcome in [|| SaveOutcome::Failed(full_disk()), || SaveOutcome::Unknown(full_disk())] {
        let mut world = World::expired();
        world.answers(400, REFUSED);
        world.on("refusal", move |_| saved(outcome()));
        let end = world.token();
        assert_eq!(end.kind(), ErrorKind::SignInAgain);
        assert_eq!(world.log(), "lock, load, intent 1, send r1, load, refusal r1, unlock");
        // The next one hears it from LoginRadius.
        world.answers(400, REFUSED);
        let end = world.token();
        assert_eq!(end.kind(), ErrorKind::SignInAgain);
        assert_eq!(world.sends(), 1);
    }
}

#[test]
fn a_refusal_that_is_in_conflict_with_a_newer_pair_is_not_the_end() {
    let mut world = World::expired();
    world.answers(400, REFUSED);
    world.on("refusal", |world| {
        world.other(rotates);
        saved(SaveOutcome::Conflict)
    });
    let end = world.token();
    assert_eq!(end.token(), "a2", "{}", world.log());
    assert_eq!(end.events(), "adopted");
}

#[test]
fn a_report_outlives_a_refusal_that_cannot_be_stored() {
    let mut world = World::signed_in(600);
    world.memory.report(&AccessToken::new("a1"));
    world.answers(400, REFUSED);
    world.fails("refusal");
    assert_eq!(world.token().kind(), ErrorKind::SignInAgain);
    world.answers(400, REFUSED);
    let end = world.token();
    assert_eq!(end.kind(), ErrorKind::SignInAgain);
}

#[test]
fn a_refusal_ends_what_was_stored_of_failures() {
    let mut world = World::expired();
    world.hold(world.clock - s(12), world.clock - s(2), 3);
    world.answers(400, REFUSED);
    assert_eq!(world.token().kind(), ErrorKind::SignInAgain);
    assert!(world.record()["hold"].is_null() && world.record()["intent"].is_null());
}
