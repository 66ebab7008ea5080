//! Device logins that another thread cancels.

use std::thread;
use std::time::{Duration, Instant};

use loginradius_blocking::oauth::RequestDeviceCode;
use loginradius_blocking::{App, Client, ErrorKind, Service};
use loginradius_conformance::emulator::{Emulator, Fault, Operation, seeded};

/// With codes that are polled for every minute: without a canceller, a wait would take that long.
fn setup() -> (Emulator, Client) {
    let emulator = Emulator::builder().device_interval(Duration::from_secs(60)).start().unwrap();
    let app = App::new(seeded::CLIENT_ID)
        .with_oauth_app(seeded::OAUTH_APP)
        .with_service(Service::classic_at(emulator.base_url()).unwrap());
    (emulator, Client::new(app).unwrap())
}

#[test]
fn a_login_that_is_cancelled_before_its_wait_is_not_polled_for() {
    let (emulator, client) = setup();
    let login = client.begin_device_login(&RequestDeviceCode::new()).unwrap();
    let canceller = login.canceller();
    canceller.cancel();
    canceller.cancel();
    assert_eq!(login.wait().unwrap_err().kind(), ErrorKind::Cancelled);
    assert_eq!(emulator.requests().len(), 1, "the code, and no poll");
}

/// The grant yields its tokens once, so they must not be dropped.
#[test]
fn tokens_that_arrive_during_a_cancel_are_returned() {
    let emulator = Emulator::builder().device_interval(Duration::ZERO).start().unwrap();
    let app = App::new(seeded::CLIENT_ID)
        .with_oauth_app(seeded::OAUTH_APP)
        .with_service(Service::classic_at(emulator.base_url()).unwrap());
    let login = Client::new(app).unwrap().begin_device_login(&RequestDeviceCode::new()).unwrap();
    emulator.approve(&login.grant().user_code).unwrap();
    emulator.fault(Operation::DeviceToken, Fault::Delay(Duration::from_millis(500)));
    let canceller = login.canceller();
    let waiting = thread::spawn(move || login.wait());
    while emulator.requests().len() < 2 {
        thread::sleep(Duration::from_millis(5));
    }
    canceller.cancel();
    let tokens = waiting.join().unwrap().unwrap();
    assert!(emulator.is_live_access_token(tokens.access_token.expose()));
}

#[test]
fn a_cancel_ends_the_wait_between_two_polls() {
    let (emulator, client) = setup();
    let login = client.begin_device_login(&RequestDeviceCode::new()).unwrap();
    let pending = login.pending();
    let canceller = login.canceller();
    let start = Instant::now();
    let waiting = thread::spawn(move || login.wait());
    thread::sleep(Duration::from_millis(50));
    canceller.cancel();
    assert_eq!(waiting.join().unwrap().unwrap_err().kind(), ErrorKind::Cancelled);
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    assert_eq!(emulator.requests().len(), 1);

    // The code is still valid, for another wait.
    let login = client.resume_device_login(&pending);
    assert_eq!(login.grant().user_code, pending.grant().user_code);
    login.canceller().cancel();
    assert_eq!(login.wait().unwrap_err().kind(), ErrorKind::Cancelled, "each login has a canceller of its own");
}
