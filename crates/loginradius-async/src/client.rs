use std::error::Error as StdError;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use http::{Request, Response};
use loginradius_proto::browser::{
    AuthorizationRequest, Authorized, BrowserLogin, BrowserRequest, Callback, Pending, PendingLogin, RandomBytes,
};
use loginradius_proto::session::Now;
use loginradius_proto::{App, Body, Call, Endpoint, Error, Flow, Retry, Seed, SendOptions, Step, TokenSet};

use crate::driver::no_thread;
use crate::receiver::LoopbackReceiver;
use crate::timer;
use crate::transport::Transport;

/// A client of one LoginRadius app. Cloning it is cheap, and the clones share their connections.
#[derive(Debug, Clone)]
pub struct Client {
    inner: Arc<Inner>,
    /// How long one operation may take as a whole.
    within: Option<Duration>,
}

#[derive(Debug)]
struct Inner {
    app: App,
    transport: Transport,
    timeout: Duration,
    retry: Retry,
}

impl Client {
    pub(crate) fn with(app: App, transport: Transport, timeout: Duration, retry: Retry) -> Self {
        Self { inner: Arc::new(Inner { app, transport, timeout, retry }), within: None }
    }

    pub(crate) fn timeout(&self) -> Duration {
        self.inner.timeout
    }

    pub(crate) fn retry(&self) -> Retry {
        self.inner.retry
    }

    /// Returns the app that this client speaks for.
    #[must_use]
    pub fn app(&self) -> &App {
        &self.inner.app
    }

    /// Returns this client with a time for each of its operations as a whole, retries and waits included. By default
    /// each has its own ([how long it takes](crate#how-long-it-takes)).
    ///
    /// | when the time is over | the operation |
    /// | --- | --- |
    /// | A request is under way, and is not the poll of a device login. | fails with [`ErrorKind::OutcomeUnknown`](crate::ErrorKind::OutcomeUnknown), or [`ErrorKind::NotSent`](crate::ErrorKind::NotSent) if it was certainly not sent |
    /// | The next attempt would begin later. | fails at once with the last attempt's error |
    /// | Nothing was sent, no callback came, or the user of a [`device_login`](Self::device_login) has not decided. | fails with [`ErrorKind::DeadlineExceeded`](crate::ErrorKind::DeadlineExceeded) |
    ///
    /// The time does not limit [`run`](Self::run), [`send`](Self::send),
    /// [`DeviceLogin::wait`](crate::DeviceLogin::wait), which has [a time of its own](crate::DeviceLogin::within), and
    /// the sessions of this client, which have [theirs](crate::Session::within). It limits
    /// [`browser_login`](Self::browser_login) and [`device_login`](Self::device_login) as a whole.
    ///
    /// ```no_run
    /// use std::time::Duration;
    /// use loginradius_async::{App, Client, jwt::JwtByAccessToken};
    ///
    /// # async fn example() -> Result<(), loginradius_async::Error> {
    /// let client = Client::new(App::new("my-api-key").with_jwt_app("my-jwt-app"))?;
    /// let jwt = client.within(Duration::from_secs(3)).call(&JwtByAccessToken::new("b8cb84c9")).await?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    #[doc(alias = "deadline")]
    pub fn within(&self, time: Duration) -> Self {
        Self { inner: Arc::clone(&self.inner), within: Some(time) }
    }

    /// Calls one operation, retrying where that is safe. [`Retry`] says how often and when. It takes at most 30 s by
    /// default, whatever the server does: the client's timeout or [`Retry::max_time`], whichever is longer.
    ///
    /// - [`ErrorKind::NotSent`](crate::ErrorKind::NotSent): every operation is sent again.
    /// - [`ErrorKind::OutcomeUnknown`](crate::ErrorKind::OutcomeUnknown),
    ///   [`ErrorKind::InvalidResponse`](crate::ErrorKind::InvalidResponse), a server or a proxy that does not work
    ///   (HTTP 3xx, 408, 429 or 5xx), and LoginRadius's `server_error` and `temporarily_unavailable`: only a
    ///   [repeatable](Endpoint::repeatable) operation is sent again. One with a code, a password or a refresh token is
    ///   not.
    ///
    /// ```no_run
    /// use loginradius_async::{App, Client, oauth::RefreshAccessToken};
    ///
    /// # async fn example() -> Result<(), loginradius_async::Error> {
    /// let client = Client::new(App::new("my-api-key").with_client_secret("my-api-secret"))?;
    /// let tokens = client.call(&RefreshAccessToken::new("a795bbb0-5868-4079-a45b-606ad8aeee80")).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// What LoginRadius said, or what became of the request: see [`Error::kind`].
    /// [`ErrorKind::Misuse`](crate::ErrorKind::Misuse) if the request's host is not one of the app's
    /// [`Service`](crate::Service); nothing is sent then.
    pub async fn call<E: Endpoint>(&self, endpoint: &E) -> Result<E::Response, Error> {
        self.call_by(endpoint, self.deadline()).await
    }

