//! Other peers of a receiver: browsers that connect ahead of time, programs that hang, attackers. None of them blocks
//! the callback, and each whole request gets a whole response.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::{Connection, TOKEN, WaitingLogin, assert_signed_in, get};
use crate::adapter::Adapter;
use crate::cases::cases;
use crate::sessions::at_once;

/// Browsers open connections ahead of time, and leave them open.
fn silent_connections_do_not_block_the_callback<A: Adapter>() {
    let silent = WaitingLogin::<A>::new().succeeds_while(|browser| {
        let connect_six = || (0..6).map(|_| browser.connection()).collect::<Vec<_>>();
        let mut silent = connect_six();
        assert_eq!(browser.visit("/favicon.ico").status, 404);
        silent.extend(connect_six());
        let connection = browser.connection();
        connection.send(get(&browser.callback(TOKEN)));
        // The receiver may have closed its port before these.
        silent.extend((0..6).flat_map(|_| TcpStream::connect((Ipv4Addr::LOCALHOST, browser.port))).map(Connection));
        assert_signed_in(&connection.page());
        silent
    });
    assert!(silent.len() >= 12);
}

/// They are more than a receiver serves at the same time, and stay for longer than a browser waits for a page.
fn two_hundred_silent_connections_do_not_block_the_callback<A: Adapter>() {
    WaitingLogin::<A>::new().succeeds_while(|browser| {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, browser.port));
        // Some connections fail once the queue is full.
        let connect = |_| TcpStream::connect_timeout(&address, Duration::from_millis(20)).ok();
        let silent: Vec<_> = (0..200).filter_map(connect).collect();
        assert!(silent.len() > 64);
        browser.finish();
    });
}

fn two_hundred_requests_at_once_get_their_responses<A: Adapter>() {
    WaitingLogin::<A>::new().succeeds_while(|browser| {
        let pages = at_once(200, |number| browser.visit(if number % 2 == 0 { "/favicon.ico" } else { "/callback" }));
        assert_eq!(pages.iter().filter(|page| page.status == 404).count(), 100);
        assert_eq!(pages.iter().filter(|page| page.status == 400).count(), 100);
        browser.finish();
    });
}

/// With a byte every 50 ms.
fn a_slow_request_does_not_block_the_callback<A: Adapter>() {
    let is_finished = AtomicBool::new(false);
    WaitingLogin::<A>::new().succeeds_while(|browser| {
        thread::scope(|scope| {
            let slow = browser.connection();
            scope.spawn(|| {
                let slow = slow;
                for byte in get(&browser.callback("slow")).bytes().cycle() {
                    if is_finished.load(Ordering::SeqCst) || (&slow.0).write_all(&[byte]).is_err() {
                        break;
                    }
                    thread::sleep(Duration::from_millis(50));
                }
            });
            thread::sleep(Duration::from_millis(120));
            browser.finish();
            is_finished.store(true, Ordering::SeqCst);
        });
    });
}

/// From peers that send without a pause and read nothing.
fn endless_requests_do_not_block_the_callback<A: Adapter>() {
    let is_finished = AtomicBool::new(false);
    WaitingLogin::<A>::new().succeeds_while(|browser| {
        thread::scope(|scope| {
            for beginning in ["GET /callback?", "GET / HTTP/1.1\r\n\r\n", "POST /callback HTTP/1.1\r\nA: "].repeat(2) {
                let (connection, is_finished) = (browser.connection(), &is_finished);
                scope.spawn(move || {
                    connection.send(beginning);
                    let noise = vec![b'a'; 256 << 10];
                    while !is_finished.load(Ordering::SeqCst) && (&connection.0).write_all(&noise).is_ok() {}
                });
            }
            thread::sleep(Duration::from_millis(30));
            browser.finish();
            is_finished.store(true, Ordering::SeqCst);
        });
    });
}

fn unfinished_requests_do_not_block_the_callback<A: Adapter>() {
    WaitingLogin::<A>::new().succeeds_while(|browser| {
        let callback = get(&browser.callback("half"));
        let form = super::post("/callback", &format!("token=half&state={}", browser.state));
        for whole in [&callback, &form] {
            for length in [1, 10, whole.len() / 2, whole.len() - 1] {
                let connection = browser.connection();
                connection.send(&whole[..length]);
                // Some are closed in one direction first, the others in both at once.
                if length % 2 == 0 {
                    connection.0.shutdown(std::net::Shutdown::Write).unwrap();
                    assert!(connection.page_if_whole().is_none());
                }
            }
        }
        browser.finish();
    });
}

fn peers_that_never_read_do_not_block_the_callback<A: Adapter>() {
    WaitingLogin::<A>::new().succeeds_while(|browser| {
        let connections = ["/favicon.ico", "/callback", "/"].map(|target| {
            let connection = browser.connection();
            connection.send(get(target));
            connection
        });
        thread::sleep(Duration::from_millis(50));
        browser.finish();
        drop(connections);
    });
}

