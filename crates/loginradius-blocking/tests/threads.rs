//! One client in many threads, and in a program that may start no more of them.

use std::process::Command;
use std::{env, thread};

use loginradius_blocking::oauth::RefreshAccessToken;
use loginradius_blocking::store::MemoryStore;
use loginradius_blocking::{App, Client, ClientBuilder, Error, ErrorKind, Service, Sessions};
use loginradius_conformance::Server;

const fn assert_shared<T: Send + Sync + Clone + 'static>() {}
const fn assert_send<T: Send + 'static>() {}
const _: () = assert_shared::<Client>();
const _: () = assert_send::<ClientBuilder>();
const _: () = assert_shared::<Error>();

#[test]
fn clones_in_many_threads_get_their_own_responses() {
    let server = Server::responding(|request| {
        let length = request.body.len();
        let body = format!(r#"{{"access_token":"{}"}}"#, String::from_utf8_lossy(&request.body));
        assert!(length > 0);
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
    });
    let app = App::new("my-client-id").with_service(Service::classic_at(&server.url()).unwrap());
    let client = Client::new(app).unwrap();
    thread::scope(|scope| {
        for number in 0..16 {
            let client = client.clone();
            scope.spawn(move || {
                let sent = format!("refresh-{number}-");
                let tokens = client.call(&RefreshAccessToken::new(sent.as_str())).unwrap();
                assert!(tokens.access_token.expose().contains(&sent), "another thread's response");
            });
        }
    });
    assert_eq!(server.requests().len(), 16);
}

/// No address space has room for such a stack. The standard library reads this at the first thread.
const STACK: (&str, &str) = ("RUST_MIN_STACK", "70368744177664");

#[test]
fn a_session_for_which_no_thread_can_be_started_says_so() {
    if env::var_os(STACK.0).is_none() {
        // With one thread, the harness runs the test on the main thread.
        let arguments = ["a_session_for_which_no_thread_can_be_started_says_so", "--exact", "--test-threads=1"];
        let child = Command::new(env::current_exe().unwrap()).args(arguments).env(STACK.0, STACK.1).output().unwrap();
        let text = String::from_utf8([child.stdout, child.stderr].concat()).unwrap();
        assert!(child.status.success() && text.contains("1 passed"), "{text}");
        return;
    }
    assert!(thread::Builder::new().spawn(|| {}).is_err(), "there are threads");
    let client = Client::new(App::new("my-client-id")).unwrap();
    let error = Sessions::new(&client, MemoryStore::new()).session("ada").access_token().unwrap_err();
    assert_eq!((error.kind(), error.is_transient()), (ErrorKind::Unavailable, true), "{error:?}");
    let line = error.to_string();
    assert!(line.starts_with("no thread could be started for the session, "), "{line}");
    assert!(line.contains(": allow this program more threads, open files and memory"), "{line}");
}
