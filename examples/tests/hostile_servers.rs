//! The examples against hostile servers, which send texts that would control a terminal, and HTTP that is unusual,
//! broken or without end.

#[allow(dead_code, reason = "the other tests use the rest")]
mod common;

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, SystemTime};

use common::{Ended, Example};
use loginradius_proto::Body;
use serde_json::json;

/// Each kind of character that could control a terminal, add a line, reverse a text or hide it.
const HOSTILE: &str = "Ada\u{1b}]0;owned\u{7}\u{1b}[2J\u{9b}31m\u{8}\u{7f}\u{85}\r\n\0\u{61c}\u{200b}\u{200d}\u{200e}\u{202e}\u{2028}\
                       \u{2029}\u{2060}\u{2066}\u{206f}\u{ad}\u{180e}\u{3164}\u{feff}\u{fffb}\u{e0041}<b>z";

#[test]
fn no_text_of_a_server_steers_the_terminal() {
    // In every field that is read, and in some that are not.
    let tokens = |refresh_token: &str, token: &str| {
        json!({
            "access_token": token, "refresh_token": refresh_token, "id_token": HOSTILE, "token_type": HOSTILE,
            "scope": HOSTILE, "expires_in": 60, HOSTILE: HOSTILE, "signature": token,
            "FullName": HOSTILE, "Email": [{ "Value": HOSTILE }],
        })
    };
    let oauth_error = json!({ "error": HOSTILE, "error_description": HOSTILE, "error_uri": HOSTILE });
    let refusal = json!({ "error": "access_denied", "error_description": HOSTILE });
    let api_error = json!({ "ErrorCode": 906, "Message": HOSTILE, "Description": HOSTILE, "errordetails": HOSTILE });
    let cases = [
        (200, tokens("refresh", HOSTILE).to_string()),
        (200, tokens("refresh", "access").to_string()),
        (200, HOSTILE.to_owned()),
        (400, oauth_error.to_string()),
        (400, refusal.to_string()),
        (403, api_error.to_string()),
        (502, format!("<html>{HOSTILE}")),
    ];
    let user = ["--username", "ada", "--password", "p"];
    let examples: [(&str, &[&str]); 9] = [
        ("device_login", &["--tour"]),
        ("async_device_login", &[]),
        ("own_transport", &[]),
        ("session", &["--events"]),
        ("own_endpoint", &["--access-token", "a"]),
        ("password_login", &user),
        ("authorization_code", &["--code", "c"]),
        ("refresh_and_revoke", &["--refresh-token", "r"]),
        ("jwt", &["--access-token", "a", "--email", "e@example.com", "--password", "p"]),
    ];
    let folder = tempfile::tempdir().unwrap();
    let run = &|mode: &[&str], number: usize, example: &str, options: &[&str]| {
        let (status, body) = &cases[number];
        let base_url = answering(*status, body.clone());
        let service = ["--base-url", &base_url, "--client-id", "c", "--client-secret", "s"];
        let apps = ["--oauth-app", "a", "--jwt-app", "j"];
        let store = folder.path().join(format!("{number}{}", mode.len()));
        let store = if example == "session" { &["--store", store.to_str().unwrap()][..] } else { &[] };
        let ended = Example::start(example, &[&service[..], &apps, options, store, mode].concat()).end();
        check(&ended, &format!("{example} {mode:?} {status} {body}"));
    };
    for mode in [&["--show-secrets"][..], &["--show-secrets", "--json"]] {
        thread::scope(|scope| {
            for number in 0..cases.len() {
                for (example, options) in examples {
                    scope.spawn(move || run(mode, number, example, options));
                }
            }
        });
    }
}

