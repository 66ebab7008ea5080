use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use loginradius_proto::Error;
use loginradius_proto::browser::Pending;
use loginradius_proto::browser::loopback::{self, Connection, Host, Pages};
use loginradius_proto::session::Now;

use crate::cancel::Canceller;

/// Waits on a port of this machine for the callback of a login through a browser ([RFC 8252, section 7.3]).
///
/// It listens on 127.0.0.1 alone, as soon as [`bind`](Self::bind) returns; [`bind_to`](Self::bind_to) listens under
/// another name of this machine. Anything other than the one callback changes nothing: a browser's favicon request,
/// connections that it opens ahead, a slow one, another site's attempt.
///
/// [`Client::browser_login`](crate::Client::browser_login) does the whole login. For a JWT:
///
/// ```no_run
/// use loginradius_blocking::browser::JwtRedirect;
/// use loginradius_blocking::{App, Client, LoopbackReceiver};
///
/// # fn main() -> Result<(), loginradius_blocking::Error> {
/// let client = Client::new(App::new("my-api-key").with_jwt_app("my-jwt-app"))?;
/// let receiver = LoopbackReceiver::bind(8400, "/callback")?;
/// let mut login = client.begin_browser_login(&JwtRedirect::new(receiver.redirect_uri(), "token"))?;
/// println!("Open {}", login.url);
/// let received = receiver.receive(&mut login.pending)?;
/// # Ok(())
/// # }
/// ```
///
/// [RFC 8252, section 7.3]: https://www.rfc-editor.org/rfc/rfc8252#section-7.3
#[derive(Debug)]
pub struct LoopbackReceiver {
    listeners: Vec<TcpListener>,
    path: String,
    redirect_uri: String,
    timeout: Duration,
    pages: Pages,
    canceller: Canceller,
}

impl LoopbackReceiver {
    /// How often the sockets are read. A user of a browser does not notice it.
    const POLL_INTERVAL: Duration = Duration::from_millis(10);
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
    /// use loginradius_blocking::LoopbackReceiver;
    /// use loginradius_blocking::browser::loopback::Host;
    ///
    /// # fn main() -> Result<(), loginradius_blocking::Error> {
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
            let listener = TcpListener::bind(address)?;
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
            canceller: Canceller::default(),
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
    /// use loginradius_blocking::LoopbackReceiver;
    /// use loginradius_blocking::browser::loopback::{Page, Pages};
    ///
    /// # fn main() -> Result<(), loginradius_blocking::Error> {
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

    /// Returns a handle that cancels the wait from another thread.
    #[must_use]
    pub fn canceller(&self) -> Canceller {
        self.canceller.clone()
    }

    /// Waits for the callback of that login, and shows its browser a page that leads back to the program, before
    /// a code is exchanged.
    ///
    /// # Errors
    ///
    /// Those of [`Pending::accept`] that end the login; [`ErrorKind::Expired`](crate::ErrorKind::Expired) if no
    /// callback came in time; [`ErrorKind::Cancelled`](crate::ErrorKind::Cancelled).
    pub fn receive<P: Pending>(self, pending: &mut P) -> Result<P::Output, Error> {
        self.receive_by(pending, None)
    }

