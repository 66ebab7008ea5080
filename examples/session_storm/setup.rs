//! The app, the sessions and the tokens of every mode.

use loginradius_blocking::{App, Error, Service, TokenSet};
use loginradius_emulator::{TokenResponse, seeded};

/// The app of the emulator at that address.
pub(crate) fn app(base_url: &str) -> Result<App, Error> {
    Ok(App::new(seeded::CLIENT_ID)
        .with_client_secret(seeded::CLIENT_SECRET)
        .with_jwt_app(seeded::JWT_APP)
        .with_service(Service::classic_at(base_url)?))
}

/// A sign-in at the emulator as the library has it.
pub(crate) fn token_set(answer: TokenResponse) -> TokenSet {
    let mut tokens = TokenSet::new(answer.access_token);
    tokens.refresh_token = answer.refresh_token.map(Into::into);
    tokens.expires_in = Some(answer.expires_in);
    tokens
}

pub(crate) fn session_name(number: usize) -> String {
    format!("user-{number}")
}
