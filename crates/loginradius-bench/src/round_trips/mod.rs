//! The operations over a network, for each way to send them.

mod client;
mod oauth2;
mod ours;
mod plain;

pub(crate) use client::runtime;
pub use client::{Http, takes_fresh_connection};
pub(crate) use oauth2::send as oauth2_send;
pub(crate) use plain::client as plain_client;

use crate::Result;
use crate::canned_server::Address;
use crate::operations::Operation;

/// What makes the requests, and reads the responses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "the benchmarks handle each")]
pub enum Side {
    /// `loginradius-blocking` or `loginradius-async`.
    Ours,
    /// Code that is written for one operation, and the same HTTP client with the same settings.
    Plain,
    /// The crate oauth2 over that plain client.
    Oauth2,
}

impl Side {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Ours, Self::Plain, Self::Oauth2];

    /// Returns the name that the tables print.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Plain => "plain",
            Self::Oauth2 => "oauth2",
        }
    }

    /// Prepares to do that operation once with each call. `None` if the side does not have the operation.
    ///
    /// # Errors
    ///
    /// If the HTTP client cannot be made.
    pub fn prepare(self, http: Http, operation: Operation, server: &Address) -> Result<Option<Box<dyn FnMut()>>> {
        match self {
            Self::Ours => ours::prepare(http, operation, server),
            Self::Plain => Ok(Some(plain::prepare(http, operation, server)?)),
            Self::Oauth2 => oauth2::prepare(http, operation, server),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::thread;

    use super::*;
    use crate::canned_server::{request_length, respond};

    /// Does an operation once, and returns the lines that the server got. The order of headers has no meaning.
    fn sent(side: Side, http: Http, operation: Operation) -> Option<Vec<String>> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let authority = listener.local_addr().unwrap().to_string();
        let mut call = side.prepare(http, operation, &Address::new(&format!("http://{authority}"), "")).unwrap()?;
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let (mut received, mut part) = (Vec::new(), [0; 4096]);
            while request_length(&received).is_none() {
                let count = stream.read(&mut part).unwrap();
                received.extend_from_slice(&part[..count]);
            }
            stream.write_all(respond(&received).as_bytes()).unwrap();
            String::from_utf8(received).unwrap()
        });
        call();
        let request = server.join().unwrap().to_lowercase().replace(&authority, "server");
        let mut lines: Vec<_> = request.lines().map(str::to_owned).collect();
        lines.sort();
        Some(lines)
    }

    #[test]
    fn the_plain_client_sends_the_same_bytes() {
        for http in Http::ALL {
            for operation in [Operation::Device, Operation::Refresh, Operation::JwtByToken] {
                let ours = sent(Side::Ours, http, operation);
                assert!(ours.is_some());
                assert_eq!(sent(Side::Plain, http, operation), ours, "{http:?} {operation}");
            }
        }
    }

    #[test]
    fn oauth2_gets_a_device_code() {
        for http in Http::ALL {
            assert!(sent(Side::Oauth2, http, Operation::Device).is_some());
            assert!(sent(Side::Oauth2, http, Operation::Refresh).is_none());
        }
    }
}
