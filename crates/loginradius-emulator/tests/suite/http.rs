//! Requests to an emulator: by an HTTP client that follows no redirect, and byte by byte.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use loginradius_emulator::{Emulator, seeded};
use serde_json::Value;

/// An HTTP response.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Response {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Returns a member of the body that is a string.
    pub(crate) fn text(&self, name: &str) -> String {
        let body = self.json();
        body[name].as_str().unwrap_or_else(|| panic!("{name} in {self:?}")).to_owned()
    }
}

pub(crate) fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(None)
        .timeout_global(Some(Duration::from_secs(20)))
        .build()
        .into()
}

/// Sends a request; `Err` if there is no complete response.
pub(crate) fn send(method: &str, url: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<Response, ureq::Error> {
    let mut request = ureq::http::Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut response = agent().run(request.body(body)?)?;
    let headers = response
        .headers()
        .iter()
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.to_string(), value)
        })
        .collect();
    Ok(Response { status: response.status().as_u16(), headers, body: response.body_mut().read_to_string()? })
}

pub(crate) fn get(emulator: &Emulator, path: &str) -> Response {
    send("GET", &format!("{}{path}", emulator.base_url()), &[], b"").expect("a response")
}

/// Posts a form.
pub(crate) fn post(emulator: &Emulator, path: &str, fields: &[(&str, &str)]) -> Response {
    try_post(emulator, path, fields).expect("a response")
}

pub(crate) fn try_post(emulator: &Emulator, path: &str, fields: &[(&str, &str)]) -> Result<Response, ureq::Error> {
    try_post_with(emulator, path, &[], fields)
}

/// Posts a form with more headers.
pub(crate) fn post_with(emulator: &Emulator, path: &str, more: &[(&str, &str)], fields: &[(&str, &str)]) -> Response {
    try_post_with(emulator, path, more, fields).expect("a response")
}

fn try_post_with(
    emulator: &Emulator,
    path: &str,
    more: &[(&str, &str)],
    fields: &[(&str, &str)],
) -> Result<Response, ureq::Error> {
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    let headers = [&[("content-type", "application/x-www-form-urlencoded")], more].concat();
    let url = format!("{}{path}", emulator.base_url());
    send("POST", &url, &headers, body.as_bytes())
}

/// Posts JSON.
pub(crate) fn post_json(emulator: &Emulator, path: &str, body: &Value) -> Response {
    let headers = [("content-type", "application/json")];
    let url = format!("{}{path}", emulator.base_url());
    send("POST", &url, &headers, body.to_string().as_bytes()).expect("a response")
}

/// Sends these bytes and reads what comes until the connection is closed.
pub(crate) fn raw(emulator: &Emulator, bytes: &str) -> Vec<u8> {
    let address = emulator.base_url().trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).expect("a connection");
    let timeout = Some(Duration::from_secs(10));
    stream.set_read_timeout(timeout).expect("a timeout");
    stream.write_all(bytes.as_bytes()).expect("to write");
    let mut received = Vec::new();
    // A connection that is reset has been closed too.
    let _ = stream.read_to_end(&mut received);
    received
}

/// Returns host and port of an emulator.
pub(crate) fn host(emulator: &Emulator) -> &str {
    emulator.base_url().trim_start_matches("http://")
}

pub(crate) const ID: (&str, &str) = ("client_id", seeded::CLIENT_ID);
pub(crate) const SECRET: (&str, &str) = ("client_secret", seeded::CLIENT_SECRET);

/// Signs in by password at the classic API.
pub(crate) fn tokens(emulator: &Emulator) -> Response {
    let response = post(
        emulator,
        "/sso/oauth/access_token",
        &[ID, SECRET, ("grant_type", "password"), ("username", seeded::ADA.email), ("password", seeded::ADA.password)],
    );
    assert_eq!(response.status, 200, "{response:?}");
    response
}

/// Requests a device code at the classic API.
pub(crate) fn device_code(emulator: &Emulator) -> Response {
    let response = post(emulator, "/sso/oauth/demo-oauth-app/device", &[ID, ("scope", "email profile")]);
    assert_eq!(response.status, 200, "{response:?}");
    response
}

pub(crate) const DEVICE_GRANT: (&str, &str) = ("grant_type", "urn:ietf:params:oauth:grant-type:device_code");

/// Polls at the classic API.
pub(crate) fn poll(emulator: &Emulator, device_code: &str) -> Response {
    post(emulator, "/sso/oauth/demo-oauth-app/access_token", &[ID, DEVICE_GRANT, ("device_code", device_code)])
}

pub(crate) fn refresh(emulator: &Emulator, token: &str) -> Response {
    post(
        emulator,
        "/sso/oauth/access_token/refresh",
        &[ID, SECRET, ("grant_type", "refresh_token"), ("refresh_token", token)],
    )
}

/// Asserts that a response is OAuth's error.
#[track_caller]
pub(crate) fn assert_oauth(response: &Response, status: u16, error: &str, description: &str) {
    let body = serde_json::json!({ "error": error, "error_description": description });
    assert_eq!((response.status, response.json()), (status, body));
}

/// Asserts that a response is LoginRadius's error.
#[track_caller]
pub(crate) fn assert_code(response: &Response, status: u16, code: u16) {
    let body = response.json();
    assert_eq!((response.status, &body["ErrorCode"]), (status, &code.into()), "{body}");
    assert!(body["Message"].is_string() && body["Description"].is_string());
}
