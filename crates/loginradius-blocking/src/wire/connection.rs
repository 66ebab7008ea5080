//! A connection as ureq uses it.

use std::cell::Cell;
use std::fmt;
use std::io::{self, Read, Write};
use std::ops::Deref;
use std::time::{Duration, Instant};

use http::Request;
use ureq::unversioned::transport::{Buffers, NextTimeout, Transport};
use zeroize::{Zeroize, Zeroizing};

use super::head::{HeadReader, append};
use super::socket::Stream;

thread_local! {
    /// Whether this thread has written to a connection since its call began.
    static HAS_WRITTEN: Cell<bool> = const { Cell::new(false) };
    /// How much memory ureq gets for what it writes. The head of a request fits as a whole: ureq would leave a part of a
    /// line that does not fit, and fail at one that never fits. A body is written in parts if it is long.
    static OUTPUT_LENGTH: Cell<usize> = const { Cell::new(0) };
}

/// A call of this thread: ureq runs each call on the thread that makes it.
///
/// A call may begin within another one, as ureq logs, and a logger may send its lines by a client. On drop, the call
/// around it is this thread's again.
#[must_use]
pub(crate) struct CurrentCall {
    outer: (bool, usize),
}

impl CurrentCall {
    /// Begins a call with that request, whose body has that length.
    pub(crate) fn begin<B>(request: &Request<B>, body_length: usize) -> Self {
        let uri = request.uri();
        let line = request.method().as_str().len() + uri.path_and_query().map_or(0, |line| line.as_str().len());
        let host = uri.authority().map_or(0, |authority| authority.as_str().len());
        let headers = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len());
        let head_length = line + host + headers.sum::<usize>() + ADDED_LENGTH;
        let length = head_length.max(body_length.min(MAX_BODY_PART));
        Self { outer: (HAS_WRITTEN.replace(false), OUTPUT_LENGTH.replace(length)) }
    }
}

impl Drop for CurrentCall {
    fn drop(&mut self) {
        HAS_WRITTEN.set(self.outer.0);
        OUTPUT_LENGTH.set(self.outer.1);
    }
}

/// Returns whether something of this thread's call may have been sent. ureq's errors do not tell: its timeouts are the
/// same before and after the request is written.
pub(crate) fn may_be_sent() -> bool {
    HAS_WRITTEN.get()
}

/// Enough for what ureq adds to a head.
const ADDED_LENGTH: usize = 1 << 10;
/// The most of a body that is written at once.
const MAX_BODY_PART: usize = 16 << 10;
/// ureq wants this memory for a body of unknown length. All of ours have a known one.
const SCRATCH_LENGTH: usize = 128;
const INPUT_LENGTH: usize = 4 << 10;

/// A connection that reads the heads of responses itself, and limits how much it reads of each response.
pub(crate) struct Connection {
    stream: Stream,
    buffers: WireBuffers,
    chunk: Chunk,
    /// `None` once the head of the current response was read.
    head: Option<HeadReader>,
    /// Whether anything was read since the last request began.
    has_read: bool,
}

impl Connection {
    pub(super) fn new(stream: Stream) -> Self {
        Self {
            stream,
            buffers: WireBuffers::default(),
            chunk: Chunk::default(),
            head: Some(HeadReader::default()),
            has_read: true,
        }
    }

    fn begin_request(&mut self) {
        self.stream.begin_count();
        self.head = Some(HeadReader::default());
        self.has_read = false;
    }

    fn read_head(&mut self, mut head: HeadReader) -> Result<bool, ureq::Error> {
        loop {
            let chunk = self.chunk.read(&mut self.stream)?;
            if chunk.is_empty() {
                return Ok(false);
            }
            let whole = head.push(&chunk);
            if let Some(whole) = whole.map_err(|error| ureq::Error::Io(io::Error::other(error)))? {
                self.buffers.push(&whole.packed);
                self.buffers.push(&whole.rest);
                return Ok(true);
            }
        }
    }

