//! The parts below HTTP, as ureq's traits ask for them: connecting, proxies, TLS, and the bytes of a response.

mod addresses;
mod connection;
mod connector;
mod head;
mod socket;
mod tunnel;

use ureq::Agent;

pub(crate) use connection::{CurrentCall, Used, may_be_sent};
pub(crate) use connector::WireConnector;
pub(crate) use head::{BadHead, unpack};
pub(crate) use socket::TooManyBytes;

/// Makes an agent that connects with that connector.
pub(crate) fn agent(connector: WireConnector) -> Agent {
    let config = Agent::config_builder()
        .proxy(None)
        .accept_encoding("identity")
        // `HeadReader` has a limit of its own.
        .max_response_header_size(1 << 20)
        .build();
    Agent::with_parts(config, connector, connector::NoResolver)
}
