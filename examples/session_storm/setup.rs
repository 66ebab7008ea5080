//! The app, the sessions and the tokens of every mode.

use loginradius_blocking::{App, Error, Service, TokenSet};
use loginradius_emulator::{TokenResponse, seeded};

/// Makes the app of the emulator at that address.
pub(crate) fn app(base_url: &str) -> Result<App, Error> {
    Ok(App::new(seeded::CLIENT_ID)
        .with_client_secret(seeded::CLIENT_SECRET)
        .with_jwt_app(seeded::JWT_APP)
        .with_service(Service::classic_at(base_url)?))
}

/// Makes the tokens of a login at the emulator.
pub(crate) fn token_set(response: TokenResponse) -> TokenSet {
    let mut tokens = TokenSet::new(response.access_token);
    tokens.refresh_token = response.refresh_token.map(Into::into);
    tokens.expires_in = Some(response.expires_in);
    tokens
}

pub(crate) fn session_name(number: usize) -> String {
    format!("user-{number}")
}
