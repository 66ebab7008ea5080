//! Signing in.

use loginradius_proto::session::{LoadOutcome, SaveOutcome, SessionMemory};
use loginradius_proto::{Error, ErrorKind};

use crate::world::*;

fn new() -> loginradius_proto::TokenSet {
    tokens("b1", "q1", Some(s(600)))
}

#[test]
fn a_sign_in_is_stored() {
    let mut world = World::empty();
    let end = world.sign_in(new());
    assert_eq!(world.log(), "lock, load, pair q1, unlock");
    end.nothing();
    assert_eq!(end.events(), "signed in");
    assert_eq!(world.handout(), "good b1");
    world.memory = SessionMemory::default();
    assert_eq!(world.token().token(), "b1");
}

#[test]
fn a_sign_in_takes_the_place_of_another() {
    let mut world = World::expired();
    world.edit(|record| {
        record["intent"] = serde_json::json!({ "at_unix_ms": 5, "attempt": 3 });
        record["signing_out"] = true.into();
    });
    world.hold(world.clock, world.clock + HOUR, 7);
    let end = world.sign_in(new());
    assert_eq!(world.log(), "lock, load, pair q1, unlock");
    assert_eq!(end.events(), "signed in");
    let record = world.record();
    assert!(record["intent"].is_null() && record["hold"].is_null() && record["signing_out"].is_null());
    assert_eq!(world.handout(), "good b1");
}

#[test]
fn a_sign_in_ends_a_hold_and_a_report() {
    let mut world = World::expired();
    world.answers_with(503, PAGE, &[("retry-after", "60")]);
    world.token();
    assert_eq!(world.handout(), "held try_later");
    world.memory.report(&"b1".into());
    world.sign_in(new()).nothing();
    assert_eq!(world.handout(), "good b1");
}

#[test]
fn a_sign_in_that_is_over_already_is_stored_all_the_same() {
    let mut world = World::empty();
    let mut tokens = new();
    tokens.requested_at = Some(world.now);
    world.pass(HOUR);
    world.sign_in(tokens).nothing();
    assert_eq!(world.handout(), "refresh");
    world.answers(200, &pair("b2", "q2"));
    assert_eq!(world.token().token(), "b2");
}

#[test]
fn sign_ins_begin_at_random_generations() {
    let mut world = World::empty();
    let generations: std::collections::BTreeSet<_> = (0..50)
        .map(|_| {
            world.stored = Stored::Nothing;
            world.sign_in(new()).nothing();
            let generation = world.record()["generation"].as_u64().unwrap();
            assert!(generation < 1 << 53);
            generation
        })
        .collect();
    assert_eq!(generations.len(), 50);
}

#[test]
fn a_sign_in_that_cannot_be_stored_is_an_error_and_in_this_process_alone() {
    for before in [World::empty, World::expired] {
        let mut world = before();
        let stored = world.stored.clone();
        world.fails("pair");
        let end = world.sign_in(new());
        assert_eq!(world.log(), "lock, load, pair q1, unlock");
        assert_eq!(end.kind(), ErrorKind::TryLater);
        assert_eq!(end.events(), "unsaved");
        assert_eq!(world.stored, stored);
        assert!(world.memory.unsaved().is_some());
        // Nothing is spent that another process could send again.
        assert!(!world.memory.keeps_lock());
        assert_eq!(world.handout(), "good b1");
        world.pass(s(1));
        assert_eq!(world.handout(), "early b1");
        let end = world.token();
        assert_eq!(world.log(), "lock, load, pair q1, unlock");
        assert_eq!(end.token(), "b1");
        assert_eq!(end.events(), "saved");
        assert_eq!(world.record()["refresh_token"], "q1");
        assert!(world.memory.unsaved().is_none());
    }
}

#[test]
fn a_sign_in_whose_store_cannot_be_locked_or_read_is_kept() {
    for step in ["lock", "load"] {
        let mut world = World::empty();
        world.on(step, move |_| match step {
            "lock" => locked(Err(full_disk())),
            _ => loaded(LoadOutcome::Failed(full_disk())),
        });
        assert_eq!(world.sign_in(new()).events(), "unsaved");
        world.pass(s(1));
        assert_eq!(world.token().events(), "saved");
        assert_eq!(world.record()["refresh_token"], "q1");
    }
}

