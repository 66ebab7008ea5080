//! Device logins that the user, the time or the server ends.

use std::time::Duration;

use loginradius_conformance::{Adapter, DeviceLogin as _, Settings, secrets};
use loginradius_emulator::{Builder, Emulator, Fault, Operation};
use loginradius_proto::oauth::{RequestDeviceCode, RequestTokens};
use loginradius_proto::{Error, PendingDevice};

use crate::case::{Case, REFUSED, app, case};
use crate::logins::client_of;

/// Begins a device login at an emulator that wants no time between two polls, and waits until it ends.
fn login<A: Adapter>(
    configure: impl FnOnce(Builder) -> Builder,
    act: impl FnOnce(&Emulator, &str),
    time: Option<Duration>,
) -> Error {
    let emulator = configure(Emulator::builder().device_interval(Duration::ZERO)).start().unwrap();
    let login = client_of::<A>(&emulator).begin_device_login(&RequestDeviceCode::new()).unwrap();
    act(&emulator, &login.grant().user_code);
    let login = match time {
        Some(time) => login.within(time),
        None => login,
    };
    login.wait(|_| ()).unwrap_err()
}

fn same(builder: Builder) -> Builder {
    builder
}

/// A server's refusal of each poll.
fn refusal(body: &str) -> Fault {
    Fault::Respond { status: 400, headers: Vec::new(), body: body.to_owned() }
}

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case!("the user denies the device", <A> {
            login::<A>(same, |emulator, code| emulator.deny(code).unwrap(), None)
        }),
        case!("the device code expires before the user has come", <A> {
            login::<A>(|builder| builder.device_lifetime(Duration::from_secs(2)), |_, _| (), None)
        }),
        case!("the server says that the device code has expired", <A> {
            login::<A>(same, |emulator, _| emulator.advance(Duration::from_secs(3600)), None)
        }),
        case!("the device code expires while the server is out of order", <A> {
            let fail = |emulator: &Emulator, _: &str| emulator.fault(Operation::DeviceToken, Fault::Status(503));
            login::<A>(|builder| builder.device_lifetime(Duration::from_secs(2)), fail, None)
        }),
        case!("the user does not come before the program's deadline", <A> {
            login::<A>(same, |_, _| (), Some(Duration::from_millis(1500)))
        }),
        case!("the server says slow_down for ever", <A> {
            let slow_down = |emulator: &Emulator, _: &str| {
                emulator.fault(Operation::DeviceToken, refusal(r#"{"error":"slow_down"}"#));
            };
            login::<A>(same, slow_down, Some(Duration::from_millis(1500)))
        }),
        case!("the server stops to know the client while the device waits", <A> {
            let forget = |emulator: &Emulator, _: &str| {
                emulator.fault(Operation::DeviceToken, refusal(r#"{"error":"invalid_client"}"#));
            };
            login::<A>(same, forget, None)
        }),
        case!("a response to a poll is lost, and the device code is consumed", <A> {
            let lose = |emulator: &Emulator, code: &str| {
                emulator.approve(code).unwrap();
                emulator.fault_times(Operation::DeviceToken, Fault::DropAfter, 1);
            };
            login::<A>(same, lose, None)
        }),
        case!("a single poll before the user has come", <A> {
            let emulator = Emulator::start().unwrap();
            let client = client_of::<A>(&emulator);
            let grant = client.call(&RequestDeviceCode::new()).unwrap();
            client.call(&RequestTokens::new(grant.device_code.expose())).unwrap_err()
        }),
        case!("the code cannot be shown to the user", <A> {
            let emulator = Emulator::start().unwrap();
            let no_display = |_: &_| Err("the display is off".into());
            client_of::<A>(&emulator).device_login(&RequestDeviceCode::new(), no_display).unwrap_err()
        }),
        case!("LoginRadius cannot be reached for a device code", <A> {
            let client = A::new(app(REFUSED), &Settings::attempts(2)).unwrap();
            client.begin_device_login(&RequestDeviceCode::new()).map(drop).unwrap_err()
        }),
        case!("a stored device login that was cut off", {
            PendingDevice::from_json(&format!(r#"{{"version":1,"device_code":"{}"#, secrets::DEVICE_CODE)).unwrap_err()
        }),
        case!("a stored device login of a newer version", {
            let emulator = Emulator::start().unwrap();
            let login = client_of::<crate::blocking::Blocking>(&emulator);
            let login = login.begin_device_login(&RequestDeviceCode::new()).unwrap();
            let json = login.pending().to_json();
            assert!(json.contains(r#""version":1"#), "{json}");
            PendingDevice::from_json(&json.replace(r#""version":1"#, r#""version":9"#)).unwrap_err()
        }),
        case!("a device login is cancelled", {
            let emulator = Emulator::start().unwrap();
            let client = loginradius_blocking::Client::new(crate::logins::app_at(&emulator)).unwrap();
            let login = client.begin_device_login(&RequestDeviceCode::new()).unwrap();
            let canceller = login.canceller();
            std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(100));
                canceller.cancel();
            });
            login.wait().unwrap_err()
        }),
    ]
}