fn resets_do_not_block_the_callback<A: Adapter>() {
    WaitingLogin::<A>::new().succeeds_while(|browser| {
        let callback = get(&browser.callback("half"));
        for sent in ["", &callback[..20], &callback[..callback.len() - 2], &get("/favicon.ico")] {
            for pause in [0, 30] {
                let connection = browser.connection();
                connection.send(sent);
                thread::sleep(Duration::from_millis(pause));
                connection.reset();
            }
        }
        browser.finish();
    });
}

fn a_callback_counts_without_its_browser<A: Adapter>() {
    for reset in [false, true] {
        WaitingLogin::<A>::new().succeeds_while(|browser| {
            let connection = browser.connection();
            connection.send(get(&browser.callback(TOKEN)));
            if reset {
                // A reset would discard what the receiver has not read yet.
                thread::sleep(Duration::from_millis(100));
                connection.reset();
            }
        });
    }
}

/// The receiver refuses it before it has arrived whole, and the browser still gets the response.
fn a_request_of_a_mebibyte_is_refused<A: Adapter>() {
    WaitingLogin::<A>::new().succeeds_while(|browser| {
        let long = "a".repeat(1 << 20);
        for request in [
            get(&browser.callback(&long)),
            get(&format!("/{long}")),
            format!("GET /callback HTTP/1.1\r\nCookie: {long}\r\n\r\n"),
            super::post("/callback", &format!("state={}&token={long}", browser.state)),
        ] {
            let connection = browser.connection();
            connection.send(request);
            assert_eq!(connection.page().status, 413);
        }
        browser.finish();
    });
}

fn a_header_that_is_too_long_is_refused<A: Adapter>() {
    WaitingLogin::<A>::new().succeeds_while(|browser| {
        let connection = browser.connection();
        connection.send(get(&browser.callback("evil")).trim_end());
        for _ in 0..400 {
            connection.send(format!("\r\nX-More: {}", "a".repeat(1000)));
        }
        assert_eq!(connection.page().status, 413);
        let connection = browser.connection();
        connection.send(get("/callback").trim_end().to_owned() + &"\r\nX-More: a".repeat(1000) + "\r\n\r\n");
        assert_eq!(connection.page().status, 400);
        browser.finish();
    });
}

/// A request that arrived before the callback gets its response, even if both are there when the wait begins.
fn a_request_beside_the_callback_gets_its_response<A: Adapter>() {
    let waiting = WaitingLogin::<A>::new();
    let (other, callback) = (waiting.browser.connection(), waiting.browser.connection());
    other.send(get("/favicon.ico"));
    callback.send(get(&waiting.browser.callback(TOKEN)));
    let [other, callback] = waiting.succeeds_while(move |_| [other, callback].map(|connection| connection.page()));
    assert_eq!(other.status, 404);
    assert_signed_in(&callback);
}

/// The receiver does not wait for more of what can never become a request: of TLS, HTTP/2, SOCKS, a port scanner.
fn what_speaks_another_protocol_gets_its_response_at_once<A: Adapter>() {
    WaitingLogin::<A>::new().succeeds_while(|browser| {
        for (greeting, protocol) in [
            (&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..], "TLS"),
            (b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10", "SSL 2.0"),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP/2"),
            (b"\x05\x01\x00", "SOCKS 5"),
            (b"SSH-2.0-OpenSSH_9.9\r\n", "SSH"),
            (b"\0", "a scanner"),
        ] {
            let connection = browser.connection();
            let start = Instant::now();
            connection.send(greeting);
            assert_eq!(connection.page().status, 400, "{protocol}");
            assert!(start.elapsed() < Duration::from_secs(1), "{protocol}: {:?}", start.elapsed());
        }
        browser.finish();
    });
}

/// They are closed at once, and not only after the browser of the callback has closed its own.
fn other_connections_are_closed_after_the_callback<A: Adapter>() {
    WaitingLogin::<A>::new().succeeds_while(|browser| {
        let (silent, half) = (browser.connection(), browser.connection());
        half.send(&get(&browser.callback("half"))[..20]);
        let connection = browser.connection();
        connection.send(get(&browser.callback(TOKEN)));
        assert_signed_in(&connection.page());
        // The browser has not closed its connection, and the receiver waits a second for that.
        let start = Instant::now();
        assert!(silent.page_if_whole().is_none());
        assert!(half.page_if_whole().is_none());
        if let Ok(stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, browser.port)) {
            assert!(Connection(stream).page_if_whole().is_none());
        }
        assert!(start.elapsed() < Duration::from_millis(700), "{:?}", start.elapsed());
        drop(connection);
    });
}

cases!(($) browser_peers browser_peers_cases {
    silent_connections_do_not_block_the_callback,
    two_hundred_silent_connections_do_not_block_the_callback,
    two_hundred_requests_at_once_get_their_responses,
    a_slow_request_does_not_block_the_callback,
    endless_requests_do_not_block_the_callback,
    unfinished_requests_do_not_block_the_callback,
    peers_that_never_read_do_not_block_the_callback,
    resets_do_not_block_the_callback,
    a_callback_counts_without_its_browser,
    a_request_of_a_mebibyte_is_refused,
    a_header_that_is_too_long_is_refused,
    a_request_beside_the_callback_gets_its_response,
    what_speaks_another_protocol_gets_its_response_at_once,
    other_connections_are_closed_after_the_callback,
});
