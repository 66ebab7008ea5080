//! The lock and the load.

use loginradius_proto::session::{LoadOutcome, SessionInput, SessionMemory, SessionStep};
use loginradius_proto::{Error, ErrorKind};

use crate::world::*;

fn unreadable() -> LoadOutcome {
    LoadOutcome::Failed(Error::try_later("the session's file cannot be read", "EIO"))
}

type Goal = (&'static str, fn(&mut World) -> End);

const GOALS: &[Goal] = &[
    ("token", World::token),
    ("sign in", |world| world.sign_in(tokens("b1", "q1", Some(s(600))))),
    ("sign out", World::sign_out),
    ("forget", World::forget),
];

// The lock

#[test]
fn a_busy_lock_is_waited_for_with_waits_that_grow() {
    let mut world = World::expired();
    world.busy_until = Some(world.now + s(2));
    world.answers(200, &pair("a2", "r2"));
    assert_eq!(world.token().token(), "a2");
    let longest = [5, 10, 20, 40, 80, 160, 160, 160].map(ms);
    for (wait, longest) in world.waits.iter().zip(longest) {
        assert!(*wait >= longest * 3 / 4 && *wait <= longest, "{:?}", world.waits);
    }
    assert!(world.waits.iter().all(|wait| *wait <= ms(160)));
    let waited = world.now - (start() + HOUR);
    assert!(waited >= s(2) && waited <= s(2) + ms(160), "{waited:?}");
    assert!(world.log().starts_with("lock, wait, lock, wait, lock, "));
    assert!(world.log().ends_with("lock, load, intent 1, send r1, pair r2, unlock"));
}

#[test]
fn the_waits_of_two_processes_differ() {
    let waits = || {
        let mut world = World::expired();
        let one = world.token_flow();
        world.busy_until = Some(world.now + s(1));
        world.answers(200, &pair("a2", "r2"));
        world.run(one);
        let first = world.waits.clone();
        let mut world = World::expired();
        world.token_flow();
        let other = world.token_flow();
        world.busy_until = Some(world.now + s(1));
        world.answers(200, &pair("a2", "r2"));
        world.run(other);
        (first, world.waits.clone())
    };
    let (one, other) = waits();
    assert_ne!(one, other);
    assert_eq!(waits(), (one, other));
}

#[test]
fn a_lock_that_stays_busy_is_given_up() {
    for lock_wait in [s(30), s(1), s(0)] {
        let mut world = World::expired();
        world.policy.lock_wait = lock_wait;
        world.busy_until = Some(world.now + HOUR);
        let before = world.now;
        let end = world.token();
        assert_eq!(end.kind(), ErrorKind::TryLater);
        assert_eq!(end.events(), "");
        let waited = world.now - before;
        assert!(waited >= lock_wait && waited <= lock_wait + ms(160), "{waited:?}");
        assert!(world.log().ends_with("lock"));
        if lock_wait.is_zero() {
            assert_eq!(world.log(), "lock");
        }
    }
}

#[test]
fn a_busy_lock_costs_nothing_while_the_token_lives() {
    let mut world = World::signed_in(600);
    world.pass(s(570));
    world.busy_until = Some(world.now + HOUR);
    let end = world.token();
    assert_eq!(world.log(), "lock");
    assert_eq!(end.token(), "a1");
    assert_eq!(end.events(), "");
    assert_eq!(world.handout(), "good a1");
}

#[test]
fn a_token_that_was_reported_is_worth_waiting_for_the_lock() {
    let mut world = World::signed_in(600);
    world.memory.report(&loginradius_proto::AccessToken::new("a1"));
    world.busy_until = Some(world.now + s(1));
    world.answers(200, &pair("a2", "r2"));
    assert_eq!(world.token().token(), "a2");
}

#[test]
fn a_busy_lock_does_not_end_a_sign_in() {
    let mut world = World::signed_in(600);
    world.busy_until = Some(world.now + s(2));
    let end = world.sign_in(tokens("b1", "q1", Some(s(600))));
    end.nothing();
    assert_eq!(end.events(), "signed in");
    assert_eq!(world.handout(), "good b1");
    assert_eq!(world.record()["refresh_token"], "q1");
}

#[test]
fn a_busy_lock_does_not_end_a_sign_out() {
    let mut world = World::signed_in(600);
    world.busy_until = Some(world.now + s(2));
    world.revokes(200, "");
    world.sign_out().nothing();
    assert_eq!(world.stored, Stored::Nothing);
    assert_eq!(world.handout(), "refresh");
}

#[test]
fn a_busy_lock_does_not_keep_a_session_from_being_forgotten() {
    let mut world = World::signed_in(600);
    world.busy_until = Some(world.now + s(2));
    world.forget().nothing();
    assert_eq!(world.stored, Stored::Nothing);
}

#[test]
fn a_lock_that_stays_busy_is_an_error_of_every_goal() {
    for (name, goal) in GOALS {
        let mut world = World::expired();
        let before = world.stored.clone();
        world.busy_until = Some(world.now + HOUR);
        let end = goal(&mut world);
        assert_eq!(end.kind(), ErrorKind::TryLater, "{name}");
        assert_eq!(world.stored, before, "{name}");
        assert_eq!(world.memory.unsaved().is_some(), *name == "sign in");
    }
}

#[test]
fn a_pause_while_another_refreshes_keeps_nobody_from_waiting() {
    let mut world = World::signed_in(100);
    world.pass(ms(99_500));
    world.busy_until = Some(world.now + s(5));
    let end = world.token();
    assert_eq!(end.token(), "a1");
    world.pass(ms(600));
    assert_eq!(world.handout(), "refresh");
}

#[test]
fn callers_are_let_be_each_time_that_the_lock_is_busy() {
    let mut world = World::signed_in(600);
    world.pass(s(570));
    world.busy_until = Some(world.now + s(20));
    for _ in 0..5 {
        assert_eq!(world.handout(), "early a1");
        assert_eq!(world.token().token(), "a1");
        assert_eq!(world.log(), "lock");
        assert_eq!(world.handout(), "good a1");
        assert_eq!(world.lasts("good"), s(1));
        world.pass(s(2));
    }
}

#[test]
fn callers_are_let_be_each_time_that_the_store_fails() {
    let mut world = World::signed_in(600);
    world.pass(s(570));
    for _ in 0..5 {
        assert_eq!(world.handout(), "early a1");
        world.on("load", |_| loaded(unreadable()));
        assert_eq!(world.token().token(), "a1");
        assert_eq!(world.handout(), "good a1");
        world.pass(s(2));
    }
}

#[test]
fn an_error_of_the_lock_is_an_error_of_the_flow() {
    for (name, goal) in GOALS {
        let mut world = World::expired();
        world.on("lock", |_| locked(Err(Error::settings("the folder of the locks cannot be written"))));
        let end = goal(&mut world);
        assert_eq!(world.log(), "lock", "{name}");
        assert_eq!(end.kind(), ErrorKind::Settings, "{name}");
    }
}

#[test]
fn an_error_of_the_lock_leaves_a_token_that_lives() {
    let mut world = World::signed_in(600);
    world.pass(s(570));
    world.on("lock", |_| locked(Err(Error::settings("the folder of the locks cannot be written"))));
    assert_eq!(world.token().token(), "a1");
    assert_eq!(world.handout(), "good a1");
}

// The load

#[test]
fn a_store_that_cannot_be_read_ends_nothing() {
    for (name, goal) in GOALS {
        let mut world = World::expired();
        let before = world.stored.clone();
        world.on("load", |_| loaded(unreadable()));
        let end = goal(&mut world);
        assert_eq!(world.log(), "lock, load, unlock", "{name}");
        assert_eq!(end.kind(), ErrorKind::TryLater, "{name}");
        assert_eq!(world.stored, before, "{name}");
        assert_eq!(end.events(), if *name == "sign in" { "unsaved" } else { "" }, "{name}");
        assert!(world.memory.tokens(world.now, world.clock).is_some(), "{name}");
    }
}

#[test]
fn a_store_that_cannot_be_read_leaves_a_token_that_lives_and_refreshes_nothing() {
    let mut world = World::signed_in(600);
    world.pass(s(570));
    world.on("load", |_| loaded(unreadable()));
    assert_eq!(world.token().token(), "a1");
    assert_eq!(world.log(), "lock, load, unlock");
}

#[test]
fn a_damaged_record_is_only_replaced_by_a_sign_in() {
    for (name, goal) in GOALS {
        let mut world = World::expired();
        world.stored = Stored::Damaged;
        let end = goal(&mut world);
        match *name {
            "sign in" => {
                assert_eq!(world.log(), "lock, load, pair q1, unlock");
                end.nothing();
                assert_eq!(end.events(), "signed in");
                assert_eq!(world.record()["refresh_token"], "q1");
            }
            "forget" => {
                assert_eq!(world.log(), "lock, load, clear, unlock");
                end.nothing();
                assert_eq!(world.stored, Stored::Nothing);
            }
            _ => {
                assert_eq!(world.log(), "lock, load, unlock", "{name}");
                assert_eq!(end.kind(), ErrorKind::Settings, "{name}");
                assert_eq!(world.stored, Stored::Damaged, "{name}");
            }
        }
    }
}

#[test]
fn a_damaged_record_leaves_a_token_that_lives() {
    let mut world = World::signed_in(600);
    world.pass(s(570));
    world.stored = Stored::Damaged;
    assert_eq!(world.token().token(), "a1");
}

#[test]
fn a_record_of_a_newer_version_is_left_as_it_is() {
    for (name, goal) in GOALS {
        let mut world = World::expired();
        world.edit(|record| record["version"] = 2.into());
        let before = world.stored.clone();
        let end = goal(&mut world);
        assert_eq!(end.kind(), ErrorKind::Settings, "{name}");
        assert_eq!(world.stored, before, "{name}");
        assert_eq!(world.log(), "lock, load, unlock", "{name}");
    }
}

#[test]
fn another_clients_session_is_left_as_it_is() {
    for (name, goal) in GOALS {
        let mut world = World::expired();
        world.edit(|record| record["client_id"] = "another\nclient".into());
        let before = world.stored.clone();
        world.memory = SessionMemory::default();
        let end = goal(&mut world);
        assert_eq!(world.log(), "lock, load, unlock", "{name}");
        assert_eq!(end.kind(), ErrorKind::Settings, "{name}");
        let line = end.error().to_string();
        assert!(line.contains("`another client`") && line.contains("`my-client-id`"), "{line}");
        assert_eq!(world.stored, before, "{name}");
    }
}

#[test]
fn another_clients_session_that_has_a_long_name_is_told_in_a_short_line() {
    let mut world = World::expired();
    world.edit(|record| record["client_id"] = "x".repeat(100_000).into());
    assert!(world.token().error().to_string().len() < 1_000);
}

// Suspended under the lock, which may be a lease

#[test]
fn what_was_locked_or_loaded_before_a_long_sleep_does_not_count() {
    for step in ["lock", "load"] {
        for which in ["both clocks", "the wall clock", "the monotonic clock"] {
            for (name, goal) in GOALS {
                let mut world = World::expired();
                world.on(step, move |world| {
                    match which {
                        "both clocks" => world.pass(s(31)),
                        "the wall clock" => world.clock += s(31),
                        _ => world.now += s(31),
                    }
                    None
                });
                world.answers(200, &pair("a2", "r2"));
                world.revokes(200, "");
                assert!(goal(&mut world).result.is_ok(), "{name}");
                let again =
                    if step == "lock" { "lock, unlock, lock, load, " } else { "lock, load, unlock, lock, load, " };
                assert!(world.log().starts_with(again), "{name}, {which}: {}", world.log());
            }
        }
    }
}

#[test]
fn a_sleep_between_an_outcome_and_the_next_step_is_one_too() {
    let mut world = World::expired();
    let mut flow = world.token_flow();
    assert!(matches!(flow.step(world.now, world.clock), SessionStep::Lock));
    flow.receive(SessionInput::Locked(Ok(true)), world.now, world.clock);
    world.pass(s(31));
    assert!(matches!(flow.step(world.now, world.clock), SessionStep::Unlock));
    flow.receive(SessionInput::Unlocked, world.now, world.clock);
    assert!(matches!(flow.step(world.now, world.clock), SessionStep::Lock));
}

#[test]
fn a_sleep_of_a_timeout_is_short_and_a_clock_set_back_is_none() {
    for sleep in [|world: &mut World| world.pass(s(30)), |world: &mut World| world.clock -= HOUR] {
        let mut world = World::expired();
        world.on("lock", move |world| {
            sleep(world);
            None
        });
        world.on("load", move |world| {
            sleep(world);
            None
        });
        world.answers(200, &pair("a2", "r2"));
        assert_eq!(world.token().token(), "a2");
        assert_eq!(world.log(), "lock, load, intent 1, send r1, pair r2, unlock");
    }
}

#[test]
fn whoever_sleeps_each_time_gives_up() {
    let mut world = World::expired();
    for _ in 0..50 {
        world.on("load", |world| {
            world.pass(s(31));
            None
        });
    }
    let end = world.token();
    assert_eq!(end.kind(), ErrorKind::TryLater);
    assert_eq!(world.sends(), 0);
}
