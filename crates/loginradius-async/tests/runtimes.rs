//! The client on every kind of tokio runtime, and on several.

use std::time::{Duration, Instant};

use loginradius_async::http::Request;
use loginradius_async::jwt::JwtByAccessToken;
use loginradius_async::oauth::RefreshAccessToken;
use loginradius_async::{App, Body, Client, ErrorKind, Retry, SendOptions, Service};
use loginradius_conformance::emulator::Emulator;
use loginradius_conformance::{Flood, Server};
use tokio::runtime::{Builder, Runtime};

const TIMEOUT: Duration = Duration::from_millis(1500);
/// By how much a call may exceed its timeout.
const LATE: Duration = Duration::from_secs(2);

fn runtimes() -> [(&'static str, Runtime); 3] {
    [
        ("current thread", Builder::new_current_thread().enable_all().build().unwrap()),
        ("one worker", Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()),
        ("two workers", Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()),
    ]
}

fn client(url: &str) -> Client {
    let app = App::new("client").with_client_secret("secret").with_jwt_app("jwt");
    let app = app.with_service(Service::classic_at(url).unwrap());
    Client::builder(app).timeout(TIMEOUT).retry(Retry::OFF).build().unwrap()
}

/// hyper reads on as long as bytes come. The request's timer and all other tasks of the program must run all the same.
#[test]
fn a_flood_holds_up_nothing_on_the_callers_runtime() {
    for (kind, runtime) in runtimes() {
        for flood in Flood::ALL.into_iter().filter(|flood| ["103", "chunk size"].contains(&flood.name)) {
            let server = flood.server();
            let (elapsed, longest_pause, error) = runtime.block_on(async {
                let client = client(&server.url());
                let start = Instant::now();
                let mut longest_pause = Duration::ZERO;
                let error = {
                    let refresh = RefreshAccessToken::new("r");
                    let mut call = std::pin::pin!(client.call(&refresh));
                    let mut tick = tokio::time::interval(Duration::from_millis(10));
                    let mut last_tick = Instant::now();
                    loop {
                        tokio::select! {
                            result = &mut call => break result.unwrap_err(),
                            _ = tick.tick() => {
                                longest_pause = longest_pause.max(last_tick.elapsed());
                                last_tick = Instant::now();
                            }
                        }
                    }
                };
                (start.elapsed(), longest_pause, error)
            });
            println!(
                "{kind:14} {:12} {elapsed:>10.3?}, longest pause {longest_pause:>10.3?}, {:>7} KiB written",
                flood.name,
                server.written() >> 10
            );
            assert_eq!(error.kind(), ErrorKind::OutcomeUnknown, "{error:?}");
            assert!(elapsed < TIMEOUT + LATE, "{kind}, {}: {elapsed:?}", flood.name);
            assert!(longest_pause < LATE, "{kind}, {}: {longest_pause:?}", flood.name);
        }
    }
}

/// A connection belongs to none of the program's runtimes.
#[test]
fn a_client_works_on_several_runtimes_while_others_are_idle() {
    let server = Server::responding(|_| b"HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n{\"signature\":\"s\"}".to_vec());
    let client = client(&server.url());
    let runtimes = runtimes();
    for round in 0..2 {
        for (kind, runtime) in &runtimes {
            let start = Instant::now();
            let result = runtime.block_on(client.call(&JwtByAccessToken::new("a")));
            result.unwrap_or_else(|error| panic!("{kind}, round {round}: {error:?}"));
            assert!(start.elapsed() < Duration::from_secs(1), "{kind}, round {round}: {:?}", start.elapsed());
        }
    }
    assert_eq!(server.connections(), 1);
    drop(runtimes);
    Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(client.call(&JwtByAccessToken::new("a")))
        .unwrap();
    assert_eq!(server.connections(), 1);
}

/// Timeouts that overflow an instant.
#[test]
fn the_longest_timeouts_panic_nowhere() {
    let emulator = Emulator::start().unwrap();
    let url = emulator.base_url().to_owned();
    let app = App::new("client").with_service(Service::classic_at(&url).unwrap());
    let client = Client::builder(app).timeout(Duration::MAX).connect_timeout(Duration::MAX).build().unwrap();
    let request = Request::get(format!("{url}/nowhere")).body(Body::empty()).unwrap();
    let (mut deadline, mut step) = (Instant::now(), Duration::MAX);
    while !step.is_zero() {
        match deadline.checked_add(step) {
            Some(later) => deadline = later,
            None => step /= 2,
        }
    }
    for (kind, runtime) in runtimes() {
        let sent = runtime.block_on(client.send(request.clone(), SendOptions::new(deadline)));
        assert!(sent.is_ok(), "{kind}: {sent:?}");
    }
}

/// Neither on the program's runtime nor on its own.
#[test]
fn a_client_can_be_dropped_anywhere() {
    let server = Server::responding(|_| b"HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n{\"signature\":\"s\"}".to_vec());
    for (_, runtime) in runtimes() {
        runtime.block_on(async {
            drop(client(&server.url()));
            let used = client(&server.url());
            used.call(&JwtByAccessToken::new("a")).await.unwrap();
            drop(used);
            let task = tokio::spawn(async move { drop(client("http://127.0.0.1:1")) });
            task.await.unwrap();
        });
    }
    let used = client(&server.url());
    for (_, runtime) in runtimes() {
        runtime.block_on(used.call(&JwtByAccessToken::new("a"))).unwrap();
    }
    drop(used);
}
