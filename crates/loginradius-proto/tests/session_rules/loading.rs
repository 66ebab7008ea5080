//! The lock and the load.

use loginradius_proto::session::{SessionInput, SessionMemory, SessionStep};
use loginradius_proto::{Error, ErrorKind};

use loginradius_testing::*;

// The lock

#[test]
fn a_taken_lock_is_waited_for_with_waits_that_grow() {
    let mut scene = Scene::expired();
    scene.locked_until = Some(scene.now.monotonic + s(2));
    scene.responds(200, &pair("a2", "r2"));
    assert_eq!(scene.refresh().token(), "a2");
    let full = [5, 10, 20, 40, 80, 160, 160, 160].map(ms);
    for (wait, full) in scene.waits.iter().zip(full) {
        assert!(*wait >= full * 3 / 4 && *wait <= full, "{:?}", scene.waits);
    }
    assert!(scene.waits.iter().all(|wait| *wait <= ms(160)));
    let waited = scene.now.monotonic - (start() + HOUR);
    assert!(waited >= s(2) && waited <= s(2) + ms(160), "{waited:?}");
    assert!(scene.log().starts_with("lock, peek, wait, lock, peek, wait, lock, "));
    assert!(scene.log().ends_with("lock, load, intent 1, send r1, pair r2, unlock"));
}

#[test]
fn the_waits_of_two_processes_differ() {
    let waits = || {
        let mut scene = Scene::expired();
        let one = scene.refresh_flow();
        scene.locked_until = Some(scene.now.monotonic + s(1));
        scene.responds(200, &pair("a2", "r2"));
        scene.run(one);
        let first = scene.waits.clone();
        let mut scene = Scene::expired();
        let _ = scene.refresh_flow();
        let other = scene.refresh_flow();
        scene.locked_until = Some(scene.now.monotonic + s(1));
        scene.responds(200, &pair("a2", "r2"));
        scene.run(other);
        (first, scene.waits.clone())
    };
    let (one, other) = waits();
    assert_ne!(one, other);
    assert_eq!(waits(), (one, other));
}

#[test]
fn a_lock_that_stays_taken_is_given_up() {
    for lock_wait in [s(30), s(1), s(0)] {
        let mut scene = Scene::expired();
        scene.policy.lock_wait = lock_wait;
        scene.locked_until = Some(scene.now.monotonic + HOUR);
        let before = scene.now.monotonic;
        let end = scene.refresh();
        assert_eq!(end.kind(), ErrorKind::Unavailable);
        assert_eq!(end.events(), "");
        let waited = scene.now.monotonic - before;
        assert!(waited >= lock_wait && waited <= lock_wait + ms(160), "{waited:?}");
        assert!(scene.log().ends_with("lock, peek"));
        if lock_wait.is_zero() {
            assert_eq!(scene.log(), "lock, peek");
        }
    }
}

#[test]
fn a_taken_lock_costs_nothing_while_the_token_is_fresh() {
    let mut scene = Scene::signed_in(600);
    scene.pass(s(570));
    scene.locked_until = Some(scene.now.monotonic + HOUR);
    let end = scene.refresh();
    assert_eq!(scene.log(), "lock");
    assert_eq!(end.token(), "a1");
    assert_eq!(end.events(), "");
    assert_eq!(scene.cached(), "fresh a1");
}

#[test]
fn for_a_token_in_place_of_a_rejected_one_the_lock_is_waited_for() {
    let mut scene = Scene::signed_in(600);
    scene.memory.reject(&loginradius_proto::AccessToken::new("a1"));
    scene.locked_until = Some(scene.now.monotonic + s(1));
    scene.responds(200, &pair("a2", "r2"));
    assert_eq!(scene.refresh().token(), "a2");
}

#[test]
fn a_taken_lock_does_not_end_a_start() {
    let mut scene = Scene::signed_in(600);
    scene.locked_until = Some(scene.now.monotonic + s(2));
    let end = scene.start(tokens("b1", "q1", Some(s(600))));
    end.ok();
    assert_eq!(end.events(), "started");
    assert_eq!(scene.cached(), "fresh b1");
    assert_eq!(scene.record()["refresh_token"], "q1");
}

#[test]
fn a_taken_lock_does_not_end_a_sign_out() {
    let mut scene = Scene::signed_in(600);
    scene.locked_until = Some(scene.now.monotonic + s(2));
    scene.revokes(200, "");
    scene.sign_out().ok();
    assert_eq!(scene.stored, None);
    assert_eq!(scene.cached(), "missing");
}

#[test]
fn a_taken_lock_does_not_end_a_forget() {
    let mut scene = Scene::signed_in(600);
    scene.locked_until = Some(scene.now.monotonic + s(2));
    scene.forget().ok();
    assert_eq!(scene.stored, None);
}

