use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use http::{Request, Response};
use loginradius_proto::browser::{
    AuthorizationRequest, Authorized, BrowserRequest, BrowserSignIn, Callback, Pending, PendingSignIn,
};
use loginradius_proto::oauth::{DeviceGrant, RequestDeviceCode};
use loginradius_proto::{App, Body, Call, DeviceFlow, Endpoint, Error, Flow, Retry, SendOptions, Step, TokenSet};

use crate::receiver::LoopbackReceiver;
use crate::transport::Transport;

/// A client of one LoginRadius app. Cloning it is cheap, and the clones share their connections.
#[derive(Debug, Clone)]
pub struct Client(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    app: App,
    transport: Transport,
    timeout: Duration,
    retry: Retry,
}

impl Client {
    pub(crate) fn with(app: App, transport: Transport, timeout: Duration, retry: Retry) -> Self {
        Self(Arc::new(Inner { app, transport, timeout, retry }))
    }

    pub(crate) fn timeout(&self) -> Duration {
        self.0.timeout
    }

    pub(crate) fn retry(&self) -> Retry {
        self.0.retry
    }

    /// The app that this client speaks for.
    #[must_use]
    pub fn app(&self) -> &App {
        &self.0.app
    }

    /// Calls one operation, and again where that is safe (see [`Retry`]).
    ///
    /// ```no_run
    /// use loginradius_async::{App, Client, oauth::RefreshAccessToken};
    ///
    /// # async fn refresh() -> Result<(), loginradius_async::Error> {
    /// let client = Client::new(App::new("my-api-key").client_secret("my-api-secret"))?;
    /// let tokens = client.call(&RefreshAccessToken::new("a795bbb0-5868-4079-a45b-606ad8aeee80")).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// What LoginRadius said, or what became of the request: see [`Error::kind`].
    pub async fn call<E: Endpoint>(&self, endpoint: &E) -> Result<E::Response, Error> {
        self.run(Call::new(endpoint, self.app(), seed()).retry(self.0.retry).timeout(self.0.timeout)).await
    }

    /// Signs in a device: asks for a code, hands it to `prompt` to be shown, and polls until the person
    /// has decided. An empty scope is left out.
    ///
    /// It goes on for as long as the code lives, half an hour as LoginRadius documents it. Drop the
    /// future to stop earlier.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Denied`](crate::ErrorKind::Denied), [`ErrorKind::Expired`](crate::ErrorKind::Expired),
    /// or what [`call`](Self::call) can say of the first request.
    pub async fn device_login(&self, scope: &str, prompt: impl FnOnce(&DeviceGrant)) -> Result<TokenSet, Error> {
        let asked = Instant::now();
        let grant = self.call(&RequestDeviceCode::new().scope(scope)).await?;
        let arrived = Instant::now();
        let flow = DeviceFlow::new(self.app(), &grant, arrived, seed())
            .round_trip(arrived.duration_since(asked), arrived)
            .timeout(self.0.timeout);
        prompt(&grant);
        self.run(flow).await
    }

    /// Begins a sign-in through a browser: makes the address to open, and the pending sign-in to keep until the
    /// callback comes. State, PKCE and nonce are made from the operating system's random bytes.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Settings`](crate::ErrorKind::Settings) if a setting is missing or cannot be used, or if the
    /// operating system gives no random bytes.
    pub fn begin<R: BrowserRequest>(&self, request: &R) -> Result<BrowserSignIn<R::Pending>, Error> {
        let mut random = [0; 96];
        getrandom::fill(&mut random)
            .map_err(|error| Error::settings(format!("the operating system gives no random bytes: {error}")))?;
        request.begin(self.app(), &random, SystemTime::now())
    }

    /// From the callback of a sign-in to its tokens: checks it, and exchanges its code. Neither is done twice for
    /// one pending sign-in, whatever happens.
    ///
    /// ```no_run
    /// use loginradius_async::browser::{AuthorizationRequest, Callback};
    /// use loginradius_async::{App, Client};
    ///
    /// # async fn sign_in(query: &str) -> Result<(), loginradius_async::Error> {
    /// let client = Client::new(App::new("my-api-key").client_secret("my-api-secret"))?;
    /// let mut sign_in = client.begin(&AuthorizationRequest::new("https://app.example/callback").scope("profile"))?;
    /// // Redirect the browser to `sign_in.url`. When it comes back:
    /// let tokens = client.complete(&mut sign_in.pending, &Callback::from_query(query)?).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`Pending::accept`], of which [`ErrorKind::Unrelated`](crate::ErrorKind::Unrelated) leaves the
    /// pending sign-in as it was; then those of [`call`](Self::call).
    pub async fn complete(&self, pending: &mut PendingSignIn, callback: &Callback) -> Result<TokenSet, Error> {
        self.redeem(pending.accept(callback, SystemTime::now())?).await
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
    /// let tokens = client.browser_login(receiver, &request, |url| println!("Open {url}")).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Denied`](crate::ErrorKind::Denied), [`ErrorKind::Expired`](crate::ErrorKind::Expired) and
    /// what else [`LoopbackReceiver::receive`] and [`call`](Self::call) can say;
    /// [`ErrorKind::Settings`](crate::ErrorKind::Settings) if the callback goes to another address than the
    /// receiver's.
    pub async fn browser_login(
        &self,
        receiver: LoopbackReceiver,
        request: &AuthorizationRequest,
        open: impl FnOnce(&str),
    ) -> Result<TokenSet, Error> {
        if request.redirect_uri() != receiver.redirect_uri() {
            return Err(Error::settings(
                "the request's redirect address is not the receiver's: take it from `LoopbackReceiver::redirect_uri`",
            ));
        }
        let mut sign_in = self.begin(request)?;
        open(&sign_in.url);
        self.redeem(receiver.receive(&mut sign_in.pending).await?).await
    }

    async fn redeem(&self, mut authorized: Authorized) -> Result<TokenSet, Error> {
        let tokens = authorized.tokens.take();
        match authorized.exchange() {
            Some(exchange) => self.call(&exchange).await,
            None => tokens.ok_or_else(|| {
                Error::settings("an `id_token` alone was asked for, which is no access: read it by `Pending::accept`")
            }),
        }
    }

    /// Drives a flow to its end, over [`send`](Self::send).
    ///
    /// # Errors
    ///
    /// The flow's own. A flow of an app at another address than this client's is refused.
    pub async fn run<F: Flow>(&self, mut flow: F) -> Result<F::Output, Error> {
        loop {
            match flow.step(Instant::now()) {
                Step::Send { request, options } => {
                    let outcome = self.send(request, options).await;
                    flow.receive(outcome, Instant::now());
                }
                Step::Wait(until) => tokio::time::sleep_until(until.into()).await,
                Step::Done(result) => return result,
            }
        }
    }

    /// Sends one request of a [`Flow`] that you drive yourself, to stop it early or to show what it does.
    ///
    /// It ends by [`SendOptions::deadline`], and takes no longer than this client's timeout.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotSent`](crate::ErrorKind::NotSent) or [`ErrorKind::Lost`](crate::ErrorKind::Lost); an
    /// answer is none, whatever its status. [`ErrorKind::Settings`](crate::ErrorKind::Settings) if the
    /// request goes to another address than this client's.
    pub async fn send(&self, request: Request<Body>, options: SendOptions) -> Result<Response<Body>, Error> {
        self.0.transport.send(&self.0.app, request, options).await
    }
}

/// A seed for the jitter of a flow.
pub(crate) fn seed() -> u64 {
    RandomState::new().hash_one(())
}
