//! The crypto provider of a program that has installed none. A test binary of its own: a provider is installed for a
//! whole process.

use loginradius_blocking::{App, Client, Error, ErrorKind, Service};
use ureq::Agent;

const HAS_RING: bool = cfg!(feature = "ring");
const HAS_ANY: bool = HAS_RING || cfg!(feature = "aws-lc-rs");

fn check(result: Result<Client, Error>, is_built: bool) {
    match result {
        Ok(_) => assert!(is_built, "it has no crypto provider"),
        Err(error) => {
            assert!(!is_built, "{error}");
            assert_eq!(error.kind(), ErrorKind::Configuration);
            assert!(error.to_string().contains("feature `ring`"), "{error}");
        }
    }
}

#[test]
fn a_client_without_a_crypto_provider_is_not_built() {
    check(Client::new(App::new("my-client-id")), HAS_ANY);
}

/// ureq would panic at the first handshake.
#[test]
fn an_agent_without_a_crypto_provider_is_refused() {
    let build = |app| Client::builder(app).unmanaged_agent(Agent::new_with_defaults()).build();
    check(build(App::new("my-client-id")), HAS_RING);
    let emulator = Service::classic_at("http://127.0.0.1:8710").unwrap();
    check(build(App::new("my-client-id").with_service(emulator)), true);
}
