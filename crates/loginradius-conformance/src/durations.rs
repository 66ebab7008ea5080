//! Durations that no clock can count to, and those that are over at once, in every setting that takes one.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use loginradius_emulator::{Emulator, seeded};
use loginradius_proto::browser::AuthorizationRequest;
use loginradius_proto::jwt::JwtByAccessToken;
use loginradius_proto::oauth::RequestDeviceCode;
use loginradius_proto::{Api, Error, ErrorKind, Retry, TokenSet};
use loginradius_store::MemoryStore;

use crate::adapter::{Adapter, DeviceLogin, Settings};
use crate::cases::cases;
use crate::matrix::app;
use crate::receiver::Receiver;
use crate::session::{Session, SessionSettings, Sessions};

/// Longer than any clock counts, or just as long as one does.
const ENDLESS: [Duration; 4] =
    [Duration::MAX, Duration::from_secs(1 << 63), Duration::from_secs(i64::MAX as u64), Duration::from_secs(1 << 40)];
const OVER: [Duration; 2] = [Duration::ZERO, Duration::from_nanos(1)];
/// How long a caller may wait for what is over at once.
const SOON: Duration = Duration::from_secs(3);

fn all() -> impl Iterator<Item = Duration> {
    ENDLESS.into_iter().chain(OVER)
}

/// Checks that what was never to end has succeeded, and that what was over at once has not kept its caller waiting.
#[track_caller]
fn check<T>(what: &str, time: Duration, start: Instant, result: Result<T, Error>) {
    assert!(start.elapsed() < SOON, "{what}, {time:?}: {:?}", start.elapsed());
    if let Err(error) = result {
        assert!(OVER.contains(&time), "{what}, {time:?}: {error:?}");
        let kind = error.kind();
        assert!(error.is_transient() || matches!(kind, ErrorKind::Expired), "{what}, {time:?}: {error:?}");
    }
}

/// Requests a URL as a browser does.
fn visit(url: &str) {
    let rest = url.strip_prefix("http://").unwrap();
    let (host, target) = rest.split_at(rest.find('/').unwrap());
    // Refused if the receiver has given up already.
    let Ok(mut stream) = TcpStream::connect(host) else { return };
    let _ = write!(stream, "GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
    let _ = stream.read_to_end(&mut Vec::new());
}

fn of_a_client<A: Adapter>() {
    let emulator = Emulator::builder().device_interval(Duration::ZERO).start().unwrap();
    let login = emulator.login(&seeded::ADA);
    let call = |settings: &Settings| {
        let client = A::new(app(&emulator, Api::Classic), settings).unwrap();
        client.call(&JwtByAccessToken::new(login.access_token.as_str()))
    };
    for time in all() {
        let retry = Retry::default().with_first_wait(Duration::ZERO);
        let patient = Retry::default().with_first_wait(time).with_max_wait(time).with_max_time(time);
        for (what, settings) in [
            ("timeout", Settings { timeout: time, ..Settings::default() }),
            ("connect_timeout", Settings { connect_timeout: time, ..Settings::default() }),
            ("both", Settings { timeout: time, connect_timeout: time, ..Settings::default() }),
            ("both, with retries", Settings { timeout: time, connect_timeout: time, retry, ..Settings::default() }),
            ("retry", Settings { retry: patient, ..Settings::default() }),
        ] {
            let start = Instant::now();
            check(what, time, start, call(&settings));
        }
        let start = Instant::now();
        let client = A::new(app(&emulator, Api::Classic), &Settings::default()).unwrap();
        let within = client.within(time);
        check("within", time, start, within.call(&JwtByAccessToken::new(login.access_token.as_str())));
    }
}

fn of_a_device_login<A: Adapter>() {
    let emulator = Emulator::builder().device_interval(Duration::ZERO).start().unwrap();
    let client = A::new(app(&emulator, Api::Classic), &Settings::default()).unwrap();
    for time in all() {
        let start = Instant::now();
        let login = client.begin_device_login(&RequestDeviceCode::new()).unwrap().within(time);
        emulator.approve(&login.grant().user_code).unwrap();
        check("DeviceLogin::within", time, start, login.wait(|_| {}));

        let start = Instant::now();
        let prompt = |grant: &loginradius_proto::oauth::DeviceGrant| Ok(emulator.approve(&grant.user_code)?);
        check("device_login", time, start, client.within(time).device_login(&RequestDeviceCode::new(), prompt));
    }
}

fn of_a_receiver<A: Adapter>() {
    let emulator = Emulator::start().unwrap();
    let client = A::new(app(&emulator, Api::Classic), &Settings::default()).unwrap();
    for time in all() {
        let login = |receiver: A::Receiver, client: &A| {
            let request = AuthorizationRequest::new(receiver.redirect_uri());
            client.browser_login(receiver, &request, |url| {
                let landing = emulator.authorize(url)?.url;
                thread::spawn(move || visit(&landing));
                Ok(())
            })
        };
        let start = Instant::now();
        let receiver = A::Receiver::bind(0, "/callback").unwrap().timeout(time);
        check("LoopbackReceiver::timeout", time, start, login(receiver, &client));
        let start = Instant::now();
        let receiver = A::Receiver::bind(0, "/callback").unwrap();
        check("browser_login within", time, start, login(receiver, &client.within(time)));
    }
}

fn of_sessions<A: Adapter>() {
    let emulator = Emulator::start().unwrap();
    let client = A::new(app(&emulator, Api::Classic), &Settings::default()).unwrap();
    for time in all() {
        for (what, settings) in [
            ("early_refresh", SessionSettings { early_refresh: Some(time), ..SessionSettings::default() }),
            ("lock_wait", SessionSettings { lock_wait: Some(time), ..SessionSettings::default() }),
            ("within", SessionSettings::default()),
            ("expires_in", SessionSettings::default()),
        ] {
            let start = Instant::now();
            let login = emulator.login(&seeded::ADA);
            let mut tokens = TokenSet::new(login.access_token);
            tokens.refresh_token = login.refresh_token.map(Into::into);
            tokens.expires_in = Some(if what == "expires_in" { time } else { Duration::from_secs(600) });
            let session = client.sessions(MemoryStore::new(), &settings).session("ada");
            session.start(&tokens).unwrap();
            let session = if what == "within" { session.within(time) } else { session };
            check(what, time, start, session.access_token());
            check(what, time, start, session.refresh_rejected(&tokens.access_token));
            check(what, time, start, session.sign_out());
        }
    }
}

cases!(($) durations durations_cases {
    of_a_client,
    of_a_device_login,
    of_a_receiver,
    of_sessions,
});