    pub(crate) async fn call_by<E: Endpoint>(
        &self,
        endpoint: &E,
        deadline: Option<Instant>,
    ) -> Result<E::Response, Error> {
        let call = Call::new(endpoint, self.app(), seed()).retry(self.retry()).timeout(self.timeout());
        self.run(call.deadline(deadline)).await
    }

    /// Begins a login through a browser: makes the address to open, and the pending login to keep until the
    /// callback comes. State, PKCE and nonce are made from the operating system's random bytes.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) if a setting is missing or cannot be used, or if
    /// the operating system gives no random bytes.
    #[doc(alias("begin", "authorize", "pkce"))]
    pub fn begin_browser_login<R: BrowserRequest>(&self, request: &R) -> Result<BrowserLogin<R::Pending>, Error> {
        let mut bytes = [0; RandomBytes::LENGTH];
        getrandom::fill(&mut bytes)
            .map_err(|error| Error::configuration(format!("the operating system gives no random bytes: {error}")))?;
        request.begin(self.app(), &RandomBytes::new(bytes)?, Now::new(Instant::now(), SystemTime::now()))
    }

    /// Completes a login through a browser by its callback: checks it, and exchanges its code. Neither is done twice
    /// for one pending login, so that this cannot be repeated.
    ///
    /// ```no_run
    /// use loginradius_async::browser::{AuthorizationRequest, Callback};
    /// use loginradius_async::{App, Client};
    ///
    /// # async fn sign_in(query: &str) -> Result<(), loginradius_async::Error> {
    /// let client = Client::new(App::new("my-api-key").with_client_secret("my-api-secret"))?;
    /// let request = AuthorizationRequest::new("https://app.example/callback").scope("profile");
    /// let mut login = client.begin_browser_login(&request)?;
    /// // Redirect the browser to `login.url`. When it comes back:
    /// let tokens = client.complete_browser_login(&mut login.pending, &Callback::from_query(query)?).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`Pending::accept`], then those of [`call`](Self::call):
    ///
    /// - [`ErrorKind::StateMismatch`](crate::ErrorKind::StateMismatch): the callback is not this login's. The pending
    ///   login is as it was: put it back where you keep it.
    /// - Any other error: the callback is consumed, and the code may be. Begin a new login, even if the error
    ///   [is transient](Error::is_transient).
    pub async fn complete_browser_login(
        &self,
        pending: &mut PendingLogin,
        callback: &Callback,
    ) -> Result<TokenSet, Error> {
        self.redeem(pending.accept(callback, Now::new(Instant::now(), SystemTime::now()))?, self.deadline()).await
    }

    /// Signs in on a desktop: opens LoginRadius's page by `open`, waits for the callback at the receiver, and
    /// exchanges its code.
    ///
    /// ```no_run
    /// use loginradius_async::browser::AuthorizationRequest;
    /// use loginradius_async::{App, Client, LoopbackReceiver};
    ///
    /// # async fn sign_in() -> Result<(), loginradius_async::Error> {
    /// let client = Client::new(App::new("my-client-id"))?;
    /// let receiver = LoopbackReceiver::bind(8400, "/callback")?;
    /// let request = AuthorizationRequest::new(receiver.redirect_uri()).scope("profile");
    /// let login = client.browser_login(receiver, &request, |url| {
    ///     println!("Open {url}");
    ///     Ok(())
    /// });
    /// let tokens = login.await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Denied`](crate::ErrorKind::Denied), [`ErrorKind::Expired`](crate::ErrorKind::Expired),
    /// [`ErrorKind::DeadlineExceeded`](crate::ErrorKind::DeadlineExceeded) by [`within`](Self::within), and what else
    /// [`LoopbackReceiver::receive`] and [`call`](Self::call) can say;
    /// [`ErrorKind::Misuse`](crate::ErrorKind::Misuse) if the callback goes to another address than the receiver's. If
    /// `open` fails, the callback is not waited for: the error is
    /// [`ErrorKind::Cancelled`](crate::ErrorKind::Cancelled), and its source is that of `open`. After any of these,
    /// begin a new login.
    pub async fn browser_login(
        &self,
        receiver: LoopbackReceiver,
        request: &AuthorizationRequest,
        open: impl FnOnce(&str) -> Result<(), Box<dyn StdError + Send + Sync>>,
    ) -> Result<TokenSet, Error> {
        if request.redirect_uri() != receiver.redirect_uri() {
            return Err(Error::misuse(
                "the request's redirect URI is not the receiver's: take it from `LoopbackReceiver::redirect_uri`",
            ));
        }
        let deadline = self.deadline();
        let mut login = self.begin_browser_login(request)?;
        open(&login.url).map_err(|error| {
            Error::cancelled(
                "the page was not opened, as the program's `open` failed: look at the error that `source()` returns",
            )
            .with_source(error)
        })?;
        self.redeem(receiver.receive_by(&mut login.pending, deadline).await?, deadline).await
    }

