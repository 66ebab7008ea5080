//! A flow whose lock another holder has, and which looks into the store without it.

use loginradius_proto::session::SessionMemory;
use loginradius_proto::{AccessToken, ErrorKind};

use loginradius_testing::*;

/// Makes a scene of a process that knows nothing yet, while another one refreshes that session.
fn joining(mut scene: Scene) -> Scene {
    scene.memory = SessionMemory::default();
    scene.locked_until = Some(scene.now.monotonic + HOUR);
    scene
}

/// Has the holder store a pair during the next wait, and keep the lock.
fn rotates_during_the_wait(scene: &mut Scene) {
    scene.on("wait", |scene| {
        let locked_until = scene.locked_until.take();
        scene.other_process(|scene| {
            scene.memory.reject(&AccessToken::new("a1"));
            scene.responds(200, &pair("a2", "r2"));
            assert_eq!(scene.refresh().token(), "a2");
        });
        scene.locked_until = locked_until;
        None
    });
}

#[test]
fn a_process_that_joins_during_an_early_refresh_gets_the_stored_token_at_once() {
    // An open intent is the holder's, and so is a backoff before it.
    for stored in [
        |_: &mut Scene| {},
        |scene: &mut Scene| {
            let at = Scene::millis(scene.now.wall);
            scene.edit(|record| record["intent"] = serde_json::json!({ "at_unix_ms": at, "attempt": 1 }));
        },
        |scene: &mut Scene| scene.set_backoff(scene.now.wall, scene.now.wall + s(60), 1),
    ] {
        let mut scene = Scene::signed_in(600);
        scene.pass(s(590));
        stored(&mut scene);
        let mut scene = joining(scene);
        let end = scene.refresh();
        assert_eq!(scene.log(), "lock, peek");
        assert_eq!(end.token(), "a1");
        assert_eq!(end.events(), "");
        // The next caller does not ask for the lock at once.
        assert_eq!(scene.cached(), "fresh a1");
        assert!(scene.lasts("fresh") >= s(1));
        assert!(scene.memory.is_signed_in());
    }
}

/// A process that has not known the expired token adopts nothing: the peek before shows it, and is no event.
#[test]
fn an_expired_token_is_replaced_as_soon_as_the_holder_has_stored_another_one() {
    for (knows_it, events) in [(true, "adopted"), (false, "")] {
        let mut scene = Scene::expired();
        let memory = scene.memory.clone();
        scene = joining(scene);
        if knows_it {
            scene.memory = memory;
        }
        rotates_during_the_wait(&mut scene);
        let end = scene.refresh();
        assert_eq!(scene.log(), "lock, peek, wait, lock, peek");
        assert_eq!((end.token().as_str(), end.events().as_str()), ("a2", events));
    }
}

#[test]
fn a_rejected_token_is_not_returned_from_the_store() {
    for knows_it in [false, true] {
        let mut scene = Scene::signed_in(600);
        let memory = scene.memory.clone();
        scene = joining(scene);
        if knows_it {
            scene.memory = memory;
        }
        scene.memory.reject(&AccessToken::new("a1"));
        rotates_during_the_wait(&mut scene);
        assert_eq!(scene.refresh().token(), "a2");
        assert_eq!(scene.log(), "lock, peek, wait, lock, peek", "knows it: {knows_it}");
    }
}

