//! Starting a session with the tokens of a login.

use loginradius_proto::session::{LoadError, SaveError, SessionFlow, SessionMemory, SessionStep};
use loginradius_proto::{ErrorKind, Seed, TokenSet};

use loginradius_testing::*;

/// Makes the tokens of a login after the one of `Scene::signed_in`.
fn b1() -> TokenSet {
    tokens("b1", "q1", Some(s(600)))
}

/// Makes the tokens of the login of `Scene::signed_in`.
fn a1() -> TokenSet {
    tokens("a1", "r1", Some(s(600)))
}

/// Lets a new process take the place of this one.
fn new_process(scene: &mut Scene) {
    scene.memory = SessionMemory::default();
}

#[test]
fn a_login_is_stored() {
    let mut scene = Scene::empty();
    let end = scene.start(b1());
    assert_eq!(scene.log(), "lock, load, pair q1, unlock");
    end.ok();
    assert_eq!(end.events(), "started");
    assert_eq!(scene.cached(), "fresh b1");
    new_process(&mut scene);
    assert_eq!(scene.refresh().token(), "b1");
}

#[test]
fn a_login_replaces_another() {
    let mut scene = Scene::expired();
    scene.edit(|record| {
        record["intent"] = serde_json::json!({ "at_unix_ms": 5, "attempt": 3 });
        record["signing_out"] = true.into();
    });
    scene.set_backoff(scene.now.wall, scene.now.wall + HOUR, 7);
    let end = scene.start(b1());
    assert_eq!(scene.log(), "lock, load, pair q1, unlock");
    assert_eq!(end.events(), "started");
    let record = scene.record();
    assert!(record["intent"].is_null() && record["hold"].is_null() && record["signing_out"].is_null());
    assert_eq!(scene.cached(), "fresh b1");
}

#[test]
fn a_login_ends_a_backoff_and_a_rejection() {
    let mut scene = Scene::expired();
    scene.responds_with(503, PAGE, &[("retry-after", "60")]);
    scene.refresh();
    assert_eq!(scene.cached(), "backing off unavailable");
    scene.memory.reject(&"b1".into());
    scene.start(b1()).ok();
    assert_eq!(scene.cached(), "fresh b1");
}

#[test]
fn a_login_whose_lifetime_is_over_is_stored_all_the_same() {
    let mut scene = Scene::empty();
    let mut tokens = b1();
    tokens.requested_at = Some(scene.now.monotonic);
    scene.pass(HOUR);
    scene.start(tokens).ok();
    assert_eq!(scene.cached(), "missing");
    scene.responds(200, &pair("b2", "q2"));
    assert_eq!(scene.refresh().token(), "b2");
}

#[test]
fn a_login_without_a_refresh_token_is_stored_too() {
    let mut scene = Scene::empty();
    scene.start(tokens("b1", "", Some(s(600)))).ok();
    assert_eq!(scene.log(), "lock, load, pair nothing, unlock");
    assert!(scene.record()["refresh_token"].is_null());
    new_process(&mut scene);
    assert_eq!(scene.refresh().token(), "b1");
}

#[test]
fn logins_begin_at_random_generations() {
    let mut scene = Scene::empty();
    let generations: std::collections::BTreeSet<_> = (0..50)
        .map(|_| {
            scene.stored = None;
            scene.start(b1()).ok();
            let generation = scene.record()["generation"].as_u64().unwrap();
            assert!(generation < 1 << 53);
            generation
        })
        .collect();
    assert_eq!(generations.len(), 50);
}

// A login that cannot be stored

