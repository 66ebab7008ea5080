//! Sign-ins through a browser: their beginning, their callback, and the receiver of callbacks on this machine. The
//! browser is a bare socket here, for real ones do things that an HTTP library hides.

pub(crate) mod begin_and_complete;
pub(crate) mod desktop_logins;
pub(crate) mod peers;
pub(crate) mod receivers;

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use loginradius_emulator::{AuthorizationResponse, Emulator, Operation};
use loginradius_proto::Error;
use loginradius_proto::browser::{AuthorizationRequest, PendingLogin, ResponseType};

use crate::adapter::{Adapter, Settings};
use crate::operations::{REFUSED, app};
use crate::receiver::Receiver;

/// A sign-in whose callback brings a token, so that it needs no server, and the receiver that waits for it.
pub(crate) struct Waiting<A: Adapter> {
    pub(crate) receiver: A::Receiver,
    pub(crate) pending: PendingLogin,
    pub(crate) place: Place,
}

/// Where a browser finds the receiver, and the state that it has to bring.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) port: u16,
    pub(crate) state: String,
}

/// What came of it.
pub(crate) struct Met<T> {
    /// The token of the callback.
    pub(crate) result: Result<String, Error>,
    /// How long the receiver waited.
    pub(crate) elapsed: Duration,
    /// When it had it.
    pub(crate) ended: Instant,
    /// What the visitors say.
    pub(crate) told: T,
}

impl<A: Adapter> Waiting<A> {
    pub(crate) fn new() -> Self {
        let receiver = A::Receiver::bind(0, "/callback").unwrap();
        let client = A::new(app(REFUSED), &Settings::default()).unwrap();
        let request = AuthorizationRequest::new(receiver.redirect_uri()).response_type(ResponseType::Token);
        let sign_in = client.begin_browser_login(&request).unwrap();
        let place = Place { port: port(receiver.redirect_uri()), state: param(&sign_in.url, "state").to_owned() };
        Self { receiver, pending: sign_in.pending, place }
    }

    /// The receiver waits while visitors come.
    pub(crate) fn meet<T: Send>(self, visitors: impl FnOnce(&Place) -> T + Send) -> Met<T> {
        let Self { receiver, mut pending, place } = self;
        thread::scope(|scope| {
            let visitors = scope.spawn(move || visitors(&place));
            let start = Instant::now();
            let result = receiver.timeout(TOO_LONG).receive(&mut pending);
            let ended = Instant::now();
            let told = visitors.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            let result = result.map(|authorized| authorized.tokens.unwrap().access_token.expose().to_owned());
            Met { result, elapsed: ended.duration_since(start), ended, told }
        })
    }

    /// The same, where the sign-in ends as it should and soon, whatever else comes.
    #[track_caller]
    pub(crate) fn succeeds<T: Send>(self, visitors: impl FnOnce(&Place) -> T + Send) -> T {
        let met = self.meet(visitors);
        assert_eq!(met.result.unwrap(), TOKEN);
        assert!(met.elapsed < SOON, "{:?}", met.elapsed);
        met.told
    }
}

/// No test waits for so long unless it fails.
const TOO_LONG: Duration = Duration::from_secs(8);
/// On a busy machine. What the receiver is patient about takes longer.
const SOON: Duration = Duration::from_secs(4);
/// What the right callback brings.
const TOKEN: &str = "the-token";

impl Place {
    pub(crate) fn tab(&self) -> Tab {
        Tab::open(self.port)
    }

    /// The target of a callback that belongs to the sign-in.
    pub(crate) fn callback(&self, token: &str) -> String {
        format!("/callback?token={token}&state={}", self.state)
    }

    /// Asks for that, and reads the page.
    pub(crate) fn visit(&self, target: &str) -> Page {
        let tab = self.tab();
        tab.send(get(target));
        tab.page()
    }

    /// Ends the sign-in.
    pub(crate) fn finish(&self) {
        assert_signed_in(&self.visit(&self.callback(TOKEN)));
    }
}

/// A connection of a browser.
pub(crate) struct Tab(pub(crate) TcpStream);

impl Tab {
    pub(crate) fn open(port: u16) -> Self {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("the receiver listens");
        stream.set_read_timeout(Some(TOO_LONG)).unwrap();
        stream.set_write_timeout(Some(TOO_LONG)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(stream)
    }

    pub(crate) fn send(&self, bytes: impl AsRef<[u8]>) {
        (&self.0).write_all(bytes.as_ref()).expect("the receiver reads");
    }

    /// The page, which has to be whole, with an orderly end after it.
    #[track_caller]
    pub(crate) fn page(&self) -> Page {
        let mut answer = Vec::new();
        let end = (&self.0).read_to_end(&mut answer);
        let answer = String::from_utf8(answer).unwrap();
        end.unwrap_or_else(|error| panic!("{error} after {answer:?}"));
        Page::parse(&answer).unwrap_or_else(|| panic!("no whole page: {answer:?}"))
    }

    /// The page, if there is one.
    pub(crate) fn page_if_any(&self) -> Option<Page> {
        let mut answer = Vec::new();
        let _ = (&self.0).read_to_end(&mut answer);
        Page::parse(&String::from_utf8(answer).unwrap())
    }

    /// Closes with a reset instead of an end.
    pub(crate) fn reset(self) {
        socket2::SockRef::from(&self.0).set_linger(Some(Duration::ZERO)).unwrap();
    }
}

/// What a browser shows.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Page {
    fn parse(answer: &str) -> Option<Self> {
        let (head, body) = answer.split_once("\r\n\r\n")?;
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

/// As a browser asks.
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

/// Where the emulator sends its browser: there it goes.
pub(crate) fn follow(landing: &AuthorizationResponse) -> Page {
    let tab = Tab::open(port(&landing.url));
    tab.send(match &landing.form {
        None => get(target(&landing.url)),
        Some(fields) => {
            let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
            assert!(fields.iter().all(|(name, value)| plain(name) && plain(value)), "needs to be encoded");
            let fields: Vec<_> = fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
            post(target(&landing.url), &fields.join("&"))
        }
    });
    tab.page()
}

/// The port of `http://127.0.0.1:{port}/...`.
pub(crate) fn port(url: &str) -> u16 {
    let rest = url.strip_prefix("http://127.0.0.1:").expect(url);
    rest.split('/').next().unwrap().parse().expect(url)
}

/// The path and the query.
pub(crate) fn target(url: &str) -> &str {
    &url[url.match_indices('/').nth(2).expect(url).0..]
}

/// A parameter of an address, as it stands there.
pub(crate) fn param<'a>(url: &'a str, name: &str) -> &'a str {
    let (_, query) = url.split_once('?').expect(url);
    let mut values = query.split('&').filter_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    let value = values.next().unwrap_or_else(|| panic!("{url} has no {name}"));
    assert!(values.next().is_none(), "{url} has {name} twice");
    value
}

/// How often that was asked for.
pub(crate) fn asked(emulator: &Emulator, operation: Operation) -> usize {
    emulator.requests().iter().filter(|request| request.operation == Some(operation)).count()
}

/// A port that nobody listens on.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// Nobody listens there, and somebody can.
#[track_caller]
pub(crate) fn assert_free(port: u16) {
    assert_eq!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    drop(TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("the port is free"));
}