#[track_caller]
fn check(ended: &Ended, case: &str) {
    let printed = format!("{}{}", ended.stdout, ended.stderr);
    assert!(printed.lines().count() > 0, "{case}");
    assert!(!printed.contains("panicked"), "{case}: {printed}");
    let steers = |c: &char| *c != '\n' && !c.is_ascii() && HOSTILE.contains(*c) || (c.is_control() && *c != '\n');
    assert_eq!(printed.chars().find(steers), None, "{case}: {printed:?}");
    let begins_a_line = |line: &str| line.starts_with(['\u{fffd}', '<']);
    assert!(!printed.lines().any(begins_a_line), "{case}: {printed:?}");
}

/// Starts a service that responds to a request for a device code with a good one, and to any other with this response.
fn answering(status: u16, body: String) -> String {
    let (base_url, _) = serve(move |path, stream| {
        let (status, body) = if path.ends_with("/device") { (200, GRANT) } else { (status, body.as_str()) };
        let head = format!("HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nConnection: close");
        write!(&*stream, "{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    });
    base_url
}

/// Its lifetime ends the polls that fail.
const GRANT: &str = r#"{"device_code":"d","user_code":"CXY-Q34","verification_uri":"https://login.example.com/device","interval":1,"expires_in":3}"#;

#[test]
fn a_transport_of_ones_own_reads_http_as_it_may_come() {
    let (chunk, rest) = GRANT.split_at(11);
    let length = GRANT.len();
    let many = "X-Many: 1\r\n".repeat(299);
    let spaces = " ".repeat(Body::LIMIT - length);
    for (is_closed, response) in [
        (false, format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{GRANT}")),
        (false, format!("HTTP/1.1 200\nContent-Length : {length}\nContent-Length: {length}\n\n{GRANT}")),
        (true, format!("HTTP/1.0 200 OK\r\n\r\n{GRANT}")),
        (true, format!("HTTP/1.0 200 OK\r\n\r\n{GRANT}{spaces}")),
        (
            false,
            format!(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n0000b;name=\"value\"\r\n{chunk}\r\n\
                 {:X} \r\n{rest}\r\n0\r\nX-Trailer: 1\r\n\r\n",
                rest.len()
            ),
        ),
        (
            false,
            format!(
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n\
                 HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{GRANT}"
            ),
        ),
        (
            false,
            format!("HTTP/1.1 200 OK\r\nX-Long: one\r\n two\r\n\tthree\r\nContent-Length:\r\n {length}\r\n\r\n{GRANT}"),
        ),
        (false, format!("HTTP/1.1 200 OK\r\n{many}Content-Length: {length}\r\n\r\n{GRANT}")),
        (
            false,
            format!("HTTP/1.1 200 OK\r\nno header\r\nSet-Cookie: who=ada\r\nContent-Length: {length}\r\n\r\n{GRANT}"),
        ),
    ] {
        let shown = response.clone();
        let (base_url, requests) = serve(move |path, stream| {
            if !path.ends_with("/device") {
                let denial = r#"{"error":"access_denied"}"#;
                return write!(&*stream, "HTTP/1.1 400 Bad Request\r\nContent-Length: 25\r\n\r\n{denial}");
            }
            (&*stream).write_all(response.as_bytes())?;
            // It leaves the connection open until the client closes it.
            if !is_closed { (&*stream).read(&mut [0]).map(drop) } else { Ok(()) }
        });
        let ended = own_transport(&base_url);
        assert_eq!(ended.names(), ["prompt", "error"], "{shown:.300}: {}", ended.stdout);
        assert_eq!(ended.error().0, "denied", "{shown:.300}: {}", ended.stdout);
        let requests: Vec<String> = requests.try_iter().collect();
        assert_eq!(requests.len(), 2);
        for request in requests {
            assert!(request.starts_with("post /sso/oauth/"), "{request}");
            for header in ["connection: close", "accept-encoding: identity", "content-length: "] {
                assert!(request.contains(&format!("\r\n{header}")), "{header} is not in {request}");
            }
            assert!(!request.contains("cookie"), "{request}");
        }
    }
}

#[test]
fn a_transport_of_ones_own_takes_no_response_that_is_broken_or_endless() {
    const OK: &str = "HTTP/1.1 200 OK\r\n";
    const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let length = GRANT.len();
    let many = "X-Many: 1\r\n".repeat(301);
    let too_long = " ".repeat(Body::LIMIT + 1);
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
    let cases: &[(&str, String, &str)] = &[
        ("", String::new(), "end of file"),
        ("SSH-2.0-OpenSSH_9.9\r\n", String::new(), "invalid"),
        (&format!("{OK}Content-Length: {length}\r\n"), String::new(), "end of file"),
        (&format!("{OK}Content-Length: {}\r\n\r\n{GRANT}", length + 1), String::new(), "end of file"),
        (&format!("{OK}Content-Length: {length}\r\nContent-Length: 1\r\n\r\n{GRANT}"), String::new(), "unclear"),
        (&format!("{OK}Content-Length: {length}, {length}\r\n\r\n{GRANT}"), String::new(), "unclear"),
        (&format!("{OK}Content-Length: -1\r\n\r\n{GRANT}"), String::new(), "unclear"),
        (&format!("{OK}Transfer-Encoding: gzip, chunked\r\n\r\n{GRANT}"), String::new(), "transfer encoding"),
        (&format!("{CHUNKED}{length:x}\r\n{GRANT}"), String::new(), "fill whole buffer"),
        (&format!("{CHUNKED}{length:x}\r\n{GRANT}\r\n"), String::new(), "no size"),
        (&format!("{CHUNKED}{:x}\r\n{GRANT}\r\n0\r\n\r\n", length - 1), String::new(), "longer than its size"),
        (&format!("{CHUNKED}\r\n{GRANT}\r\n0\r\n\r\n"), String::new(), "no size"),
        (&format!("{CHUNKED}-1\r\n{GRANT}\r\n0\r\n\r\n"), String::new(), "no size"),
        (&format!("{CHUNKED}ffffffffffffffffff\r\n{GRANT}\r\n0\r\n\r\n"), String::new(), "no size"),
        (&format!("{OK}{many}\r\n{GRANT}"), String::new(), "too many headers"),
        (&format!("{OK}\r\n{too_long}"), String::new(), "too long"),
        // Without end.
        ("", "x".repeat(4096), "too long"),
        ("", "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(100), "too long"),
        (OK, "X-Many: 1\r\n".repeat(100), "too long"),
        (&format!("{OK}X-Long: 1\r\n"), " more\r\n".repeat(100), "too long"),
        (&format!("{OK}\r\n"), " ".repeat(4096), "too long"),
        (&format!("{OK}Content-Length: 18446744073709551615\r\n\r\n"), " ".repeat(4096), "too long"),
        (CHUNKED, "0".repeat(4096), "too long"),
        (CHUNKED, chunk, "too long"),
        (CHUNKED, "1\r\n \r\n".repeat(100), "too long"),
    ];
    thread::scope(|scope| {
        for (start, more, cause) in cases {
            scope.spawn(move || {
                let (first, next) = (start.to_string(), more.clone());
                let (base_url, requests) = serve(move |_, stream| {
                    (&*stream).write_all(first.as_bytes())?;
                    while !next.is_empty() {
                        (&*stream).write_all(next.as_bytes())?;
                    }
                    Ok(())
                });
                let ended = own_transport(&base_url);
                let shown = format!("{start:.200} {more:.40}: {}", ended.stdout);
                assert_eq!(ended.error().0, "lost", "{shown}");
                let causes = ended.events().pop().unwrap()["causes"].to_string().to_lowercase();
                assert!(causes.contains(cause) || causes.contains("reset"), "{cause}: {shown}");
                assert_eq!(requests.try_iter().count(), 4, "{shown}");
            });
        }
    });
}

#[test]
fn a_transport_of_ones_own_counts_dates_from_the_receipt() {
    let at = |time| httpdate::fmt_http_date(time);
    let now = SystemTime::now();
    let hour = Duration::from_secs(3600);
    for (date, retry_after) in [
        (String::new(), at(now + hour)),
        // The server's own clock, where there is one.
        (format!("Date: {}\r\n", at(now - 10 * hour)), at(now - 9 * hour)),
    ] {
        let (base_url, requests) = serve(move |_, stream| {
            let head = format!("HTTP/1.1 429 Too Many Requests\r\n{date}Retry-After: {retry_after}\r\n");
            write!(&*stream, "{head}Content-Length: 0\r\n\r\n")
        });
        let ended = own_transport(&base_url);
        assert_eq!(ended.error().0, "try_later", "{}", ended.stdout);
        assert_eq!(requests.try_iter().count(), 1, "an hour is too long to wait, and was not read: {}", ended.stdout);
    }
}

#[test]
fn a_transport_of_ones_own_says_what_a_proxy_did() {
    let cases = [
        (
            "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n",
            "responded with HTTP 407: it requires valid credentials)",
        ),
        ("HTTP/1.1 401 Unauthorized\r\n\r\n", "responded with HTTP 401: it requires valid credentials)"),
        ("HTTP/1.1 502 Bad Gateway\r\n\r\n", "responded with HTTP 502)"),
        ("SSH-2.0-x\r\n\r\n", "does not speak the protocol of its scheme)"),
        // What follows the empty line is read as TLS.
        (
            "HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 400 Bad Request\r\n\r\n",
            "sso.invalid:443 does not speak TLS, but probably plain http)",
        ),
    ];
    for (response, cause) in cases {
        let (proxy, requests) = serve(move |_, mut stream| {
            stream.write_all(response.as_bytes())?;
            // It does not close the connection first: a reset could overtake the response.
            io::copy(&mut stream, &mut io::sink()).map(|_| ())
        });
        let proxy_with_credentials = proxy.replace("://", "://alice:s3cret@");
        let arguments = ["--json", "--base-url", "https://sso.invalid", "--client-id", "c", "--oauth-app", "a"];
        let ended = Example::start_in("own_transport", &arguments, &[("HTTPS_PROXY", &proxy_with_credentials)]).end();
        let (kind, line) = ended.error();
        assert_eq!(kind, "not_sent", "{line}");
        assert!(line.contains(cause) && !ended.stdout.contains("s3cret"), "{line}");
        let request = requests.recv().unwrap();
        assert!(request.starts_with("connect sso.invalid:443 http/1.1\r\n"), "{request}");
        assert!(request.contains("\r\nproxy-authorization: basic ywxpy2u6cznjcmv0\r\n"), "{request}");
    }
}

fn own_transport(base_url: &str) -> Ended {
    Example::start("own_transport", &["--json", "--base-url", base_url, "--client-id", "c", "--oauth-app", "a"]).end()
}

/// Starts a service. Returns its address, and the heads of the requests in lower case.
fn serve(respond: impl Fn(&str, &TcpStream) -> io::Result<()> + Send + 'static) -> (String, Receiver<String>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let base_url = format!("http://{}", listener.local_addr().unwrap());
    let (sender, requests) = mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let Ok(head) = request(&stream) else { continue };
            let path = head.split(' ').nth(1).unwrap().split('?').next().unwrap().to_owned();
            let _ = sender.send(head);
            // The client may have closed the connection.
            let _ = respond(&path, &stream);
        }
    });
    (base_url, requests)
}

/// Reads a request, and returns its head.
fn request(stream: &TcpStream) -> io::Result<String> {
    let mut stream = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    let head = head.to_lowercase();
    let length = head.split("content-length: ").nth(1).and_then(|rest| rest.split('\r').next()?.parse().ok());
    stream.read_exact(&mut vec![0; length.unwrap_or(0)])?;
    Ok(head)
}
