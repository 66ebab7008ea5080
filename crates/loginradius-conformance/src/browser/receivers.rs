//! The receiver: where it listens, which requests it takes for the callback, and when it stops.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use loginradius_proto::ErrorKind;
use loginradius_proto::browser::loopback::{Host, Page, Pages};
use loginradius_proto::browser::{AuthorizationRequest, ResponseType};

use super::{
    Clock, Connection, TIMEOUT, TOKEN, WaitingLogin, assert_free, assert_not_signed_in, assert_signed_in, free_port,
    get, port, post, request,
};
use crate::adapter::Adapter;
use crate::cases::cases;
use crate::operations::{REFUSED, app};
use crate::receiver::Receiver;
use crate::sessions::at_once;

fn a_receiver_listens_on_a_given_port_or_on_a_free_one<A: Adapter>() {
    let [one, other] = [(); 2].map(|()| A::Receiver::bind(0, "/callback").unwrap());
    assert_ne!(one.redirect_uri(), other.redirect_uri());
    let given = free_port();
    let receiver = A::Receiver::bind(given, "/").unwrap();
    assert_eq!(receiver.redirect_uri(), format!("http://127.0.0.1:{given}/"));
    drop(receiver);
    assert_free(given);
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

/// Other machines cannot connect to it, nor can this one by another of its addresses.
fn a_receiver_listens_on_127_0_0_1_only<A: Adapter>() {
    let WaitingLogin { receiver, browser, .. } = WaitingLogin::<A>::new();
    let mut others = vec![IpAddr::from(Ipv6Addr::LOCALHOST), IpAddr::from(Ipv4Addr::new(127, 0, 0, 2))];
    // This machine's address in its network, if it has one. Connecting a UDP socket sends no packet.
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    if socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).is_ok() {
        others.push(socket.local_addr().unwrap().ip());
    }
    let reaches = |ip| TcpStream::connect_timeout(&SocketAddr::new(ip, browser.port), Duration::from_secs(1)).is_ok();
    assert!(reaches(Ipv4Addr::LOCALHOST.into()));
    for other in others {
        assert!(other == Ipv4Addr::LOCALHOST || !reaches(other), "it is reached by {other}");
    }
    drop(receiver);
}

/// Whether this machine has IPv6. If not, `localhost` is 127.0.0.1 alone.
fn has_ipv6() -> bool {
    TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok()
}

/// The app's address at LoginRadius may have another name of this machine. A browser chooses the address of
/// `localhost`.
fn a_receiver_serves_every_address_of_its_host<A: Adapter>() {
    for (host, name) in [(Host::Ipv4, "127.0.0.1"), (Host::Ipv6, "[::1]"), (Host::Localhost, "localhost")] {
        let served = host.addresses().iter().filter(|ip| ip.is_ipv4() || has_ipv6());
        for ip in served {
            let waiting = WaitingLogin::<A>::at(host);
            let port = waiting.browser.port;
            assert_eq!(waiting.receiver.redirect_uri(), format!("http://{name}:{port}/callback"));
            for other in [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()] {
                let is_served = host.addresses().contains(&other) && (other.is_ipv4() || has_ipv6());
                assert_eq!(TcpStream::connect((other, port)).is_ok(), is_served, "{name} at {other}");
            }
            let page = waiting.succeeds_while(|browser| {
                let open = || Connection::open_at((*ip, port).into());
                // In turns with others, some of which stay.
                let _silent: Vec<_> = (0..100).map(|_| open()).collect();
                let connection = open();
                connection.send(get(&browser.callback(TOKEN)));
                connection.page()
            });
            assert_signed_in(&page);
            for ip in host.addresses() {
                assert!(TcpStream::connect((*ip, port)).is_err(), "{name} at {ip} is still served");
            }
        }
    }
}

