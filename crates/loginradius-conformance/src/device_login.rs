//! A device login from its code to its tokens. It takes a second, the shortest interval between polls; the core's
//! tests check its timing.

use std::time::Duration;

use loginradius_emulator::{Emulator, Operation};
use loginradius_proto::oauth::RequestDeviceCode;
use loginradius_proto::{Api, ErrorKind, TokenSet};

use crate::adapter::{Adapter, Settings};
use crate::cases::cases;
use crate::matrix::app;

struct Login<A> {
    emulator: Emulator,
    client: A,
}

impl<A: Adapter> Login<A> {
    fn new(api: Api, lifetime: Duration) -> Self {
        let emulator = Emulator::builder().device_interval(Duration::ZERO).device_lifetime(lifetime).start().unwrap();
        let client = A::new(app(&emulator, api), &Settings::default()).unwrap();
        Self { emulator, client }
    }

    /// Runs the login with `decide` as its user. Returns its result, and how often it polled.
    fn run(&self, decide: impl FnOnce(&Emulator, &str)) -> (Result<TokenSet, loginradius_proto::Error>, usize) {
        let result = self.client.device_login(&RequestDeviceCode::new().scope("email profile"), |grant| {
            decide(&self.emulator, &grant.user_code);
            Ok(())
        });
        let requests = self.emulator.requests();
        let count = |operation| requests.iter().filter(|request| request.operation == Some(operation)).count();
        assert_eq!(count(Operation::DeviceCode), 1);
        assert_eq!(requests[0].param("scope"), Some("email profile"));
        (result, count(Operation::DeviceToken))
    }
}

/// Long enough for every login here, and short for an adapter that misses the end of one.
const LIFETIME: Duration = Duration::from_secs(4);

fn an_approved_login_yields_tokens<A: Adapter>() {
    let login = Login::<A>::new(Api::Classic, LIFETIME);
    let (tokens, polls) = login.run(|emulator, code| emulator.approve(code).unwrap());
    assert!(login.emulator.is_live_access_token(tokens.unwrap().access_token.expose()));
    assert_eq!(polls, 1);
}

fn a_denied_login_ends_as_denied<A: Adapter>() {
    let login = Login::<A>::new(Api::Site, LIFETIME);
    let (result, polls) = login.run(|emulator, code| emulator.deny(code).unwrap());
    assert_eq!(result.unwrap_err().kind(), ErrorKind::Denied);
    assert_eq!(polls, 1);
}

fn a_login_expires_by_the_servers_clock<A: Adapter>() {
    let login = Login::<A>::new(Api::Classic, LIFETIME);
    let (result, polls) = login.run(|emulator, _| emulator.advance(LIFETIME));
    let error = result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Expired);
    assert_eq!(error.api_error().unwrap().oauth_error.as_deref(), Some("expired_token"));
    assert_eq!(polls, 1);
}

fn a_login_expires_by_this_machines_clock<A: Adapter>() {
    let login = Login::<A>::new(Api::Site, Duration::from_secs(1));
    let (result, polls) = login.run(|_, _| ());
    let error = result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Expired);
    assert!(error.api_error().is_none());
    assert_eq!(polls, 1, "the interval does not fit into the lifetime, but one poll does");
}

fn a_refused_device_code_prompts_no_user<A: Adapter>() {
    let emulator = Emulator::start().unwrap();
    let app = app(&emulator, Api::Classic).with_oauth_app("no-such-app");
    let client = A::new(app, &Settings::default()).unwrap();
    let error = client.device_login(&RequestDeviceCode::new(), |grant| panic!("{grant:?}")).unwrap_err();
    assert!(error.api_error().is_some(), "{error}");
    assert_eq!(error.operation(), Some("Request Device Code"));
}

cases!(($) device_login device_login_cases {
    an_approved_login_yields_tokens,
    a_denied_login_ends_as_denied,
    a_login_expires_by_the_servers_clock,
    a_login_expires_by_this_machines_clock,
    a_refused_device_code_prompts_no_user,
});
