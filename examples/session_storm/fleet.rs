//! Many processes that share one folder and may be killed, and a server that may fail for some time.

use std::collections::HashSet;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use loginradius_blocking::jwt::JwtByAccessToken;
use loginradius_blocking::oauth::AccessTokenByPassword;
use loginradius_blocking::store::{MovingStore, SessionLock, SessionStore};
use loginradius_blocking::{AccessToken, Client, Error, ErrorKind, Retry, Session, Sessions};
use loginradius_emulator::{Emulator, Fault, Login, Operation, seeded};
use loginradius_examples::{Result, StorePlace, printable};

use crate::journal::{History, Journal, Journaled, Seen, digest};
use crate::options::{Place, Storm};
use crate::report::{Report, millis};
use crate::setup::{app, session_name, token_set};

const THREADS: usize = 4;

/// How long the server takes for a refresh, so that kills hit one that has been sent.
const LATENCY: Duration = Duration::from_millis(20);

/// How long the lock of a process that was killed may stay taken.
const MAX_LEASE: Duration = Duration::from_secs(30);

/// How long callers may get errors after an outage: a refresh that keeps failing is repeated every 10 s.
const RECOVERY: Duration = Duration::from_secs(15);

/// A child process, its journal, and the program that it runs.
struct Worker {
    process: Child,
    journal: PathBuf,
    program: PathBuf,
    /// When it continues, if it is stopped.
    stopped_until: Option<Instant>,
}

pub(crate) fn run(processes: usize, storm: &Storm) -> Result<Report> {
    let folder = tempfile::tempdir()?;
    let journals = folder.path().join("journals");
    let store = storm.store.clone().unwrap_or_else(|| StorePlace::Folder(folder.path().join("sessions")));
    fs::create_dir(&journals)?;
    let emulator = Emulator::builder()
        .access_token_lifetime(Duration::from_secs(1))
        .refresh_grace(Duration::from_millis(storm.grace_ms))
        .start()?;
    emulator.fault(Operation::Refresh, Fault::Delay(LATENCY));
    let client = Client::new(app(emulator.base_url())?)?;
    let own_journal = journals.join("parent");
    let journal = Arc::new(Journal::open(&own_journal)?);
    let over =
        |store| Sessions::builder(&client, Journaled::new(store, &journal)).early_refresh(Duration::ZERO).build();
    let before = over(store.open()?);
    for number in 0..storm.sessions {
        before.session(session_name(number)).start(&token_set(emulator.login(&seeded::ADA)))?;
    }

    let started = Instant::now();
    let mut history = History::default();
    let mut report = Report { mode: "processes", ..Report::default() };
    let mut next_journal = 0;
    let mut start = |program: &Path| {
        next_journal += 1;
        let place = Place {
            base_url: emulator.base_url().to_owned(),
            store: store.clone(),
            move_to: storm.move_to.clone(),
            journal: journals.join(next_journal.to_string()),
            sessions: storm.sessions,
            lose_replies: storm.lose_replies,
        };
        start(program, place)
    };
    let own = std::env::current_exe()?;
    let programs = [&own, storm.with.as_ref().unwrap_or(&own)];
    let mut workers =
        programs.into_iter().cycle().take(processes).map(|program| start(program)).collect::<Result<Vec<_>>>()?;

    let seconds = Duration::from_secs(storm.seconds);
    let outage = Duration::from_secs(storm.outage.unwrap_or_default());
    let (fails, recovers) = (seconds / 2, seconds / 2 + outage);
    let end = if outage.is_zero() { seconds } else { recovers + RECOVERY.max(seconds / 2) };
    let mut faults =
        [(fails, Some(Fault::DropBefore)), (fails + outage / 2, Some(Fault::Status(503))), (recovers, None)]
            .into_iter()
            .filter(|_| !outage.is_zero())
            .peekable();
    let mut recovered_at = None;
    let mut next_kill = storm.kill_every_ms.map(Duration::from_millis);
    let mut next_stop = storm.stop_every_ms.map(Duration::from_millis);
    let mut move_at = storm.move_to.as_ref().map(|to| (end / 2, to));
    while started.elapsed() < end {
        thread::sleep(Duration::from_millis(5));
        if let Some((_, fault)) = faults.next_if(|(at, _)| started.elapsed() >= *at) {
            for operation in [Operation::Refresh, Operation::JwtToken, Operation::Password] {
                emulator.fault(operation, fault.clone().unwrap_or(Fault::None));
            }
            if fault.is_none() {
                emulator.fault(Operation::Refresh, Fault::Delay(LATENCY));
                recovered_at = Some(SystemTime::now());
            }
        }
        if next_kill.is_some_and(|at| started.elapsed() >= at) {
            next_kill = next_kill.zip(storm.kill_every_ms).map(|(at, every)| at + Duration::from_millis(every));
            let mut killed = workers.swap_remove(fastrand::usize(..workers.len()));
            killed.process.kill()?;
            killed.process.wait()?;
            history.read(&killed.journal, true)?;
            report.kills += 1;
            workers.push(start(&killed.program)?);
        }
        if let Some((_, to)) = move_at.take_if(|(at, _)| started.elapsed() >= *at) {
            let moving = MovingStore::new(store.open()?, to.open()?);
            while !moving.move_all()?.locked.is_empty() {}
            if !store.open()?.names("", None)?.is_empty() {
                return Err("there are sessions that were not moved".into());
            }
        }
        if next_stop.is_some_and(|at| started.elapsed() >= at) {
            next_stop = next_stop.zip(storm.stop_every_ms).map(|(at, every)| at + Duration::from_millis(every));
            let stopped = &mut workers[fastrand::usize(..processes)];
            if stopped.stopped_until.is_none() {
                signal(&stopped.process, "STOP")?;
                stopped.stopped_until = Some(Instant::now() + Duration::from_millis(storm.stop_ms));
                history.note_interrupted(&stopped.journal)?;
                report.stops += 1;
            }
        }
        for worker in &mut workers {
            if worker.stopped_until.is_some_and(|until| Instant::now() >= until) {
                worker.continue_now()?;
            }
            if let Some(status) = worker.process.try_wait()? {
                return Err(format!("a process ended by itself: {status}").into());
            }
        }
    }
    // They end with their standard input.
    for worker in &mut workers {
        worker.continue_now()?;
        drop(worker.process.stdin.take());
    }
    for mut worker in workers {
        if !worker.process.wait()?.success() {
            return Err("a process failed at its end".into());
        }
        history.read(&worker.journal, false)?;
    }

    report.seconds = started.elapsed().as_secs_f64();
    report.refreshes = emulator.refreshes();
    report.graced = Some(emulator.grace_refreshes());
    let store = storm.move_to.as_ref().unwrap_or(&store);
    let sessions = over(store.open()?);
    let stored = check_stored(store, storm.sessions, &emulator, &history, &mut report)?;
    // Without kills and stops, every refresh that was sent is also stored.
    report.refreshes_expected = (report.kills + report.stops == 0).then(|| history.stored(&stored));
    check_every_session(&sessions, storm.sessions, &emulator, &mut report);
    history.read(&own_journal, false)?;
    account(&emulator, &history, &mut report);
    if let Some(recovered_at) = recovered_at {
        let recovered_at = recovered_at.duration_since(SystemTime::UNIX_EPOCH)?;
        let longest = history.recovered.iter().map(|at| at.saturating_sub(recovered_at)).max();
        report.longest_recovery_ms = Some(millis(longest.ok_or("no process noticed the outage")?));
        report.lost += history.failing;
    }
    Ok(report)
}