    async fn redeem(&self, mut authorized: Authorized, deadline: Option<Instant>) -> Result<TokenSet, Error> {
        let tokens = authorized.tokens.take();
        match authorized.exchange() {
            Some(exchange) => self.call_by(&exchange, deadline).await,
            None => tokens.ok_or_else(|| {
                Error::misuse("only an `id_token` was requested, which gives no access: read it with `Pending::accept`")
            }),
        }
    }

    /// Drives a flow to its end, over [`send`](Self::send). It takes as long as the flow says, whatever
    /// [`within`](Self::within) is.
    ///
    /// # Errors
    ///
    /// The flow's own. A flow of an app at another address than this client's fails with
    /// [`ErrorKind::Misuse`](crate::ErrorKind::Misuse).
    pub async fn run<F: Flow>(&self, mut flow: F) -> Result<F::Output, Error> {
        self.drive(&mut flow).await
    }

    pub(crate) async fn drive<F: Flow>(&self, flow: &mut F) -> Result<F::Output, Error> {
        loop {
            let next = match self.step(flow) {
                ControlFlow::Continue(next) => next,
                ControlFlow::Break(result) => return result,
            };
            match next {
                Next::Outcome(sending) => flow.receive(sending.await, Instant::now()),
                Next::Instant(until) => timer::sleep_until(until).await.map_err(cannot_wait)?,
            }
        }
    }

    /// Does the next step of a flow. Returns what to await, or the flow's result.
    ///
    /// The future that awaits a response is in memory of its own. Otherwise the login's future would have room for it
    /// even while it waits for the user.
    pub(crate) fn step<F: Flow>(&self, flow: &mut F) -> ControlFlow<Result<F::Output, Error>, Next> {
        match flow.step(Instant::now()) {
            Step::Send { request, options } => {
                let outcome = self.inner.transport.send(self.app(), request, options);
                ControlFlow::Continue(Next::Outcome(Box::pin(outcome)))
            }
            Step::Wait(until) => ControlFlow::Continue(Next::Instant(until)),
            Step::Done(result) => ControlFlow::Break(result),
        }
    }

    /// Sends one request of a [`Flow`] that you drive yourself.
    ///
    /// It ends by [`SendOptions::deadline`], and takes no longer than this client's timeout.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotSent`](crate::ErrorKind::NotSent) or
    /// [`ErrorKind::OutcomeUnknown`](crate::ErrorKind::OutcomeUnknown). A response is not an error, whatever its
    /// status. [`ErrorKind::Misuse`](crate::ErrorKind::Misuse) if the request goes to another address than this
    /// client's.
    pub async fn send(&self, request: Request<Body>, options: SendOptions) -> Result<Response<Body>, Error> {
        self.inner.transport.send(self.app(), request, options).await
    }

    /// Returns when an operation that begins now has to end.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.within.and_then(|time| Instant::now().checked_add(time))
    }
}

/// What a flow waits for.
pub(crate) enum Next {
    Outcome(Pin<Box<dyn Future<Output = Result<Response<Body>, Error>> + Send>>),
    Instant(Instant),
}

/// Creates the error of a flow that cannot wait for its next request.
pub(crate) fn cannot_wait(error: io::Error) -> Error {
    no_thread("to wait", error)
}

/// Draws a seed for the jitter of a flow.
pub(crate) fn seed() -> Seed {
    Seed(RandomState::new().hash_one(()))
}
