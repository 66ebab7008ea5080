//! A process that can start no more threads, or open no more files, after it has begun: an error says so, and nothing
//! was sent.

use std::env;
use std::process::Command;
use std::time::Duration;

use loginradius_async::browser::AuthorizationRequest;
use loginradius_async::oauth::RefreshAccessToken;
use loginradius_async::store::MemoryStore;
use loginradius_async::{App, Client, ConnectFailure, Error, ErrorKind, LoopbackReceiver, Retry, Service, Sessions};

/// Runs a test of this program once more, after these commands of a shell.
fn child(test: &str, commands: &str, room: usize) -> String {
    let script = format!("{commands}; exec \"$0\" {test} --exact --ignored --test-threads=1 --nocapture");
    let mut command = Command::new("sh");
    command.args(["-c", &script]).arg(env::current_exe().unwrap()).env(ROOM, room.to_string());
    let child = command.output().unwrap();
    let text = [child.stdout, child.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    assert!(child.status.success() && text.contains("1 passed"), "{room}: {text}");
    text.into_owned()
}

const ROOM: &str = "LOGINRADIUS_TEST_ROOM";

/// Returns how many files the child may still open; `None` where the ignored tests are run by themselves.
fn room() -> Option<usize> {
    env::var(ROOM).ok()?.parse().ok()
}

/// Opens files until there is room for only that many.
fn use_up_files(room: usize) -> Vec<std::fs::File> {
    let mut files: Vec<_> = std::iter::from_fn(|| std::fs::File::open("/dev/null").ok()).collect();
    files.truncate(files.len() - room);
    files
}

fn in_a_runtime<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

fn client_of(url: &str) -> Client {
    let app = App::new("my-client-id").with_service(Service::classic_at(url).unwrap());
    Client::builder(app).without_proxy().retry(Retry::OFF).build().unwrap()
}

/// Prints the error of an operation that begins when there is hardly room for more files.
fn print_error<T: std::fmt::Debug>(operation: impl Future<Output = Result<T, Error>>) {
    let Some(room) = room() else { return };
    let _files = use_up_files(room);
    let error = in_a_runtime(operation).unwrap_err();
    println!("\n{} {error}", error.kind().as_str());
}

#[test]
#[ignore = "another test's child"]
fn child_calls() {
    print_error(client_of("http://127.0.0.1:9").call(&RefreshAccessToken::new("refresh")));
}

#[test]
#[ignore = "another test's child"]
fn child_waits_for_a_callback() {
    let client = client_of("http://127.0.0.1:9");
    let receiver = LoopbackReceiver::bind(0, "/callback").unwrap().timeout(Duration::from_millis(50));
    let mut login = client.begin_browser_login(&AuthorizationRequest::new(receiver.redirect_uri())).unwrap();
    print_error(receiver.receive(&mut login.pending));
}

#[test]
#[ignore = "another test's child"]
fn child_asks_a_session() {
    let sessions = Sessions::new(&client_of("http://127.0.0.1:9"), MemoryStore::new());
    print_error(sessions.session("ada").access_token());
}

#[test]
#[ignore = "another test's child"]
fn child_asks_a_session_without_threads() {
    if room().is_none() {
        return;
    }
    assert!(std::thread::Builder::new().spawn(|| {}).is_err(), "there are threads");
    let sessions = Sessions::new(&client_of("http://127.0.0.1:9"), MemoryStore::new());
    let error = in_a_runtime(sessions.session("ada").access_token()).unwrap_err();
    assert_eq!((error.kind(), error.is_transient()), (ErrorKind::Unavailable, true), "{error:?}");
    let line = error.to_string();
    assert!(line.starts_with("no thread could be started for the session, "), "{line}");
    assert!(line.contains(": allow this program more threads, open files and memory"), "{line}");
}

#[test]
fn a_session_for_which_no_thread_can_be_started_says_so() {
    // No address space has room for such a stack. The standard library reads this at the first thread.
    child("child_asks_a_session_without_threads", "export RUST_MIN_STACK=70368744177664", 0);
}

/// tokio panics if some of the files of a runtime cannot be opened.
#[test]
#[cfg(unix)]
fn files_that_cannot_be_opened_are_named() {
    for (test, other) in [
        ("child_calls", "could not connect to http://127.0.0.1:9"),
        ("child_waits_for_a_callback", "no callback came"),
        ("child_asks_a_session", "no user is signed in"),
    ] {
        let mut named = 0;
        for room in 0..16 {
            let text = child(test, "ulimit -n 64", room);
            assert!(!text.contains("panicked"), "{room}: {text}");
            if text.contains("Too many open files (os error 24)") {
                assert!(text.contains("\nunavailable ") || text.contains("\nnot_sent "), "{room}: {text}");
                assert!(text.contains(": allow this program more threads, open files and memory"), "{room}: {text}");
                named += 1;
            } else {
                assert!(text.contains(other), "{room}: {text}");
            }
        }
        assert!((3..16).contains(&named), "{test}: {named}");
    }
}

#[test]
#[ignore = "another test's child"]
fn child_looks_a_name_up() {
    if room().is_none() {
        return;
    }
    let client = client_of("https://sso.name.invalid");
    let call = || in_a_runtime(client.call(&RefreshAccessToken::new("refresh"))).unwrap_err();
    assert!(matches!(call().connect_failure(), Some(ConnectFailure::NameNotFound { .. })));
    // No room for the stack of another thread.
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    let bytes = pages.split(' ').next().unwrap().parse::<u64>().unwrap() * 4096 + (1 << 20);
    let process = std::process::id().to_string();
    let limit = Command::new("prlimit").args(["--pid", &process, &format!("--as={bytes}")]).status();
    if !limit.is_ok_and(|status| status.success()) {
        println!("NOT TESTED here, because the memory cannot be limited");
        return;
    }
    // The stack of a thread that has ended is used again, also that of the first lookup, which is about to end.
    for _ in 0..5 {
        let stay = || std::thread::Builder::new().spawn(|| std::thread::sleep(Duration::from_secs(60)));
        let threads = std::iter::repeat_with(stay).take(100).take_while(Result::is_ok).count();
        assert!(threads < 100, "there are threads");
        std::thread::sleep(Duration::from_millis(50));
    }
    let error = call();
    assert_eq!((error.kind(), error.is_transient()), (ErrorKind::NotSent, true), "{error:?}");
    assert!(matches!(error.connect_failure(), Some(ConnectFailure::OutOfResources { .. })), "{error:?}");
    let words = "a thread could not be started for the DNS lookup of sso.name.invalid: ";
    assert!(error.to_string().contains(words), "{error}");
}

#[test]
#[cfg(target_os = "linux")]
fn a_lookup_that_cannot_be_started_is_named() {
    print!("{}", child("child_looks_a_name_up", "true", 0));
}
