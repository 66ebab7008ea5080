//! Saves that do not work.

use std::time::Duration;

use loginradius_proto::session::{LoadOutcome, SaveOutcome, SessionMemory};
use loginradius_proto::{AccessToken, Error, ErrorKind};

use crate::world::*;

/// Somebody else saved the same again.
fn changed(world: &mut World) {
    world.edit(|record| record["generation"] = (record["generation"].as_u64().unwrap() + 10).into());
}

fn rotated_by_another(world: &mut World) {
    world.other(|world| {
        world.answers(200, &pair("x2", "s2"));
        assert_eq!(world.token().token(), "x2");
    });
}

fn unreadable() -> LoadOutcome {
    LoadOutcome::Failed(Error::try_later("the session's file cannot be read", "EIO"))
}

// The intent

#[test]
fn an_intent_that_cannot_be_saved_costs_nothing() {
    let mut world = World::expired();
    let before = world.stored.clone();
    world.fails("intent");
    let end = world.token();
    assert_eq!(world.log(), "lock, load, intent 1, unlock");
    assert_eq!(end.kind(), ErrorKind::TryLater);
    assert_eq!(end.events(), "");
    assert_eq!(world.stored, before);
    assert!(world.memory.unsaved().is_none());
    // The disk has room again.
    world.answers(200, &pair("a2", "r2"));
    assert_eq!(world.token().token(), "a2");
    assert_eq!(world.log(), "lock, load, intent 1, send r1, pair r2, unlock");
}

#[test]
fn an_intent_that_cannot_be_saved_leaves_a_token_that_lives() {
    let mut world = World::signed_in(600);
    world.pass(s(570));
    world.fails("intent");
    assert_eq!(world.token().token(), "a1");
    assert_eq!(world.handout(), "good a1");
    assert_eq!(world.lasts("good"), s(1));
}

#[test]
fn an_intent_in_conflict_is_begun_again_at_the_lock() {
    let mut world = World::expired();
    world.on("intent", |world| {
        changed(world);
        None
    });
    world.answers(200, &pair("a2", "r2"));
    assert_eq!(world.token().token(), "a2");
    assert_eq!(world.log(), "lock, load, intent 1, unlock, lock, load, intent 1, send r1, pair r2, unlock");
}

#[test]
fn an_intent_in_conflict_with_a_newer_pair_is_none() {
    let mut world = World::expired();
    world.on("intent", |world| {
        rotated_by_another(world);
        None
    });
    let end = world.token();
    assert_eq!(world.log(), "lock, load, intent 1, unlock, lock, load, unlock");
    assert_eq!(end.token(), "x2");
    assert_eq!(end.events(), "adopted");
}

#[test]
fn conflicts_without_end_have_one() {
    let mut world = World::expired();
    for _ in 0..50 {
        world.on("intent", |world| {
            changed(world);
            None
        });
    }
    let end = world.token();
    assert_eq!(end.kind(), ErrorKind::TryLater);
    assert_eq!(world.sends(), 0);
    assert_eq!(world.log().matches("lock, load").count(), 6);
}

#[test]
fn an_intent_that_may_have_been_saved_is_looked_for() {
    for (stored, log) in [
        (true, "lock, load, intent 1, load, send r1, pair r2, unlock"),
        (false, "lock, load, intent 1, load, intent 1, send r1, pair r2, unlock"),
    ] {
        let mut world = World::expired();
        world.is_unknown("intent", stored);
        world.answers(200, &pair("a2", "r2"));
        let end = world.token();
        assert_eq!(world.log(), log);
        assert_eq!(end.token(), "a2");
        assert_eq!(end.events(), "rotated");
    }
}

#[test]
fn an_intent_that_may_have_been_saved_and_cannot_be_looked_for_is_not_sent() {
    let mut world = World::expired();
    world.on("intent", |world| {
        world.stored = Stored::Record(world.saving.clone().unwrap().to_json());
        world.on("load", |_| loaded(unreadable()));
        saved(SaveOutcome::Unknown(full_disk()))
    });
    let end = world.token();
    assert_eq!(world.log(), "lock, load, intent 1, load, unlock");
    assert_eq!(end.kind(), ErrorKind::TryLater);
}