#[test]
fn a_login_that_cannot_be_stored_is_an_error_and_the_memory_keeps_nothing() {
    for (step, log) in [
        ("lock", "lock"),
        ("load", "lock, load, unlock"),
        ("pair", "lock, load, pair q1, unlock"),
        ("unknown", "lock, load, pair q1, load, unlock"),
    ] {
        for before in [Scene::empty, || Scene::signed_in(600), Scene::expired] {
            let mut scene = before();
            let (memory, stored, cached) = (format!("{:?}", scene.memory), scene.stored.clone(), scene.cached());
            match step {
                "lock" => scene.on("lock", |_| locked(Err(full_disk()))),
                "load" => scene.on("load", |_| loaded(unreadable())),
                "pair" => scene.fails("pair"),
                _ => {
                    scene.outcome_unknown("pair", false);
                    scene.on("load", |_| None);
                    scene.on("load", |_| loaded(unreadable()));
                }
            }
            let end = scene.start(b1());
            assert_eq!(scene.log(), log, "{step}");
            assert_eq!(end.kind(), ErrorKind::Unavailable, "{step}");
            assert_eq!(end.events(), "", "{step}");
            assert_eq!(scene.stored, stored, "{step}");
            assert!(scene.memory.save_error().is_none() && !scene.memory.retains_lock());
            let newest = scene.memory.tokens(scene.now).map(|tokens| tokens.access_token.expose().to_owned());
            assert_ne!(newest.as_deref(), Some("b1"), "{step}");
            if step != "unknown" {
                assert_eq!(format!("{:?}", scene.memory), memory, "{step}");
                assert_eq!(scene.cached(), cached, "{step}");
            }
            // The caller still has the tokens.
            let end = scene.start(b1());
            end.ok();
            assert_eq!(end.events(), "started");
            assert_eq!(scene.cached(), "fresh b1");
            assert_eq!(scene.record()["refresh_token"], "q1");
        }
    }
}

#[test]
fn a_login_that_cannot_be_stored_leaves_the_earlier_session() {
    let mut scene = Scene::signed_in(600);
    scene.fails("pair");
    scene.start(b1()).error();
    assert_eq!(scene.cached(), "fresh a1");
    scene.pass(s(600));
    scene.responds(200, &pair("a2", "r2"));
    assert_eq!(scene.refresh().token(), "a2");
    assert_eq!(scene.log(), "lock, load, intent 1, send r1, pair r2, unlock");
}

#[test]
fn a_login_that_may_have_been_stored_is_looked_for() {
    for before in [Scene::empty, Scene::expired] {
        for (stored, log) in
            [(true, "lock, load, pair q1, load, unlock"), (false, "lock, load, pair q1, load, pair q1, unlock")]
        {
            let mut scene = before();
            scene.outcome_unknown("pair", stored);
            let end = scene.start(b1());
            assert_eq!(scene.log(), log);
            end.ok();
            assert_eq!(end.events(), "started");
            assert_eq!(scene.record()["refresh_token"], "q1");
            assert_eq!(scene.cached(), "fresh b1");
        }
    }
}

#[test]
fn a_login_whose_saves_stay_unknown_is_an_error() {
    for before in [Scene::empty, || Scene::signed_in(600)] {
        let mut scene = before();
        (0..50).for_each(|_| scene.outcome_unknown("pair", false));
        let end = scene.start(b1());
        assert_eq!(end.kind(), ErrorKind::Unavailable);
        assert_eq!(end.events(), "");
        assert_eq!(scene.cached(), "missing");
    }
}

#[test]
fn after_an_unknown_save_no_token_is_returned_before_the_record_is_loaded() {
    for stored in [true, false] {
        let mut scene = Scene::signed_in(600);
        scene.outcome_unknown("pair", stored);
        scene.on("load", |_| None);
        scene.on("load", |_| loaded(unreadable()));
        let end = scene.start(b1());
        assert_eq!(end.kind(), ErrorKind::Unavailable);
        // Another user may be signed in by now.
        assert_eq!(scene.cached(), "missing");
        assert!(!scene.memory.is_signed_in());
        // Not even a lock that is taken, or a store that cannot be read, brings it back.
        scene.on("load", |_| loaded(unreadable()));
        assert_eq!(scene.refresh().kind(), ErrorKind::Unavailable);
        assert_eq!(scene.cached(), "missing");
        scene.locked_until = Some(scene.now.monotonic + s(2));
        let end = scene.refresh();
        assert_eq!(end.token(), if stored { "b1" } else { "a1" });
        assert_eq!(end.events(), if stored { "adopted other login" } else { "" });
        assert_eq!(scene.sends(), 0);
    }
}

#[test]
fn a_login_whose_save_was_unknown_counts_from_when_it_was_requested() {
    // This process knows nothing, or the login's newer tokens from before its record was damaged.
    for refreshed in [false, true] {
        let mut scene = Scene::empty();
        scene.policy.early = std::time::Duration::ZERO;
        if refreshed {
            scene.start(b1()).ok();
            scene.pass(s(600));
            scene.responds(200, &pair("b2", "q2"));
            assert_eq!(scene.refresh().token(), "b2");
            scene.stored = damaged();
        }
        scene.on("pair", |scene| {
            scene.stored = scene.saving.clone();
            // Another process has saved it again, and the clock is corrected.
            scene.edit(|record| record["generation"] = (record["generation"].as_u64().unwrap() + 1).into());
            scene.pass(s(10));
            scene.now.wall -= s(4);
            saved(Err(SaveError::Unknown(full_disk())))
        });
        scene.start(b1()).ok();
        assert_eq!(scene.log(), "lock, load, pair q1, load, unlock");
        assert_eq!(scene.lasts("fresh"), s(590), "refreshed: {refreshed}");
    }
}

