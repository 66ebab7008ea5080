//! Requests and responses as LoginRadius's public documentation prints them, one JSON file each.
//!
//! The client and the emulator are tested against these files, each by code of its own: nothing here encodes or parses
//! messages, so that one mistake cannot pass on both sides. Masked values (`****`) are kept as printed; `note` names
//! the values that had to be filled in.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// One documented request with its response.
#[derive(Debug, Clone, Deserialize)]
#[non_exhaustive]
pub struct Vector {
    /// The file's name without `.json`.
    #[serde(skip)]
    pub name: String,
    /// Where the sample was published.
    pub source: String,
    /// The operation, for example `device_token`.
    pub endpoint: String,
    /// `classic`, `site` or `any`.
    pub api: String,
    /// Whether the sample is in LoginRadius's OAuth 2.0 API document or JWT API document, which the client implements.
    pub in_api_document: bool,
    /// `ok`, `oauth_error`, `lr_error`, `rate_limit` or `non_json`.
    pub kind: String,
    /// What the client sends.
    pub request: Request,
    /// What LoginRadius sends; `None` for a URL that a browser opens.
    pub response: Option<Response>,
    /// What had to be filled in, and why.
    pub note: String,
}

/// The request of a [`Vector`].
#[derive(Debug, Clone, Deserialize)]
#[non_exhaustive]
pub struct Request {
    /// The HTTP method.
    pub method: String,
    /// The whole URL, query included.
    pub url: String,
    /// The headers that the sample shows.
    pub headers: BTreeMap<String, String>,
    /// An object is JSON, a string is the raw body, null is an empty body.
    pub body: Value,
}

/// The response of a [`Vector`].
#[derive(Debug, Clone, Deserialize)]
#[non_exhaustive]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// The headers that the sample shows.
    pub headers: BTreeMap<String, String>,
    /// An object is JSON, a string is the raw body, null is an empty body.
    pub body: Value,
}

/// Returns every vector, sorted by name.
///
/// # Panics
///
/// If a file in the folder is not a vector: a test must not pass because its data is missing.
#[must_use]
pub fn all() -> Vec<Vector> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/vectors");
    let mut vectors: Vec<Vector> = std::fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("{folder}: {error}"))
        .map(|entry| {
            let path = entry.expect("a directory entry").path();
            let text = std::fs::read_to_string(&path).expect("a readable vector");
            let mut vector: Vector =
                serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            vector.name = path.file_stem().expect("a name").to_string_lossy().into_owned();
            vector
        })
        .collect();
    vectors.sort_by(|a, b| a.name.cmp(&b.name));
    vectors
}

/// Returns the vector of that name.
///
/// # Panics
///
/// If there is none.
#[must_use]
pub fn named(name: &str) -> Vector {
    all().into_iter().find(|vector| vector.name == name).unwrap_or_else(|| panic!("no vector is named {name}"))
}

/// LoginRadius's table of SSO error codes, as CSV (`code,http_status,message,description`).
pub const SSO_ERROR_CODES: &str = include_str!("../error-codes.csv");

/// LoginRadius's identity API error codes that concern signing in, as CSV.
pub const API_ERROR_CODES: &str = include_str!("../api-error-codes.csv");

/// The OAuth errors and descriptions that LoginRadius documents, as CSV.
pub const OAUTH_ERRORS: &str = include_str!("../oauth-errors.csv");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_a_vector_and_none_is_missing() {
        assert_eq!(all().len(), 126);
    }

    #[test]
    fn a_vector_is_found_by_its_name() {
        assert_eq!(named("classic_revoke").response.expect("a response").status, 200);
    }
}
