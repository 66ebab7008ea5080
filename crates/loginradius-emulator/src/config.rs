//! The settings of an emulator, and their defaults.

use std::time::Duration;

use crate::authorization_response::ResponseMode;

#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) port: u16,
    pub(crate) device_interval: Duration,
    pub(crate) device_lifetime: Duration,
    pub(crate) access_token_lifetime: Duration,
    pub(crate) refresh_token_lifetime: Duration,
    pub(crate) refresh_grace: Duration,
    pub(crate) jwt_lifetime: Duration,
    pub(crate) jwt_audience: Option<String>,
    pub(crate) jwt_response_mode: ResponseMode,
    pub(crate) jwt_response_parameter: String,
    /// If empty, every URL of this machine.
    pub(crate) redirect_uris: Vec<String>,
    pub(crate) issuer_in_responses: bool,
    /// Without a slash at its end.
    pub(crate) public_url: Option<String>,
    /// `host` or `host:port` of `public_url`.
    pub(crate) public_host: Option<String>,
    pub(crate) json_only: bool,
    pub(crate) verification_uri_complete: bool,
    pub(crate) manual_clock: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            port: 0,
            device_interval: Duration::from_secs(5),
            device_lifetime: Duration::from_secs(1800),
            access_token_lifetime: Duration::from_secs(3600),
            refresh_token_lifetime: Duration::from_secs(60 * 24 * 3600),
            refresh_grace: Duration::ZERO,
            jwt_lifetime: Duration::from_secs(600),
            jwt_audience: None,
            jwt_response_mode: ResponseMode::Query,
            jwt_response_parameter: "token".to_owned(),
            redirect_uris: Vec::new(),
            issuer_in_responses: false,
            public_url: None,
            public_host: None,
            json_only: false,
            verification_uri_complete: true,
            manual_clock: false,
        }
    }
}