#[test]
fn a_kept_sign_in_is_refreshed_only_after_it_was_saved() {
    let mut world = World::empty();
    world.fails("pair");
    world.sign_in(new()).error();
    world.pass(HOUR);
    world.fails("pair");
    assert_eq!(world.token().kind(), ErrorKind::TryLater);
    assert_eq!(world.log(), "lock, load, pair q1, unlock");
    world.answers(200, &pair("b2", "q2"));
    let end = world.token();
    assert_eq!(world.log(), "lock, load, pair q1, unlock, lock, load, intent 1, send q1, pair q2, unlock");
    assert_eq!(end.events(), "saved, rotated");
    assert_eq!(end.token(), "b2");
}

#[test]
fn a_sign_in_that_may_have_been_stored_is_looked_for() {
    for before in [World::empty, World::expired] {
        for (stored, log) in
            [(true, "lock, load, pair q1, load, unlock"), (false, "lock, load, pair q1, load, pair q1, unlock")]
        {
            let mut world = before();
            world.is_unknown("pair", stored);
            let end = world.sign_in(new());
            assert_eq!(world.log(), log);
            end.nothing();
            assert_eq!(end.events(), "signed in");
            assert_eq!(world.record()["refresh_token"], "q1");
        }
    }
}

#[test]
fn a_sign_in_of_which_nothing_is_ever_known_is_kept() {
    let mut world = World::empty();
    (0..50).for_each(|_| world.is_unknown("pair", false));
    let end = world.sign_in(new());
    assert_eq!(end.kind(), ErrorKind::TryLater);
    assert_eq!(end.events(), "unsaved");
}

#[test]
fn a_sign_in_in_conflict_is_the_last_one() {
    let mut world = World::empty();
    world.on("pair", |world| {
        world.other(|world| world.sign_in(tokens("c1", "p1", Some(s(600)))).nothing());
        None
    });
    let end = world.sign_in(new());
    assert_eq!(world.log(), "lock, load, pair q1, unlock, lock, load, pair q1, unlock");
    end.nothing();
    assert_eq!(end.events(), "signed in");
    assert_eq!(world.record()["refresh_token"], "q1");
}

#[test]
fn a_sign_in_in_conflict_with_a_sign_out_stays_signed_in() {
    let mut world = World::expired();
    world.on("pair", |world| {
        world.stored = Stored::Nothing;
        None
    });
    world.sign_in(new()).nothing();
    assert_eq!(world.record()["refresh_token"], "q1");
    assert!(world.record()["signing_out"].is_null());
}

#[test]
fn a_sign_in_over_a_damaged_record_says_so_to_the_store() {
    let mut world = World::empty();
    world.stored = Stored::Damaged;
    // It was repaired meanwhile: then it is not to be set aside.
    world.on("pair", |world| {
        let damaged = std::mem::replace(&mut world.stored, Stored::Nothing);
        assert_eq!(damaged, Stored::Damaged);
        world.other(|world| world.sign_in(tokens("a1", "r1", Some(s(600)))).nothing());
        None
    });
    world.sign_in(new()).nothing();
    assert_eq!(world.log(), "lock, load, pair q1, unlock, lock, load, pair q1, unlock");
}

#[test]
fn a_sign_in_takes_the_place_of_an_unsaved_pair() {
    let mut world = World::unsaved();
    let end = world.sign_in(new());
    assert_eq!(world.log(), "load, pair q1, unlock");
    end.nothing();
    assert_eq!(end.events(), "signed in");
    assert!(!world.memory.keeps_lock() && world.memory.unsaved().is_none());
    assert_eq!(world.handout(), "good b1");
}

#[test]
fn a_sign_in_that_cannot_be_stored_over_an_unsaved_pair_keeps_the_lock() {
    // What is stored is still a token that was spent.
    let mut world = World::unsaved();
    world.fails("pair");
    let end = world.sign_in(new());
    assert_eq!(end.kind(), ErrorKind::TryLater);
    assert_eq!(world.record()["refresh_token"], "r1");
    assert!(world.memory.keeps_lock());
    assert_eq!(world.handout(), "good b1");
    world.pass(s(1));
    let end = world.token();
    assert_eq!(world.log(), "load, pair q1, unlock");
    assert_eq!(end.token(), "b1");
    assert_eq!(end.events(), "saved");
    assert!(!world.memory.keeps_lock());
    assert_eq!(world.record()["refresh_token"], "q1");
}

