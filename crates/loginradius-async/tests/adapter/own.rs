//! The client over a `reqwest::ClientBuilder` of the user's own. Its settings contradict the client's, which must
//! prevail.

use std::time::Duration;

use loginradius_async::browser::{AuthorizationRequest, BrowserLogin, BrowserRequest, Callback, PendingLogin};
use loginradius_async::oauth::{DeviceGrant, RequestDeviceCode};
use loginradius_async::store::{AsyncSessionStore, SessionStore};
use loginradius_async::{App, Endpoint, Error, Flow, PendingDevice, TokenSet};
use loginradius_conformance::{Adapter, BoxError, SessionSettings, Settings, secrets};
use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::{Proxy, redirect, retry};

use super::{Async, builder};

#[derive(Debug, Clone)]
pub(crate) struct OwnBuilder(Async);

fn reqwest() -> reqwest::ClientBuilder {
    let mut headers = HeaderMap::new();
    headers.insert("x-own-client", HeaderValue::from_static(secrets::OWN_HEADER));
    let retries = retry::for_host("127.0.0.1").max_retries_per_request(5).classify_fn(|outcome| outcome.retryable());
    reqwest::Client::builder()
        .user_agent("own/1.0")
        .default_headers(headers)
        .redirect(redirect::Policy::limited(10))
        .referer(true)
        .retry(retries)
        .proxy(Proxy::all("http://127.0.0.1:1").unwrap())
        .timeout(Duration::from_secs(60))
        .connect_timeout(Duration::from_secs(60))
        .pool_max_idle_per_host(100)
        .https_only(true)
        .connection_verbose(true)
}

impl Adapter for OwnBuilder {
    const TELLTALE_LOGS: &[&str] = Async::TELLTALE_LOGS;
    const IPV6_THROUGH_PROXIES: bool = Async::IPV6_THROUGH_PROXIES;

    type Sessions = <Async as Adapter>::Sessions;
    type DeviceLogin = <Async as Adapter>::DeviceLogin;
    type Receiver = <Async as Adapter>::Receiver;

    fn new(app: App, settings: &Settings) -> Result<Self, Error> {
        Async::with(builder(app, settings).unmanaged_reqwest(reqwest)).map(Self)
    }

    fn builder(app: App, settings: &Settings) -> String {
        format!("{0:?}{0:#?}", builder(app, settings).unmanaged_reqwest(reqwest))
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