#[test]
fn intents_of_which_nothing_is_ever_known_are_given_up() {
    let mut world = World::expired();
    (0..50).for_each(|_| world.is_unknown("intent", false));
    assert_eq!(world.token().kind(), ErrorKind::TryLater);
    assert_eq!(world.sends(), 0);
}

#[test]
fn an_intent_that_was_looked_for_for_too_long_is_not_sent() {
    let mut world = World::expired();
    world.on("intent", |world| {
        world.stored = Stored::Record(world.saving.clone().unwrap().to_json());
        world.pass(HOUR);
        saved(SaveOutcome::Saved)
    });
    world.on("unlock", |world| {
        rotated_by_another(world);
        None
    });
    assert_eq!(world.token().token(), "x2");
    assert_eq!(world.sends(), 0);
}

#[test]
fn a_mark_of_the_next_generation_is_not_taken_for_ones_own_intent() {
    let mut world = World::expired();
    world.on("intent", |world| {
        // It was not saved, and another process began to sign out.
        world.edit(|record| {
            record["generation"] = (record["generation"].as_u64().unwrap() + 1).into();
            record["signing_out"] = true.into();
        });
        saved(SaveOutcome::Unknown(full_disk()))
    });
    world.lost();
    assert_eq!(world.token().kind(), ErrorKind::SignInAgain);
    assert_eq!(world.sends(), 0, "{}", world.log());
}

#[test]
fn the_intent_of_another_is_not_taken_for_ones_own() {
    let mut world = World::expired();
    world.on("intent", |world| {
        world.edit(|record| {
            record["generation"] = (record["generation"].as_u64().unwrap() + 1).into();
            record["intent"] = serde_json::json!({ "at_unix_ms": 1_767_272_399_000_u64, "attempt": 1 });
        });
        saved(SaveOutcome::Unknown(full_disk()))
    });
    world.answers(200, &pair("a2", "r2"));
    world.token();
    assert_eq!(world.log(), "lock, load, intent 1, load, intent 2, send r1, pair r2, unlock");
}

// The pair

#[test]
fn a_pair_that_cannot_be_saved_is_handed_out_and_the_lock_is_kept() {
    let mut world = World::expired();
    world.answers(200, &pair("a2", "r2"));
    world.fails("pair");
    let end = world.token();
    assert_eq!(world.log(), "lock, load, intent 1, send r1, pair r2");
    assert_eq!(end.token(), "a2");
    assert_eq!(end.events(), "unsaved");
    assert!(world.memory.keeps_lock());
    assert_eq!(world.memory.unsaved().expect("an error").kind(), ErrorKind::TryLater);
    assert_eq!(world.handout(), "good a2");
    assert_eq!(world.record()["refresh_token"], "r1");
    assert_eq!(world.record()["intent"]["attempt"], 1);
}

#[test]
fn a_pair_is_saved_later_and_the_lock_given_back() {
    let mut world = World::unsaved();
    world.pass(s(1));
    assert_eq!(world.handout(), "early a2");
    let end = world.token();
    assert_eq!(world.log(), "pair r2, unlock");
    assert_eq!(end.token(), "a2");
    assert_eq!(end.events(), "saved");
    assert!(!world.memory.keeps_lock() && world.memory.unsaved().is_none());
    assert_eq!(world.record()["refresh_token"], "r2");
    assert!(world.record()["intent"].is_null());
    world.memory = SessionMemory::default();
    assert_eq!(world.token().token(), "a2");
}

