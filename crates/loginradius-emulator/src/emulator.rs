//! The emulator as a test holds it: what a user does, what goes wrong, and what has happened.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

use tokio::sync::oneshot;

use crate::authorization_code::{AuthorizationCode, IssuedCode};
use crate::authorization_response::Landing;
use crate::authorize::{self, AuthorizeError};
use crate::config::Config;
use crate::fault::Fault;
use crate::grants::{self, ApproveError, Decision, DeviceGrant};
use crate::jws;
use crate::operation::{Family, Operation};
use crate::recorded::Recorded;
use crate::seeded::{self, User};
use crate::server;
use crate::state::{Counters, Shared, State};
use crate::tokens::{Replay, SignIn, TokenAnswer};

/// A running emulator. It serves from a thread of its own, so it can be used from blocking and from async code, and
/// it stops when it is dropped.
///
/// See the [crate's documentation](crate) for an example.
pub struct Emulator {
    shared: Shared,
    base_url: String,
    /// Taken when it is dropped: the server stops when the sender is gone.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Emulator {
    /// Starts one with these settings.
    pub(crate) fn run(config: Config) -> io::Result<Self> {
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

    /// Its address, without a slash at the end: `http://127.0.0.1:<port>`.
    #[must_use]
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// The time on its clock.
    #[must_use]
    pub fn now(&self) -> SystemTime {
        self.shared.lock().clock.now()
    }

    /// Moves its clock forward. The clock stops at the end of the year 9999.
    pub fn advance(&self, by: Duration) {
        self.shared.lock().clock.advance(by);
    }

    /// Allows a device, as [`seeded::ADA`] would in a browser. The code may be typed as people type: case, spaces and
    /// the hyphen do not matter.
    ///
    /// # Errors
    ///
    /// [`ApproveError`] says why the code cannot be decided.
    pub fn approve(&self, user_code: &str) -> Result<(), ApproveError> {
        self.approve_as(user_code, &seeded::ADA)
    }

    /// Allows a device as another user; her standing does not matter here.
    ///
    /// # Errors
    ///
    /// Those of [`Emulator::approve`].
    pub fn approve_as(&self, user_code: &str, user: &'static User) -> Result<(), ApproveError> {
        self.decide(user_code, Decision::Allowed(user))
    }

    /// Denies a device.
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

    /// What [`seeded::ADA`] does with the pages at such an address: she signs in and, if she is asked, allows it. It says
    /// where her browser is sent, and sends nothing there.
    ///
    /// `url` is an address of this emulator, as an application has its users open it: that of a sign-in or of a JWT, in
    /// either family. It is looked at as the pages do, at this time of the emulator's clock, and what is told to the
    /// application instead of a code is `Ok` too, with `error`. Faults leave it alone, and no request is recorded.
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
    /// let landing = emulator.authorize(&link)?;
    /// assert!(landing.url.starts_with("http://127.0.0.1:9/callback?code="));
    /// assert_eq!(landing.param("state").as_deref(), Some("af0"));
    ///
    /// // The application would send the code now.
    /// let code = emulator.codes().remove(0);
    /// assert_eq!((code.sent, code.state), (0, CodeState::Fresh));
    ///
    /// // What is wrong with a request is told to the application...
    /// let landing = emulator.authorize(&link.replace("type=code", "type=magic"))?;
    /// assert_eq!(landing.param("error").as_deref(), Some("invalid_request"));
    /// // ...unless nobody knows whose it is, or where it wants to go.
    /// assert!(emulator.authorize(&link.replace("127.0.0.1%3A9", "evil.example")).is_err());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`AuthorizeError`] says why the browser would not be sent anywhere.
    pub fn authorize(&self, url: &str) -> Result<Landing, AuthorizeError> {
        self.authorize_as(url, &seeded::ADA)
    }

    /// What another user does there.
    ///
    /// # Errors
    ///
    /// Those of [`Emulator::authorize`]; [`AuthorizeError::MayNotSignIn`] if her [`Standing`](seeded::Standing) is not
    /// good.
    pub fn authorize_as(&self, url: &str, user: &'static User) -> Result<Landing, AuthorizeError> {
        authorize::visit(&mut self.shared.lock(), url, user, true)
    }

    /// What [`seeded::ADA`] does who signs in there and denies it: the application is told `access_denied`.
    ///
    /// # Errors
    ///
    /// Those of [`Emulator::authorize`]; [`AuthorizeError::NothingToDeny`] at the address of a JWT, which asks nobody.
    pub fn deny_authorization(&self, url: &str) -> Result<Landing, AuthorizeError> {
        authorize::visit(&mut self.shared.lock(), url, &seeded::ADA, false)
    }

    /// An authorization code, as if [`seeded::ADA`] had signed in in a browser, without an address that asks for it. It
    /// lives 50 seconds and can be exchanged once, by this client, with this redirect URI, and with the verifier of
    /// `pkce_challenge` (method `S256` of RFC 7636, which LoginRadius calls `SHA256`) if there is one.
    #[must_use]
    pub fn issue_code(&self, client_id: &str, redirect_uri: &str, pkce_challenge: Option<&str>) -> String {
        let state = &mut *self.shared.lock();
        let now = state.clock.now();
        let code = AuthorizationCode::new(client_id, redirect_uri, pkce_challenge, None, &seeded::ADA, now);
        state.codes.issue(&mut state.random, code)
    }

    /// The authorization codes that were issued, oldest first. At most the last 10,000 are kept.
    #[must_use]
    pub fn codes(&self) -> Vec<IssuedCode> {
        let state = self.shared.lock();
        state.codes.list(state.clock.now())
    }

    /// What the answer to an authorization has as `iss`, if
    /// [it has one](crate::Builder::issuer_in_authorization_response) (RFC 9207):
    /// `<address>/service/oauth/demo-oauth-app`, the form that LoginRadius's page "Access Token Claims" shows.
    #[must_use]
    pub fn issuer(&self) -> String {
        self.shared.lock().address.issuer()
    }

    /// The public key of a JWT app, as `GET /keys/{jwtapp}.pem` gives it. `None` if the app is unknown or has a secret
    /// instead.
    #[must_use]
    pub fn jwt_public_key_pem(&self, app: &str) -> Option<&'static str> {
        jws::signer(app)?.app.public_key_pem
    }