#[test]
fn a_login_that_was_stored_after_all_and_refreshed_by_another_process_is_not_overwritten() {
    let mut scene = Scene::empty();
    scene.on("pair", |scene| {
        scene.stored = scene.saving.clone();
        scene.other_process(|scene| {
            scene.pass(HOUR);
            scene.responds(200, &pair("b2", "q2"));
            assert_eq!(scene.refresh().token(), "b2");
        });
        saved(Err(SaveError::Unknown(full_disk())))
    });
    let end = scene.start(b1());
    assert_eq!(scene.sends(), 0);
    end.ok();
    assert_eq!(end.events(), "started");
    assert_eq!(scene.record()["refresh_token"], "q2", "{}", scene.log());
    assert_eq!(scene.cached(), "fresh b2");
}

#[test]
fn a_login_of_an_unknown_save_that_a_later_one_has_replaced_stays_replaced() {
    let mut scene = Scene::expired();
    scene.on("pair", |scene| {
        scene.stored = scene.saving.clone();
        scene.other_process(|scene| scene.start(tokens("c1", "p1", Some(s(600)))).ok());
        saved(Err(SaveError::Unknown(full_disk())))
    });
    let end = scene.start(b1());
    assert_eq!(scene.log(), "lock, load, pair q1, load, unlock");
    end.ok();
    assert_eq!(end.events(), "adopted other login");
    assert_eq!(scene.record()["refresh_token"], "p1");
    assert_eq!(scene.cached(), "fresh c1");
}

// A login that is started again

#[test]
fn a_login_that_is_started_again_is_adopted() {
    let mut scene = Scene::empty();
    scene.start(b1()).ok();
    let stored = scene.stored.clone();
    let end = scene.start(b1());
    assert_eq!(scene.log(), "lock, load, unlock");
    end.ok();
    assert_eq!(end.events(), "");
    // A process that did not know it yet.
    new_process(&mut scene);
    let end = scene.start(b1());
    assert_eq!(scene.log(), "lock, load, unlock");
    end.ok();
    assert_eq!(end.events(), "started");
    assert_eq!(scene.cached(), "fresh b1");
    assert_eq!(scene.stored, stored);
}

#[test]
fn a_login_that_is_started_again_does_not_live_longer() {
    let mut scene = Scene::empty();
    scene.policy.early = std::time::Duration::ZERO;
    scene.start(b1()).ok();
    for same_process in [true, false] {
        scene.pass(s(100));
        if !same_process {
            new_process(&mut scene);
        }
        scene.start(b1()).ok();
        assert_eq!(scene.lasts("fresh"), if same_process { s(500) } else { s(400) });
    }
}

#[test]
fn a_login_that_is_started_again_never_replaces_its_successor() {
    for same_process in [true, false] {
        let mut scene = Scene::expired();
        scene.responds(200, &pair("a2", "r2"));
        assert_eq!(scene.refresh().token(), "a2");
        let stored = scene.stored.clone();
        if !same_process {
            new_process(&mut scene);
        }
        let end = scene.start(a1());
        assert_eq!(scene.log(), "lock, load, unlock");
        end.ok();
        assert_eq!(end.events(), if same_process { "" } else { "started" });
        assert_eq!(scene.cached(), "fresh a2");
        assert_eq!(scene.stored, stored);
    }
}

#[test]
fn a_login_that_is_started_again_adopts_what_another_process_made_of_it() {
    let mut scene = Scene::expired();
    scene.other_process(|scene| {
        scene.responds(200, &pair("a2", "r2"));
        scene.refresh();
    });
    let end = scene.start(a1());
    assert_eq!(scene.log(), "lock, load, unlock");
    assert_eq!(end.events(), "adopted");
    assert_eq!(scene.cached(), "fresh a2");
}

#[test]
fn a_login_that_is_started_again_adopts_its_backoff() {
    let mut scene = Scene::expired();
    scene.responds_with(503, PAGE, &[("retry-after", "60")]);
    scene.refresh().error();
    new_process(&mut scene);
    scene.start(a1()).ok();
    assert_eq!(scene.cached(), "backing off unavailable");
    assert_eq!(scene.lasts("backing off"), s(60));
}