fn start(program: &Path, place: Place) -> Result<Worker> {
    // The process may be killed before it opens its journal.
    Journal::open(&place.journal)?;
    let process = command(program, "worker", &place).stdin(Stdio::piped()).spawn()?;
    Ok(Worker { process, journal: place.journal, program: program.to_owned(), stopped_until: None })
}

impl Worker {
    fn continue_now(&mut self) -> Result {
        match self.stopped_until.take() {
            Some(_) => signal(&self.process, "CONT"),
            None => Ok(()),
        }
    }
}

fn signal(process: &Child, signal: &str) -> Result {
    let sent = Command::new("sh").args(["-c", "kill -s \"$0\" \"$1\"", signal, &process.id().to_string()]).status()?;
    if sent.success() { Ok(()) } else { Err(format!("a process did not get the signal {signal}").into()) }
}

/// Makes a child of that program, which is this one or another version of it.
pub(crate) fn command(program: &Path, what: &str, place: &Place) -> Command {
    let mut command = Command::new(program);
    command.args([what, "--base-url", &place.base_url, "--sessions", &place.sessions.to_string()]);
    command.arg("--store").arg(place.store.as_option()).arg("--journal").arg(&place.journal);
    if let Some(place) = &place.move_to {
        command.arg("--move-to").arg(place.as_option());
    }
    // Another version may not have this option.
    if place.lose_replies > 0.0 {
        command.arg("--lose-replies").arg(place.lose_replies.to_string());
    }
    command
}

