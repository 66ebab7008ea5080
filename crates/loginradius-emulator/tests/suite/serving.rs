//! Starting, stopping, the clock, the headers of every response, and what is recorded.

use std::io;
use std::net::TcpStream;
use std::time::{Duration, Instant, UNIX_EPOCH};

use loginradius_emulator::{Api, BodyFormat, Emulator, Fault, Operation, seeded};

use crate::http::{ID, device_code, get, host, post, raw, send, tokens};

#[test]
fn it_stops_when_it_is_dropped() {
    let emulator = Emulator::start().unwrap();
    let address = host(&emulator).to_owned();
    let idle = TcpStream::connect(&address).unwrap();
    let delayed = Duration::from_secs(60);
    emulator.fault(Operation::DeviceCode, Fault::Delay(delayed));
    let url = format!("{}/sso/oauth/demo-oauth-app/device", emulator.base_url());
    let before = Instant::now();
    std::thread::scope(|scope| {
        let form = [("content-type", "application/x-www-form-urlencoded")];
        let body = format!("client_id={}", seeded::CLIENT_ID);
        let waiting = scope.spawn(move || send("POST", &url, &form, body.as_bytes()));
        while emulator.requests().is_empty() {
            std::thread::yield_now();
        }
        drop(emulator);
        assert!(waiting.join().unwrap().is_err());
    });
    assert!(before.elapsed() < Duration::from_secs(5));
    drop(idle);
    let refused = TcpStream::connect(&address).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
}

#[test]
fn a_port_can_be_chosen_and_is_taken_once() {
    let emulator = Emulator::start().unwrap();
    let port: u16 = host(&emulator).rsplit(':').next().unwrap().parse().unwrap();
    let taken = Emulator::builder().port(port).start().unwrap_err();
    assert_eq!(taken.kind(), io::ErrorKind::AddrInUse);
    drop(emulator);
    let again = Emulator::builder().port(port).start().unwrap();
    assert_eq!(again.base_url(), format!("http://127.0.0.1:{port}"));
}

#[test]
fn the_clock_is_in_every_response() {
    let emulator = Emulator::builder().manual_clock().start().unwrap();
    let start = emulator.now();
    assert_eq!(emulator.now(), start);
    emulator.advance(Duration::from_secs(86_400 * 365));
    assert_eq!(emulator.now(), start + Duration::from_secs(86_400 * 365));
    let date = httpdate::fmt_http_date(emulator.now());
    for path in ["/", "/device", "/nothing", "/sso/nothing", "/sso/oauth/demo-oauth-app/device"] {
        let response = get(&emulator, path);
        assert_eq!(response.header("date"), Some(date.as_str()), "{path}");
        assert_eq!(response.header("cache-control"), Some("no-store"), "{path}");
    }
    let response = device_code(&emulator);
    assert_eq!(response.header("date"), Some(date.as_str()));
    assert_eq!(response.header("content-type"), Some("application/json; charset=utf-8"));
    let expires = emulator.device_grants()[0].expires;
    assert_eq!(expires, emulator.now() + Duration::from_secs(1800));
}

#[test]
fn a_running_clock_runs_and_can_be_pushed() {
    let emulator = Emulator::start().unwrap();
    let start = emulator.now();
    let real = start.duration_since(UNIX_EPOCH).unwrap().as_secs();
    let machine = UNIX_EPOCH.elapsed().unwrap().as_secs();
    assert!(machine.abs_diff(real) < 60);
    emulator.advance(Duration::from_secs(100));
    let moved = emulator.now().duration_since(start).unwrap();
    assert!(moved >= Duration::from_secs(100) && moved < Duration::from_secs(160));
    std::thread::sleep(Duration::from_millis(5));
    assert!(emulator.now() >= start + Duration::from_millis(100_005));
}

#[test]
fn moving_the_clock_beyond_all_dates_breaks_nothing() {
    let emulator = Emulator::builder()
        .refresh_token_lifetime(Duration::MAX)
        .access_token_lifetime(Duration::MAX)
        .device_lifetime(Duration::MAX)
        .device_interval(Duration::MAX)
        .start()
        .unwrap();
    let code = device_code(&emulator);
    assert_eq!(code.json()["interval"], u64::MAX);
    for error in ["authorization_pending", "slow_down", "slow_down"] {
        let poll = crate::http::poll(&emulator, &code.text("device_code"));
        crate::http::assert_oauth(&poll, 400, error, "");
    }
    emulator.advance(Duration::MAX);
    let poll = crate::http::poll(&emulator, &code.text("device_code"));
    crate::http::assert_oauth(&poll, 400, "expired_token", "");
    let response = tokens(&emulator);
    assert_eq!(response.header("date"), Some("Fri, 31 Dec 9999 00:00:00 GMT"));
}

