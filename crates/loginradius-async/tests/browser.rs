//! Browser logins as futures: they are `Send`, run on any runtime, and leave nothing behind when they are dropped.

use std::future::Future;
use std::net::{Ipv4Addr, TcpListener};
use std::pin::pin;
use std::time::{Duration, Instant};

use loginradius_async::browser::{AuthorizationRequest, Callback, PendingLogin};
use loginradius_async::{App, Client, Error, ErrorKind, LoopbackReceiver, Service, TokenSet};
use loginradius_conformance::emulator::{Emulator, Fault, Operation, seeded};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::time::{sleep, timeout};

const fn assert_send_and_sync<T: Send + Sync + 'static>() {}
const _: () = assert_send_and_sync::<LoopbackReceiver>();

fn require_send<F: Future + Send>(future: F) -> F {
    future
}

fn app(url: &str) -> App {
    App::new(seeded::CLIENT_ID).with_service(Service::classic_at(url).unwrap())
}

fn runtimes() -> [Runtime; 2] {
    [
        Builder::new_current_thread().enable_all().build().unwrap(),
        Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap(),
    ]
}

/// Returns the host with the port, and the request target, of a URL.
fn parts(url: &str) -> (&str, &str) {
    let rest = url.strip_prefix("http://").unwrap();
    rest.split_at(rest.find('/').unwrap())
}

/// Requests a URL as a browser does, and reads the response.
async fn visit(url: &str) -> String {
    let (host, target) = parts(url);
    let mut stream = TcpStream::connect(host).await.unwrap();
    let request = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).await.unwrap();
    page
}

fn assert_free(redirect_uri: &str) {
    let (host, _) = parts(redirect_uri);
    assert!(std::net::TcpStream::connect(host).is_err(), "the port is still open");
    let port: u16 = host.rsplit(':').next().unwrap().parse().unwrap();
    drop(TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("the port is free"));
}

async fn login(client: &Client, emulator: &Emulator) -> Result<TokenSet, Error> {
    let receiver = LoopbackReceiver::bind(0, "/callback")?;
    let request = AuthorizationRequest::new(receiver.redirect_uri());
    let open = |url: &str| {
        let landing = emulator.authorize(url).unwrap();
        tokio::spawn(async move { visit(&landing.url).await });
        Ok(())
    };
    client.browser_login(receiver, &request, open).await
}

#[tokio::test]
async fn futures_are_send() {
    let emulator = Emulator::start().unwrap();
    let client = Client::new(app(emulator.base_url())).unwrap();
    require_send(login(&client, &emulator)).await.unwrap();
    let mut login = client.begin_browser_login(&AuthorizationRequest::new("http://127.0.0.1:8400/callback")).unwrap();
    let callback = Callback::from_url(&emulator.authorize(&login.url).unwrap().url).unwrap();
    require_send(client.complete_browser_login(&mut login.pending, &callback)).await.unwrap();
    let receiver = LoopbackReceiver::bind(0, "/callback").unwrap().timeout(Duration::from_millis(1));
    let error = require_send(receiver.receive(&mut login.pending)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Expired);
}

/// With a receiver that is bound outside of the runtime or inside, in the main future and in a task.
#[test]
fn a_login_works_on_every_runtime() {
    let emulator = Emulator::start().unwrap();
    for runtime in runtimes() {
        let client = Client::new(app(emulator.base_url())).unwrap();
        let tokens = runtime.block_on(login(&client, &emulator)).unwrap();
        assert!(emulator.is_live_access_token(tokens.access_token.expose()));

        let receiver = LoopbackReceiver::bind(0, "/callback").unwrap();
        let request = AuthorizationRequest::new(receiver.redirect_uri());
        let mut login = client.begin_browser_login(&request).unwrap();
        let landing = emulator.authorize(&login.url).unwrap();
        let authorized = runtime.block_on(async {
            let task = tokio::spawn(async move { receiver.receive(&mut login.pending).await });
            assert!(visit(&landing.url).await.contains("Back to the program"));
            task.await.unwrap().unwrap()
        });
        assert!(authorized.exchange().is_some());
    }
}

#[tokio::test]
async fn two_logins_can_share_a_task() {
    let emulator = Emulator::start().unwrap();
    let client = Client::new(app(emulator.base_url())).unwrap();
    let (one, other) = tokio::join!(login(&client, &emulator), login(&client, &emulator));
    assert_ne!(one.unwrap().access_token.expose(), other.unwrap().access_token.expose());
}

