use std::collections::VecDeque;
use std::error::Error as StdError;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::task::Poll;
use std::time::{Duration, SystemTime};

use loginradius_proto::Error;
use loginradius_proto::browser::Pending;
use loginradius_proto::browser::loopback::{self, Connection, Host, Pages};
use loginradius_proto::session::Now;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use zeroize::Zeroizing;

use crate::driver::{no_thread, out_of_resources};
use crate::runtime_thread::RuntimeThread;

/// Waits on a port of this machine for the callback of a login through a browser ([RFC 8252, section 7.3]).
///
/// It listens on 127.0.0.1 alone, as soon as [`bind`](Self::bind) returns; [`bind_to`](Self::bind_to) listens under
/// another name of this machine. Anything other than the one callback changes nothing: a browser's favicon request,
/// connections that it opens ahead, a slow one, another site's attempt.
///
/// [`Client::browser_login`](crate::Client::browser_login) does the whole login. For a JWT:
///
/// ```no_run
/// use loginradius_async::browser::JwtRedirect;
/// use loginradius_async::{App, Client, LoopbackReceiver};
///
/// # async fn login() -> Result<(), loginradius_async::Error> {
/// let client = Client::new(App::new("my-api-key").with_jwt_app("my-jwt-app"))?;
/// let receiver = LoopbackReceiver::bind(8400, "/callback")?;
/// let mut login = client.begin_browser_login(&JwtRedirect::new(receiver.redirect_uri(), "token"))?;
/// println!("Open {}", login.url);
/// let received = receiver.receive(&mut login.pending).await?;
/// # Ok(())
/// # }
/// ```
///
/// [RFC 8252, section 7.3]: https://www.rfc-editor.org/rfc/rfc8252#section-7.3
#[derive(Debug)]
pub struct LoopbackReceiver {
    listeners: Vec<std::net::TcpListener>,
    path: String,
    redirect_uri: String,
    timeout: Duration,
    pages: Pages,
}

impl LoopbackReceiver {
    /// The most connections at the same time; a browser opens six. With more, the oldest without a request is closed.
    const MAX_PEERS: usize = 64;
    /// How long a connection without a request is kept before it can be closed for another.
    const GRACE: Duration = Duration::from_millis(250);

    /// Listens on a port of 127.0.0.1, or on a free one if it is 0.
    ///
    /// LoginRadius has to know the whole address of the callback: give a fixed port there, and add
    /// `http://127.0.0.1:8400/callback` to the app's addresses.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) if the port is taken, or the path is not one.
    pub fn bind(port: u16, path: &str) -> Result<Self, Error> {
        Self::bind_to(Host::Ipv4, port, path)
    }

    /// Listens as [`bind`](Self::bind) does, under another name of this machine: for an app whose redirect URI at
    /// LoginRadius is `http://localhost:8400/callback` or `http://[::1]:8400/callback`.
    ///
    /// [`Host::Localhost`] listens on 127.0.0.1 and on ::1, at the same port, because a browser may choose either. If
    /// the machine has no IPv6, 127.0.0.1 is enough. Prefer [`bind`](Self::bind) where you can choose ([`Host`] says
    /// why).
    ///
    /// ```no_run
    /// use loginradius_async::LoopbackReceiver;
    /// use loginradius_async::browser::loopback::Host;
    ///
    /// # fn main() -> Result<(), loginradius_async::Error> {
    /// let receiver = LoopbackReceiver::bind_to(Host::Localhost, 8400, "/callback")?;
    /// assert_eq!(receiver.redirect_uri(), "http://localhost:8400/callback");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration), also if another program has the port on one of
    /// the two addresses: it would receive the code.
    #[doc(alias = "localhost")]
    pub fn bind_to(host: Host, port: u16, path: &str) -> Result<Self, Error> {
        let (listeners, redirect_uri) = host.listen(port, path, |address| {
            let listener = std::net::TcpListener::bind(address)?;
            listener.set_nonblocking(true)?;
            let port = listener.local_addr()?.port();
            Ok((listener, port))
        })?;
        Ok(Self {
            listeners,
            path: path.to_owned(),
            redirect_uri,
            timeout: Duration::from_secs(600),
            pages: Pages::default(),
        })
    }

