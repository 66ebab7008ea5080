//! Calls that begin within another call of the same thread: a logger sends its lines by a client of its own.

use std::cell::{Cell, RefCell};
use std::thread;
use std::time::Duration;

use log::{LevelFilter, Log, Metadata, Record};
use loginradius_blocking::jwt::JwtByAccessToken;
use loginradius_blocking::oauth::RefreshAccessToken;
use loginradius_blocking::{App, Client, ErrorKind, Retry, Service};
use loginradius_conformance::Server;

/// A logger that makes a call at the first line of ureq which begins so.
struct Caller;

thread_local! {
    static NEXT: RefCell<Option<(&'static str, Client)>> = const { RefCell::new(None) };
    static CALLS: Cell<u32> = const { Cell::new(0) };
}

impl Log for Caller {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let is_next = |next: &mut (&str, Client)| {
            record.target().starts_with("ureq::") && record.args().to_string().starts_with(next.0)
        };
        // It is gone already while its thread ends.
        let next = NEXT.try_with(|next| next.borrow_mut().take_if(is_next));
        if let Ok(Some((_, client))) = next {
            CALLS.set(CALLS.get() + 1);
            let _ = client.call(&RefreshAccessToken::new("r"));
        }
    }

    fn flush(&self) {}
}

fn client(url: &str) -> Client {
    // Another test may have set it.
    let _ = log::set_logger(&Caller);
    log::set_max_level(LevelFilter::Debug);
    let app = App::new("my-client-id").with_jwt_app("my-jwt-app").with_service(Service::classic_at(url).unwrap());
    Client::builder(app).retry(Retry::OFF).timeout(Duration::from_millis(300)).build().unwrap()
}

const TOKENS: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{\"access_token\":\"a\"}";

#[test]
fn a_long_request_is_sent_whole_after_a_short_one_within_it() {
    let server = Server::responding(|_| {
        let body = r#"{"access_token":"a","signature":"s"}"#;
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
    });
    let client = client(&server.url());
    NEXT.set(Some(("GET ", client.clone())));
    let token = "t".repeat(5000);
    client.call(&JwtByAccessToken::new(token.as_str())).unwrap();
    let requests = server.requests();
    assert_eq!((CALLS.get(), requests.len()), (1, 2));
    assert!(requests[1].head.contains(&token));
}

#[test]
fn what_was_sent_is_not_called_not_sent_after_a_call_within_it() {
    let server = Server::start(|peer| {
        if peer.request().is_some() {
            let _ = peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{");
            peer.wait();
        }
    });
    let refused = client("http://127.0.0.1:1");
    NEXT.set(Some(("Response", refused)));
    let error = client(&server.url()).call(&RefreshAccessToken::new("r")).unwrap_err();
    assert_eq!((error.kind(), CALLS.get(), server.requests().len()), (ErrorKind::OutcomeUnknown, 1, 1), "{error:?}");
}

/// The values of this thread may be gone already.
#[test]
fn a_call_while_its_thread_ends_succeeds() {
    struct CallOnDrop(Client);
    impl Drop for CallOnDrop {
        fn drop(&mut self) {
            self.0.call(&RefreshAccessToken::new("r")).unwrap();
        }
    }
    thread_local!(static LAST: RefCell<Option<CallOnDrop>> = const { RefCell::new(None) });
    let server = Server::responding(|_| TOKENS.to_vec());
    let client = client(&server.url());
    let within = client.clone();
    thread::spawn(move || {
        LAST.set(Some(CallOnDrop(within.clone())));
        within.call(&RefreshAccessToken::new("r")).unwrap();
    })
    .join()
    .unwrap();
    assert_eq!(server.requests().len(), 2);
}
