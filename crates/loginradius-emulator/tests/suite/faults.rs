//! Faults on demand.

use std::time::{Duration, Instant};

use loginradius_emulator::{Emulator, Fault, Operation, seeded};

use crate::http::{
    DEVICE_GRANT, ID, SECRET, assert_code, assert_oauth, device_code, host, poll, post, raw, refresh, send, tokens,
    try_post,
};

const DEVICE: &str = "/sso/oauth/demo-oauth-app/device";

/// Requests a device code, and returns the bytes of the response.
fn raw_device_code(emulator: &Emulator) -> String {
    let form = format!("client_id={}", seeded::CLIENT_ID);
    let request = format!(
        "POST {DEVICE} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
        host(emulator),
        form.len()
    );
    String::from_utf8(raw(emulator, &request)).unwrap()
}

/// Sends one request with a fault. Returns the bytes of the response and the number of device codes after it.
fn once(fault: Fault) -> (String, usize) {
    let emulator = Emulator::start().unwrap();
    emulator.fault_times(Operation::DeviceCode, fault.clone(), 1);
    let response = raw_device_code(&emulator);
    let recorded = emulator.requests().remove(0);
    assert_eq!(recorded.fault, Some(fault));
    let status = response.get(9..12).and_then(|status| status.parse().ok());
    assert_eq!(recorded.status, status);
    let acted = emulator.device_grants().len();
    // The fault applied once.
    assert!(raw_device_code(&emulator).starts_with("HTTP/1.1 200 OK\r\n"));
    (response, acted)
}

fn body(response: &str) -> &str {
    response.split_once("\r\n\r\n").expect("a head").1
}

fn length(response: &str) -> usize {
    let (_, rest) = response.split_once("content-length: ").expect("a length");
    rest.lines().next().unwrap().parse().unwrap()
}

#[test]
fn dropped_before_and_after_acting() {
    assert_eq!(once(Fault::DropBefore), (String::new(), 0));
    assert_eq!(once(Fault::DropAfter), (String::new(), 1));
}

#[test]
fn too_many_requests_with_and_without_a_time() {
    let (response, acted) = once(Fault::TooManyRequests { retry_after: None });
    assert!(response.starts_with("HTTP/1.1 429 "), "{response}");
    assert!(response.contains("content-type: text/plain"));
    assert!(!response.contains("retry-after"));
    assert_eq!((body(&response), acted), ("Too many requests", 0));
    let (response, _) = once(Fault::TooManyRequests { retry_after: Some(7) });
    assert!(response.contains("retry-after: 7\r\n"), "{response}");
}

#[test]
fn a_status_comes_with_a_page() {
    for number in [200, 403, 500, 502, 503] {
        let (response, acted) = once(Fault::Status(number));
        assert!(response.starts_with(&format!("HTTP/1.1 {number} ")), "{response}");
        assert!(response.contains("content-type: text/html"));
        assert!(body(&response).starts_with("<!DOCTYPE html>"));
        assert_eq!(acted, 0);
    }
}

#[test]
fn a_number_that_is_no_status_is_500() {
    let emulator = Emulator::start().unwrap();
    for number in [0, 101, 1000] {
        emulator.fault(Operation::DeviceCode, Fault::Status(number));
        assert!(raw_device_code(&emulator).starts_with("HTTP/1.1 500 "));
    }
}

#[test]
fn a_redirect_is_sent() {
    let (response, acted) = once(Fault::RedirectTo("http://127.0.0.1:9/elsewhere".into()));
    assert!(response.starts_with("HTTP/1.1 302 "), "{response}");
    assert!(response.contains("location: http://127.0.0.1:9/elsewhere\r\n"));
    assert_eq!(acted, 0);
}

#[test]
fn a_truncated_response_announces_more_than_it_sends() {
    let (response, acted) = once(Fault::Truncated);
    assert!(response.starts_with("HTTP/1.1 200 "), "{response}");
    let (sent, promised) = (body(&response).len(), length(&response));
    assert!(promised > 100 && sent == promised / 2, "{sent} of {promised}");
    assert_eq!(acted, 1);
    let emulator = Emulator::start().unwrap();
    emulator.fault(Operation::DeviceCode, Fault::Truncated);
    assert!(try_post(&emulator, DEVICE, &[ID]).is_err());
}

