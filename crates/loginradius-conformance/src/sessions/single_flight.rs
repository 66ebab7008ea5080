//! Single flight: many callers, one refresh.

use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use loginradius_emulator::{Fault, Operation};
use loginradius_proto::session::SessionEvent;
use loginradius_proto::{AccessToken, ErrorKind, TokenSet};

use super::{ADA, Age, Fixture, assert_kind, assert_token, at_once, eventually, tokens, word};
use crate::adapter::{Adapter, Settings};
use crate::cases::cases;
use crate::operations::app;
use crate::server::{Server, json};
use crate::session::{OnEvent, Session, SessionSettings, Sessions};
use crate::store::Store;

const SLOW: Duration = Duration::from_millis(150);

/// Returns whether a call has not waited for the slow server.
fn is_quick(since: Instant) -> bool {
    since.elapsed() < SLOW * 2 / 3
}

fn fifty_callers_cause_one_refresh<A: Adapter>() {
    let fixture = Fixture::<A>::new();
    let (session, old) = fixture.signed_in(ADA, Age::Expired);
    fixture.emulator.fault(Operation::Refresh, Fault::Delay(SLOW));
    let results = at_once(50, |_| session.access_token());
    let token = session.access_token().unwrap();
    assert!(fixture.is_live(&token) && token.expose() != old.expose());
    for result in results {
        assert_token(result, &token);
    }
    assert_eq!(fixture.refresh_requests(), 1);
    fixture.events.expect(ADA, &["started", "refreshed"]);
    fixture.assert_nothing_lost(ADA);
}

fn fifty_callers_share_one_error<A: Adapter>() {
    let fixture = Fixture::<A>::new();
    let (session, _) = fixture.signed_in(ADA, Age::Expired);
    fixture.emulator.fault(Operation::Refresh, Fault::Status(503));
    let errors = at_once(50, |_| assert_kind(session.access_token(), ErrorKind::Unavailable).to_string());
    assert!(errors.iter().all(|error| *error == errors[0]), "{errors:?}");
    assert_eq!(fixture.refresh_requests(), 1);
}

fn a_hundred_callers_with_a_rejected_token_cause_one_refresh<A: Adapter>() {
    let fixture = Fixture::<A>::new();
    let (session, rejected) = fixture.signed_in(ADA, Age::Fresh);
    fixture.emulator.expire_access_tokens();
    fixture.emulator.fault(Operation::Refresh, Fault::Delay(SLOW));
    let results = at_once(100, |_| session.refresh_rejected(&rejected));
    let token = session.access_token().unwrap();
    for result in results {
        assert_token(result, &token);
    }
    assert!(fixture.is_live(&token));
    assert_eq!(fixture.refresh_requests(), 1);
    fixture.assert_nothing_lost(ADA);
}

/// Not even while its refresh fails.
fn a_rejected_token_is_not_returned_again<A: Adapter>() {
    let fixture = Fixture::<A>::new();
    let (session, rejected) = fixture.signed_in(ADA, Age::Fresh);
    fixture.emulator.fault(Operation::Refresh, Fault::DropBefore);
    assert_kind(session.refresh_rejected(&rejected), ErrorKind::Unavailable);
    let before = fixture.store.counts();
    assert_kind(session.access_token(), ErrorKind::Unavailable);
    assert_kind(session.refresh_rejected(&rejected), ErrorKind::Unavailable);
    assert_eq!(fixture.refresh_requests(), 1, "no request is sent during the backoff");
    assert_eq!(fixture.store.counts(), before, "nor is the store called");
}

/// A caller of `access_token` waits for the new one.
fn a_rejected_token_is_not_returned_during_its_refresh<A: Adapter>() {
    let fixture = Fixture::<A>::new();
    let (session, rejected) = fixture.signed_in(ADA, Age::Fresh);
    fixture.emulator.fault(Operation::Refresh, Fault::Delay(SLOW));
    thread::scope(|scope| {
        let first = scope.spawn(|| session.refresh_rejected(&rejected).unwrap());
        fixture.wait_for(Operation::Refresh, 1);
        let second = session.access_token().unwrap();
        assert_token(Ok(second), &first.join().unwrap());
    });
    assert_eq!(fixture.refresh_requests(), 1);
}