#[test]
fn a_login_that_is_started_again_does_not_come_back_from_a_sign_out() {
    for same_process in [true, false] {
        let mut scene = Scene::signed_in(600);
        (0..4).for_each(|_| scene.revokes(503, PAGE));
        scene.sign_out().error();
        let stored = scene.stored.clone();
        if !same_process {
            new_process(&mut scene);
        }
        let end = scene.start(a1());
        assert_eq!(scene.log(), "lock, load, unlock");
        assert_eq!(end.kind(), ErrorKind::SignInRequired);
        assert_eq!(end.events(), "");
        assert_eq!(scene.stored, stored);
        assert_eq!(scene.cached(), "missing");
    }
}

#[test]
fn a_login_that_is_started_again_does_not_come_back_from_a_rejection() {
    for same_process in [true, false] {
        let mut scene = Scene::expired();
        scene.responds(400, REJECTED);
        scene.refresh().error();
        let stored = scene.stored.clone();
        if !same_process {
            new_process(&mut scene);
        }
        let end = scene.start(a1());
        assert_eq!(scene.log(), "lock, load, unlock");
        assert_eq!(end.kind(), ErrorKind::SignInRequired);
        assert!(end.error().to_string().contains("invalid_grant"), "{}", end.error());
        assert_eq!(scene.stored, stored);
        assert_eq!(scene.cached(), "missing");
    }
}

#[test]
fn a_login_that_two_processes_start_at_a_time_is_stored_once() {
    let mut scene = Scene::empty();
    scene.on("pair", |scene| {
        scene.other_process(|scene| scene.start(b1()).ok());
        None
    });
    let end = scene.start(b1());
    assert_eq!(scene.log(), "lock, load, pair q1, unlock, lock, load, unlock");
    end.ok();
    assert_eq!(end.events(), "started");
}

#[test]
fn a_login_that_was_stored_after_all_is_adopted_by_the_next_start() {
    // It was stored, but its process did not learn that; then another process found it there.
    for same_process in [true, false] {
        let mut scene = Scene::empty();
        scene.on("pair", |scene| {
            scene.stored = scene.saving.clone();
            scene.on("load", |_| loaded(unreadable()));
            saved(Err(SaveError::Unknown(full_disk())))
        });
        assert_eq!(scene.start(b1()).kind(), ErrorKind::Unavailable);
        scene.pass(HOUR);
        scene.other_process(|scene| {
            scene.responds(200, &pair("b2", "q2"));
            assert_eq!(scene.refresh().token(), "b2");
        });
        if !same_process {
            new_process(&mut scene);
        }
        let end = scene.start(b1());
        end.ok();
        assert_eq!(end.events(), "started");
        assert_eq!(scene.sends(), 0);
        assert_eq!(scene.record()["refresh_token"], "q2");
        assert_eq!(scene.cached(), "fresh b2");
    }
}

// A login that a later one has replaced

#[test]
fn a_login_that_a_later_one_has_replaced_stays_replaced() {
    for same_process in [true, false] {
        let mut scene = Scene::signed_in(600);
        scene.start(b1()).ok();
        let stored = scene.stored.clone();
        if !same_process {
            new_process(&mut scene);
        }
        let end = scene.start(a1());
        assert_eq!(scene.log(), "lock, load, unlock");
        end.ok();
        assert_eq!(end.events(), "adopted other login");
        assert_eq!(scene.stored, stored);
        assert_eq!(scene.cached(), "fresh b1");
    }
}

#[test]
fn a_login_stays_replaced_after_refreshes_and_failures_of_the_later_one() {
    let mut scene = Scene::signed_in(600);
    scene.start(b1()).ok();
    scene.pass(HOUR);
    scene.lost();
    scene.responds(200, &pair("b2", "q2"));
    assert_eq!(scene.refresh().token(), "b2");
    scene.pass(HOUR);
    (0..4).for_each(|_| scene.not_sent());
    scene.refresh().error();
    new_process(&mut scene);
    scene.start(a1()).ok();
    assert_eq!(scene.record()["refresh_token"], "q2");
    // The later one is over, and so is the earlier one.
    scene.pass(HOUR);
    scene.responds(400, REJECTED);
    scene.refresh().error();
    assert_eq!(scene.start(a1()).kind(), ErrorKind::SignInRequired);
    assert_eq!(scene.record()["refresh_token"], "q2");
}

