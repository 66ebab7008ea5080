use std::hint::black_box;
use std::time::{Duration, Instant};

use loginradius_proto::jwt::JwtByAccessToken;
use loginradius_proto::oauth::{AccessTokenByCode, RefreshAccessToken, RequestDeviceCode, RevokeRefreshToken};
use loginradius_proto::{App, Body, DeviceFlow, Endpoint, Flow, Seed, Step};

use super::server::{
    ACCESS_TOKEN, CLIENT_ID, CLIENT_SECRET, CODE, CODE_VERIFIER, JWT_APP, Operation, REDIRECT_URI, REFRESH_TOKEN,
    SCOPE, Server,
};

/// Returns the app that all operations are done for.
pub(crate) fn app() -> App {
    App::new(CLIENT_ID).with_client_secret(CLIENT_SECRET).with_oauth_app("my-oauth-app").with_jwt_app(JWT_APP)
}

/// Whatever can call an endpoint.
pub(crate) trait Caller {
    /// Prepares to call it.
    fn prepare<E: Endpoint + 'static>(self, endpoint: E) -> Box<dyn FnMut()>;
}

/// Prepares to do an operation by its endpoint. `None` if it has no endpoint: a poll is a part of a flow.
pub(crate) fn by_endpoint(operation: Operation, caller: impl Caller) -> Option<Box<dyn FnMut()>> {
    Some(match operation {
        Operation::Device => caller.prepare(RequestDeviceCode::new().scope(SCOPE)),
        Operation::PollPending => return None,
        Operation::Refresh => caller.prepare(RefreshAccessToken::new(REFRESH_TOKEN)),
        Operation::Code => caller.prepare(AccessTokenByCode::new(CODE, REDIRECT_URI).code_verifier(CODE_VERIFIER)),
        Operation::Revoke => caller.prepare(RevokeRefreshToken::new(REFRESH_TOKEN)),
        Operation::JwtByToken => caller.prepare(JwtByAccessToken::new(ACCESS_TOKEN)),
    })
}

pub(super) fn prepare(operation: Operation, server: Server<Body>) -> Box<dyn FnMut()> {
    match operation {
        Operation::PollPending => poll(&app(), server),
        _ => by_endpoint(operation, server).expect("an operation with an endpoint"),
    }
}

impl Caller for Server<Body> {
    fn prepare<E: Endpoint + 'static>(mut self, endpoint: E) -> Box<dyn FnMut()> {
        let app = app();
        Box::new(move || {
            while self.requests_left() > 0 {
                let request = endpoint.request(&app).expect("every setting is there");
                let response = self.respond(request).expect("a response is left");
                black_box(endpoint.response(&app, response).expect("the operation succeeds"));
            }
        })
    }
}

fn poll(app: &App, mut server: Server<Body>) -> Box<dyn FnMut()> {
    let (_, grant) = Operation::Device.response();
    let grant = RequestDeviceCode::new().response(app, http::Response::new(Body::from(grant))).expect("a grant");
    let mut now = Instant::now();
    let mut flow = DeviceFlow::new(app, &grant, now, Seed(42));
    Box::new(move || {
        while server.requests_left() > 0 {
            match flow.step(now) {
                Step::Send { request, .. } => {
                    let response = server.respond(request).expect("a response is left");
                    now += Duration::from_millis(50);
                    flow.receive(Ok(response), now);
                }
                Step::Wait(until) => now = until,
                Step::Done(result) => panic!("the login is over: {result:?}"),
            }
        }
    })
}
