//! The interface through which the suite drives an adapter's sessions, from any thread.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use loginradius_proto::session::SessionEvent;
use loginradius_proto::{AccessToken, Error, TokenSet};
use loginradius_store::sessions::Purged;

/// An adapter's `Sessions`, which stand for a process: it ends when all handles to them and to their sessions are
/// dropped.
pub trait Sessions: Clone + fmt::Debug + Send + Sync + 'static {
    /// An adapter's `Session`.
    type Session: Session;

    /// `session`.
    fn session(&self, name: &str) -> Self::Session;

    /// `flush`.
    ///
    /// # Errors
    ///
    /// Its own.
    fn flush(&self) -> Result<(), Error>;

    /// `names`.
    ///
    /// # Errors
    ///
    /// Its own.
    fn names(&self, prefix: &str) -> Result<Vec<String>, Error>;

    /// `sign_out_all`.
    ///
    /// # Errors
    ///
    /// Its own.
    fn sign_out_all(&self, prefix: &str) -> Result<usize, Error>;

    /// `purge`.
    ///
    /// # Errors
    ///
    /// Its own.
    fn purge(&self, older_than: Duration) -> Result<Purged, Error>;
}

/// An adapter's `Session`.
#[allow(clippy::missing_errors_doc, reason = "they are those of the methods of the same names")]
pub trait Session: Clone + fmt::Debug + Send + Sync + 'static {
    /// `name`.
    fn name(&self) -> &str;

    /// `within`.
    #[must_use]
    fn within(&self, time: Duration) -> Self;

    /// `is_signed_in`.
    fn is_signed_in(&self) -> Result<bool, Error>;

    /// `expires_at`.
    fn expires_at(&self) -> Option<SystemTime>;

    /// `access_token`.
    fn access_token(&self) -> Result<AccessToken, Error>;

    /// `tokens`.
    fn tokens(&self) -> Result<TokenSet, Error>;

    /// `refresh_rejected`.
    fn refresh_rejected(&self, token: &AccessToken) -> Result<AccessToken, Error>;

    /// `start`.
    fn start(&self, tokens: &TokenSet) -> Result<(), Error>;

    /// `sign_out`.
    fn sign_out(&self) -> Result<(), Error>;

    /// `forget`.
    fn forget(&self) -> Result<(), Error>;

    /// `save_error`.
    fn save_error(&self) -> Option<Error>;

    /// `flush`.
    fn flush(&self) -> Result<(), Error>;
}

/// The function that is notified of events, with the session's name.
pub type OnEvent = Arc<dyn Fn(&str, &SessionEvent) + Send + Sync>;

/// The settings of an adapter's builder of sessions. `None` leaves the builder's default.
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct SessionSettings {
    /// `early_refresh`.
    pub early_refresh: Option<Duration>,
    /// `lock_wait`.
    pub lock_wait: Option<Duration>,
    /// `on_event`.
    pub on_event: Option<OnEvent>,
}

impl fmt::Debug for SessionSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionSettings").finish_non_exhaustive()
    }
}
