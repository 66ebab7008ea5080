//! The receiver: where it listens, what it takes for the callback, and when it stops.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use loginradius_proto::ErrorKind;

use super::{
    TOKEN, TOO_LONG, Waiting, assert_free, assert_not_signed_in, assert_signed_in, free_port, get, port, post, request,
};
use crate::adapter::Adapter;
use crate::cases::cases;
use crate::receiver::Receiver;
use crate::sessions::at_once;

fn a_receiver_listens_on_a_given_port_or_on_a_free_one<A: Adapter>() {
    let [one, other] = [(); 2].map(|()| A::Receiver::bind(0, "/callback").unwrap());
    assert_ne!(one.redirect_uri(), other.redirect_uri());
    let wanted = free_port();
    let receiver = A::Receiver::bind(wanted, "/").unwrap();
    assert_eq!(receiver.redirect_uri(), format!("http://127.0.0.1:{wanted}/"));
    drop(receiver);
    assert_free(wanted);
}

fn a_taken_port_is_a_configuration_error_that_names_it<A: Adapter>() {
    let receiver = A::Receiver::bind(0, "/callback").unwrap();
    let port = port(receiver.redirect_uri());
    let error = A::Receiver::bind(port, "/callback").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.to_string().contains(&port.to_string()), "{error}");
}

fn only_plain_paths_can_be_bound<A: Adapter>() {
    for path in ["/", "/callback", "/a/b/c.html", "/~x-y_z.1"] {
        let receiver = A::Receiver::bind(0, path).unwrap();
        assert!(receiver.redirect_uri().ends_with(path));
    }
    for path in ["", "callback", "/callback?a=b", "/callback#a", "/a b", "/a\r\nb", "/ä", "/a%20b", "//evil\\", "@evil"]
    {
        let error = A::Receiver::bind(0, path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration, "{path}");
    }
}

/// Nobody from outside reaches it, nor by another of this machine's addresses.
fn a_receiver_listens_on_127_0_0_1_alone<A: Adapter>() {
    let Waiting { receiver, place, .. } = Waiting::<A>::new();
    let mut others = vec![IpAddr::from(Ipv6Addr::LOCALHOST), IpAddr::from(Ipv4Addr::new(127, 0, 0, 2))];
    // What this machine would be called from outside, if it has an outside. No packet is sent for that.
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    if socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).is_ok() {
        others.push(socket.local_addr().unwrap().ip());
    }
    let reaches = |ip| TcpStream::connect_timeout(&SocketAddr::new(ip, place.port), Duration::from_secs(1)).is_ok();
    assert!(reaches(Ipv4Addr::LOCALHOST.into()));
    for other in others {
        assert!(other == Ipv4Addr::LOCALHOST || !reaches(other), "{other} leads to it");
    }
    drop(receiver);
}

fn the_page_of_the_callback_is_not_stored<A: Adapter>() {
    let page = Waiting::<A>::new().succeeds(|place| place.visit(&place.callback(TOKEN)));
    assert_signed_in(&page);
    for header in ["Cache-Control: no-store", "Referrer-Policy: no-referrer", "Connection: close"] {
        assert!(page.head.contains(header), "{header}: {page:?}");
    }
}

/// It may come before anybody waits: the port is open from the beginning.
fn a_callback_may_come_before_the_wait<A: Adapter>() {
    let waiting = Waiting::<A>::new();
    let tab = waiting.place.tab();
    tab.send(get(&waiting.place.callback(TOKEN)));
    assert_signed_in(&waiting.succeeds(move |_| tab.page()));
}

fn an_error_in_the_callback_ends_the_wait<A: Adapter>() {
    let met = Waiting::<A>::new().meet(|place| {
        assert_not_signed_in(&place.visit(&format!("/callback?error=access_denied&state={}", place.state)));
    });
    assert_eq!(met.result.unwrap_err().kind(), ErrorKind::Denied);

    let met = Waiting::<A>::new().meet(|place| {
        assert_not_signed_in(&place.visit(&format!("/callback?state={}", place.state)));
    });
    assert_eq!(met.result.unwrap_err().kind(), ErrorKind::InvalidResponse);
}