fn rejecting_an_older_token_refreshes_nothing<A: Adapter>() {
    let fixture = Fixture::<A>::new();
    let (session, first) = fixture.signed_in(ADA, Age::Fresh);
    let second = session.refresh_rejected(&first).unwrap();
    let before = fixture.store.counts();
    assert_token(session.refresh_rejected(&first), &second);
    assert_token(session.refresh_rejected(&AccessToken::new("never seen")), &second);
    assert_eq!((fixture.refresh_requests(), fixture.store.counts()), (1, before));
    // Nor does it in a process that has not loaded the record yet.
    let (sessions, _) = fixture.another_process();
    assert_token(sessions.session(ADA).refresh_rejected(&first), &second);
    assert_eq!(fixture.refresh_requests(), 1);
    // Nor if an early refresh is due: `access_token` makes that one.
    let due = tokens(&fixture.emulator, Age::RefreshDue);
    session.start(&due).unwrap();
    assert_token(session.refresh_rejected(&second), &due.access_token);
    assert_eq!(fixture.refresh_requests(), 1);
}

/// It does not load the record once more.
fn a_caller_at_the_end_of_a_refresh_gets_its_result<A: Adapter>() {
    let fixture = Fixture::<A>::new();
    fixture.emulator.fault(Operation::Refresh, Fault::Delay(Duration::from_millis(5)));
    for round in 0..25 {
        let name = round.to_string();
        let (session, old) = fixture.signed_in(&name, Age::RefreshDue);
        let before = fixture.store.counts().locks;
        at_once(4, |_| while session.access_token().unwrap().expose() == old.expose() {});
        assert_eq!(fixture.store.counts().locks, before + 1, "in round {round}");
    }
    assert_eq!(fixture.refresh_requests(), 25);
}

fn refresh_rejected_joins_the_refresh_of_another_caller<A: Adapter>() {
    for age in [Age::Expired, Age::RefreshDue] {
        let fixture = Fixture::<A>::new();
        let (session, old) = fixture.signed_in(ADA, age);
        fixture.emulator.fault(Operation::Refresh, Fault::Delay(SLOW));
        thread::scope(|scope| {
            let first = scope.spawn(|| session.access_token().unwrap());
            fixture.wait_for(Operation::Refresh, 1);
            let second = session.refresh_rejected(&old).unwrap();
            assert_token(Ok(second), &first.join().unwrap());
        });
        assert_eq!(fixture.refresh_requests(), 1);
        fixture.assert_nothing_lost(ADA);
    }
}

/// It does not load the record once more.
fn refresh_rejected_shares_the_error_of_another_caller<A: Adapter>() {
    let fixture = Fixture::<A>::new();
    let (session, old) = fixture.signed_in(ADA, Age::Expired);
    fixture.emulator.end_all_logins();
    fixture.emulator.fault(Operation::Refresh, Fault::Delay(SLOW));
    let locks = fixture.store.counts().locks;
    thread::scope(|scope| {
        let first = scope.spawn(|| session.access_token());
        fixture.wait_for(Operation::Refresh, 1);
        assert_kind(session.refresh_rejected(&old), ErrorKind::SignInRequired);
        assert_kind(first.join().unwrap(), ErrorKind::SignInRequired);
    });
    assert_eq!((fixture.refresh_requests(), fixture.store.counts().locks), (1, locks + 1));
}

/// A failed early refresh yields the old token, which is no result for the caller to whom it was rejected.
fn joining_a_failed_refresh_does_not_return_the_rejected_token<A: Adapter>() {
    let fixture = Fixture::<A>::graceful(&Settings { timeout: SLOW, ..Settings::default() });
    let (session, old) = fixture.signed_in(ADA, Age::RefreshDue);
    fixture.emulator.fault(Operation::Refresh, Fault::SlowDrip { pause: Duration::from_millis(20) });
    thread::scope(|scope| {
        let first = scope.spawn(|| session.access_token());
        fixture.wait_for(Operation::Refresh, 1);
        assert_kind(session.refresh_rejected(&old), ErrorKind::Unavailable);
        assert_token(first.join().unwrap(), &old);
    });
    assert_eq!(fixture.refresh_requests(), 1);
}

