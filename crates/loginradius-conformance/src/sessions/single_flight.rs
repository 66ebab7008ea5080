//! Many callers, one refresh.

use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use loginradius_emulator::{Fault, Operation};
use loginradius_proto::session::SessionEvent;
use loginradius_proto::{AccessToken, ErrorKind, TokenSet};

use super::{ADA, Age, World, assert_kind, assert_token, at_once, eventually, tokens, word};
use crate::adapter::{Adapter, Settings};
use crate::cases::cases;
use crate::operations::app;
use crate::server::{Server, json};
use crate::session::{OnEvent, Session, SessionSettings, Sessions};
use crate::store::Store;

const SLOW: Duration = Duration::from_millis(150);

/// Long enough for a slow server, and not for two.
fn is_quick(since: Instant) -> bool {
    since.elapsed() < SLOW * 2 / 3
}

fn fifty_callers_cause_one_refresh<A: Adapter>() {
    let world = World::<A>::new();
    let (session, old) = world.signed_in(ADA, Age::Over);
    world.emulator.fault(Operation::Refresh, Fault::Delay(SLOW));
    let results = at_once(50, |_| session.access_token());
    let token = session.access_token().unwrap();
    assert!(world.is_live(&token) && token.expose() != old.expose());
    for result in results {
        assert_token(result, &token);
    }
    assert_eq!(world.asked_to_refresh(), 1);
    world.events.expect(ADA, &["signed in", "rotated"]);
    world.assert_nothing_lost(ADA);
}

fn fifty_callers_share_one_error<A: Adapter>() {
    let world = World::<A>::new();
    let (session, _) = world.signed_in(ADA, Age::Over);
    world.emulator.fault(Operation::Refresh, Fault::Status(503));
    let errors = at_once(50, |_| assert_kind(session.access_token(), ErrorKind::Unavailable).to_string());
    assert!(errors.iter().all(|error| *error == errors[0]), "{errors:?}");
    assert_eq!(world.asked_to_refresh(), 1);
}

fn a_hundred_callers_with_a_rejected_token_cause_one_refresh<A: Adapter>() {
    let world = World::<A>::new();
    let (session, dead) = world.signed_in(ADA, Age::Good);
    world.emulator.expire_access_tokens();
    world.emulator.fault(Operation::Refresh, Fault::Delay(SLOW));
    let results = at_once(100, |_| session.refresh_rejected(&dead));
    let token = session.access_token().unwrap();
    for result in results {
        assert_token(result, &token);
    }
    assert!(world.is_live(&token));
    assert_eq!(world.asked_to_refresh(), 1);
    world.assert_nothing_lost(ADA);
}

/// From then on nobody gets it, not even while its refresh fails.
fn a_rejected_token_is_not_returned_again<A: Adapter>() {
    let world = World::<A>::new();
    let (session, dead) = world.signed_in(ADA, Age::Good);
    world.emulator.fault(Operation::Refresh, Fault::DropBefore);
    assert_kind(session.refresh_rejected(&dead), ErrorKind::Unavailable);
    let before = world.store.counts();
    assert_kind(session.access_token(), ErrorKind::Unavailable);
    assert_kind(session.refresh_rejected(&dead), ErrorKind::Unavailable);
    assert_eq!(world.asked_to_refresh(), 1, "failures are not hammered");
    assert_eq!(world.store.counts(), before, "nor is the store");
}

/// The same while the refresh is on its way: who asks for a token then waits for the new one.
fn a_rejected_token_is_not_returned_during_its_refresh<A: Adapter>() {
    let world = World::<A>::new();
    let (session, dead) = world.signed_in(ADA, Age::Good);
    world.emulator.fault(Operation::Refresh, Fault::Delay(SLOW));
    thread::scope(|scope| {
        let first = scope.spawn(|| session.refresh_rejected(&dead).unwrap());
        world.wait_for(Operation::Refresh, 1);
        let second = session.access_token().unwrap();
        assert_token(Ok(second), &first.join().unwrap());
    });
    assert_eq!(world.asked_to_refresh(), 1);
}

