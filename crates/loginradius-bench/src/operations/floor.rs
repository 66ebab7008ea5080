use std::hint::black_box;

use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Uri};
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

/// An operation, written by hand for the service at one address.
pub(crate) struct Floor {
    operation: Operation,
    url: String,
    uri: Uri,
}

impl Floor {
    pub(crate) fn new(operation: Operation, base: &str) -> Self {
        let url = format!("{base}{}", operation.path());
        let uri = Uri::try_from(url.as_str()).expect("a URL");
        Self { operation, url, uri }
    }

    pub(crate) fn request(&self) -> Request<String> {
        match self.operation {
            Operation::Device => self.post(&[("client_id", CLIENT_ID), ("scope", SCOPE)]),
            Operation::PollPending => self.post(&[
                ("client_id", CLIENT_ID),
                ("grant_type", DEVICE_GRANT),
                ("device_code", "af2a4121179546c1b121995414cc4530"),
            ]),
            Operation::Refresh => self.post(&[
                ("client_id", CLIENT_ID),
                ("client_secret", CLIENT_SECRET),
                ("grant_type", "refresh_token"),
                ("refresh_token", REFRESH_TOKEN),
            ]),
            Operation::Code => self.post(&[
                ("client_id", CLIENT_ID),
                ("client_secret", CLIENT_SECRET),
                ("redirect_uri", REDIRECT_URI),
                ("response_type", "token"),
                ("code", CODE),
                ("code_verifier", CODE_VERIFIER),
            ]),
            Operation::Revoke => self.post(&[
                ("client_id", CLIENT_ID),
                ("client_secret", CLIENT_SECRET),
                ("refresh_token", REFRESH_TOKEN),
            ]),
            Operation::JwtByToken => {
                self.get(&[("apikey", CLIENT_ID), ("jwtapp", JWT_APP), ("access_token", ACCESS_TOKEN)])
            }
        }
    }

    fn post(&self, form: &[(&str, &str)]) -> Request<String> {
        let mut body = form_urlencoded::Serializer::new(String::with_capacity(384));
        body.extend_pairs(black_box(form));
        let mut request = Request::new(body.finish());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        request.headers_mut().insert(ACCEPT, JSON);
        request.headers_mut().insert(CONTENT_TYPE, FORM);
        request
    }

    fn get(&self, query: &[(&str, &str)]) -> Request<String> {
        let mut url = String::with_capacity(256);
        url.push_str(&self.url);
        url.push('?');
        let start = url.len();
        form_urlencoded::Serializer::for_suffix(&mut url, start).extend_pairs(black_box(query));
        let mut request = Request::new(String::new());
        *request.uri_mut() = Uri::try_from(url).expect("a URL");
        request.headers_mut().insert(ACCEPT, JSON);
        request
    }

    /// Reads the body of the expected response.
    pub(crate) fn read(&self, body: &str) {
        match self.operation {
            Operation::Device => {
                let grant: Grant<'_> = json(body);
                black_box((grant.device_code, grant.user_code, grant.verification_uri));
                black_box((grant.interval, grant.expires_in));
            }
            Operation::PollPending => {
                let refusal: Refusal<'_> = json(body);
                black_box((refusal.error == "authorization_pending", refusal.error_description));
            }
            Operation::Refresh | Operation::Code => {
                let tokens: Tokens<'_> = json(body);
                black_box((tokens.access_token, tokens.token_type, tokens.refresh_token, tokens.expires_in));
            }
            Operation::Revoke => {}
            Operation::JwtByToken => {
                black_box(json::<Signature<'_>>(body).signature);
            }
        }
    }
}

fn json<'a, T: Deserialize<'a>>(body: &'a str) -> T {
    serde_json::from_str(body).expect("the expected response")
}

pub(super) fn prepare(operation: Operation, mut server: Server<&'static str>) -> Box<dyn FnMut()> {
    let floor = Floor::new(operation, "https://cloud-api.loginradius.com");
    Box::new(move || {
        while server.requests_left() > 0 {
            let response = server.respond(floor.request()).expect("a response is left");
            black_box(response.status().is_success());
            floor.read(response.body());
        }
    })
}
