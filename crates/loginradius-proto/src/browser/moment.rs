use std::time::{Instant, SystemTime};

use crate::session::Now;

/// The present moment of a login through a browser: by the wall clock alone (a `SystemTime`), or by both clocks of this
/// machine ([`Now`]).
///
/// If both clocks are given, at the beginning and at the callback, the monotonic clock counts the time in between: a
/// wall clock that is set in between, for example by a time server, neither ends the login nor makes it last longer. A
/// stored login has only the wall clock, because other processes do not share the monotonic one.
///
/// ```
/// use std::time::{Duration, Instant, SystemTime};
/// use loginradius_proto::App;
/// use loginradius_proto::browser::{AuthorizationRequest, BrowserRequest, Callback, Pending, RandomBytes};
/// use loginradius_proto::session::Now;
///
/// # fn main() -> Result<(), loginradius_proto::Error> {
/// # let random = RandomBytes::new(std::array::from_fn(|byte| byte as u8))?;
/// let app = App::new("my-client-id");
/// let began = Now::new(Instant::now(), SystemTime::now());
/// let mut login = AuthorizationRequest::new("https://app.example/callback").begin(&app, &random, began)?;
///
/// // A minute later, after the clock was set an hour back:
/// let now = Now::new(began.monotonic + Duration::from_secs(60), began.wall - Duration::from_secs(3540));
/// let query = format!("code=4f2a&state={}", login.pending.expose_state());
/// login.pending.accept(&Callback::from_query(&query)?, now)?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    pub(super) wall: SystemTime,
    pub(super) monotonic: Option<Instant>,
}

impl From<SystemTime> for Moment {
    fn from(wall: SystemTime) -> Self {
        Self { wall, monotonic: None }
    }
}

impl From<Now> for Moment {
    fn from(now: Now) -> Self {
        Self { wall: now.wall, monotonic: Some(now.monotonic) }
    }
}