#[test]
fn a_login_that_an_unsaved_pair_belongs_to_stays_replaced() {
    let mut scene = Scene::unsaved();
    scene.memory.set_lock_lost();
    scene.locked = false;
    scene.other_process(|scene| scene.start(b1()).ok());
    let end = scene.start(a1());
    end.ok();
    assert_eq!(end.events(), "adopted other login");
    assert_eq!(scene.record()["refresh_token"], "q1");
    assert_eq!(scene.cached(), "fresh b1");
    assert!(scene.memory.save_error().is_none());
}

#[test]
fn sixteen_replaced_logins_are_remembered() {
    let login = |number: usize| tokens(&format!("access-{number}"), &format!("refresh-{number}"), Some(s(600)));
    let mut scene = Scene::empty();
    for number in 0..18 {
        scene.start(login(number)).ok();
        assert_eq!(scene.record()["replaced"].as_array().map_or(0, Vec::len), number.min(16));
    }
    let stored = scene.stored.clone();
    for number in 1..17 {
        scene.start(login(number)).ok();
        assert_eq!(scene.stored, stored, "{number}");
    }
    // The last one itself.
    scene.start(login(17)).ok();
    assert_eq!(scene.stored, stored);
    // And one that is too long ago.
    scene.start(login(0)).ok();
    assert_eq!(scene.record()["refresh_token"], "refresh-0");
    assert_eq!(scene.record()["replaced"].as_array().unwrap().len(), 16);
}

#[test]
fn a_login_that_comes_back_is_not_among_those_that_it_replaced() {
    let mut scene = Scene::signed_in(600);
    let login = scene.record()["sign_in"].clone();
    scene.start(b1()).ok();
    // A program that knows no history.
    scene.edit(|record| drop(record.as_object_mut().unwrap().remove("replaced")));
    scene.start(a1()).ok();
    assert_eq!(scene.record()["refresh_token"], "r1");
    assert!(!scene.record()["replaced"].as_array().unwrap().contains(&login));
    assert_eq!(scene.start(b1()).events(), "adopted other login");
    assert_eq!(scene.record()["refresh_token"], "r1");
}

// Conflicts

#[test]
fn of_two_logins_at_a_time_the_last_one_counts() {
    let mut scene = Scene::empty();
    scene.on("pair", |scene| {
        scene.other_process(|scene| scene.start(tokens("c1", "p1", Some(s(600)))).ok());
        None
    });
    let end = scene.start(b1());
    assert_eq!(scene.log(), "lock, load, pair q1, unlock, lock, load, pair q1, unlock");
    end.ok();
    assert_eq!(end.events(), "started");
    assert_eq!(scene.record()["refresh_token"], "q1");
}

#[test]
fn a_login_in_conflict_with_a_sign_out_stays_signed_in() {
    let mut scene = Scene::expired();
    scene.on("pair", |scene| {
        scene.stored = None;
        None
    });
    scene.start(b1()).ok();
    assert_eq!(scene.record()["refresh_token"], "q1");
    assert!(scene.record()["signing_out"].is_null());
}

#[test]
fn a_login_over_a_damaged_record_says_so_to_the_store() {
    let mut scene = Scene::empty();
    scene.stored = damaged();
    scene.start(b1()).ok();
    assert_eq!(scene.log(), "lock, load, pair q1, unlock");
    assert_eq!(scene.copies, [damaged().unwrap()]);
    assert_eq!(scene.record()["refresh_token"], "q1");

    // And if it does not know whether it was replaced.
    let mut scene = Scene::empty();
    scene.stored = damaged();
    scene.outcome_unknown("pair", false);
    scene.start(b1()).ok();
    assert_eq!(scene.log(), "lock, load, pair q1, load, pair q1, unlock");
    assert_eq!(scene.copies, [damaged().unwrap()]);
}

#[test]
fn a_wrapper_over_a_store_may_say_that_a_record_is_damaged() {
    let mut scene = Scene::expired();
    let generation = scene.stored.as_ref().unwrap().generation();
    let sealed = scene.stored.clone();
    scene.on("load", move |_| loaded(Err(LoadError::Damaged { generation, error: full_disk() })));
    scene.start(b1()).ok();
    assert_eq!(scene.log(), "lock, load, pair q1, unlock");
    assert_eq!(scene.copies, [sealed.unwrap()]);
    assert_eq!(scene.record()["refresh_token"], "q1");
}

