//! How sessions end: by a sign-out, by the server's refusal, by the end of a process.

use std::thread;
use std::time::{Duration, Instant};

use loginradius_emulator::{Fault, Operation, seeded};
use loginradius_proto::{Dialect, ErrorKind, RevocationKey};

use super::{ADA, Age, Fixture, assert_kind, assert_token, at_once, tokens, tokens_of};
use crate::adapter::Adapter;
use crate::cases::cases;
use crate::session::{Session, SessionSettings, Sessions};
use crate::store::StoreFault;

const SLOW: Duration = Duration::from_millis(150);

fn signing_out_revokes_and_clears<A: Adapter>() {
    let fixture = Fixture::<A>::new();
    let (session, _) = fixture.signed_in(ADA, Age::Fresh);
    let other = fixture.session(ADA);
    let (bob, bobs_token) = fixture.signed_in("bob", Age::Fresh);
    session.sign_out().unwrap();
    assert_eq!((fixture.emulator.counters().revocations, fixture.emulator.live_logins()), (1, 1));
    assert!(fixture.store.json(ADA).is_none());
    assert_kind(session.access_token(), ErrorKind::SignInRequired);
    assert_kind(other.access_token(), ErrorKind::SignInRequired);
    assert_token(bob.access_token(), &bobs_token);
    fixture.events.expect(ADA, &["started", "signed out"]);
    // A second sign-out is no error, and sends nothing.
    session.sign_out().unwrap();
    assert_eq!(fixture.requests_of(Operation::Revoke), 1);
    // The user can sign in again.
    let tokens = tokens(&fixture.emulator, Age::Fresh);
    session.start(&tokens).unwrap();
    assert_token(other.access_token(), &tokens.access_token);
}

/// As soon as this process loads the record.
fn a_sign_out_in_another_process_ends_the_session<A: Adapter>() {
    let fixture = Fixture::<A>::new();
    let (session, token) = fixture.signed_in(ADA, Age::Fresh);
    let (sessions, events) = fixture.another_process();
    let other = sessions.session(ADA);
    assert_token(other.access_token(), &token);
    session.sign_out().unwrap();
    assert_kind(other.refresh_rejected(&token), ErrorKind::SignInRequired);
    assert_kind(other.access_token(), ErrorKind::SignInRequired);
    assert_eq!(fixture.refresh_requests(), 0);
    events.expect(ADA, &["ended"]);
}

/// From the call on, however slow the server is.
fn no_token_is_returned_during_a_sign_out<A: Adapter>() {
    let fixture = Fixture::<A>::new();
    let (session, token) = fixture.signed_in(ADA, Age::Fresh);
    fixture.emulator.fault(Operation::Revoke, Fault::Delay(SLOW));
    thread::scope(|scope| {
        let out = scope.spawn(|| session.sign_out());
        fixture.wait_for(Operation::Revoke, 1);
        assert_kind(session.access_token(), ErrorKind::SignInRequired);
        assert_kind(session.refresh_rejected(&token), ErrorKind::SignInRequired);
        out.join().unwrap().unwrap();
    });
    assert_eq!(fixture.refresh_requests(), 0);
}

/// The stored record is marked, so that no process returns its token any more.
fn a_sign_out_without_a_network_can_be_completed_later<A: Adapter>() {
    let fixture = Fixture::<A>::new();
    let (session, token) = fixture.signed_in(ADA, Age::Fresh);
    let (sessions, _) = fixture.another_process();
    let other = sessions.session(ADA);
    fixture.emulator.fault(Operation::Revoke, Fault::DropBefore);
    let error = session.sign_out().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    assert!(error.to_string().contains("sign out again"), "{error}");
    assert_kind(session.access_token(), ErrorKind::SignInRequired);
    assert_kind(other.access_token(), ErrorKind::SignInRequired);
    assert!(fixture.store.json(ADA).is_some() && fixture.is_live(&token));

    fixture.emulator.clear_faults();
    other.sign_out().unwrap();
    assert_eq!((fixture.emulator.counters().revocations, fixture.emulator.live_logins()), (1, 0));
    assert!(fixture.store.is_empty());
    session.sign_out().unwrap();
    assert_eq!(fixture.requests_of(Operation::Revoke), 2);
}