#[test]
fn the_save_is_tried_again_after_waits_that_double_up_to_a_minute() {
    let mut world = World::empty();
    world.sign_in(tokens("a1", "r1", Some(s(600)))).nothing();
    world.pass(HOUR);
    world.answers(200, r#"{"access_token":"a2","refresh_token":"r2","expires_in":86400}"#);
    world.fails("pair");
    let mut end = world.token();
    let mut events = vec![end.events()];
    for longest in [1, 2, 4, 8, 16, 32, 60, 60, 60] {
        let wait = world.lasts("good");
        assert!(wait >= s(longest) * 3 / 4 && wait <= s(longest) + ms(1), "{wait:?}, not up to {longest} s");
        world.pass(wait);
        world.fails("pair");
        end = world.token();
        assert_eq!(world.log(), "pair r2");
        assert_eq!(end.token(), "a2");
        events.push(end.events());
    }
    // Once is enough.
    assert_eq!(events.concat(), "unsaved");
    world.pass(s(60));
    assert_eq!(world.token().events(), "saved");
}

#[test]
fn an_unsaved_token_that_is_over_is_refreshed_after_it_was_saved() {
    let mut world = World::unsaved();
    world.pass(HOUR);
    assert_eq!(world.handout(), "refresh");
    world.answers(200, &pair("a3", "r3"));
    let end = world.token();
    assert_eq!(world.log(), "pair r2, unlock, lock, load, intent 1, send r2, pair r3, unlock");
    assert_eq!(end.token(), "a3");
    assert_eq!(end.events(), "saved, rotated");
}

#[test]
fn an_unsaved_token_that_is_over_is_not_refreshed_while_it_cannot_be_saved() {
    let mut world = World::unsaved();
    world.pass(HOUR);
    world.fails("pair");
    let end = world.token();
    assert_eq!(world.log(), "pair r2");
    assert_eq!(end.kind(), ErrorKind::TryLater);
    assert_eq!(end.events(), "");
    assert!(world.memory.keeps_lock());
    assert_eq!(world.memory.tokens(world.now, world.clock).unwrap().refresh_token.unwrap().expose(), "r2");
}

#[test]
fn an_unsaved_token_that_was_reported_is_refreshed_after_it_was_saved() {
    let mut world = World::unsaved();
    assert!(world.memory.report(&AccessToken::new("a2")));
    world.answers(200, &pair("a3", "r3"));
    let end = world.token();
    assert_eq!(world.log(), "pair r2, unlock, lock, load, intent 1, send r2, pair r3, unlock");
    assert_eq!(end.token(), "a3");
}

#[test]
fn a_second_pair_that_cannot_be_saved_is_kept_like_the_first() {
    let mut world = World::unsaved();
    world.pass(HOUR);
    world.answers(200, &pair("a3", "r3"));
    world.on("pair r3", |_| saved(SaveOutcome::Failed(full_disk())));
    let end = world.token();
    assert_eq!(world.log(), "pair r2, unlock, lock, load, intent 1, send r2, pair r3");
    assert_eq!(end.token(), "a3");
    assert_eq!(end.events(), "saved, unsaved");
    world.pass(s(1));
    let end = world.token();
    assert_eq!(world.log(), "pair r3, unlock");
    assert_eq!(end.events(), "saved");
    assert_eq!(world.record()["refresh_token"], "r3");
}

#[test]
fn another_process_waits_while_a_pair_is_unsaved() {
    let mut world = World::unsaved();
    world.other(|world| {
        world.busy_until = Some(world.now + HOUR);
        let end = world.token();
        assert_eq!(end.kind(), ErrorKind::TryLater);
        assert_eq!(world.sends(), 0);
    });
}

#[test]
fn a_pair_that_may_have_been_saved_is_looked_for() {
    for (stored, log) in [
        (true, "lock, load, intent 1, send r1, pair r2, load, unlock"),
        (false, "lock, load, intent 1, send r1, pair r2, load, pair r2, unlock"),
    ] {
        let mut world = World::expired();
        world.answers(200, &pair("a2", "r2"));
        world.is_unknown("pair", stored);
        let end = world.token();
        assert_eq!(world.log(), log);
        assert_eq!(end.token(), "a2");
        assert_eq!(end.events(), "rotated");
        assert_eq!(world.record()["refresh_token"], "r2");
    }
}

#[test]
fn a_pair_that_may_have_been_saved_and_cannot_be_looked_for_is_kept() {
    for stored in [true, false] {
        let mut world = World::expired();
        world.answers(200, &pair("a2", "r2"));
        world.on("pair", move |world| {
            if stored {
                world.stored = Stored::Record(world.saving.clone().unwrap().to_json());
            }
            world.on("load", |_| loaded(unreadable()));
            saved(SaveOutcome::Unknown(full_disk()))
        });
        let end = world.token();
        assert_eq!(end.token(), "a2");
        assert_eq!(end.events(), "unsaved");
        assert!(world.memory.keeps_lock());
        world.pass(s(1));
        let end = world.token();
        assert_eq!(end.token(), "a2");
        assert_eq!(end.events(), "saved");
        assert_eq!(world.record()["refresh_token"], "r2");
        assert_eq!(world.sends(), 0);
    }
}

#[test]
fn a_pair_of_which_nothing_is_ever_known_is_kept() {
    let mut world = World::expired();
    world.answers(200, &pair("a2", "r2"));
    (0..50).for_each(|_| world.is_unknown("pair", false));
    let end = world.token();
    assert_eq!(end.token(), "a2");
    assert_eq!(end.events(), "unsaved");
    assert!(world.memory.keeps_lock());
}

#[test]
fn a_pair_in_conflict_with_a_newer_one_is_dropped() {
    let mut world = World::expired();
    world.on("send", |world| {
        // The lock was lost, and LoginRadius let the token be spent twice.
        world.pass(s(1));
        rotated_by_another(world);
        answered(Ok(answer(200, &pair("a2", "r2"))))
    });
    let end = world.token();
    assert_eq!(world.log(), "lock, load, intent 1, send r1, pair r2, load, unlock, lock, load, unlock");
    assert_eq!(end.token(), "x2");
    assert_eq!(end.events(), "adopted");
    assert_eq!(world.record()["refresh_token"], "s2");
}

#[test]
fn a_pair_in_conflict_with_what_was_spent_for_it_is_saved() {
    let mut world = World::expired();
    world.on("send", |world| {
        // Another process tried and failed: its hold is in the record.
        changed(world);
        world.hold(world.clock, world.clock + s(9), 4);
        answered(Ok(answer(200, &pair("a2", "r2"))))
    });
    let end = world.token();
    assert_eq!(world.log(), "lock, load, intent 1, send r1, pair r2, load, pair r2, unlock");
    assert_eq!(end.token(), "a2");
    assert_eq!(end.events(), "rotated");
    assert!(world.record()["hold"].is_null());
}

#[test]
fn a_pair_in_conflict_with_a_sign_out_is_saved_for_it() {
    let mut world = World::expired();
    world.on("send", |world| {
        changed(world);
        world.edit(|record| record["signing_out"] = true.into());
        answered(Ok(answer(200, &pair("a2", "r2"))))
    });
    let end = world.token();
    assert_eq!(world.log(), "lock, load, intent 1, send r1, pair r2, load, mark r2, unlock");
    assert_eq!(end.kind(), ErrorKind::SignInAgain);
    assert_eq!(end.events(), "over");
    // Whoever signs out has to revoke the newest token.
    assert_eq!(world.record()["refresh_token"], "r2");
    assert_eq!(world.record()["signing_out"], true);
    assert!(world.memory.tokens(world.now, world.clock).is_none());
}

#[test]
fn a_pair_in_conflict_with_another_sign_in_is_dropped() {
    let mut world = World::expired();
    world.on("send", |world| {
        world.other(|world| world.sign_in(tokens("b1", "q1", Some(s(600)))).nothing());
        answered(Ok(answer(200, &pair("a2", "r2"))))
    });
    let end = world.token();
    assert_eq!(end.token(), "b1");
    assert_eq!(end.events(), "adopted another's");
}

#[test]
fn a_pair_in_conflict_with_nothing_is_dropped() {
    let mut world = World::expired();
    world.on("send", |world| {
        world.stored = Stored::Nothing;
        answered(Ok(answer(200, &pair("a2", "r2"))))
    });
    let end = world.token();
    assert_eq!(world.log(), "lock, load, intent 1, send r1, pair r2, load, unlock");
    assert_eq!(end.kind(), ErrorKind::SignInAgain);
    assert_eq!(end.events(), "over");
    assert_eq!(world.stored, Stored::Nothing);
}

#[test]
fn a_pair_in_conflict_without_end_is_kept() {
    let mut world = World::expired();
    world.answers(200, &pair("a2", "r2"));
    for _ in 0..50 {
        world.on("pair", |world| {
            changed(world);
            saved(SaveOutcome::Conflict)
        });
    }
    let end = world.token();
    assert_eq!(end.token(), "a2");
    assert_eq!(end.events(), "unsaved");
    assert!(world.memory.unsaved().is_some());
}

#[test]
fn a_new_pair_outlives_a_conflict_and_a_busy_lock() {
    let mut world = World::signed_in(600);
    world.pass(s(570));
    world.answers(200, &pair("a2", "r2"));
    for _ in 0..2 {
        world.on("pair", |world| {
            changed(world);
            world.busy_until = Some(world.now + HOUR);
            saved(SaveOutcome::Conflict)
        });
    }
    let end = world.token();
    // What was loaded under the lock and cannot be replaced says that the lock is not held any more.
    assert!(world.log().starts_with("lock, load, intent 1, send r1, pair r2, load, pair r2, unlock, lock, wait"));
    assert_eq!(world.memory.tokens(world.now, world.clock).unwrap().access_token.expose(), "a2", "{}", world.log());
    assert_eq!(end.token(), "a2");
    assert_eq!(end.events(), "unsaved");
    world.busy_until = None;
    world.pass(s(2));
    assert_eq!(world.token().token(), "a2");
    assert_eq!(world.log(), "lock, load, pair r2, unlock");
    assert_eq!(world.record()["refresh_token"], "r2");
}

#[test]
fn a_lock_that_was_given_back_is_not_said_to_be_kept() {
    let mut world = World::unsaved();
    world.pass(s(2));
    for _ in 0..2 {
        world.on("pair", |world| {
            changed(world);
            world.busy_until = Some(world.now + HOUR);
            saved(SaveOutcome::Conflict)
        });
    }
    let end = world.token();
    assert!(world.log().starts_with("pair r2, load, pair r2, unlock, lock, wait"), "{}", world.log());
    assert_eq!(end.token(), "a2");
    assert!(!world.memory.keeps_lock());
    assert!(world.memory.unsaved().is_some());
}

#[test]
fn a_kept_lock_that_was_lost_is_taken_again() {
    let mut world = World::unsaved();
    world.memory.lost_lock();
    world.locked = false;
    assert!(!world.memory.keeps_lock() && world.memory.unsaved().is_some());
    world.pass(s(1));
    let end = world.token();
    assert_eq!(world.log(), "lock, load, pair r2, unlock");
    assert_eq!(end.token(), "a2");
    assert_eq!(end.events(), "saved");
}

#[test]
fn a_lock_that_nobody_keeps_cannot_be_lost() {
    let mut world = World::signed_in(600);
    let before = format!("{:?}", world.memory);
    world.memory.lost_lock();
    assert_eq!(format!("{:?}", world.memory), before);
}

// A kept pair, and what others did meanwhile

#[test]
fn a_kept_pair_gives_way_to_a_newer_one() {
    let mut world = World::unsaved();
    // The lock was lost, and LoginRadius let the token be spent twice.
    rotated_by_another(&mut world);
    world.pass(s(1));
    let end = world.token();
    assert_eq!(world.log(), "pair r2, load, unlock, lock, load, unlock");
    assert_eq!(end.token(), "x2");
    assert_eq!(end.events(), "adopted");
    assert!(world.memory.unsaved().is_none());
}

#[test]
fn a_kept_pair_is_dropped_when_the_session_is_gone() {
    let mut world = World::unsaved();
    world.stored = Stored::Nothing;
    world.pass(s(1));
    let end = world.token();
    assert_eq!(end.kind(), ErrorKind::SignInAgain);
    assert_eq!(end.events(), "over");
    assert!(!world.memory.keeps_lock() && world.memory.unsaved().is_none());
    assert_eq!(world.stored, Stored::Nothing);
}

#[test]
fn a_kept_pair_that_was_saved_after_all_is_found() {
    let mut world = World::expired();
    world.answers(200, &pair("a2", "r2"));
    world.on("pair", |world| {
        world.stored = Stored::Record(world.saving.clone().unwrap().to_json());
        world.on("load", |_| loaded(unreadable()));
        saved(SaveOutcome::Unknown(full_disk()))
    });
    world.token();
    world.pass(s(1));
    let end = world.token();
    assert_eq!(world.log(), "pair r2, load, unlock");
    assert_eq!(end.events(), "saved");
}

#[test]
fn a_kept_pair_counts_from_when_it_was_asked_for() {
    let mut world = World::expired();
    world.policy.early = Duration::ZERO;
    world.on("send", |world| {
        world.pass(s(10));
        answered(Ok(answer(200, &pair("a2", "r2"))))
    });
    world.fails("pair");
    world.token();
    world.pass(s(90));
    world.token();
    assert_eq!(world.lasts("good"), s(500));
}

#[test]
fn a_fault_of_an_answer_whose_refresh_token_cannot_be_saved_keeps_the_refresh_token() {
    let mut world = World::expired();
    world.answers(200, r#"{"refresh_token":"r2"}"#);
    world.fails("pair");
    let end = world.token();
    assert_eq!(end.kind(), ErrorKind::TryLater);
    assert_eq!(end.events(), "unsaved");
    assert!(world.memory.keeps_lock());
    world.pass(s(2));
    world.answers(200, &pair("a3", "r3"));
    let end = world.token();
    assert_eq!(world.log(), "pair r2, unlock, lock, load, intent 1, send r2, pair r3, unlock");
    assert_eq!(end.token(), "a3");
}

// Strange stores

#[test]
fn whatever_a_store_says_only_a_refusal_means_to_sign_in_again() {
    let strange = |kind: u8| match kind {
        0 => loginradius_proto::Endpoint::response(
            &loginradius_proto::oauth::RefreshAccessToken::new("r"),
            &World::empty().app,
            answer(400, REFUSED),
        )
        .unwrap_err(),
        1 => Error::lost("EIO"),
        2 => Error::not_sent("ENOSPC"),
        _ => loginradius_proto::Endpoint::response(
            &loginradius_proto::oauth::RefreshAccessToken::new("r"),
            &World::empty().app,
            answer(400, r#"{"error":"access_denied"}"#),
        )
        .unwrap_err(),
    };
    for kind in 0..4 {
        for step in ["lock", "load", "load damaged", "intent", "intent unknown"] {
            let mut world = World::expired();
            match step {
                "lock" => world.on("lock", move |_| locked(Err(strange(kind)))),
                "load" => world.on("load", move |_| loaded(LoadOutcome::Failed(strange(kind)))),
                "load damaged" => world.on("load", move |_| loaded(LoadOutcome::Damaged(strange(kind)))),
                "intent" => world.on("intent", move |_| saved(SaveOutcome::Failed(strange(kind)))),
                _ => {
                    for _ in 0..50 {
                        world.on("intent", move |_| saved(SaveOutcome::Unknown(strange(kind))));
                    }
                }
            }
            let end = world.token();
            assert_eq!(end.kind(), ErrorKind::TryLater, "{step} {kind}");
            assert_eq!(end.events(), "", "{step}");
            // What went wrong can be seen.
            assert!(std::error::Error::source(end.error()).is_some());
            assert!(world.memory.tokens(world.now, world.clock).is_some(), "{step}");
        }
    }
}

#[test]
fn settings_of_a_store_are_settings() {
    let mut world = World::expired();
    world.on("load", |_| loaded(LoadOutcome::Failed(Error::settings("the folder cannot be written: change it"))));
    let end = world.token();
    assert_eq!(end.kind(), ErrorKind::Settings);
    assert!(end.error().to_string().contains("the folder"), "{}", end.error());
}

#[test]
fn a_pair_whose_save_was_in_doubt_counts_from_when_it_was_asked_for() {
    for kept in [false, true] {
        let mut world = World::expired();
        world.policy.early = Duration::ZERO;
        world.answers(200, &pair("a2", "r2"));
        world.on("pair", move |world| {
            world.stored = Stored::Record(world.saving.clone().unwrap().to_json());
            // Another process has seen it, and says so in the record; and the clock is corrected.
            changed(world);
            world.pass(s(10));
            world.clock -= s(4);
            if kept {
                world.on("load", |_| loaded(unreadable()));
            }
            saved(SaveOutcome::Unknown(full_disk()))
        });
        assert_eq!(world.token().token(), "a2");
        if kept {
            world.pass(s(1));
            world.token();
        }
        assert_eq!(world.lasts("good"), s(590) - if kept { s(1) } else { s(0) });
    }
}
