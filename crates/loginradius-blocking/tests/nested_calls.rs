//! Calls that begin within another call of the same thread: a logger sends its lines by a client of its own.

use std::cell::RefCell;
use std::thread;
use std::time::Duration;

use log::{LevelFilter, Log, Metadata, Record};
use loginradius_blocking::jwt::JwtByAccessToken;
use loginradius_blocking::oauth::RefreshAccessToken;
use loginradius_blocking::{App, Client, ClientBuilder, ErrorKind, Retry, Service};
use loginradius_conformance::Server;

/// A logger that makes a call at the first line of ureq which begins so.
struct Caller;

thread_local! {
    static NEXT: RefCell<Option<(&'static str, Client)>> = const { RefCell::new(None) };
    /// The errors of those calls.
    static ERRORS: RefCell<Vec<Option<ErrorKind>>> = const { RefCell::new(Vec::new()) };
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
            let result = client.call(&RefreshAccessToken::new("r"));
            ERRORS.with_borrow_mut(|errors| errors.push(result.err().map(|error| error.kind())));
        }
    }

    fn flush(&self) {}
}

fn client(url: &str) -> Client {
    builder(url).timeout(Duration::from_millis(300)).build().unwrap()
}

fn builder(url: &str) -> ClientBuilder {
    // Another test may have set it.
    let _ = log::set_logger(&Caller);
    log::set_max_level(LevelFilter::Debug);
    let app = App::new("my-client-id").with_jwt_app("my-jwt-app").with_service(Service::classic_at(url).unwrap());
    Client::builder(app).retry(Retry::OFF)
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
    assert_eq!((ERRORS.take(), requests.len()), (vec![None], 2));
    assert!(requests[1].head.contains(&token));
}

/// The inner call fails before it begins to connect, and the outer one after the head of its response came.
#[test]
fn each_of_two_calls_knows_whether_it_was_sent() {
    let server = Server::start(|peer| {
        if peer.request().is_some() {
            let _ = peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{");
            peer.wait();
        }
    });
    let at_once = builder(&server.url()).timeout(Duration::from_nanos(1)).build().unwrap();
    NEXT.set(Some(("Response", at_once)));
    let error = client(&server.url()).call(&RefreshAccessToken::new("r")).unwrap_err();
    assert_eq!((error.kind(), server.requests().len()), (ErrorKind::OutcomeUnknown, 1), "{error:?}");
    assert_eq!(ERRORS.take(), [Some(ErrorKind::NotSent)]);
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
