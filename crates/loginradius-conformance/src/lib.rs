//! One suite over every HTTP adapter of this workspace.
//!
//! The tests of an adapter implement [`Adapter`] for a newtype around its client and call
//! `loginradius_conformance::suite!(MyAdapter);`: each case becomes a test of that name. The cases use real HTTP:
//! `loginradius-emulator` where LoginRadius's responses matter, a bare socket where the server misbehaves.
//!
//! Two macros are called for themselves: [`own_client!`] for an adapter over an HTTP client that its user
//! configured, and [`canary!`] in a test binary of its own, because it sets the process's logger.

mod adapter;
mod bodies;
mod browser;
mod canary;
mod cases;
mod certificates;
#[doc(hidden)]
pub mod child;
mod connecting;
mod deadlines;
mod device_connections;
mod device_login;
mod device_login_handle;
mod dialects;
mod durations;
mod environment;
mod faults;
mod floods;
mod headers;
mod matrix;
mod misbehaviour;
mod names;
mod operations;
mod out_of_threads;
mod own_endpoints;
mod proxies;
mod proxy_kinds;
mod real_proxies;
mod receiver;
mod server;
mod session;
mod sessions;
mod settings;
mod store;
#[doc(hidden)]
pub mod tls;

#[doc(hidden)]
pub use bodies::cases as bodies_cases;
#[doc(hidden)]
pub use browser::begin_and_complete::cases as browser_begin_and_complete_cases;
#[doc(hidden)]
pub use browser::desktop_logins::cases as browser_desktop_logins_cases;
#[doc(hidden)]
pub use browser::peers::cases as browser_peers_cases;
#[doc(hidden)]
pub use browser::receivers::cases as browser_receivers_cases;
#[doc(hidden)]
pub use canary::cases as canary_cases;
#[doc(hidden)]
pub use certificates::cases as certificates_cases;
#[doc(hidden)]
pub use connecting::cases as connecting_cases;
#[doc(hidden)]
pub use deadlines::cases as deadlines_cases;
#[doc(hidden)]
pub use device_connections::cases as device_connections_cases;
pub use device_login::cases as device_login_cases;
#[doc(hidden)]
pub use device_login_handle::cases as device_login_handle_cases;
#[doc(hidden)]
pub use dialects::cases as dialects_cases;
#[doc(hidden)]
pub use durations::cases as durations_cases;
#[doc(hidden)]
pub use environment::cases as environment_cases;
#[doc(hidden)]
pub use floods::cases as floods_cases;
#[doc(hidden)]
pub use headers::cases as headers_cases;
#[doc(hidden)]
pub use matrix::cases as matrix_cases;
#[doc(hidden)]
pub use misbehaviour::cases as misbehaviour_cases;
#[doc(hidden)]
pub use names::cases as names_cases;
#[doc(hidden)]
pub use out_of_threads::cases as out_of_threads_cases;
#[doc(hidden)]
pub use own_endpoints::cases as own_endpoints_cases;
#[doc(hidden)]
pub use proxies::cases as proxies_cases;
#[doc(hidden)]
pub use proxy_kinds::cases as proxy_kinds_cases;
#[doc(hidden)]
pub use real_proxies::cases as real_proxies_cases;
#[doc(hidden)]
pub use sessions::basics::cases as session_basics_cases;
#[doc(hidden)]
pub use sessions::endings::cases as session_endings_cases;
#[doc(hidden)]
pub use sessions::faults::cases as session_faults_cases;
#[doc(hidden)]
pub use sessions::moving::cases as session_moving_cases;
#[doc(hidden)]
pub use sessions::processes::cases as session_processes_cases;
#[doc(hidden)]
pub use sessions::single_flight::cases as session_single_flight_cases;
#[doc(hidden)]
pub use sessions::stores::cases as session_stores_cases;
#[doc(hidden)]
pub use sessions::users::cases as session_users_cases;
#[doc(hidden)]
pub use sessions::waits::cases as session_waits_cases;
#[doc(hidden)]
pub use settings::cases as settings_cases;

pub use loginradius_emulator as emulator;

pub use adapter::{Adapter, BoxError, DeviceLogin, Settings};
pub use floods::Flood;
pub use operations::secrets;
pub use receiver::Receiver;
pub use server::{BlackHole, Peer, Request, Server};
pub use session::{OnEvent, Session, SessionSettings, Sessions};
pub use store::{Counts, Store, StoreFault};

/// The tests of the whole suite except the canary, in a module for each part.
#[macro_export]
macro_rules! suite {
    ($adapter:ty) => {
        mod matrix {
            $crate::matrix!($adapter);
        }
        mod device_connections {
            $crate::device_connections!($adapter);
        }
        mod device_login {
            $crate::device_login!($adapter);
        }
        mod browser {
            mod begin_and_complete {
                $crate::browser_begin_and_complete!($adapter);
            }
            mod receivers {
                $crate::browser_receivers!($adapter);
            }
            mod peers {
                $crate::browser_peers!($adapter);
            }
            mod desktop_logins {
                $crate::browser_desktop_logins!($adapter);
            }
        }
        mod deadlines {
            $crate::deadlines!($adapter);
        }
        mod durations {
            $crate::durations!($adapter);
        }
        mod device_login_handle {
            $crate::device_login_handle!($adapter);
        }
        mod dialects {
            $crate::dialects!($adapter);
        }
        mod out_of_threads {
            $crate::out_of_threads!($adapter);
        }
        mod own_endpoints {
            $crate::own_endpoints!($adapter);
        }
        mod environment {
            $crate::environment!($adapter);
        }
        mod proxy_kinds {
            $crate::proxy_kinds!($adapter);
        }
        mod real_proxies {
            $crate::real_proxies!($adapter);
        }
        mod settings {
            $crate::settings!($adapter);
        }
        mod bodies {
            $crate::bodies!($adapter);
        }
        mod certificates {
            $crate::certificates!($adapter);
        }
        mod floods {
            $crate::floods!($adapter);
        }
        mod headers {
            $crate::headers!($adapter);
        }
        mod names {
            $crate::names!($adapter);
        }
        mod sessions {
            mod basics {
                $crate::session_basics!($adapter);
            }
            mod single_flight {
                $crate::session_single_flight!($adapter);
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
            mod moving {
                $crate::session_moving!($adapter);
            }
            mod processes {
                $crate::session_processes!($adapter);
            }
            mod users {
                $crate::session_users!($adapter);
            }
            mod waits {
                $crate::session_waits!($adapter);
            }
        }
        $crate::own_client!($adapter);
    };
}

/// The tests that must pass however the user has configured the HTTP client.
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
