//! A response, before a fault is applied.

use std::time::SystemTime;

use hyper::StatusCode;
use hyper::body::Bytes;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use crate::body::ResponseBody;

/// The status, headers and body of a response. `Date` and `Cache-Control` are added when it is sent.
#[derive(Debug, Clone)]
pub(crate) struct Response {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Response {
    /// Makes a response without a body.
    pub(crate) fn empty(status: StatusCode) -> Self {
        Self { status, headers: HeaderMap::new(), body: Bytes::new() }
    }

    pub(crate) fn json(status: StatusCode, body: &Value) -> Self {
        Self::empty(status).with_body("application/json; charset=utf-8", body.to_string())
    }

    pub(crate) fn text(status: StatusCode, body: impl Into<String>) -> Self {
        Self::empty(status).with_body("text/plain; charset=utf-8", body.into())
    }

    pub(crate) fn html(status: StatusCode, body: impl Into<String>) -> Self {
        Self::empty(status).with_body("text/html; charset=utf-8", body.into())
    }

    /// Redirects to a path of the emulator (RFC 9110, section 15.4.4).
    pub(crate) fn see_other(path: &str) -> Self {
        Self::empty(StatusCode::SEE_OTHER).with(header::LOCATION, path)
    }

    /// Sets a header. An invalid value is left out.
    pub(crate) fn with(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
        self
    }

    /// Makes the HTTP response, with this body, which a fault may have changed.
    pub(crate) fn into_http(self, body: ResponseBody, date: SystemTime) -> hyper::Response<ResponseBody> {
        let mut response = hyper::Response::new(body);
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        let headers = response.headers_mut();
        // RFC 6749, section 5.1, and RFC 8628, section 3.2.
        headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
        if let Ok(date) = HeaderValue::from_str(&httpdate::fmt_http_date(date)) {
            headers.entry(header::DATE).or_insert(date);
        }
        response
    }

    fn with_body(mut self, content_type: &'static str, body: String) -> Self {
        self.body = body.into();
        self.with(header::CONTENT_TYPE, content_type)
    }
}
