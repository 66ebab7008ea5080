//! Responses to operations, and what is printed of their errors.

use std::error::Error as _;

use loginradius_proto::{Body, Error, http};

/// Splits an input in two bytes, from `0` on, that choose an operation and a status, and a body.
pub fn split(data: &[u8]) -> Option<(usize, u16, &[u8])> {
    const STATUSES: [u16; 10] = [200, 400, 401, 403, 404, 429, 500, 503, 204, 302];
    let [operation, status, body @ ..] = data else { return None };
    let status = STATUSES[usize::from(status.wrapping_sub(b'0')) % STATUSES.len()];
    Some((usize::from(operation.wrapping_sub(b'0')), status, body))
}

pub fn response(status: u16, body: impl Into<Body>) -> http::Response<Body> {
    http::Response::builder().status(status).body(body.into()).expect("a response")
}

/// Returns everything that a program would print of an error.
pub fn printed(error: &Error) -> String {
    let mut printed = format!("{error}\n{error:?}\n{error:#?}");
    let mut source = error.source();
    while let Some(error) = source {
        printed += &format!("\n{error}\n{error:?}");
        source = error.source();
    }
    if let Some(service) = error.api_error() {
        let fields = service.fields.iter().flat_map(|field| [&field.name, &field.message]);
        let texts = service.oauth_error.iter().chain(&service.message).chain(&service.description).chain(fields);
        texts.for_each(|text| printed += &format!("\n{text}"));
    }
    printed
}
