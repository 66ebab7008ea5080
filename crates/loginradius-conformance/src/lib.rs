//! One suite over every HTTP adapter of this workspace.
//!
//! An adapter's tests implement [`Adapter`] for a newtype around its client and say
//! `loginradius_conformance::suite!(MyAdapter);`: each case becomes a test of that name. The cases speak
//! real HTTP, to `loginradius-emulator` where LoginRadius's answers matter and to a bare socket where the
//! server misbehaves.
//!
//! [`own_client!`] alone is for an adapter over a client that its user configured; [`canary!`] wants a
//! test binary of its own, because it takes the process's logger.

mod browser;
mod canary;
mod child;
mod connecting;
mod device_login;
mod environment;
mod faults;
mod matrix;
mod misbehaviour;
mod operations;
mod proxies;
mod server;
mod session;
mod sessions;
mod settings;
mod store;
mod tls;

use std::fmt;
use std::time::Duration;

use loginradius_proto::browser::{AuthorizationRequest, BrowserRequest, BrowserSignIn, Callback, PendingSignIn};
use loginradius_proto::oauth::DeviceGrant;
use loginradius_proto::{App, Endpoint, Error, Flow, Retry, TokenSet};
use loginradius_store::{AsyncTokenStore, TokenStore};

#[doc(hidden)]
pub use browser::guests::cases as browser_guests_cases;
#[doc(hidden)]
pub use browser::logins::cases as browser_logins_cases;
#[doc(hidden)]
pub use browser::receivers::cases as browser_receivers_cases;
#[doc(hidden)]
pub use browser::sign_ins::cases as browser_sign_ins_cases;
#[doc(hidden)]
pub use canary::cases as canary_cases;
#[doc(hidden)]
pub use child::run;
#[doc(hidden)]
pub use connecting::cases as connecting_cases;
#[doc(hidden)]
pub use device_login::cases as device_login_cases;
#[doc(hidden)]
pub use environment::cases as environment_cases;
#[doc(hidden)]
pub use matrix::cases as matrix_cases;
#[doc(hidden)]
pub use misbehaviour::cases as misbehaviour_cases;
#[doc(hidden)]
pub use proxies::cases as proxies_cases;
#[doc(hidden)]
pub use sessions::basics::cases as session_basics_cases;
#[doc(hidden)]
pub use sessions::endings::cases as session_endings_cases;
#[doc(hidden)]
pub use sessions::faults::cases as session_faults_cases;
#[doc(hidden)]
pub use sessions::flights::cases as session_flights_cases;
#[doc(hidden)]
pub use sessions::programs::cases as session_programs_cases;
#[doc(hidden)]
pub use sessions::stores::cases as session_stores_cases;
#[doc(hidden)]
pub use settings::cases as settings_cases;

pub use loginradius_emulator as emulator;

pub use browser::Receiver;
pub use operations::secrets;
pub use server::{Peer, Request, Server};
pub use session::{OnEvent, Session, SessionSettings, Sessions};
pub use store::{Counts, Store, Trouble};

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
    fn sessions<S: TokenStore + AsyncTokenStore>(&self, store: S, settings: &SessionSettings) -> Self::Sessions;

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
    fn attempts(attempts: u32) -> Self {
        let retry = Retry { attempts, first_wait: Duration::from_millis(1), longest_wait: Duration::from_millis(2) };
        Self { retry, ..Self::default() }
    }
}

/// Lists a module's cases once: as functions for the macro of the same name, which makes tests of them.
macro_rules! cases {
    (($dollar:tt) $module:ident $public:ident { $($case:ident,)+ }) => {
        #[doc(hidden)]
        pub mod cases {
            $(pub fn $case<A: $crate::Adapter>() { super::$case::<A>(); })+
        }

        /// The tests of one part of the suite, for one adapter.
        #[macro_export]
        macro_rules! $module {
            ($dollar adapter:ty) => {
                $(#[test]
                fn $case() {
                    let name = concat!(module_path!(), "::", stringify!($case));
                    $dollar crate::run(name, $dollar crate::$public::$case::<$dollar adapter>);
                })+
            };
        }
    };
}
use cases;

/// The tests of the whole suite but the canary, in a module for each part.
#[macro_export]
macro_rules! suite {
    ($adapter:ty) => {
        mod matrix {
            $crate::matrix!($adapter);
        }
        mod device_login {
            $crate::device_login!($adapter);
        }
        mod browser {
            mod sign_ins {
                $crate::browser_sign_ins!($adapter);
            }
            mod receivers {
                $crate::browser_receivers!($adapter);
            }
            mod guests {
                $crate::browser_guests!($adapter);
            }
            mod logins {
                $crate::browser_logins!($adapter);
            }
        }
        mod environment {
            $crate::environment!($adapter);
        }
        mod settings {
            $crate::settings!($adapter);
        }
        mod sessions {
            mod basics {
                $crate::session_basics!($adapter);
            }
            mod flights {
                $crate::session_flights!($adapter);
            }
            mod faults {
                $crate::session_faults!($adapter);
            }
            mod stores {
                $crate::session_stores!($adapter);
            }
            mod endings {
                $crate::session_endings!($adapter);
            }
            mod programs {
                $crate::session_programs!($adapter);
            }
        }
        $crate::own_client!($adapter);
    };
}

/// The part that must hold whatever the user's own HTTP client was told.
#[macro_export]
macro_rules! own_client {
    ($adapter:ty) => {
        mod misbehaviour {
            $crate::misbehaviour!($adapter);
        }
        mod connecting {
            $crate::connecting!($adapter);
        }
        mod proxies {
            $crate::proxies!($adapter);
        }
    };
}