#[test]
fn a_sign_in_takes_the_place_of_an_unsaved_sign_in() {
    let mut world = World::empty();
    world.fails("pair");
    world.sign_in(tokens("a1", "r1", Some(s(600)))).error();
    let end = world.sign_in(new());
    end.nothing();
    assert_eq!(end.events(), "signed in");
    assert_eq!(world.token().token(), "b1");
    assert_eq!(world.log(), "lock, load, unlock");
}

#[test]
fn a_kept_sign_in_gives_way_to_a_later_one_of_another_process() {
    for before in [World::empty, World::expired] {
        let mut world = before();
        world.fails("pair");
        world.sign_in(tokens("a1", "r1", Some(s(600)))).error();
        world.pass(s(1));
        world.other(|world| world.sign_in(new()).nothing());
        let end = world.token();
        assert_eq!(end.token(), "b1", "{}", world.log());
        assert_eq!(end.events(), "adopted another's");
        assert_eq!(world.record()["refresh_token"], "q1");
        assert!(world.memory.unsaved().is_none());
    }
}

#[test]
fn a_kept_sign_in_is_saved_where_another_process_signed_out_an_older_one() {
    let mut world = World::expired();
    world.fails("pair");
    world.sign_in(new()).error();
    world.other(|world| {
        world.revokes(200, "");
        world.sign_out().nothing();
    });
    world.pass(s(1));
    let end = world.token();
    assert_eq!(end.token(), "b1");
    assert_eq!(end.events(), "saved");
    assert_eq!(world.record()["refresh_token"], "q1");
}

#[test]
fn a_kept_sign_in_that_another_process_refreshed_after_all_gives_way() {
    // It was stored, but nobody could tell; then another process found it there.
    let mut world = World::empty();
    world.on("pair", |world| {
        world.stored = Stored::Record(world.saving.clone().unwrap().to_json());
        world.on("load", |_| loaded(LoadOutcome::Failed(Error::try_later("cannot be read", "EIO"))));
        saved(SaveOutcome::Unknown(full_disk()))
    });
    assert_eq!(world.sign_in(new()).events(), "unsaved");
    world.pass(HOUR);
    world.other(|world| {
        world.answers(200, &pair("b2", "q2"));
        assert_eq!(world.token().token(), "b2");
    });
    let end = world.token();
    assert_eq!(end.token(), "b2", "{}", world.log());
    assert_eq!(world.record()["refresh_token"], "q2");
}

#[test]
fn a_sign_in_without_a_refresh_token_is_stored_too() {
    let mut world = World::empty();
    world.sign_in(tokens("b1", "", Some(s(600)))).nothing();
    assert_eq!(world.log(), "lock, load, pair nothing, unlock");
    assert!(world.record()["refresh_token"].is_null());
    world.memory = SessionMemory::default();
    assert_eq!(world.token().token(), "b1");
}

#[test]
fn a_kept_sign_in_that_never_saw_the_store_is_later_than_what_was_there() {
    for clock_set_back in [false, true] {
        let mut world = World::signed_in(600);
        let mut tokens = new();
        if clock_set_back {
            world.pass(s(10));
            world.clock -= s(60);
        } else {
            // They were asked for before the other sign-in, and brought here after it.
            tokens.requested_at = Some(world.now - s(60));
        }
        world.on("lock", |_| locked(Err(full_disk())));
        assert_eq!(world.sign_in(tokens).events(), "unsaved");
        world.pass(s(1));
        let end = world.token();
        assert_eq!(end.token(), "b1", "{}", world.log());
        assert_eq!(end.events(), "saved");
    }
}

#[test]
fn a_sign_in_that_was_stored_after_all_and_gone_on_with_by_another_is_not_overwritten() {
    let mut world = World::empty();
    world.on("pair", |world| {
        world.stored = Stored::Record(world.saving.clone().unwrap().to_json());
        world.other(|world| {
            world.pass(HOUR);
            world.answers(200, &pair("b2", "q2"));
            assert_eq!(world.token().token(), "b2");
        });
        saved(SaveOutcome::Unknown(full_disk()))
    });
    let end = world.sign_in(new());
    assert_eq!(world.sends(), 0);
    end.nothing();
    assert_eq!(end.events(), "signed in");
    assert_eq!(world.record()["refresh_token"], "q2", "{}", world.log());
    assert_eq!(world.handout(), "good b2");
}