fn a_refresh_that_yields_the_same_token_does_not_loop<A: Adapter>() {
    let server = Server::responding(|_| {
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
    // One, unless the machine is too slow to start all callers at once.
    let requests = server.requests().len();
    assert!(requests <= 3, "{requests} requests for one rejected token");
}

fn only_the_leader_waits_for_an_early_refresh<A: Adapter>() {
    let fixture = Fixture::<A>::new();
    let (session, old) = fixture.signed_in(ADA, Age::RefreshDue);
    fixture.emulator.fault(Operation::Refresh, Fault::Delay(SLOW));
    thread::scope(|scope| {
        let first = scope.spawn(|| session.access_token().unwrap());
        fixture.wait_for(Operation::Refresh, 1);
        let since = Instant::now();
        for result in at_once(10, |_| session.access_token()) {
            assert_token(result, &old);
        }
        assert!(is_quick(since), "the old token was valid");
        let token = first.join().unwrap();
        assert!(fixture.is_live(&token) && token.expose() != old.expose(), "the leader gets the new token");
        assert_token(session.access_token(), &token);
    });
    assert_eq!(fixture.refresh_requests(), 1);
    fixture.assert_nothing_lost(ADA);
}

fn early_refresh_can_be_turned_off<A: Adapter>() {
    let settings = SessionSettings { early_refresh: Some(Duration::ZERO), ..SessionSettings::default() };
    let fixture = Fixture::<A>::sessions(&settings);
    let (session, token) = fixture.signed_in(ADA, Age::RefreshDue);
    assert_token(session.access_token(), &token);
    let (session, token) = fixture.signed_in("expired", Age::Expired);
    assert!(session.access_token().unwrap().expose() != token.expose());
    assert_eq!(fixture.refresh_requests(), 1);
}

/// There is no second attempt during the backoff, neither in this process nor in another.
fn a_failed_early_refresh_keeps_the_old_token<A: Adapter>() {
    let fixture = Fixture::<A>::new();
    let (session, token) = fixture.signed_in(ADA, Age::RefreshDue);
    fixture.emulator.fault(Operation::Refresh, Fault::Status(503));
    for _ in 0..10 {
        assert_token(session.access_token(), &token);
    }
    let (sessions, _) = fixture.another_process();
    assert_token(sessions.session(ADA).access_token(), &token);
    assert_eq!(fixture.refresh_requests(), 1);
    fixture.events.expect(ADA, &["started", "request failed"]);
    // It is retried after the backoff.
    fixture.emulator.clear_faults();
    thread::sleep(Duration::from_millis(1100));
    assert!(session.access_token().unwrap().expose() != token.expose());
    fixture.assert_nothing_lost(ADA);
}

fn sessions_do_not_wait_for_each_other<A: Adapter>() {
    let fixture = Fixture::<A>::new();
    let (slow, _) = fixture.signed_in("slow", Age::Expired);
    let (quick, _) = fixture.signed_in("quick", Age::Expired);
    fixture.emulator.fault_times(Operation::Refresh, Fault::Delay(SLOW * 2), 1);
    thread::scope(|scope| {
        let first = scope.spawn(|| slow.access_token().unwrap());
        fixture.wait_for(Operation::Refresh, 1);
        let since = Instant::now();
        quick.access_token().unwrap();
        assert!(is_quick(since), "{:?}", since.elapsed());
        assert!(!first.is_finished());
        first.join().unwrap();
    });
    assert_eq!(fixture.refresh_requests(), 2);
}

/// They share it through the store.
fn eight_processes_cause_one_refresh<A: Adapter>() {
    let fixture = Fixture::<A>::new();
    fixture.signed_in(ADA, Age::Expired);
    fixture.emulator.fault(Operation::Refresh, Fault::Delay(Duration::from_millis(30)));
    let all: Vec<_> =
        (0..8).map(|_| fixture.client.sessions(fixture.store.clone(), &SessionSettings::default())).collect();
    let results = at_once(24, |number| all[number % 8].session(ADA).access_token());
    let (sessions, _) = fixture.another_process();
    let token = sessions.session(ADA).access_token().unwrap();
    for result in results {
        assert_token(result, &token);
    }
    assert_eq!(fixture.refresh_requests(), 1);
    fixture.assert_nothing_lost(ADA);
}

/// In two processes and eight threads, with both kinds of call: no refresh token is redeemed twice.
fn concurrent_callers_replay_nothing<A: Adapter>() {
    let fixture = Fixture::<A>::new();
    let (session_here, _) = fixture.signed_in(ADA, Age::Expired);
    let (sessions, _) = fixture.another_process();
    let session_there = sessions.session(ADA);
    at_once(8, |number| {
        let session = if number % 2 == 0 { &session_here } else { &session_there };
        let mut token = AccessToken::new("none yet");
        for turn in 0..6 {
            let result =
                if (turn + number) % 3 == 0 { session.access_token() } else { session.refresh_rejected(&token) };
            match result {
                Ok(next) => token = next,
                // The other process held the lock for longer than this one waits.
                Err(error) => assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}"),
            }
        }
    });
    assert!(fixture.emulator.refreshes() > 0);
    assert!(fixture.is_live(&session_here.access_token().unwrap()));
    fixture.assert_nothing_lost(ADA);
}

/// It delays neither the next call nor the release of the lock.
fn a_slow_callback_does_not_delay_the_token<A: Adapter>() {
    let (notify, notified) = mpsc::channel();
    let (resume, resumed) = mpsc::channel::<()>();
    let resumed = Mutex::new(resumed);
    let on_event: OnEvent = Arc::new(move |_, event| {
        if let SessionEvent::Refreshed = event {
            notify.send(()).unwrap();
            let _ = resumed.lock().unwrap().recv_timeout(Duration::from_secs(2));
        }
    });
    let fixture = Fixture::<A>::sessions(&SessionSettings { on_event: Some(on_event), ..SessionSettings::default() });
    let (session, old) = fixture.signed_in(ADA, Age::Expired);
    thread::scope(|scope| {
        let first = scope.spawn(|| session.access_token().unwrap());
        notified.recv_timeout(Duration::from_secs(2)).unwrap();
        let since = Instant::now();
        let token = session.access_token().unwrap();
        assert!(is_quick(since), "the callback held the token back");
        assert_token(session.refresh_rejected(&old), &token);
        assert!(!fixture.store.is_locked(ADA));
        resume.send(()).unwrap();
        assert_token(Ok(first.join().unwrap()), &token);
    });
    assert_eq!(fixture.refresh_requests(), 1);
}

/// Even if the callback is slow with the first one.
fn events_are_notified_in_order<A: Adapter>() {
    let words = Arc::new(Mutex::new(Vec::new()));
    let notified = Arc::clone(&words);
    let on_event: OnEvent = Arc::new(move |_, event| {
        let word = word(event);
        if word == "refreshed" {
            thread::sleep(SLOW);
        }
        notified.lock().unwrap().push(word);
    });
    let fixture = Fixture::<A>::sessions(&SessionSettings { on_event: Some(on_event), ..SessionSettings::default() });
    let (session, old) = fixture.signed_in(ADA, Age::Expired);
    thread::scope(|scope| {
        scope.spawn(|| session.access_token().unwrap());
        fixture.wait_for(Operation::Refresh, 1);
        session.refresh_rejected(&old).unwrap();
        session.forget().unwrap();
    });
    assert!(eventually(|| words.lock().unwrap().len() == 3));
    assert_eq!(*words.lock().unwrap(), ["started", "refreshed", "signed out"]);
}

fn no_refresh_begins_without_a_caller<A: Adapter>() {
    let fixture = Fixture::<A>::new();
    let (session, _) = fixture.signed_in(ADA, Age::RefreshDue);
    fixture.client.idle(Duration::from_millis(150));
    assert_eq!(fixture.emulator.requests().len(), 0);
    session.start(&tokens(&fixture.emulator, Age::Expired)).unwrap();
    fixture.client.idle(Duration::from_millis(150));
    assert_eq!(fixture.emulator.requests().len(), 0);
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
