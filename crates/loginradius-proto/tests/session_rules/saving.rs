//! Saves that fail, are in conflict, or have an unknown outcome.

use std::time::Duration;

use loginradius_proto::session::{LoadError, SaveError, SessionMemory, SessionStep};
use loginradius_proto::{AccessToken, Error, ErrorKind};

use loginradius_testing::*;

/// Lets another process save the same again.
fn changed(scene: &mut Scene) {
    scene.edit(|record| record["generation"] = (record["generation"].as_u64().unwrap() + 10).into());
}

fn rotated_by_another(scene: &mut Scene) {
    scene.other_process(|scene| {
        scene.responds(200, &pair("x2", "s2"));
        assert_eq!(scene.refresh().token(), "x2");
    });
}

// The intent

#[test]
fn an_intent_that_cannot_be_saved_costs_nothing() {
    let mut scene = Scene::expired();
    let before = scene.stored.clone();
    scene.fails("intent");
    let end = scene.refresh();
    assert_eq!(scene.log(), "lock, load, intent 1, unlock");
    assert_eq!(end.kind(), ErrorKind::Unavailable);
    assert_eq!(end.events(), "");
    assert_eq!(scene.stored, before);
    assert!(scene.memory.save_error().is_none());
    // The disk has room again.
    scene.responds(200, &pair("a2", "r2"));
    assert_eq!(scene.refresh().token(), "a2");
    assert_eq!(scene.log(), "lock, load, intent 1, send r1, pair r2, unlock");
}

#[test]
fn an_intent_that_cannot_be_saved_leaves_a_fresh_token() {
    let mut scene = Scene::signed_in(600);
    scene.pass(s(570));
    scene.fails("intent");
    assert_eq!(scene.refresh().token(), "a1");
    assert_eq!(scene.cached(), "fresh a1");
    assert_eq!(scene.lasts("fresh"), s(1));
}

#[test]
fn after_a_conflict_of_the_intent_the_flow_begins_again_at_the_lock() {
    let mut scene = Scene::expired();
    scene.on("intent", |scene| {
        changed(scene);
        None
    });
    scene.responds(200, &pair("a2", "r2"));
    assert_eq!(scene.refresh().token(), "a2");
    assert_eq!(scene.log(), "lock, load, intent 1, unlock, lock, load, intent 1, send r1, pair r2, unlock");
}

#[test]
fn an_intent_of_another_that_looks_like_the_one_in_conflict_is_not_taken_for_it() {
    let mut scene = Scene::expired();
    scene.on("intent", |scene| {
        scene.stored = scene.saving.take();
        saved(Err(SaveError::Conflict))
    });
    scene.responds(200, &pair("a2", "r2"));
    assert_eq!(scene.refresh().token(), "a2");
    assert_eq!(scene.log(), "lock, load, intent 1, unlock, lock, load, intent 2, send r1, pair r2, unlock");
}

#[test]
fn an_intent_in_conflict_with_a_newer_pair_is_dropped() {
    let mut scene = Scene::expired();
    scene.on("intent", |scene| {
        rotated_by_another(scene);
        None
    });
    let end = scene.refresh();
    assert_eq!(scene.log(), "lock, load, intent 1, unlock, lock, load, unlock");
    assert_eq!(end.token(), "x2");
    assert_eq!(end.events(), "adopted");
}

#[test]
fn conflicts_without_end_are_given_up() {
    let mut scene = Scene::expired();
    for _ in 0..50 {
        scene.on("intent", |scene| {
            changed(scene);
            None
        });
    }
    let end = scene.refresh();
    assert_eq!(end.kind(), ErrorKind::Unavailable);
    assert_eq!(scene.sends(), 0);
    assert_eq!(scene.log().matches("lock, load").count(), 6);
}

#[test]
fn an_intent_that_may_have_been_saved_is_looked_for() {
    for (stored, log) in [
        (true, "lock, load, intent 1, load, send r1, pair r2, unlock"),
        (false, "lock, load, intent 1, load, intent 1, send r1, pair r2, unlock"),
    ] {
        let mut scene = Scene::expired();
        scene.outcome_unknown("intent", stored);
        scene.responds(200, &pair("a2", "r2"));
        let end = scene.refresh();
        assert_eq!(scene.log(), log);
        assert_eq!(end.token(), "a2");
        assert_eq!(end.events(), "refreshed");
    }
}

