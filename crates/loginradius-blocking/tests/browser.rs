//! Receivers and their cancellers, on threads.

use std::net::{Ipv4Addr, TcpListener};
use std::thread;
use std::time::{Duration, Instant};

use loginradius_blocking::browser::{AuthorizationRequest, PendingLogin};
use loginradius_blocking::{App, Canceller, Client, ErrorKind, LoopbackReceiver, Service};
use loginradius_conformance::emulator::{Emulator, seeded};

const fn assert_send<T: Send + 'static>() {}
const fn assert_shared<T: Send + Sync + Clone + 'static>() {}
const _: () = assert_send::<LoopbackReceiver>();
const _: () = assert_shared::<Canceller>();

/// The longest time that the fastest of several attempts may take.
const MAX_BEST: Duration = Duration::from_millis(100);
/// The longest time that any attempt may take, on a busy machine.
const MAX_ANY: Duration = Duration::from_secs(2);

fn pending(receiver: &LoopbackReceiver) -> PendingLogin {
    let client = Client::new(App::new("my-client-id")).unwrap();
    client.begin_browser_login(&AuthorizationRequest::new(receiver.redirect_uri())).unwrap().pending
}

#[test]
fn another_thread_can_cancel_the_wait() {
    let mut best = Duration::MAX;
    for _ in 0..5 {
        let receiver = LoopbackReceiver::bind(0, "/callback").unwrap();
        let mut pending = pending(&receiver);
        let canceller = receiver.canceller();
        let cancelling = thread::spawn(move || {
            thread::sleep(Duration::from_millis(50));
            canceller.clone().cancel();
            Instant::now()
        });
        let error = receiver.receive(&mut pending).unwrap_err();
        let ended = Instant::now();
        assert_eq!(error.kind(), ErrorKind::Cancelled);
        let delay = ended.saturating_duration_since(cancelling.join().unwrap());
        assert!(delay < MAX_ANY, "{delay:?}");
        best = best.min(delay);
    }
    assert!(best < MAX_BEST, "{best:?}");
}

#[test]
fn a_receiver_may_be_cancelled_before_it_waits() {
    let receiver = LoopbackReceiver::bind(0, "/callback").unwrap();
    let port: u16 = receiver.redirect_uri().split([':', '/']).nth(4).unwrap().parse().unwrap();
    let mut pending = pending(&receiver);
    let canceller = receiver.canceller();
    canceller.cancel();
    let start = Instant::now();
    assert_eq!(receiver.receive(&mut pending).unwrap_err().kind(), ErrorKind::Cancelled);
    assert!(start.elapsed() < MAX_ANY);
    drop(TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("the port is free"));
    // There is no receiver any more, and that is no error.
    canceller.cancel();
}

#[test]
fn a_canceller_ends_its_own_receiver_only() {
    let [one, other] = [(); 2].map(|()| LoopbackReceiver::bind(0, "/callback").unwrap());
    let (mut pending_one, mut pending_other) = (pending(&one), pending(&other));
    one.canceller().cancel();
    assert_eq!(one.receive(&mut pending_one).unwrap_err().kind(), ErrorKind::Cancelled);
    let error = other.timeout(Duration::from_millis(50)).receive(&mut pending_other).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Expired);
}

/// While the browser is at LoginRadius's page.
#[test]
fn an_open_login_can_be_cancelled() {
    let emulator = Emulator::start().unwrap();
    let app = App::new(seeded::CLIENT_ID).with_service(Service::classic_at(emulator.base_url()).unwrap());
    let receiver = LoopbackReceiver::bind(0, "/callback").unwrap();
    let request = AuthorizationRequest::new(receiver.redirect_uri());
    let canceller = receiver.canceller();
    let result = Client::new(app).unwrap().browser_login(receiver, &request, |_| {
        canceller.cancel();
        Ok(())
    });
    assert_eq!(result.unwrap_err().kind(), ErrorKind::Cancelled);
    assert!(emulator.requests().is_empty());
}