#[test]
fn no_copy_is_kept_of_a_damaged_record_that_was_repaired() {
    let mut scene = Scene::empty();
    scene.stored = damaged();
    scene.on("pair", |scene| {
        assert_eq!(scene.stored.take(), damaged());
        scene.other_process(|scene| scene.start(a1()).ok());
        None
    });
    scene.start(b1()).ok();
    assert_eq!(scene.log(), "lock, load, pair q1, unlock, lock, load, pair q1, unlock");
    assert_eq!(scene.copies, []);
}

#[test]
fn a_damaged_record_that_was_damaged_again_is_not_replaced_unseen() {
    let mut scene = Scene::empty();
    scene.stored = damaged();
    let other = loginradius_proto::session::StoredRecord::from_bytes(*b"[");
    let again = other.clone();
    scene.on("pair", move |scene| {
        scene.stored = Some(again);
        None
    });
    scene.start(b1()).ok();
    assert_eq!(scene.log(), "lock, load, pair q1, unlock, lock, load, pair q1, unlock");
    assert_eq!(scene.copies, [other]);
}

// Over a pair that could not be saved

#[test]
fn a_login_replaces_an_unsaved_pair_and_releases_its_lock() {
    let mut scene = Scene::unsaved();
    let end = scene.start(b1());
    assert_eq!(scene.log(), "load, pair q1, unlock");
    end.ok();
    assert_eq!(end.events(), "started");
    assert!(!scene.memory.retains_lock() && scene.memory.save_error().is_none());
    assert_eq!(scene.cached(), "fresh b1");
    assert_eq!(scene.record()["refresh_token"], "q1");
}

#[test]
fn a_login_that_cannot_be_stored_over_an_unsaved_pair_keeps_the_pair_and_the_lock() {
    for step in ["load", "pair"] {
        // What is stored is still a token that was consumed.
        let mut scene = Scene::unsaved();
        match step {
            "load" => scene.on("load", |_| loaded(unreadable())),
            _ => scene.fails("pair"),
        }
        let end = scene.start(b1());
        assert_eq!(end.kind(), ErrorKind::Unavailable, "{step}");
        assert_eq!(end.events(), "", "{step}");
        assert_eq!(scene.record()["refresh_token"], "r1");
        assert!(scene.memory.retains_lock());
        assert_eq!(scene.cached(), "fresh a2");
        scene.pass(s(2));
        let end = scene.refresh();
        assert_eq!(scene.log(), "load, pair r2, unlock");
        assert_eq!(end.token(), "a2");
        assert_eq!(end.events(), "saved");
        assert_eq!(scene.record()["refresh_token"], "r2");
    }
}

#[test]
fn a_login_that_may_be_stored_over_an_unsaved_pair_keeps_the_pair_and_the_lock() {
    for stored in [false, true] {
        let mut scene = Scene::unsaved();
        scene.outcome_unknown("pair", stored);
        scene.on("load", |_| None);
        scene.on("load", |_| loaded(unreadable()));
        assert_eq!(scene.start(b1()).kind(), ErrorKind::Unavailable);
        assert!(scene.memory.retains_lock());
        // It may be another user's session by now.
        assert_eq!(scene.cached(), "missing");
        scene.pass(s(2));
        let end = scene.refresh();
        if stored {
            assert_eq!(end.token(), "b1");
            assert_eq!(end.events(), "adopted other login");
            assert_eq!(scene.record()["refresh_token"], "q1");
        } else {
            assert_eq!(end.token(), "a2");
            assert_eq!(end.events(), "saved");
            assert_eq!(scene.record()["refresh_token"], "r2");
        }
        assert!(!scene.memory.retains_lock() && scene.memory.save_error().is_none());
    }
}

#[test]
fn a_retained_lock_is_taken_anew_when_a_login_is_found_stored() {
    // Another process may have it by now, and have sent a refresh of that login.
    let mut scene = Scene::unsaved();
    scene.outcome_unknown("pair", true);
    scene.on("load", |_| None);
    scene.on("load", |_| loaded(Err(LoadError::Failed(full_disk()))));
    scene.start(b1()).error();
    assert!(scene.memory.retains_lock());
    scene.pass(s(600));
    scene.responds(200, &pair("b2", "q2"));
    assert_eq!(scene.refresh().token(), "b2");
    assert_eq!(scene.log(), "load, unlock, lock, load, intent 1, send q1, pair q2, unlock");
}

