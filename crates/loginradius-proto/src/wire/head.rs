//! A response without its body.

use std::time::{Duration, SystemTime};

use http::header::{DATE, HeaderName, RETRY_AFTER};
use http::{HeaderMap, Response, StatusCode};

use super::json::{Object, ResponseText};
use super::number;
use crate::body::Body;
use crate::error::{Error, ErrorKind};
use crate::route::Route;

/// The status and the headers of a response, and the operation that it belongs to.
pub(crate) struct ResponseHead<'a> {
    operation: &'static str,
    /// `None` of an endpoint of a user's own.
    pub(super) route: Option<Route>,
    pub(super) status: StatusCode,
    headers: &'a HeaderMap,
}

impl<'a> ResponseHead<'a> {
    pub(super) fn new(operation: &'static str, route: Option<Route>, response: &'a Response<Body>) -> Self {
        Self { operation, route, status: response.status(), headers: response.headers() }
    }

    fn header(&self, name: &HeaderName) -> Option<&'a str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    fn date(&self) -> Option<SystemTime> {
        self.header(&DATE).and_then(|value| httpdate::parse_http_date(value).ok())
    }

    pub(crate) fn retry_after(&self) -> Option<Duration> {
        number::retry_after(self.header(&RETRY_AFTER)?, || self.date())
    }

    /// Reads the lifetime under any of its three names; `None` if it is missing, unreadable or too long for a
    /// `Duration`.
    pub(crate) fn lifetime(&self, object: &Object<'_>) -> Option<Duration> {
        self.lifetime_or_max(object).filter(|time| *time < Duration::MAX)
    }

    /// Reads the lifetime, as `Duration::MAX` if it is too long for a `Duration`.
    pub(crate) fn lifetime_or_max(&self, object: &Object<'_>) -> Option<Duration> {
        ["expires_in", "expires", "expire_in"]
            .iter()
            .find_map(|name| number::lifetime(object.raw(name)?, || self.date()))
    }

    /// Returns the body as text. Bytes that are not UTF-8 are replaced.
    pub(super) fn text<'r>(&self, body: &'r Body) -> Result<ResponseText<'r>, Error> {
        let bytes = body.as_bytes();
        if bytes.len() > Body::LIMIT {
            return Err(self.error(ErrorKind::OutcomeUnknown, "the response is longer than 1 MiB, so it was not read"));
        }
        Ok(ResponseText::new(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)))
    }

    /// Makes an error of this response, which names the operation.
    pub(super) fn error(&self, kind: ErrorKind, message: impl Into<String>) -> Error {
        Error::new(kind, message).of(self.operation).with_response_head(self.status, self.retry_after())
    }
}
