//! The requests that the emulator has received, for tests to look at.

use std::collections::VecDeque;
use std::time::SystemTime;

use crate::bounded::MAX_ENTRIES;
use crate::fault::Fault;
use crate::operation::{Api, Operation};

/// The format of a request's body, by its `Content-Type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BodyFormat {
    /// No body.
    None,
    /// `application/x-www-form-urlencoded`.
    Form,
    /// `application/json`.
    Json,
    /// Any other, or no `Content-Type`.
    Other,
}

/// A request to one of LoginRadius's URLs. Requests for the pages are not recorded.
///
/// It contains the parameters as they were sent, passwords and secrets included.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecordedRequest {
    /// The method, as it was sent.
    pub method: String,
    /// The path, as it was sent, without the query.
    pub path: String,
    /// The operation. `None` if the path, the method or the `grant_type` belongs to none.
    pub operation: Option<Operation>,
    /// The API that the URL belongs to. `None` for the operations at `/identity`, which belong to neither, and for
    /// unknown URLs.
    pub api: Option<Api>,
    /// The names and values of the query and then of the body, in order and with repetitions.
    pub params: Vec<(String, String)>,
    /// The format of the body.
    pub body_format: BodyFormat,
    /// The header `Content-Type`.
    pub content_type: Option<String>,
    /// The header `Accept`.
    pub accept: Option<String>,
    /// The header `User-Agent`.
    pub user_agent: Option<String>,
    /// The header `Authorization`, with the secret or the token that is in it.
    pub authorization: Option<String>,
    /// The client id: `client_id`, `apikey` of the JWT operations, or that of HTTP Basic.
    pub client_id: Option<String>,
    /// When the whole request had arrived, by the emulator's clock.
    pub at: SystemTime,
    /// The status of the response, which a [`Fault::Delay`] may still hold back. `None` if the connection is closed
    /// without one.
    pub status: Option<u16>,
    /// The fault that was applied. `None` if there was none.
    pub fault: Option<Fault>,
}

impl RecordedRequest {
    /// Returns the first value of a parameter.
    #[must_use]
    pub fn param(&self, name: &str) -> Option<&str> {
        self.params.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// The last requests, each with a number.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    kept: VecDeque<(u64, RecordedRequest)>,
    /// The number of the last one.
    number: u64,
}

impl Requests {
    /// Adds a request, and returns its number.
    pub(crate) fn record(&mut self, request: RecordedRequest) -> u64 {
        self.number += 1;
        self.kept.push_back((self.number, request));
        if self.kept.len() > MAX_ENTRIES {
            self.kept.pop_front();
        }
        self.number
    }

    /// Finds the request of this number, unless it has been cleared since.
    pub(crate) fn get_mut(&mut self, number: u64) -> Option<&mut RecordedRequest> {
        self.kept.iter_mut().rev().find(|(other, _)| *other == number).map(|(_, request)| request)
    }

    /// Copies all of them, oldest first.
    pub(crate) fn all(&self) -> Vec<RecordedRequest> {
        self.kept.iter().map(|(_, request)| request.clone()).collect()
    }

    pub(crate) fn clear(&mut self) {
        self.kept.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_requests_are_kept() {
        let mut requests = Requests::default();
        let request = RecordedRequest {
            method: "GET".to_owned(),
            path: String::new(),
            operation: None,
            api: None,
            params: Vec::new(),
            body_format: BodyFormat::None,
            content_type: None,
            accept: None,
            user_agent: None,
            authorization: None,
            client_id: None,
            at: SystemTime::UNIX_EPOCH,
            status: None,
            fault: None,
        };
        for number in 0..=MAX_ENTRIES {
            requests.record(RecordedRequest { path: number.to_string(), ..request.clone() });
        }
        let kept = requests.all();
        assert_eq!(
            (kept.len(), kept[0].path.as_str(), kept[MAX_ENTRIES - 1].path.as_str()),
            (MAX_ENTRIES, "1", "10000")
        );
    }
}