/// The connections of its peers are closed, whether they have sent a request or not.
#[test]
fn a_dropped_receiver_frees_its_port() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let receiver = LoopbackReceiver::bind(0, "/callback").unwrap();
            let redirect_uri = receiver.redirect_uri().to_owned();
            let (host, _) = parts(&redirect_uri);
            let mut pending = pending(&redirect_uri);
            let mut silent = TcpStream::connect(host).await.unwrap();
            let mut requesting = TcpStream::connect(host).await.unwrap();
            requesting.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
            assert!(timeout(Duration::from_millis(50), receiver.receive(&mut pending)).await.is_err());
            assert_free(&redirect_uri);
            let closed = timeout(Duration::from_secs(2), silent.read(&mut [0; 16])).await;
            assert!(matches!(closed.expect("the connection is still open"), Ok(0) | Err(_)));
            let mut page = Vec::new();
            let _ = timeout(Duration::from_secs(2), requesting.read_to_end(&mut page))
                .await
                .expect("the connection is still open");
        });
    }
    fn pending(redirect_uri: &str) -> PendingLogin {
        let client = Client::new(App::new("my-client-id")).unwrap();
        client.begin_browser_login(&AuthorizationRequest::new(redirect_uri)).unwrap().pending
    }
}

/// A second call does not send the code, after whichever poll the first one was dropped.
#[tokio::test]
async fn a_dropped_exchange_is_not_retried() {
    let emulator = Emulator::start().unwrap();
    // On a busy machine the response could be there at the first poll.
    emulator.fault(Operation::CodeExchange, Fault::Delay(Duration::from_millis(3)));
    let client = Client::new(app(emulator.base_url())).unwrap();
    let mut finished = 0;
    for polls in 1..60 {
        let mut login =
            client.begin_browser_login(&AuthorizationRequest::new("http://127.0.0.1:8400/callback")).unwrap();
        let callback = Callback::from_url(&emulator.authorize(&login.url).unwrap().url).unwrap();
        finished +=
            u32::from(polled(polls, client.complete_browser_login(&mut login.pending, &callback)).await.is_some());
        let error = client.complete_browser_login(&mut login.pending, &callback).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyCompleted);
        assert!(emulator.codes().last().unwrap().sent <= 1);
    }
    assert!((1..59).contains(&finished), "{finished} of 59");
    assert_eq!(emulator.counters().code_replays, 0);
}

/// Polls a future so many times at most. Returns its result, if it has one by then.
async fn polled<F: Future>(mut polls: usize, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    std::future::poll_fn(|context| {
        polls -= 1;
        match future.as_mut().poll(context) {
            std::task::Poll::Pending if polls > 0 => std::task::Poll::Pending,
            std::task::Poll::Pending => std::task::Poll::Ready(None),
            std::task::Poll::Ready(output) => std::task::Poll::Ready(Some(output)),
        }
    })
    .await
}

/// Whichever poll it is dropped after: its port is free, the browser is not left waiting, and no code is sent later.
#[tokio::test]
async fn a_dropped_login_leaves_nothing_running() {
    let emulator = Emulator::start().unwrap();
    let client = Client::new(app(emulator.base_url())).unwrap();
    let mut finished = 0;
    for polls in 1..60 {
        let receiver = LoopbackReceiver::bind(0, "/callback").unwrap();
        let redirect_uri = receiver.redirect_uri().to_owned();
        let request = AuthorizationRequest::new(&redirect_uri);
        let mut browser = None;
        let open = |url: &str| {
            let landing = emulator.authorize(url).unwrap();
            let (host, target) = parts(&landing.url);
            let (host, head) = (host.to_owned(), format!("GET {target} HTTP/1.1\r\n\r\n"));
            browser = Some(tokio::spawn(async move {
                // Refused if the login is dropped already.
                let Ok(mut stream) = TcpStream::connect(host).await else { return };
                for piece in [&head[..10], &head[10..]] {
                    let _ = stream.write_all(piece.as_bytes()).await;
                    sleep(Duration::from_millis(2)).await;
                }
                let _ = stream.read_to_end(&mut Vec::new()).await;
            }));
            Ok(())
        };
        let result = polled(polls, client.browser_login(receiver, &request, open)).await;
        finished += u32::from(result.is_some_and(|result| result.is_ok()));
        assert_free(&redirect_uri);
        timeout(Duration::from_secs(2), browser.unwrap()).await.expect("the browser is left waiting").unwrap();
        assert!(emulator.codes().last().unwrap().sent <= 1);
    }
    assert!((1..59).contains(&finished), "{finished} of 59");
    let exchanges =
        || emulator.requests().iter().filter(|request| request.operation == Some(Operation::CodeExchange)).count();
    let before = exchanges();
    sleep(Duration::from_millis(50)).await;
    assert_eq!(exchanges(), before);
}

/// On the same thread.
#[tokio::test]
async fn other_futures_run_during_the_wait() {
    let receiver = LoopbackReceiver::bind(0, "/callback").unwrap().timeout(Duration::from_millis(200));
    let client = Client::new(App::new("my-client-id")).unwrap();
    let mut login = client.begin_browser_login(&AuthorizationRequest::new(receiver.redirect_uri())).unwrap();
    let start = Instant::now();
    let mut ticks = 0;
    let others = async {
        loop {
            sleep(Duration::from_millis(5)).await;
            ticks += 1;
        }
    };
    let error = tokio::select! {
        received = receiver.receive(&mut login.pending) => received.unwrap_err(),
        () = others => unreachable!("an endless loop"),
    };
    assert_eq!(error.kind(), ErrorKind::Expired);
    assert!(ticks > 5, "{ticks} in {:?}", start.elapsed());
}