fn a_callback_with_another_state_does_not_end_the_wait<A: Adapter>() {
    Waiting::<A>::new().succeeds(|place| {
        let wrong = "A".repeat(43);
        for query in [
            "",
            "?",
            "?token=evil",
            "?token=evil&state=",
            "?error=access_denied",
            &format!("?token=evil&state={wrong}"),
            &format!("?error=access_denied&state={wrong}"),
            // Two states are none.
            &format!("?token=evil&state={0}&state={0}", place.state),
        ] {
            let page = place.visit(&format!("/callback{query}"));
            assert!(page.status == 400 && page.body.contains("Not this sign-in"), "{query}: {page:?}");
        }
        place.finish();
    });
}

fn other_requests_get_an_error_response<A: Adapter>() {
    Waiting::<A>::new().succeeds(|place| {
        let callback = place.callback("evil");
        let status = |request: String| {
            let tab = place.tab();
            tab.send(request);
            tab.page().status
        };
        assert_eq!(status(get("/favicon.ico")), 404);
        let elsewhere = ["/", "/callback/", "/callbackk", "/CALLBACK", "/x/callback", "//callback", "/callback%00"];
        for path in elsewhere {
            assert_eq!(status(get(&callback.replacen("/callback", path, 1))), 404, "{path}");
        }
        for method in ["PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "get"] {
            assert_eq!(status(request(method, &callback, "Content-Length: 0\r\n")), 405, "{method}");
        }
        assert_eq!(status(request("POST", "/", "Content-Length: 0\r\n")), 404);
        assert_eq!(status(request("POST", &callback, "")), 400, "no length");
        let chunked = request("POST", &callback, "Transfer-Encoding: chunked\r\n") + "0\r\n\r\n";
        assert_eq!(status(chunked), 400);
        assert_eq!(status(request("POST", &callback, "Content-Length: 1\r\nContent-Length: 2\r\n") + "ab"), 400);
        assert_eq!(status(request("POST", &callback, "Content-Length: -1\r\n")), 400);
        assert_eq!(status(request("POST", &callback, "Content-Length: 9999999\r\n")), 413);
        for garbage in ["\u{16}\u{3}\u{1}\0\u{5}hello\r\n\r\n", "GET\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", " \r\n\r\n"] {
            assert_eq!(status(garbage.to_owned()), 400, "{garbage:?}");
        }
        place.finish();
    });
}

/// The answer to `HEAD` has no content: RFC 9110, section 9.3.2.
fn a_head_request_is_no_callback<A: Adapter>() {
    Waiting::<A>::new().succeeds(|place| {
        for target in ["/favicon.ico", &place.callback("evil")] {
            let tab = place.tab();
            tab.send(request("HEAD", target, ""));
            let mut answer = String::new();
            std::io::Read::read_to_string(&mut &tab.0, &mut answer).unwrap();
            assert!(answer.starts_with("HTTP/1.1 40"), "{answer}");
            assert!(answer.ends_with("\r\n\r\n"), "{answer}");
        }
        place.finish();
    });
}

/// LoginRadius posts a form in some settings; it may come in pieces.
fn a_callback_may_be_a_form_in_pieces<A: Adapter>() {
    let page = Waiting::<A>::new().succeeds(|place| {
        let request = post("/callback", &format!("token={TOKEN}&state={}", place.state));
        let (head, body) = request.split_at(request.len() - 50);
        let tab = place.tab();
        tab.send(head);
        thread::sleep(Duration::from_millis(30));
        tab.send(body);
        tab.page()
    });
    assert_signed_in(&page);
}

/// The state may stand in the address that a form is posted to.
fn the_state_of_a_form_may_be_in_its_address<A: Adapter>() {
    let page = Waiting::<A>::new().succeeds(|place| {
        let tab = place.tab();
        tab.send(post(&format!("/callback?state={}", place.state), &format!("token={TOKEN}")));
        tab.page()
    });
    assert_signed_in(&page);
}

fn a_callback_over_http_1_0_is_accepted<A: Adapter>() {
    let page = Waiting::<A>::new().succeeds(|place| {
        let tab = place.tab();
        tab.send(format!("GET {} HTTP/1.0\r\n\r\n", place.callback(TOKEN)));
        tab.page()
    });
    assert_signed_in(&page);
}

