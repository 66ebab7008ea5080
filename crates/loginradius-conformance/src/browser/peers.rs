//! Who else connects to a receiver: browsers ahead of time, programs that hang, sites that try it. None of them keeps
//! the callback out, and each that asks gets a whole answer.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::{TOKEN, Tab, Waiting, assert_signed_in, get};
use crate::adapter::Adapter;
use crate::cases::cases;
use crate::sessions::at_once;

/// Browsers open connections ahead of time, and leave them open.
fn silent_connections_do_not_block_the_callback<A: Adapter>() {
    let all = Waiting::<A>::new().succeeds(|place| {
        let six = || (0..6).map(|_| place.tab()).collect::<Vec<_>>();
        let mut all = six();
        assert_eq!(place.visit("/favicon.ico").status, 404);
        all.extend(six());
        let tab = place.tab();
        tab.send(get(&place.callback(TOKEN)));
        // These may come too late.
        all.extend((0..6).flat_map(|_| TcpStream::connect((Ipv4Addr::LOCALHOST, place.port))).map(Tab));
        assert_signed_in(&tab.page());
        all
    });
    assert!(all.len() >= 12);
}

/// More than a receiver wants at the same time. They would be patient for longer than anybody waits for a page.
fn two_hundred_silent_connections_do_not_block_the_callback<A: Adapter>() {
    Waiting::<A>::new().succeeds(|place| {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, place.port));
        // A full queue may leave some of them outside.
        let connect = |_| TcpStream::connect_timeout(&address, Duration::from_millis(20)).ok();
        let silent: Vec<_> = (0..200).filter_map(connect).collect();
        assert!(silent.len() > 64);
        place.finish();
    });
}

fn two_hundred_requests_at_once_get_their_responses<A: Adapter>() {
    Waiting::<A>::new().succeeds(|place| {
        let pages = at_once(200, |number| place.visit(if number % 2 == 0 { "/favicon.ico" } else { "/callback" }));
        assert_eq!(pages.iter().filter(|page| page.status == 404).count(), 100);
        assert_eq!(pages.iter().filter(|page| page.status == 400).count(), 100);
        place.finish();
    });
}

/// One sends a byte now and then; nobody waits for it.
fn a_slow_request_does_not_block_the_callback<A: Adapter>() {
    let is_over = AtomicBool::new(false);
    Waiting::<A>::new().succeeds(|place| {
        thread::scope(|scope| {
            let slow = place.tab();
            scope.spawn(|| {
                let slow = slow;
                for byte in get(&place.callback("slow")).bytes().cycle() {
                    if is_over.load(Ordering::SeqCst) || (&slow.0).write_all(&[byte]).is_err() {
                        break;
                    }
                    thread::sleep(Duration::from_millis(50));
                }
            });
            thread::sleep(Duration::from_millis(120));
            place.finish();
            is_over.store(true, Ordering::SeqCst);
        });
    });
}

/// They send without pause, and read nothing.
fn endless_requests_do_not_block_the_callback<A: Adapter>() {
    let is_over = AtomicBool::new(false);
    Waiting::<A>::new().succeeds(|place| {
        thread::scope(|scope| {
            for begins in ["GET /callback?", "GET / HTTP/1.1\r\n\r\n", "POST /callback HTTP/1.1\r\nA: "].repeat(2) {
                let (tab, is_over) = (place.tab(), &is_over);
                scope.spawn(move || {
                    tab.send(begins);
                    let noise = vec![b'a'; 256 << 10];
                    while !is_over.load(Ordering::SeqCst) && (&tab.0).write_all(&noise).is_ok() {}
                });
            }
            thread::sleep(Duration::from_millis(30));
            place.finish();
            is_over.store(true, Ordering::SeqCst);
        });
    });
}

fn unfinished_requests_do_not_block_the_callback<A: Adapter>() {
    Waiting::<A>::new().succeeds(|place| {
        let callback = get(&place.callback("half"));
        let form = super::post("/callback", &format!("token=half&state={}", place.state));
        for whole in [&callback, &form] {
            for length in [1, 10, whole.len() / 2, whole.len() - 1] {
                let tab = place.tab();
                tab.send(&whole[..length]);
                // Closed in one direction, and then in both.
                if length % 2 == 0 {
                    tab.0.shutdown(std::net::Shutdown::Write).unwrap();
                    assert!(tab.page_if_any().is_none());
                }
            }
        }
        place.finish();
    });
}

