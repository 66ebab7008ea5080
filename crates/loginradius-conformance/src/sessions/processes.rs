//! Processes that share files: real ones, and handles in this process that stand for others.

use std::io::Read;
use std::process::{Child, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use std::{fs, process};

use loginradius_emulator::{Emulator, Fault, Operation, seeded};
use loginradius_proto::{App, Service};
use loginradius_store::FileStore;

use super::{ADA, Age, assert_token, at_once, tokens};
use crate::adapter::{Adapter, Settings};
use crate::cases::cases;
use crate::child;
use crate::session::{Session, SessionSettings, Sessions};

/// A server, and a folder of sessions.
struct Fixture {
    emulator: Emulator,
    folder: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Self {
        Self { emulator: Emulator::start().unwrap(), folder: tempfile::tempdir().unwrap() }
    }

    fn store(&self) -> FileStore {
        FileStore::open(self.folder.path().join("sessions")).unwrap()
    }

    fn sessions<A: Adapter>(&self) -> A::Sessions {
        sessions::<A>(self.emulator.base_url(), self.store())
    }

    /// Makes Ada's stored tokens that old, in seconds.
    fn age(&self, seconds: u64) {
        let path = self.folder.path().join("sessions/session-ada.json");
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let obtained = now - Duration::from_secs(seconds);
        let json = fs::read_to_string(&path).unwrap();
        fs::write(&path, crate::store::with_obtained_at(&json, obtained.as_millis())).unwrap();
    }

    /// Returns the argument for the child process of this test.
    fn argument(&self) -> String {
        format!("{} {}", self.emulator.base_url(), self.folder.path().display())
    }
}

fn sessions<A: Adapter>(url: &str, store: FileStore) -> A::Sessions {
    let service = Service::classic_at(url).unwrap();
    let app = App::new(seeded::CLIENT_ID).with_client_secret(seeded::CLIENT_SECRET).with_service(service);
    A::new(app, &Settings::default()).unwrap().sessions(store, &SessionSettings::default())
}

/// The whole child process: prints one token, and exits.
fn print_token<A: Adapter>(argument: &str) -> ! {
    let (url, folder) = argument.split_once(' ').unwrap();
    let store = FileStore::open(format!("{folder}/sessions")).unwrap();
    let token = sessions::<A>(url, store).session(ADA).access_token().unwrap();
    println!("token: {}", token.expose());
    // Without a flush, and without dropping anything.
    process::exit(0);
}

/// Waits for a child process. Returns the token that it has printed.
fn printed_token(mut child: Child) -> String {
    let mut text = String::new();
    child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    assert!(child.wait().unwrap().success(), "{text}");
    let token = text.split_once("token: ").and_then(|(_, rest)| rest.lines().next());
    token.unwrap_or_else(|| panic!("no token: {text}")).to_owned()
}

fn start(argument: &str) -> Child {
    child::command(argument, &[]).stdout(Stdio::piped()).spawn().unwrap()
}

/// Eight processes that each make a refresh, early or after the expiry, and exit as soon as they have the token.
fn processes_that_exit_at_once_lose_nothing<A: Adapter>() {
    if let Some(argument) = child::argument() {
        print_token::<A>(&argument);
    }
    const PROCESSES: u64 = 8;
    let fixture = Fixture::new();
    fixture.sessions::<A>().session(ADA).start(&tokens(&fixture.emulator, Age::Fresh)).unwrap();
    fixture.age(95);
    let mut last = String::new();
    for number in 0..PROCESSES {
        let token = printed_token(start(&fixture.argument()));
        assert!(fixture.emulator.is_live_access_token(&token));
        assert!(token != last, "a process waits for the early refresh that it begins");
        last = token;
        // The emulator's tokens have a lifetime of an hour: an early refresh is due, or the token has expired.
        fixture.age(if number % 2 == 0 { 3550 } else { 3700 });
    }
    assert_eq!((fixture.emulator.refreshes(), fixture.emulator.replays()), (PROCESSES, 0));
    assert_eq!(fixture.emulator.live_logins(), 1);
    // This process gets a token, too.
    fixture.sessions::<A>().session(ADA).access_token().unwrap();
}

/// The whole child process: prints one token, and ends as a program does that returns from its main function.
fn print_token_and_return<A: Adapter>(argument: &str) -> ! {
    let (url, folder) = argument.split_once(' ').unwrap();
    let sessions = sessions::<A>(url, FileStore::open(format!("{folder}/sessions")).unwrap());
    println!("token: {}", sessions.session(ADA).access_token().unwrap().expose());
    drop(sessions);
    process::exit(0);
}

/// Its early refresh takes longer than it waits for the token, and it ends before there is a response.
fn a_process_that_ends_during_its_early_refresh_loses_nothing<A: Adapter>() {
    if let Some(argument) = child::argument() {
        print_token_and_return::<A>(&argument);
    }
    let fixture = Fixture::new();
    let tokens = tokens(&fixture.emulator, Age::Fresh);
    fixture.sessions::<A>().session(ADA).start(&tokens).unwrap();
    fixture.age(95);
    fixture.emulator.fault(Operation::Refresh, Fault::Delay(Duration::from_millis(2500)));
    assert_eq!(printed_token(start(&fixture.argument())), tokens.access_token.expose(), "the old one is valid");
    assert_eq!((fixture.emulator.refreshes(), fixture.emulator.replays()), (1, 0));
    // The next process finds the pair that the first one has saved.
    let token = fixture.sessions::<A>().session(ADA).access_token().unwrap();
    assert!(token.expose() != tokens.access_token.expose());
    assert!(fixture.emulator.is_live_access_token(token.expose()));
    assert_eq!((fixture.emulator.refreshes(), fixture.emulator.live_logins()), (1, 1));
}

fn processes_that_start_together_cause_one_refresh<A: Adapter>() {
    if let Some(argument) = child::argument() {
        print_token::<A>(&argument);
    }
    let fixture = Fixture::new();
    fixture.sessions::<A>().session(ADA).start(&tokens(&fixture.emulator, Age::Expired)).unwrap();
    fixture.emulator.fault(Operation::Refresh, Fault::Delay(Duration::from_millis(100)));
    let argument = fixture.argument();
    let children: Vec<_> = (0..8).map(|_| start(&argument)).collect();
    let tokens: Vec<_> = children.into_iter().map(printed_token).collect();
    assert!(tokens.iter().all(|token| *token == tokens[0] && fixture.emulator.is_live_access_token(token)));
    assert_eq!(
        (fixture.emulator.refreshes(), fixture.emulator.replays(), fixture.emulator.requests().len()),
        (1, 0, 1)
    );
}

/// The response is lost with it. The next process gets a token if the server accepts the consumed token once more, and
/// else an error that names the cause.
fn a_process_killed_in_a_refresh_leaves_no_lock<A: Adapter>() {
    if let Some(argument) = child::argument() {
        print_token::<A>(&argument);
    }
    for grace in [true, false] {
        let grace_period = Duration::from_secs(if grace { 60 } else { 0 });
        let emulator = Emulator::builder().refresh_grace(grace_period).start().unwrap();
        let fixture = Fixture { emulator, folder: tempfile::tempdir().unwrap() };
        fixture.sessions::<A>().session(ADA).start(&tokens(&fixture.emulator, Age::Expired)).unwrap();
        fixture.emulator.fault_times(Operation::Refresh, Fault::Delay(Duration::from_secs(5)), 1);
        let mut child = start(&fixture.argument());
        assert!(super::eventually(|| fixture.emulator.requests().len() == 1));
        child.kill().unwrap();
        child.wait().unwrap();
        // The operating system has released its lock.
        let result = fixture.sessions::<A>().session(ADA).access_token();
        if grace {
            assert!(fixture.emulator.is_live_access_token(result.unwrap().expose()));
        } else {
            let error = super::assert_kind(result, loginradius_proto::ErrorKind::SignInRequired);
            assert!(error.to_string().contains("the tokens of an earlier refresh were lost"), "{error}");
        }
        assert_eq!(
            (fixture.emulator.grace_refreshes(), fixture.emulator.replays()),
            if grace { (1, 0) } else { (0, 1) }
        );
    }
}

/// Even on a file system that does not distinguish `a` and `A`.
fn different_names_are_different_files<A: Adapter>() {
    let fixture = Fixture::new();
    let long = "n".repeat(5000);
    let names = ["", " ", "a", "A", "a/b", "a\\b", "../a", "a\0b", "\u{e9}", "e\u{301}", "a:b", "CON", "a.json", &long];
    let sessions = fixture.sessions::<A>();
    let other_sessions = fixture.sessions::<A>();
    let all = names.map(|name| {
        let tokens = tokens(&fixture.emulator, Age::Fresh);
        sessions.session(name).start(&tokens).unwrap();
        tokens.access_token
    });
    for (name, token) in names.iter().zip(&all) {
        assert_token(other_sessions.session(name).access_token(), token);
    }
}

fn stores_over_one_folder_share_a_refresh<A: Adapter>() {
    let fixture = Fixture::new();
    let (first, second) = (fixture.sessions::<A>(), fixture.sessions::<A>());
    first.session(ADA).start(&tokens(&fixture.emulator, Age::Expired)).unwrap();
    let all = at_once(12, |number| [&first, &second][number % 2].session(ADA).access_token().unwrap());
    assert!(all.iter().all(|token| token.expose() == all[0].expose()));
    assert_eq!((fixture.emulator.refreshes(), fixture.emulator.requests().len()), (1, 1));
    second.session(ADA).sign_out().unwrap();
    assert_eq!(fixture.emulator.live_logins(), 0);
    super::assert_kind(first.session(ADA).access_token(), loginradius_proto::ErrorKind::SignInRequired);
}

cases!(($) session_processes session_processes_cases {
    processes_that_exit_at_once_lose_nothing,
    a_process_that_ends_during_its_early_refresh_loses_nothing,
    processes_that_start_together_cause_one_refresh,
    a_process_killed_in_a_refresh_leaves_no_lock,
    different_names_are_different_files,
    stores_over_one_folder_share_a_refresh,
});
