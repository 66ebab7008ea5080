//! What is asked for, and the server that responds.

use std::cell::RefCell;
use std::fmt;
use std::hint::black_box;
use std::rc::Rc;

use http::{Request, Response, StatusCode};

use crate::valgrind::MANY;

pub(crate) const CLIENT_ID: &str = "112563f6-1480-40b8-8e28-e072ca212c82";
pub(super) const CLIENT_SECRET: &str = "d7a4f2c1-6f0b-4a3e-9a57-0c6c3de2f7a1";
pub(super) const REFRESH_TOKEN: &str = "a795bbb0-5868-4079-a45b-606ad8aeee80";
pub(super) const ACCESS_TOKEN: &str = "b8cb84c9-dff7-401a-94c1-7cd44ebf80a0";
pub(super) const CODE: &str = "7ddd7afa-b10f-4b9b-9a4c-6b1a40f1a2f9";
pub(super) const CODE_VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
pub(super) const REDIRECT_URI: &str = "https://www.abc.com/callback";
pub(crate) const SCOPE: &str = "email profile";
pub(super) const JWT_APP: &str = "dev-dummy-app";

/// What LoginRadius is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "the benchmarks handle each")]
pub enum Operation {
    /// A device code.
    Device,
    /// The tokens of a device code, which the user has not approved yet.
    PollPending,
    /// New tokens for a refresh token.
    Refresh,
    /// The tokens of an authorization code, with PKCE.
    Code,
    /// That a refresh token is not valid any more.
    Revoke,
    /// A JWT for an access token.
    JwtByToken,
}

impl Operation {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Device, Self::PollPending, Self::Refresh, Self::Code, Self::Revoke, Self::JwtByToken];

    /// Returns the name that the tables print.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Device => "device",
            Self::PollPending => "poll_pending",
            Self::Refresh => "refresh",
            Self::Code => "code",
            Self::Revoke => "revoke",
            Self::JwtByToken => "jwt_by_token",
        }
    }

    /// Returns where LoginRadius has it.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Device => "/sso/oauth/my-oauth-app/device",
            Self::PollPending => "/sso/oauth/my-oauth-app/access_token",
            Self::Refresh => "/sso/oauth/access_token/refresh",
            Self::Code => "/sso/oauth/access_token",
            Self::Revoke => "/sso/oauth/refresh_token/revoke",
            Self::JwtByToken => "/sso/jwt/api/token",
        }
    }

    /// Returns LoginRadius's response: its status, and its body.
    pub(crate) fn response(self) -> (u16, &'static str) {
        match self {
            Self::Device => (
                200,
                r#"{"device_code":"af2a4121179546c1b121995414cc4530","user_code":"oP5lLq","verification_uri":"https://example.com/federation/device/activate.php","interval":5,"expires_in":1800}"#,
            ),
            Self::PollPending => (400, r#"{"error":"authorization_pending","error_description":""}"#),
            Self::Refresh | Self::Code => (
                200,
                r#"{"access_token":"c5a3b2db-3f7a-4b7f-a5c2-9f40dbb27e4a","token_type":"access_token","refresh_token":"5f1d2b82-b0aa-4f82-8c01-d4e21f13a7ce","expires_in":11972}"#,
            ),
            Self::Revoke => (200, ""),
            Self::JwtByToken => (
                200,
                r#"{"signature":"eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.eyJqdGkiOiI1MTRiMmQ3MTAwY2I0NDc5OTU4Zjk1YWE5ZDRkMTE2MyIsInN1YiI6IjFhYzNkOWRjM2M3ZDQyZTA4YTMyYmY1NDYyMmJjY2MzIiwiZXhwIjoxNTE4MDI3MDEwfQ.2Zb7QMTmfE4N3Zb5DzSWp3uR1pyqLCZ1fVwYGbvcOVI"}"#,
            ),
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What the server got.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sent {
    /// The method and the URL.
    pub line: String,
    /// The headers in their order.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

impl Sent {
    fn of(request: &Request<impl AsRef<[u8]>>) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self {
            line: format!("{} {}", request.method(), request.uri()),
            headers: request.headers().iter().map(|(name, value)| (name.to_string(), text(value.as_bytes()))).collect(),
            body: text(request.body().as_ref()),
        }
    }
}

pub(super) type Log = Rc<RefCell<Vec<Sent>>>;

/// A server in this process.
pub(super) struct Server<B> {
    /// Made beforehand, and as many for every count of [`callgrind`](crate::valgrind::callgrind): what they take is not
    /// part of the difference.
    responses: Vec<Response<B>>,
    requests_left: usize,
    log: Option<Log>,
}

impl<B: From<&'static str>> Server<B> {
    pub(super) fn new(operation: Operation, times: usize, log: Option<Log>) -> Self {
        let (status, body) = operation.response();
        let response = || {
            let mut response = Response::new(B::from(body));
            *response.status_mut() = StatusCode::from_u16(status).unwrap_or_default();
            response
        };
        let responses = (0..times.max(MANY as usize)).map(|_| response()).collect();
        Self { responses, requests_left: times, log }
    }
}

impl<B> Server<B> {
    /// Returns how many more requests it was made for.
    pub(super) fn requests_left(&self) -> usize {
        self.requests_left
    }

    /// Returns the next response; `None` after the last one.
    pub(super) fn respond(&mut self, request: Request<impl AsRef<[u8]>>) -> Option<Response<B>> {
        if let Some(log) = &self.log {
            log.borrow_mut().push(Sent::of(&request));
        }
        black_box(request);
        self.requests_left = self.requests_left.checked_sub(1)?;
        self.responses.pop()
    }
}