#[test]
fn a_lock_that_stays_taken_is_an_error_of_every_job() {
    for (name, job) in Scene::JOBS {
        let mut scene = Scene::expired();
        let before = scene.stored.clone();
        scene.locked_until = Some(scene.now.monotonic + HOUR);
        let end = job(&mut scene);
        assert_eq!(end.kind(), ErrorKind::Unavailable, "{name}");
        assert_eq!(scene.stored, before, "{name}");
        assert!(scene.memory.save_error().is_none(), "{name}");
    }
}

#[test]
fn a_pause_while_another_process_refreshes_does_not_outlast_the_token() {
    let mut scene = Scene::signed_in(100);
    scene.pass(ms(99_500));
    scene.locked_until = Some(scene.now.monotonic + s(5));
    let end = scene.refresh();
    assert_eq!(end.token(), "a1");
    scene.pass(ms(600));
    assert_eq!(scene.cached(), "missing");
}

#[test]
fn callers_get_the_cached_token_for_a_moment_each_time_that_the_lock_is_taken() {
    let mut scene = Scene::signed_in(600);
    scene.pass(s(570));
    scene.locked_until = Some(scene.now.monotonic + s(20));
    for _ in 0..5 {
        assert_eq!(scene.cached(), "refresh due a1");
        assert_eq!(scene.refresh().token(), "a1");
        assert_eq!(scene.log(), "lock");
        assert_eq!(scene.cached(), "fresh a1");
        assert_eq!(scene.lasts("fresh"), s(1));
        scene.pass(s(2));
    }
}

#[test]
fn callers_get_the_cached_token_for_a_moment_each_time_that_the_store_fails() {
    let mut scene = Scene::signed_in(600);
    scene.pass(s(570));
    for _ in 0..5 {
        assert_eq!(scene.cached(), "refresh due a1");
        scene.on("load", |_| loaded(unreadable()));
        assert_eq!(scene.refresh().token(), "a1");
        assert_eq!(scene.cached(), "fresh a1");
        scene.pass(s(2));
    }
}

#[test]
fn an_error_of_the_lock_is_an_error_of_the_flow() {
    for (name, job) in Scene::JOBS {
        let mut scene = Scene::expired();
        scene.on("lock", |_| locked(Err(Error::configuration("the folder of the locks cannot be written"))));
        let end = job(&mut scene);
        assert_eq!(scene.log(), "lock", "{name}");
        assert_eq!(end.kind(), ErrorKind::Configuration, "{name}");
    }
}

#[test]
fn an_error_of_the_lock_leaves_a_fresh_token() {
    let mut scene = Scene::signed_in(600);
    scene.pass(s(570));
    scene.on("lock", |_| locked(Err(Error::configuration("the folder of the locks cannot be written"))));
    assert_eq!(scene.refresh().token(), "a1");
    assert_eq!(scene.cached(), "fresh a1");
}

// The load

#[test]
fn a_store_that_cannot_be_read_ends_nothing() {
    for (name, job) in Scene::JOBS {
        let mut scene = Scene::expired();
        let before = scene.stored.clone();
        scene.on("load", |_| loaded(unreadable()));
        let end = job(&mut scene);
        assert_eq!(scene.log(), "lock, load, unlock", "{name}");
        assert_eq!(end.kind(), ErrorKind::Unavailable, "{name}");
        assert_eq!(scene.stored, before, "{name}");
        assert_eq!(end.events(), "", "{name}");
        assert!(scene.memory.tokens(scene.now).is_some(), "{name}");
    }
}

#[test]
fn a_store_that_cannot_be_read_leaves_a_fresh_token_and_refreshes_nothing() {
    let mut scene = Scene::signed_in(600);
    scene.pass(s(570));
    scene.on("load", |_| loaded(unreadable()));
    assert_eq!(scene.refresh().token(), "a1");
    assert_eq!(scene.log(), "lock, load, unlock");
}

#[test]
fn a_damaged_record_is_only_replaced_by_a_login() {
    for (name, job) in Scene::JOBS {
        let mut scene = Scene::expired();
        scene.stored = damaged();
        let end = job(&mut scene);
        match name {
            "start" => {
                assert_eq!(scene.log(), "lock, load, pair q1, unlock");
                end.ok();
                assert_eq!(end.events(), "started");
                assert_eq!(scene.record()["refresh_token"], "q1");
            }
            "forget" => {
                assert_eq!(scene.log(), "lock, load, clear, unlock");
                end.ok();
                assert_eq!(scene.stored, None);
            }
            _ => {
                assert_eq!(scene.log(), "lock, load, unlock", "{name}");
                assert_eq!(end.kind(), ErrorKind::RecordDamaged, "{name}");
                assert_eq!(scene.stored, damaged(), "{name}");
            }
        }
    }
}

#[test]
fn a_damaged_record_leaves_a_fresh_token() {
    let mut scene = Scene::signed_in(600);
    scene.pass(s(570));
    scene.stored = damaged();
    assert_eq!(scene.refresh().token(), "a1");
}

