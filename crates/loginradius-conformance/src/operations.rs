//! The ten operations with fixed arguments, for cases that concern all of them.

use loginradius_proto::jwt::{JwtByAccessToken, JwtLogin};
use loginradius_proto::oauth::{
    AccessTokenByCode, AccessTokenByPassword, RefreshAccessToken, RequestDeviceCode, RequestTokens, RevokeRefreshToken,
};
use loginradius_proto::{App, Error, Service};

use crate::adapter::Adapter;

/// Secrets that must never be printed.
pub mod secrets {
    /// The app's client secret.
    pub const CLIENT_SECRET: &str = "canary-client-secret-4f1c";
    /// The app's API key.
    pub const API_KEY: &str = "canary-api-key-77ab";
    /// A user's password.
    pub const PASSWORD: &str = "canary-password-90de";
    /// An authorization code.
    pub const CODE: &str = "canary-code-31c9";
    /// The state of a browser login: 32 bytes in base64url, as a generated one.
    pub const STATE: &str = "canary-state-6b6b6b6b6b6b6b6b6b6b6b6b6b6b6A";
    /// A PKCE verifier, of the same form.
    pub const VERIFIER: &str = "canary-verifier-5a5a5a5a5a5a5a5a5a5a5a5a5aA";
    /// A device code.
    pub const DEVICE_CODE: &str = "canary-device-code-b1e0";
    /// A refresh token.
    pub const REFRESH_TOKEN: &str = "canary-refresh-token-62f7";
    /// An access token, which one operation sends in its URL.
    pub const ACCESS_TOKEN: &str = "canary-access-token-08d3";
    /// A proxy's password.
    pub const PROXY_PASSWORD: &str = "canary-proxy-password-e4b2";
    /// A header that the user's own client sends with every request.
    pub const OWN_HEADER: &str = "canary-own-header-a1f6";
    /// Every secret in a response.
    pub const IN_RESPONSE: &str = "canary-in-response-c37d";

    /// All of them.
    pub const ALL: [&str; 12] = [
        CLIENT_SECRET,
        API_KEY,
        PASSWORD,
        CODE,
        STATE,
        VERIFIER,
        DEVICE_CODE,
        REFRESH_TOKEN,
        ACCESS_TOKEN,
        PROXY_PASSWORD,
        OWN_HEADER,
        IN_RESPONSE,
    ];
}

/// An address that refuses connections: no program listens on port 1, and no system assigns it.
pub(crate) const REFUSED: &str = "http://127.0.0.1:1";

/// Makes an app of the classic API at that address.
pub(crate) fn app(base_url: &str) -> App {
    App::new("my-client-id")
        .with_client_secret(secrets::CLIENT_SECRET)
        .with_api_key(secrets::API_KEY)
        .with_oauth_app("my-oauth-app")
        .with_jwt_app("my-jwt-app")
        .with_service(Service::classic_at(base_url).unwrap())
}

/// One of the ten operations.
pub(crate) struct Operation<A> {
    pub(crate) name: &'static str,
    /// Whether it may be sent again after its response was lost.
    pub(crate) repeatable: bool,
    pub(crate) call: fn(&A) -> Result<(), Error>,
}

impl<A: Adapter> Operation<A> {
    pub(crate) fn all() -> [Self; 10] {
        let one = |name, repeatable, call| Self { name, repeatable, call };
        [
            one("device_code", true, |client| client.call(&RequestDeviceCode::new().scope("email")).map(drop)),
            one("device_poll", false, |client| client.call(&RequestTokens::new(secrets::DEVICE_CODE)).map(drop)),
            one("code_exchange", false, |client| {
                let exchange = AccessTokenByCode::new(secrets::CODE, "https://app.example.com/callback");
                client.call(&exchange.code_verifier(secrets::VERIFIER)).map(drop)
            }),
            one("password", false, |client| {
                client.call(&AccessTokenByPassword::new("ada", secrets::PASSWORD)).map(drop)
            }),
            Self::refresh(),
            one("revoke", true, |client| client.call(&RevokeRefreshToken::new(secrets::REFRESH_TOKEN))),
            Self::jwt(),
            one("jwt_by_username", false, |client| {
                client.call(&JwtLogin::username("ada", secrets::PASSWORD)).map(drop)
            }),
            one("jwt_by_email", false, |client| {
                client.call(&JwtLogin::email("ada@example.com", secrets::PASSWORD)).map(drop)
            }),
            one("jwt_by_phone", false, |client| {
                client.call(&JwtLogin::phone("+15555550101", secrets::PASSWORD)).map(drop)
            }),
        ]
    }

    /// Returns one that must not be sent again.
    pub(crate) fn refresh() -> Self {
        let call = |client: &A| client.call(&RefreshAccessToken::new(secrets::REFRESH_TOKEN)).map(drop);
        Self { name: "refresh", repeatable: false, call }
    }

    /// Returns one that may be sent again.
    pub(crate) fn jwt() -> Self {
        let call = |client: &A| client.call(&JwtByAccessToken::new(secrets::ACCESS_TOKEN)).map(drop);
        Self { name: "jwt_by_access_token", repeatable: true, call }
    }
}

/// Returns a JSON object that every operation takes for a success.
pub(crate) fn success() -> String {
    let secret = secrets::IN_RESPONSE;
    format!(r#"{{"access_token":"{secret}","token_type":"access_token","expires_in":394,"refresh_token":"{secret}","#)
        + &format!(r#""device_code":"{secret}","user_code":"oP5lLq","verification_uri":"https://example.com/","#)
        + &format!(r#""signature":"{secret}"}}"#)
}
