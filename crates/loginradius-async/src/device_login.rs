use std::error::Error as StdError;
use std::fmt;
use std::ops::ControlFlow;
use std::time::{Duration, Instant, SystemTime};

use loginradius_proto::oauth::{DeviceGrant, RequestDeviceCode};
use loginradius_proto::{DeviceFlow, DeviceProgress, Error, Flow, PendingDevice, TokenSet};

use crate::client::{Client, Next, cannot_wait, seed};
use crate::timer;

/// A device login that has begun: show its code to the user, then wait for the user's decision.
///
/// ```no_run
/// use loginradius_async::{App, Client, DeviceProgress, oauth::RequestDeviceCode};
///
/// # async fn login() -> Result<(), loginradius_async::Error> {
/// let client = Client::new(App::new("my-client-id").with_oauth_app("my-oauth-app"))?;
/// let login = client.begin_device_login(&RequestDeviceCode::new().scope("email profile")).await?;
/// println!("Open {} and enter {}", login.grant().verification_uri, login.grant().user_code);
///
/// let login = login.on_progress(|progress| match progress {
///     DeviceProgress::Retrying { error, .. } => eprintln!("trying again: {error}"),
///     _ => {}
/// });
/// let tokens = login.wait().await?; // to cancel it, drop the future
/// # Ok(())
/// # }
/// ```
#[must_use = "a login that is not waited for yields no tokens"]
pub struct DeviceLogin {
    client: Client,
    flow: DeviceFlow,
    /// How long to wait for the user's decision.
    within: Option<Duration>,
    on_progress: Option<OnProgress>,
}

type OnProgress = Box<dyn FnMut(&DeviceProgress) + Send>;

impl DeviceLogin {
    fn new(client: Client, flow: DeviceFlow) -> Self {
        Self { client, flow, within: None, on_progress: None }
    }

    /// Returns what to show the user: the address and the code.
    #[must_use]
    pub fn grant(&self) -> &DeviceGrant {
        self.flow.grant()
    }

    /// Sets a callback for each response that decides nothing yet, and for each failure. It must not block.
    pub fn on_progress(mut self, on_progress: impl FnMut(&DeviceProgress) + Send + 'static) -> Self {
        self.on_progress = Some(Box::new(on_progress));
        self
    }

    /// Sets how long to [wait](Self::wait) for the user's decision, from when the wait begins. By default it is as long
    /// as the code is valid, whatever [`Client::within`] is.
    ///
    /// The code stays valid: store [`pending`](Self::pending) beforehand to resume later.
    #[doc(alias = "deadline")]
    pub fn within(self, time: Duration) -> Self {
        Self { within: Some(time), ..self }
    }

    /// Returns the login as it stands, to be stored by [`PendingDevice::to_json`] and
    /// [resumed](Client::resume_device_login) later, in another process too.
    ///
    /// The stored text holds the device code, a secret: with it, anyone can fetch the tokens. Resume it in one process
    /// only: of two that poll with one code, only one gets the tokens. Delete it when the login has ended.
    #[must_use]
    pub fn pending(&self) -> PendingDevice {
        self.flow.pending(Instant::now(), SystemTime::now())
    }

    /// Waits until the user has decided, for as long as the code is valid: [`DeviceGrant::expires_in`].
    ///
    /// The response to the last poll may come after that: it is awaited for at most 5 s more, or for four times as long
    /// as the server's slowest response took if that is longer, but for no longer than the client's timeout. A login
    /// that was resumed polls at least once: at the latest a minute after the code has expired, or after it was resumed
    /// if that is later.
    ///
    /// Dropping the future cancels the login. If a poll was being sent, its response may have held the tokens, and they
    /// are lost.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Denied`](crate::ErrorKind::Denied), [`ErrorKind::Expired`](crate::ErrorKind::Expired),
    /// [`ErrorKind::DeadlineExceeded`](crate::ErrorKind::DeadlineExceeded) by [`within`](Self::within), and what
    /// LoginRadius says of the poll. Lost responses and server failures do not end the wait.
    #[allow(clippy::manual_async_fn, reason = "the future of an `async fn` would have room for the login twice")]
    pub fn wait(mut self) -> impl Future<Output = Result<TokenSet, Error>> + Send {
        async move {
            self.flow = self.flow.deadline(self.within.and_then(|time| Instant::now().checked_add(time)));
            self.run().await
        }
    }