#[test]
fn another_clients_session_is_left_as_it_is() {
    for (name, job) in Scene::JOBS {
        let mut scene = Scene::expired();
        scene.edit(|record| record["client_id"] = "another\nclient".into());
        let before = scene.stored.clone();
        scene.memory = SessionMemory::default();
        let end = job(&mut scene);
        assert_eq!(scene.log(), "lock, load, unlock", "{name}");
        assert_eq!(end.kind(), ErrorKind::Configuration, "{name}");
        let line = end.error().to_string();
        assert!(line.contains("`another client`") && line.contains("`my-client-id`"), "{line}");
        assert_eq!(scene.stored, before, "{name}");
    }
}

#[test]
fn another_client_with_a_long_name_makes_a_short_line() {
    let mut scene = Scene::expired();
    scene.edit(|record| record["client_id"] = "x".repeat(100_000).into());
    assert!(scene.refresh().error().to_string().len() < 1_000);
}

// Suspended under the lock, which may be a lease

#[test]
fn what_was_locked_or_loaded_before_a_suspension_does_not_count() {
    for step in ["lock", "load"] {
        for which in ["both clocks", "the wall clock", "the monotonic clock"] {
            for (name, job) in Scene::JOBS {
                let mut scene = Scene::expired();
                scene.on(step, move |scene| {
                    match which {
                        "both clocks" => scene.pass(s(31)),
                        "the wall clock" => scene.now.wall += s(31),
                        _ => scene.now.monotonic += s(31),
                    }
                    None
                });
                scene.responds(200, &pair("a2", "r2"));
                scene.revokes(200, "");
                assert!(job(&mut scene).result.is_ok(), "{name}");
                let again =
                    if step == "lock" { "lock, unlock, lock, load, " } else { "lock, load, unlock, lock, load, " };
                assert!(scene.log().starts_with(again), "{name}, {which}: {}", scene.log());
            }
        }
    }
}

#[test]
fn a_suspension_between_an_outcome_and_the_next_step_is_one_too() {
    let mut scene = Scene::expired();
    let mut flow = scene.refresh_flow();
    assert!(matches!(flow.step(scene.now), SessionStep::Lock));
    flow.receive(SessionInput::Locked(Ok(true)), scene.now);
    scene.pass(s(31));
    assert!(matches!(flow.step(scene.now), SessionStep::Unlock));
    flow.receive(SessionInput::Unlocked, scene.now);
    assert!(matches!(flow.step(scene.now), SessionStep::Lock));
}

#[test]
fn a_suspension_before_the_lock_is_asked_for_costs_no_round() {
    let mut scene = Scene::expired();
    let mut flow = scene.refresh_flow();
    assert!(matches!(flow.step(scene.now), SessionStep::Lock));
    flow.receive(SessionInput::Locked(Ok(false)), scene.now);
    assert!(matches!(flow.step(scene.now), SessionStep::Peek));
    flow.receive(SessionInput::Peeked(None), scene.now);
    assert!(matches!(flow.step(scene.now), SessionStep::Wait(_)));
    scene.pass(s(31));
    assert!(matches!(flow.step(scene.now), SessionStep::Lock));
    flow.receive(SessionInput::Locked(Ok(true)), scene.now);
    assert!(matches!(flow.step(scene.now), SessionStep::Load));
}

#[test]
fn a_suspension_during_an_attempt_to_lock_is_noticed_however_often_the_flow_is_stepped() {
    let mut scene = Scene::expired();
    let mut flow = scene.refresh_flow();
    assert!(matches!(flow.step(scene.now), SessionStep::Lock));
    scene.pass(s(31));
    assert!(matches!(flow.step(scene.now), SessionStep::Lock));
    assert!(matches!(flow.step(scene.now), SessionStep::Lock));
    flow.receive(SessionInput::Locked(Ok(true)), scene.now);
    assert!(matches!(flow.step(scene.now), SessionStep::Unlock));
}

#[test]
fn a_pause_of_a_timeout_is_no_suspension_nor_is_a_clock_set_back() {
    for pause in [|scene: &mut Scene| scene.pass(s(30)), |scene: &mut Scene| scene.now.wall -= HOUR] {
        let mut scene = Scene::expired();
        scene.on("lock", move |scene| {
            pause(scene);
            None
        });
        scene.on("load", move |scene| {
            pause(scene);
            None
        });
        scene.responds(200, &pair("a2", "r2"));
        assert_eq!(scene.refresh().token(), "a2");
        assert_eq!(scene.log(), "lock, load, intent 1, send r1, pair r2, unlock");
    }
}

#[test]
fn a_process_that_is_suspended_at_each_load_gives_up() {
    let mut scene = Scene::expired();
    for _ in 0..50 {
        scene.on("load", |scene| {
            scene.pass(s(31));
            None
        });
    }
    let end = scene.refresh();
    assert_eq!(end.kind(), ErrorKind::Unavailable);
    assert_eq!(scene.sends(), 0);
}
