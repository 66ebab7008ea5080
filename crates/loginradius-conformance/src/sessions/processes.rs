//! Programs that share files: real processes, and what stands for them in this one.

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

/// A folder of sessions, and a server.
struct World {
    emulator: Emulator,
    folder: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        Self { emulator: Emulator::start().unwrap(), folder: tempfile::tempdir().unwrap() }
    }

    fn store(&self) -> FileStore {
        FileStore::open(self.folder.path().join("sessions")).unwrap()
    }

    fn sessions<A: Adapter>(&self) -> A::Sessions {
        sessions::<A>(self.emulator.base_url(), self.store())
    }

    /// Makes Ada's stored tokens so old, in seconds.
    fn age(&self, seconds: u64) {
        let path = self.folder.path().join("sessions/session-ada.json");
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let obtained = now - Duration::from_secs(seconds);
        let json = fs::read_to_string(&path).unwrap();
        fs::write(&path, crate::store::with_obtained_at(&json, obtained.as_millis())).unwrap();
    }

    /// What the child of this test gets to know.
    fn argument(&self) -> String {
        format!("{} {}", self.emulator.base_url(), self.folder.path().display())
    }
}

fn sessions<A: Adapter>(url: &str, store: FileStore) -> A::Sessions {
    let service = Service::classic_at(url).unwrap();
    let app = App::new(seeded::CLIENT_ID).with_client_secret(seeded::CLIENT_SECRET).with_service(service);
    A::new(app, &Settings::default()).unwrap().sessions(store, &SessionSettings::default())
}

/// The whole program: one token, and the end.
fn program<A: Adapter>(argument: &str) -> ! {
    let (url, folder) = argument.split_once(' ').unwrap();
    let store = FileStore::open(format!("{folder}/sessions")).unwrap();
    let token = sessions::<A>(url, store).session(ADA).access_token().unwrap();
    println!("token: {}", token.expose());
    // Not a word of good-bye: nothing is closed, nothing is dropped.
    process::exit(0);
}

/// The token that a program has printed.
fn printed(mut program: Child) -> String {
    let mut text = String::new();
    program.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    assert!(program.wait().unwrap().success(), "{text}");
    let token = text.split_once("token: ").and_then(|(_, rest)| rest.lines().next());
    token.unwrap_or_else(|| panic!("no token: {text}")).to_owned()
}

fn start(argument: &str) -> Child {
    child::command(argument, &[]).stdout(Stdio::piped()).spawn().unwrap()
}

/// A program asks for a token while the old one is about to end, gets it, and ends at once: time and again.
fn processes_that_exit_at_once_lose_nothing<A: Adapter>() {
    if let Some(argument) = child::argument() {
        program::<A>(&argument);
    }
    const PROGRAMS: u64 = 8;
    let world = World::new();
    world.sessions::<A>().session(ADA).start(&tokens(&world.emulator, Age::Good)).unwrap();
    world.age(95);
    let mut last = String::new();
    for number in 0..PROGRAMS {
        let token = printed(start(&world.argument()));
        assert!(world.emulator.is_live_access_token(&token));
        assert!(token != last, "who begins an early refresh waits for it");
        last = token;
        // Emulated tokens live for an hour: early, or over.
        world.age(if number % 2 == 0 { 3550 } else { 3700 });
    }
    assert_eq!((world.emulator.refreshes(), world.emulator.replays()), (PROGRAMS, 0));
    assert_eq!(world.emulator.live_logins(), 1);
    // And one more, which is this one.
    world.sessions::<A>().session(ADA).access_token().unwrap();
}