fn rejecting_an_older_token_refreshes_nothing<A: Adapter>() {
    let world = World::<A>::new();
    let (session, first) = world.signed_in(ADA, Age::Good);
    let second = session.refresh_rejected(&first).unwrap();
    let before = world.store.counts();
    assert_token(session.refresh_rejected(&first), &second);
    assert_token(session.refresh_rejected(&AccessToken::new("never seen")), &second);
    assert_eq!((world.asked_to_refresh(), world.store.counts()), (1, before));
    // Nor does it in a process that has not looked into the store yet.
    let (sessions, _) = world.another_process();
    assert_token(sessions.session(ADA).refresh_rejected(&first), &second);
    assert_eq!(world.asked_to_refresh(), 1);
    // Nor one whose end is near: that is for those who ask for a token.
    let early = tokens(&world.emulator, Age::Early);
    session.start(&early).unwrap();
    assert_token(session.refresh_rejected(&second), &early.access_token);
    assert_eq!(world.asked_to_refresh(), 1);
}

/// Those who come at the very end of a refresh see what it brought: the store is not asked once more.
fn a_caller_at_the_end_of_a_refresh_gets_its_result<A: Adapter>() {
    let world = World::<A>::new();
    world.emulator.fault(Operation::Refresh, Fault::Delay(Duration::from_millis(5)));
    for round in 0..25 {
        let name = round.to_string();
        let (session, old) = world.signed_in(&name, Age::Early);
        let before = world.store.counts().locks;
        at_once(4, |_| while session.access_token().unwrap().expose() == old.expose() {});
        assert_eq!(world.store.counts().locks, before + 1, "in round {round}");
    }
    assert_eq!(world.asked_to_refresh(), 25);
}

fn refresh_rejected_joins_the_refresh_of_another_caller<A: Adapter>() {
    for age in [Age::Over, Age::Early] {
        let world = World::<A>::new();
        let (session, old) = world.signed_in(ADA, age);
        world.emulator.fault(Operation::Refresh, Fault::Delay(SLOW));
        thread::scope(|scope| {
            let first = scope.spawn(|| session.access_token().unwrap());
            world.wait_for(Operation::Refresh, 1);
            let second = session.refresh_rejected(&old).unwrap();
            assert_token(Ok(second), &first.join().unwrap());
        });
        assert_eq!(world.asked_to_refresh(), 1);
        world.assert_nothing_lost(ADA);
    }
}

/// And its error: nobody looks into the store for that once more.
fn refresh_rejected_shares_the_error_of_another_caller<A: Adapter>() {
    let world = World::<A>::new();
    let (session, old) = world.signed_in(ADA, Age::Over);
    world.emulator.end_all_logins();
    world.emulator.fault(Operation::Refresh, Fault::Delay(SLOW));
    let locks = world.store.counts().locks;
    thread::scope(|scope| {
        let first = scope.spawn(|| session.access_token());
        world.wait_for(Operation::Refresh, 1);
        assert_kind(session.refresh_rejected(&old), ErrorKind::SignInRequired);
        assert_kind(first.join().unwrap(), ErrorKind::SignInRequired);
    });
    assert_eq!((world.asked_to_refresh(), world.store.counts().locks), (1, locks + 1));
}

/// An early refresh that fails ends with the old token, and that is no answer to whom it has failed.
fn joining_a_failed_refresh_does_not_return_the_rejected_token<A: Adapter>() {
    let world = World::<A>::graceful(&Settings { timeout: SLOW, ..Settings::default() });
    let (session, old) = world.signed_in(ADA, Age::Early);
    world.emulator.fault(Operation::Refresh, Fault::SlowDrip { pause: Duration::from_millis(20) });
    thread::scope(|scope| {
        let first = scope.spawn(|| session.access_token());
        world.wait_for(Operation::Refresh, 1);
        assert_kind(session.refresh_rejected(&old), ErrorKind::Unavailable);
        assert_token(first.join().unwrap(), &old);
    });
    assert_eq!(world.asked_to_refresh(), 1);
}

