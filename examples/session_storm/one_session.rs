//! Very many callers of one session in one process, whose token ends for all of them at once.

use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use loginradius_async as asynchronous;
use loginradius_blocking::store::{MemoryStore, SessionStore};
use loginradius_blocking::{AccessToken, Client, Error, ErrorKind, Sessions};
use loginradius_emulator::{Emulator, Fault, Operation, seeded};
use loginradius_examples::Result;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::journal::Seen;
use crate::options::Storm;
use crate::report::{Report, millis};
use crate::setup::{app, session_name, token_set};

/// How long the server takes for a refresh, so that callers wait for it.
const ANSWER: Duration = Duration::from_millis(10);

/// What callers have seen, all together.
#[derive(Default)]
struct Seens {
    calls: AtomicU64,
    dropped: AtomicU64,
    try_later: AtomicU64,
    signed_out: AtomicU64,
    failed: AtomicU64,
    longest_recovery_ms: AtomicU64,
}

fn start(storm: &Storm) -> Result<Emulator> {
    let emulator = Emulator::builder().refresh_grace(Duration::from_millis(storm.grace_ms)).start()?;
    emulator.fault(Operation::Refresh, Fault::Delay(ANSWER));
    Ok(emulator)
}

pub(crate) fn threads(threads: usize, storm: &Storm) -> Result<Report> {
    let emulator = start(storm)?;
    let client = Client::new(app(emulator.base_url())?)?;
    let store = MemoryStore::new();
    let session = Sessions::builder(&client, store.clone()).early_refresh(Duration::ZERO).build();
    let session = session.session(session_name(0));
    session.start(&token_set(emulator.login(&seeded::ADA)))?;

    let started = Instant::now();
    let seen = Seens::default();
    let outage = storm.outage.map(Duration::from_secs);
    let rounds = storm.expiries + u64::from(outage.is_some());
    let (begin, end) = (Barrier::new(threads + 1), Barrier::new(threads + 1));
    let revived = std::sync::OnceLock::new();
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                for round in 0..rounds {
                    begin.wait();
                    let dead = session.access_token();
                    // All have the token that has ended, and ask for another one at once.
                    end.wait();
                    let mut another = dead.and_then(|dead| {
                        seen.is_dead(&emulator, &dead);
                        session.refresh_rejected(&dead)
                    });
                    while round == storm.expiries
                        && let Err(error) = &another
                        && error.kind() == ErrorKind::Unavailable
                    {
                        seen.try_later.fetch_add(1, Ordering::Relaxed);
                        seen.calls.fetch_add(1, Ordering::Relaxed);
                        thread::sleep(Duration::from_millis(20));
                        another = session.access_token();
                    }
                    if round == storm.expiries
                        && let Some(revived) = revived.get().map(Instant::elapsed)
                    {
                        seen.longest_recovery_ms.fetch_max(millis(revived), Ordering::Relaxed);
                    }
                    seen.note(&emulator, &another);
                    end.wait();
                }
            });
        }
        for round in 0..rounds {
            emulator.expire_access_tokens();
            if round == storm.expiries {
                emulator.fault(Operation::Refresh, Fault::DropBefore);
            }
            begin.wait();
            end.wait();
            if let Some(outage) = outage.filter(|_| round == storm.expiries) {
                thread::sleep(outage / 2);
                emulator.fault(Operation::Refresh, Fault::Status(503));
                thread::sleep(outage / 2);
                emulator.clear_faults();
                let _ = revived.set(Instant::now());
            }
            end.wait();
        }
    });
    let mut report = seen.report("threads", &emulator, rounds, started);
    report.longest_recovery_ms = outage.map(|_| seen.longest_recovery_ms.into_inner());
    report.lost = u64::from(is_lost(&emulator, &store)?);
    Ok(report)
}

pub(crate) fn tasks(tasks: usize, storm: &Storm) -> Result<Report> {
    let emulator = start(storm)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let store = MemoryStore::new();
    let seen = std::sync::Arc::new(Seens::default());
    let emulator = std::sync::Arc::new(emulator);
    let started = Instant::now();
    runtime.block_on(async {
        let client = asynchronous::Client::new(app(emulator.base_url())?)?;
        let sessions = asynchronous::Sessions::builder(&client, store.clone()).early_refresh(Duration::ZERO).build();
        let session = sessions.session(session_name(0));
        session.start(&token_set(emulator.login(&seeded::ADA))).await?;
        for _ in 0..storm.expiries {
            emulator.expire_access_tokens();
            // All have the token that has ended before the first one asks for another.
            let dead = session.access_token().await?;
            seen.is_dead(&emulator, &dead);
            let mut callers = JoinSet::new();
            for _ in 0..tasks {
                let dead = dead.clone();
                let (session, seen, emulator) = (session.clone(), seen.clone(), emulator.clone());
                let patience = (fastrand::f64() < storm.drop).then(|| ANSWER.mul_f64(fastrand::f64()));
                callers.spawn(async move {
                    let another = session.refresh_rejected(&dead);
                    let another = match patience {
                        // The future is dropped: by an HTTP server, say, whose client went away.
                        Some(patience) => timeout(patience, another).await,
                        None => Ok(another.await),
                    };
                    match another {
                        Ok(another) => seen.note(&emulator, &another),
                        Err(_) => drop(seen.dropped.fetch_add(1, Ordering::Relaxed)),
                    }
                });
            }
            while let Some(ended) = callers.join_next().await {
                ended?;
            }
            // Also if everybody who waited for it was dropped.
            seen.note(&emulator, &session.access_token().await);
        }
        sessions.flush().await?;
        Result::<()>::Ok(())
    })?;
    let mut report = seen.report("tasks", &emulator, storm.expiries, started);
    report.dropped = Some(seen.dropped.load(Ordering::Relaxed));
    report.lost = u64::from(is_lost(&emulator, &store)?);
    Ok(report)
}

/// Whether the server does not take the stored token.
fn is_lost(emulator: &Emulator, store: &MemoryStore) -> Result<bool> {
    let mut stored = SessionStore::try_lock(store, &session_name(0))?.ok_or("a flow still has the session's lock")?;
    let seen = stored.load()?.as_ref().and_then(Seen::of);
    Ok(seen.is_none_or(|seen| !emulator.is_live_refresh_token(&seen.refresh_token)))
}

impl Seens {
    fn is_dead(&self, emulator: &Emulator, token: &AccessToken) {
        if emulator.is_live_access_token(token.expose()) {
            eprintln!("a token lives on after its end");
            self.failed.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn note(&self, emulator: &Emulator, outcome: &Result<AccessToken, Error>) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let (total, why) = match outcome {
            Ok(token) if emulator.is_live_access_token(token.expose()) => return,
            Ok(_) => (&self.failed, "a token that is dead was handed out".to_owned()),
            Err(error) if error.kind() == ErrorKind::SignInRequired => (&self.signed_out, error.to_string()),
            Err(error) => (&self.failed, error.to_string()),
        };
        eprintln!("{why}");
        total.fetch_add(1, Ordering::Relaxed);
    }

    fn report(&self, mode: &'static str, emulator: &Emulator, expected: u64, started: Instant) -> Report {
        let get = |total: &AtomicU64| total.load(Ordering::Relaxed);
        Report {
            mode,
            refreshes: emulator.refreshes(),
            refreshes_expected: Some(expected),
            replays: emulator.replays(),
            signed_out: get(&self.signed_out),
            try_later: get(&self.try_later),
            failed: get(&self.failed),
            calls: get(&self.calls),
            seconds: started.elapsed().as_secs_f64(),
            ..Report::default()
        }
    }
}