/// RFC 9112, section 3.2.2: every server takes them.
fn a_callback_in_absolute_form_is_accepted<A: Adapter>() {
    let page = Waiting::<A>::new().succeeds(|place| {
        let address = format!("http://127.0.0.1:{}", place.port);
        assert_eq!(place.visit(&format!("{address}/favicon.ico")).status, 404);
        place.visit(&format!("{address}{}", place.callback(TOKEN)))
    });
    assert_signed_in(&page);
}

fn a_callback_may_come_byte_by_byte<A: Adapter>() {
    let page = Waiting::<A>::new().succeeds(|place| {
        let tab = place.tab();
        for byte in get(&place.callback(TOKEN)).bytes() {
            tab.send([byte]);
            thread::sleep(Duration::from_millis(2));
        }
        tab.page()
    });
    assert_signed_in(&page);
}

/// A JWT with a whole profile fits.
fn a_callback_of_200_kib_is_accepted<A: Adapter>() {
    let long = "t".repeat(200 << 10);
    for form in [false, true] {
        let met = Waiting::<A>::new().meet(|place| {
            let tab = place.tab();
            tab.send(match form {
                false => get(&place.callback(&long)),
                true => post("/callback", place.callback(&long).trim_start_matches("/callback?")),
            });
            assert_signed_in(&tab.page());
        });
        assert!(met.result.unwrap() == long);
    }
}

/// The user opens the address of the callback again: from the history, or by a second press of a button.
fn a_repeated_callback_is_refused<A: Adapter>() {
    let [first, second] = Waiting::<A>::new().succeeds(|place| {
        let tabs = [place.tab(), place.tab()];
        let [first, second] = tabs.map(|tab| {
            tab.send(get(&place.callback(TOKEN)));
            tab.page_if_any()
        });
        [first, second]
    });
    assert_signed_in(&first.unwrap());
    assert!(second.is_none_or(|page| page.status == 400));
}

/// Two callbacks at the same moment: one of them is the one, and its page says so.
fn one_of_two_simultaneous_callbacks_wins<A: Adapter>() {
    for _ in 0..20 {
        let met = Waiting::<A>::new().meet(|place| {
            let tabs = [place.tab(), place.tab()];
            at_once(2, |number| {
                let tab = &tabs[number];
                tab.send(get(&place.callback(&format!("token-{number}"))));
                let page = tab.page_if_any();
                let _ = tab.0.shutdown(Shutdown::Both);
                page
            })
        });
        let token = met.result.unwrap();
        let winner = usize::from(token == "token-1");
        assert_eq!(token, format!("token-{winner}"));
        assert_signed_in(met.told[winner].as_ref().expect("the page of the one"));
        assert!(met.told[1 - winner].as_ref().is_none_or(|page| page.status == 400), "{:?}", met.told);
    }
}

/// Only then may the program go on, and end. A slow browser and one that sends more than was read get it too.
fn the_wait_lasts_until_the_page_has_arrived<A: Adapter>() {
    let met = Waiting::<A>::new().meet(|place| {
        let tab = place.tab();
        tab.send(get(&place.callback(TOKEN)));
        thread::sleep(Duration::from_millis(30));
        tab.send(get("/favicon.ico"));
        thread::sleep(Duration::from_millis(30));
        assert_signed_in(&tab.page());
        thread::sleep(Duration::from_millis(60));
        Instant::now()
    });
    assert_eq!(met.result.unwrap(), TOKEN);
    assert!(met.ended >= met.told, "the browser was not waited for");
}

/// But not for ever.
fn a_browser_that_never_closes_does_not_block_the_result<A: Adapter>() {
    let tab = Waiting::<A>::new().succeeds(|place| {
        let tab = place.tab();
        tab.send(get(&place.callback(TOKEN)));
        tab
    });
    assert_signed_in(&tab.page());
}

const TIMEOUT: Duration = Duration::from_millis(200);