    fn read_body(&mut self) -> Result<bool, ureq::Error> {
        let chunk = self.chunk.read(&mut self.stream).map_err(not_an_end)?;
        self.buffers.push(&chunk);
        Ok(!chunk.is_empty())
    }
}

/// Memory for what is read, for one connection. It is overwritten after each use, as far as it was used.
#[derive(Default)]
struct Chunk(Vec<u8>);

impl Chunk {
    fn read(&mut self, stream: &mut Stream) -> io::Result<Used<'_>> {
        self.0.resize(INPUT_LENGTH, 0);
        Used::read(stream, &mut self.0)
    }
}

/// The part of a buffer that a read has filled. It is overwritten on drop.
pub(crate) struct Used<'a>(&'a mut [u8]);

impl<'a> Used<'a> {
    pub(crate) fn read(reader: &mut impl Read, buffer: &'a mut [u8]) -> io::Result<Self> {
        let count = reader.read(buffer)?;
        Ok(Self(buffer.get_mut(..count).unwrap_or_default()))
    }
}

impl Deref for Used<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.0
    }
}

impl Drop for Used<'_> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl Transport for Connection {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        if self.has_read {
            self.begin_request();
        }
        self.stream.set_deadline(deadline(timeout));
        HAS_WRITTEN.set(true);
        let output = self.buffers.output.get_mut(..amount).unwrap_or_default();
        let sent = self.stream.write_all(output);
        output.zeroize();
        sent.map_err(|error| at_the_deadline(error, timeout))
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        self.has_read = true;
        self.stream.set_deadline(deadline(timeout));
        let result = match self.head.take() {
            Some(head) => self.read_head(head),
            None => self.read_body(),
        };
        result.map_err(|error| match error {
            ureq::Error::Io(error) => at_the_deadline(error, timeout),
            other => other,
        })
    }

    fn is_open(&mut self) -> bool {
        self.stream.is_idle()
    }

    fn is_tls(&self) -> bool {
        self.stream.is_tls()
    }
}

/// Hides from ureq that a connection broke: it would take that for the end of a body without a length (RFC 9112,
/// section 8, and section 9.8 of TLS that ends without the server's word).
fn not_an_end(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => {
            io::Error::other(error)
        }
        _ => error,
    }
}

fn at_the_deadline(error: io::Error, timeout: NextTimeout) -> ureq::Error {
    if error.kind() == io::ErrorKind::TimedOut { ureq::Error::Timeout(timeout.reason) } else { ureq::Error::Io(error) }
}

/// Returns the instant at which that timeout ends, at most ten years from now. Every request has a timeout, but ureq
/// says *none* by a time that is too long for an instant.
pub(super) fn deadline(timeout: NextTimeout) -> Instant {
    const TEN_YEARS: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
    Instant::now() + (*timeout.after).min(TEN_YEARS)
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Connection").field(&self.stream).finish()
    }
}

/// The bytes of one connection that are not yet sent or read. They are overwritten afterwards.
#[derive(Default)]
struct WireBuffers {
    output: Zeroizing<Vec<u8>>,
    input: Zeroizing<Vec<u8>>,
    consumed: usize,
    /// Whether ureq used some of the input when it last looked at it.
    has_progressed: bool,
}

impl WireBuffers {
    /// Returns the memory for what ureq writes, which begins with the output.
    fn writable(&mut self) -> &mut [u8] {
        let length = OUTPUT_LENGTH.get() + SCRATCH_LENGTH;
        if self.output.len() < length {
            self.output = Zeroizing::new(vec![0; length]);
        }
        &mut self.output
    }

    fn push(&mut self, bytes: &[u8]) {
        if self.consumed > 0 {
            self.input.copy_within(self.consumed.., 0);
            let left = self.input.len().saturating_sub(self.consumed);
            self.input.truncate(left);
            self.consumed = 0;
        }
        append(&mut self.input, bytes);
    }
}

impl Buffers for WireBuffers {
    fn output(&mut self) -> &mut [u8] {
        self.writable()
    }