#[test]
fn an_intent_that_may_have_been_saved_and_cannot_be_looked_for_is_not_sent() {
    let mut scene = Scene::expired();
    scene.on("intent", |scene| {
        scene.stored = scene.saving.clone();
        scene.on("load", |_| loaded(unreadable()));
        saved(Err(SaveError::Unknown(full_disk())))
    });
    let end = scene.refresh();
    assert_eq!(scene.log(), "lock, load, intent 1, load, unlock");
    assert_eq!(end.kind(), ErrorKind::Unavailable);
}

#[test]
fn intents_whose_saves_stay_unknown_are_given_up() {
    let mut scene = Scene::expired();
    (0..50).for_each(|_| scene.outcome_unknown("intent", false));
    assert_eq!(scene.refresh().kind(), ErrorKind::Unavailable);
    assert_eq!(scene.sends(), 0);
}

#[test]
fn an_intent_whose_save_took_too_long_is_not_sent() {
    let mut scene = Scene::expired();
    scene.on("intent", |scene| {
        scene.stored = scene.saving.clone();
        scene.pass(HOUR);
        saved(Ok(()))
    });
    scene.on("unlock", |scene| {
        rotated_by_another(scene);
        None
    });
    assert_eq!(scene.refresh().token(), "x2");
    assert_eq!(scene.sends(), 0);
}

#[test]
fn a_sign_out_of_the_next_generation_is_not_taken_for_the_intent() {
    let mut scene = Scene::expired();
    scene.on("intent", |scene| {
        // It was not saved, and another process began to sign out.
        scene.edit(|record| {
            record["generation"] = (record["generation"].as_u64().unwrap() + 1).into();
            record["signing_out"] = true.into();
        });
        saved(Err(SaveError::Unknown(full_disk())))
    });
    scene.lost();
    assert_eq!(scene.refresh().kind(), ErrorKind::SignInRequired);
    assert_eq!(scene.sends(), 0, "{}", scene.log());
}

#[test]
fn an_intent_of_another_process_is_not_taken_for_the_own_one() {
    let mut scene = Scene::expired();
    scene.on("intent", |scene| {
        scene.edit(|record| {
            record["generation"] = (record["generation"].as_u64().unwrap() + 1).into();
            record["intent"] = serde_json::json!({ "at_unix_ms": 1_767_272_399_000_u64, "attempt": 1 });
        });
        saved(Err(SaveError::Unknown(full_disk())))
    });
    scene.responds(200, &pair("a2", "r2"));
    scene.refresh();
    assert_eq!(scene.log(), "lock, load, intent 1, load, intent 2, send r1, pair r2, unlock");
}

// The pair

#[test]
fn a_pair_that_cannot_be_saved_is_returned_and_the_lock_is_retained() {
    let mut scene = Scene::expired();
    scene.responds(200, &pair("a2", "r2"));
    scene.fails("pair");
    let end = scene.refresh();
    assert_eq!(scene.log(), "lock, load, intent 1, send r1, pair r2");
    assert_eq!(end.token(), "a2");
    assert_eq!(end.events(), "unsaved");
    assert!(scene.memory.retains_lock());
    assert_eq!(scene.memory.save_error().expect("an error").kind(), ErrorKind::Unavailable);
    assert_eq!(scene.cached(), "fresh a2");
    assert_eq!(scene.record()["refresh_token"], "r1");
    assert_eq!(scene.record()["intent"]["attempt"], 1);
}

#[test]
fn a_pair_is_saved_later_and_the_lock_released() {
    let mut scene = Scene::unsaved();
    scene.pass(s(1));
    assert_eq!(scene.cached(), "refresh due a2");
    let end = scene.refresh();
    assert_eq!(scene.log(), "load, pair r2, unlock");
    assert_eq!(end.token(), "a2");
    assert_eq!(end.events(), "saved");
    assert!(!scene.memory.retains_lock() && scene.memory.save_error().is_none());
    assert_eq!(scene.record()["refresh_token"], "r2");
    assert!(scene.record()["intent"].is_null());
    scene.memory = SessionMemory::default();
    assert_eq!(scene.refresh().token(), "a2");
}

