//! An adapter, as the suite drives it, and the settings of its client.

use std::fmt;
use std::time::Duration;

use loginradius_proto::browser::{AuthorizationRequest, BrowserRequest, BrowserSignIn, Callback, PendingSignIn};
use loginradius_proto::oauth::DeviceGrant;
use loginradius_proto::{App, Endpoint, Error, Flow, Retry, TokenSet};
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

    /// The client's `device_login`.
    ///
    /// # Errors
    ///
    /// The client's.
    fn device_login(&self, scope: &str, prompt: impl FnOnce(&DeviceGrant)) -> Result<TokenSet, Error>;

    /// The client's `begin`.
    ///
    /// # Errors
    ///
    /// The client's.
    fn begin<R: BrowserRequest>(&self, request: &R) -> Result<BrowserSignIn<R::Pending>, Error>;

    /// The client's `complete`.
    ///
    /// # Errors
    ///
    /// The client's.
    fn complete(&self, pending: &mut PendingSignIn, callback: &Callback) -> Result<TokenSet, Error>;

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
        let retry = Retry { attempts, first_wait: Duration::from_millis(1), longest_wait: Duration::from_millis(2) };
        Self { retry, ..Self::default() }
    }
}
