//! The client on a runtime of one thread, adapted to the suite.

pub(crate) mod own;
pub(crate) mod receiver;
pub(crate) mod sessions;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use loginradius_async::browser::{AuthorizationRequest, BrowserLogin, BrowserRequest, Callback, PendingLogin};
use loginradius_async::oauth::{DeviceGrant, RequestDeviceCode};
use loginradius_async::store::{AsyncSessionStore, MemoryStore, SessionStore};
use loginradius_async::{
    App, Client, ClientBuilder, DeviceLogin, DeviceProgress, Endpoint, Error, Flow, PendingDevice, TokenSet,
};
use loginradius_conformance::{self as conformance, Adapter, BoxError, SessionSettings, Settings};
use receiver::AsyncReceiver;
use sessions::AsyncSessions;
use tokio::runtime::Runtime;

#[derive(Clone)]
pub(crate) struct Async {
    client: Client,
    runtime: Arc<BackgroundRuntime>,
}

/// A runtime whose drop does not wait for blocking tasks, such as the resolution of a name.
pub(crate) struct BackgroundRuntime(Option<Runtime>);

impl BackgroundRuntime {
    fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.0.as_ref().unwrap().block_on(future)
    }
}

impl Drop for BackgroundRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl Async {
    pub(crate) fn with(builder: ClientBuilder) -> Result<Self, Error> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Ok(Self { client: builder.build()?, runtime: Arc::new(BackgroundRuntime(Some(runtime))) })
    }

    fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }
}

impl fmt::Debug for Async {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.client.fmt(f)
    }
}

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

impl Adapter for Async {
    const TELLTALE_LOGS: &[&str] = &[];
    const IPV6_THROUGH_PROXIES: bool = false;

    type Sessions = AsyncSessions;
    type DeviceLogin = AsyncDeviceLogin;
    type Receiver = AsyncReceiver;

    fn new(app: App, settings: &Settings) -> Result<Self, Error> {
        Self::with(builder(app, settings))
    }

    fn builder(app: App, settings: &Settings) -> String {
        format!("{0:?}{0:#?}", builder(app, settings))
    }

    fn call<E: Endpoint>(&self, operation: &E) -> Result<E::Response, Error> {
        self.block_on(self.client.call(operation))
    }

    fn within(&self, time: Duration) -> Self {
        Self { client: self.client.within(time), runtime: Arc::clone(&self.runtime) }
    }

    fn device_login(
        &self,
        request: &RequestDeviceCode,
        prompt: impl FnOnce(&DeviceGrant) -> Result<(), BoxError>,
    ) -> Result<TokenSet, Error> {
        self.block_on(self.client.device_login(request, prompt))
    }

    fn begin_device_login(&self, request: &RequestDeviceCode) -> Result<AsyncDeviceLogin, Error> {
        let login = self.block_on(self.client.begin_device_login(request))?;
        Ok(AsyncDeviceLogin { login, client: self.clone() })
    }

    fn resume_device_login(&self, pending: &PendingDevice) -> AsyncDeviceLogin {
        AsyncDeviceLogin { login: self.client.resume_device_login(pending), client: self.clone() }
    }

    fn begin_browser_login<R: BrowserRequest>(&self, request: &R) -> Result<BrowserLogin<R::Pending>, Error> {
        self.client.begin_browser_login(request)
    }

    fn complete_browser_login(&self, pending: &mut PendingLogin, callback: &Callback) -> Result<TokenSet, Error> {
        self.block_on(self.client.complete_browser_login(pending, callback))
    }

    fn browser_login(
        &self,
        receiver: AsyncReceiver,
        request: &AuthorizationRequest,
        open: impl FnOnce(&str) -> Result<(), Box<dyn std::error::Error + Send + Sync>>,
    ) -> Result<TokenSet, Error> {
        self.block_on(self.client.browser_login(receiver.0, request, open))
    }

    fn run<F: Flow>(&self, flow: F) -> Result<F::Output, Error> {
        self.block_on(self.client.run(flow))
    }

    fn sessions<S: SessionStore + AsyncSessionStore>(&self, store: S, settings: &SessionSettings) -> AsyncSessions {
        AsyncSessions::new(&self.client, store, settings)
    }

    fn sessions_builder(&self, settings: &SessionSettings) -> String {
        format!("{0:?}{0:#?}", sessions::builder(&self.client, MemoryStore::new(), settings))
    }

    fn idle(&self, time: Duration) {
        self.block_on(async { tokio::time::sleep(time).await });
    }
}

#[derive(Debug)]
pub(crate) struct AsyncDeviceLogin {
    login: DeviceLogin,
    client: Async,
}

impl conformance::DeviceLogin for AsyncDeviceLogin {
    fn grant(&self) -> &DeviceGrant {
        self.login.grant()
    }

    fn pending(&self) -> PendingDevice {
        self.login.pending()
    }

    fn within(self, time: Duration) -> Self {
        Self { login: self.login.within(time), ..self }
    }

    fn wait(self, on_progress: impl FnMut(&DeviceProgress) + Send + 'static) -> Result<TokenSet, Error> {
        self.client.block_on(self.login.on_progress(on_progress).wait())
    }
}