    async fn run(&mut self) -> Result<TokenSet, Error> {
        loop {
            let next = match self.client.step(&mut self.flow) {
                ControlFlow::Continue(next) => next,
                ControlFlow::Break(result) => return result,
            };
            match next {
                Next::Outcome(sending) => {
                    self.flow.receive(sending.await, Instant::now());
                    if let (Some(progress), Some(on_progress)) = (self.flow.take_progress(), &mut self.on_progress) {
                        on_progress(&progress);
                    }
                }
                Next::Instant(until) => timer::sleep_until(until).await.map_err(cannot_wait)?,
            }
        }
    }
}

impl Client {
    /// Begins a device login: requests a code, which [`DeviceLogin::grant`] has. [`DeviceLogin::wait`] then waits for
    /// the user's decision.
    ///
    /// # Errors
    ///
    /// Those of [`call`](Self::call).
    pub async fn begin_device_login(&self, request: &RequestDeviceCode) -> Result<DeviceLogin, Error> {
        let grant = self.call(request).await?;
        let arrived = Instant::now();
        // Of the attempt that succeeded: earlier ones say nothing of how long a response takes.
        let sent = grant.requested_at.unwrap_or(arrived);
        let flow = DeviceFlow::new(self.app(), &grant, arrived, seed())
            .round_trip(arrived.duration_since(sent), arrived)
            .timeout(self.timeout());
        Ok(DeviceLogin::new(self.clone(), flow))
    }

    /// Continues a device login that was [stored](DeviceLogin::pending), perhaps by another process. It is read by
    /// [`PendingDevice::from_json`].
    pub fn resume_device_login(&self, pending: &PendingDevice) -> DeviceLogin {
        let flow = DeviceFlow::resume(self.app(), pending, Instant::now(), SystemTime::now(), seed());
        DeviceLogin::new(self.clone(), flow.timeout(self.timeout()))
    }

    /// Signs in a device: requests a code, lets `prompt` show it, and waits until the user has decided.
    /// [`begin_device_login`](Self::begin_device_login) does the same in two steps, and can be stored.
    ///
    /// ```no_run
    /// use loginradius_async::{App, Client, oauth::RequestDeviceCode};
    ///
    /// # async fn example() -> Result<(), loginradius_async::Error> {
    /// let client = Client::new(App::new("my-client-id").with_oauth_app("my-oauth-app"))?;
    /// let request = RequestDeviceCode::new().scope("email profile");
    /// let login = client.device_login(&request, |grant| {
    ///     println!("Open {} and enter {}", grant.verification_uri, grant.user_code);
    ///     Ok(())
    /// });
    /// let tokens = login.await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`call`](Self::call) and [`DeviceLogin::wait`]. If `prompt` fails, the login is not waited for: this
    /// fails with [`ErrorKind::Cancelled`](crate::ErrorKind::Cancelled), and the source is the prompt's error.
    pub async fn device_login(
        &self,
        request: &RequestDeviceCode,
        prompt: impl FnOnce(&DeviceGrant) -> Result<(), Box<dyn StdError + Send + Sync>>,
    ) -> Result<TokenSet, Error> {
        // In memory of its own, so that the rest of the future is small while it waits for the user.
        let mut flow = Box::pin(self.begin_and_prompt(request, prompt)).await?;
        self.drive(&mut flow).await
    }

    async fn begin_and_prompt(
        &self,
        request: &RequestDeviceCode,
        prompt: impl FnOnce(&DeviceGrant) -> Result<(), Box<dyn StdError + Send + Sync>>,
    ) -> Result<DeviceFlow, Error> {
        let deadline = self.deadline();
        let login = self.begin_device_login(request).await?;
        prompt(login.grant()).map_err(|error| {
            Error::cancelled(
                "the code was not shown to the user, as the program's `prompt` failed: look at the error that \
                 `source()` returns",
            )
            .with_source(error)
        })?;
        Ok(login.flow.deadline(deadline))
    }
}

impl fmt::Debug for DeviceLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeviceLogin").field("grant", self.grant()).finish_non_exhaustive()
    }
}