    pub(crate) fn receive_by<P: Pending>(self, pending: &mut P, deadline: Option<Instant>) -> Result<P::Output, Error> {
        let began = Instant::now();
        let mut peers: Vec<Peer> = Vec::new();
        // In turns, so that a flood at one of them holds up no other.
        let mut turns = (0..self.listeners.len()).cycle();
        loop {
            let mut without_peer = 0;
            for _ in 0..Self::MAX_PEERS {
                if peers.len() == Self::MAX_PEERS {
                    let Some(idle) = peers.iter().position(|peer| peer.since.elapsed() >= Self::GRACE) else {
                        break;
                    };
                    peers.remove(idle);
                }
                match turns.next().map(|turn| self.listeners[turn].accept()) {
                    Some(Ok((stream, _))) => {
                        without_peer = 0;
                        peers.extend(Peer::new(stream, &self.path));
                    }
                    _ => without_peer += 1,
                }
                if without_peer >= self.listeners.len() {
                    break;
                }
            }
            let mut result = None;
            peers.retain_mut(|peer| match peer.advance() {
                Progress::Waiting => true,
                // A request after the callback is late.
                Progress::Requested(_) if result.is_some() => false,
                Progress::Closed => false,
                Progress::Requested(request) => {
                    let reply = request.respond_with(&self.pages, pending, Now::new(Instant::now(), SystemTime::now()));
                    peer.respond(reply.bytes);
                    result = reply.result;
                    true
                }
            });
            if let Some(result) = result {
                // A later connection has to see that nothing listens any more.
                drop(self.listeners);
                peers.retain(|peer| !matches!(peer.phase, Phase::Reading(_)));
                while !peers.is_empty() {
                    thread::sleep(Self::POLL_INTERVAL);
                    peers.retain_mut(|peer| matches!(peer.advance(), Progress::Waiting));
                }
                return result;
            }
            if self.canceller.is_cancelled() {
                return Err(loopback::cancelled());
            }
            if began.elapsed() >= self.timeout {
                return Err(loopback::expired(self.timeout));
            }
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return Err(Error::deadline_exceeded(
                    "no callback came before the program's deadline: begin a new login",
                ));
            }
            thread::sleep(Self::POLL_INTERVAL);
        }
    }
}

/// A connection, and how far it is.
struct Peer {
    stream: TcpStream,
    phase: Phase,
    since: Instant,
}

enum Phase {
    Reading(Connection),
    Writing {
        bytes: Vec<u8>,
        written: usize,
    },
    /// Until the browser closes too: closing with bytes unread would cost it the page.
    Draining,
}

enum Progress {
    Waiting,
    Requested(loopback::Request),
    Closed,
}

impl Peer {
    fn new(stream: TcpStream, path: &str) -> Option<Self> {
        stream.set_nonblocking(true).ok()?;
        Some(Self { stream, phase: Phase::Reading(Connection::new(path)), since: Instant::now() })
    }

    fn respond(&mut self, bytes: Vec<u8>) {
        self.enter(Phase::Writing { bytes, written: 0 });
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.since = Instant::now();
    }

    /// Reads or writes as much as the socket permits.
    fn advance(&mut self) -> Progress {
        match self.try_advance() {
            Ok(progress) => progress,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Progress::Waiting,
            Err(_) => Progress::Closed,
        }
    }

    fn try_advance(&mut self) -> io::Result<Progress> {
        // A peer that never stops sending must not keep the others waiting.
        const STEPS: usize = 8;
        let mut buffer = [0; 16 * 1024];
        for _ in 0..STEPS {
            if self.since.elapsed() >= self.time_limit() {
                return Ok(Progress::Closed);
            }
            match &mut self.phase {
                Phase::Reading(connection) => match self.stream.read(&mut buffer)? {
                    0 => return Ok(Progress::Closed),
                    read => {
                        if let Some(request) = connection.read(&buffer[..read]) {
                            return Ok(Progress::Requested(request));
                        }
                    }
                },
                Phase::Writing { bytes, written } if *written < bytes.len() => {
                    *written += self.stream.write(&bytes[*written..])?;
                }
                Phase::Writing { .. } => {
                    self.stream.shutdown(Shutdown::Write)?;
                    self.enter(Phase::Draining);
                }
                Phase::Draining => {
                    if self.stream.read(&mut buffer)? == 0 {
                        return Ok(Progress::Closed);
                    }
                }
            }
        }
        Ok(Progress::Waiting)
    }

    fn time_limit(&self) -> Duration {
        Duration::from_secs(match self.phase {
            Phase::Reading(_) => 10,
            Phase::Writing { .. } => 5,
            Phase::Draining => 1,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn a_peer_that_never_stops_sending_is_read_in_turns() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let mut sender = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let mut peer = Peer::new(listener.accept().unwrap().0, "/callback").unwrap();
        peer.enter(Phase::Draining);

        sender.set_nonblocking(true).unwrap();
        let mut sent = 0;
        while let Ok(written) = sender.write(&[b'a'; 16 * 1024]) {
            sent += written;
        }
        assert!(sent > 8 * 16 * 1024, "{sent}");
        assert!(matches!(peer.advance(), Progress::Waiting));
        assert!(peer.stream.peek(&mut [0]).is_ok(), "all of it was read in one turn");
    }
}
