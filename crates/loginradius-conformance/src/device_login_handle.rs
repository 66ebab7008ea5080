//! A device login in two steps: its grant, its progress, its end before the user's decision, and its continuation.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use loginradius_emulator::{Emulator, Fault, Operation};
use loginradius_proto::oauth::RequestDeviceCode;
use loginradius_proto::{Api, DeviceProgress, ErrorKind, PendingDevice};

use crate::adapter::{Adapter, DeviceLogin, Settings};
use crate::cases::cases;
use crate::matrix::app;

struct Setup<A> {
    emulator: Arc<Emulator>,
    client: A,
}

impl<A: Adapter> Setup<A> {
    /// With codes that are polled for every second.
    fn new(lifetime: u64) -> Self {
        let emulator =
            Emulator::builder().device_interval(Duration::ZERO).device_lifetime(Duration::from_secs(lifetime));
        let emulator = Arc::new(emulator.start().unwrap());
        let client = A::new(app(&emulator, Api::Classic), &Settings::default()).unwrap();
        Self { emulator, client }
    }

    fn polls(&self) -> usize {
        self.emulator.requests().iter().filter(|request| request.operation == Some(Operation::DeviceToken)).count()
    }
}

fn the_user_decides_while_the_program_waits<A: Adapter>() {
    let setup = Setup::<A>::new(60);
    let login = setup.client.begin_device_login(&RequestDeviceCode::new().scope("email")).unwrap();
    let code = login.grant().user_code.clone();
    assert_eq!(setup.emulator.device_grants()[0].user_code, code);
    assert_eq!(setup.polls(), 0);

    setup.emulator.fault_times(Operation::DeviceToken, Fault::Status(502), 1);
    let (emulator, seen) = (Arc::clone(&setup.emulator), Arc::new(Mutex::new(Vec::new())));
    let progress = Arc::clone(&seen);
    let tokens = login
        .wait(move |step| {
            let word = match step {
                DeviceProgress::Pending => {
                    emulator.approve(&code).unwrap();
                    "pending".to_owned()
                }
                DeviceProgress::SlowedDown { .. } => "slowed down".to_owned(),
                DeviceProgress::Retrying { error, .. } => error.kind().to_string(),
                other => panic!("{other:?}"),
            };
            progress.lock().unwrap().push(word);
        })
        .unwrap();
    assert!(setup.emulator.is_live_access_token(tokens.access_token.expose()));
    assert!(tokens.requested_at.is_some());
    assert_eq!(*seen.lock().unwrap(), ["unavailable", "pending"]);
}

fn a_prompt_that_fails_cancels_the_login<A: Adapter>() {
    let setup = Setup::<A>::new(60);
    let error = setup.client.device_login(&RequestDeviceCode::new(), |_| Err("the display is unplugged".into()));
    let error = error.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "the display is unplugged");
    assert_eq!(setup.polls(), 0);
}

fn without_time_nothing_is_sent<A: Adapter>() {
    let setup = Setup::<A>::new(60);
    let error = setup.client.within(Duration::ZERO).begin_device_login(&RequestDeviceCode::new());
    let error = error.err().expect("there is no time");
    assert_eq!((error.kind(), error.operation()), (ErrorKind::DeadlineExceeded, Some("Request Device Code")));
    assert!(setup.emulator.requests().is_empty());
}

/// The client's own time is for the request of the code, not for the user.
fn a_clients_time_does_not_limit_the_users<A: Adapter>() {
    let setup = Setup::<A>::new(60);
    let client = setup.client.within(Duration::from_millis(800));
    let login = client.begin_device_login(&RequestDeviceCode::new()).unwrap();
    setup.emulator.approve(&login.grant().user_code).unwrap();
    login.wait(|_| ()).unwrap();

    // A whole login is one operation.
    let error = client.device_login(&RequestDeviceCode::new(), |_| Ok(())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DeadlineExceeded, "{error:?}");
}

/// The code lives on, and another client, perhaps in another process, continues with it.
fn a_login_whose_time_is_over_can_be_resumed<A: Adapter>() {
    let setup = Setup::<A>::new(60);
    let start = Instant::now();
    let login = setup.client.begin_device_login(&RequestDeviceCode::new()).unwrap();
    let (code, stored) = (login.grant().user_code.clone(), login.pending().to_json());
    let error = login.within(Duration::from_millis(1500)).wait(|_| ()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DeadlineExceeded, "{error:?}");
    assert!(start.elapsed() >= Duration::from_millis(1500));
    assert!(error.is_transient() && !error.requires_login());

    setup.emulator.approve(&code).unwrap();
    let login = setup.client.resume_device_login(&PendingDevice::from_json(&stored).unwrap());
    assert_eq!(login.grant().user_code, code);
    let tokens = login.wait(|_| ()).unwrap();
    assert!(setup.emulator.is_live_access_token(tokens.access_token.expose()));
}

/// How long the responses take counts from the attempt that succeeded: a wait of two seconds has time for polls.
fn a_lost_request_for_the_code_delays_no_poll<A: Adapter>() {
    let setup = Setup::<A>::new(60);
    let settings = Settings { timeout: Duration::from_secs(2), ..Settings::attempts(2) };
    let client = A::new(app(&setup.emulator, Api::Classic), &settings).unwrap();
    setup.emulator.fault_times(Operation::DeviceCode, Fault::Delay(Duration::from_secs(4)), 1);
    let login = client.begin_device_login(&RequestDeviceCode::new()).unwrap();
    setup.emulator.approve(&login.grant().user_code).unwrap();
    login.within(Duration::from_secs(3)).wait(|_| ()).unwrap();
}

/// With responses as slow as that of the code, a poll's could come after the deadline.
fn a_slow_response_with_the_code_counts_for_the_polls<A: Adapter>() {
    let setup = Setup::<A>::new(60);
    setup.emulator.fault_times(Operation::DeviceCode, Fault::Delay(Duration::from_millis(600)), 1);
    let login = setup.client.begin_device_login(&RequestDeviceCode::new()).unwrap();
    let error = login.within(Duration::from_secs(2)).wait(|_| ()).unwrap_err();
    assert_eq!((error.kind(), setup.polls()), (ErrorKind::DeadlineExceeded, 0), "{error:?}");
}

/// A whole login has one deadline, and the prompt's time counts.
fn a_slow_prompt_takes_its_time_from_the_wait<A: Adapter>() {
    let setup = Setup::<A>::new(60);
    let client = setup.client.within(Duration::from_millis(1500));
    let start = Instant::now();
    let error = client.device_login(&RequestDeviceCode::new(), |_| {
        std::thread::sleep(Duration::from_millis(1500));
        Ok(())
    });
    assert_eq!(error.unwrap_err().kind(), ErrorKind::DeadlineExceeded);
    assert_eq!(setup.polls(), 0, "{:?}", start.elapsed());
}

cases!(($) device_login_handle device_login_handle_cases {
    the_user_decides_while_the_program_waits,
    a_prompt_that_fails_cancels_the_login,
    without_time_nothing_is_sent,
    a_clients_time_does_not_limit_the_users,
    a_login_whose_time_is_over_can_be_resumed,
    a_lost_request_for_the_code_delays_no_poll,
    a_slow_response_with_the_code_counts_for_the_polls,
    a_slow_prompt_takes_its_time_from_the_wait,
});
