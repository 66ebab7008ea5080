//! A process that can start no more threads: a request says so, and was not sent.

use std::env;
use std::process::Command;

use loginradius_async::oauth::RefreshAccessToken;
use loginradius_async::{App, Client, ConnectFailure, ErrorKind, Retry, Service};

/// Makes every thread too large for the address space. The standard library reads it at the first thread.
const STACK: (&str, &str) = ("RUST_MIN_STACK", "70368744177664");

#[test]
fn a_thread_that_cannot_be_started_is_named() {
    if env::var_os(STACK.0).is_none() {
        // The test harness then runs the test on the main thread.
        let arguments = ["a_thread_that_cannot_be_started_is_named", "--exact", "--test-threads=1", "--nocapture"];
        let child = Command::new(env::current_exe().unwrap()).args(arguments).env(STACK.0, STACK.1).output().unwrap();
        let text = String::from_utf8_lossy(&child.stdout);
        assert!(
            child.status.success() && text.contains("1 passed"),
            "{text}{}",
            String::from_utf8_lossy(&child.stderr)
        );
        return;
    }
    assert!(std::thread::Builder::new().spawn(|| {}).is_err(), "there are threads");
    let service = Service::classic_at("https://sso.name.invalid").unwrap();
    let client = Client::builder(App::new("my-client-id").with_service(service));
    let client = client.without_proxy().retry(Retry::OFF).build().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let error = runtime.block_on(client.call(&RefreshAccessToken::new("refresh"))).unwrap_err();
    assert_eq!((error.kind(), error.is_transient()), (ErrorKind::NotSent, true), "{error:?}");
    assert!(matches!(error.connect_failure(), Some(ConnectFailure::OutOfResources { .. })), "{error:?}");
    assert!(error.to_string().contains("thread could"), "{error}");
}
