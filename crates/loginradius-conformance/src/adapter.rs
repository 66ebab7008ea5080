//! The interface through which the suite drives an adapter, and the settings of its client.

use std::fmt;
use std::time::Duration;

use loginradius_proto::browser::{AuthorizationRequest, BrowserLogin, BrowserRequest, Callback, PendingLogin};
use loginradius_proto::oauth::{DeviceGrant, RequestDeviceCode};
use loginradius_proto::{App, DeviceProgress, Endpoint, Error, Flow, PendingDevice, Retry, TokenSet};
use loginradius_store::{AsyncSessionStore, SessionStore};

use crate::receiver::Receiver;
use crate::session::{SessionSettings, Sessions};

/// An adapter: implemented for a newtype around its client.
pub trait Adapter: Clone + fmt::Debug + Sized + 'static {
    /// The targets of the HTTP library's log lines that show secrets at the level `Trace`. No setting of the
    /// adapter prevents them, so its documentation names them.
    const TELLTALE_LOGS: &[&str];

    /// Whether https to an IPv6 address can go through a proxy. If not, the client is not built, and the error says so.
    const IPV6_THROUGH_PROXIES: bool;

    /// Its `Sessions`.
    type Sessions: Sessions;

    /// Its `DeviceLogin`.
    type DeviceLogin: DeviceLogin;

    /// Its `LoopbackReceiver`.
    type Receiver: Receiver;

    /// Builds the client.
    ///
    /// # Errors
    ///
    /// Those of its builder.
    fn new(app: App, settings: &Settings) -> Result<Self, Error>;

    /// Prints the builder with these settings by `Debug`.
    fn builder(app: App, settings: &Settings) -> String;

    /// The client's `call`.
    ///
    /// # Errors
    ///
    /// The client's.
    fn call<E: Endpoint>(&self, operation: &E) -> Result<E::Response, Error>;

    /// The client's `within`.
    #[must_use]
    fn within(&self, time: Duration) -> Self;

    /// The client's `device_login`.
    ///
    /// # Errors
    ///
    /// The client's.
    fn device_login(
        &self,
        request: &RequestDeviceCode,
        prompt: impl FnOnce(&DeviceGrant) -> Result<(), BoxError>,
    ) -> Result<TokenSet, Error>;

    /// The client's `begin_device_login`.
    ///
    /// # Errors
    ///
    /// The client's.
    fn begin_device_login(&self, request: &RequestDeviceCode) -> Result<Self::DeviceLogin, Error>;

    /// The client's `resume_device_login`.
    fn resume_device_login(&self, pending: &PendingDevice) -> Self::DeviceLogin;

    /// The client's `begin_browser_login`.
    ///
    /// # Errors
    ///
    /// The client's.
    fn begin_browser_login<R: BrowserRequest>(&self, request: &R) -> Result<BrowserLogin<R::Pending>, Error>;

    /// The client's `complete_browser_login`.
    ///
    /// # Errors
    ///
    /// The client's.
    fn complete_browser_login(&self, pending: &mut PendingLogin, callback: &Callback) -> Result<TokenSet, Error>;

    /// The client's `browser_login`.
    ///
    /// # Errors
    ///
    /// The client's.
    fn browser_login(
        &self,
        receiver: Self::Receiver,
        request: &AuthorizationRequest,
        open: impl FnOnce(&str) -> Result<(), Box<dyn std::error::Error + Send + Sync>>,
    ) -> Result<TokenSet, Error>;

    /// The client's `run`.
    ///
    /// # Errors
    ///
    /// The client's.
    fn run<F: Flow>(&self, flow: F) -> Result<F::Output, Error>;

    /// Makes the client's sessions in that store.
    fn sessions<S: SessionStore + AsyncSessionStore>(&self, store: S, settings: &SessionSettings) -> Self::Sessions;

    /// Prints the builder of sessions with these settings by `Debug`.
    fn sessions_builder(&self, settings: &SessionSettings) -> String;

    /// Lets time pass, during which the client's background tasks may run.
    fn idle(&self, time: Duration);
}

/// The error of a prompt.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// An adapter's `DeviceLogin`.
pub trait DeviceLogin: Sized {
    /// `grant`.
    fn grant(&self) -> &DeviceGrant;

    /// `pending`.
    fn pending(&self) -> PendingDevice;

    /// `within`.
    #[must_use]
    fn within(self, time: Duration) -> Self;

    /// `on_progress` with that function, and `wait`.
    ///
    /// # Errors
    ///
    /// Its own.
    fn wait(self, on_progress: impl FnMut(&DeviceProgress) + Send + 'static) -> Result<TokenSet, Error>;
}

/// The settings of an adapter's client builder. `None` leaves the builder's default.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Settings {
    /// `timeout`.
    pub timeout: Duration,
    /// `connect_timeout`.
    pub connect_timeout: Duration,
    /// `retry`.
    pub retry: Retry,
    /// `root_certificates`.
    pub root_certificates: Option<String>,
    /// `proxy`.
    pub proxy: Option<String>,
    /// `without_proxy`, called after `proxy`.
    pub without_proxy: bool,
    /// `user_agent`.
    pub user_agent: Option<String>,
}

impl Default for Settings {
    /// Returns no retries, and long timeouts: a test that reaches one by mistake is slow.
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(10),
            retry: Retry::OFF,
            root_certificates: None,
            proxy: None,
            without_proxy: false,
            user_agent: None,
        }
    }
}

impl Settings {
    /// Returns settings with so many attempts, a millisecond or two apart.
    #[must_use]
    pub fn attempts(attempts: u32) -> Self {
        let retry = Retry::default()
            .with_attempts(attempts)
            .with_first_wait(Duration::from_millis(1))
            .with_max_wait(Duration::from_millis(2));
        Self { retry, ..Self::default() }
    }
}