/// As after a failover of the store that forgot the intent: the login has the generation that the pair expects.
#[test]
fn an_unsaved_pair_does_not_replace_a_login_that_may_be_stored() {
    let mut scene = Scene::unsaved();
    scene.edit(|record| record["generation"] = (record["generation"].as_u64().unwrap() - 1).into());
    scene.outcome_unknown("pair", true);
    scene.on("load", |_| None);
    scene.on("load", |_| loaded(unreadable()));
    scene.start(b1()).error();
    scene.pass(s(2));
    let end = scene.refresh();
    assert_eq!((end.token(), end.events()), ("b1".to_owned(), "adopted other login".to_owned()));
    assert_eq!(scene.record()["refresh_token"], "q1");
}

#[test]
fn an_unsaved_pair_does_not_come_back_when_a_flow_is_aborted_that_has_replaced_it() {
    for forgets in [false, true] {
        let mut scene = Scene::unsaved();
        let (app, memory) = (scene.app.clone(), scene.memory.clone());
        let mut flow = match forgets {
            true => SessionFlow::forget(&app, scene.policy, memory, Seed(7)),
            false => SessionFlow::start(&app, scene.policy, memory, &b1(), Seed(7)),
        };
        loop {
            match flow.step(scene.now) {
                SessionStep::Unlock => break,
                step => {
                    let input = scene.perform(step).unwrap();
                    flow.receive(input, scene.now);
                }
            }
        }
        let end = flow.abort(true, scene.now);
        assert!(end.memory.save_error().is_none() && !end.memory.retains_lock(), "{forgets}");
        assert_eq!(end.result.unwrap_err().kind(), ErrorKind::Unavailable);
        scene.memory = end.memory;
        scene.locked = false;
        assert_eq!(scene.cached(), "missing");
        match forgets {
            true => assert_eq!(scene.refresh().kind(), ErrorKind::SignInRequired),
            false => assert_eq!(scene.refresh().token(), "b1"),
        }
    }
}

#[test]
fn a_login_over_an_unsaved_pair_whose_lock_is_anothers_keeps_the_pair() {
    let mut scene = Scene::unsaved();
    scene.memory.set_lock_lost();
    scene.locked = false;
    scene.locked_until = Some(scene.now.monotonic + HOUR);
    assert_eq!(scene.start(b1()).kind(), ErrorKind::Unavailable);
    assert!(scene.memory.save_error().is_some() && !scene.memory.retains_lock());
    assert_eq!(scene.cached(), "fresh a2");
    scene.locked_until = None;
    scene.pass(s(2));
    let end = scene.refresh();
    assert_eq!((end.token().as_str(), end.events().as_str()), ("a2", "saved"));
    assert_eq!(scene.record()["refresh_token"], "r2");
}

#[test]
fn a_login_that_is_started_again_saves_its_unsaved_pair() {
    let mut scene = Scene::unsaved();
    let end = scene.start(a1());
    assert_eq!(scene.log(), "load, pair r2, unlock");
    end.ok();
    assert_eq!(end.events(), "saved");
    assert!(!scene.memory.retains_lock() && scene.memory.save_error().is_none());
    assert_eq!(scene.cached(), "fresh a2");
    assert_eq!(scene.record()["refresh_token"], "r2");
}

#[test]
fn a_login_that_is_started_again_keeps_its_pair_while_that_cannot_be_saved() {
    for step in ["load", "pair", "unknown"] {
        let mut scene = Scene::unsaved();
        match step {
            "load" => scene.on("load", |_| loaded(unreadable())),
            "pair" => scene.fails("pair"),
            _ => {
                scene.outcome_unknown("pair", false);
                scene.on("load", |_| None);
                scene.on("load", |_| loaded(unreadable()));
            }
        }
        let end = scene.start(a1());
        assert_eq!(end.kind(), ErrorKind::Unavailable, "{step}");
        assert!(scene.memory.retains_lock(), "{step}");
        assert_eq!(scene.cached(), "fresh a2", "{step}");
        assert_eq!(scene.record()["refresh_token"], "r1");
        scene.pass(s(60));
        let end = scene.start(a1());
        end.ok();
        assert_eq!(end.events(), "saved", "{step}");
        assert_eq!(scene.record()["refresh_token"], "r2");
    }
}

#[test]
fn a_login_that_is_started_again_adopts_what_is_newer_than_its_unsaved_pair() {
    let mut scene = Scene::unsaved();
    // The lock was lost, and LoginRadius let the token be consumed twice.
    scene.other_process(|scene| {
        scene.responds(200, &pair("x2", "s2"));
        assert_eq!(scene.refresh().token(), "x2");
    });
    let end = scene.start(a1());
    assert_eq!(scene.log(), "load, unlock, lock, load, unlock");
    end.ok();
    assert_eq!(end.events(), "adopted");
    assert_eq!(scene.cached(), "fresh x2");
    assert_eq!(scene.record()["refresh_token"], "s2");
}