/// Checks that the server would accept the stored refresh tokens, before any is sent, and returns them.
fn check_stored(
    place: &StorePlace,
    sessions: usize,
    emulator: &Emulator,
    history: &History,
    report: &mut Report,
) -> Result<HashSet<String>> {
    let store = place.open()?;
    let mut stored = HashSet::new();
    for number in 0..sessions {
        let name = session_name(number);
        let mut locked = lock(&*store, &name)?;
        let stored_record = locked.load().ok().flatten();
        match stored_record.as_ref().map(Seen::of) {
            Some(Some(Seen { token, refresh_token, .. })) => {
                let ended = |login: &Login| login.refresh_token == refresh_token && !login.live;
                let accounted_for = emulator.is_live_refresh_token(&refresh_token)
                    || history.was_open_at_a_kill(&token)
                    || history.was_rejected(&token)
                    || emulator.logins().iter().any(ended);
                if !accounted_for {
                    eprintln!("{name}: the stored refresh token is consumed");
                    report.lost += 1;
                }
                stored.insert(refresh_token);
            }
            Some(None) => {
                eprintln!("{name}: the stored record is damaged");
                report.corrupt += 1;
            }
            None => report.lost += 1,
        }
    }
    // After a kill, the newest token of a login may have been on its way to the process that was killed.
    if report.kills + report.stops == 0 {
        let live = emulator.logins().into_iter().filter(|login| login.live);
        report.lost += live.filter(|login| !stored.contains(&login.refresh_token)).count() as u64;
    }
    let StorePlace::Folder(folder) = place else { return Ok(stored) };
    let mut left: Vec<_> =
        fs::read_dir(folder)?.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    left.retain(|name| name.contains(".tmp") || name.starts_with("probe-"));
    if !left.is_empty() {
        eprintln!("{} files of processes that were killed are left, as {}", left.len(), left[0]);
    }
    Ok(stored)
}

/// Takes a lock whose holder may have been killed: then it is free when its lease has lapsed.
fn lock(store: &dyn SessionStore, name: &str) -> Result<Box<dyn SessionLock>> {
    let since = Instant::now();
    loop {
        if let Some(lock) = store.try_lock(name)? {
            return Ok(lock);
        }
        if since.elapsed() > MAX_LEASE {
            return Err("a process still has a session's lock".into());
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// Checks that each session returns a valid token, and gets another one, or has ended.
fn check_every_session(sessions: &Sessions, count: usize, emulator: &Emulator, report: &mut Report) {
    for session in (0..count).map(|number| sessions.session(session_name(number))) {
        match session.access_token().and_then(|token| session.refresh_rejected(&token)) {
            Ok(token) if emulator.is_live_access_token(token.expose()) => {}
            Ok(_) => report.lost += 1,
            // `account` finds out whether that is explained.
            Err(error) if error.requires_login() => {}
            Err(error) => {
                eprintln!("{}: {}", session.name(), printable(&error.to_string()));
                report.lost += 1;
            }
        }
    }
}

/// Counts the replays and the ended logins, and those of them that a kill explains.
fn account(emulator: &Emulator, history: &History, report: &mut Report) {
    let replayed = emulator.replayed();
    report.replays = emulator.replays();
    report.replays_explained = replayed.iter().filter(|replay| history.explains(&replay.refresh_token)).count() as u64;
    for replay in replayed.iter().filter(|replay| !history.explains(&replay.refresh_token)) {
        eprintln!("not explained: {replay:?}");
    }
    for login in emulator.logins().iter().filter(|login| !login.live) {
        let mut its = replayed.iter().filter(|replay| replay.login == login.id).peekable();
        let explained = its.peek().is_some() && its.all(|replay| history.explains(&replay.refresh_token));
        *(if explained { &mut report.signed_out_explained } else { &mut report.signed_out }) += 1;
    }
    // A session must not end either that the server has not ended.
    let alive = emulator.logins().into_iter().filter(|login| login.live);
    report.signed_out += alive.filter(|login| history.was_rejected(&digest(&login.refresh_token))).count() as u64;
    report.signed_out += history.over_for_no_reason();
    report.corrupt += history.corrupt;
    report.calls = history.total("calls");
    report.checks = Some(history.total("checks"));
    report.refused = Some(history.total("refused_tokens"));
    report.try_later = history.total("try_later");
    report.failed = history.total("failed");
}

/// The state of a worker.
struct Work {
    client: Client,
    sessions: Vec<Slot>,
    journal: Arc<Journal>,
    stopped: AtomicBool,
    calls: AtomicU64,
    checks: AtomicU64,
    rejected: AtomicU64,
    try_later: AtomicU64,
}

struct Slot {
    session: Session,
    /// Whether its last caller got an error that passes.
    failing: AtomicBool,
    signing_in: Mutex<()>,
}

/// Runs a worker: threads that use all sessions until standard input ends.
pub(crate) fn work(place: &Place) -> Result {
    let journal = Arc::new(Journal::open(&place.journal)?);
    // The client that checks the tokens does not retry, so that a rejection is noted at once.
    let client = Client::builder(app(&place.base_url)?).retry(Retry::OFF).build()?;
    let store = Journaled::new(place.open()?, &journal).lose_replies(place.lose_replies);
    let sessions = Sessions::new(&Client::new(app(&place.base_url)?)?, store);
    let slot = |number| Slot {
        session: sessions.session(session_name(number)),
        failing: AtomicBool::new(false),
        signing_in: Mutex::new(()),
    };
    let work = Work {
        client,
        sessions: (0..place.sessions).map(slot).collect(),
        journal,
        stopped: AtomicBool::new(false),
        calls: AtomicU64::new(0),
        checks: AtomicU64::new(0),
        rejected: AtomicU64::new(0),
        try_later: AtomicU64::new(0),
    };
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| work.use_all_sessions());
        }
        scope.spawn(|| {
            while !work.stopped.load(Ordering::Relaxed) {
                thread::sleep(Duration::from_millis(50));
                work.note_totals();
            }
        });
        let _ = io::stdin().read_to_end(&mut Vec::new());
        work.stopped.store(true, Ordering::Relaxed);
    });
    work.note_totals();
    Ok(sessions.flush()?)
}