#[test]
fn hosts_other_than_this_machine_are_refused() {
    let emulator = Emulator::start().unwrap();
    let port = host(&emulator).rsplit(':').next().unwrap().to_owned();
    let ask = |path: &str, host: &str| {
        let request = format!("GET {path} HTTP/1.1\r\n{host}Connection: close\r\n\r\n");
        String::from_utf8(raw(&emulator, &request)).unwrap()
    };
    let ours = ["127.0.0.1", "localhost", "LocalHost", "[::1]"];
    for name in ours {
        let response = ask("/", &format!("Host: {name}:{port}\r\n"));
        assert!(response.starts_with("HTTP/1.1 200 "), "{name}: {response}");
    }
    let foreign = [
        format!("Host: attacker.example:{port}\r\n"),
        "Host: 127.0.0.1\r\n".to_owned(),
        "Host: 127.0.0.1:1\r\n".to_owned(),
        format!("Host: 127.0.0.1.attacker.example:{port}\r\n"),
        format!("Host: 127.0.0.1:{port}\r\nHost: attacker.example\r\n"),
        String::new(),
    ];
    for host in foreign {
        for path in ["/", "/device", "/sso/jwt/api/token"] {
            let response = ask(path, &host);
            assert!(response.starts_with("HTTP/1.1 421 "), "{host}: {response}");
        }
    }
    let absolute = format!("Host: 127.0.0.1:{port}\r\n");
    let response = ask("http://attacker.example/", &absolute);
    assert!(response.starts_with("HTTP/1.1 421 "), "{response}");
    assert_eq!(emulator.requests(), []);
}

#[test]
fn a_public_url_is_one_more_host() {
    let build = |url: &str| Emulator::builder().public_url(url);
    let emulator = build("https://Tunnel.example").unwrap().start().unwrap();
    let ask = |host: &str| {
        let request = format!("GET /device HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        String::from_utf8(raw(&emulator, &request)).unwrap()
    };
    assert!(ask("tunnel.example").starts_with("HTTP/1.1 200 "));
    assert!(ask("other.example").starts_with("HTTP/1.1 421 "));
    for bad in [
        "tunnel.example",
        "ftp://tunnel.example",
        "https://tunnel.example/path",
        "https://tunnel.example/?q",
        "https://user@tunnel.example",
        "https://tunnel.example/#f",
        "",
    ] {
        let error = build(bad).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{bad}");
    }
}

#[test]
fn requests_are_recorded_completely() {
    let emulator = Emulator::builder().manual_clock().start().unwrap();
    let url = format!("{}/api/oauth/demo-oauth-app/device?extra=1", emulator.base_url());
    let headers = [
        ("content-type", "application/x-www-form-urlencoded"),
        ("accept", "application/json"),
        ("user-agent", "tester/1"),
    ];
    let body = format!("client_id={}&scope=email+profile&scope=x%26y", seeded::CLIENT_ID);
    send("POST", &url, &headers, body.as_bytes()).unwrap();
    let recorded = emulator.requests().remove(0);
    assert_eq!(recorded.method, "POST");
    assert_eq!(recorded.path, "/api/oauth/demo-oauth-app/device");
    assert_eq!(recorded.operation, Some(Operation::DeviceCode));
    assert_eq!(recorded.api, Some(Api::Site));
    let pairs: Vec<_> = recorded.params.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let expected = [("extra", "1"), ("client_id", seeded::CLIENT_ID), ("scope", "email profile"), ("scope", "x&y")];
    assert_eq!(pairs, expected);
    assert_eq!(recorded.param("scope"), Some("email profile"));
    assert_eq!(recorded.body_format, BodyFormat::Form);
    assert_eq!(recorded.content_type.as_deref(), Some(headers[0].1));
    assert_eq!(recorded.accept.as_deref(), Some("application/json"));
    assert_eq!(recorded.user_agent.as_deref(), Some("tester/1"));
    assert_eq!(recorded.client_id.as_deref(), Some(seeded::CLIENT_ID));
    assert_eq!(recorded.at, emulator.now());
    assert_eq!((recorded.status, &recorded.fault), (Some(400), &None));

    get(&emulator, &format!("/sso/jwt/api/token?apiKey={}", seeded::CLIENT_ID));
    let recorded = emulator.requests().pop().unwrap();
    assert_eq!(recorded.client_id.as_deref(), Some(seeded::CLIENT_ID));
    assert_eq!(recorded.body_format, BodyFormat::None);
    assert_eq!(recorded.api, Some(Api::Classic));

    post(&emulator, "/sso/unknown", &[ID]);
    get(&emulator, "/device");
    get(&emulator, "/");
    assert_eq!(emulator.requests().len(), 3);
    assert_eq!(emulator.requests()[2].status, Some(404));
    emulator.clear_requests();
    assert_eq!(emulator.requests(), []);
}

#[test]
fn one_connection_carries_many_requests() {
    let emulator = Emulator::start().unwrap();
    let request = format!("GET / HTTP/1.1\r\nHost: {}\r\n", host(&emulator));
    let responses = raw(&emulator, &format!("{request}\r\n{request}Connection: close\r\n\r\n"));
    let responses = String::from_utf8(responses).unwrap();
    assert_eq!(responses.matches("HTTP/1.1 200 OK").count(), 2);
}

#[cfg(feature = "cli")]
#[test]
fn the_program_says_what_is_wrong_with_a_port() {
    use std::process::Command;

    let emulator = Emulator::start().unwrap();
    let port = host(&emulator).rsplit(':').next().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_loginradius-emulator")).args(["--port", port]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains(&format!("port {port} is already in use")), "{said}");
}

/// Without libfaketime (Debian's `faketime`) there is nothing to test.
#[cfg(feature = "cli")]
#[test]
fn the_program_says_what_is_wrong_with_a_clock() {
    use std::process::Command;

    let program = env!("CARGO_BIN_EXE_loginradius-emulator");
    let faked = Command::new("faketime").args(["-f", "@1960-01-01 00:00:00", program, "--port", "0"]).output();
    let Ok(output) = faked else { return };
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("the machine's clock is before 1970: set the clock"), "{said}");
}

