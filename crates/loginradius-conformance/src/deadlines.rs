//! The time that a program gives an operation of a client or of a session.

use std::time::{Duration, Instant};

use loginradius_emulator::{Emulator, Fault, Operation, seeded};
use loginradius_proto::browser::AuthorizationRequest;
use loginradius_proto::jwt::JwtByAccessToken;
use loginradius_proto::oauth::{RefreshAccessToken, RequestDeviceCode};
use loginradius_proto::{Api, ErrorKind, Retry, TokenSet};

use crate::adapter::{Adapter, Settings};
use crate::cases::cases;
use crate::matrix::app;
use crate::operations::{self, REFUSED};
use crate::receiver::Receiver;
use crate::server::Server;
use crate::session::{Session, SessionSettings, Sessions};
use crate::store::Store;

const SHORT: Duration = Duration::from_millis(200);
/// What an operation may take longer than it was given: these machines are slow.
const LATE: Duration = Duration::from_secs(2);

fn a_silent_server_takes_no_longer_than_the_time_given<A: Adapter>() {
    let server = Server::start(|peer| {
        peer.request();
        peer.wait();
    });
    let client = A::new(operations::app(&server.url()), &Settings::attempts(5)).unwrap();
    let start = Instant::now();
    let error = client.within(SHORT).call(&RefreshAccessToken::new("r")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutcomeUnknown, "it may have arrived: {error:?}");
    let error = client.within(SHORT).call(&JwtByAccessToken::new("a")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutcomeUnknown, "{error:?}");
    assert!(start.elapsed() < LATE, "{:?}", start.elapsed());
    assert_eq!(server.requests().len(), 2);
}

fn retries_take_no_longer_than_the_time_given<A: Adapter>() {
    let retry = Retry::default().with_attempts(1000).with_first_wait(SHORT / 8).with_max_wait(SHORT / 8);
    let settings = Settings { retry, ..Settings::default() };
    let client = A::new(operations::app(REFUSED), &settings).unwrap();
    let start = Instant::now();
    let error = client.within(SHORT).call(&RefreshAccessToken::new("r")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotSent, "{error:?}");
    assert!(start.elapsed() < LATE, "{:?}", start.elapsed());
}

/// Also if the program sets no time for the operation.
fn a_silent_server_takes_no_longer_than_the_time_of_all_attempts<A: Adapter>() {
    let server = Server::start(|peer| {
        peer.request();
        peer.wait();
    });
    let retry = Retry::default().with_attempts(100).with_first_wait(SHORT / 8).with_max_time(5 * SHORT);
    let settings = Settings { retry, timeout: 2 * SHORT, ..Settings::default() };
    let client = A::new(operations::app(&server.url()), &settings).unwrap();
    let start = Instant::now();
    let error = client.begin_device_login(&RequestDeviceCode::new()).map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutcomeUnknown, "{error:?}");
    assert!(start.elapsed() > 3 * SHORT && start.elapsed() < 5 * SHORT + LATE, "{:?}", start.elapsed());
    assert!((2..=3).contains(&server.requests().len()), "{}", server.requests().len());
}

fn without_time_no_connection_is_made<A: Adapter>() {
    let server = Server::responding(|_| Vec::new());
    let client = A::new(operations::app(&server.url()), &Settings::attempts(5)).unwrap().within(Duration::ZERO);
    let error = client.call(&RefreshAccessToken::new("r")).unwrap_err();
    assert_eq!((error.kind(), error.operation()), (ErrorKind::DeadlineExceeded, Some("Refresh Access Token")));
    assert_eq!(server.connections(), 0);
}

fn a_browser_that_does_not_come_back_in_time<A: Adapter>() {
    let emulator = Emulator::start().unwrap();
    let client = A::new(app(&emulator, Api::Classic), &Settings::default()).unwrap();
    let receiver = A::Receiver::bind(0, "/callback").unwrap();
    let request = AuthorizationRequest::new(receiver.redirect_uri());
    let start = Instant::now();
    let error = client.within(SHORT).browser_login(receiver, &request, |_| Ok(())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DeadlineExceeded, "{error:?}");
    assert!(start.elapsed() >= SHORT && start.elapsed() < LATE);
}

// Sessions.