#[test]
fn a_sign_in_whose_save_was_in_doubt_counts_from_when_it_was_asked_for() {
    let mut world = World::empty();
    world.policy.early = std::time::Duration::ZERO;
    world.on("pair", |world| {
        world.stored = Stored::Record(world.saving.clone().unwrap().to_json());
        // Another process has seen it, and says so in the record; and the clock is corrected.
        world.edit(|record| record["generation"] = (record["generation"].as_u64().unwrap() + 1).into());
        world.pass(s(10));
        world.clock -= s(4);
        saved(SaveOutcome::Unknown(full_disk()))
    });
    world.sign_in(new()).nothing();
    assert_eq!(world.log(), "lock, load, pair q1, load, unlock");
    assert_eq!(world.lasts("good"), s(590));
}

#[test]
fn an_unsaved_sign_in_over_another_unsaved_one_is_the_last_one() {
    for step in ["lock", "load", "pair"] {
        let mut world = World::signed_in(600);
        for name in ["b1", "c1"] {
            world.on(step, move |_| match step {
                "lock" => locked(Err(full_disk())),
                "load" => loaded(LoadOutcome::Failed(full_disk())),
                _ => saved(SaveOutcome::Failed(full_disk())),
            });
            world.sign_in(tokens(name, &format!("r-{name}"), Some(s(600)))).error();
        }
        world.pass(s(1));
        let end = world.token();
        assert_eq!(end.token(), "c1", "{step}: {}", world.log());
        assert_eq!(end.events(), "saved", "{step}");
        assert_eq!(world.record()["refresh_token"], "r-c1");
    }
}

#[test]
fn a_kept_sign_in_of_a_process_that_knew_nothing_goes_by_when_the_other_signed_in() {
    for other_is_later in [false, true] {
        let mut world = World::signed_in(600);
        world.memory = SessionMemory::default();
        world.pass(s(10));
        world.on("lock", |_| locked(Err(full_disk())));
        world.sign_in(new()).error();
        world.pass(s(10));
        if other_is_later {
            world.other(|world| world.sign_in(tokens("c1", "p1", Some(s(600)))).nothing());
        }
        let end = world.token();
        let (token, events) = if other_is_later { ("c1", "adopted another's") } else { ("b1", "saved") };
        assert_eq!(end.token(), token);
        assert_eq!(end.events(), events);
    }
}

#[test]
fn a_lock_that_was_kept_is_taken_anew_when_a_sign_in_is_found_stored() {
    // Somebody else may have taken it over, and have a refresh of that sign-in out.
    let mut world = World::unsaved();
    world.is_unknown("pair", true);
    world.on("load", |_| None);
    world.on("load", |_| loaded(LoadOutcome::Failed(full_disk())));
    world.sign_in(new()).error();
    assert!(world.memory.keeps_lock());
    world.pass(s(600));
    world.answers(200, &pair("b2", "q2"));
    assert_eq!(world.token().token(), "b2");
    assert_eq!(world.log(), "load, unlock, lock, load, intent 1, send q1, pair q2, unlock");
}

#[test]
fn once_a_kept_sign_in_has_seen_the_store_no_clock_tells_which_is_later() {
    let mut world = World::signed_in(600);
    world.memory = SessionMemory::default();
    world.on("lock", |_| locked(Err(full_disk())));
    world.sign_in(new()).error();
    world.pass(s(1));
    world.fails("pair");
    assert_eq!(world.token().token(), "b1");
    // Somebody signs in after that, at a machine whose clock is behind.
    world.other(|world| {
        world.clock -= s(3);
        world.sign_in(tokens("c1", "p1", Some(s(600)))).nothing();
        world.clock += s(3);
    });
    world.pass(s(2));
    let end = world.token();
    assert_eq!((end.token().as_str(), end.events().as_str()), ("c1", "adopted another's"));
    assert_eq!(world.record()["refresh_token"], "p1");
}
