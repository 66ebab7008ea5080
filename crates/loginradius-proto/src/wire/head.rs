//! A response without its body.

use std::time::{Duration, SystemTime};

use http::header::{DATE, RETRY_AFTER};
use http::{Response, StatusCode};

use super::json::{Object, ResponseText};
use super::number;
use crate::body::Body;
use crate::error::{Error, ErrorKind};
use crate::route::Route;

/// The status and the headers of a response, and the operation that it belongs to.
pub(crate) struct ResponseHead {
    operation: &'static str,
    /// `None` of an endpoint of a user's own.
    pub(super) route: Option<Route>,
    pub(super) status: StatusCode,
    date: Option<SystemTime>,
    retry_after: Option<Duration>,
}

impl ResponseHead {
    pub(super) fn new(operation: &'static str, route: Option<Route>, response: &Response<Body>) -> Self {
        let text = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
        let date = text(DATE).and_then(|value| httpdate::parse_http_date(value).ok());
        let retry_after = text(RETRY_AFTER).and_then(|value| number::retry_after(value, date));
        Self { operation, route, status: response.status(), date, retry_after }
    }

    /// Reads the lifetime under any of its three names; `None` if it is missing, unreadable or too long for a
    /// `Duration`.
    pub(crate) fn lifetime(&self, object: &Object<'_>) -> Option<Duration> {
        self.lifetime_or_max(object).filter(|time| *time < Duration::MAX)
    }

    /// Reads the lifetime, as `Duration::MAX` if it is too long for a `Duration`.
    pub(crate) fn lifetime_or_max(&self, object: &Object<'_>) -> Option<Duration> {
        ["expires_in", "expires", "expire_in"].iter().find_map(|name| number::lifetime(object.raw(name)?, self.date))
    }

    /// Returns the body as text. Bytes that are not UTF-8 are replaced.
    pub(super) fn text<'a>(&self, body: &'a Body) -> Result<ResponseText<'a>, Error> {
        let bytes = body.as_bytes();
        if bytes.len() > Body::LIMIT {
            return Err(self.error(ErrorKind::OutcomeUnknown, "the response is longer than 1 MiB, so it was not read"));
        }
        Ok(ResponseText::new(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)))
    }

    /// Makes an error of this response, which names the operation.
    pub(super) fn error(&self, kind: ErrorKind, message: impl Into<String>) -> Error {
        Error::new(kind, message).of(self.operation).with_response_head(self.status, self.retry_after)
    }
}