/// What else is there is decided under the lock: the holder may be about to change it.
#[test]
fn nothing_but_a_valid_token_ends_the_wait() {
    type Store = fn(&mut Scene);
    let rows: [(&str, Store); 8] = [
        ("no record", |scene| scene.stored = None),
        ("a damaged one", |scene| scene.stored = damaged()),
        ("another client's", |scene| scene.edit(|record| record["client_id"] = "another".into())),
        ("a newer program's", |scene| scene.edit(|record| record["version"] = 99.into())),
        ("a sign-out mark", |scene| scene.edit(|record| record["signing_out"] = true.into())),
        ("a rejection", |scene| scene.edit(|record| record["refused"] = "invalid_grant".into())),
        ("an expired token", |scene| scene.pass(HOUR)),
        ("a store that cannot read without the lock", |scene| {
            scene.on("peek", |_| Some(loginradius_proto::session::SessionInput::Peeked(None)));
        }),
    ];
    for (name, store) in rows {
        let mut scene = Scene::signed_in(600);
        store(&mut scene);
        let mut scene = joining(scene);
        scene.policy.lock_wait = s(0);
        let end = scene.refresh();
        assert_eq!(scene.log(), "lock, peek", "{name}");
        assert_eq!(end.kind(), ErrorKind::Unavailable, "{name}");
        assert!(end.error().to_string().contains("another process has the session's lock"), "{name}");
        assert_eq!(end.events(), "", "{name}");
    }
}

/// The memory stays as it was, and no event says that another process has refreshed.
#[test]
fn a_session_that_is_over_is_not_adopted_without_the_lock() {
    for (field, value) in [("signing_out", true.into()), ("refused", serde_json::Value::from("invalid_grant"))] {
        let mut scene = Scene::signed_in(600);
        scene.edit(|record| {
            record["access_token"] = "a2".into();
            record[field] = value;
        });
        scene.memory.reject(&AccessToken::new("a1"));
        scene.locked_until = Some(scene.now.monotonic + HOUR);
        scene.policy.lock_wait = s(0);
        let end = scene.refresh();
        assert_eq!((scene.log().as_str(), end.events().as_str()), ("lock, peek", ""), "{field}");
        assert_eq!(scene.memory.tokens(scene.now).unwrap().access_token.expose(), "a1", "{field}");
    }
}

#[test]
fn only_a_refresh_peeks() {
    for (name, job) in Scene::JOBS {
        let mut scene = Scene::signed_in(600);
        scene.locked_until = Some(scene.now.monotonic + s(1));
        scene.memory.reject(&AccessToken::new("a1"));
        scene.responds(200, &pair("a2", "r2"));
        scene.revokes(200, "");
        assert!(job(&mut scene).result.is_ok(), "{name}");
        assert_eq!(scene.log().contains("peek"), name == "refresh", "{name}: {}", scene.log());
    }
}

/// The save may still be done: what the store says now is not what it will say.
#[test]
fn after_a_start_or_a_sign_out_of_unknown_outcome_the_record_is_loaded_under_the_lock() {
    for (name, job, step) in [("start", Scene::JOBS[1].1, "pair"), ("forget", Scene::JOBS[3].1, "clear")] {
        let mut scene = Scene::signed_in(600);
        scene.outcome_unknown(step, false);
        scene.on("load", |_| None);
        scene.on("load", |_| loaded(unreadable()));
        assert!(job(&mut scene).result.is_err(), "{name}: {}", scene.log());
        scene.locked_until = Some(scene.now.monotonic + s(1));
        assert_eq!(scene.refresh().token(), "a1");
        assert!(!scene.log().contains("peek"), "{name}: {}", scene.log());
        assert!(scene.log().ends_with("lock, load, unlock"), "{name}: {}", scene.log());
    }
}

/// An unsaved pair is newer than what is stored.
#[test]
fn a_pair_that_is_not_saved_is_not_given_up_for_the_stored_one() {
    let mut scene = Scene::expired();
    scene.responds(200, &pair("a2", "r2"));
    scene.fails("pair");
    assert_eq!(scene.refresh().token(), "a2");
    scene.memory.set_lock_lost();
    scene.locked = false;
    scene.pass(HOUR);
    scene.locked_until = Some(scene.now.monotonic + s(1));
    scene.responds(200, &pair("a3", "r3"));
    assert_eq!(scene.refresh().token(), "a3");
    assert!(!scene.log().contains("peek"), "{}", scene.log());
}