    /// Returns the address of the callback, for the request that begins the login.
    #[must_use]
    pub fn redirect_uri(&self) -> &str {
        &self.redirect_uri
    }

    /// Sets how long to wait for the callback. 10 minutes by default, after which no login can succeed.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets the pages that the user sees when the browser comes back, after a success and after a failure: HTML of the
    /// program's own, or a redirect. By default they are this crate's.
    ///
    /// ```no_run
    /// use loginradius_async::LoopbackReceiver;
    /// use loginradius_async::browser::loopback::{Page, Pages};
    ///
    /// # fn main() -> Result<(), loginradius_async::Error> {
    /// let back = "<!doctype html><html lang=en><meta charset=utf-8><title>Acme</title><h1>Go back to Acme</h1>";
    /// let pages = Pages::new(Page::html(back), Page::redirect("https://acme.example/help/sign-in")?);
    /// let receiver = LoopbackReceiver::bind(8400, "/callback")?.pages(pages);
    /// # let _ = receiver;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn pages(mut self, pages: Pages) -> Self {
        self.pages = pages;
        self
    }

    /// Waits for the callback of that login, and shows its browser a page that leads back to the program, before
    /// a code is exchanged. Drop the future to stop earlier.
    ///
    /// # Errors
    ///
    /// Those of [`Pending::accept`] that end the login; [`ErrorKind::Expired`](crate::ErrorKind::Expired) if no
    /// callback came in time.
    pub async fn receive<P: Pending>(self, pending: &mut P) -> Result<P::Output, Error> {
        self.receive_by(pending, None).await
    }

    pub(crate) async fn receive_by<P: Pending>(
        self,
        pending: &mut P,
        deadline: Option<std::time::Instant>,
    ) -> Result<P::Output, Error> {
        let thread = RuntimeThread::start("loginradius-callback");
        let thread = thread.map_err(|error| no_thread("to wait for the callback", error))?;
        let (ask, mut asked) = mpsc::channel(1);
        let (open, closed) = std::sync::mpsc::channel();
        let pages = self.pages.clone();
        let serving = thread.spawn(self.serve(deadline, ask, open));
        let _stop = StopServing { task: serving.abort_handle(), closed };
        let mut output = None;
        while let Some(Asked { request, answer }) = asked.recv().await {
            let now = Now::new(std::time::Instant::now(), SystemTime::now());
            let reply = request.respond_with(&pages, pending, now);
            let is_last = reply.result.is_some();
            output = reply.result;
            let _ = answer.send(Answer { bytes: reply.bytes, is_last });
        }
        let ended = |error| Error::unavailable("waiting for the callback failed: begin a new login", error);
        match (output, serving.await) {
            (Some(result), _) => result,
            (None, Ok(Err(error))) => Err(error),
            (None, Ok(Ok(()))) => Err(ended("no callback came".into())),
            (None, Err(error)) => Err(ended(Box::<dyn StdError + Send + Sync>::from(error))),
        }
    }

    /// Serves the browser on a thread with sockets and timers, which the caller's runtime may not have. The caller is
    /// asked what to respond, because the pending login is its own.
    async fn serve(
        self,
        deadline: Option<std::time::Instant>,
        ask: mpsc::Sender<Asked>,
        // Dropped after the listener.
        _open: std::sync::mpsc::Sender<()>,
    ) -> Result<(), Error> {
        let listeners = self.listeners.into_iter().map(TcpListener::from_std).collect::<Result<Vec<_>, _>>();
        let listeners =
            listeners.map_err(|error| out_of_resources("the callback's port could not be watched", error))?;
        let end = Instant::now().checked_add(self.timeout);
        let mut peers = JoinSet::new();
        let mut responses = JoinSet::new();
        let mut idle: VecDeque<(Instant, AbortHandle)> = VecDeque::new();
        let mut turn = 0;
        loop {
            turn += 1;
            idle.retain(|(_, peer)| !peer.is_finished());
            let is_full = idle.len() >= Self::MAX_PEERS;
            let makes_room = idle.front().map(|(since, _)| *since + Self::GRACE);
            let peer = tokio::select! {
                () = until(end) => return Err(loopback::expired(self.timeout)),
                () = until(deadline.map(Instant::from_std)) => return Err(Error::deadline_exceeded(
                    "no callback came before the program's deadline: begin a new login",
                )),
                accepted = accept(&listeners, turn), if !is_full => {
                    match accepted {
                        Ok((stream, _)) => {
                            let peer = peers.spawn(request(stream, Connection::new(self.path.as_str())));
                            idle.push_back((Instant::now(), peer));
                        }
                        // Too many open files, perhaps: it may pass.
                        Err(_) => sleep(Duration::from_millis(50)).await,
                    }
                    continue;
                }
                () = until(makes_room), if is_full => {
                    if let Some((_, peer)) = idle.pop_front() {
                        peer.abort();
                    }
                    continue;
                }
                Some(peer) = peers.join_next() => peer,
                Some(_) = responses.join_next() => continue,
            };
            let Ok(Some((stream, request))) = peer else { continue };
            let (answer, answered) = oneshot::channel();
            if ask.send(Asked { request, answer }).await.is_err() {
                break;
            }
            let Ok(answer) = answered.await else { break };
            idle.push_back((Instant::now(), responses.spawn(respond(stream, answer.bytes))));
            if answer.is_last {
                break;
            }
        }
        // A later connection has to see that nothing listens any more.
        drop((listeners, peers));
        // Each ends by its own timeout.
        while responses.join_next().await.is_some() {}
        Ok(())
    }
}

