//! The client over a `reqwest::ClientBuilder` of the user's own, which asks for what must not be.

use std::time::Duration;

use loginradius_async::browser::{AuthorizationRequest, BrowserRequest, BrowserSignIn, Callback, PendingSignIn};
use loginradius_async::oauth::DeviceGrant;
use loginradius_async::store::{AsyncSessionStore, SessionStore};
use loginradius_async::{App, Endpoint, Error, Flow, TokenSet};
use loginradius_conformance::{Adapter, SessionSettings, Settings, secrets};
use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::{Proxy, redirect, retry};

use super::{Async, builder};

#[derive(Debug, Clone)]
pub(crate) struct OwnBuilder(Async);

fn reqwest() -> reqwest::ClientBuilder {
    let mut headers = HeaderMap::new();
    headers.insert("x-own-client", HeaderValue::from_static(secrets::OWN_HEADER));
    let again = retry::for_host("127.0.0.1").max_retries_per_request(5).classify_fn(|outcome| outcome.retryable());
    reqwest::Client::builder()
        .user_agent("own/1.0")
        .default_headers(headers)
        .redirect(redirect::Policy::limited(10))
        .referer(true)
        .retry(again)
        .proxy(Proxy::all("http://127.0.0.1:1").unwrap())
        .timeout(Duration::from_secs(60))
        .connect_timeout(Duration::from_secs(60))
        .pool_max_idle_per_host(100)
        .https_only(true)
        .connection_verbose(true)
}

impl Adapter for OwnBuilder {
    const TELLTALE_LOGS: &[&str] = Async::TELLTALE_LOGS;

    type Sessions = <Async as Adapter>::Sessions;
    type Receiver = <Async as Adapter>::Receiver;

    fn new(app: App, settings: &Settings) -> Result<Self, Error> {
        Async::with(builder(app, settings).reqwest(reqwest)).map(Self)
    }

    fn builder(app: App, settings: &Settings) -> String {
        format!("{0:?}{0:#?}", builder(app, settings).reqwest(reqwest))
    }

    fn call<E: Endpoint>(&self, operation: &E) -> Result<E::Response, Error> {
        self.0.call(operation)
    }

    fn device_login(&self, scope: &str, prompt: impl FnOnce(&DeviceGrant)) -> Result<TokenSet, Error> {
        self.0.device_login(scope, prompt)
    }

    fn begin<R: BrowserRequest>(&self, request: &R) -> Result<BrowserSignIn<R::Pending>, Error> {
        self.0.begin(request)
    }

    fn complete(&self, pending: &mut PendingSignIn, callback: &Callback) -> Result<TokenSet, Error> {
        self.0.complete(pending, callback)
    }

    fn browser_login(
        &self,
        receiver: Self::Receiver,
        request: &AuthorizationRequest,
        open: impl FnOnce(&str),
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
