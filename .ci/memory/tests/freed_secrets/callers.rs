//! Who makes the calls: the core alone, and the two adapters.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::pin::Pin;
use std::thread;
use std::time::{Duration, Instant};

use loginradius_async::store::{AsyncSessionStore, SessionStore};
use loginradius_async::{self as asynchronous};
use loginradius_blocking::{self as blocking};
use loginradius_proto::browser::AuthorizationRequest;
use loginradius_proto::oauth::RequestDeviceCode;
use loginradius_proto::{
    App, Body, Call, DeviceFlow, Endpoint, Error, Flow, PendingDevice, Retry, Seed, Step, TokenSet, http,
};

use crate::allocator::make_untraced;
use crate::secrets::CODE;
use crate::server::respond;

pub trait Caller {
    const NAME: &'static str;

    fn new(app: App) -> Self;

    fn call<E: Endpoint>(&self, endpoint: &E) -> Result<E::Response, Error>;

    /// Makes a device login that is stored and resumed between its grant and its polls.
    fn device_login(&self) -> Result<TokenSet, Error>;
}

pub trait Adapter: Caller {
    /// Makes a client, perhaps with the URL of a proxy: a `&str`, so that the client allocates its own copy.
    fn over_tls(app: App, root: &str, proxy: Option<&str>) -> Self;

    /// Runs a session from its start to its end, with a refresh between.
    fn session(&self, store: impl SessionStore + AsyncSessionStore, tokens: &TokenSet) -> Result<(), Error>;

    /// Makes a login through a browser, with a loopback receiver.
    fn browser_login(&self) -> Result<TokenSet, Error>;
}

/// The core alone, without a network.
pub struct Core(App);

impl Core {
    fn run<F: Flow>(&self, mut flow: F) -> Result<F::Output, Error> {
        let mut now = Instant::now();
        loop {
            match flow.step(now) {
                Step::Send { request, .. } => {
                    let body = String::from_utf8_lossy(request.body().as_bytes());
                    let response = respond(request.uri().path_and_query().unwrap().as_str(), &body);
                    let mut answer = http::Response::new(Body::from(response.body));
                    *answer.status_mut() = http::StatusCode::from_u16(response.status).unwrap();
                    flow.receive(Ok(answer), now);
                }
                Step::Wait(until) => now = until,
                Step::Done(result) => return result,
            }
        }
    }
}

impl Caller for Core {
    const NAME: &'static str = "core";

    fn new(app: App) -> Self {
        Self(app)
    }

    fn call<E: Endpoint>(&self, endpoint: &E) -> Result<E::Response, Error> {
        self.run(Call::new(endpoint, &self.0, Seed(1)).retry(Retry::OFF))
    }

    fn device_login(&self) -> Result<TokenSet, Error> {
        let grant = self.call(&RequestDeviceCode::new())?;
        let now = Instant::now();
        let pending = DeviceFlow::new(&self.0, &grant, now, Seed(1)).pending(now, std::time::SystemTime::now());
        let pending = PendingDevice::from_json(&zeroize::Zeroizing::new(pending.to_json()))?;
        self.run(DeviceFlow::resume(&self.0, &pending, now, std::time::SystemTime::now(), Seed(1)))
    }
}

pub struct Blocking(blocking::Client);

impl Caller for Blocking {
    const NAME: &'static str = "blocking";

    fn new(app: App) -> Self {
        Self(make_untraced(|| blocking::Client::builder(app).retry(Retry::OFF).build().unwrap()))
    }

    fn call<E: Endpoint>(&self, endpoint: &E) -> Result<E::Response, Error> {
        self.0.call(endpoint)
    }

    fn device_login(&self) -> Result<TokenSet, Error> {
        let login = self.0.begin_device_login(&RequestDeviceCode::new())?;
        let pending = PendingDevice::from_json(&zeroize::Zeroizing::new(login.pending().to_json()))?;
        self.0.resume_device_login(&pending).wait()
    }
}

impl Adapter for Blocking {
    fn over_tls(app: App, root: &str, proxy: Option<&str>) -> Self {
        let builder = blocking::Client::builder(app).retry(Retry::OFF).root_certificates(root);
        let builder = if let Some(url) = proxy { builder.proxy(url) } else { builder };
        Self(builder.build().unwrap())
    }