    /// The public key of a JWT app as a JWK set (RFC 7517), as `GET /keys/{jwtapp}/jwks` gives it. `None` if the app is
    /// unknown or has a secret instead. Its `kid` is the app's name, which the JWTs do not have.
    #[must_use]
    pub fn jwks(&self, app: &str) -> Option<String> {
        jws::signer(app)?.jwks().map(|set| set.to_string())
    }

    /// A JWT with these claims, signed with the key of a JWT app. The claims are signed as they are, whether JSON or not.
    /// The header has `alg` and `typ`, as LoginRadius's JWTs have. `None` if the app is unknown.
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

    /// The same with a header of any kind: another `alg`, a `kid`, a `crit`. The signature is the one of the app's own
    /// algorithm whatever the header says.
    #[must_use]
    pub fn sign_jwt_with_header(&self, app: &str, header: &str, claims: &str) -> Option<String> {
        Some(jws::signer(app)?.sign_with_header(header, claims))
    }

    /// Signs a user in without a request, as if she had sent her password with [`seeded::CLIENT_ID`] to the classic
    /// address; her standing does not matter here. Faults leave it alone, and no request is recorded.
    ///
    /// At most the last 10,000 sign-ins are kept; the tokens of older ones are refused.
    ///
    /// ```
    /// use loginradius_emulator::{Emulator, seeded};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let emulator = Emulator::start()?;
    /// let sessions: Vec<_> = (0..32).map(|_| emulator.sign_in(&seeded::ADA)).collect();
    /// assert_eq!(emulator.live_families(), 32);
    /// assert!(emulator.is_live_access_token(&sessions[0].access_token));
    /// # Ok(())
    /// # }
    /// ```
    pub fn sign_in(&self, user: &'static User) -> TokenAnswer {
        let state = &mut *self.shared.lock();
        let now = state.clock.now();
        let (family, client_id) = (Family::Classic, seeded::CLIENT_ID);
        state.tokens.sign_in(&mut state.random, family, client_id, user, Operation::Password, now)
    }

    /// Whether a refresh is answered with a new refresh token, and spends the one that was sent. It is, until this is
    /// called with `false`: then a refresh is answered without a refresh token, and the one that was sent remains good
    /// for another lifetime (RFC 6749, section 6, leaves the choice to the server). What was spent before remains
    /// spent.
    pub fn rotate_refresh_tokens(&self, rotate: bool) {
        self.shared.lock().tokens.rotate = rotate;
    }

    /// Whether a sign-in is answered with a refresh token. It is, until this is called with `false`; RFC 6749,
    /// section 5.1, has it optional. Sign-ins that have one keep it, and refreshing them stays as it is.
    ///
    /// ```
    /// use loginradius_emulator::{Emulator, seeded};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let emulator = Emulator::start()?;
    /// emulator.issue_refresh_tokens(false);
    /// assert_eq!(emulator.sign_in(&seeded::ADA).refresh_token, None);
    /// # Ok(())
    /// # }
    /// ```
    pub fn issue_refresh_tokens(&self, issue: bool) {
        self.shared.lock().tokens.issue = issue;
    }

