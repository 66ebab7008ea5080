//! The client, adapted to the suite.

pub(crate) mod own;
pub(crate) mod receiver;
pub(crate) mod sessions;

use std::time::Duration;

use loginradius_blocking::browser::{AuthorizationRequest, BrowserLogin, BrowserRequest, Callback, PendingLogin};
use loginradius_blocking::oauth::{DeviceGrant, RequestDeviceCode};
use loginradius_blocking::store::{AsyncSessionStore, MemoryStore, SessionStore};
use loginradius_blocking::{
    App, Client, ClientBuilder, DeviceLogin, DeviceProgress, Endpoint, Error, Flow, PendingDevice, TokenSet,
};
use loginradius_conformance::{self as conformance, Adapter, BoxError, SessionSettings, Settings};
use receiver::BlockingReceiver;
use sessions::BlockingSessions;

#[derive(Debug, Clone)]
pub(crate) struct Blocking(pub(crate) Client);

pub(crate) fn builder(app: App, settings: &Settings) -> ClientBuilder {
    let mut builder =
        Client::builder(app).timeout(settings.timeout).connect_timeout(settings.connect_timeout).retry(settings.retry);
    if let Some(pem) = &settings.root_certificates {
        builder = builder.root_certificates(pem.as_str());
    }
    if let Some(url) = &settings.proxy {
        builder = builder.proxy(url);
    }
    if settings.without_proxy {
        builder = builder.without_proxy();
    }
    if let Some(name) = &settings.user_agent {
        builder = builder.user_agent(name);
    }
    builder
}

impl Adapter for Blocking {
    const TELLTALE_LOGS: &[&str] = &["ureq::run", "ureq_proto::util"];
    const IPV6_THROUGH_PROXIES: bool = true;

    type Sessions = BlockingSessions;
    type DeviceLogin = BlockingDeviceLogin;
    type Receiver = BlockingReceiver;

    fn new(app: App, settings: &Settings) -> Result<Self, Error> {
        builder(app, settings).build().map(Self)
    }

    fn builder(app: App, settings: &Settings) -> String {
        format!("{0:?}{0:#?}", builder(app, settings))
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

    fn begin_device_login(&self, request: &RequestDeviceCode) -> Result<BlockingDeviceLogin, Error> {
        self.0.begin_device_login(request).map(BlockingDeviceLogin)
    }

    fn resume_device_login(&self, pending: &PendingDevice) -> BlockingDeviceLogin {
        BlockingDeviceLogin(self.0.resume_device_login(pending))
    }

    fn begin_browser_login<R: BrowserRequest>(&self, request: &R) -> Result<BrowserLogin<R::Pending>, Error> {
        self.0.begin_browser_login(request)
    }

    fn complete_browser_login(&self, pending: &mut PendingLogin, callback: &Callback) -> Result<TokenSet, Error> {
        self.0.complete_browser_login(pending, callback)
    }

    fn browser_login(
        &self,
        receiver: BlockingReceiver,
        request: &AuthorizationRequest,
        open: impl FnOnce(&str) -> Result<(), Box<dyn std::error::Error + Send + Sync>>,
    ) -> Result<TokenSet, Error> {
        self.0.browser_login(receiver.0, request, open)
    }

    fn run<F: Flow>(&self, flow: F) -> Result<F::Output, Error> {
        self.0.run(flow)
    }

    fn sessions<S: SessionStore + AsyncSessionStore>(&self, store: S, settings: &SessionSettings) -> BlockingSessions {
        BlockingSessions::new(&self.0, store, settings)
    }

    fn sessions_builder(&self, settings: &SessionSettings) -> String {
        format!("{0:?}{0:#?}", sessions::builder(&self.0, MemoryStore::new(), settings))
    }

    fn idle(&self, time: Duration) {
        std::thread::sleep(time);
    }
}

#[derive(Debug)]
pub(crate) struct BlockingDeviceLogin(pub(crate) DeviceLogin);

impl conformance::DeviceLogin for BlockingDeviceLogin {
    fn grant(&self) -> &DeviceGrant {
        self.0.grant()
    }

    fn pending(&self) -> PendingDevice {
        self.0.pending()
    }

    fn within(self, time: Duration) -> Self {
        Self(self.0.within(time))
    }

    fn wait(self, on_progress: impl FnMut(&DeviceProgress) + Send + 'static) -> Result<TokenSet, Error> {
        self.0.on_progress(on_progress).wait()
    }
}