#[test]
fn a_login_that_is_started_again_saves_its_unsaved_pair_for_a_sign_out() {
    let mut scene = Scene::unsaved();
    scene.edit(|record| record["signing_out"] = true.into());
    let end = scene.start(a1());
    assert_eq!(scene.log(), "load, mark r2, unlock");
    assert_eq!(end.kind(), ErrorKind::SignInRequired);
    assert_eq!(end.events(), "ended");
    assert_eq!(scene.record()["signing_out"], true);
}

#[test]
fn a_login_that_is_started_again_does_not_put_a_consumed_token_in_place_of_its_unsaved_pair() {
    for what in ["nothing", "a damaged record", "another login, stored by a program that keeps no history"] {
        let mut scene = Scene::unsaved();
        match what {
            "nothing" => scene.stored = None,
            "a damaged record" => scene.stored = damaged(),
            _ => {
                scene.other_process(|scene| scene.start(b1()).ok());
                scene.edit(|record| drop(record.as_object_mut().unwrap().remove("replaced")));
            }
        }
        let _ = scene.start(a1());
        let consumed = scene.stored.as_ref().is_some_and(|record| {
            let record = serde_json::from_slice::<serde_json::Value>(record.as_bytes());
            record.is_ok_and(|record| record["refresh_token"] == "r1")
        });
        assert!(!consumed, "{what}: {}", scene.log());
    }
}

#[test]
fn a_login_without_an_access_token_is_refused() {
    let mut scene = Scene::empty();
    let end = scene.start(tokens("", "r1", Some(s(600))));
    assert_eq!(scene.log(), "");
    assert_eq!(end.kind(), ErrorKind::Configuration);
    assert_eq!(end.error().to_string(), "the access token is empty: start a session with the tokens of a login");
    assert!(scene.stored.is_none());
}

#[test]
fn a_replaced_login_that_is_started_again_does_not_lose_the_unsaved_pair_of_the_later_one() {
    for saves in [true, false] {
        let mut scene = Scene::with(b1());
        scene.start(a1()).ok();
        scene.pass(HOUR);
        scene.responds(200, &pair("a2", "r2"));
        scene.fails("pair");
        assert_eq!(scene.refresh().token(), "a2");
        if !saves {
            scene.fails("pair");
        }
        let end = scene.start(b1());
        assert_eq!(scene.cached(), "fresh a2", "{}", scene.log());
        if saves {
            end.ok();
            assert_eq!(scene.record()["refresh_token"], "r2");
            assert!(!scene.memory.retains_lock());
        } else {
            assert_eq!(end.kind(), ErrorKind::Unavailable);
            assert_eq!(scene.record()["refresh_token"], "r1");
            assert!(scene.memory.retains_lock());
        }
    }
}

#[test]
fn an_unsaved_pair_that_a_start_stores_lives_as_long_as_before() {
    let mut scene = Scene::unsaved();
    scene.pass(s(300));
    scene.now.wall -= s(300);
    scene.stored = None;
    scene.start(a1()).ok();
    assert_eq!(scene.cached(), "fresh a2");
    scene.pass(s(301));
    assert_eq!(scene.cached(), "missing");
}

#[test]
fn a_refresh_token_that_no_request_can_carry_is_none() {
    for (refresh_token, stored) in [("r1", true), ("", false), ("r\n1", false), ("\0", false)] {
        let mut scene = Scene::empty();
        let mut login = tokens("a1", "", Some(s(600)));
        login.refresh_token = Some(refresh_token.into());
        scene.start(login).ok();
        assert_eq!(scene.record()["refresh_token"].is_string(), stored, "{refresh_token:?}");
        assert_eq!(scene.cached(), "fresh a1");
    }
}

#[test]
fn tokens_longer_than_a_response_are_refused() {
    for (length, accepted) in [((1 << 20) - 2, true), ((1 << 20) - 1, false)] {
        let mut scene = Scene::empty();
        let end = scene.start(tokens(&"x".repeat(length), "r1", Some(s(600))));
        assert_eq!(end.result.is_ok(), accepted, "{length}");
        assert_eq!(scene.stored.is_some(), accepted, "{length}");
    }
}