/// Many programs that start together make one refresh.
fn processes_that_start_together_cause_one_refresh<A: Adapter>() {
    if let Some(argument) = child::argument() {
        program::<A>(&argument);
    }
    let world = World::new();
    world.sessions::<A>().session(ADA).start(&tokens(&world.emulator, Age::Over)).unwrap();
    world.emulator.fault(Operation::Refresh, Fault::Delay(Duration::from_millis(100)));
    let argument = world.argument();
    let programs: Vec<_> = (0..8).map(|_| start(&argument)).collect();
    let tokens: Vec<_> = programs.into_iter().map(printed).collect();
    assert!(tokens.iter().all(|token| *token == tokens[0] && world.emulator.is_live_access_token(token)));
    assert_eq!((world.emulator.refreshes(), world.emulator.replays(), world.emulator.requests().len()), (1, 0, 1));
}

/// A program that dies with the answer on its way has lost it. Whoever comes next is told so, or gets a token from a
/// server that forgives it.
fn a_process_killed_in_a_refresh_leaves_no_lock<A: Adapter>() {
    if let Some(argument) = child::argument() {
        program::<A>(&argument);
    }
    for grace in [true, false] {
        let grace_period = Duration::from_secs(if grace { 60 } else { 0 });
        let emulator = Emulator::builder().refresh_grace(grace_period).start().unwrap();
        let world = World { emulator, folder: tempfile::tempdir().unwrap() };
        world.sessions::<A>().session(ADA).start(&tokens(&world.emulator, Age::Over)).unwrap();
        world.emulator.fault_times(Operation::Refresh, Fault::Delay(Duration::from_secs(5)), 1);
        let mut program = start(&world.argument());
        assert!(super::eventually(|| world.emulator.requests().len() == 1));
        program.kill().unwrap();
        program.wait().unwrap();
        // Its lock ended with it.
        let result = world.sessions::<A>().session(ADA).access_token();
        if grace {
            assert!(world.emulator.is_live_access_token(result.unwrap().expose()));
        } else {
            let error = super::assert_kind(result, loginradius_proto::ErrorKind::SignInRequired);
            assert!(error.to_string().contains("the tokens of an earlier refresh were lost"), "{error}");
        }
        assert_eq!((world.emulator.grace_refreshes(), world.emulator.replays()), if grace { (1, 0) } else { (0, 1) });
    }
}

/// Every text is a name, and no two meet, on disks that take `a` for `A` as well.
fn different_names_are_different_files<A: Adapter>() {
    let world = World::new();
    let long = "n".repeat(5000);
    let names = ["", " ", "a", "A", "a/b", "a\\b", "../a", "a\0b", "\u{e9}", "e\u{301}", "a:b", "CON", "a.json", &long];
    let sessions = world.sessions::<A>();
    let others = world.sessions::<A>();
    let all = names.map(|name| {
        let tokens = tokens(&world.emulator, Age::Good);
        sessions.session(name).start(&tokens).unwrap();
        tokens.access_token
    });
    for (name, token) in names.iter().zip(&all) {
        assert_token(others.session(name).access_token(), token);
    }
}

/// What one handle to the folder has refreshed, every other one finds.
fn stores_over_one_folder_share_a_refresh<A: Adapter>() {
    let world = World::new();
    let (first, second) = (world.sessions::<A>(), world.sessions::<A>());
    first.session(ADA).start(&tokens(&world.emulator, Age::Over)).unwrap();
    let all = at_once(12, |number| [&first, &second][number % 2].session(ADA).access_token().unwrap());
    assert!(all.iter().all(|token| token.expose() == all[0].expose()));
    assert_eq!((world.emulator.refreshes(), world.emulator.requests().len()), (1, 1));
    second.session(ADA).sign_out().unwrap();
    assert_eq!(world.emulator.live_logins(), 0);
    super::assert_kind(first.session(ADA).access_token(), loginradius_proto::ErrorKind::SignInRequired);
}

cases!(($) session_processes session_processes_cases {
    processes_that_exit_at_once_lose_nothing,
    processes_that_start_together_cause_one_refresh,
    a_process_killed_in_a_refresh_leaves_no_lock,
    different_names_are_different_files,
    stores_over_one_folder_share_a_refresh,
});
