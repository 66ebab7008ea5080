//! An adapter, as the suite drives it, and the settings of its client.

use std::fmt;
use std::time::Duration;

use loginradius_proto::browser::{AuthorizationRequest, BrowserLogin, BrowserRequest, Callback, PendingLogin};
use loginradius_proto::oauth::{DeviceGrant, RequestDeviceCode};
use loginradius_proto::{App, DeviceProgress, Endpoint, Error, Flow, PendingDevice, Retry, TokenSet};
use loginradius_store::{AsyncSessionStore, SessionStore};

use crate::receiver::Receiver;
use crate::session::{SessionSettings, Sessions};

/// An adapter, as the suite drives it: a newtype around its client.
pub trait Adapter: Clone + fmt::Debug + Sized + 'static {
    /// The targets of the HTTP library's log lines that show secrets once the logger takes the level
    /// `Trace`. No setting of ours prevents them, so the adapter's documentation tells of them.
    const TELLTALE_LOGS: &[&str];

    /// Its sessions.
    type Sessions: Sessions;

    /// Its device login.
    type DeviceLogin: DeviceLogin;

    /// Its receiver of callbacks.
    type Receiver: Receiver;

    /// Builds the client.
    ///
    /// # Errors
    ///
    /// Those of its builder.
    fn new(app: App, settings: &Settings) -> Result<Self, Error>;

    /// The builder with these settings, as `Debug` prints it.
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
        open: impl FnOnce(&str),
    ) -> Result<TokenSet, Error>;

    /// The client's `run`.
    ///
    /// # Errors
    ///
    /// The client's.
    fn run<F: Flow>(&self, flow: F) -> Result<F::Output, Error>;

    /// The client's sessions in that store.
    fn sessions<S: SessionStore + AsyncSessionStore>(&self, store: S, settings: &SessionSettings) -> Self::Sessions;

    /// The builder of sessions with these settings, as `Debug` prints it.
    fn sessions_builder(&self, settings: &SessionSettings) -> String;

    /// Lets time pass, in which the client may do what it does in the background.
    fn idle(&self, time: Duration);
}

/// What a prompt or a program may fail with.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// An adapter's `DeviceLogin`.
pub trait DeviceLogin: Sized {
    /// `grant`.
    fn grant(&self) -> &DeviceGrant;

    /// `pending`.
    fn pending(&self) -> PendingDevice;

    /// `wait`, with that callback for its progress.
    ///
    /// # Errors
    ///
    /// Its own.
    fn wait(self, on_progress: impl FnMut(&DeviceProgress) + Send + 'static) -> Result<TokenSet, Error>;
}

/// What an adapter's builder is told. What is `None` is left as the builder has it.
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
    /// `user_agent`.
    pub user_agent: Option<String>,
}

impl Default for Settings {
    /// No retries, and long timeouts, so that a test which takes one by mistake is slow.
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(10),
            retry: Retry::OFF,
            root_certificates: None,
            proxy: None,
            user_agent: None,
        }
    }
}

impl Settings {
    /// So many attempts, one right after the other.
    pub(crate) fn attempts(attempts: u32) -> Self {
        let retry = Retry::default()
            .with_attempts(attempts)
            .with_first_wait(Duration::from_millis(1))
            .with_max_wait(Duration::from_millis(2));
        Self { retry, ..Self::default() }
    }
}
