//! Signing out, and forgetting.

use loginradius_proto::session::{LoadOutcome, SaveOutcome, SessionMemory};
use loginradius_proto::{Error, ErrorKind, Retry, Service};

use crate::world::*;

/// What servers say of a token that is not valid any more.
const GONE: &[(u16, &str)] = &[
    (400, REFUSED),
    (400, r#"{"error":"invalid_request","error_description":"The access_token is invalid or expired."}"#),
    (200, r#"{"error":"invalid_grant"}"#),
    (403, r#"{"ErrorCode":906,"Message":"Access token is expired"}"#),
    (400, r#"{"ErrorCode":2010,"Message":"invalid_grant","Description":"invalid_grant"}"#),
];

const FAILURES: &[(u16, &str)] = &[
    (500, PAGE),
    (503, REFUSED),
    (429, ""),
    (429, REFUSED),
    (200, PAGE),
    (302, ""),
    (404, PAGE),
    (400, r#"{"error":"server_error"}"#),
];

#[test]
fn signing_out_marks_revokes_and_clears() {
    let mut world = World::signed_in(600);
    world.on("revoke", |world| {
        // Whoever comes meanwhile does not get the token any more.
        assert_eq!(world.record()["signing_out"], true);
        world.other(|world| assert_eq!(world.token().kind(), ErrorKind::SignInAgain));
        answered(Ok(answer(200, "")))
    });
    let end = world.sign_out();
    assert_eq!(world.log(), "lock, load, mark r1, revoke r1, clear, unlock");
    end.nothing();
    assert_eq!(end.events(), "signed out");
    assert_eq!(world.stored, Stored::Nothing);
    assert_eq!(world.handout(), "refresh");
    assert!(world.memory.tokens(world.now, world.clock).is_none());
    assert_eq!(world.token().kind(), ErrorKind::SignInAgain);
}

#[test]
fn a_session_that_is_over_is_signed_out_like_any_other() {
    let mut world = World::expired();
    world.revokes(200, "{}");
    world.sign_out().nothing();
    assert_eq!(world.log(), "lock, load, mark r1, revoke r1, clear, unlock");
}

#[test]
fn a_mark_ends_what_was_stored_of_refreshes() {
    let mut world = World::expired();
    world.edit(|record| record["intent"] = serde_json::json!({ "at_unix_ms": 5, "attempt": 3 }));
    world.hold(world.clock, world.clock + HOUR, 7);
    world.on("revoke", |world| {
        assert!(world.record()["hold"].is_null() && world.record()["intent"].is_null());
        answered(Ok(answer(200, "")))
    });
    world.sign_out().nothing();
}

#[test]
fn signing_out_in_another_process_needs_no_memory() {
    let mut world = World::signed_in(600);
    world.memory = SessionMemory::default();
    world.revokes(200, "");
    let end = world.sign_out();
    end.nothing();
    assert_eq!(end.events(), "signed out");
}

#[test]
fn what_is_revoked_is_what_is_stored() {
    let mut world = World::signed_in(600);
    world.other(|world| {
        world.pass(HOUR);
        world.answers(200, &pair("a2", "r2"));
        world.token();
    });
    world.revokes(200, "");
    world.sign_out().nothing();
    assert_eq!(world.log(), "lock, load, mark r2, revoke r2, clear, unlock");
}

#[test]
fn nobody_is_signed_in_and_so_nobody_has_to_be_signed_out() {
    let mut world = World::empty();
    let end = world.sign_out();
    assert_eq!(world.log(), "lock, load, unlock");
    end.nothing();
    assert_eq!(end.events(), "");
}

#[test]
fn what_another_process_signed_out_is_signed_out() {
    let mut world = World::signed_in(600);
    world.stored = Stored::Nothing;
    let end = world.sign_out();
    end.nothing();
    assert_eq!(end.events(), "signed out");
    assert!(world.memory.tokens(world.now, world.clock).is_none());
}

#[test]
fn without_a_refresh_token_there_is_nothing_to_revoke() {
    let mut world = World::with(tokens("a1", "", Some(s(600))));
    let end = world.sign_out();
    assert_eq!(world.log(), "lock, load, clear, unlock");
    end.nothing();
    assert_eq!(end.events(), "signed out");
    assert_eq!(world.stored, Stored::Nothing);
}

#[test]
fn a_token_that_was_refused_needs_no_revocation() {
    let mut world = World::expired();
    world.answers(400, REFUSED);
    world.token();
    world.sign_out().nothing();
    assert_eq!(world.log(), "lock, load, clear, unlock");
}

#[test]
fn the_key_of_the_token_is_the_policys() {
    for (token_key, key) in [(false, "refresh_token=r1"), (true, "&token=r1")] {
        let mut world = World::signed_in(600);
        world.policy.revoke_with_token_key = token_key;
        let flow = &mut world.sign_out_flow();
        let (request, options) = request(&world, flow);
        let body = String::from_utf8(request.body().as_bytes().to_vec()).unwrap();
        assert!(body.ends_with(key), "{body}");
        assert_eq!(options.deadline, world.now + s(30));
    }
}

fn request(
    world: &World,
    flow: &mut loginradius_proto::session::SessionFlow,
) -> (loginradius_proto::http::Request<loginradius_proto::Body>, loginradius_proto::SendOptions) {
    use loginradius_proto::session::{SessionInput, SessionStep};
    for _ in 0..4 {
        let input = match flow.step(world.now, world.clock) {
            SessionStep::Lock => SessionInput::Locked(Ok(true)),
            SessionStep::Load => SessionInput::Loaded(LoadOutcome::from_json(&world.record().to_string())),
            SessionStep::Save { .. } => SessionInput::Saved(SaveOutcome::Saved),
            SessionStep::Send { request, options } => return (request, options),
            step => panic!("{step:?}"),
        };
        flow.receive(input, world.now, world.clock);
    }
    panic!("nothing is sent");
}

// What the server says

#[test]
fn a_token_that_is_already_gone_is_gone() {
    for (status, body) in GONE {
        let mut world = World::signed_in(600);
        world.revokes(*status, body);
        let end = world.sign_out();
        assert_eq!(world.log(), "lock, load, mark r1, revoke r1, clear, unlock", "{body}");
        end.nothing();
        assert_eq!(end.events(), "signed out");
        assert_eq!(world.stored, Stored::Nothing);
    }
}

#[test]
fn a_failure_is_tried_again() {
    for (status, body) in FAILURES {
        let mut world = World::signed_in(600);
        world.revokes(*status, body);
        world.on("revoke", |_| answered(Err(Error::lost("reset"))));
        world.on("revoke", |_| answered(Err(Error::not_sent("refused"))));
        world.revokes(200, "");
        let end = world.sign_out();
        let attempts = "revoke r1, wait, revoke r1, wait, revoke r1, wait, revoke r1";
        assert_eq!(world.log(), format!("lock, load, mark r1, {attempts}, clear, unlock"), "{status} {body}");
        end.nothing();
        assert_eq!(end.events(), "retried, retried, retried, signed out");
        for (wait, longest) in world.waits.iter().zip([ms(500), s(1), s(2)]) {
            assert!(*wait >= longest * 3 / 4 && *wait <= longest, "{wait:?}");
        }
    }
}

#[test]
fn failures_without_end_leave_the_mark_and_the_next_one_goes_on() {
    let mut world = World::signed_in(600);
    (0..4).for_each(|_| world.revokes(503, PAGE));
    let end = world.sign_out();
    let attempts = "revoke r1, wait, revoke r1, wait, revoke r1, wait, revoke r1";
    assert_eq!(world.log(), format!("lock, load, mark r1, {attempts}, unlock"));
    assert_eq!(end.kind(), ErrorKind::TryLater);
    assert!(end.error().to_string().contains("sign out again"), "{}", end.error());
    assert!(end.error().retry_after().is_some());
    assert_eq!(end.events(), "retried, retried, retried, retried");
    assert_eq!(world.record()["signing_out"], true);
    // Nobody gets the token any more, here and elsewhere.
    assert_eq!(world.handout(), "refresh");
    assert!(world.memory.tokens(world.now, world.clock).is_none());
    let end = world.token();
    assert_eq!(world.log(), "lock, load, unlock");
    assert_eq!(end.kind(), ErrorKind::SignInAgain);
    assert_eq!(end.events(), "");

    world.revokes(200, "");
    let end = world.sign_out();
    assert_eq!(world.log(), "lock, load, revoke r1, clear, unlock");
    end.nothing();
    assert_eq!(end.events(), "signed out");
}

#[test]
fn the_mark_of_another_process_ends_the_session_here() {
    let mut world = World::signed_in(600);
    world.other(|world| {
        (0..4).for_each(|_| world.revokes(503, PAGE));
        world.sign_out().error();
    });
    world.pass(s(570));
    let end = world.token();
    assert_eq!(end.kind(), ErrorKind::SignInAgain);
    assert_eq!(end.events(), "over");
    assert!(world.memory.tokens(world.now, world.clock).is_none());
}

#[test]
fn no_answer_is_waited_for_until_the_deadline() {
    let mut world = World::signed_in(600);
    world.policy.timeout = s(3);
    world.on("revoke", |_| None);
    world.revokes(200, "");
    world.sign_out().nothing();
    assert_eq!(world.waits[0], s(3));
    assert_eq!(world.sends(), 2);
}

#[test]
fn a_long_wait_that_the_server_asks_for_is_left_to_the_next_one() {
    let mut world = World::signed_in(600);
    let busy = answer_with(429, "", &[("retry-after", "120")]);
    world.on("revoke", move |_| answered(Ok(busy)));
    let end = world.sign_out();
    assert_eq!(world.sends(), 1);
    assert_eq!(end.kind(), ErrorKind::TryLater);
    assert_eq!(end.error().retry_after(), Some(s(120)));
}

#[test]
fn another_refusal_is_told_and_the_mark_stays() {
    for (status, body, kind) in [
        (401, r#"{"error":"invalid_client"}"#, ErrorKind::Settings),
        (400, r#"{"error":"invalid_request","error_description":"client_id is missing"}"#, ErrorKind::Settings),
        (400, r#"{"ErrorCode":4711,"Message":"Something new"}"#, ErrorKind::Refused),
    ] {
        let mut world = World::signed_in(600);
        world.revokes(status, body);
        let end = world.sign_out();
        assert_eq!(world.log(), "lock, load, mark r1, revoke r1, unlock");
        assert_eq!(end.kind(), kind, "{body}");
        assert_eq!(world.record()["signing_out"], true);
    }
}

#[test]
fn settings_of_which_no_request_can_be_made_are_told() {
    let mut world = World::signed_in(600);
    world.app = world.app.clone().service(Service::site("acme.hub.loginradius.com").unwrap());
    let end = world.sign_out();
    assert_eq!(end.kind(), ErrorKind::Settings);
    assert_eq!(world.sends(), 0);
}

// Saves and clearings that do not work

#[test]
fn a_mark_that_cannot_be_saved_revokes_nothing() {
    let mut world = World::signed_in(600);
    world.fails("mark");
    let end = world.sign_out();
    assert_eq!(world.log(), "lock, load, mark r1, unlock");
    assert_eq!(end.kind(), ErrorKind::TryLater);
    assert_eq!(end.events(), "");
    // Nothing happened, then: the token is still good.
    assert_eq!(world.handout(), "good a1");
}

#[test]
fn a_mark_that_may_have_been_saved_is_looked_for() {
    for (stored, log) in [
        (true, "lock, load, mark r1, load, revoke r1, clear, unlock"),
        (false, "lock, load, mark r1, load, mark r1, revoke r1, clear, unlock"),
    ] {
        let mut world = World::signed_in(600);
        world.is_unknown("mark", stored);
        world.revokes(200, "");
        world.sign_out().nothing();
        assert_eq!(world.log(), log);
    }
}

#[test]
fn a_mark_in_conflict_with_a_refresh_revokes_the_newer_token() {
    let mut world = World::expired();
    world.on("mark", |world| {
        world.other(|world| {
            world.answers(200, &pair("a2", "r2"));
            world.token();
        });
        None
    });
    world.revokes(200, "");
    world.sign_out().nothing();
    assert_eq!(world.log(), "lock, load, mark r1, unlock, lock, load, mark r2, revoke r2, clear, unlock");
}

#[test]
fn another_sign_in_in_between_stays() {
    for step in ["mark", "clear"] {
        let mut world = World::expired();
        world.on(step, |world| {
            world.other(|world| world.sign_in(tokens("b1", "q1", Some(s(600)))).nothing());
            None
        });
        world.revokes(200, "");
        let end = world.sign_out();
        end.nothing();
        assert_eq!(end.events(), "signed out", "{step}");
        assert_eq!(world.record()["refresh_token"], "q1", "{step}");
        assert_eq!(world.handout(), "refresh");
        assert_eq!(world.token().token(), "b1", "{step}");
    }
}

#[test]
fn a_clearing_that_fails_leaves_the_mark() {
    let mut world = World::signed_in(600);
    world.revokes(200, "");
    world.fails("clear");
    let end = world.sign_out();
    assert_eq!(end.kind(), ErrorKind::TryLater);
    assert_eq!(world.record()["signing_out"], true);
    assert_eq!(world.token().kind(), ErrorKind::SignInAgain);
    world.revokes(400, REFUSED);
    world.sign_out().nothing();
    assert_eq!(world.log(), "lock, load, revoke r1, clear, unlock");
    assert_eq!(world.stored, Stored::Nothing);
}

#[test]
fn a_clearing_that_may_have_happened_is_looked_for() {
    let mut world = World::signed_in(600);
    world.revokes(200, "");
    world.is_unknown("clear", true);
    let end = world.sign_out();
    assert_eq!(world.log(), "lock, load, mark r1, revoke r1, clear, load, unlock");
    end.nothing();
    assert_eq!(end.events(), "signed out");

    let mut world = World::signed_in(600);
    world.revokes(200, "");
    world.on("clear", |_| saved(SaveOutcome::Unknown(full_disk())));
    world.revokes(400, REFUSED);
    world.sign_out().nothing();
    assert_eq!(world.stored, Stored::Nothing);
}

#[test]
fn clearings_of_which_nothing_is_ever_known_are_given_up() {
    let mut world = World::signed_in(600);
    for _ in 0..50 {
        world.revokes(200, "");
        world.on("clear", |_| saved(SaveOutcome::Unknown(full_disk())));
    }
    assert_eq!(world.sign_out().kind(), ErrorKind::TryLater);
    assert_eq!(world.record()["signing_out"], true);
}

// Over an unsaved pair

#[test]
fn signing_out_over_an_unsaved_pair_revokes_the_newest_token() {
    let mut world = World::unsaved();
    world.revokes(200, "");
    let end = world.sign_out();
    assert_eq!(world.log(), "load, mark r2, revoke r2, clear, unlock");
    end.nothing();
    assert_eq!(end.events(), "signed out");
    assert_eq!(world.stored, Stored::Nothing);
    assert!(!world.memory.keeps_lock() && world.memory.unsaved().is_none());
}

#[test]
fn an_unsaved_pair_is_in_the_store_once_it_is_marked() {
    let mut world = World::unsaved();
    world.policy.retry = Retry::OFF;
    world.revokes(503, PAGE);
    assert_eq!(world.sign_out().kind(), ErrorKind::TryLater);
    assert_eq!(world.record()["refresh_token"], "r2");
    assert!(!world.memory.keeps_lock() && world.memory.unsaved().is_none());
    world.memory = SessionMemory::default();
    world.revokes(200, "");
    world.sign_out().nothing();
    assert_eq!(world.log(), "lock, load, revoke r2, clear, unlock");
}

#[test]
fn a_mark_that_cannot_be_saved_leaves_an_unsaved_pair_as_it_was() {
    let mut world = World::unsaved();
    world.fails("mark");
    let end = world.sign_out();
    assert_eq!(end.kind(), ErrorKind::TryLater);
    assert_eq!(end.events(), "");
    assert!(world.memory.keeps_lock());
    assert_eq!(world.handout(), "good a2");
    world.pass(s(60));
    assert_eq!(world.token().events(), "saved");
}

#[test]
fn signing_out_over_an_unsaved_pair_whose_store_has_a_newer_one_revokes_that() {
    let mut world = World::unsaved();
    world.other(|world| {
        world.answers(200, &pair("x2", "s2"));
        world.token();
    });
    world.revokes(200, "");
    world.sign_out().nothing();
    assert_eq!(world.log(), "load, mark s2, revoke s2, clear, unlock");
}

#[test]
fn signing_out_over_an_unsaved_pair_whose_session_is_gone_is_done() {
    let mut world = World::unsaved();
    world.stored = Stored::Nothing;
    let end = world.sign_out();
    assert_eq!(world.log(), "load, unlock");
    end.nothing();
    assert!(!world.memory.keeps_lock());
}

#[test]
fn signing_out_an_unsaved_sign_in_revokes_it() {
    for before in [World::empty, World::expired] {
        let mut world = before();
        world.fails("pair");
        world.sign_in(tokens("b1", "q1", Some(s(600)))).error();
        world.revokes(200, "");
        let end = world.sign_out();
        assert_eq!(world.log(), "lock, load, mark q1, revoke q1, clear, unlock");
        end.nothing();
        assert_eq!(end.events(), "signed out");
        assert_eq!(world.stored, Stored::Nothing);
    }
}

#[test]
fn an_unsaved_sign_in_without_a_refresh_token_is_signed_out() {
    for before in [World::empty, World::expired] {
        let mut world = before();
        world.fails("pair");
        world.sign_in(tokens("b1", "", Some(s(600)))).error();
        let end = world.sign_out();
        end.nothing();
        assert_eq!(world.sends(), 0, "{}", world.log());
        assert_eq!(world.stored, Stored::Nothing, "{}", world.log());
        assert_eq!(end.events(), "signed out");
    }
}

// Forgetting

#[test]
fn forgetting_clears_without_a_word_to_the_server() {
    let mut world = World::signed_in(600);
    let end = world.forget();
    assert_eq!(world.log(), "lock, load, clear, unlock");
    end.nothing();
    assert_eq!(end.events(), "signed out");
    assert_eq!(world.stored, Stored::Nothing);
    assert_eq!(world.handout(), "refresh");
    assert!(world.memory.tokens(world.now, world.clock).is_none());
}

#[test]
fn forgetting_in_a_process_without_memory_is_told_too() {
    let mut world = World::signed_in(600);
    world.memory = SessionMemory::default();
    assert_eq!(world.forget().events(), "signed out");
}

#[test]
fn forgetting_nothing_is_done() {
    let mut world = World::empty();
    let end = world.forget();
    assert_eq!(world.log(), "lock, load, unlock");
    end.nothing();
    assert_eq!(end.events(), "");
}

#[test]
fn forgetting_takes_marks_and_refusals_away() {
    for body in [r#"{"signing_out":true}"#, r#"{"refused":"invalid_grant"}"#] {
        let mut world = World::signed_in(600);
        let mark: serde_json::Value = serde_json::from_str(body).unwrap();
        world.edit(|record| record.as_object_mut().unwrap().extend(mark.as_object().unwrap().clone()));
        world.forget().nothing();
        assert_eq!(world.stored, Stored::Nothing);
    }
}

#[test]
fn forgetting_drops_an_unsaved_pair_and_its_lock() {
    let mut world = World::unsaved();
    let end = world.forget();
    assert_eq!(world.log(), "load, clear, unlock");
    end.nothing();
    assert_eq!(end.events(), "signed out");
    assert!(!world.memory.keeps_lock() && world.memory.unsaved().is_none());
}

#[test]
fn forgetting_an_unsaved_sign_in_leaves_nothing() {
    let mut world = World::empty();
    world.fails("pair");
    world.sign_in(tokens("b1", "q1", Some(s(600)))).error();
    world.forget().nothing();
    assert!(world.memory.unsaved().is_none());
    assert_eq!(world.token().kind(), ErrorKind::SignInAgain);
}

#[test]
fn a_record_that_cannot_be_cleared_is_an_error() {
    let mut world = World::signed_in(600);
    world.fails("clear");
    let end = world.forget();
    assert_eq!(end.kind(), ErrorKind::TryLater);
    assert_eq!(end.events(), "");
    assert_eq!(world.handout(), "good a1");
    let mut world = World::signed_in(600);
    world.stored = Stored::Damaged;
    world.fails("clear");
    assert_eq!(world.forget().kind(), ErrorKind::TryLater);
}

#[test]
fn forgetting_that_fails_over_an_unsaved_pair_keeps_it() {
    let mut world = World::unsaved();
    world.fails("clear");
    assert_eq!(world.forget().kind(), ErrorKind::TryLater);
    assert!(world.memory.keeps_lock());
    assert_eq!(world.handout(), "good a2");
}

#[test]
fn forgetting_what_changes_is_begun_again() {
    let mut world = World::expired();
    world.on("clear", |world| {
        world.other(|world| {
            world.answers(200, &pair("a2", "r2"));
            world.token();
        });
        None
    });
    world.forget().nothing();
    assert_eq!(world.log(), "lock, load, clear, unlock, lock, load, clear, unlock");
    assert_eq!(world.stored, Stored::Nothing);
}

#[test]
fn forgetting_of_which_nothing_is_known_is_looked_for() {
    for (happened, log) in
        [(true, "lock, load, clear, load, unlock"), (false, "lock, load, clear, load, clear, unlock")]
    {
        let mut world = World::signed_in(600);
        if happened {
            world.is_unknown("clear", true);
        } else {
            world.on("clear", |_| saved(SaveOutcome::Unknown(full_disk())));
        }
        let end = world.forget();
        assert_eq!(world.log(), log);
        end.nothing();
        assert_eq!(end.events(), "signed out");
    }
}
