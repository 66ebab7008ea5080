//! A server on a bare socket, which does what its test says and nothing more.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::adapter::Adapter;

/// The timeout of each read and write, after which a connection's thread ends: longer than any client here waits.
const SOCKET_TIMEOUT: Duration = Duration::from_secs(10);

/// A server on this machine, at 127.0.0.1 by default, that records its requests. Dropping it closes its port.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    log: Arc<Log>,
}

#[derive(Debug, Default)]
struct Log {
    stopped: AtomicBool,
    connections: AtomicUsize,
    open: AtomicUsize,
    written: AtomicU64,
    requests: Mutex<Vec<Request>>,
}

/// A request, as it came over the wire.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Request {
    /// The request line and the headers.
    pub head: String,
    /// The body, as long as `Content-Length` says.
    pub body: Vec<u8>,
    /// The number of its connection, from 1.
    pub connection: usize,
}

/// An address that does not respond to connections, like one behind a firewall.
#[derive(Debug)]
pub struct BlackHole {
    address: SocketAddr,
    _listener: socket2::Socket,
    _queue: Vec<TcpStream>,
}

impl BlackHole {
    /// Opens one at a free port, or returns `None` on a system where this is not known to work.
    #[must_use]
    pub fn open() -> Option<Self> {
        Self::at((Ipv4Addr::LOCALHOST, 0).into())
    }

    /// Opens one at that address, or returns `None` if it is taken.
    ///
    /// Connections wait in a queue until they are accepted. If it is full, the system ignores a new one. How to fill
    /// the queue differs between systems.
    ///
    /// # Panics
    ///
    /// If the operating system refuses a socket.
    #[must_use]
    pub fn at(address: SocketAddr) -> Option<Self> {
        if !cfg!(target_os = "linux") {
            return None;
        }
        let domain = socket2::Domain::for_address(address);
        let listener = socket2::Socket::new(domain, socket2::Type::STREAM, None).unwrap();
        listener.bind(&address.into()).ok()?;
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap().as_socket().unwrap();
        let mut queue = Vec::new();
        while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(20)) {
            queue.push(stream);
        }
        Some(Self { address, _listener: listener, _queue: queue })
    }

    /// Its address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Server {
    /// Starts a server that calls `serve` for each connection, in a thread of its own.
    ///
    /// # Panics
    ///
    /// If the operating system refuses a socket or a thread.
    pub fn start(serve: impl Fn(&mut Peer) + Send + Sync + 'static) -> Self {
        Self::start_at(Ipv4Addr::LOCALHOST.into(), serve)
    }

    fn start_at(address: IpAddr, serve: impl Fn(&mut Peer) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((address, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let log = Arc::new(Log::default());
        let (serve, shared) = (Arc::new(serve), Arc::clone(&log));
        thread::spawn(move || {
            for stream in listener.incoming() {
                if shared.stopped.load(Ordering::SeqCst) {
                    break;
                }
                let Ok(stream) = stream else { continue };
                let (serve, log) = (Arc::clone(&serve), Arc::clone(&shared));
                log.open.fetch_add(1, Ordering::SeqCst);
                let connection = log.connections.fetch_add(1, Ordering::SeqCst) + 1;
                thread::spawn(move || {
                    let mut peer = Peer { stream: Some(stream), log, connection };
                    let stream = peer.stream();
                    let _ = stream.set_read_timeout(Some(SOCKET_TIMEOUT));
                    let _ = stream.set_write_timeout(Some(SOCKET_TIMEOUT));
                    let _ = stream.set_nodelay(true);
                    serve(&mut peer);
                });
            }
        });
        Self { address, log }
    }

    /// Starts a server that sends the bytes of `respond` for each request.
    pub fn responding(respond: impl Fn(&Request) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self::responding_at(Ipv4Addr::LOCALHOST.into(), respond)
    }

    pub(crate) fn responding_at(
        address: IpAddr,
        respond: impl Fn(&Request) -> Vec<u8> + Send + Sync + 'static,
    ) -> Self {
        Self::start_at(address, move |peer| {
            while let Some(request) = peer.request() {
                if peer.send(&respond(&request)).is_err() {
                    break;
                }
            }
        })
    }

    /// Returns `http://127.0.0.1:<port>`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns `https://127.0.0.1:<port>`.
    #[must_use]
    pub fn https_url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// Returns its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Returns the requests that arrived whole, oldest first.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.log.requests().clone()
    }

    /// Returns how many connections there were.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.log.connections.load(Ordering::SeqCst)
    }

    /// Returns how many bytes were written: no fewer than the clients have read.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.log.written.load(Ordering::SeqCst)
    }

    /// Returns whether there were so many connections and all are closed, or will be within two seconds.
    #[must_use]
    pub fn all_closed(&self, client: &impl Adapter, connections: usize) -> bool {
        let until = Instant::now() + Duration::from_secs(2);
        while self.connections() < connections || self.log.open.load(Ordering::SeqCst) > 0 {
            if Instant::now() > until {
                return false;
            }
            client.idle(Duration::from_millis(2));
        }
        true
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.log.stopped.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts.
        let _ = TcpStream::connect_timeout(&self.address, Duration::from_secs(1));
    }
}