#[test]
fn an_oversized_response_is_as_long_as_requested() {
    let emulator = Emulator::start().unwrap();
    let size = 3_000_000;
    emulator.fault(Operation::DeviceCode, Fault::Oversized(size));
    let response = post(&emulator, DEVICE, &[ID]);
    assert_eq!((response.status, response.body.len()), (200, size));
    assert!(response.body.starts_with(r#"{"access_token":"aaa"#));
    assert_eq!(response.json()["access_token"].as_str().map(str::len), Some(size - 19));
    assert_eq!(emulator.device_grants(), []);
}

#[test]
fn an_oversized_response_can_be_left_unread() {
    let emulator = Emulator::start().unwrap();
    emulator.fault(Operation::DeviceCode, Fault::Oversized(usize::MAX));
    // The client has a limit of its own.
    assert!(try_post(&emulator, DEVICE, &[ID]).is_err());
}

#[test]
fn a_slow_response_is_complete_in_the_end() {
    let emulator = Emulator::start().unwrap();
    let code = device_code(&emulator).text("device_code");
    let pause = Duration::from_millis(1);
    emulator.fault(Operation::DeviceToken, Fault::SlowDrip { pause });
    let before = Instant::now();
    let response = poll(&emulator, &code);
    let bytes = u32::try_from(response.body.len()).unwrap();
    assert!(bytes > 50 && before.elapsed() >= pause * bytes);
    assert_oauth(&response, 400, "authorization_pending", "");
    assert_eq!(emulator.device_grants()[0].polls, 1);
}

#[test]
fn faults_apply_to_responses_without_a_body() {
    let emulator = Emulator::start().unwrap();
    let path = "/sso/oauth/refresh_token/revoke";
    let revoke = || {
        let token = tokens(&emulator).text("refresh_token");
        try_post(&emulator, path, &[ID, SECRET, ("refresh_token", &token)])
    };
    emulator.fault(Operation::Revoke, Fault::Truncated);
    assert!(revoke().is_err());
    let pause = Duration::from_millis(1);
    for fault in [
        Fault::SlowDrip { pause },
        Fault::WrongContentType,
        Fault::Status(204),
        Fault::Oversized(0),
        Fault::Respond { status: 200, headers: vec![("content-length".into(), "1000".into())], body: "{}".into() },
    ] {
        emulator.fault(Operation::Revoke, fault.clone());
        assert!(revoke().is_ok(), "{fault:?}");
    }
    assert_eq!(emulator.counters().revocations, 3);
}

#[test]
fn a_delayed_request_is_acted_upon_at_once() {
    let emulator = Emulator::builder().manual_clock().start().unwrap();
    let delay = Duration::from_millis(250);
    emulator.fault(Operation::DeviceCode, Fault::Delay(delay));
    let before = Instant::now();
    std::thread::scope(|scope| {
        let response = scope.spawn(|| post(&emulator, DEVICE, &[ID]));
        while emulator.device_grants().is_empty() {
            std::thread::yield_now();
        }
        assert!(!response.is_finished());
        assert_eq!(response.join().unwrap().status, 200);
    });
    assert!(before.elapsed() >= delay);
}

#[test]
fn empty_and_mislabelled_responses() {
    let (response, acted) = once(Fault::EmptyOk);
    assert!(response.starts_with("HTTP/1.1 200 "), "{response}");
    assert_eq!((body(&response), length(&response), acted), ("", 0, 0));
    let (response, acted) = once(Fault::WrongContentType);
    assert!(response.contains("content-type: text/html"), "{response}");
    assert!(body(&response).starts_with("{\"device_code\":"));
    assert_eq!(acted, 1);
}

#[test]
fn any_documented_response_can_be_sent() {
    let emulator = Emulator::start().unwrap();
    let vector = loginradius_vectors::named("error_lr_1194_data_with_access_token");
    let documented = vector.response.unwrap();
    let fault = Fault::Respond {
        status: documented.status,
        headers: vec![
            ("Date".into(), "Fri, 31 Dec 1999 23:59:59 GMT".into()),
            ("X-Extra".into(), "1".into()),
            ("bad name".into(), "x".into()),
            ("X-Bad".into(), "a\nb".into()),
        ],
        body: documented.body.to_string(),
    };
    emulator.fault(Operation::Password, fault);
    let fields = [ID, SECRET, ("grant_type", "password"), ("username", "ada"), ("password", "x")];
    let response = post(&emulator, "/sso/oauth/access_token", &fields);
    assert_code(&response, 403, 1194);
    assert_eq!(response.json(), documented.body);
    assert_eq!(response.header("date"), Some("Fri, 31 Dec 1999 23:59:59 GMT"));
    assert_eq!(response.header("x-extra"), Some("1"));
    assert_eq!(response.header("x-bad"), None);
}

#[test]
fn faults_queue_up_before_the_persistent_one_and_belong_to_one_operation() {
    let emulator = Emulator::start().unwrap();
    emulator.fault(Operation::DeviceCode, Fault::Status(503));
    emulator.fault_times(Operation::DeviceCode, Fault::None, 1);
    emulator.fault_times(Operation::DeviceCode, Fault::Status(500), 2);
    emulator.fault_times(Operation::DeviceCode, Fault::Status(501), 0);
    let statuses: Vec<_> = (0..6).map(|_| post(&emulator, DEVICE, &[ID]).status).collect();
    assert_eq!(statuses, [200, 500, 500, 503, 503, 503]);
    tokens(&emulator);
    emulator.clear_faults();
    assert_eq!(post(&emulator, DEVICE, &[ID]).status, 200);
}

#[test]
fn every_operation_has_its_own_faults() {
    let emulator = Emulator::start().unwrap();
    let grant = device_code(&emulator);
    let code = grant.text("device_code");
    emulator.fault_times(Operation::DeviceToken, Fault::Status(502), 2);
    assert_eq!(poll(&emulator, &code).status, 502);
    let fields = [ID, DEVICE_GRANT, ("device_code", code.as_str())];
    assert_eq!(post(&emulator, "/api/oauth/demo-oauth-app/token", &fields).status, 502);
    emulator.fault(Operation::CodeExchange, Fault::Status(502));
    let fields = [ID, SECRET, ("code", "x"), ("response_type", "token")];
    assert_eq!(post(&emulator, "/sso/oauth/access_token", &fields).status, 502);
    emulator.fault(Operation::Revoke, Fault::Status(502));
    let fields = [ID, SECRET, ("refresh_token", "x")];
    assert_eq!(post(&emulator, "/sso/oauth/refresh_token/revoke", &fields).status, 502);
    emulator.fault(Operation::JwtToken, Fault::Status(502));
    let url = |path| format!("{}{path}", emulator.base_url());
    assert_eq!(send("GET", &url("/sso/jwt/api/token"), &[], b"").unwrap().status, 502);
    emulator.fault(Operation::JwtLogin, Fault::Status(502));
    assert_eq!(send("POST", &url("/api/jwt/x/login"), &[], b"{}").unwrap().status, 502);
    emulator.fault(Operation::Profile, Fault::Status(502));
    assert_eq!(send("GET", &url("/identity/v2/auth/account"), &[], b"").unwrap().status, 502);
    emulator.fault(Operation::AddEmail, Fault::Status(502));
    assert_eq!(send("POST", &url("/identity/v2/auth/email"), &[], b"{}").unwrap().status, 502);
    assert_eq!(tokens(&emulator).status, 200);
}

#[test]
fn a_lost_refresh_consumes_its_token() {
    let emulator = Emulator::start().unwrap();
    let token = tokens(&emulator).text("refresh_token");
    emulator.fault_times(Operation::Refresh, Fault::DropAfter, 1);
    let fields = [ID, SECRET, ("grant_type", "refresh_token"), ("refresh_token", &token)];
    assert!(try_post(&emulator, "/sso/oauth/access_token/refresh", &fields).is_err());
    let login = &emulator.logins()[0];
    assert_eq!(login.rotations, 1);
    assert!(emulator.is_live_refresh_token(&login.refresh_token));
    assert_code(&refresh(&emulator, &token), 400, 2010);
    assert_eq!((emulator.replays(), emulator.live_logins()), (1, 0));
}
