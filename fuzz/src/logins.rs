//! The app, the random bytes and the time that all logins through a browser share here.

use std::time::{Duration, SystemTime};

use loginradius_proto::App;
use loginradius_proto::browser::RandomBytes;

/// The bytes 0 to 31 in base64url: the state of every login.
pub const STATE: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

/// The bytes 64 to 95 in base64url: the nonce of every login.
pub const NONCE: &str = "QEFCQ0RFRkdISUpLTE1OT1BRUlNUVVZXWFlaW1xdXl8";

/// The bytes 32 to 63 in base64url: the code verifier of every login.
pub const VERIFIER: &str = "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8";

pub fn app() -> App {
    App::new("client").with_oauth_app("oauth-app").with_jwt_app("jwt-app")
}

pub fn random() -> RandomBytes {
    RandomBytes::new(std::array::from_fn(|at| at as u8)).expect("no two are the same")
}

pub fn start() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000)
}
