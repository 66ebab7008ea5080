//! Shows that the features are on. Otherwise the other tests of this package would prove nothing.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::thread;

/// Serves two requests; sets a cookie in the first response, and returns the head of the second request.
fn server() -> (String, thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let requests = thread::spawn(move || {
        let mut head = String::new();
        for _ in 0..2 {
            let (mut stream, _) = listener.accept().unwrap();
            let mut bytes = [0; 4096];
            let length = stream.read(&mut bytes).unwrap();
            head = String::from_utf8_lossy(&bytes[..length]).into_owned();
            stream
                .write_all(b"HTTP/1.1 200 OK\r\nset-cookie: a=b\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
                .unwrap();
        }
        head
    });
    (url, requests)
}

#[test]
fn a_default_agent_of_ureq_keeps_cookies() {
    let (url, requests) = server();
    let agent = ureq::Agent::new_with_defaults();
    for _ in 0..2 {
        agent.get(&url).call().unwrap();
    }
    assert!(requests.join().unwrap().contains("cookie: a=b"));
}

#[test]
fn serde_json_keeps_every_digit() {
    let number = "123456789012345678901234567890.5";
    assert_eq!(serde_json::from_str::<serde_json::Value>(number).unwrap().to_string(), number);
}