fn peers_that_never_read_do_not_block_the_callback<A: Adapter>() {
    Waiting::<A>::new().succeeds(|place| {
        let tabs = ["/favicon.ico", "/callback", "/"].map(|target| {
            let tab = place.tab();
            tab.send(get(target));
            tab
        });
        thread::sleep(Duration::from_millis(50));
        place.finish();
        drop(tabs);
    });
}

fn resets_do_not_block_the_callback<A: Adapter>() {
    Waiting::<A>::new().succeeds(|place| {
        let callback = get(&place.callback("half"));
        for sent in ["", &callback[..20], &callback[..callback.len() - 2], &get("/favicon.ico")] {
            for pause in [0, 30] {
                let tab = place.tab();
                tab.send(sent);
                thread::sleep(Duration::from_millis(pause));
                tab.reset();
            }
        }
        place.finish();
    });
}

/// The callback counts, whether its browser stays or not.
fn a_callback_counts_without_its_browser<A: Adapter>() {
    for reset in [false, true] {
        Waiting::<A>::new().succeeds(|place| {
            let tab = place.tab();
            tab.send(get(&place.callback(TOKEN)));
            if reset {
                // What was sent has arrived; a reset would take away what was not read.
                thread::sleep(Duration::from_millis(100));
                tab.reset();
            }
        });
    }
}

/// It is refused before it is over, and the refusal is read all the same.
fn a_request_of_a_mebibyte_is_refused<A: Adapter>() {
    Waiting::<A>::new().succeeds(|place| {
        let long = "a".repeat(1 << 20);
        for request in [
            get(&place.callback(&long)),
            get(&format!("/{long}")),
            format!("GET /callback HTTP/1.1\r\nCookie: {long}\r\n\r\n"),
            super::post("/callback", &format!("state={}&token={long}", place.state)),
        ] {
            let tab = place.tab();
            tab.send(request);
            assert_eq!(tab.page().status, 413);
        }
        place.finish();
    });
}

fn a_header_that_is_too_long_is_refused<A: Adapter>() {
    Waiting::<A>::new().succeeds(|place| {
        let tab = place.tab();
        tab.send(get(&place.callback("evil")).trim_end());
        for _ in 0..400 {
            tab.send(format!("\r\nX-More: {}", "a".repeat(1000)));
        }
        assert_eq!(tab.page().status, 413);
        let tab = place.tab();
        tab.send(get("/callback").trim_end().to_owned() + &"\r\nX-More: a".repeat(1000) + "\r\n\r\n");
        assert_eq!(tab.page().status, 400);
        place.finish();
    });
}

/// Whoever asked before the callback gets a page, if the callback comes in the same moment.
fn a_request_beside_the_callback_gets_its_response<A: Adapter>() {
    let waiting = Waiting::<A>::new();
    let (other, callback) = (waiting.place.tab(), waiting.place.tab());
    other.send(get("/favicon.ico"));
    callback.send(get(&waiting.place.callback(TOKEN)));
    let [other, callback] = waiting.succeeds(move |_| [other, callback].map(|tab| tab.page()));
    assert_eq!(other.status, 404);
    assert_signed_in(&callback);
}

/// While the last page is on its way, nobody else is left to wait.
fn other_connections_are_closed_after_the_callback<A: Adapter>() {
    Waiting::<A>::new().succeeds(|place| {
        let (silent, half) = (place.tab(), place.tab());
        half.send(&get(&place.callback("half"))[..20]);
        let tab = place.tab();
        tab.send(get(&place.callback(TOKEN)));
        assert_signed_in(&tab.page());
        // It is open still, which the receiver is patient about for a second.
        let start = Instant::now();
        assert!(silent.page_if_any().is_none());
        assert!(half.page_if_any().is_none());
        if let Ok(stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, place.port)) {
            assert!(Tab(stream).page_if_any().is_none());
        }
        assert!(start.elapsed() < Duration::from_millis(700), "{:?}", start.elapsed());
        drop(tab);
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
    other_connections_are_closed_after_the_callback,
});
