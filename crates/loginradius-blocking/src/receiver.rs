use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use loginradius_proto::Error;
use loginradius_proto::browser::Pending;
use loginradius_proto::browser::loopback::{self, Connection};

/// Waits on a port of this machine for the callback of a sign-in through a browser ([RFC 8252, section 7.3]).
///
/// It listens on 127.0.0.1 alone, from [`bind`](Self::bind) on. Whatever else comes than the one callback is
/// answered and does not matter: a browser's favicon request, connections that it opens ahead, a slow one, another
/// site's attempt.
///
/// [`Client::browser_login`](crate::Client::browser_login) does the whole sign-in. For a JWT:
///
/// ```no_run
/// use loginradius_blocking::browser::JwtRedirect;
/// use loginradius_blocking::{App, Client, LoopbackReceiver};
///
/// # fn main() -> Result<(), loginradius_blocking::Error> {
/// let client = Client::new(App::new("my-api-key").jwt_app("my-jwt-app"))?;
/// let receiver = LoopbackReceiver::bind(8400, "/callback")?;
/// let mut sign_in = client.begin(&JwtRedirect::new(receiver.redirect_uri(), "token"))?;
/// println!("Open {}", sign_in.url);
/// let received = receiver.receive(&mut sign_in.pending)?;
/// # Ok(())
/// # }
/// ```
///
/// [RFC 8252, section 7.3]: https://www.rfc-editor.org/rfc/rfc8252#section-7.3
#[derive(Debug)]
pub struct LoopbackReceiver {
    listener: TcpListener,
    path: String,
    redirect_uri: String,
    timeout: Duration,
    cancelled: Arc<AtomicBool>,
}

/// Ends a [`LoopbackReceiver`] from another thread.
#[derive(Debug, Clone)]
pub struct Canceller(Arc<AtomicBool>);