fn a_refresh_that_yields_the_same_token_does_not_loop<A: Adapter>() {
    let server = Server::answering(|_| {
        thread::sleep(SLOW);
        json("200 OK", r#"{"access_token":"same","expires_in":3600,"refresh_token":"next"}"#)
    });
    let client = A::new(app(&server.url()), &Settings::default()).unwrap();
    let session = client.sessions(Store::new(), &SessionSettings::default()).session(ADA);
    let mut tokens = TokenSet::new("same");
    tokens.refresh_token = Some("first".into());
    session.start(&tokens).unwrap();
    let same = AccessToken::new("same");
    for result in at_once(20, |_| session.refresh_rejected(&same)) {
        assert_token(result, &same);
    }
    // One, unless this machine was too slow to let all come at once.
    let requests = server.requests().len();
    assert!(requests <= 3, "{requests} requests for one dead token");
}

fn only_the_leader_waits_for_an_early_refresh<A: Adapter>() {
    let world = World::<A>::new();
    let (session, old) = world.signed_in(ADA, Age::Early);
    world.emulator.fault(Operation::Refresh, Fault::Delay(SLOW));
    thread::scope(|scope| {
        let first = scope.spawn(|| session.access_token().unwrap());
        world.wait_for(Operation::Refresh, 1);
        let since = Instant::now();
        for result in at_once(10, |_| session.access_token()) {
            assert_token(result, &old);
        }
        assert!(is_quick(since), "the old token was good");
        let token = first.join().unwrap();
        assert!(world.is_live(&token) && token.expose() != old.expose(), "who begins it waits for it");
        assert_token(session.access_token(), &token);
    });
    assert_eq!(world.asked_to_refresh(), 1);
    world.assert_nothing_lost(ADA);
}

fn early_refresh_can_be_turned_off<A: Adapter>() {
    let settings = SessionSettings { early_refresh: Some(Duration::ZERO), ..SessionSettings::default() };
    let world = World::<A>::sessions(&settings);
    let (session, token) = world.signed_in(ADA, Age::Early);
    assert_token(session.access_token(), &token);
    let (session, token) = world.signed_in("over", Age::Over);
    assert!(session.access_token().unwrap().expose() != token.expose());
    assert_eq!(world.asked_to_refresh(), 1);
}

/// The old token, and no second attempt at once: neither here nor in another process.
fn a_failed_early_refresh_keeps_the_old_token<A: Adapter>() {
    let world = World::<A>::new();
    let (session, token) = world.signed_in(ADA, Age::Early);
    world.emulator.fault(Operation::Refresh, Fault::Status(503));
    for _ in 0..10 {
        assert_token(session.access_token(), &token);
    }
    let (sessions, _) = world.another_process();
    assert_token(sessions.session(ADA).access_token(), &token);
    assert_eq!(world.asked_to_refresh(), 1);
    world.events.expect(ADA, &["signed in", "retried"]);
    // Later it is tried again.
    world.emulator.clear_faults();
    thread::sleep(Duration::from_millis(1100));
    assert!(session.access_token().unwrap().expose() != token.expose());
    world.assert_nothing_lost(ADA);
}

/// Another user's refresh is nobody else's business.
fn sessions_do_not_wait_for_each_other<A: Adapter>() {
    let world = World::<A>::new();
    let (slow, _) = world.signed_in("slow", Age::Over);
    let (quick, _) = world.signed_in("quick", Age::Over);
    world.emulator.fault_times(Operation::Refresh, Fault::Delay(SLOW * 2), 1);
    thread::scope(|scope| {
        let first = scope.spawn(|| slow.access_token().unwrap());
        world.wait_for(Operation::Refresh, 1);
        let since = Instant::now();
        quick.access_token().unwrap();
        assert!(is_quick(since), "{:?}", since.elapsed());
        assert!(!first.is_finished());
        first.join().unwrap();
    });
    assert_eq!(world.asked_to_refresh(), 2);
}

/// Processes share a refresh by way of the store.
fn eight_processes_cause_one_refresh<A: Adapter>() {
    let world = World::<A>::new();
    world.signed_in(ADA, Age::Over);
    world.emulator.fault(Operation::Refresh, Fault::Delay(Duration::from_millis(30)));
    let all: Vec<_> = (0..8).map(|_| world.client.sessions(world.store.clone(), &SessionSettings::default())).collect();
    let results = at_once(24, |number| all[number % 8].session(ADA).access_token());
    let (sessions, _) = world.another_process();
    let token = sessions.session(ADA).access_token().unwrap();
    for result in results {
        assert_token(result, &token);
    }
    assert_eq!(world.asked_to_refresh(), 1);
    world.assert_nothing_lost(ADA);
}

/// Everything at once, for a while: whatever comes of it, no token is spent twice.
fn concurrent_callers_replay_nothing<A: Adapter>() {
    let world = World::<A>::new();
    let (one, _) = world.signed_in(ADA, Age::Over);
    let (sessions, _) = world.another_process();
    let other = sessions.session(ADA);
    at_once(8, |number| {
        let session = if number % 2 == 0 { &one } else { &other };
        let mut token = AccessToken::new("none yet");
        for turn in 0..6 {
            let result =
                if (turn + number) % 3 == 0 { session.access_token() } else { session.refresh_rejected(&token) };
            match result {
                Ok(next) => token = next,
                // The other process had the lock for longer than this one waits.
                Err(error) => assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}"),
            }
        }
    });
    assert!(world.emulator.refreshes() > 0);
    assert!(world.is_live(&one.access_token().unwrap()));
    world.assert_nothing_lost(ADA);
}