    fn input(&self) -> &[u8] {
        self.input.get(self.consumed..).unwrap_or_default()
    }

    // `Connection` appends to the input itself.
    fn input_append_buf(&mut self) -> &mut [u8] {
        &mut []
    }

    fn input_appended(&mut self, _: usize) {}

    fn input_consume(&mut self, amount: usize) {
        self.has_progressed = amount > 0;
        self.consumed += amount;
        if self.consumed >= self.input.len() {
            self.input.zeroize();
            self.consumed = 0;
        }
    }

    fn tmp_and_output(&mut self) -> (&mut [u8], &mut [u8]) {
        let writable = self.writable();
        let (output, scratch) = writable.split_at_mut(writable.len().saturating_sub(SCRATCH_LENGTH));
        (scratch, output)
    }

    fn can_use_input(&self) -> bool {
        !self.input().is_empty() && self.has_progressed
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use http::header::{AUTHORIZATION, COOKIE};
    use loginradius_conformance::Server;
    use ureq::Agent;
    use ureq::config::Config;
    use ureq::unversioned::transport::{ConnectionDetails, Connector};

    use super::*;
    use crate::wire::connector::NoResolver;
    use crate::wire::socket::Socket;

    /// A connection that checks after each use that nothing of what was sent is left in its memory.
    #[derive(Debug)]
    struct Checked(Connection);

    impl Transport for Checked {
        fn buffers(&mut self) -> &mut dyn Buffers {
            self.0.buffers()
        }

        fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
            WRITES.set(WRITES.get() + 1);
            self.0.transmit_output(amount, timeout)?;
            let left = self.0.buffers.output.iter().filter(|byte| **byte != 0).count();
            assert_eq!(left, 0, "bytes of a request are left");
            Ok(())
        }

        fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
            let result = self.0.await_input(timeout);
            assert!(self.0.chunk.0.iter().all(|byte| *byte == 0), "bytes of a response are left");
            result
        }

        fn is_open(&mut self) -> bool {
            self.0.is_open()
        }

        fn is_tls(&self) -> bool {
            self.0.is_tls()
        }
    }

    thread_local! {
        static WRITES: Cell<usize> = const { Cell::new(0) };
    }

    #[derive(Debug)]
    struct CheckedConnector;

    impl Connector for CheckedConnector {
        type Out = Checked;

        fn connect(&self, details: &ConnectionDetails<'_>, _: Option<()>) -> Result<Option<Checked>, ureq::Error> {
            let tcp = TcpStream::connect(details.uri.authority().unwrap().as_str())?;
            Ok(Some(Checked(Connection::new(Stream::Plain(Socket::new(tcp, Instant::now())?)))))
        }
    }

    /// The connection may be kept for long.
    #[test]
    fn nothing_of_a_request_or_a_response_stays_in_the_memory_of_a_connection() {
        let server = Server::responding(|_| {
            b"HTTP/1.1 200 OK\r\nContent-Length: 6000\r\n\r\n".iter().chain(&[b'x'; 6000]).copied().collect()
        });
        let agent = Agent::with_parts(Config::builder().proxy(None).build(), CheckedConnector, NoResolver);
        for length in [10, 3000, 10] {
            let secret = "s".repeat(length);
            let content = secret.repeat(5);
            let request = Request::post(format!("{}/?q={secret}", server.url()))
                .header(AUTHORIZATION, &secret)
                .header(COOKIE, &secret)
                .body(content.as_bytes())
                .unwrap();
            let _call = CurrentCall::begin(&request, content.len());
            WRITES.set(0);
            let body = agent.run(request).unwrap().into_body().read_to_string().unwrap();
            assert_eq!(body.len(), 6000);
            let request = server.requests().pop().unwrap();
            assert_eq!(request.head.matches(&secret).count(), 3, "{}", request.head);
            assert_eq!(request.body, content.as_bytes());
            assert_eq!(WRITES.get(), 2, "the head and the body, each at once");
        }
        assert_eq!(server.connections(), 1);
    }
}
