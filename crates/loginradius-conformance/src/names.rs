//! A name with several addresses, some of which are dead, and one that cannot be looked up.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener};
use std::thread;
use std::time::{Duration, Instant};

use loginradius_proto::{ConnectFailure, ErrorKind};

use crate::adapter::{Adapter, Settings};
use crate::cases::cases;
use crate::child;
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

/// A lookup needs a thread, and a program may be allowed no more of them.
fn a_thread_that_cannot_be_started_is_named<A: Adapter>() {
    if child::argument().is_none() {
        // No address space has room for such a stack. The standard library reads this at the first thread, and the
        // harness runs a single test on the main thread.
        let mut child = child::command("without threads", &[("RUST_MIN_STACK", "70368744177664")]);
        let output = child.arg("--test-threads=1").output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
        assert!(text.contains("1 passed"), "{text}");
        return;
    }
    assert!(thread::Builder::new().spawn(|| {}).is_err(), "there are threads");
    let settings = Settings { without_proxy: true, ..Settings::default() };
    let client = A::new(app("https://sso.name.invalid"), &settings).unwrap();
    for operation in [Operation::<A>::refresh(), Operation::jwt()] {
        let error = (operation.call)(&client).unwrap_err();
        assert_eq!((error.kind(), error.is_transient()), (ErrorKind::NotSent, true), "{error:?}");
        assert!(matches!(error.connect_failure(), Some(ConnectFailure::OutOfResources { .. })), "{error:?}");
        assert!(error.to_string().contains("thread could"), "{error}");
    }
}

cases!(($) names names_cases {
    a_thread_that_cannot_be_started_is_named,
    a_dead_address_of_localhost_costs_a_fraction_of_a_second,
    a_name_below_localhost_is_this_machine,
});
