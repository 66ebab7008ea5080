//! Sessions that move to another store while they are used.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use loginradius_emulator::{Emulator, Fault, Operation};
use loginradius_proto::{Api, ErrorKind, Retry};
use loginradius_store::{AsyncSessionStore, FileStore, MemoryStore, MovingStore, SessionLock, SessionStore};

use super::{Age, assert_kind, tokens};
use crate::adapter::{Adapter, Settings};
use crate::cases::cases;
use crate::matrix::app;
use crate::session::{Session, SessionSettings, Sessions};
use crate::store::refresh_token;

/// How many sessions there are. Of them, every fifth is signed out during the move.
const SESSIONS: usize = 60;
/// How many processes use them, with so many threads each.
const PROCESSES: usize = 2;
const THREADS: usize = 3;

fn name(number: usize) -> String {
    // Every third is too long for the names of files.
    format!("user-{number}/{}", "x".repeat(if number.is_multiple_of(3) { 120 } else { 1 }))
}

fn is_signed_out(number: usize) -> bool {
    number.is_multiple_of(5)
}

/// Refreshes all sessions again and again, in two processes, while a third one moves them.
fn move_under_load<A: Adapter>(
    from: impl SessionStore + AsyncSessionStore + Clone,
    to: impl SessionStore + AsyncSessionStore + Clone,
) {
    let emulator = Emulator::start().unwrap();
    // So that there is a request under way when a session is to be moved.
    emulator.fault(Operation::Refresh, Fault::Delay(Duration::from_millis(3)));
    let retry = Retry::default().with_first_wait(Duration::from_millis(1)).with_max_wait(Duration::from_millis(2));
    let client = A::new(app(&emulator, Api::Classic), &Settings { retry, ..Settings::default() }).unwrap();
    let before = client.sessions(from.clone(), &SessionSettings::default());
    for number in 0..SESSIONS {
        before.session(&name(number)).start(&tokens(&emulator, Age::Fresh)).unwrap();
    }
    drop(before);

    let store = MovingStore::new(from.clone(), to.clone());
    let (ended, refreshes) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..PROCESSES {
            let sessions = client.sessions(store.clone(), &SessionSettings::default());
            for thread in 0..THREADS {
                let (sessions, ended, refreshes) = (sessions.clone(), &ended, &refreshes);
                scope.spawn(move || {
                    for round in 0.. {
                        let number = (round * (thread + 1) + thread) % SESSIONS;
                        let session = sessions.session(&name(number));
                        match session.access_token().and_then(|token| session.refresh_rejected(&token)) {
                            Ok(_) => drop(refreshes.fetch_add(1, Ordering::Relaxed)),
                            Err(error) if is_signed_out(number) => {
                                assert_eq!(error.kind(), ErrorKind::SignInRequired, "{error}");
                            }
                            Err(error) => panic!("{}: {error}", session.name()),
                        }
                        if ended.load(Ordering::Relaxed) {
                            break;
                        }
                    }
                });
            }
        }
        let signs_out = client.sessions(store.clone(), &SessionSettings::default());
        scope.spawn(move || {
            for number in (0..SESSIONS).filter(|number| is_signed_out(*number)) {
                signs_out.session(&name(number)).sign_out().unwrap();
            }
        });
        let wait_for = |count| {
            let since = Instant::now();
            while refreshes.load(Ordering::Relaxed) < count {
                assert!(since.elapsed() < Duration::from_secs(60), "the sessions do not go on");
                thread::sleep(Duration::from_millis(1));
            }
        };
        // Some are used before.
        wait_for(5);
        let (mut locked, since) = (0, Instant::now());
        loop {
            let moved = store.move_all().unwrap();
            locked += moved.locked.len();
            if moved.locked.is_empty() && SessionStore::names(&from, "", None).unwrap().is_empty() {
                break;
            }
            assert!(since.elapsed() < Duration::from_secs(60), "the move does not end: {moved:?}");
            thread::sleep(Duration::from_millis(1));
        }
        println!("the move took {:?}, and found {locked} locks taken", since.elapsed());
        let during = refreshes.load(Ordering::Relaxed);
        println!("{during} refreshes until then");
        // They go on in the new store.
        wait_for(during + SESSIONS);
        ended.store(true, Ordering::Relaxed);
    });

    assert_eq!(emulator.replays(), 0, "{:?}", emulator.replayed());
    let kept = || (0..SESSIONS).filter(|number| !is_signed_out(*number));
    assert_eq!(emulator.live_logins(), kept().count());
    let mut expected: Vec<String> = kept().map(name).collect();
    expected.sort();
    assert_eq!(SessionStore::names(&to, "", None).unwrap(), expected);
    assert!(SessionStore::names(&from, "", None).unwrap().is_empty());
    // A program that uses the new store alone continues with the server's newest tokens.
    let after = client.sessions(to.clone(), &SessionSettings::default());
    for name in expected {
        let record = SessionLock::load(&mut *SessionStore::try_lock(&to, &name).unwrap().unwrap()).unwrap().unwrap();
        assert!(emulator.is_live_refresh_token(&refresh_token(&record)), "{name}");
        let token = after.session(&name).access_token().unwrap();
        assert!(emulator.is_live_access_token(token.expose()));
    }
    assert_kind(after.session(&name(0)).access_token(), ErrorKind::SignInRequired);
}

fn sessions_move_to_memory_while_they_are_used<A: Adapter>() {
    let folder = tempfile::tempdir().unwrap();
    move_under_load::<A>(FileStore::open(folder.path()).unwrap(), MemoryStore::new());
}

fn sessions_move_to_other_files_while_they_are_used<A: Adapter>() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    move_under_load::<A>(FileStore::open(from.path()).unwrap(), FileStore::open(to.path()).unwrap());
    let left = std::fs::read_dir(from.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert!(left.into_iter().all(|file| file.ends_with(".lock")), "only locks are left");
}

cases!(($) session_moving session_moving_cases {
    sessions_move_to_memory_while_they_are_used,
    sessions_move_to_other_files_while_they_are_used,
});
