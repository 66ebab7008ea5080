//! Browser logins: their beginning, their callback, and the receiver of callbacks on this machine. The browser is a
//! bare socket, because real browsers do what an HTTP library would hide.

pub(crate) mod begin_and_complete;
pub(crate) mod desktop_logins;
pub(crate) mod peers;
pub(crate) mod receivers;

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use loginradius_emulator::{AuthorizationResponse, Emulator, Operation};
use loginradius_proto::browser::loopback::Host;
use loginradius_proto::browser::{
    AuthorizationRequest, BrowserLogin, BrowserRequest as _, PendingLogin, RandomBytes, ResponseType,
};
use loginradius_proto::session::Now;
use loginradius_proto::{App, Error};

use crate::adapter::{Adapter, Settings};
use crate::operations::{REFUSED, app};
use crate::receiver::Receiver;

/// A login whose receiver waits. Its callback carries a token, so that no server is needed.
pub(crate) struct WaitingLogin<A: Adapter> {
    pub(crate) receiver: A::Receiver,
    pub(crate) pending: PendingLogin,
    pub(crate) browser: Browser,
}

/// A browser that knows the receiver's port and the login's state.
#[derive(Clone)]
pub(crate) struct Browser {
    pub(crate) port: u16,
    pub(crate) state: String,
}

/// The outcome of a wait for the callback.
pub(crate) struct Received<T> {
    /// The token of the callback.
    pub(crate) result: Result<String, Error>,
    /// How long the receiver waited.
    pub(crate) elapsed: Duration,
    /// When the wait ended.
    pub(crate) ended: Instant,
    /// What the browser's function returned.
    pub(crate) seen: T,
}

impl<A: Adapter> WaitingLogin<A> {
    pub(crate) fn new() -> Self {
        Self::at(Host::Ipv4)
    }

    pub(crate) fn at(host: Host) -> Self {
        let receiver = A::Receiver::bind_to(host, 0, "/callback").unwrap();
        let client = A::new(app(REFUSED), &Settings::default()).unwrap();
        let request = AuthorizationRequest::new(receiver.redirect_uri()).response_type(ResponseType::Token);
        let login = client.begin_browser_login(&request).unwrap();
        let browser = Browser { port: port(receiver.redirect_uri()), state: param(&login.url, "state").to_owned() };
        Self { receiver, pending: login.pending, browser }
    }

    /// Waits for the callback while `act` runs in another thread.
    pub(crate) fn receive_while<T: Send>(self, act: impl FnOnce(&Browser) -> T + Send) -> Received<T> {
        let Self { receiver, mut pending, browser } = self;
        thread::scope(|scope| {
            let acting = scope.spawn(move || act(&browser));
            let start = Instant::now();
            let result = receiver.timeout(TIMEOUT).receive(&mut pending);
            let ended = Instant::now();
            let seen = acting.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            let result = result.map(|authorized| authorized.tokens.unwrap().access_token.expose().to_owned());
            Received { result, elapsed: ended.duration_since(start), ended, seen }
        })
    }

    /// Does the same, and checks that the right callback arrived without a delay.
    #[track_caller]
    pub(crate) fn succeeds_while<T: Send>(self, act: impl FnOnce(&Browser) -> T + Send) -> T {
        let received = self.receive_while(act);
        assert_eq!(received.result.unwrap(), TOKEN);
        assert!(received.elapsed < MAX_ELAPSED, "{:?}", received.elapsed);
        received.seen
    }
}

/// A timeout that only a failing test reaches.
const TIMEOUT: Duration = Duration::from_secs(8);
/// The longest successful wait on a busy machine. The receiver's own timeout for a silent peer is longer.
const MAX_ELAPSED: Duration = Duration::from_secs(4);
/// The token of the right callback.
const TOKEN: &str = "the-token";

impl Browser {
    pub(crate) fn connection(&self) -> Connection {
        Connection::open(self.port)
    }

    /// Makes the request target of a callback with that token and the login's state.
    pub(crate) fn callback(&self, token: &str) -> String {
        format!("/callback?token={token}&state={}", self.state)
    }

    /// Requests that target, and reads the page.
    pub(crate) fn visit(&self, target: &str) -> Page {
        let connection = self.connection();
        connection.send(get(target));
        connection.page()
    }

    /// Brings the right callback.
    pub(crate) fn finish(&self) {
        assert_signed_in(&self.visit(&self.callback(TOKEN)));
    }
}

/// A browser's connection to the receiver.
pub(crate) struct Connection(pub(crate) TcpStream);

impl Connection {
    pub(crate) fn open(port: u16) -> Self {
        Self::open_at((Ipv4Addr::LOCALHOST, port).into())
    }

