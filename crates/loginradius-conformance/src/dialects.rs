//! One dialect of a service reaches all that its client does.

use std::time::Duration;

use loginradius_emulator::{self as emulator, Emulator, Operation, RecordedRequest, seeded};
use loginradius_proto::browser::{AuthorizationRequest, Callback};
use loginradius_proto::oauth::RequestDeviceCode;
use loginradius_proto::{Api, BodyFormat, ChallengeMethod, ClientAuthentication, Dialect, RevocationKey, TokenSet};

use crate::adapter::{Adapter, DeviceLogin as _, Settings};
use crate::cases::cases;
use crate::matrix::{app, speaking};
use crate::session::{Session, SessionSettings, Sessions};
use crate::store::Store;

/// Everything that the defaults of a site are not.
fn dialect() -> Dialect {
    Dialect::new()
        .with_body_format(BodyFormat::Json)
        .without_response_type()
        .with_revocation_key(RevocationKey::Token)
        .with_challenge_method(ChallengeMethod::S256)
        .with_client_authentication(ClientAuthentication::Basic)
}

struct Setup<A> {
    emulator: Emulator,
    client: A,
}

impl<A: Adapter> Setup<A> {
    fn new() -> Self {
        let emulator = Emulator::builder().device_interval(Duration::ZERO).start().unwrap();
        let client = A::new(speaking(&app(&emulator, Api::Site), dialect()), &Settings::default()).unwrap();
        Self { emulator, client }
    }

    fn request(&self, operation: Operation) -> RecordedRequest {
        let requests = self.emulator.requests();
        requests.into_iter().find(|request| request.operation == Some(operation)).expect("it was sent")
    }

    /// The request is written in the dialect; the secret is in the header if the operation needs one.
    fn assert_spoken(&self, operation: Operation, authenticated: bool) {
        let request = self.request(operation);
        assert_eq!(request.body_format, emulator::BodyFormat::Json, "{operation:?}");
        assert_eq!(request.param("response_type"), None, "{operation:?}");
        assert_eq!(request.param("client_secret"), None, "{operation:?}");
        assert_eq!(
            request.authorization.is_some_and(|text| text.starts_with("Basic ")),
            authenticated,
            "{operation:?}"
        );
    }

    fn assert_live(&self, tokens: &TokenSet) {
        assert!(self.emulator.is_live_access_token(tokens.access_token.expose()));
    }
}

fn a_device_login_speaks_it<A: Adapter>() {
    let setup = Setup::<A>::new();
    let login = setup.client.begin_device_login(&RequestDeviceCode::new()).unwrap();
    setup.emulator.approve(&login.grant().user_code).unwrap();
    setup.assert_live(&login.wait(|_| ()).unwrap());
    setup.assert_spoken(Operation::DeviceCode, false);
    setup.assert_spoken(Operation::DeviceToken, false);
}

fn a_login_through_a_browser_speaks_it<A: Adapter>() {
    let setup = Setup::<A>::new();
    let request = AuthorizationRequest::new("http://127.0.0.1:8400/callback").scope("profile");
    let mut login = setup.client.begin_browser_login(&request).unwrap();
    assert!(login.url.contains("code_challenge_method=S256"), "{}", login.url);
    let callback = setup.emulator.authorize(&login.url).unwrap().url;
    let callback = Callback::from_url(&callback).unwrap();
    setup.assert_live(&setup.client.complete_browser_login(&mut login.pending, &callback).unwrap());
    setup.assert_spoken(Operation::CodeExchange, true);
}

fn a_session_speaks_it<A: Adapter>() {
    let setup = Setup::<A>::new();
    let password = loginradius_proto::oauth::AccessTokenByPassword::new(seeded::ADA.email, seeded::ADA.password);
    let tokens = setup.client.call(&password).unwrap();
    setup.assert_spoken(Operation::Password, true);
    let session = setup.client.sessions(Store::new(), &SessionSettings::default()).session("ada");
    session.start(&tokens).unwrap();
    session.refresh_rejected(&tokens.access_token).unwrap();
    setup.assert_spoken(Operation::Refresh, true);
    session.sign_out().unwrap();
    setup.assert_spoken(Operation::Revoke, true);
    assert!(setup.request(Operation::Revoke).param("token").is_some());
    assert_eq!(setup.emulator.live_logins(), 0);
}

cases!(($) dialects dialects_cases {
    a_device_login_speaks_it,
    a_login_through_a_browser_speaks_it,
    a_session_speaks_it,
});