/// A question of the thread to the caller: how to respond to a request.
struct Asked {
    request: loopback::Request,
    answer: oneshot::Sender<Answer>,
}

struct Answer {
    bytes: Vec<u8>,
    /// Whether it ends the wait.
    is_last: bool,
}

/// Stops the thread when it is dropped, and waits until the thread has closed the port (for at most 1 s), so that the
/// port is free as soon as the caller's future is dropped. The thread never blocks, so this takes microseconds.
struct StopServing {
    task: AbortHandle,
    closed: std::sync::mpsc::Receiver<()>,
}

impl Drop for StopServing {
    fn drop(&mut self) {
        self.task.abort();
        let _ = self.closed.recv_timeout(Duration::from_secs(1));
    }
}

/// Accepts a connection at any of the listeners. Each turn begins with another one, so that a flood at one of them
/// holds up no other.
async fn accept(listeners: &[TcpListener], turn: usize) -> io::Result<(TcpStream, SocketAddr)> {
    let (first, rest) = listeners.split_at(turn % listeners.len().max(1));
    poll_fn(|context| {
        let mut accepted = rest.iter().chain(first).map(|listener| listener.poll_accept(context));
        accepted.find(Poll::is_ready).unwrap_or(Poll::Pending)
    })
    .await
}

/// Reads the request of a connection. Returns `None` if it is not whole in time.
async fn request(mut stream: TcpStream, mut connection: Connection) -> Option<(TcpStream, loopback::Request)> {
    let read = async {
        // Its memory is that of the task, which is freed with the callback's code in it.
        let mut buffer = Zeroizing::new([0; 4096]);
        loop {
            match stream.read(&mut *buffer).await {
                Ok(0) | Err(_) => return None,
                Ok(read) => {
                    if let Some(request) = connection.read(&buffer[..read]) {
                        return Some(request);
                    }
                }
            }
        }
    };
    let request = timeout(Duration::from_secs(10), read).await.ok()??;
    Some((stream, request))
}

async fn respond(mut stream: TcpStream, bytes: Vec<u8>) {
    let write = async {
        stream.write_all(&bytes).await?;
        stream.shutdown().await
    };
    if !matches!(timeout(Duration::from_secs(5), write).await, Ok(Ok(()))) {
        return;
    }
    // Until the browser closes too: closing with bytes unread would cost it the page.
    let closed = async {
        let mut buffer = [0; 4096];
        while !matches!(stream.read(&mut buffer).await, Ok(0) | Err(_)) {}
    };
    let _ = timeout(Duration::from_secs(1), closed).await;
}

/// Waits until that instant, or for ever if there is none.
async fn until(end: Option<Instant>) {
    match end {
        Some(end) => sleep_until(end).await,
        None => std::future::pending().await,
    }
}
