//! A clock that is set while the program runs, or that was wrong from the start, costs at most one refresh.
//!
//! libfaketime sets the clock of a child process; the server stays in this one, with the right time. Without the
//! library (Debian's `faketime`) there is nothing to test.

use std::env;
use std::fs;
use std::process::Command;
use std::thread;
use std::time::{Duration, SystemTime};

use loginradius_blocking::oauth::{AccessTokenByPassword, RequestDeviceCode};
use loginradius_blocking::store::MemoryStore;
use loginradius_blocking::{App, Client, ErrorKind, Service, Sessions};
use loginradius_conformance::emulator::{Emulator, seeded};

const URL: &str = "LOGINRADIUS_CLOCKS_URL";
const OFFSET_FILE: &str = "FAKETIME_TIMESTAMP_FILE";

const HOUR: i64 = 3600;
const YEAR: i64 = 365 * 24 * HOUR;
/// By how many seconds the clock is off, one after the other: an hour back, ten minutes forward, before 1970, after
/// 2106 and after 2261, and back to the right time.
const OFFSETS: [i64; 8] = [0, -HOUR, 600, -70 * YEAR, 0, 80 * YEAR, 236 * YEAR, 0];
const FIRST_OFFSETS: [i64; 5] = [0, -HOUR, 600, -70 * YEAR, 236 * YEAR];

fn library() -> Option<String> {
    let folders = fs::read_dir("/usr/lib").ok()?.flatten();
    folders
        .map(|folder| folder.path().join("faketime/libfaketimeMT.so.1"))
        .find(|path| path.exists())?
        .to_str()
        .map(Into::into)
}

#[test]
fn a_clock_that_is_set_costs_at_most_one_refresh() {
    if let Ok(url) = env::var(URL) {
        return child(&url);
    }
    let Some(library) = library() else { return };
    thread::scope(|scope| {
        for first in FIRST_OFFSETS {
            let library = &library;
            scope.spawn(move || parent(library, first));
        }
    });
}

/// Runs this test in a child whose clock is off by `first` when it starts.
fn parent(library: &str, first: i64) {
    let emulator = Emulator::builder()
        .access_token_lifetime(Duration::from_secs(2 * 3600))
        .device_interval(Duration::ZERO)
        .device_lifetime(Duration::from_secs(1))
        .start()
        .unwrap();
    let file = env::temp_dir().join(format!("loginradius-clocks-{}-{first}", std::process::id()));
    fs::write(&file, format!("{first:+}")).unwrap();
    let arguments = ["a_clock_that_is_set_costs_at_most_one_refresh", "--exact", "--nocapture"];
    let child = Command::new(env::current_exe().unwrap())
        .args(arguments)
        .env(URL, emulator.base_url())
        .env("LD_PRELOAD", library)
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        .env("FAKETIME_NO_CACHE", "1")
        .env(OFFSET_FILE, &file)
        .output()
        .unwrap();
    fs::remove_file(&file).unwrap();
    let text = String::from_utf8_lossy(&child.stdout);
    let errors = String::from_utf8_lossy(&child.stderr);
    assert!(child.status.success() && text.contains("1 passed"), "{first}: {text}{errors}");
    let steps = OFFSETS.len() as u64;
    assert!(emulator.refreshes() <= steps, "{first}: {} refreshes", emulator.refreshes());
    assert_eq!(emulator.replays(), 0, "{first}");
    println!("first off by {first} s: {} refreshes in {steps} steps of the clock", emulator.refreshes());
}

fn child(url: &str) {
    let app = App::new(seeded::CLIENT_ID)
        .with_client_secret(seeded::CLIENT_SECRET)
        .with_oauth_app(seeded::OAUTH_APP)
        .with_service(Service::classic_at(url).unwrap());
    let client = Client::new(app).unwrap();
    let login = AccessTokenByPassword::new(seeded::ADA.email, seeded::ADA.password);
    let tokens = client.call(&login).unwrap();
    let session = Sessions::new(&client, MemoryStore::new()).session("ada");
    session.start(&tokens).unwrap();
    let file = env::var(OFFSET_FILE).unwrap();
    for offset in OFFSETS {
        let before = SystemTime::now();
        fs::write(&file, format!("{offset:+}")).unwrap();
        println!("{offset:+} s: {before:?} -> {:?}", SystemTime::now());
        for _ in 0..3 {
            session.access_token().unwrap();
        }
        assert!(session.is_signed_in().unwrap());
        let error = client.device_login(&RequestDeviceCode::new(), |_| Ok(())).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Expired);
    }
    session.sign_out().unwrap();
}
