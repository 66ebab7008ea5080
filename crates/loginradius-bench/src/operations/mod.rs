//! The operations of LoginRadius, each implemented three times: built as a request, sent to a server in this process, and
//! read from its response.

mod floor;
mod oauth2;
mod ours;
mod server;

use std::rc::Rc;

pub(crate) use floor::Floor;
pub(crate) use ours::{Caller, app, by_endpoint};
pub(crate) use server::{CLIENT_ID, SCOPE};
use server::{Log, Server};
pub use server::{Operation, Sent};

/// What builds the requests and reads the responses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "the benchmarks handle each")]
pub enum Implementation {
    /// `loginradius-proto`.
    Ours,
    /// The crate oauth2, which has no JWT operations.
    Oauth2,
    /// Code that is written for one operation and promises nothing else: `http::Request`, `form_urlencoded`, and a
    /// serde struct that borrows from the response. It checks nothing that serde does not, and overwrites nothing.
    Floor,
}

impl Implementation {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Ours, Self::Oauth2, Self::Floor];

    /// Returns the name that the tables print.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Oauth2 => "oauth2",
            Self::Floor => "floor",
        }
    }

    /// Prepares to do the operation that many times. The server and its responses are made here, so that the closure has
    /// only the work that is compared. `None` if the implementation does not have the operation.
    #[must_use]
    pub fn prepare(self, operation: Operation, times: usize) -> Option<Box<dyn FnMut()>> {
        self.prepare_with(operation, times, None)
    }

    /// Does the operation once, and returns the request that the server got. `None` if the implementation does not have
    /// the operation.
    #[must_use]
    pub fn sent(self, operation: Operation) -> Option<Sent> {
        let log = Log::default();
        self.prepare_with(operation, 1, Some(Rc::clone(&log)))?();
        log.borrow_mut().pop()
    }

    fn prepare_with(self, operation: Operation, times: usize, log: Option<Log>) -> Option<Box<dyn FnMut()>> {
        match self {
            Self::Ours => Some(ours::prepare(operation, Server::new(operation, times, log))),
            Self::Oauth2 => oauth2::prepare(operation, Server::new(operation, times, log)),
            Self::Floor => Some(floor::prepare(operation, Server::new(operation, times, log))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_floor_sends_the_same_bytes() {
        for operation in Operation::ALL {
            let ours = Implementation::Ours.sent(operation);
            assert!(ours.is_some(), "{operation}");
            assert_eq!(Implementation::Floor.sent(operation), ours, "{operation}");
        }
    }

    /// oauth2 has another order, no `response_type`, and the names of RFC 7009 for a token that is revoked.
    #[test]
    fn oauth2_sends_the_same_values() {
        let only_one = ["token", "authorization_code", "refresh_token"];
        let values = |body: &str| {
            let pairs = form_urlencoded::parse(body.as_bytes()).into_owned();
            let mut values: Vec<_> =
                pairs.map(|(_, value)| value).filter(|value| !only_one.contains(&&**value)).collect();
            values.sort();
            values
        };
        for operation in Operation::ALL {
            let [ours, theirs] = [Implementation::Ours, Implementation::Oauth2].map(|side| side.sent(operation));
            let is_missing = operation == Operation::JwtByToken;
            assert_eq!(Implementation::Oauth2.prepare(operation, 0).is_none(), is_missing, "{operation}");
            assert_eq!(theirs.is_none(), is_missing, "{operation}");
            let (Some(ours), Some(theirs)) = (ours, theirs) else { continue };
            assert_eq!(theirs.line, ours.line, "{operation}");
            assert_eq!(theirs.headers, ours.headers, "{operation}");
            assert_eq!(values(&theirs.body), values(&ours.body), "{operation}");
        }
    }
}
