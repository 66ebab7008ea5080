//! A timeout means *not sent* for as long as nothing was written.

use std::time::Duration;

use loginradius_blocking::oauth::RefreshAccessToken;
use loginradius_blocking::{App, Client, ErrorKind, Retry, Service};
use loginradius_conformance::Server;

#[test]
fn a_timeout_before_anything_is_written_means_not_sent() {
    let server = Server::start(|peer| {
        peer.request();
        peer.wait();
    });
    let app = App::new("my-client-id")
        .with_oauth_app("my-oauth-app")
        .with_service(Service::classic_at(&server.url()).unwrap());
    let kind_after = |timeout| {
        let client = Client::builder(app.clone()).timeout(timeout).retry(Retry::OFF).build().unwrap();
        client.call(&RefreshAccessToken::new("refresh")).unwrap_err().kind()
    };
    assert_eq!(kind_after(Duration::from_nanos(1)), ErrorKind::NotSent);
    assert_eq!(server.requests().len(), 0);
    assert_eq!(kind_after(Duration::from_millis(200)), ErrorKind::OutcomeUnknown);
    assert_eq!(kind_after(Duration::from_nanos(1)), ErrorKind::NotSent);
    assert_eq!(server.requests().len(), 1);
}