/// Its program would receive the code.
fn a_port_of_localhost_that_is_taken_on_one_address_is_refused<A: Adapter>() {
    for ip in [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()] {
        let Ok(other) = TcpListener::bind((ip, 0)) else { continue };
        let port = other.local_addr().unwrap().port();
        let error = A::Receiver::bind_to(Host::Localhost, port, "/callback").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(error.to_string().contains(&format!("{ip} port {port} is already in use")), "{error}");
        drop(other);
        // And nothing holds the other address.
        drop(A::Receiver::bind_to(Host::Localhost, port, "/callback").unwrap());
    }
}

fn the_page_of_the_callback_is_not_stored<A: Adapter>() {
    let page = WaitingLogin::<A>::new().succeeds_while(|browser| browser.visit(&browser.callback(TOKEN)));
    assert_signed_in(&page);
    for header in ["Cache-Control: no-store", "Referrer-Policy: no-referrer", "Connection: close"] {
        assert!(page.head.contains(header), "{header}: {page:?}");
    }
}

/// A clock that is set while the browser is open neither ends the login nor makes it last longer.
fn a_clock_that_is_set_does_not_end_the_wait<A: Adapter>() {
    for clock in [Clock::SetForward, Clock::SetBack] {
        let mut waiting = WaitingLogin::<A>::new();
        let request = AuthorizationRequest::new(waiting.receiver.redirect_uri()).response_type(ResponseType::Token);
        let login = clock.begin(&app(REFUSED), &request);
        waiting.browser.state = login.pending.expose_state().to_owned();
        waiting.pending = login.pending;
        waiting.succeeds_while(super::Browser::finish);
    }
}

/// The port is open from the moment that the receiver is bound.
fn a_callback_may_come_before_the_wait<A: Adapter>() {
    let waiting = WaitingLogin::<A>::new();
    let connection = waiting.browser.connection();
    connection.send(get(&waiting.browser.callback(TOKEN)));
    assert_signed_in(&waiting.succeeds_while(move |_| connection.page()));
}

/// A program may show its own pages. Requests that are not the callback get the receiver's.
fn the_pages_of_a_program_replace_those_of_the_receiver<A: Adapter>() {
    let pages = || Pages::new(Page::html("<h1>Acme</h1>"), Page::redirect("https://acme.example/help").unwrap());
    let with_pages = |waiting: WaitingLogin<A>| WaitingLogin { receiver: waiting.receiver.pages(pages()), ..waiting };
    let page = with_pages(WaitingLogin::new()).succeeds_while(|browser| {
        assert_eq!(browser.visit("/callback?state=x").status, 400);
        browser.visit(&browser.callback(TOKEN))
    });
    assert_eq!((page.status, page.body.as_str()), (200, "<h1>Acme</h1>"));
    let received = with_pages(WaitingLogin::new())
        .receive_while(|browser| browser.visit(&format!("/callback?error=access_denied&state={}", browser.state)));
    assert_eq!(received.result.unwrap_err().kind(), ErrorKind::Denied);
    let page = received.seen;
    assert!(page.status == 303 && page.head.contains("Location: https://acme.example/help#\r\n"), "{page:?}");
}

fn an_error_in_the_callback_ends_the_wait<A: Adapter>() {
    let received = WaitingLogin::<A>::new().receive_while(|browser| {
        assert_not_signed_in(&browser.visit(&format!("/callback?error=access_denied&state={}", browser.state)));
    });
    assert_eq!(received.result.unwrap_err().kind(), ErrorKind::Denied);

    let received = WaitingLogin::<A>::new().receive_while(|browser| {
        assert_not_signed_in(&browser.visit(&format!("/callback?state={}", browser.state)));
    });
    assert_eq!(received.result.unwrap_err().kind(), ErrorKind::InvalidResponse);
}