    pub(crate) fn open_at(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("the receiver listens");
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        stream.set_write_timeout(Some(TIMEOUT)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(stream)
    }

    pub(crate) fn send(&self, bytes: impl AsRef<[u8]>) {
        (&self.0).write_all(bytes.as_ref()).expect("the receiver reads");
    }

    /// Reads the page, which must be whole and followed by a close, not by a reset.
    #[track_caller]
    pub(crate) fn page(&self) -> Page {
        let mut response = Vec::new();
        let end = (&self.0).read_to_end(&mut response);
        let response = String::from_utf8(response).unwrap();
        end.unwrap_or_else(|error| panic!("{error} after {response:?}"));
        Page::parse(&response).unwrap_or_else(|| panic!("no whole page: {response:?}"))
    }

    /// Reads until the connection ends. Returns the page, if it came whole.
    pub(crate) fn page_if_whole(&self) -> Option<Page> {
        let mut response = Vec::new();
        let _ = (&self.0).read_to_end(&mut response);
        Page::parse(&String::from_utf8(response).unwrap())
    }

    /// Closes with a reset instead of an end.
    pub(crate) fn reset(self) {
        socket2::SockRef::from(&self.0).set_linger(Some(Duration::ZERO)).unwrap();
    }
}

/// A response, as a browser shows it.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Page {
    fn parse(response: &str) -> Option<Self> {
        let (head, body) = response.split_once("\r\n\r\n")?;
        let status = head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
        let length: usize = head.lines().find_map(|line| line.strip_prefix("Content-Length: "))?.parse().ok()?;
        (length == body.len()).then(|| Self { status, head: head.to_owned(), body: body.to_owned() })
    }
}

#[track_caller]
pub(crate) fn assert_signed_in(page: &Page) {
    assert!(page.status == 200 && page.body.contains("<h1>Back to the program</h1>"), "{page:?}");
}

#[track_caller]
pub(crate) fn assert_not_signed_in(page: &Page) {
    assert!(page.status == 200 && page.body.contains("<h1>Not signed in</h1>"), "{page:?}");
}

/// How the wall clock was set while a browser was open: by an hour.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Clock {
    SetForward,
    SetBack,
}

impl Clock {
    /// Begins a login as if the clock had been set since then.
    pub(crate) fn begin(self, app: &App, request: &AuthorizationRequest) -> BrowserLogin<PendingLogin> {
        let hour = Duration::from_secs(3600);
        let wall = match self {
            Self::SetForward => SystemTime::now() - hour,
            Self::SetBack => SystemTime::now() + hour,
        };
        let random = RandomBytes::new(std::array::from_fn(|byte| byte as u8)).unwrap();
        request.begin(app, &random, Now::new(Instant::now(), wall)).unwrap()
    }
}

/// Makes the request of a browser.
pub(crate) fn get(target: &str) -> String {
    request("GET", target, "")
}

pub(crate) fn request(method: &str, target: &str, headers: &str) -> String {
    format!(
        "{method} {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: keep-alive\r\nAccept: text/html\r\n{headers}\r\n"
    )
}

pub(crate) fn post(target: &str, body: &str) -> String {
    let headers = format!("Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n", body.len());
    request("POST", target, &headers) + body
}

/// Does what the browser does with the emulator's response to an authorization request: brings the callback.
pub(crate) fn follow(landing: &AuthorizationResponse) -> Page {
    let connection = Connection::open(port(&landing.url));
    connection.send(match &landing.form {
        None => get(target(&landing.url)),
        Some(fields) => {
            let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
            assert!(fields.iter().all(|(name, value)| plain(name) && plain(value)), "needs to be encoded");
            let fields: Vec<_> = fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
            post(target(&landing.url), &fields.join("&"))
        }
    });
    connection.page()
}

/// Returns the port of `http://{this machine}:{port}/...`.
pub(crate) fn port(url: &str) -> u16 {
    let hosts = ["127.0.0.1", "[::1]", "localhost"];
    let rest = url.strip_prefix("http://").expect(url);
    let rest = hosts.iter().find_map(|host| rest.strip_prefix(host)?.strip_prefix(':')).expect(url);
    rest.split('/').next().unwrap().parse().expect(url)
}

/// Returns the path and the query of a URL.
pub(crate) fn target(url: &str) -> &str {
    &url[url.match_indices('/').nth(2).expect(url).0..]
}

/// Returns a parameter of a URL's query, still encoded.
pub(crate) fn param<'a>(url: &'a str, name: &str) -> &'a str {
    let (_, query) = url.split_once('?').expect(url);
    let mut values = query.split('&').filter_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    let value = values.next().unwrap_or_else(|| panic!("{url} has no {name}"));
    assert!(values.next().is_none(), "{url} has {name} twice");
    value
}

/// Counts the requests for that operation.
pub(crate) fn requests_of(emulator: &Emulator, operation: Operation) -> usize {
    emulator.requests().iter().filter(|request| request.operation == Some(operation)).count()
}

/// Returns a port on which no program listens.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// Checks that no program listens on the port, and that one could.
#[track_caller]
pub(crate) fn assert_free(port: u16) {
    assert_eq!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    drop(TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("the port is free"));
}