#[cfg(feature = "cli")]
#[test]
fn the_program_introduces_itself_and_serves() {
    use std::io::{BufRead as _, BufReader};
    use std::process::{Command, Stdio};

    let mut program = Command::new(env!("CARGO_BIN_EXE_loginradius-emulator"))
        .args(["--port", "0", "--device-interval", "7", "--json-only"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(program.stdout.take().unwrap()).lines();
    let first = lines.next().unwrap().unwrap();
    let url = first.rsplit(' ').next().unwrap().to_owned();
    let said: Vec<String> = lines.map_while(Result::ok).take_while(|line| !line.starts_with("Ctrl-C")).collect();
    let path = "/sso/oauth/demo-oauth-app/device";
    let json = [("content-type", "application/json")];
    let body = format!(r#"{{"client_id":"{}"}}"#, seeded::CLIENT_ID);
    let response = send("POST", &format!("{url}{path}"), &json, body.as_bytes());
    program.kill().unwrap();
    program.wait().unwrap();
    let curl = format!("  curl -H 'Content-Type: application/json' -d '{body}' {url}{path}");
    assert!(said.contains(&curl), "{said:?}");
    assert_eq!(response.unwrap().json()["interval"], 7);
}

#[cfg(feature = "cli")]
#[test]
fn the_program_has_a_grace_period_if_an_option_sets_it() {
    use std::io::{BufRead as _, BufReader};
    use std::process::{Command, Stdio};

    for (arguments, second) in [(&["--refresh-grace", "600"][..], 200), (&[], 400)] {
        let mut program = Command::new(env!("CARGO_BIN_EXE_loginradius-emulator"))
            .args(["--port", "0"])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(program.stdout.take().unwrap()).lines();
        let first = lines.next().unwrap().unwrap();
        let url = first.rsplit(' ').next().unwrap();
        let ask = |path: &str, body: &str| {
            let form = [("content-type", "application/x-www-form-urlencoded")];
            let client = format!("client_id={}&client_secret={}", seeded::CLIENT_ID, seeded::CLIENT_SECRET);
            send("POST", &format!("{url}/sso/oauth/access_token{path}"), &form, format!("{client}&{body}").as_bytes())
        };
        let password = format!("grant_type=password&username=ada&password={}", seeded::ADA.password);
        let statuses = ask("", &password).map(|response| {
            let refresh = format!("grant_type=refresh_token&refresh_token={}", response.text("refresh_token"));
            [(); 2].map(|()| ask("/refresh", &refresh).map(|response| response.status).ok())
        });
        program.kill().unwrap();
        program.wait().unwrap();
        assert_eq!(statuses.unwrap(), [Some(200), Some(second)]);
    }
}

#[test]
fn it_can_be_shared_between_threads() {
    fn shared<T: Send + Sync>(_: &T) {}
    let emulator = Emulator::start().unwrap();
    shared(&emulator);
    assert_eq!(format!("{emulator:?}"), format!("Emulator {{ base_url: {:?}, .. }}", emulator.base_url()));
}
