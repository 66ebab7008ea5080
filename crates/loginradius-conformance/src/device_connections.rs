//! The connections of a device login: one that is kept, and a new one where a lost response would cost the login.

use std::io;
use std::time::{Duration, Instant};

use loginradius_proto::oauth::RequestDeviceCode;
use loginradius_proto::{Error, TokenSet};

use crate::adapter::{Adapter, Settings};
use crate::cases::cases;
use crate::operations::{app, success};
use crate::server::{Peer, Request, Server, json};

const INTERVAL: Duration = Duration::from_secs(1);

/// A server's response, with the tokens at this poll. The code is valid for that many seconds.
fn respond(request: &Request, earlier: &[Request], tokens_at: usize, lifetime: u64) -> Vec<u8> {
    let is_poll = |request: &Request| request.head.contains("/access_token");
    let polls = earlier.iter().filter(|request| is_poll(request)).count();
    if !is_poll(request) {
        let grant = r#"{"device_code":"af2a","user_code":"oP5lLq","verification_uri":"https://example.com/","#;
        json("200 OK", &format!(r#"{grant}"interval":1,"expires_in":{lifetime}}}"#))
    } else if polls == tokens_at {
        json("200 OK", &success())
    } else {
        json("400 Bad Request", r#"{"error":"authorization_pending"}"#)
    }
}

fn log_in<A: Adapter>(server: &Server) -> Result<TokenSet, Error> {
    let client = A::new(app(&server.url()), &Settings::default()).unwrap();
    client.device_login(&RequestDeviceCode::new(), |_| Ok(()))
}

fn connections(server: &Server) -> Vec<usize> {
    server.requests().iter().map(|request| request.connection).collect()
}

fn a_login_needs_one_connection<A: Adapter>() {
    let server = Server::start(|peer| {
        while let Some(request) = peer.request() {
            let response = respond(&request, &peer.requests(), 3, 60);
            peer.send(&response).unwrap();
        }
    });
    log_in::<A>(&server).unwrap();
    assert_eq!(connections(&server), [1, 1, 1, 1]);
}

fn a_poll_that_may_be_the_last_takes_a_new_connection<A: Adapter>() {
    let server = Server::start(|peer| {
        while let Some(request) = peer.request() {
            let response = respond(&request, &peer.requests(), 2, 3);
            peer.send(&response).unwrap();
        }
    });
    log_in::<A>(&server).unwrap();
    assert_eq!(connections(&server), [1, 2, 3]);
}

/// It closes the connection instead of responding, as a server does whose keep-alive ends while a poll is on its way.
fn a_connection_that_is_closed_costs_neither_the_login_nor_a_wait<A: Adapter>() {
    for close in [|_: &mut Peer| (), Peer::reset] {
        let server = Server::start(move |peer| {
            while let Some(request) = peer.request() {
                if peer.number() == 1 && peer.requests().len() == 2 {
                    return close(peer);
                }
                let response = respond(&request, &peer.requests(), 2, 60);
                peer.send(&response).unwrap();
            }
        });
        let start = Instant::now();
        log_in::<A>(&server).unwrap();
        assert_eq!(connections(&server), [1, 1, 2]);
        // With a backoff, the second poll would come two seconds after the first, less a quarter.
        assert!(start.elapsed() < INTERVAL + Duration::from_millis(1_400), "{:?}", start.elapsed());
    }
}

fn a_keep_alive_as_long_as_the_interval_costs_no_login<A: Adapter>() {
    let server = Server::start(|peer| {
        loop {
            // The client's timer and this one end at the same time.
            peer.stream().set_read_timeout(Some(INTERVAL)).unwrap();
            let silent = peer.stream().peek(&mut [0]).is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
            peer.stream().set_read_timeout(Some(10 * INTERVAL)).unwrap();
            if silent {
                return peer.reset();
            }
            let Some(request) = peer.request() else { return };
            let response = respond(&request, &peer.requests(), 4, 60);
            peer.send(&response).unwrap();
        }
    });
    log_in::<A>(&server).unwrap();
}

cases!(($) device_connections device_connections_cases {
    a_login_needs_one_connection,
    a_poll_that_may_be_the_last_takes_a_new_connection,
    a_connection_that_is_closed_costs_neither_the_login_nor_a_wait,
    a_keep_alive_as_long_as_the_interval_costs_no_login,
});
