use std::hint::black_box;
use std::time::{Duration, Instant};

use loginradius_proto::jwt::JwtByAccessToken;
use loginradius_proto::oauth::{AccessTokenByCode, RefreshAccessToken, RequestDeviceCode, RevokeRefreshToken};
use loginradius_proto::{App, Body, DeviceFlow, Endpoint, Flow, Seed, Step};

use super::server::{
    ACCESS_TOKEN, CLIENT_ID, CLIENT_SECRET, CODE, CODE_VERIFIER, JWT_APP, Operation, REDIRECT_URI, REFRESH_TOKEN,
    SCOPE, Server,
};

pub(super) fn prepare(operation: Operation, server: Server<Body>) -> Box<dyn FnMut()> {
    let app =
        App::new(CLIENT_ID).with_client_secret(CLIENT_SECRET).with_oauth_app("my-oauth-app").with_jwt_app(JWT_APP);
    match operation {
        Operation::Device => call(app, RequestDeviceCode::new().scope(SCOPE), server),
        Operation::PollPending => poll(&app, server),
        Operation::Refresh => call(app, RefreshAccessToken::new(REFRESH_TOKEN), server),
        Operation::Code => call(app, AccessTokenByCode::new(CODE, REDIRECT_URI).code_verifier(CODE_VERIFIER), server),
        Operation::Revoke => call(app, RevokeRefreshToken::new(REFRESH_TOKEN), server),
        Operation::JwtByToken => call(app, JwtByAccessToken::new(ACCESS_TOKEN), server),
    }
}

fn call<E: Endpoint + 'static>(app: App, endpoint: E, mut server: Server<Body>) -> Box<dyn FnMut()> {
    Box::new(move || {
        while server.requests_left() > 0 {
            let request = endpoint.request(&app).expect("every setting is there");
            let response = server.respond(request).expect("a response is left");
            black_box(endpoint.response(&app, response).expect("the operation succeeds"));
        }
    })
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
