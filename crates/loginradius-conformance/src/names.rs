//! A name with several addresses, some of which are dead.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener};
use std::time::{Duration, Instant};

use crate::adapter::{Adapter, Settings};
use crate::cases::cases;
use crate::operations::{Operation, app, success};
use crate::server::{BlackHole, Server, json};
use crate::tls::Tls;

/// RFC 8305 gives an address 250 ms before the next one is tried as well.
const SOON: Duration = Duration::from_secs(1);

/// `localhost` has an IPv4 and an IPv6 address. The one that most systems try first is dead.
fn a_dead_address_of_localhost_costs_a_fraction_of_a_second<A: Adapter>() {
    let (alive, dead) = (IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST));
    if TcpListener::bind((dead, 0)).is_err() {
        println!("skipped: this machine has no ::1");
        return;
    }
    for is_silent in [false, BlackHole::open().is_some()] {
        let start = || Server::responding_at(alive, |_| json("200 OK", &success()));
        let (mut server, mut silent) = (start(), None);
        while is_silent && silent.is_none() {
            // Another test may have the port.
            server = start();
            silent = BlackHole::at((dead, server.port()).into());
        }
        let client = A::new(app(&format!("http://localhost:{}", server.port())), &Settings::default()).unwrap();
        for operation in [Operation::<A>::refresh(), Operation::jwt()] {
            let start = Instant::now();
            (operation.call)(&client).unwrap();
            assert!(start.elapsed() < SOON, "silent: {is_silent}: {:?}", start.elapsed());
        }
    }
}

/// RFC 6761, section 6.3; not every system's resolver knows.
fn a_name_below_localhost_is_this_machine<A: Adapter>() {
    let tls = Tls::of(&["app.localhost"]);
    let server = tls.server();
    let settings = Settings { root_certificates: Some(tls.root.clone()), ..Settings::default() };
    let client = A::new(app(&server.https_url().replace("127.0.0.1", "app.localhost")), &settings).unwrap();
    (Operation::<A>::jwt().call)(&client).unwrap();
}

cases!(($) names names_cases {
    a_dead_address_of_localhost_costs_a_fraction_of_a_second,
    a_name_below_localhost_is_this_machine,
});