fn the_wait_ends_at_its_timeout<A: Adapter>() {
    let Waiting { receiver, mut pending, place } = Waiting::<A>::new();
    let start = Instant::now();
    let error = receiver.timeout(TIMEOUT).receive(&mut pending).unwrap_err();
    let elapsed = start.elapsed();
    assert_eq!(error.kind(), ErrorKind::Expired);
    assert!((TIMEOUT..TIMEOUT + Duration::from_secs(1)).contains(&elapsed), "{elapsed:?}");
    assert_free(place.port);
}

/// The same with guests of every kind, who come all the time.
fn other_requests_do_not_extend_the_timeout<A: Adapter>() {
    let Waiting { receiver, mut pending, place } = Waiting::<A>::new();
    let silent: Vec<_> = (0..6).map(|_| place.tab()).collect();
    let is_over = AtomicBool::new(false);
    let elapsed = thread::scope(|scope| {
        let (is_over, port) = (&is_over, place.port);
        scope.spawn(move || {
            while !is_over.load(Ordering::SeqCst) {
                if let Ok(stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) {
                    let _ = std::io::Write::write_all(&mut &stream, get("/callback?state=x").as_bytes());
                    thread::sleep(Duration::from_millis(5));
                }
            }
        });
        let start = Instant::now();
        let result = receiver.timeout(TIMEOUT).receive(&mut pending);
        let elapsed = start.elapsed();
        is_over.store(true, Ordering::SeqCst);
        assert_eq!(result.unwrap_err().kind(), ErrorKind::Expired);
        elapsed
    });
    assert!((TIMEOUT..TIMEOUT + Duration::from_secs(1)).contains(&elapsed), "{elapsed:?}");
    drop(silent);
    assert_free(place.port);
}

/// No clock can count to its end.
fn the_longest_timeout_does_not_overflow<A: Adapter>() {
    let Waiting { receiver, mut pending, place } = Waiting::<A>::new();
    let visitor = thread::spawn(move || place.finish());
    receiver.timeout(Duration::MAX).receive(&mut pending).unwrap();
    visitor.join().unwrap();
}

fn a_cancelled_wait_ends_and_frees_its_port<A: Adapter>() {
    let Waiting { receiver, mut pending, place } = Waiting::<A>::new();
    let silent = place.tab();
    let start = Instant::now();
    let error = receiver.timeout(TOO_LONG).receive_until_cancelled(TIMEOUT, &mut pending).unwrap_err();
    let elapsed = start.elapsed();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    assert!((TIMEOUT..TIMEOUT + Duration::from_secs(1)).contains(&elapsed), "{elapsed:?}");
    drop(silent);
    assert_free(place.port);
}

fn the_port_is_free_after_the_callback<A: Adapter>() {
    let waiting = Waiting::<A>::new();
    let port = waiting.place.port;
    waiting.succeeds(super::Place::finish);
    assert_free(port);
    drop(A::Receiver::bind(port, "/callback").unwrap());
    assert_free(port);
}

cases!(($) browser_receivers browser_receivers_cases {
    a_receiver_listens_on_a_given_port_or_on_a_free_one,
    a_taken_port_is_a_configuration_error_that_names_it,
    only_plain_paths_can_be_bound,
    a_receiver_listens_on_127_0_0_1_alone,
    the_page_of_the_callback_is_not_stored,
    a_callback_may_come_before_the_wait,
    an_error_in_the_callback_ends_the_wait,
    a_callback_with_another_state_does_not_end_the_wait,
    other_requests_get_an_error_response,
    a_head_request_is_no_callback,
    a_callback_may_be_a_form_in_pieces,
    the_state_of_a_form_may_be_in_its_address,
    a_callback_over_http_1_0_is_accepted,
    a_callback_in_absolute_form_is_accepted,
    a_callback_may_come_byte_by_byte,
    a_callback_of_200_kib_is_accepted,
    a_repeated_callback_is_refused,
    one_of_two_simultaneous_callbacks_wins,
    the_wait_lasts_until_the_page_has_arrived,
    a_browser_that_never_closes_does_not_block_the_result,
    the_wait_ends_at_its_timeout,
    other_requests_do_not_extend_the_timeout,
    the_longest_timeout_does_not_overflow,
    a_cancelled_wait_ends_and_frees_its_port,
    the_port_is_free_after_the_callback,
});
