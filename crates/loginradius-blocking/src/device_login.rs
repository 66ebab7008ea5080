use std::error::Error as StdError;
use std::fmt;
use std::time::{Duration, Instant, SystemTime};

use loginradius_proto::oauth::{DeviceGrant, RequestDeviceCode};
use loginradius_proto::{DeviceFlow, DeviceProgress, Error, Flow, PendingDevice, Step, TokenSet};

use crate::cancel::Canceller;
use crate::client::{Client, seed};

/// A device login that has begun: show its code to the user, then wait for the user's decision.
///
/// ```no_run
/// use loginradius_blocking::{App, Client, DeviceProgress, oauth::RequestDeviceCode};
///
/// # fn main() -> Result<(), loginradius_blocking::Error> {
/// let client = Client::new(App::new("my-client-id").with_oauth_app("my-oauth-app"))?;
/// let login = client.begin_device_login(&RequestDeviceCode::new().scope("email profile"))?;
/// println!("Open {} and enter {}", login.grant().verification_uri, login.grant().user_code);
///
/// let canceller = login.canceller();
/// std::thread::spawn(move || {
///     wait_for_the_cancel_button();
///     canceller.cancel(); // `wait` returns an error of the kind `Cancelled`
/// });
///
/// let login = login.on_progress(|progress| match progress {
///     DeviceProgress::Retrying { error, .. } => eprintln!("trying again: {error}"),
///     _ => {}
/// });
/// let tokens = login.wait()?;
/// # Ok(())
/// # }
/// # fn wait_for_the_cancel_button() {}
/// ```
#[must_use = "a login that is not waited for yields no tokens"]
pub struct DeviceLogin {
    client: Client,
    flow: DeviceFlow,
    /// How long to wait for the user's decision.
    within: Option<Duration>,
    on_progress: Option<OnProgress>,
    canceller: Canceller,
}

type OnProgress = Box<dyn FnMut(&DeviceProgress) + Send>;

impl DeviceLogin {
    fn new(client: Client, flow: DeviceFlow) -> Self {
        Self { client, flow, within: None, on_progress: None, canceller: Canceller::default() }
    }

    /// Returns what to show the user: the address and the code.
    #[must_use]
    pub fn grant(&self) -> &DeviceGrant {
        self.flow.grant()
    }

    /// Sets a callback for each response that decides nothing yet, and for each failure. It runs in the thread that
    /// [waits](Self::wait).
    pub fn on_progress(mut self, on_progress: impl FnMut(&DeviceProgress) + Send + 'static) -> Self {
        self.on_progress = Some(Box::new(on_progress));
        self
    }

    /// Returns a handle that cancels the wait from another thread, or before it begins. A poll that is being sent is
    /// not interrupted: see [`Canceller::cancel`].
    #[must_use]
    pub fn canceller(&self) -> Canceller {
        self.canceller.clone()
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
    /// # Errors
    ///
    /// [`ErrorKind::Denied`](crate::ErrorKind::Denied), [`ErrorKind::Expired`](crate::ErrorKind::Expired),
    /// [`ErrorKind::Cancelled`](crate::ErrorKind::Cancelled),
    /// [`ErrorKind::DeadlineExceeded`](crate::ErrorKind::DeadlineExceeded) by [`within`](Self::within), and what
    /// LoginRadius says of the poll. Lost responses and server failures do not end the wait.
    pub fn wait(mut self) -> Result<TokenSet, Error> {
        self.flow = self.flow.deadline(self.within.and_then(|time| Instant::now().checked_add(time)));
        loop {
            match self.flow.step(Instant::now()) {
                // Tokens that have arrived are returned even if the login was cancelled while they came.
                Step::Done(result) => return result,
                _ if self.canceller.is_cancelled() => {
                    return Err(Error::cancelled("the program cancelled the device login: begin a new one to sign in"));
                }
                Step::Send { request, options } => {
                    let outcome = self.client.send(request, options);
                    self.flow.receive(outcome, Instant::now());
                    if let (Some(progress), Some(on_progress)) = (self.flow.take_progress(), &mut self.on_progress) {
                        on_progress(&progress);
                    }
                }
                Step::Wait(until) => self.canceller.sleep_until(until),
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
    pub fn begin_device_login(&self, request: &RequestDeviceCode) -> Result<DeviceLogin, Error> {
        let grant = self.call(request)?;
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
    /// [`begin_device_login`](Self::begin_device_login) does the same in two steps, and can be cancelled and stored.
    ///
    /// ```no_run
    /// use loginradius_blocking::{App, Client, oauth::RequestDeviceCode};
    ///
    /// # fn main() -> Result<(), loginradius_blocking::Error> {
    /// let client = Client::new(App::new("my-client-id").with_oauth_app("my-oauth-app"))?;
    /// let tokens = client.device_login(&RequestDeviceCode::new().scope("email profile"), |grant| {
    ///     println!("Open {} and enter {}", grant.verification_uri, grant.user_code);
    ///     Ok(())
    /// })?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`call`](Self::call) and [`DeviceLogin::wait`]. If `prompt` fails, the login is not waited for: this
    /// fails with [`ErrorKind::Cancelled`](crate::ErrorKind::Cancelled), and the source is the prompt's error.
    pub fn device_login(
        &self,
        request: &RequestDeviceCode,
        prompt: impl FnOnce(&DeviceGrant) -> Result<(), Box<dyn StdError + Send + Sync>>,
    ) -> Result<TokenSet, Error> {
        let deadline = self.deadline();
        let mut login = self.begin_device_login(request)?;
        prompt(login.grant()).map_err(|error| {
            Error::cancelled(
                "the code was not shown to the user, as the program's `prompt` failed: look at the error that \
                 `source()` returns",
            )
            .with_source(error)
        })?;
        login.within = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        login.wait()
    }
}

impl fmt::Debug for DeviceLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeviceLogin").field("grant", self.grant()).finish_non_exhaustive()
    }
}