#[test]
fn the_save_is_tried_again_after_waits_that_double_up_to_a_minute() {
    let mut scene = Scene::empty();
    scene.start(tokens("a1", "r1", Some(s(600)))).ok();
    scene.pass(HOUR);
    scene.responds(200, r#"{"access_token":"a2","refresh_token":"r2","expires_in":86400}"#);
    scene.fails("pair");
    let mut end = scene.refresh();
    let mut events = vec![end.events()];
    for full in [1, 2, 4, 8, 16, 32, 60, 60, 60] {
        let wait = scene.lasts("fresh");
        assert!(wait >= s(full) * 3 / 4 && wait <= s(full) + ms(1), "{wait:?} of {full} s");
        scene.pass(wait);
        scene.fails("pair");
        end = scene.refresh();
        assert_eq!(scene.log(), "load, pair r2");
        assert_eq!(end.token(), "a2");
        events.push(end.events());
    }
    // Once is enough.
    assert_eq!(events.concat(), "unsaved");
    scene.pass(s(60));
    assert_eq!(scene.refresh().events(), "saved");
}

#[test]
fn an_unsaved_token_that_has_expired_is_refreshed_after_it_was_saved() {
    let mut scene = Scene::unsaved();
    scene.pass(HOUR);
    assert_eq!(scene.cached(), "missing");
    scene.responds(200, &pair("a3", "r3"));
    let end = scene.refresh();
    assert_eq!(scene.log(), "load, pair r2, unlock, lock, load, intent 1, send r2, pair r3, unlock");
    assert_eq!(end.token(), "a3");
    assert_eq!(end.events(), "saved, refreshed");
}

#[test]
fn an_unsaved_token_that_has_expired_is_not_refreshed_while_it_cannot_be_saved() {
    let mut scene = Scene::unsaved();
    scene.pass(HOUR);
    scene.fails("pair");
    let end = scene.refresh();
    assert_eq!(scene.log(), "load, pair r2");
    assert_eq!(end.kind(), ErrorKind::Unavailable);
    assert_eq!(end.events(), "");
    assert!(scene.memory.retains_lock());
    assert_eq!(scene.memory.tokens(scene.now).unwrap().refresh_token.unwrap().expose(), "r2");
}

#[test]
fn an_unsaved_token_that_was_rejected_is_refreshed_after_it_was_saved() {
    let mut scene = Scene::unsaved();
    assert!(scene.memory.reject(&AccessToken::new("a2")));
    scene.responds(200, &pair("a3", "r3"));
    let end = scene.refresh();
    assert_eq!(scene.log(), "load, pair r2, unlock, lock, load, intent 1, send r2, pair r3, unlock");
    assert_eq!(end.token(), "a3");
}

#[test]
fn a_second_pair_that_cannot_be_saved_is_retained_like_the_first() {
    let mut scene = Scene::unsaved();
    scene.pass(HOUR);
    scene.responds(200, &pair("a3", "r3"));
    scene.on("pair r3", |_| saved(Err(SaveError::Failed(full_disk()))));
    let end = scene.refresh();
    assert_eq!(scene.log(), "load, pair r2, unlock, lock, load, intent 1, send r2, pair r3");
    assert_eq!(end.token(), "a3");
    assert_eq!(end.events(), "saved, unsaved");
    scene.pass(s(1));
    let end = scene.refresh();
    assert_eq!(scene.log(), "load, pair r3, unlock");
    assert_eq!(end.events(), "saved");
    assert_eq!(scene.record()["refresh_token"], "r3");
}

#[test]
fn another_process_waits_while_a_pair_is_unsaved() {
    let mut scene = Scene::unsaved();
    scene.other_process(|scene| {
        scene.locked_until = Some(scene.now.monotonic + HOUR);
        let end = scene.refresh();
        assert_eq!(end.kind(), ErrorKind::Unavailable);
        assert_eq!(scene.sends(), 0);
    });
}

#[test]
fn a_pair_that_may_have_been_saved_is_looked_for() {
    for (stored, log) in [
        (true, "lock, load, intent 1, send r1, pair r2, load, unlock"),
        (false, "lock, load, intent 1, send r1, pair r2, load, pair r2, unlock"),
    ] {
        let mut scene = Scene::expired();
        scene.responds(200, &pair("a2", "r2"));
        scene.outcome_unknown("pair", stored);
        let end = scene.refresh();
        assert_eq!(scene.log(), log);
        assert_eq!(end.token(), "a2");
        assert_eq!(end.events(), "refreshed");
        assert_eq!(scene.record()["refresh_token"], "r2");
    }
}

#[test]
fn a_pair_that_may_have_been_saved_and_cannot_be_looked_for_is_retained() {
    for stored in [true, false] {
        let mut scene = Scene::expired();
        scene.responds(200, &pair("a2", "r2"));
        scene.on("pair", move |scene| {
            if stored {
                scene.stored = scene.saving.clone();
            }
            scene.on("load", |_| loaded(unreadable()));
            saved(Err(SaveError::Unknown(full_disk())))
        });
        let end = scene.refresh();
        assert_eq!(end.token(), "a2");
        assert_eq!(end.events(), "unsaved");
        assert!(scene.memory.retains_lock());
        scene.pass(s(1));
        let end = scene.refresh();
        assert_eq!(end.token(), "a2");
        assert_eq!(end.events(), "saved");
        assert_eq!(scene.record()["refresh_token"], "r2");
        assert_eq!(scene.sends(), 0);
    }
}

#[test]
fn a_pair_whose_saves_stay_unknown_is_retained() {
    let mut scene = Scene::expired();
    scene.responds(200, &pair("a2", "r2"));
    (0..50).for_each(|_| scene.outcome_unknown("pair", false));
    let end = scene.refresh();
    assert_eq!(end.token(), "a2");
    assert_eq!(end.events(), "unsaved");
    assert!(scene.memory.retains_lock());
}

#[test]
fn a_pair_in_conflict_with_a_newer_one_is_dropped() {
    let mut scene = Scene::expired();
    scene.on("send", |scene| {
        // The lock was lost, and LoginRadius let the token be consumed twice.
        scene.pass(s(1));
        rotated_by_another(scene);
        responded(Ok(response(200, pair("a2", "r2"))))
    });
    let end = scene.refresh();
    assert_eq!(scene.log(), "lock, load, intent 1, send r1, pair r2, load, unlock, lock, load, unlock");
    assert_eq!(end.token(), "x2");
    assert_eq!(end.events(), "adopted");
    assert_eq!(scene.record()["refresh_token"], "s2");
}

#[test]
fn a_pair_in_conflict_with_what_was_consumed_for_it_is_saved() {
    let mut scene = Scene::expired();
    scene.on("send", |scene| {
        // Another process tried and failed: its backoff is in the record.
        changed(scene);
        scene.set_backoff(scene.now.wall, scene.now.wall + s(9), 4);
        responded(Ok(response(200, pair("a2", "r2"))))
    });
    let end = scene.refresh();
    assert_eq!(scene.log(), "lock, load, intent 1, send r1, pair r2, load, pair r2, unlock");
    assert_eq!(end.token(), "a2");
    assert_eq!(end.events(), "refreshed");
    assert!(scene.record()["hold"].is_null());
}

#[test]
fn a_pair_in_conflict_with_a_sign_out_is_saved_for_it() {
    let mut scene = Scene::expired();
    scene.on("send", |scene| {
        changed(scene);
        scene.edit(|record| record["signing_out"] = true.into());
        responded(Ok(response(200, pair("a2", "r2"))))
    });
    let end = scene.refresh();
    assert_eq!(scene.log(), "lock, load, intent 1, send r1, pair r2, load, mark r2, unlock");
    assert_eq!(end.kind(), ErrorKind::SignInRequired);
    assert_eq!(end.events(), "ended");
    // The process that signs out has to revoke the newest token.
    assert_eq!(scene.record()["refresh_token"], "r2");
    assert_eq!(scene.record()["signing_out"], true);
    assert!(scene.memory.tokens(scene.now).is_none());
}

#[test]
fn a_pair_in_conflict_with_another_login_is_dropped() {
    let mut scene = Scene::expired();
    scene.on("send", |scene| {
        scene.other_process(|scene| scene.start(tokens("b1", "q1", Some(s(600)))).ok());
        responded(Ok(response(200, pair("a2", "r2"))))
    });
    let end = scene.refresh();
    assert_eq!(end.token(), "b1");
    assert_eq!(end.events(), "adopted other login");
}

#[test]
fn a_pair_in_conflict_with_nothing_is_dropped() {
    let mut scene = Scene::expired();
    scene.on("send", |scene| {
        scene.stored = None;
        responded(Ok(response(200, pair("a2", "r2"))))
    });
    let end = scene.refresh();
    assert_eq!(scene.log(), "lock, load, intent 1, send r1, pair r2, load, unlock");
    assert_eq!(end.kind(), ErrorKind::SignInRequired);
    assert_eq!(end.events(), "ended");
    assert_eq!(scene.stored, None);
}

#[test]
fn a_pair_in_conflict_without_end_is_retained() {
    let mut scene = Scene::expired();
    scene.responds(200, &pair("a2", "r2"));
    for _ in 0..50 {
        scene.on("pair", |scene| {
            changed(scene);
            saved(Err(SaveError::Conflict))
        });
    }
    let end = scene.refresh();
    assert_eq!(end.token(), "a2");
    assert_eq!(end.events(), "unsaved");
    assert!(scene.memory.save_error().is_some());
}

#[test]
fn a_new_pair_outlives_a_conflict_and_a_taken_lock() {
    let mut scene = Scene::signed_in(600);
    scene.pass(s(570));
    scene.responds(200, &pair("a2", "r2"));
    for _ in 0..2 {
        scene.on("pair", |scene| {
            changed(scene);
            scene.locked_until = Some(scene.now.monotonic + HOUR);
            saved(Err(SaveError::Conflict))
        });
    }
    let end = scene.refresh();
    // What was loaded under the lock and cannot be replaced says that the lock is not held any more.
    assert!(scene.log().starts_with("lock, load, intent 1, send r1, pair r2, load, pair r2, unlock, lock, wait"));
    assert_eq!(scene.memory.tokens(scene.now).unwrap().access_token.expose(), "a2", "{}", scene.log());
    assert_eq!(end.token(), "a2");
    assert_eq!(end.events(), "unsaved");
    scene.locked_until = None;
    scene.pass(s(2));
    assert_eq!(scene.refresh().token(), "a2");
    assert_eq!(scene.log(), "lock, load, pair r2, unlock");
    assert_eq!(scene.record()["refresh_token"], "r2");
}

#[test]
fn a_lock_that_was_released_is_not_retained() {
    let mut scene = Scene::unsaved();
    scene.pass(s(2));
    for _ in 0..2 {
        scene.on("pair", |scene| {
            changed(scene);
            scene.locked_until = Some(scene.now.monotonic + HOUR);
            saved(Err(SaveError::Conflict))
        });
    }
    let end = scene.refresh();
    assert!(scene.log().starts_with("load, pair r2, load, pair r2, unlock, lock, wait"), "{}", scene.log());
    assert_eq!(end.token(), "a2");
    assert!(!scene.memory.retains_lock());
    assert!(scene.memory.save_error().is_some());
}

#[test]
fn a_retained_lock_that_was_lost_is_taken_again() {
    let mut scene = Scene::unsaved();
    scene.memory.set_lock_lost();
    scene.locked = false;
    assert!(!scene.memory.retains_lock() && scene.memory.save_error().is_some());
    scene.pass(s(1));
    let end = scene.refresh();
    assert_eq!(scene.log(), "lock, load, pair r2, unlock");
    assert_eq!(end.token(), "a2");
    assert_eq!(end.events(), "saved");
}

#[test]
fn a_lock_that_is_not_retained_cannot_be_lost() {
    let mut scene = Scene::signed_in(600);
    let before = format!("{:?}", scene.memory);
    scene.memory.set_lock_lost();
    assert_eq!(format!("{:?}", scene.memory), before);
}

// A retained pair, and what other processes did

#[test]
fn a_retained_pair_gives_way_to_a_newer_one() {
    let mut scene = Scene::unsaved();
    // The lock was lost, and LoginRadius let the token be consumed twice.
    rotated_by_another(&mut scene);
    scene.pass(s(1));
    let end = scene.refresh();
    assert_eq!(scene.log(), "load, unlock, lock, load, unlock");
    assert_eq!(end.token(), "x2");
    assert_eq!(end.events(), "adopted");
    assert!(scene.memory.save_error().is_none());
}

#[test]
fn a_retained_pair_is_dropped_when_the_session_is_missing() {
    let mut scene = Scene::unsaved();
    scene.stored = None;
    scene.pass(s(1));
    let end = scene.refresh();
    assert_eq!(end.kind(), ErrorKind::SignInRequired);
    assert_eq!(end.events(), "ended");
    assert!(!scene.memory.retains_lock() && scene.memory.save_error().is_none());
    assert_eq!(scene.stored, None);
}

#[test]
fn a_retained_pair_that_was_saved_after_all_is_found() {
    let mut scene = Scene::expired();
    scene.responds(200, &pair("a2", "r2"));
    scene.on("pair", |scene| {
        scene.stored = scene.saving.clone();
        scene.on("load", |_| loaded(unreadable()));
        saved(Err(SaveError::Unknown(full_disk())))
    });
    scene.refresh();
    scene.pass(s(1));
    let end = scene.refresh();
    assert_eq!(scene.log(), "load, unlock");
    assert_eq!(end.events(), "saved");
}

#[test]
fn a_retained_pair_counts_from_when_it_was_requested() {
    let mut scene = Scene::expired();
    scene.policy.early = Duration::ZERO;
    scene.on("send", |scene| {
        scene.pass(s(10));
        responded(Ok(response(200, pair("a2", "r2"))))
    });
    scene.fails("pair");
    scene.refresh();
    scene.pass(s(90));
    scene.refresh();
    assert_eq!(scene.lasts("fresh"), s(500));
}

#[test]
fn the_refresh_token_of_a_faulty_response_is_retained_if_it_cannot_be_saved() {
    let mut scene = Scene::expired();
    scene.responds(200, r#"{"refresh_token":"r2"}"#);
    scene.fails("pair");
    let end = scene.refresh();
    assert_eq!(end.kind(), ErrorKind::Unavailable);
    assert_eq!(end.events(), "unsaved");
    assert!(scene.memory.retains_lock());
    scene.pass(s(2));
    scene.responds(200, &pair("a3", "r3"));
    let end = scene.refresh();
    assert_eq!(scene.log(), "load, pair r2, unlock, lock, load, intent 1, send r2, pair r3, unlock");
    assert_eq!(end.token(), "a3");
}

// Errors of stores

#[test]
fn no_error_of_a_store_ends_the_session() {
    let strange = |kind: u8| match kind {
        0 => loginradius_proto::Endpoint::response(
            &loginradius_proto::oauth::RefreshAccessToken::new("r"),
            &Scene::empty().app,
            response(400, REJECTED),
        )
        .unwrap_err(),
        1 => Error::outcome_unknown("EIO"),
        2 => Error::not_sent("ENOSPC"),
        _ => loginradius_proto::Endpoint::response(
            &loginradius_proto::oauth::RefreshAccessToken::new("r"),
            &Scene::empty().app,
            response(400, r#"{"error":"access_denied"}"#),
        )
        .unwrap_err(),
    };
    for kind in 0..4 {
        for step in ["lock", "load", "load damaged", "intent", "intent unknown"] {
            let mut scene = Scene::expired();
            match step {
                "lock" => scene.on("lock", move |_| locked(Err(strange(kind)))),
                "load" => scene.on("load", move |_| loaded(Err(LoadError::Failed(strange(kind))))),
                "load damaged" => {
                    scene.on("load", move |_| loaded(Err(LoadError::Damaged { generation: 7, error: strange(kind) })))
                }
                "intent" => scene.on("intent", move |_| saved(Err(SaveError::Failed(strange(kind))))),
                _ => {
                    for _ in 0..50 {
                        scene.on("intent", move |_| saved(Err(SaveError::Unknown(strange(kind)))));
                    }
                }
            }
            let end = scene.refresh();
            assert_eq!(end.kind(), ErrorKind::Unavailable, "{step} {kind}");
            assert_eq!(end.events(), "", "{step}");
            // The store's error is the source.
            assert!(std::error::Error::source(end.error()).is_some());
            assert!(scene.memory.tokens(scene.now).is_some(), "{step}");
        }
    }
}

#[test]
fn an_error_that_the_user_or_the_program_can_act_on_keeps_its_kind() {
    let errors = [
        Error::configuration("the client id is another one: set it"),
        Error::misuse("there is no runtime: start one"),
        Error::record_damaged("the seal is broken: restore the record"),
        Error::store_refused("the folder cannot be written: change its mode"),
        Error::unavailable("the disk is full: make room", "ENOSPC"),
    ];
    for error in errors {
        for step in ["lock", "load", "load damaged", "intent", "clear"] {
            let mut scene = Scene::expired();
            let of_store = error.clone();
            let end = match step {
                "lock" => {
                    scene.on(step, move |_| locked(Err(of_store)));
                    scene.refresh()
                }
                "load" => {
                    scene.on(step, move |_| loaded(Err(LoadError::Failed(of_store))));
                    scene.refresh()
                }
                "load damaged" => {
                    scene.on("load", move |_| loaded(Err(LoadError::Damaged { generation: 7, error: of_store })));
                    scene.refresh()
                }
                "intent" => {
                    scene.on(step, move |_| saved(Err(SaveError::Failed(of_store))));
                    scene.refresh()
                }
                _ => {
                    scene.on(step, move |_| saved(Err(SaveError::Failed(of_store))));
                    scene.forget()
                }
            };
            assert_eq!((end.kind(), end.error().to_string()), (error.kind(), error.to_string()), "{step}");
            assert!(scene.memory.is_signed_in(), "{step}");
        }
    }
}

#[test]
fn a_pair_whose_save_was_unknown_counts_from_when_it_was_requested() {
    for retained in [false, true] {
        let mut scene = Scene::expired();
        scene.policy.early = Duration::ZERO;
        scene.responds(200, &pair("a2", "r2"));
        scene.on("pair", move |scene| {
            scene.stored = scene.saving.clone();
            // Another process has saved it again, and the clock is corrected.
            changed(scene);
            scene.pass(s(10));
            scene.now.wall -= s(4);
            if retained {
                scene.on("load", |_| loaded(unreadable()));
            }
            saved(Err(SaveError::Unknown(full_disk())))
        });
        assert_eq!(scene.refresh().token(), "a2");
        if retained {
            scene.pass(s(1));
            scene.refresh();
        }
        assert_eq!(scene.lasts("fresh"), s(590) - if retained { s(1) } else { s(0) });
    }
}

#[test]
fn a_flow_that_is_aborted_keeps_a_pair_that_is_not_stored_yet() {
    for holds_lock in [true, false] {
        let mut scene = Scene::expired();
        scene.responds(200, &pair("a2", "r2"));
        let mut flow = scene.refresh_flow();
        while flow.state() != "Saving" || scene.sends() == 0 {
            let step = flow.step(scene.now);
            if let Some(input) = scene.perform(step) {
                flow.receive(input, scene.now);
            }
        }
        let end = flow.abort(holds_lock, scene.now);
        assert_eq!(end.result.as_ref().unwrap_err().kind(), ErrorKind::Unavailable);
        assert_eq!(end.memory.retains_lock(), holds_lock);
        scene.locked = holds_lock;
        let _ = scene.end(end);
        assert_eq!(scene.cached(), "fresh a2");
        scene.pass(s(60));
        assert_eq!(scene.refresh().token(), "a2");
        // The next flow only saves it.
        assert_eq!((scene.sends(), scene.record()["refresh_token"].as_str()), (0, Some("r2")));
        let SessionStep::Done(again) = flow.step(scene.now) else { panic!("it continues after its end") };
        assert_eq!(again.result.unwrap_err().kind(), ErrorKind::AlreadyCompleted);
    }
}

#[test]
fn a_flow_that_is_aborted_before_its_request_leaves_the_memory_as_it_was() {
    let mut scene = Scene::signed_in(600);
    let mut flow = scene.refresh_flow();
    let _ = flow.step(scene.now);
    let end = flow.abort(false, scene.now);
    scene.locked = false;
    let _ = scene.end(end);
    assert_eq!(scene.cached(), "fresh a1");
    // After another job the store may hold anything.
    let mut flow = scene.sign_out_flow();
    let _ = flow.step(scene.now);
    let end = flow.abort(false, scene.now);
    let _ = scene.end(end);
    assert_eq!(scene.cached(), "missing");
    assert_eq!(scene.refresh().token(), "a1");
}

#[test]
fn an_unsaved_pair_stays_unsaved_beside_a_record_that_is_damaged_or_anothers() {
    for spoil in [
        |scene: &mut Scene| scene.stored = damaged(),
        |scene: &mut Scene| {
            changed(scene);
            scene.edit(|record| record["client_id"] = "another-client".into());
        },
    ] {
        let mut scene = Scene::unsaved();
        spoil(&mut scene);
        let before = scene.stored.clone();
        scene.pass(s(2));
        assert_eq!(scene.refresh().token(), "a2");
        assert!(scene.memory.save_error().is_some() && scene.memory.retains_lock());
        assert_eq!((scene.sends(), &scene.stored), (0, &before), "{}", scene.log());
    }
}
