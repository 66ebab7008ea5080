//! Programs that run for a moment each, several at once, while the stored token is about to expire.

use std::sync::Arc;
use std::time::{Duration, Instant};

use loginradius_blocking::{Client, Sessions};
use loginradius_emulator::{Emulator, seeded};
use loginradius_examples::{Result, StorePlace};

use crate::fleet::command;
use crate::journal::{History, Journal, Journaled, Seen};
use crate::options::{Place, Storm};
use crate::report::Report;
use crate::setup::{app, session_name, token_set};

/// How many run at once, for one session.
const AT_ONCE: usize = 4;

const LIFETIME: Duration = Duration::from_secs(60);

/// The rest of the lifetime when they start: less than a tenth, so that the token is refreshed early.
const LEFT: Duration = Duration::from_secs(4);

pub(crate) fn run(runs: usize, storm: &Storm) -> Result<Report> {
    let folder = tempfile::tempdir()?;
    let emulator = Emulator::builder()
        .access_token_lifetime(LIFETIME)
        .refresh_grace(Duration::from_millis(storm.grace_ms))
        .start()?;
    let place = Place {
        base_url: emulator.base_url().to_owned(),
        store: storm.store.clone().unwrap_or_else(|| StorePlace::Folder(folder.path().join("sessions"))),
        move_to: None,
        journal: folder.path().join("journal"),
        sessions: 1,
        lose_replies: 0.0,
    };
    let journal = Arc::new(Journal::open(&place.journal)?);
    let client = Client::new(app(&place.base_url)?)?;
    let sessions = Sessions::builder(&client, Journaled::new(place.open()?, &journal)).early_refresh(Duration::ZERO);
    let session = sessions.build().session(session_name(0));
    let store = place.store.open()?;

    let started = Instant::now();
    let mut report = Report { mode: "short_runs", ..Report::default() };
    let rounds = runs.div_ceil(AT_ONCE);
    let program = std::env::current_exe()?;
    for round in 0..rounds {
        let mut tokens = token_set(emulator.login(&seeded::ADA));
        tokens.requested_at = Instant::now().checked_sub(LIFETIME - LEFT);
        session.start(&tokens)?;
        let at_once = AT_ONCE.min(runs - round * AT_ONCE);
        let children =
            (0..at_once).map(|_| command(&program, "short-run", &place).spawn()).collect::<Result<Vec<_>, _>>()?;
        for mut child in children {
            report.calls += 1;
            if !child.wait()?.success() {
                report.failed += 1;
            }
        }
        let mut stored = store.try_lock(session.name())?.ok_or("a process still has the lock")?;
        let seen = stored.load()?.as_ref().and_then(Seen::of).ok_or("no session is stored any more")?;
        if !emulator.is_live_refresh_token(&seen.refresh_token) {
            eprintln!("round {round}: the stored refresh token is consumed");
            report.lost += 1;
        }
    }
    report.seconds = started.elapsed().as_secs_f64();
    report.refreshes = emulator.refreshes();
    report.refreshes_expected = Some(rounds as u64);
    report.replays = emulator.replays();
    report.signed_out = emulator.logins().iter().filter(|login| !login.live).count() as u64;
    let mut history = History::default();
    history.read(&place.journal, false)?;
    report.corrupt = history.corrupt;
    Ok(report)
}

/// Gets one token, as a program does that has one thing to do.
pub(crate) fn run_once(place: &Place) -> Result {
    let journal = Arc::new(Journal::open(&place.journal)?);
    let client = Client::new(app(&place.base_url)?)?;
    let sessions = Sessions::new(&client, Journaled::new(place.open()?, &journal));
    sessions.session(session_name(0)).access_token()?;
    // At once, without a call to the library, and without its destructors.
    std::process::exit(0);
}