    fn session(&self, store: impl SessionStore + AsyncSessionStore, tokens: &TokenSet) -> Result<(), Error> {
        let sessions = blocking::Sessions::new(&self.0, store);
        let session = sessions.session("ada");
        session.start(tokens)?;
        let token = session.access_token()?;
        session.refresh_rejected(&token)?;
        session.tokens()?;
        session.sign_out()
    }

    fn browser_login(&self) -> Result<TokenSet, Error> {
        let receiver = blocking::LoopbackReceiver::bind(0, "/callback")?;
        let request = AuthorizationRequest::new(receiver.redirect_uri());
        let redirect_uri = receiver.redirect_uri().to_owned();
        self.0.browser_login(receiver, &request, |url| {
            browse(&redirect_uri, url);
            Ok(())
        })
    }
}

pub struct Async {
    client: asynchronous::Client,
    runtime: tokio::runtime::Runtime,
}

impl Async {
    fn with(builder: asynchronous::ClientBuilder) -> Self {
        make_untraced(|| Self { client: builder.build().unwrap(), runtime: runtime() })
    }

    fn run<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(as_task(future))
    }
}

/// Puts the variables of a future on the heap, as those of a task are.
///
/// [`Symbols`](crate::owner::Symbols) knows it by its name.
fn as_task<F: Future>(future: F) -> Pin<Box<F>> {
    Box::pin(future)
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

impl Caller for Async {
    const NAME: &'static str = "async";

    fn new(app: App) -> Self {
        Self::with(asynchronous::Client::builder(app).retry(Retry::OFF))
    }

    fn call<E: Endpoint>(&self, endpoint: &E) -> Result<E::Response, Error> {
        self.run(self.client.call(endpoint))
    }

    fn device_login(&self) -> Result<TokenSet, Error> {
        let login = self.run(self.client.begin_device_login(&RequestDeviceCode::new()))?;
        let pending = PendingDevice::from_json(&zeroize::Zeroizing::new(login.pending().to_json()))?;
        self.run(self.client.resume_device_login(&pending).wait())
    }
}

impl Adapter for Async {
    fn over_tls(app: App, root: &str, proxy: Option<&str>) -> Self {
        let builder = asynchronous::Client::builder(app).retry(Retry::OFF).root_certificates(root);
        let builder = if let Some(url) = proxy { builder.proxy(url) } else { builder };
        Self { client: builder.build().unwrap(), runtime: make_untraced(runtime) }
    }

    fn session(&self, store: impl SessionStore + AsyncSessionStore, tokens: &TokenSet) -> Result<(), Error> {
        self.run(async {
            let sessions = asynchronous::Sessions::new(&self.client, store);
            let session = sessions.session("ada");
            session.start(tokens).await?;
            let token = session.access_token().await?;
            session.refresh_rejected(&token).await?;
            session.tokens().await?;
            session.sign_out().await
        })
    }

    fn browser_login(&self) -> Result<TokenSet, Error> {
        self.run(async {
            let receiver = asynchronous::LoopbackReceiver::bind(0, "/callback")?;
            let request = AuthorizationRequest::new(receiver.redirect_uri());
            let redirect_uri = receiver.redirect_uri().to_owned();
            let login = self.client.browser_login(receiver, &request, |url| {
                browse(&redirect_uri, url);
                Ok(())
            });
            login.await
        })
    }
}

/// Acts as the browser that comes back from LoginRadius.
fn browse(redirect_uri: &str, url: &str) {
    let (redirect_uri, url) = (redirect_uri.to_owned(), url.to_owned());
    // In a thread of its own, so that its memory is not taken for the client's.
    thread::spawn(move || {
        let state = url.split(['?', '&']).find_map(|pair| pair.strip_prefix("state=")).unwrap();
        let (host, path) = redirect_uri.strip_prefix("http://").unwrap().split_once('/').unwrap();
        let code = CODE.replace('/', "%2F").replace('+', "%2B");
        let request = format!("GET /{path}?code={code}&state={state} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let mut stream = TcpStream::connect(host).unwrap();
        // Cut within the code, and then so near to the end that no later bytes take the place of what is read.
        let (start, rest) = request.as_bytes().split_at(40);
        let (rest, end) = rest.split_at(rest.len() - 4);
        for part in [start, rest, end] {
            stream.write_all(part).unwrap();
            thread::sleep(Duration::from_millis(20));
        }
        stream.read_to_end(&mut Vec::new()).unwrap();
    });
}
