//! A TCP connection, with or without TLS. Every read and write ends by a deadline.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use loginradius_proto::Body;
use loginradius_transport::rustls::{ClientConnection, StreamOwned};

/// A TCP connection that counts what it reads.
pub(super) struct Socket {
    tcp: TcpStream,
    deadline: Instant,
    /// The bytes read since [`Socket::begin_count`].
    read: usize,
}

/// A connection to a server, perhaps inside a connection to a proxy.
pub(super) enum Stream {
    Plain(Socket),
    Tls(Box<StreamOwned<ClientConnection, Stream>>),
}

/// The error of a response that does not end.
#[derive(Debug)]
pub(crate) struct TooManyBytes;

impl TooManyBytes {
    /// The most bytes that are read from a connection for one response: the longest body, and half as much again for
    /// its head, its chunk sizes and TLS.
    const LIMIT: usize = Body::LIMIT + Body::LIMIT / 2;
}

impl Socket {
    pub(super) fn new(tcp: TcpStream, deadline: Instant) -> io::Result<Self> {
        tcp.set_nodelay(true)?;
        Ok(Self { tcp, deadline, read: 0 })
    }

    fn time_left(&self) -> io::Result<Duration> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
    }

    /// Returns whether it is open and nothing has arrived on it.
    fn is_idle(&mut self) -> bool {
        if self.tcp.set_nonblocking(true).is_err() {
            return false;
        }
        let silent = matches!(self.tcp.peek(&mut [0]), Err(error) if error.kind() == io::ErrorKind::WouldBlock);
        self.tcp.set_nonblocking(false).is_ok() && silent
    }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            self.tcp.set_read_timeout(Some(self.time_left()?))?;
            match self.tcp.read(buffer) {
                Ok(count) => {
                    self.read = self.read.saturating_add(count);
                    return if self.read > TooManyBytes::LIMIT {
                        Err(io::Error::other(TooManyBytes))
                    } else {
                        Ok(count)
                    };
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(timed_out(error)),
            }
        }
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.tcp.set_write_timeout(Some(self.time_left()?))?;
        self.tcp.write(bytes).map_err(timed_out)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stream {
    pub(super) fn set_deadline(&mut self, deadline: Instant) {
        self.socket().deadline = deadline;
    }

    /// Begins to count the bytes of the next response.
    pub(super) fn begin_count(&mut self) {
        self.socket().read = 0;
    }

    /// Returns whether it is open, and the server has sent nothing that was not read.
    pub(super) fn is_idle(&mut self) -> bool {
        match self {
            Self::Plain(socket) => socket.is_idle(),
            // What rustls has decrypted no longer shows on the socket.
            Self::Tls(tls) => {
                let state = tls.conn.process_new_packets();
                state.is_ok_and(|state| state.plaintext_bytes_to_read() == 0 && !state.peer_has_closed())
                    && tls.sock.is_idle()
            }
        }
    }

    pub(super) fn is_tls(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    fn socket(&mut self) -> &mut Socket {
        let mut stream = self;
        loop {
            match stream {
                Self::Plain(socket) => return socket,
                Self::Tls(tls) => stream = &mut tls.sock,
            }
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(buffer),
            Self::Tls(tls) => tls.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(bytes),
            Self::Tls(tls) => tls.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.flush(),
            Self::Tls(tls) => tls.flush(),
        }
    }
}

/// Names a timeout alike on all systems: Unix calls it `WouldBlock`.
fn timed_out(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::WouldBlock { io::ErrorKind::TimedOut.into() } else { error }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_tls() { "Stream(TLS)" } else { "Stream" })
    }
}

impl fmt::Display for TooManyBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the server sent more than {} bytes for one response", Self::LIMIT)
    }
}

impl std::error::Error for TooManyBytes {}
