//! One client in many threads.

use std::thread;

use loginradius_blocking::oauth::RefreshAccessToken;
use loginradius_blocking::{App, Client, ClientBuilder, Error, Service};
use loginradius_conformance::Server;

const fn assert_shared<T: Send + Sync + Clone + 'static>() {}
const fn assert_send<T: Send + 'static>() {}
const _: () = assert_shared::<Client>();
const _: () = assert_send::<ClientBuilder>();
const _: () = assert_shared::<Error>();

#[test]
fn clones_in_many_threads_get_their_own_responses() {
    let server = Server::responding(|request| {
        let length = request.body.len();
        let body = format!(r#"{{"access_token":"{}"}}"#, String::from_utf8_lossy(&request.body));
        assert!(length > 0);
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
    });
    let app = App::new("my-client-id").with_service(Service::classic_at(&server.url()).unwrap());
    let client = Client::new(app).unwrap();
    thread::scope(|scope| {
        for number in 0..16 {
            let client = client.clone();
            scope.spawn(move || {
                let sent = format!("refresh-{number}-");
                let tokens = client.call(&RefreshAccessToken::new(sent.as_str())).unwrap();
                assert!(tokens.access_token.expose().contains(&sent), "another thread's response");
            });
        }
    });
    assert_eq!(server.requests().len(), 16);
}
