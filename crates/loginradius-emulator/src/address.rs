//! The emulator's own URL, and its public one.

use crate::config::Config;
use crate::seeded;

pub(crate) struct Address {
    pub(crate) port: u16,
    /// `http://127.0.0.1:<port>`.
    pub(crate) base_url: String,
    /// Without a slash at its end.
    pub(crate) public_url: Option<String>,
    /// `host` or `host:port` of `public_url`.
    pub(crate) public_host: Option<String>,
}

impl Address {
    pub(crate) fn new(config: &Config, port: u16) -> Self {
        Self {
            port,
            base_url: format!("http://127.0.0.1:{port}"),
            public_url: config.public_url.clone(),
            public_host: config.public_host.clone(),
        }
    }

    /// Returns the URL that users and JWTs see, without a slash at its end.
    pub(crate) fn public_url(&self) -> &str {
        self.public_url.as_deref().unwrap_or(&self.base_url)
    }

    /// Returns the issuer of authorization responses (RFC 9207), in the form on LoginRadius's page "Access Token
    /// Claims".
    pub(crate) fn issuer(&self) -> String {
        format!("{}/service/oauth/{}", self.public_url(), seeded::OAUTH_APP)
    }
}