/// A callback that takes its time keeps nobody from the token.
fn a_slow_callback_does_not_delay_the_token<A: Adapter>() {
    let (told, hears) = mpsc::channel();
    let (goes_on, waits) = mpsc::channel::<()>();
    let waits = Mutex::new(waits);
    let on_event: OnEvent = Arc::new(move |_, event| {
        if let SessionEvent::Refreshed = event {
            told.send(()).unwrap();
            let _ = waits.lock().unwrap().recv_timeout(Duration::from_secs(2));
        }
    });
    let world = World::<A>::sessions(&SessionSettings { on_event: Some(on_event), ..SessionSettings::default() });
    let (session, old) = world.signed_in(ADA, Age::Over);
    thread::scope(|scope| {
        let first = scope.spawn(|| session.access_token().unwrap());
        hears.recv_timeout(Duration::from_secs(2)).unwrap();
        let since = Instant::now();
        let token = session.access_token().unwrap();
        assert!(is_quick(since), "the callback held the token back");
        assert_token(session.refresh_rejected(&old), &token);
        // Nor the next refresh, nor the store's lock.
        assert!(!world.store.is_locked(ADA));
        goes_on.send(()).unwrap();
        assert_token(Ok(first.join().unwrap()), &token);
    });
    assert_eq!(world.asked_to_refresh(), 1);
}

/// What happened first is told first, also if it takes its time to be told.
fn events_are_notified_in_order<A: Adapter>() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let tells = Arc::clone(&told);
    let on_event: OnEvent = Arc::new(move |_, event| {
        let word = word(event);
        if word == "rotated" {
            thread::sleep(SLOW);
        }
        tells.lock().unwrap().push(word);
    });
    let world = World::<A>::sessions(&SessionSettings { on_event: Some(on_event), ..SessionSettings::default() });
    let (session, old) = world.signed_in(ADA, Age::Over);
    thread::scope(|scope| {
        scope.spawn(|| session.access_token().unwrap());
        world.wait_for(Operation::Refresh, 1);
        session.refresh_rejected(&old).unwrap();
        session.forget().unwrap();
    });
    assert!(eventually(|| told.lock().unwrap().len() == 3));
    assert_eq!(*told.lock().unwrap(), ["signed in", "rotated", "signed out"]);
}

/// A refresh begins for a caller that waits for it, never by itself.
fn no_refresh_begins_without_a_caller<A: Adapter>() {
    let world = World::<A>::new();
    let (session, _) = world.signed_in(ADA, Age::Early);
    world.client.idle(Duration::from_millis(150));
    assert_eq!(world.emulator.requests().len(), 0);
    session.start(&tokens(&world.emulator, Age::Over)).unwrap();
    world.client.idle(Duration::from_millis(150));
    assert_eq!(world.emulator.requests().len(), 0);
}

cases!(($) session_single_flight session_single_flight_cases {
    fifty_callers_cause_one_refresh,
    fifty_callers_share_one_error,
    a_hundred_callers_with_a_rejected_token_cause_one_refresh,
    a_rejected_token_is_not_returned_again,
    a_rejected_token_is_not_returned_during_its_refresh,
    rejecting_an_older_token_refreshes_nothing,
    a_caller_at_the_end_of_a_refresh_gets_its_result,
    refresh_rejected_joins_the_refresh_of_another_caller,
    refresh_rejected_shares_the_error_of_another_caller,
    joining_a_failed_refresh_does_not_return_the_rejected_token,
    a_refresh_that_yields_the_same_token_does_not_loop,
    only_the_leader_waits_for_an_early_refresh,
    early_refresh_can_be_turned_off,
    a_failed_early_refresh_keeps_the_old_token,
    sessions_do_not_wait_for_each_other,
    eight_processes_cause_one_refresh,
    concurrent_callers_replay_nothing,
    a_slow_callback_does_not_delay_the_token,
    events_are_notified_in_order,
    no_refresh_begins_without_a_caller,
});
