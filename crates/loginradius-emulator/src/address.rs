//! The addresses under which the emulator is reached: its own on this machine, and its public one.

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

    /// The address that people and JWTs see, without a slash at its end.
    pub(crate) fn public_url(&self) -> &str {
        self.public_url.as_deref().unwrap_or(&self.base_url)
    }

    /// Who answers an authorization (RFC 9207), in the form that LoginRadius's page "Access Token Claims" shows.
    pub(crate) fn issuer(&self) -> String {
        format!("{}/service/oauth/{}", self.public_url(), seeded::OAUTH_APP)
    }
}
