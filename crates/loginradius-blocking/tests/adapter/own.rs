//! The client over a `ureq::Agent` of the user's own. Its settings contradict the client's, which must prevail.

use std::time::Duration;

use loginradius_blocking::browser::{AuthorizationRequest, BrowserLogin, BrowserRequest, Callback, PendingLogin};
use loginradius_blocking::oauth::{DeviceGrant, RequestDeviceCode};
use loginradius_blocking::store::{AsyncSessionStore, SessionStore};
use loginradius_blocking::{App, Endpoint, Error, Flow, PendingDevice, TokenSet};
use loginradius_conformance::{Adapter, BoxError, SessionSettings, Settings};
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Proxy};

use super::{Blocking, builder};

#[derive(Debug, Clone)]
pub(crate) struct OwnAgent(Blocking);

fn agent(settings: &Settings) -> Agent {
    let mut config = Agent::config_builder()
        .http_status_as_error(true)
        .max_redirects(10)
        .max_redirects_will_error(true)
        .save_redirect_history(true)
        .https_only(true)
        .accept_encoding("gzip")
        .proxy(Some(Proxy::new("http://127.0.0.1:1").unwrap()))
        .timeout_global(Some(Duration::from_secs(60)))
        .timeout_connect(Some(Duration::from_secs(60)))
        .max_idle_age(Duration::from_secs(600))
        .max_idle_connections_per_host(100);
    if let Some(pem) = &settings.root_certificates {
        let certificates: Vec<_> = parse_pem(pem.as_bytes())
            .filter_map(|item| match item {
                Ok(PemItem::Certificate(certificate)) => Some(certificate),
                _ => None,
            })
            .collect();
        config = config.tls_config(TlsConfig::builder().root_certs(RootCerts::from(certificates)).build());
    }
    config.build().into()
}

impl Adapter for OwnAgent {
    const TELLTALE_LOGS: &[&str] = Blocking::TELLTALE_LOGS;
    const IPV6_THROUGH_PROXIES: bool = Blocking::IPV6_THROUGH_PROXIES;

    type Sessions = <Blocking as Adapter>::Sessions;
    type DeviceLogin = <Blocking as Adapter>::DeviceLogin;
    type Receiver = <Blocking as Adapter>::Receiver;

    fn new(app: App, settings: &Settings) -> Result<Self, Error> {
        let mut builder_settings = settings.clone();
        builder_settings.root_certificates = None;
        builder(app, &builder_settings).unmanaged_agent(agent(settings)).build().map(Blocking).map(Self)
    }

    fn builder(app: App, settings: &Settings) -> String {
        format!("{0:?}{0:#?}", builder(app, settings).unmanaged_agent(agent(settings)))
    }

    fn call<E: Endpoint>(&self, operation: &E) -> Result<E::Response, Error> {
        self.0.call(operation)
    }

    fn within(&self, time: Duration) -> Self {
        Self(self.0.within(time))
    }

    fn device_login(
        &self,
        request: &RequestDeviceCode,
        prompt: impl FnOnce(&DeviceGrant) -> Result<(), BoxError>,
    ) -> Result<TokenSet, Error> {
        self.0.device_login(request, prompt)
    }

    fn begin_device_login(&self, request: &RequestDeviceCode) -> Result<Self::DeviceLogin, Error> {
        self.0.begin_device_login(request)
    }

    fn resume_device_login(&self, pending: &PendingDevice) -> Self::DeviceLogin {
        self.0.resume_device_login(pending)
    }

    fn begin_browser_login<R: BrowserRequest>(&self, request: &R) -> Result<BrowserLogin<R::Pending>, Error> {
        self.0.begin_browser_login(request)
    }

    fn complete_browser_login(&self, pending: &mut PendingLogin, callback: &Callback) -> Result<TokenSet, Error> {
        self.0.complete_browser_login(pending, callback)
    }

    fn browser_login(
        &self,
        receiver: Self::Receiver,
        request: &AuthorizationRequest,
        open: impl FnOnce(&str) -> Result<(), Box<dyn std::error::Error + Send + Sync>>,
    ) -> Result<TokenSet, Error> {
        self.0.browser_login(receiver, request, open)
    }

    fn run<F: Flow>(&self, flow: F) -> Result<F::Output, Error> {
        self.0.run(flow)
    }

    fn sessions<S: SessionStore + AsyncSessionStore>(&self, store: S, settings: &SessionSettings) -> Self::Sessions {
        self.0.sessions(store, settings)
    }

    fn sessions_builder(&self, settings: &SessionSettings) -> String {
        self.0.sessions_builder(settings)
    }

    fn idle(&self, time: Duration) {
        self.0.idle(time);
    }
}
