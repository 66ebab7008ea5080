//! The settings that a client builder accepts and refuses.

use loginradius_proto::ErrorKind;

use crate::adapter::{Adapter, Settings};
use crate::cases::cases;
use crate::operations::{Operation, REFUSED, app, success};
use crate::server::{Server, json};

fn unusable_settings_are_refused<A: Adapter>() {
    let refused = |settings| A::new(app(REFUSED), &settings).unwrap_err();
    let default = Settings::default;
    for error in [
        refused(Settings { root_certificates: Some("no PEM".to_owned()), ..default() }),
        refused(Settings { root_certificates: Some(String::new()), ..default() }),
        refused(Settings { proxy: Some("no URL".to_owned()), ..default() }),
        refused(Settings { user_agent: Some("a\nb".to_owned()), ..default() }),
    ] {
        assert_eq!(error.kind(), ErrorKind::Configuration, "{error:?}");
    }
}

/// With its version.
fn the_default_user_agent_names_the_adapter<A: Adapter>() {
    let server = Server::responding(|_| json("200 OK", &success()));
    (Operation::<A>::refresh().call)(&A::new(app(&server.url()), &Settings::default()).unwrap()).unwrap();
    let head = server.requests()[0].head.to_ascii_lowercase();
    assert!(head.contains("\r\nuser-agent: loginradius-"), "{head}");
    assert!(head.contains(concat!("/", env!("CARGO_PKG_VERSION"), "\r\n")), "{head}");
}

cases!(($) settings settings_cases {
    unusable_settings_are_refused,
    the_default_user_agent_names_the_adapter,
});
