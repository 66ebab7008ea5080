//! Very many callers of one session in one process, whose token expires for all of them at once.

use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use loginradius_async as asynchronous;
use loginradius_blocking::store::{MemoryStore, SessionStore};
use loginradius_blocking::{AccessToken, Client, Error, ErrorKind, Sessions};
use loginradius_emulator::{Emulator, Fault, Operation, seeded};
use loginradius_examples::{Result, printable};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::journal::Seen;
use crate::options::Storm;
use crate::report::{Report, millis};
use crate::setup::{app, session_name, token_set};

/// How long the server takes for a refresh, so that callers wait for it.
const LATENCY: Duration = Duration::from_millis(10);

/// The results of all callers together.
#[derive(Default)]
struct Results {
    calls: AtomicU64,
    dropped: AtomicU64,
    try_later: AtomicU64,
    signed_out: AtomicU64,
    failed: AtomicU64,
    longest_recovery_ms: AtomicU64,
}

fn start(storm: &Storm) -> Result<Emulator> {
    let emulator = Emulator::builder().refresh_grace(Duration::from_millis(storm.grace_ms)).start()?;
    emulator.fault(Operation::Refresh, Fault::Delay(LATENCY));
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
    let results = Results::default();
    let outage = storm.outage.map(Duration::from_secs);
    let rounds = storm.expiries + u64::from(outage.is_some());
    let (begin, end) = (Barrier::new(threads + 1), Barrier::new(threads + 1));
    let recovered_at = std::sync::OnceLock::new();
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                for round in 0..rounds {
                    begin.wait();
                    let expired = session.access_token();
                    // All have the expired token, and ask for another one at once.
                    end.wait();
                    let mut another = expired.and_then(|expired| {
                        results.check_expired(&emulator, &expired);
                        session.refresh_rejected(&expired)
                    });
                    while round == storm.expiries
                        && let Err(error) = &another
                        && error.kind() == ErrorKind::Unavailable
                    {
                        results.try_later.fetch_add(1, Ordering::Relaxed);
                        results.calls.fetch_add(1, Ordering::Relaxed);
                        thread::sleep(Duration::from_millis(20));
                        another = session.access_token();
                    }
                    if round == storm.expiries
                        && let Some(recovered_at) = recovered_at.get().map(Instant::elapsed)
                    {
                        results.longest_recovery_ms.fetch_max(millis(recovered_at), Ordering::Relaxed);
                    }
                    results.note(&emulator, &another);
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
                let _ = recovered_at.set(Instant::now());
            }
            end.wait();
        }
    });
    let mut report = results.report("threads", &emulator, rounds, started);
    report.longest_recovery_ms = outage.map(|_| results.longest_recovery_ms.into_inner());
    report.lost = u64::from(is_lost(&emulator, &store)?);
    Ok(report)
}

pub(crate) fn tasks(tasks: usize, storm: &Storm) -> Result<Report> {
    let emulator = start(storm)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let store = MemoryStore::new();
    let results = std::sync::Arc::new(Results::default());
    let emulator = std::sync::Arc::new(emulator);
    let started = Instant::now();
    runtime.block_on(async {
        let client = asynchronous::Client::new(app(emulator.base_url())?)?;
        let sessions = asynchronous::Sessions::builder(&client, store.clone()).early_refresh(Duration::ZERO).build();
        let session = sessions.session(session_name(0));
        session.start(&token_set(emulator.login(&seeded::ADA))).await?;
        for _ in 0..storm.expiries {
            emulator.expire_access_tokens();
            // All have the expired token before the first one asks for another.
            let expired = session.access_token().await?;
            results.check_expired(&emulator, &expired);
            let mut callers = JoinSet::new();
            for _ in 0..tasks {
                let expired = expired.clone();
                let (session, results, emulator) = (session.clone(), results.clone(), emulator.clone());
                let drop_after = (fastrand::f64() < storm.drop).then(|| LATENCY.mul_f64(fastrand::f64()));
                callers.spawn(async move {
                    let another = session.refresh_rejected(&expired);
                    let another = match drop_after {
                        // The future is dropped, as by an HTTP server whose client has disconnected.
                        Some(time) => timeout(time, another).await,
                        None => Ok(another.await),
                    };
                    match another {
                        Ok(another) => results.note(&emulator, &another),
                        Err(_) => drop(results.dropped.fetch_add(1, Ordering::Relaxed)),
                    }
                });
            }
            while let Some(ended) = callers.join_next().await {
                ended?;
            }
            // It is refreshed even if every caller that waited was dropped.
            results.note(&emulator, &session.access_token().await);
        }
        sessions.flush().await?;
        Result::<()>::Ok(())
    })?;
    let mut report = results.report("tasks", &emulator, storm.expiries, started);
    report.dropped = Some(results.dropped.load(Ordering::Relaxed));
    report.lost = u64::from(is_lost(&emulator, &store)?);
    Ok(report)
}

/// Returns whether the server would reject the stored refresh token.
fn is_lost(emulator: &Emulator, store: &MemoryStore) -> Result<bool> {
    let mut stored = SessionStore::try_lock(store, &session_name(0))?.ok_or("a flow still has the session's lock")?;
    let seen = stored.load()?.as_ref().and_then(Seen::of);
    Ok(seen.is_none_or(|seen| !emulator.is_live_refresh_token(&seen.refresh_token)))
}

impl Results {
    fn check_expired(&self, emulator: &Emulator, token: &AccessToken) {
        if emulator.is_live_access_token(token.expose()) {
            eprintln!("a token is still valid after it has expired");
            self.failed.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn note(&self, emulator: &Emulator, outcome: &Result<AccessToken, Error>) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let (total, why) = match outcome {
            Ok(token) if emulator.is_live_access_token(token.expose()) => return,
            Ok(_) => (&self.failed, "a token that is not valid was returned".to_owned()),
            Err(error) if error.requires_login() => (&self.signed_out, error.to_string()),
            Err(error) => (&self.failed, error.to_string()),
        };
        eprintln!("{}", printable(&why));
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