/// Not even the mark can be saved.
fn a_sign_out_without_a_store_changes_nothing<A: Adapter>() {
    let fixture = Fixture::<A>::new();
    let (session, token) = fixture.signed_in(ADA, Age::Fresh);
    fixture.store.set_fault(StoreFault::SaveFails);
    assert_eq!(session.sign_out().unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(session.forget().unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(fixture.emulator.requests().len(), 0);
    assert_token(session.access_token(), &token);
    fixture.store.clear_fault();
    session.sign_out().unwrap();
    assert!(fixture.store.is_empty());
}

fn forgetting_clears_without_a_request<A: Adapter>() {
    let fixture = Fixture::<A>::new();
    let (session, token) = fixture.signed_in(ADA, Age::Fresh);
    session.forget().unwrap();
    assert!(fixture.store.is_empty() && fixture.is_live(&token), "forgetting ended the login at LoginRadius");
    assert_kind(session.access_token(), ErrorKind::SignInRequired);
    assert_eq!(fixture.emulator.requests().len(), 0);
    fixture.events.expect(ADA, &["started", "signed out"]);
}

/// The server refuses the revocation of a token that it does not know.
fn signing_out_of_an_ended_login_succeeds<A: Adapter>() {
    let fixture = Fixture::<A>::new();
    let (session, _) = fixture.signed_in(ADA, Age::Fresh);
    fixture.emulator.end_all_logins();
    session.sign_out().unwrap();
    assert!(fixture.store.is_empty());
    assert_eq!((fixture.requests_of(Operation::Revoke), fixture.emulator.replays()), (1, 0));
}

fn a_revocation_uses_the_key_of_its_dialect<A: Adapter>() {
    use RevocationKey::{RefreshToken, Token};
    for (name, key, other) in [(RefreshToken, "refresh_token", "token"), (Token, "token", "refresh_token")] {
        let fixture = Fixture::<A>::speaking(Dialect::new().with_revocation_key(name));
        let (session, _) = fixture.signed_in(ADA, Age::Fresh);
        let refresh_token = fixture.store.refresh_token(ADA);
        // The emulator's classic API accepts only `refresh_token`.
        let body = String::new();
        fixture.emulator.fault(Operation::Revoke, Fault::Respond { status: 200, headers: Vec::new(), body });
        session.sign_out().unwrap();
        let requests = fixture.emulator.requests();
        assert_eq!(requests[0].param(key), refresh_token.as_deref());
        assert_eq!(requests[0].param(other), None);
    }
}

/// The sign-out revokes the pair that the refresh yields.
fn signing_out_waits_for_a_refresh<A: Adapter>() {
    let fixture = Fixture::<A>::new();
    let (session, _) = fixture.signed_in(ADA, Age::Expired);
    fixture.emulator.fault(Operation::Refresh, Fault::Delay(SLOW));
    thread::scope(|scope| {
        let refresh = scope.spawn(|| session.access_token());
        fixture.wait_for(Operation::Refresh, 1);
        session.sign_out().unwrap();
        refresh.join().unwrap().expect("the refresh came first");
    });
    assert_kind(session.access_token(), ErrorKind::SignInRequired);
    assert_eq!((fixture.emulator.counters().revocations, fixture.emulator.live_logins()), (1, 0));
    assert_eq!((fixture.emulator.replays(), fixture.refresh_requests()), (0, 1));
    assert!(fixture.store.is_empty());
}

/// In the same process and in another.
fn a_login_during_a_refresh_is_not_lost<A: Adapter>() {
    let fixture = Fixture::<A>::new();
    let (session, _) = fixture.signed_in(ADA, Age::Expired);
    let another = fixture.client.sessions(fixture.store.clone(), &SessionSettings::default()).session(ADA);
    for starting in [&session, &another] {
        fixture.emulator.fault(Operation::Refresh, Fault::Delay(SLOW));
        let before = fixture.refresh_requests();
        let newer = tokens(&fixture.emulator, Age::Fresh);
        thread::scope(|scope| {
            let refresh = scope.spawn(|| session.access_token());
            fixture.wait_for(Operation::Refresh, before + 1);
            starting.start(&newer).unwrap();
            refresh.join().unwrap().expect("the refresh came first");
        });
        assert_token(starting.access_token(), &newer.access_token);
        fixture.assert_nothing_lost(ADA);
        session.start(&tokens(&fixture.emulator, Age::Expired)).unwrap();
    }
}

/// Once a refresh is needed. Until then the access token stays valid, as it does at LoginRadius.
fn a_login_that_the_server_ended_means_sign_in_required<A: Adapter>() {
    let fixture = Fixture::<A>::new();
    let (session, token) = fixture.signed_in(ADA, Age::Fresh);
    let (sessions, events) = fixture.another_process();
    let other = sessions.session(ADA);
    assert_token(other.access_token(), &token);
    fixture.emulator.end_all_logins();
    assert_token(session.access_token(), &token);

    let errors = at_once(20, |_| assert_kind(session.refresh_rejected(&token), ErrorKind::SignInRequired).to_string());
    assert_eq!(fixture.refresh_requests(), 1);
    assert!(errors.iter().all(|error| error.contains("sign in again")), "{errors:?}");
    assert_kind(session.access_token(), ErrorKind::SignInRequired);
    assert_kind(other.refresh_rejected(&token), ErrorKind::SignInRequired);
    assert_eq!(fixture.refresh_requests(), 1, "the rejection is stored");
    fixture.events.expect(ADA, &["started", "ended"]);
    events.expect(ADA, &["ended"]);
    assert_eq!(fixture.emulator.replays(), 0);

    let grace = tokens_of(&fixture.emulator, &seeded::GRACE);
    session.start(&grace).unwrap();
    assert_token(session.access_token(), &grace.access_token);
    assert_token(other.access_token(), &grace.access_token);
    fixture.assert_nothing_lost(ADA);
}

/// Another process has signed in another user.
fn another_users_login_is_adopted_and_notified<A: Adapter>() {
    let fixture = Fixture::<A>::new();
    let (session, token) = fixture.signed_in(ADA, Age::Fresh);
    fixture.emulator.end_all_logins();
    let (sessions, _) = fixture.another_process();
    let grace = tokens_of(&fixture.emulator, &seeded::GRACE);
    sessions.session(ADA).start(&grace).unwrap();
    assert_token(session.refresh_rejected(&token), &grace.access_token);
    fixture.events.expect(ADA, &["started", "adopted other login"]);
    assert_eq!(fixture.refresh_requests(), 0);
}

fn flushing_waits_for_a_refresh<A: Adapter>() {
    let fixture = Fixture::<A>::new();
    for all in [false, true] {
        let (session, _) = fixture.signed_in(ADA, Age::Expired);
        fixture.emulator.fault(Operation::Refresh, Fault::Delay(SLOW));
        let before = fixture.refresh_requests();
        thread::scope(|scope| {
            let refresh = scope.spawn(|| session.access_token().unwrap());
            fixture.wait_for(Operation::Refresh, before + 1);
            let since = Instant::now();
            if all {
                fixture.sessions.flush().unwrap()
            } else {
                session.flush().unwrap()
            }
            assert!(since.elapsed() > SLOW / 3, "the flush has not waited");
            // The new pair is stored, and cached.
            fixture.assert_nothing_lost(ADA);
            assert_token(session.access_token(), &refresh.join().unwrap());
        });
        assert_eq!(fixture.refresh_requests(), before + 1);
    }
}

fn a_flushed_session_can_be_used_again<A: Adapter>() {
    let fixture = Fixture::<A>::new();
    let (session, token) = fixture.signed_in(ADA, Age::Fresh);
    session.flush().unwrap();
    fixture.sessions.flush().unwrap();
    assert_token(session.access_token(), &token);
    assert!(fixture.is_live(&session.refresh_rejected(&token).unwrap()));
    session.flush().unwrap();
    fixture.assert_nothing_lost(ADA);
}

/// A hundred processes that each get a token, shortly before or after the old one has expired, and end at once.
fn short_processes_lose_nothing<A: Adapter>() {
    const PROCESSES: u32 = 100;
    let fixture = Fixture::<A>::new();
    fixture.signed_in(ADA, Age::Fresh);
    let mut last = None;
    for number in 0..PROCESSES {
        // The emulator's tokens have a lifetime of an hour.
        let age = [3550, 3700][usize::from(number % 2 == 1)];
        fixture.store.age(ADA, Duration::from_secs(if number == 0 { 95 } else { age }));
        let (sessions, _) = fixture.another_process();
        let token = sessions.session(ADA).access_token().unwrap();
        drop(sessions);
        assert!(fixture.is_live(&token));
        assert!(last.is_none_or(|last: loginradius_proto::AccessToken| last.expose() != token.expose()));
        last = Some(token);
    }
    assert_eq!(fixture.emulator.refreshes(), u64::from(PROCESSES));
    fixture.assert_nothing_lost(ADA);
}

cases!(($) session_endings session_endings_cases {
    signing_out_revokes_and_clears,
    a_sign_out_in_another_process_ends_the_session,
    no_token_is_returned_during_a_sign_out,
    a_sign_out_without_a_network_can_be_completed_later,
    a_sign_out_without_a_store_changes_nothing,
    forgetting_clears_without_a_request,
    signing_out_of_an_ended_login_succeeds,
    a_revocation_uses_the_key_of_its_dialect,
    signing_out_waits_for_a_refresh,
    a_login_during_a_refresh_is_not_lost,
    a_login_that_the_server_ended_means_sign_in_required,
    another_users_login_is_adopted_and_notified,
    flushing_waits_for_a_refresh,
    a_flushed_session_can_be_used_again,
    short_processes_lose_nothing,
});
