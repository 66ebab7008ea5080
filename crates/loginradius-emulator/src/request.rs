//! A request, and what is recorded of it.

use std::time::SystemTime;

use hyper::Method;
use hyper::body::Bytes;
use hyper::header::{self, HeaderMap, HeaderName};

use crate::client::Basic;
use crate::params::{self, Params};
use crate::recorded::RecordedRequest;

/// A request that has arrived completely.
pub(crate) struct Request<'a> {
    pub(crate) method: &'a Method,
    pub(crate) path: &'a str,
    pub(crate) query: &'a str,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) body: &'a Bytes,
}

impl Request<'_> {
    fn header(&self, name: HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub(crate) fn recorded(&self, at: SystemTime) -> RecordedRequest {
        let body_format = params::body_format(self.headers, self.body);
        let query = Params::from_form(self.query.as_bytes());
        let body = params::body_params(body_format, self.body, true).unwrap_or_default();
        let params: Vec<_> = query.pairs().chain(body.pairs()).collect();
        let client_id = params
            .iter()
            .find(|(name, _)| name == "client_id" || name.eq_ignore_ascii_case("apikey"))
            .map(|(_, value)| value.clone())
            .or_else(|| Some(Basic::read(self.headers)?.ok()?.client_id));
        let owned = |name| self.header(name).map(str::to_owned);
        RecordedRequest {
            method: self.method.to_string(),
            path: self.path.to_owned(),
            operation: None,
            api: None,
            params,
            body_format,
            content_type: owned(header::CONTENT_TYPE),
            accept: owned(header::ACCEPT),
            user_agent: owned(header::USER_AGENT),
            authorization: owned(header::AUTHORIZATION),
            client_id,
            at,
            status: None,
            fault: None,
        }
    }
}