impl Work {
    fn note_totals(&self) {
        let totals = [
            ("calls", &self.calls),
            ("checks", &self.checks),
            ("refused_tokens", &self.rejected),
            ("try_later", &self.try_later),
        ];
        for (what, total) in totals {
            self.journal.note(what, &total.swap(0, Ordering::Relaxed).to_string());
        }
    }

    fn use_all_sessions(&self) {
        let mut checked: Vec<Option<AccessToken>> = vec![None; self.sessions.len()];
        let mut order: Vec<usize> = (0..self.sessions.len()).collect();
        while !self.stopped.load(Ordering::Relaxed) {
            fastrand::shuffle(&mut order);
            for &number in &order {
                self.use_session(&self.sessions[number], &mut checked[number]);
            }
            thread::sleep(Duration::from_millis(2));
        }
    }

    fn use_session(&self, slot: &Slot, checked: &mut Option<AccessToken>) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let Some(token) = self.note(slot, slot.session.access_token()) else { return };
        // Each thread checks each token once.
        if checked.as_ref().is_some_and(|checked| same(checked, &token)) {
            return;
        }
        self.checks.fetch_add(1, Ordering::Relaxed);
        let response = self.client.call(&JwtByAccessToken::new(token.clone()));
        // It may have expired on the way, or its login may have ended: then every API responds with 401.
        if response.is_err_and(|error| error.requires_login()) {
            self.rejected.fetch_add(1, Ordering::Relaxed);
            let another = slot.session.refresh_rejected(&token);
            self.note(slot, another);
        }
        *checked = Some(token);
    }

    fn note(&self, slot: &Slot, outcome: Result<AccessToken, Error>) -> Option<AccessToken> {
        let name = slot.session.name();
        match outcome {
            Ok(token) => {
                if slot.failing.swap(false, Ordering::Relaxed) {
                    self.journal.note("recovered", name);
                }
                return Some(token);
            }
            Err(error) if error.requires_login() => {
                self.journal.note("over", name);
                self.sign_in(slot);
            }
            Err(error) if error.kind() == ErrorKind::Unavailable => {
                self.try_later.fetch_add(1, Ordering::Relaxed);
                if !slot.failing.swap(true, Ordering::Relaxed) {
                    self.journal.note("failing", name);
                }
            }
            Err(error) => self.journal.note("failed", &format!("{name}: {error}")),
        }
        None
    }

    /// Signs in, as the user does when asked.
    fn sign_in(&self, slot: &Slot) {
        let _one_of_this_process = slot.signing_in.lock().unwrap_or_else(PoisonError::into_inner);
        let still = slot.session.access_token().is_err_and(|error| error.requires_login());
        if !still {
            return;
        }
        let password = AccessTokenByPassword::new(seeded::ADA.email, seeded::ADA.password);
        let signed_in = self.client.call(&password).and_then(|tokens| slot.session.start(&tokens));
        if let Err(error) = signed_in
            && !error.is_transient()
        {
            self.journal.note("failed", &format!("{}: {error}", slot.session.name()));
        }
    }
}

fn same(one: &AccessToken, other: &AccessToken) -> bool {
    one.expose() == other.expose()
}
