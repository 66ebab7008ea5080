use std::hint::black_box;

use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, Uri};
use serde::Deserialize;

use super::server::{
    ACCESS_TOKEN, CLIENT_ID, CLIENT_SECRET, CODE, CODE_VERIFIER, JWT_APP, Operation, REDIRECT_URI, REFRESH_TOKEN,
    SCOPE, Server,
};

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");
const DEVICE_GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

#[derive(Deserialize)]
struct Grant<'a> {
    device_code: &'a str,
    user_code: &'a str,
    verification_uri: &'a str,
    interval: u64,
    expires_in: u64,
}

#[derive(Deserialize)]
struct Refusal<'a> {
    error: &'a str,
    error_description: &'a str,
}

#[derive(Deserialize)]
struct Tokens<'a> {
    access_token: &'a str,
    token_type: &'a str,
    refresh_token: &'a str,
    expires_in: u64,
}

#[derive(Deserialize)]
struct Signature<'a> {
    signature: &'a str,
}

pub(super) fn prepare(operation: Operation, mut server: Server<&'static str>) -> Box<dyn FnMut()> {
    let device = uri("/sso/oauth/my-oauth-app/device");
    let device_token = uri("/sso/oauth/my-oauth-app/access_token");
    let refresh = uri("/sso/oauth/access_token/refresh");
    let token = uri("/sso/oauth/access_token");
    let revoke = uri("/sso/oauth/refresh_token/revoke");
    match operation {
        Operation::Device => Box::new(move || {
            while server.requests_left() > 0 {
                let response = server.respond(post(&device, &[("client_id", CLIENT_ID), ("scope", SCOPE)]));
                let grant: Grant<'_> = read(&response);
                black_box((grant.device_code, grant.user_code, grant.verification_uri));
                black_box((grant.interval, grant.expires_in));
            }
        }),
        Operation::PollPending => Box::new(move || {
            while server.requests_left() > 0 {
                let form = [("client_id", CLIENT_ID), ("grant_type", DEVICE_GRANT), ("device_code", device_code())];
                let response = server.respond(post(&device_token, &form));
                let refusal: Refusal<'_> = read(&response);
                black_box((refusal.error == "authorization_pending", refusal.error_description));
            }
        }),
        Operation::Refresh => tokens(server, move || {
            post(
                &refresh,
                &[
                    ("client_id", CLIENT_ID),
                    ("client_secret", CLIENT_SECRET),
                    ("grant_type", "refresh_token"),
                    ("refresh_token", REFRESH_TOKEN),
                ],
            )
        }),
        Operation::Code => tokens(server, move || {
            post(
                &token,
                &[
                    ("client_id", CLIENT_ID),
                    ("client_secret", CLIENT_SECRET),
                    ("redirect_uri", REDIRECT_URI),
                    ("response_type", "token"),
                    ("code", CODE),
                    ("code_verifier", CODE_VERIFIER),
                ],
            )
        }),
        Operation::Revoke => Box::new(move || {
            while server.requests_left() > 0 {
                let form =
                    [("client_id", CLIENT_ID), ("client_secret", CLIENT_SECRET), ("refresh_token", REFRESH_TOKEN)];
                let response = server.respond(post(&revoke, &form));
                black_box(response.is_some_and(|response| response.status().is_success()));
            }
        }),
        Operation::JwtByToken => Box::new(move || {
            while server.requests_left() > 0 {
                let mut url = String::with_capacity(256);
                url.push_str("https://cloud-api.loginradius.com/sso/jwt/api/token?");
                let start = url.len();
                form_urlencoded::Serializer::for_suffix(&mut url, start)
                    .append_pair("apikey", CLIENT_ID)
                    .append_pair("jwtapp", JWT_APP)
                    .append_pair("access_token", ACCESS_TOKEN);
                let mut request = Request::new(String::new());
                *request.uri_mut() = Uri::try_from(url).expect("a URL");
                request.headers_mut().insert(ACCEPT, JSON);
                let response = server.respond(request);
                black_box(read::<Signature<'_>>(&response).signature);
            }
        }),
    }
}

fn tokens(mut server: Server<&'static str>, request: impl Fn() -> Request<String> + 'static) -> Box<dyn FnMut()> {
    Box::new(move || {
        while server.requests_left() > 0 {
            let response = server.respond(request());
            let tokens: Tokens<'_> = read(&response);
            black_box((tokens.access_token, tokens.token_type, tokens.refresh_token, tokens.expires_in));
        }
    })
}

fn uri(path: &str) -> Uri {
    Uri::try_from(format!("https://cloud-api.loginradius.com{path}")).expect("a URL")
}

fn device_code() -> &'static str {
    black_box("af2a4121179546c1b121995414cc4530")
}

fn post(uri: &Uri, form: &[(&str, &str)]) -> Request<String> {
    let mut body = form_urlencoded::Serializer::new(String::with_capacity(384));
    body.extend_pairs(black_box(form));
    let mut request = Request::new(body.finish());
    *request.method_mut() = Method::POST;
    *request.uri_mut() = uri.clone();
    request.headers_mut().insert(ACCEPT, JSON);
    request.headers_mut().insert(CONTENT_TYPE, FORM);
    request
}

fn read<T: Deserialize<'static>>(response: &Option<Response<&'static str>>) -> T {
    let response = response.as_ref().expect("a response is left");
    serde_json::from_str(response.body()).expect("the expected response")
}
