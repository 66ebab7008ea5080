//! Every operation of the client, of a device login and of the receiver works wherever its future runs.

mod executors;

use std::io::{Read as _, Write as _};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use executors::Case;
use loginradius_async::browser::{AuthorizationRequest, Callback, JwtRedirect};
use loginradius_async::http::Request;
use loginradius_async::jwt::JwtByAccessToken;
use loginradius_async::oauth::{DeviceGrant, RequestDeviceCode};
use loginradius_async::{App, Body, Call, Client, ErrorKind, LoopbackReceiver, Retry, Seed, SendOptions, Service};
use loginradius_conformance::Server;
use loginradius_conformance::emulator::{Emulator, seeded};

fn client(url: &str) -> Client {
    let app = App::new(seeded::CLIENT_ID)
        .with_oauth_app(seeded::OAUTH_APP)
        .with_jwt_app(seeded::JWT_APP)
        .with_service(Service::classic_at(url).unwrap());
    let retry = Retry::default().with_first_wait(Duration::from_millis(20));
    Client::builder(app).timeout(Duration::from_millis(500)).retry(retry).build().unwrap()
}

/// Requests a URL as a browser does, from a thread of its own.
fn visit(url: String) {
    thread::spawn(move || {
        let rest = url.strip_prefix("http://").unwrap();
        let (host, target) = rest.split_at(rest.find('/').unwrap());
        let mut stream = std::net::TcpStream::connect(host).unwrap();
        write!(stream, "GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n").unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    });
}

/// A server whose every second response is a failure, so that each call also waits.
fn flaky() -> Server {
    let count = AtomicUsize::new(0);
    Server::responding(move |_| {
        let body = "{\"signature\":\"s\"}";
        let status = if count.fetch_add(1, Ordering::SeqCst).is_multiple_of(2) { "503 Busy" } else { "200 OK" };
        format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
    })
}

static EMULATOR: LazyLock<Emulator> =
    LazyLock::new(|| Emulator::builder().device_interval(Duration::ZERO).start().unwrap());
static SILENT: LazyLock<Server> = LazyLock::new(|| {
    Server::start(|peer| {
        peer.request();
        peer.wait();
    })
});

const CASES: &[Case] = &[
    ("call", || {
        Box::pin(async {
            let server = flaky();
            drop(client(&server.url()).call(&JwtByAccessToken::new("a")).await.unwrap())
        })
    }),
    ("call of a silent server", || {
        Box::pin(async {
            let start = Instant::now();
            let client = client(&SILENT.url()).within(Duration::from_millis(700));
            let error = client.call(&JwtByAccessToken::new("a")).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::OutcomeUnknown);
            assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
        })
    }),
    ("run", || {
        Box::pin(async {
            let server = flaky();
            let client = client(&server.url());
            let retry = Retry::default().with_first_wait(Duration::from_millis(5));
            let call = Call::new(JwtByAccessToken::new("a"), client.app(), Seed(1)).retry(retry);
            drop(client.run(call).await.unwrap());
        })
    }),
    ("send", || {
        Box::pin(async {
            let server = flaky();
            let client = client(&server.url());
            let request = Request::get(server.url()).body(Body::empty()).unwrap();
            client.send(request, SendOptions::new(Instant::now() + Duration::from_secs(1))).await.unwrap();
        })
    }),
    ("begin_device_login, wait", || {
        Box::pin(async {
            let login = client(EMULATOR.base_url()).begin_device_login(&RequestDeviceCode::new()).await.unwrap();
            EMULATOR.approve(&login.grant().user_code).unwrap();
            drop(login.wait().await.unwrap());
        })
    }),
    ("device_login", || {
        Box::pin(async {
            let client = client(EMULATOR.base_url());
            let (request, deny) =
                (RequestDeviceCode::new(), |grant: &DeviceGrant| Ok(EMULATOR.deny(&grant.user_code)?));
            assert_eq!(client.device_login(&request, deny).await.unwrap_err().kind(), ErrorKind::Denied);
        })
    }),
    ("resume_device_login, wait", || {
        Box::pin(async {
            let client = client(EMULATOR.base_url());
            let pending = client.begin_device_login(&RequestDeviceCode::new()).await.unwrap().pending();
            let login = client.resume_device_login(&pending).within(Duration::from_millis(50));
            assert_eq!(login.wait().await.unwrap_err().kind(), ErrorKind::DeadlineExceeded);
        })
    }),
    ("complete_browser_login", || {
        Box::pin(async {
            let client = client(EMULATOR.base_url());
            let request = AuthorizationRequest::new("http://127.0.0.1:8400/callback");
            let mut login = client.begin_browser_login(&request).unwrap();
            let callback = Callback::from_url(&EMULATOR.authorize(&login.url).unwrap().url).unwrap();
            drop(client.complete_browser_login(&mut login.pending, &callback).await.unwrap());
        })
    }),
    ("browser_login", || {
        Box::pin(async {
            let receiver = LoopbackReceiver::bind(0, "/callback").unwrap();
            let request = AuthorizationRequest::new(receiver.redirect_uri());
            let open = |url: &str| {
                visit(EMULATOR.authorize(url)?.url);
                Ok(())
            };
            drop(client(EMULATOR.base_url()).browser_login(receiver, &request, open).await.unwrap());
        })
    }),
    ("receive", || {
        Box::pin(async {
            let receiver = LoopbackReceiver::bind(0, "/callback").unwrap().timeout(Duration::from_millis(50));
            let request = JwtRedirect::new(receiver.redirect_uri(), "t");
            let mut login = client(EMULATOR.base_url()).begin_browser_login(&request).unwrap();
            assert_eq!(receiver.receive(&mut login.pending).await.unwrap_err().kind(), ErrorKind::Expired);
        })
    }),
];

#[test]
fn every_operation_works_wherever_its_future_runs() {
    executors::check(CASES);
}

/// A future that is left unpolled on a runtime that nothing runs holds up no other, at whichever poll it was left.
#[test]
fn a_call_that_is_left_halfway_holds_up_no_other() {
    let server = Server::responding(|_| b"HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n{\"signature\":\"s\"}".to_vec());
    for polls in 1..5 {
        let client = client(&server.url());
        let idle = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let left = client.clone();
        let task = idle.spawn(async move { left.call(&JwtByAccessToken::new("a")).await });
        for _ in 0..polls {
            idle.block_on(tokio::task::yield_now());
        }
        for _ in 0..3 {
            let start = Instant::now();
            let other = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            drop(other.block_on(client.call(&JwtByAccessToken::new("a"))).unwrap());
            let without = client.clone();
            drop(
                executors::block_on(Box::pin(async move { without.call(&JwtByAccessToken::new("a")).await })).unwrap(),
            );
            assert!(start.elapsed() < Duration::from_secs(1), "{polls} polls: {:?}", start.elapsed());
        }
        drop((idle, task));
    }
}