impl Canceller {
    /// The receiver gives up within a moment, with [`ErrorKind::Cancelled`](crate::ErrorKind::Cancelled).
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl LoopbackReceiver {
    /// How often it looks whether something came. Nobody notices it in a page.
    const TICK: Duration = Duration::from_millis(10);
    /// Connections at the same time; a browser opens six. With more, the oldest that nothing came of makes room.
    const MOST: usize = 64;
    /// What every connection is given to ask, and then to leave.
    const GRACE: Duration = Duration::from_millis(250);

    /// Listens on a port of 127.0.0.1, or on a free one if it is 0.
    ///
    /// LoginRadius has to know the whole address of the callback: give a fixed port there, and add
    /// `http://127.0.0.1:8400/callback` to the app's addresses.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Settings`](crate::ErrorKind::Settings) if the port is taken, or the path is not one.
    pub fn bind(port: u16, path: &str) -> Result<Self, Error> {
        let unusable = |error: io::Error| {
            Error::settings(match error.kind() {
                io::ErrorKind::AddrInUse => format!(
                    "127.0.0.1 port {port} is in use, perhaps by another run of this program: \
                     end that, or take another port that the app allows"
                ),
                _ => format!("127.0.0.1 port {port} cannot be listened on: {error}"),
            })
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(unusable)?;
        listener.set_nonblocking(true).map_err(unusable)?;
        let port = listener.local_addr().map_err(unusable)?.port();
        Ok(Self {
            listener,
            path: path.to_owned(),
            redirect_uri: loopback::redirect_uri(port, path)?,
            timeout: Duration::from_secs(600),
            cancelled: Arc::default(),
        })
    }

    /// The address of the callback, for the request that begins the sign-in.
    #[must_use]
    pub fn redirect_uri(&self) -> &str {
        &self.redirect_uri
    }

    /// How long to wait for the callback. 10 minutes by default, after which no sign-in can succeed.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// What ends the waiting from another thread.
    #[must_use]
    pub fn canceller(&self) -> Canceller {
        Canceller(self.cancelled.clone())
    }

    /// Waits for the callback of that sign-in, and shows its browser a page that leads back to the program, before
    /// a code is exchanged.
    ///
    /// # Errors
    ///
    /// Those of [`Pending::accept`] that end the sign-in; [`ErrorKind::Expired`](crate::ErrorKind::Expired) if no
    /// callback came in time; [`ErrorKind::Cancelled`](crate::ErrorKind::Cancelled).
    pub fn receive<P: Pending>(self, pending: &mut P) -> Result<P::Output, Error> {
        let began = Instant::now();
        let mut guests: Vec<Guest> = Vec::new();
        loop {
            for _ in 0..Self::MOST {
                if guests.len() == Self::MOST {
                    let Some(idle) = guests.iter().position(|guest| guest.since.elapsed() >= Self::GRACE) else {
                        break;
                    };
                    guests.remove(idle);
                }
                let Ok((stream, _)) = self.listener.accept() else { break };
                guests.extend(Guest::new(stream, &self.path));
            }
            let mut result = None;
            guests.retain_mut(|guest| match guest.go_on() {
                Progress::Waiting => true,
                // Whoever asks after the callback is late.
                Progress::Asked(_) if result.is_some() => false,
                Progress::Gone => false,
                Progress::Asked(request) => {
                    let reply = request.answer(pending, SystemTime::now());
                    guest.answer(reply.bytes);
                    result = reply.result;
                    true
                }
            });
            if let Some(result) = result {
                // Whoever comes now shall see that nobody waits any more.
                drop(self.listener);
                guests.retain(|guest| !matches!(guest.phase, Phase::Asking(_)));
                while !guests.is_empty() {
                    thread::sleep(Self::TICK);
                    guests.retain_mut(|guest| matches!(guest.go_on(), Progress::Waiting));
                }
                return result;
            }
            if self.cancelled.load(Ordering::Relaxed) {
                return Err(loopback::cancelled());
            }
            if began.elapsed() >= self.timeout {
                return Err(loopback::expired(self.timeout));
            }
            thread::sleep(Self::TICK);
        }
    }
}

/// A connection, and how far it is.
struct Guest {
    stream: TcpStream,
    phase: Phase,
    since: Instant,
}

enum Phase {
    Asking(Connection),
    Answering {
        bytes: Vec<u8>,
        written: usize,
    },
    /// Until the browser closes too: closing with bytes unread would cost it the page.
    Leaving,
}

enum Progress {
    Waiting,
    Asked(loopback::Request),
    Gone,
}

impl Guest {
    fn new(stream: TcpStream, path: &str) -> Option<Self> {
        stream.set_nonblocking(true).ok()?;
        Some(Self { stream, phase: Phase::Asking(Connection::new(path)), since: Instant::now() })
    }

    fn answer(&mut self, bytes: Vec<u8>) {
        self.enter(Phase::Answering { bytes, written: 0 });
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.since = Instant::now();
    }

    /// Goes on as far as the socket lets it.
    fn go_on(&mut self) -> Progress {
        match self.try_go_on() {
            Ok(progress) => progress,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Progress::Waiting,
            Err(_) => Progress::Gone,
        }
    }

    fn try_go_on(&mut self) -> io::Result<Progress> {
        // A guest that never stops sending must not keep the others waiting.
        const STEPS: usize = 8;
        let mut buffer = [0; 16 * 1024];
        for _ in 0..STEPS {
            if self.since.elapsed() >= self.patience() {
                return Ok(Progress::Gone);
            }
            match &mut self.phase {
                Phase::Asking(connection) => match self.stream.read(&mut buffer)? {
                    0 => return Ok(Progress::Gone),
                    read => {
                        if let Some(request) = connection.read(&buffer[..read]) {
                            return Ok(Progress::Asked(request));
                        }
                    }
                },
                Phase::Answering { bytes, written } if *written < bytes.len() => {
                    *written += self.stream.write(&bytes[*written..])?;
                }
                Phase::Answering { .. } => {
                    self.stream.shutdown(Shutdown::Write)?;
                    self.enter(Phase::Leaving);
                }
                Phase::Leaving => {
                    if self.stream.read(&mut buffer)? == 0 {
                        return Ok(Progress::Gone);
                    }
                }
            }
        }
        Ok(Progress::Waiting)
    }

    fn patience(&self) -> Duration {
        Duration::from_secs(match self.phase {
            Phase::Asking(_) => 10,
            Phase::Answering { .. } => 5,
            Phase::Leaving => 1,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_that_never_stops_sending_gets_no_more_than_its_turn() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let mut sender = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let mut guest = Guest::new(listener.accept().unwrap().0, "/callback").unwrap();
        guest.enter(Phase::Leaving);

        sender.set_nonblocking(true).unwrap();
        let mut sent = 0;
        while let Ok(written) = sender.write(&[b'a'; 16 * 1024]) {
            sent += written;
        }
        assert!(sent > 8 * 16 * 1024, "{sent}");
        assert!(matches!(guest.go_on(), Progress::Waiting));
        assert!(guest.stream.peek(&mut [0]).is_ok(), "all of it was read in one turn");
    }
}