fn a_callback_with_another_state_does_not_end_the_wait<A: Adapter>() {
    WaitingLogin::<A>::new().succeeds_while(|browser| {
        let wrong = "A".repeat(43);
        for query in [
            "",
            "?",
            "?token=evil",
            "?token=evil&state=",
            "?error=access_denied",
            &format!("?token=evil&state={wrong}"),
            &format!("?error=access_denied&state={wrong}"),
            // Two states count as none.
            &format!("?token=evil&state={0}&state={0}", browser.state),
        ] {
            let page = browser.visit(&format!("/callback{query}"));
            assert!(page.status == 400 && page.body.contains("Not this login"), "{query}: {page:?}");
        }
        browser.finish();
    });
}

fn other_requests_get_an_error_response<A: Adapter>() {
    WaitingLogin::<A>::new().succeeds_while(|browser| {
        let callback = browser.callback("evil");
        let status = |request: String| {
            let connection = browser.connection();
            connection.send(request);
            connection.page().status
        };
        assert_eq!(status(get("/favicon.ico")), 404);
        let other_paths = ["/", "/callback/", "/callbackk", "/CALLBACK", "/x/callback", "//callback", "/callback%00"];
        for path in other_paths {
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
        browser.finish();
    });
}

/// The response to `HEAD` has no content (RFC 9110, section 9.3.2).
fn a_head_request_is_no_callback<A: Adapter>() {
    WaitingLogin::<A>::new().succeeds_while(|browser| {
        for target in ["/favicon.ico", &browser.callback("evil")] {
            let connection = browser.connection();
            connection.send(request("HEAD", target, ""));
            let mut response = String::new();
            std::io::Read::read_to_string(&mut &connection.0, &mut response).unwrap();
            assert!(response.starts_with("HTTP/1.1 40"), "{response}");
            assert!(response.ends_with("\r\n\r\n"), "{response}");
        }
        browser.finish();
    });
}

/// A browser may load the callback ahead of its user.
fn a_prefetch_is_no_callback<A: Adapter>() {
    WaitingLogin::<A>::new().succeeds_while(|browser| {
        for header in ["Sec-Purpose: prefetch;prerender", "Purpose: prefetch", "Sec-Fetch-Mode: no-cors"] {
            let connection = browser.connection();
            connection.send(request("GET", &browser.callback("ahead"), &format!("{header}\r\n")));
            let page = connection.page();
            assert!(page.status == 503 && page.head.contains("Cache-Control: no-store"), "{header}: {page:?}");
        }
        browser.finish();
    });
}

/// LoginRadius posts a form if it is configured so.
fn a_callback_may_be_a_form_in_pieces<A: Adapter>() {
    let page = WaitingLogin::<A>::new().succeeds_while(|browser| {
        let request = post("/callback", &format!("token={TOKEN}&state={}", browser.state));
        let (head, body) = request.split_at(request.len() - 50);
        let connection = browser.connection();
        connection.send(head);
        thread::sleep(Duration::from_millis(30));
        connection.send(body);
        connection.page()
    });
    assert_signed_in(&page);
}

fn the_state_of_a_form_may_be_in_its_address<A: Adapter>() {
    let page = WaitingLogin::<A>::new().succeeds_while(|browser| {
        let connection = browser.connection();
        connection.send(post(&format!("/callback?state={}", browser.state), &format!("token={TOKEN}")));
        connection.page()
    });
    assert_signed_in(&page);
}

fn a_callback_over_http_1_0_is_accepted<A: Adapter>() {
    let page = WaitingLogin::<A>::new().succeeds_while(|browser| {
        let connection = browser.connection();
        connection.send(format!("GET {} HTTP/1.0\r\n\r\n", browser.callback(TOKEN)));
        connection.page()
    });
    assert_signed_in(&page);
}

/// Every server must accept it (RFC 9112, section 3.2.2).
fn a_callback_in_absolute_form_is_accepted<A: Adapter>() {
    let page = WaitingLogin::<A>::new().succeeds_while(|browser| {
        let address = format!("http://127.0.0.1:{}", browser.port);
        assert_eq!(browser.visit(&format!("{address}/favicon.ico")).status, 404);
        browser.visit(&format!("{address}{}", browser.callback(TOKEN)))
    });
    assert_signed_in(&page);
}

fn a_callback_may_come_byte_by_byte<A: Adapter>() {
    let page = WaitingLogin::<A>::new().succeeds_while(|browser| {
        let connection = browser.connection();
        for byte in get(&browser.callback(TOKEN)).bytes() {
            connection.send([byte]);
            thread::sleep(Duration::from_millis(2));
        }
        connection.page()
    });
    assert_signed_in(&page);
}

/// So a JWT with a whole profile fits.
fn a_callback_of_200_kib_is_accepted<A: Adapter>() {
    let long = "t".repeat(200 << 10);
    for form in [false, true] {
        let received = WaitingLogin::<A>::new().receive_while(|browser| {
            let connection = browser.connection();
            connection.send(match form {
                false => get(&browser.callback(&long)),
                true => post("/callback", browser.callback(&long).trim_start_matches("/callback?")),
            });
            assert_signed_in(&connection.page());
        });
        assert!(received.result.unwrap() == long);
    }
}

/// The user may open the callback's URL again: from the history, or by pressing a button twice.
fn a_repeated_callback_is_refused<A: Adapter>() {
    let [first, second] = WaitingLogin::<A>::new().succeeds_while(|browser| {
        let connections = [browser.connection(), browser.connection()];
        let [first, second] = connections.map(|connection| {
            connection.send(get(&browser.callback(TOKEN)));
            connection.page_if_whole()
        });
        [first, second]
    });
    assert_signed_in(&first.unwrap());
    assert!(second.is_none_or(|page| page.status == 400));
}

/// Its page says so, and the other's does not.
fn one_of_two_simultaneous_callbacks_wins<A: Adapter>() {
    for _ in 0..20 {
        let received = WaitingLogin::<A>::new().receive_while(|browser| {
            let connections = [browser.connection(), browser.connection()];
            at_once(2, |number| {
                let connection = &connections[number];
                connection.send(get(&browser.callback(&format!("token-{number}"))));
                let page = connection.page_if_whole();
                let _ = connection.0.shutdown(Shutdown::Both);
                page
            })
        });
        let token = received.result.unwrap();
        let winner = usize::from(token == "token-1");
        assert_eq!(token, format!("token-{winner}"));
        assert_signed_in(received.seen[winner].as_ref().expect("the winner's page"));
        assert!(received.seen[1 - winner].as_ref().is_none_or(|page| page.status == 400), "{:?}", received.seen);
    }
}

/// The program may exit right after the wait. A browser that is slow, or that sends more than is read, gets the page
/// too.
fn the_wait_lasts_until_the_page_has_arrived<A: Adapter>() {
    let received = WaitingLogin::<A>::new().receive_while(|browser| {
        let connection = browser.connection();
        connection.send(get(&browser.callback(TOKEN)));
        thread::sleep(Duration::from_millis(30));
        connection.send(get("/favicon.ico"));
        thread::sleep(Duration::from_millis(30));
        assert_signed_in(&connection.page());
        thread::sleep(Duration::from_millis(60));
        Instant::now()
    });
    assert_eq!(received.result.unwrap(), TOKEN);
    assert!(received.ended >= received.seen, "the receiver has not waited for the browser");
}

fn a_browser_that_never_closes_does_not_block_the_result<A: Adapter>() {
    let connection = WaitingLogin::<A>::new().succeeds_while(|browser| {
        let connection = browser.connection();
        connection.send(get(&browser.callback(TOKEN)));
        connection
    });
    assert_signed_in(&connection.page());
}

const SHORT_TIMEOUT: Duration = Duration::from_millis(200);

fn the_wait_ends_at_its_timeout<A: Adapter>() {
    let WaitingLogin { receiver, mut pending, browser } = WaitingLogin::<A>::new();
    let start = Instant::now();
    let error = receiver.timeout(SHORT_TIMEOUT).receive(&mut pending).unwrap_err();
    let elapsed = start.elapsed();
    assert_eq!(error.kind(), ErrorKind::Expired);
    assert!((SHORT_TIMEOUT..SHORT_TIMEOUT + Duration::from_secs(1)).contains(&elapsed), "{elapsed:?}");
    assert_free(browser.port);
}

/// From peers that are silent, and from peers that send other requests all the time.
fn other_requests_do_not_extend_the_timeout<A: Adapter>() {
    let WaitingLogin { receiver, mut pending, browser } = WaitingLogin::<A>::new();
    let silent: Vec<_> = (0..6).map(|_| browser.connection()).collect();
    let is_finished = AtomicBool::new(false);
    let elapsed = thread::scope(|scope| {
        let (is_finished, port) = (&is_finished, browser.port);
        scope.spawn(move || {
            while !is_finished.load(Ordering::SeqCst) {
                if let Ok(stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) {
                    let _ = std::io::Write::write_all(&mut &stream, get("/callback?state=x").as_bytes());
                    thread::sleep(Duration::from_millis(5));
                }
            }
        });
        let start = Instant::now();
        let result = receiver.timeout(SHORT_TIMEOUT).receive(&mut pending);
        let elapsed = start.elapsed();
        is_finished.store(true, Ordering::SeqCst);
        assert_eq!(result.unwrap_err().kind(), ErrorKind::Expired);
        elapsed
    });
    assert!((SHORT_TIMEOUT..SHORT_TIMEOUT + Duration::from_secs(1)).contains(&elapsed), "{elapsed:?}");
    drop(silent);
    assert_free(browser.port);
}

/// `Duration::MAX` from now is a time that no clock can hold.
fn the_longest_timeout_does_not_overflow<A: Adapter>() {
    let WaitingLogin { receiver, mut pending, browser } = WaitingLogin::<A>::new();
    let visit = thread::spawn(move || browser.finish());
    receiver.timeout(Duration::MAX).receive(&mut pending).unwrap();
    visit.join().unwrap();
}

fn a_cancelled_wait_ends_and_frees_its_port<A: Adapter>() {
    let WaitingLogin { receiver, mut pending, browser } = WaitingLogin::<A>::new();
    let silent = browser.connection();
    let start = Instant::now();
    let error = receiver.timeout(TIMEOUT).receive_until_cancelled(SHORT_TIMEOUT, &mut pending).unwrap_err();
    let elapsed = start.elapsed();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    assert!((SHORT_TIMEOUT..SHORT_TIMEOUT + Duration::from_secs(1)).contains(&elapsed), "{elapsed:?}");
    drop(silent);
    assert_free(browser.port);
}

fn the_port_is_free_after_the_callback<A: Adapter>() {
    let waiting = WaitingLogin::<A>::new();
    let port = waiting.browser.port;
    waiting.succeeds_while(super::Browser::finish);
    assert_free(port);
    drop(A::Receiver::bind(port, "/callback").unwrap());
    assert_free(port);
}

cases!(($) browser_receivers browser_receivers_cases {
    a_receiver_listens_on_a_given_port_or_on_a_free_one,
    a_taken_port_is_a_configuration_error_that_names_it,
    only_plain_paths_can_be_bound,
    a_receiver_listens_on_127_0_0_1_only,
    a_receiver_serves_every_address_of_its_host,
    a_port_of_localhost_that_is_taken_on_one_address_is_refused,
    the_page_of_the_callback_is_not_stored,
    a_clock_that_is_set_does_not_end_the_wait,
    a_callback_may_come_before_the_wait,
    the_pages_of_a_program_replace_those_of_the_receiver,
    an_error_in_the_callback_ends_the_wait,
    a_callback_with_another_state_does_not_end_the_wait,
    other_requests_get_an_error_response,
    a_head_request_is_no_callback,
    a_prefetch_is_no_callback,
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
