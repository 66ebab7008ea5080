//! The client's futures: they are `Send`, stop when they are dropped, and can share a thread.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant, SystemTime};

use loginradius_async::jwt::JwtByAccessToken;
use loginradius_async::oauth::{DeviceGrant, RefreshAccessToken, RequestDeviceCode};
use loginradius_async::store::MemoryStore;
use loginradius_async::{App, Client, ClientBuilder, DeviceFlow, Error, Retry, Seed, Service, Sessions};
use loginradius_conformance::Server;
use loginradius_conformance::emulator::{Emulator, seeded};
use tokio::time::{sleep, timeout};

const fn assert_shared<T: Send + Sync + Clone + 'static>() {}
const fn assert_send<T: Send + 'static>() {}
const _: () = assert_shared::<Client>();
const _: () = assert_send::<ClientBuilder>();
const _: () = assert_shared::<Error>();

fn assert_future_send(_: &impl Send) {}

fn app(url: &str) -> App {
    App::new(seeded::CLIENT_ID)
        .with_client_secret(seeded::CLIENT_SECRET)
        .with_oauth_app(seeded::OAUTH_APP)
        .with_jwt_app(seeded::JWT_APP)
        .with_service(Service::classic_at(url).unwrap())
}

#[tokio::test]
async fn futures_are_send() {
    let client = Client::new(app("http://127.0.0.1:1")).unwrap();
    let operation = RefreshAccessToken::new("r");
    assert_future_send(&client.call(&operation));
    assert_future_send(&client.device_login(&RequestDeviceCode::new(), |_| Ok(())));
    let begun = async { client.begin_device_login(&RequestDeviceCode::new()).await?.wait().await };
    assert_future_send(&begun);
    assert_future_send(&async { client.run::<DeviceFlow>(unreachable()).await });
    let sessions = Sessions::new(&client, MemoryStore::new());
    assert_future_send(&sessions.sign_out_all("ada/"));
    assert_future_send(&sessions.purge(Duration::ZERO));
    fn unreachable() -> DeviceFlow {
        unreachable!("never polled")
    }
}

/// A program may wait for thousands of users at once.
#[tokio::test]
async fn a_future_that_waits_for_its_user_is_small() {
    let client = Client::new(app("http://127.0.0.1:1")).unwrap();
    let size = size_of_val(&client.device_login(&RequestDeviceCode::new(), |_| Ok(())));
    assert!(size <= 640, "`device_login` takes {size} B");
    let grant = DeviceGrant::new("af2a", "oP5lLq", "https://example.com/");
    let flow = DeviceFlow::new(client.app(), &grant, Instant::now(), Seed(42));
    let pending = flow.pending(Instant::now(), SystemTime::now());
    let size = size_of_val(&client.resume_device_login(&pending).wait());
    assert!(size <= 640, "`wait` takes {size} B");
}

/// It is closed at once, and nothing is sent again.
#[tokio::test]
async fn a_dropped_call_closes_its_connection() {
    let (seen, events) = mpsc::channel();
    let server = Server::start(move |peer| {
        if peer.request().is_some() {
            seen.send("request").unwrap();
            peer.wait();
            seen.send("closed").unwrap();
        }
    });
    let retry = Retry::default()
        .with_attempts(5)
        .with_first_wait(Duration::from_millis(10))
        .with_max_wait(Duration::from_millis(10));
    let client = Client::builder(app(&server.url())).retry(retry).build().unwrap();
    let operation = JwtByAccessToken::new("a");
    assert!(timeout(Duration::from_millis(100), client.call(&operation)).await.is_err());
    sleep(Duration::from_millis(60)).await;
    assert_eq!(events.try_iter().collect::<Vec<_>>(), ["request", "closed"]);
    assert_eq!((server.requests().len(), server.connections()), (1, 1));
}

#[tokio::test]
async fn a_call_that_is_dropped_between_attempts_is_not_retried() {
    let server = Server::start(|peer| drop(peer.request()));
    let retry = Retry::default()
        .with_attempts(5)
        .with_first_wait(Duration::from_millis(100))
        .with_max_wait(Duration::from_secs(1));
    let client = Client::builder(app(&server.url())).retry(retry).build().unwrap();
    let operation = JwtByAccessToken::new("a");
    assert!(timeout(Duration::from_millis(50), client.call(&operation)).await.is_err());
    sleep(Duration::from_millis(150)).await;
    assert_eq!(server.requests().len(), 1);
}

/// It stops at once, even while it waits for the response to a poll.
#[tokio::test]
async fn a_dropped_device_login_stops_polling() {
    let (seen, events) = mpsc::channel();
    let server = Server::start(move |peer| {
        while let Some(request) = peer.request() {
            if request.head.starts_with("POST /sso/oauth/demo-oauth-app/device ") {
                let body = r#"{"device_code":"d","user_code":"u","verification_uri":"https://a.b/","interval":1}"#;
                let response = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
                peer.send(response.as_bytes()).unwrap();
            } else {
                seen.send("poll").unwrap();
                peer.wait();
                seen.send("closed").unwrap();
            }
        }
    });
    let client = Client::new(app(&server.url())).unwrap();
    let prompts = AtomicUsize::new(0);
    let request = RequestDeviceCode::new();
    let login = client.device_login(&request, |_| {
        prompts.fetch_add(1, Ordering::SeqCst);
        Ok(())
    });
    assert!(timeout(Duration::from_millis(1150), login).await.is_err());
    sleep(Duration::from_millis(60)).await;
    assert_eq!(events.try_iter().collect::<Vec<_>>(), ["poll", "closed"]);
    assert_eq!((server.requests().len(), prompts.into_inner()), (2, 1));
}

#[tokio::test]
async fn two_device_logins_can_share_a_task() {
    let emulator =
        Emulator::builder().device_interval(Duration::ZERO).device_lifetime(Duration::from_secs(4)).start().unwrap();
    let client = Client::new(app(emulator.base_url())).unwrap();
    let start = Instant::now();
    let (email, profile) = (RequestDeviceCode::new().scope("email"), RequestDeviceCode::new().scope("profile"));
    let (one, other) = tokio::join!(
        client.device_login(&email, |grant| Ok(emulator.approve(&grant.user_code)?)),
        client.device_login(&profile, |grant| Ok(emulator.deny(&grant.user_code)?)),
    );
    assert!(emulator.is_live_access_token(one.unwrap().access_token.expose()));
    assert_eq!(other.unwrap_err().kind(), loginradius_async::ErrorKind::Denied);
    assert!(start.elapsed() < Duration::from_millis(1900), "one has waited for the other: {:?}", start.elapsed());
}

/// The first runtime ends before the second begins.
#[test]
fn a_client_can_be_used_on_several_runtimes() {
    let emulator = Emulator::start().unwrap();
    let client = Client::builder(app(emulator.base_url())).build().unwrap();
    for _ in 0..2 {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let error = runtime.block_on(client.call(&JwtByAccessToken::new("no-such-token"))).unwrap_err();
        assert!(error.api_error().is_some(), "{error:?}");
    }
}