fn tokens(emulator: &Emulator, expires_in: u64) -> TokenSet {
    let login = emulator.login(&seeded::ADA);
    let mut tokens = TokenSet::new(login.access_token);
    tokens.refresh_token = login.refresh_token.map(Into::into);
    tokens.expires_in = Some(Duration::from_secs(expires_in));
    tokens
}

struct Signed<A: Adapter> {
    emulator: Emulator,
    sessions: A::Sessions,
    session: <A::Sessions as Sessions>::Session,
    first: TokenSet,
}

impl<A: Adapter> Signed<A> {
    fn new() -> Self {
        let emulator = Emulator::start().unwrap();
        let client = A::new(app(&emulator, Api::Classic), &Settings::default()).unwrap();
        let sessions = client.sessions(Store::new(), &SessionSettings::default());
        let (session, first) = (sessions.session("ada"), tokens(&emulator, 600));
        session.start(&first).unwrap();
        Self { emulator, sessions, session, first }
    }
}

fn a_caller_whose_time_is_over_does_not_end_the_refresh<A: Adapter>() {
    let signed = Signed::<A>::new();
    signed.emulator.fault_times(Operation::Refresh, Fault::Delay(Duration::from_millis(600)), 1);
    let start = Instant::now();
    let error = signed.session.within(SHORT).refresh_rejected(&signed.first.access_token).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DeadlineExceeded, "{error:?}");
    assert!(error.is_transient() && start.elapsed() < LATE);
    // The next caller waits for the same refresh.
    let token = signed.session.access_token().unwrap();
    assert_ne!(token.expose(), signed.first.access_token.expose());
    assert!(signed.emulator.is_live_access_token(token.expose()));
    assert_eq!((signed.emulator.refreshes(), signed.emulator.replays()), (1, 0));
}

fn without_time_no_refresh_begins<A: Adapter>() {
    let signed = Signed::<A>::new();
    let session = signed.session.within(Duration::ZERO);
    assert_eq!(session.access_token().unwrap().expose(), signed.first.access_token.expose(), "the memory has it");
    let error = session.refresh_rejected(&signed.first.access_token).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DeadlineExceeded);
    assert!(signed.emulator.requests().is_empty());
    let unknown = signed.sessions.session("grace").within(Duration::ZERO);
    assert_eq!(unknown.access_token().unwrap_err().kind(), ErrorKind::DeadlineExceeded);
}

fn who_is_signed_in<A: Adapter>() {
    let signed = Signed::<A>::new();
    assert!(signed.session.is_signed_in().unwrap());
    assert!(signed.session.expires_at().is_some());
    let other = signed.sessions.session("grace");
    assert!(!other.is_signed_in().unwrap());
    assert!(other.expires_at().is_none());

    // A rejected token, and a server that is out of order: the session has not ended.
    signed.emulator.fault(Operation::Refresh, Fault::Status(503));
    assert!(signed.session.refresh_rejected(&signed.first.access_token).is_err());
    assert!(signed.session.is_signed_in().unwrap());

    signed.session.forget().unwrap();
    assert!(!signed.session.is_signed_in().unwrap());
    assert!(signed.session.expires_at().is_none());
}

/// A name has one session: a second browser needs another name.
fn a_second_login_under_one_name_replaces_the_first<A: Adapter>() {
    let signed = Signed::<A>::new();
    let second = tokens(&signed.emulator, 600);
    signed.sessions.session("ada").start(&second).unwrap();
    assert_eq!(signed.session.access_token().unwrap().expose(), second.access_token.expose());

    let third = tokens(&signed.emulator, 600);
    signed.sessions.session("ada-in-another-browser").start(&third).unwrap();
    assert_eq!(signed.session.access_token().unwrap().expose(), second.access_token.expose());
    signed.sessions.session("ada-in-another-browser").sign_out().unwrap();
    assert!(signed.session.is_signed_in().unwrap());
}

cases!(($) deadlines deadlines_cases {
    a_silent_server_takes_no_longer_than_the_time_given,
    retries_take_no_longer_than_the_time_given,
    a_silent_server_takes_no_longer_than_the_time_of_all_attempts,
    without_time_no_connection_is_made,
    a_browser_that_does_not_come_back_in_time,
    a_caller_whose_time_is_over_does_not_end_the_refresh,
    without_time_no_refresh_begins,
    who_is_signed_in,
    a_second_login_under_one_name_replaces_the_first,
});
