//! A running emulator, as a test uses it: it acts as the user, sets faults, and shows what has happened.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

use tokio::sync::oneshot;

use crate::authorization_code::{AuthorizationCode, IssuedCode};
use crate::authorization_response::AuthorizationResponse;
use crate::authorize::{self, AuthorizeError};
use crate::config::Config;
use crate::fault::Fault;
use crate::grants::{self, ApproveError, Decision, DeviceGrant};
use crate::jws;
use crate::operation::{Api, Operation};
use crate::recorded::RecordedRequest;
use crate::seeded::{self, User};
use crate::server;
use crate::state::{Counters, Shared, State};
use crate::tokens::{Login, Replay, TokenResponse};

/// A running emulator. It serves from a thread of its own, so both blocking and async code can use it, and stops when
/// it is dropped.
///
/// See the [crate's documentation](crate) for an example.
pub struct Emulator {
    shared: Shared,
    base_url: String,
    /// Taken on drop: the server stops when the sender is gone.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Emulator {
    /// Starts an emulator with these settings.
    pub(crate) fn run(config: Config) -> io::Result<Self> {
        // hyper's server panics at such a time, when it formats the header `Date`.
        if SystemTime::now() < SystemTime::UNIX_EPOCH {
            return Err(io::Error::other("the machine's clock is before 1970: set the clock"));
        }
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, config.port))?;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        let state = State::new(config, port)?;
        let base_url = state.address.base_url.clone();
        let shared = Shared::new(state);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let listener = {
            let _inside = runtime.enter();
            tokio::net::TcpListener::from_std(listener)?
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let served = shared.clone();
        let thread = thread::Builder::new().name("loginradius-emulator".into()).spawn(move || {
            runtime.spawn(server::serve(listener, served));
            // Ends when the sender is dropped; dropping the runtime then closes every connection.
            let _ = runtime.block_on(stopped);
        })?;
        Ok(Self { shared, base_url, stop: Some(stop), thread: Some(thread) })
    }

    /// Returns the emulator's base URL, without a slash at the end: `http://127.0.0.1:<port>`.
    #[must_use]
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// Returns the time on the emulator's clock.
    #[must_use]
    pub fn now(&self) -> SystemTime {
        self.shared.lock().clock.now()
    }

    /// Moves the emulator's clock forward. The clock stops at the end of the year 9999.
    ///
    /// The program's clock stays: a client still believes in its access token, until an API responds with 401.
    pub fn advance(&self, by: Duration) {
        self.shared.lock().clock.advance(by);
    }

    /// Approves a device grant, as [`seeded::ADA`] would in a browser. Upper or lower case, spaces and hyphens in
    /// `user_code` do not matter, as on the page (RFC 8628, section 6.1).
    ///
    /// # Errors
    ///
    /// [`ApproveError`] if the grant cannot be approved.
    pub fn approve(&self, user_code: &str) -> Result<(), ApproveError> {
        self.approve_as(user_code, &seeded::ADA)
    }

    /// Approves a device grant as this user, whatever the user's [`Standing`](seeded::Standing) is.
    ///
    /// # Errors
    ///
    /// Those of [`Emulator::approve`].
    pub fn approve_as(&self, user_code: &str, user: &'static User) -> Result<(), ApproveError> {
        self.decide(user_code, Decision::Allowed(user))
    }

    /// Denies a device grant.
    ///
    /// # Errors
    ///
    /// Those of [`Emulator::approve`].
    pub fn deny(&self, user_code: &str) -> Result<(), ApproveError> {
        self.decide(user_code, Decision::Denied)
    }

    fn decide(&self, user_code: &str, decision: Decision) -> Result<(), ApproveError> {
        let user_code = grants::normalize_user_code(user_code);
        let mut state = self.shared.lock();
        let now = state.clock.now();
        state.grants.decide(&user_code, decision, now)
    }

    /// Does what [`seeded::ADA`] would do with the pages at `url`: signs in and, if the page asks for consent, allows
    /// the application. Returns where the browser would be sent, and sends nothing there.
    ///
    /// `url` is a URL of this emulator that an application opens in a browser, for an OAuth login or for a JWT, of
    /// either API. It is checked as the pages check it, at the time of the emulator's clock. An error that is sent to
    /// the application instead of a code is `Ok` too, with the parameter `error`. Faults do not apply, and no request
    /// is recorded.
    ///
    /// ```
    /// use loginradius_emulator::{CodeState, Emulator, seeded};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let emulator = Emulator::start()?;
    /// let link = format!(
    ///     "{}/sso/oauth/redirect?client_id={}&response_type=code&state=af0&redirect_uri={}",
    ///     emulator.base_url(),
    ///     seeded::CLIENT_ID,
    ///     "http%3A%2F%2F127.0.0.1%3A9%2Fcallback",
    /// );
    /// let response = emulator.authorize(&link)?;
    /// assert!(response.url.starts_with("http://127.0.0.1:9/callback?code="));
    /// assert_eq!(response.param("state").as_deref(), Some("af0"));
    ///
    /// // The application would redeem the code now.
    /// let code = emulator.codes().remove(0);
    /// assert_eq!((code.sent, code.state), (0, CodeState::Fresh));
    ///
    /// // The application is notified of an error in the request...
    /// let response = emulator.authorize(&link.replace("type=code", "type=magic"))?;
    /// assert_eq!(response.param("error").as_deref(), Some("invalid_request"));
    /// // ...unless the client or the redirect URI is wrong.
    /// assert!(emulator.authorize(&link.replace("127.0.0.1%3A9", "evil.example")).is_err());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`AuthorizeError`] if the browser would not be sent to the application.
    pub fn authorize(&self, url: &str) -> Result<AuthorizationResponse, AuthorizeError> {
        self.authorize_as(url, &seeded::ADA)
    }

    /// Does what this user would do at `url`; see [`Emulator::authorize`].
    ///
    /// # Errors
    ///
    /// Those of [`Emulator::authorize`], and [`AuthorizeError::MayNotSignIn`] if the user's
    /// [`Standing`](seeded::Standing) is not good.
    pub fn authorize_as(&self, url: &str, user: &'static User) -> Result<AuthorizationResponse, AuthorizeError> {
        authorize::visit(&mut self.shared.lock(), url, user, true)
    }

    /// Signs [`seeded::ADA`] in at `url` and denies the application, which is notified with `access_denied` (RFC 6749,
    /// section 4.1.2.1).
    ///
    /// # Errors
    ///
    /// Those of [`Emulator::authorize`], and [`AuthorizeError::NothingToDeny`] at the URL of a JWT, which asks for no
    /// consent.
    pub fn deny_authorization(&self, url: &str) -> Result<AuthorizationResponse, AuthorizeError> {
        authorize::visit(&mut self.shared.lock(), url, &seeded::ADA, false)
    }

    /// Issues an authorization code, as if [`seeded::ADA`] had signed in in a browser.
    ///
    /// The code expires after 50 seconds and can be redeemed once: by this client, with this redirect URI, and, if
    /// there is a `pkce_challenge`, with its verifier (RFC 7636, method `S256`, which LoginRadius calls `SHA256`). The
    /// redirect URI is not checked.
    #[must_use]
    pub fn issue_code(&self, client_id: &str, redirect_uri: &str, pkce_challenge: Option<&str>) -> String {
        let state = &mut *self.shared.lock();
        let now = state.clock.now();
        let code = AuthorizationCode::new(client_id, redirect_uri, pkce_challenge, None, &seeded::ADA, now);
        state.codes.issue(&mut state.random, code)
    }

    /// Returns the authorization codes that were issued, oldest first. At most the last 10,000 are kept.
    #[must_use]
    pub fn codes(&self) -> Vec<IssuedCode> {
        let state = self.shared.lock();
        state.codes.list(state.clock.now())
    }

    /// Returns the `iss` of authorization responses (RFC 9207): `<base URL>/service/oauth/demo-oauth-app`, the form on
    /// LoginRadius's page "Access Token Claims". Responses contain it if
    /// [`Builder::issuer_in_authorization_response`](crate::Builder::issuer_in_authorization_response) is on.
    ///
    /// The `iss` of JWTs is another one: `<base URL>/`.
    #[must_use]
    pub fn issuer(&self) -> String {
        self.shared.lock().address.issuer()
    }

    /// Returns the public key of a JWT app as PEM, as `GET /keys/{jwtapp}.pem` does. `None` if the app is unknown or
    /// has a secret instead of a key pair.
    #[must_use]
    pub fn jwt_public_key_pem(&self, app: &str) -> Option<&'static str> {
        jws::signer(app)?.app.public_key_pem
    }

    /// Returns the public key of a JWT app as a JWK set (RFC 7517), as `GET /keys/{jwtapp}/jwks` does. `None` if the
    /// app is unknown or has a secret instead of a key pair. The key's `kid` is the app's name; JWTs have no `kid`.
    #[must_use]
    pub fn jwks(&self, app: &str) -> Option<String> {
        jws::signer(app)?.jwks().map(|set| set.to_string())
    }

    /// Signs a JWT with these claims and the key of a JWT app. `claims` is signed as it is, whether it is JSON or not.
    /// The header has `alg` and `typ`, as in LoginRadius's JWTs. `None` if the app is unknown.
    ///
    /// ```
    /// use loginradius_emulator::{Emulator, seeded};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let emulator = Emulator::start()?;
    /// let expired = emulator.sign_jwt(seeded::JWT_APP, r#"{"sub":"x","exp":1}"#);
    /// assert!(expired.is_some_and(|jwt| jwt.starts_with("eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.")));
    /// assert_eq!(emulator.sign_jwt("unknown", "{}"), None);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn sign_jwt(&self, app: &str, claims: &str) -> Option<String> {
        Some(jws::signer(app)?.sign(claims))
    }

    /// Signs a JWT with any header: another `alg`, a `kid`, a `crit`. The signature uses the app's own algorithm,
    /// whatever the header says. `None` if the app is unknown.
    #[must_use]
    pub fn sign_jwt_with_header(&self, app: &str, header: &str, claims: &str) -> Option<String> {
        Some(jws::signer(app)?.sign_with_header(header, claims))
    }

    /// Signs a user in without a request, as if [`seeded::CLIENT_ID`] had sent the user's password to the classic API.
    /// The user's [`Standing`](seeded::Standing) does not matter. Faults do not apply, and no request is recorded.
    ///
    /// At most the last 10,000 logins are kept; the tokens of older ones are refused.
    ///
    /// ```
    /// use loginradius_emulator::{Emulator, seeded};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let emulator = Emulator::start()?;
    /// let logins: Vec<_> = (0..32).map(|_| emulator.login(&seeded::ADA)).collect();
    /// assert_eq!(emulator.live_logins(), 32);
    /// assert!(emulator.is_live_access_token(&logins[0].access_token));
    /// # Ok(())
    /// # }
    /// ```
    pub fn login(&self, user: &'static User) -> TokenResponse {
        let state = &mut *self.shared.lock();
        let now = state.clock.now();
        let (api, client_id) = (Api::Classic, seeded::CLIENT_ID);
        state.tokens.login(&mut state.random, api, client_id, user, Operation::Password, now)
    }

    /// Turns the rotation of refresh tokens on or off. Default: on.
    ///
    /// With rotation, a refresh consumes its refresh token, and the response contains a new one. Without, the response
    /// contains no refresh token, and the one that was sent stays valid for another lifetime. RFC 6749, section 6,
    /// allows both. A refresh token that was consumed before stays consumed.
    pub fn rotate_refresh_tokens(&self, rotate: bool) {
        self.shared.lock().tokens.rotate_refresh_tokens = rotate;
    }

    /// Sets whether a new login gets a refresh token, which is optional in RFC 6749, section 5.1. Default: true. Logins
    /// that have one keep it, and can be refreshed as before.
    ///
    /// ```
    /// use loginradius_emulator::{Emulator, seeded};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let emulator = Emulator::start()?;
    /// emulator.issue_refresh_tokens(false);
    /// assert_eq!(emulator.login(&seeded::ADA).refresh_token, None);
    /// # Ok(())
    /// # }
    /// ```
    pub fn issue_refresh_tokens(&self, issue: bool) {
        self.shared.lock().tokens.issue_refresh_tokens = issue;
    }

    /// Expires every access token issued so far, whatever its lifetime is. Refresh tokens stay valid.
    ///
    /// No client learns of it before an API responds to its access token with 401.
    pub fn expire_access_tokens(&self) {
        self.shared.lock().tokens.expire_access_tokens();
    }

    /// Ends every login with all its tokens, as when an administrator signs all users out. Codes and device grants that
    /// have not been redeemed yet still can be. [`Counters::revocations`] does not count these.
    pub fn end_all_logins(&self) {
        self.shared.lock().tokens.end_all();
    }

    /// Returns the requests to LoginRadius's URLs since the start or since [`Emulator::clear_requests`], oldest first.
    /// At most the last 10,000 are kept.
    #[must_use]
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.shared.lock().requests.all()
    }

    /// Removes the recorded requests.
    pub fn clear_requests(&self) {
        self.shared.lock().requests.clear();
    }

    /// Applies a fault to every request for this operation from now on. It replaces the fault of an earlier call.
    /// Faults queued by [`Emulator::fault_times`] come first.
    pub fn fault(&self, operation: Operation, fault: Fault) {
        self.shared.lock().faults.set(operation, fault);
    }

    /// Applies a fault to the next `times` requests for this operation, after those that are queued already.
    pub fn fault_times(&self, operation: Operation, fault: Fault, times: usize) {
        self.shared.lock().faults.queue(operation, fault, times);
    }

    /// Removes all faults, of every operation.
    pub fn clear_faults(&self) {
        self.shared.lock().faults.clear();
    }

    /// Returns the device grants, oldest first. At most the last 10,000 are kept.
    #[must_use]
    pub fn device_grants(&self) -> Vec<DeviceGrant> {
        let state = self.shared.lock();
        state.grants.list(state.clock.now())
    }

    /// Returns the logins, oldest first, each with its newest tokens. At most the last 10,000 are kept.
    #[must_use]
    pub fn logins(&self) -> Vec<Login> {
        self.shared.lock().tokens.logins()
    }

    /// Returns the live logins of the user with this email address, oldest first.
    #[must_use]
    pub fn live_logins_of(&self, email: &str) -> Vec<Login> {
        let mut logins = self.logins();
        logins.retain(|login| login.live && login.email == email);
        logins
    }

    /// Returns the number of live logins: those that no replay and no revocation has ended.
    #[must_use]
    pub fn live_logins(&self) -> usize {
        self.shared.lock().tokens.live_logins()
    }

    /// Returns whether a refresh token would be accepted now.
    #[must_use]
    pub fn is_live_refresh_token(&self, token: &str) -> bool {
        let state = self.shared.lock();
        state.tokens.is_live_refresh_token(token, state.clock.now())
    }

    /// Returns whether an access token would be accepted now.
    #[must_use]
    pub fn is_live_access_token(&self, token: &str) -> bool {
        let state = self.shared.lock();
        state.tokens.user_of_access_token(token, state.clock.now()).is_ok()
    }

    /// Returns how many refreshes succeeded, those of [`Emulator::grace_refreshes`] included. [`Login::refreshes`]
    /// counts those of one login.
    #[must_use]
    pub fn refreshes(&self) -> u64 {
        self.counters().refreshes
    }

    /// Returns how many refreshes succeeded with a consumed refresh token, within its [grace
    /// period](crate::Builder::refresh_grace).
    #[must_use]
    pub fn grace_refreshes(&self) -> u64 {
        self.counters().grace_refreshes
    }

    /// Returns the consumed refresh tokens that were sent again after any grace period, in the order of the requests.
    /// At most the last 10,000 are kept.
    #[must_use]
    pub fn replayed(&self) -> Vec<Replay> {
        self.shared.lock().tokens.replayed()
    }

    /// Returns how many consumed refresh tokens were sent again after any grace period. [`Login::replays`] counts
    /// those of one login, [`Emulator::replayed`] lists them.
    #[must_use]
    pub fn replays(&self) -> u64 {
        self.counters().replays
    }

    /// Returns how often things have happened since the start.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.shared.lock().counters()
    }

    /// Returns the [`seeded`] users.
    #[must_use]
    pub fn users(&self) -> &'static [User] {
        seeded::USERS
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // If the thread had panicked, requests would have failed already.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Emulator {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Emulator").field("base_url", &self.base_url).finish_non_exhaustive()
    }
}