impl Log {
    fn requests(&self) -> MutexGuard<'_, Vec<Request>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The server's end of a connection.
#[derive(Debug)]
pub struct Peer {
    stream: Option<TcpStream>,
    log: Arc<Log>,
    connection: usize,
}

impl Peer {
    /// Returns the number of the connection, from 1.
    #[must_use]
    pub fn number(&self) -> usize {
        self.connection
    }

    /// Returns the requests of all connections that arrived whole, oldest first.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.log.requests().clone()
    }

    /// Reads the next request; `None` if the client has closed or does not send HTTP.
    pub fn request(&mut self) -> Option<Request> {
        let connection = self.connection;
        let request = read_request(&mut self.stream(), connection)?;
        self.record(request.clone());
        Some(request)
    }

    /// Sends bytes.
    ///
    /// # Errors
    ///
    /// The socket's.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        // Piece by piece, so that the count is close to what a client has taken.
        for piece in bytes.chunks(16 << 10) {
            self.stream().write_all(piece)?;
            self.count(piece.len());
        }
        Ok(())
    }

    /// Counts bytes as written that were not sent by `send`.
    pub(crate) fn count(&self, written: usize) {
        self.log.written.fetch_add(written as u64, Ordering::SeqCst);
    }

    /// Waits for the client to close.
    pub fn wait(&mut self) {
        let _ = io::copy(&mut self.stream(), &mut io::sink());
    }

    /// Closes with a reset instead of an end.
    pub fn reset(&mut self) {
        if let Some(stream) = self.stream.take() {
            let _ = socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO));
        }
    }

    pub(crate) fn record(&self, request: Request) {
        self.log.requests().push(request);
    }

    /// Returns the connection.
    ///
    /// # Panics
    ///
    /// After [`reset`](Self::reset).
    #[must_use]
    pub fn stream(&self) -> &TcpStream {
        self.stream.as_ref().expect("not after a reset")
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        if let Some(stream) = self.stream.take() {
            // Closing a socket with unread input would reset it, and the client would lose what was sent.
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let _ = stream.set_read_timeout(Some(Duration::from_millis(500)));
            let _ = io::copy(&mut (&stream).take(1 << 20), &mut io::sink());
        }
        self.log.open.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Reads one request.
pub(crate) fn read_request(stream: &mut impl Read, connection: usize) -> Option<Request> {
    const MAX_HEAD: usize = 64 << 10;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if head.len() > MAX_HEAD || stream.read(&mut byte).ok()? == 0 {
            return None;
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).ok()?;
    let length = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .map_or(Some(0), |(_, value)| value.trim().parse().ok())?;
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    Some(Request { head, body, connection })
}

/// Makes a response with a `Content-Length`.
pub(crate) fn response(status: &str, headers: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// Makes a response with a JSON body.
pub(crate) fn json(status: &str, body: &str) -> Vec<u8> {
    response(status, "Content-Type: application/json\r\n", body)
}