    /// Every access token that is out is expired from now on, whatever its lifetime; refresh tokens live on.
    pub fn expire_access_tokens(&self) {
        self.shared.lock().tokens.expire_access_tokens();
    }

    /// Ends every sign-in with all its tokens, as when an administrator signs everybody out. Codes and device grants
    /// that have not become tokens yet still can. [`Counters::revocations`] does not count it.
    pub fn revoke_everything(&self) {
        self.shared.lock().tokens.end_all();
    }

    /// The requests to the API since the start or since [`Emulator::clear_requests`], oldest first. At most the last
    /// 10,000 are kept.
    #[must_use]
    pub fn requests(&self) -> Vec<Recorded> {
        self.shared.lock().requests.all()
    }

    /// Forgets the requests.
    pub fn clear_requests(&self) {
        self.shared.lock().requests.clear();
    }

    /// From now on, this goes wrong with every request for that operation. It replaces what an earlier call set, and
    /// leaves alone what [`Emulator::fault_times`] has lined up, which goes first.
    pub fn fault(&self, operation: Operation, fault: Fault) {
        self.shared.lock().faults.set(operation, fault);
    }

    /// This goes wrong with the next `times` requests for that operation, after what was lined up before.
    pub fn fault_times(&self, operation: Operation, fault: Fault, times: usize) {
        self.shared.lock().faults.queue(operation, fault, times);
    }

    /// Nothing goes wrong any more.
    pub fn clear_faults(&self) {
        self.shared.lock().faults.clear();
    }

    /// The device grants, oldest first. At most the last 10,000 are kept.
    #[must_use]
    pub fn device_grants(&self) -> Vec<DeviceGrant> {
        let state = self.shared.lock();
        state.grants.list(state.clock.now())
    }

    /// The sign-ins, oldest first, each with its newest tokens. At most the last 10,000 are kept.
    #[must_use]
    pub fn sign_ins(&self) -> Vec<SignIn> {
        self.shared.lock().tokens.sign_ins()
    }

    /// The sign-ins of the user with that email address that have not been ended.
    #[must_use]
    pub fn sessions_of(&self, email: &str) -> Vec<SignIn> {
        let mut sign_ins = self.sign_ins();
        sign_ins.retain(|sign_in| sign_in.live && sign_in.email == email);
        sign_ins
    }

    /// How many sign-ins have not been ended, by a replay or by revoking.
    #[must_use]
    pub fn live_families(&self) -> usize {
        self.shared.lock().tokens.live_sign_ins()
    }

    /// Whether a refresh token would be accepted now.
    #[must_use]
    pub fn is_live_refresh_token(&self, token: &str) -> bool {
        let state = self.shared.lock();
        state.tokens.is_live_refresh_token(token, state.clock.now())
    }

    /// Whether an access token would be accepted now.
    #[must_use]
    pub fn is_live_access_token(&self, token: &str) -> bool {
        let state = self.shared.lock();
        state.tokens.user_of_access_token(token, state.clock.now()).is_ok()
    }

    /// How many refreshes were answered with tokens, the [`graced`](Emulator::graced) ones included.
    /// [`SignIn::refreshes`] has those of one sign-in.
    #[must_use]
    pub fn refreshes(&self) -> u64 {
        self.counters().refreshes
    }

    /// How many refreshes were answered although their token was spent, since its
    /// [grace period](crate::Builder::refresh_grace) was running.
    #[must_use]
    pub fn graced(&self) -> u64 {
        self.counters().graced
    }

    /// The spent refresh tokens that were sent again out of any grace period, in the order in which they came. At most
    /// the last 10,000 are kept.
    #[must_use]
    pub fn replayed(&self) -> Vec<Replay> {
        self.shared.lock().tokens.replayed()
    }

    /// How many spent refresh tokens were sent again out of any grace period. [`SignIn::replays`] has those of one
    /// sign-in, [`Emulator::replayed`] has each.
    #[must_use]
    pub fn replays(&self) -> u64 {
        self.counters().replays
    }

    /// How often things happened since the start.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.shared.lock().counters()
    }

    /// The seeded users.
    #[must_use]
    pub fn users(&self) -> &'static [User] {
        seeded::USERS
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // Had it panicked, its requests would have failed already.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Emulator {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Emulator").field("base_url", &self.base_url).finish_non_exhaustive()
    }
}
