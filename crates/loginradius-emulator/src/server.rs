//! From a connection to an answer.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};

use crate::answer::Answer;
use crate::body::{Act, Broken, Scripted};
use crate::fault::Fault;
use crate::params::{self, Params};
use crate::recorded::{Family, Operation, Recorded};
use crate::refusal::{Refusal, Style};
use crate::route::{self, Endpoint, Target};
use crate::state::State;
use crate::{device, jwt, oauth, pages};

/// Requests are far smaller.
const MOST_BODY: usize = 64 * 1024;

/// How long a body may take to arrive.
const BODY_TIME: Duration = Duration::from_secs(30);

/// The state, for the thread that serves and for the test that looks.
#[derive(Clone)]
pub(crate) struct Shared(Arc<Mutex<State>>);

impl Shared {
    pub(crate) fn new(state: State) -> Self {
        Self(Arc::new(Mutex::new(state)))
    }

    /// Nothing that holds the lock panics; were it to, the state would still be whole enough to answer with.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) async fn serve(listener: TcpListener, shared: Shared) -> Infallible {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                tokio::spawn(connection(stream, peer, shared.clone()));
            }
            // Out of file descriptors, most likely: some will be given back.
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

async fn connection(stream: TcpStream, _: SocketAddr, shared: Shared) {
    // Without it, a body that is sent a byte at a time waits for acknowledgements. If it fails, it is just slower.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let shared = shared.clone();
        async move { answer(&shared, request).await }
    });
    // An error here is a client that went away, or a fault that closed the connection.
    let _ = http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service).await;
}

/// `Err` closes the connection without an answer.
async fn answer(shared: &Shared, request: Request<Incoming>) -> Result<Response<Scripted>, Broken> {
    let (head, body) = request.into_parts();
    if !pages::guard::is_our_host(&shared.lock(), &head.headers, &head.uri) {
        // RFC 9110, section 15.5.20. A foreign name that resolves to this machine would let that site's scripts
        // read the answers (DNS rebinding).
        let answer = Answer::text(
            StatusCode::MISDIRECTED_REQUEST,
            "This emulator answers to 127.0.0.1, localhost and [::1] only.\n",
        );
        return Ok(finish(shared, answer));
    }
    let read = Limited::new(body, MOST_BODY).collect();
    let body = match tokio::time::timeout(BODY_TIME, read).await {
        Ok(Ok(collected)) => collected.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            let answer = Answer::text(StatusCode::PAYLOAD_TOO_LARGE, "The body is too long.\n")
                .with(header::CONNECTION, "close");
            return Ok(finish(shared, answer));
        }
        Ok(Err(_)) | Err(_) => return Err(Broken),
    };
    let request = Whole {
        method: &head.method,
        path: head.uri.path(),
        query: head.uri.query().unwrap_or_default(),
        headers: &head.headers,
        body: &body,
    };
    match route::find(request.path) {
        Some(target) => api(shared, &request, &target).await,
        None if pages::has(request.path) => {
            let answer = pages::answer(&mut shared.lock(), &request);
            Ok(finish(shared, answer))
        }
        None => {
            let mut answer = Answer::text(StatusCode::NOT_FOUND, "There is nothing here.\n");
            if route::is_api(request.path) {
                let mut state = shared.lock();
                let mut recorded = request.recorded(state.clock.now());
                recorded.status = Some(answer.status.as_u16());
                state.record(recorded);
            } else {
                answer = pages::not_found();
            }
            Ok(finish(shared, answer))
        }
    }
}

/// A request that has arrived whole.
pub(crate) struct Whole<'a> {
    pub(crate) method: &'a Method,
    pub(crate) path: &'a str,
    pub(crate) query: &'a str,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) body: &'a Bytes,
}

impl Whole<'_> {
    pub(crate) fn header(&self, name: HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    fn recorded(&self, at: SystemTime) -> Recorded {
        let body_format = params::body_format(self.headers, self.body);
        let query = Params::from_form(self.query.as_bytes());
        let body = params::body_params(body_format, self.body, true).unwrap_or_default();
        let params: Vec<_> = query.pairs().chain(body.pairs()).collect();
        let client_id = params
            .iter()
            .find(|(name, _)| name == "client_id" || name.eq_ignore_ascii_case("apikey"))
            .map(|(_, value)| value.clone());
        let owned = |name| self.header(name).map(str::to_owned);
        Recorded {
            method: self.method.to_string(),
            path: self.path.to_owned(),
            operation: None,
            family: None,
            params,
            body_format,
            content_type: owned(header::CONTENT_TYPE),
            accept: owned(header::ACCEPT),
            user_agent: owned(header::USER_AGENT),
            client_id,
            at,
            status: None,
            fault: None,
        }
    }
}

/// A request to an address of the API: recorded, then answered, with whatever fault is set for its operation.
async fn api(shared: &Shared, request: &Whole<'_>, target: &Target) -> Result<Response<Scripted>, Broken> {
    let (outcome, wait, date) = {
        let mut state = shared.lock();
        let mut recorded = request.recorded(state.clock.now());
        recorded.family = Some(target.family);
        let call = Call::read(&state, request, target);
        recorded.operation = call.operation;
        let fault = call.operation.map_or(Fault::None, |operation| state.faults.take(operation));
        recorded.fault = (fault != Fault::None).then(|| fault.clone());
        let number = state.record(recorded);

        let wait = match fault {
            Fault::Delay(time) => Some(time),
            _ => None,
        };
        let outcome = with_fault(&fault, || call.act(&mut state));
        if let (Some((answer, _)), Some(recorded)) = (&outcome, state.recorded(number)) {
            recorded.status = Some(answer.status.as_u16());
        }
        (outcome, wait, state.clock.now())
    };
    if let Some(wait) = wait {
        tokio::time::sleep(wait).await;
    }
    match outcome {
        Some((answer, body)) => Ok(respond(answer, body, date)),
        None => Err(Broken),
    }
}

/// The answer and what its body does; `None` if there is none. `act` does what the request asks for.
fn with_fault(fault: &Fault, act: impl FnOnce() -> Answer) -> Option<(Answer, Scripted)> {
    let whole = |answer: Answer| {
        let body = Scripted::whole(answer.body.clone());
        Some((answer, body))
    };
    let with_length = |answer: Answer| {
        let length = answer.body.len().to_string();
        answer.with(header::CONTENT_LENGTH, &length)
    };
    match fault {
        Fault::None | Fault::Delay(_) => whole(act()),
        Fault::DropBefore => None,
        Fault::DropAfter => {
            act();
            None
        }
        Fault::TooManyRequests { retry_after } => {
            let answer = Answer::text(StatusCode::TOO_MANY_REQUESTS, "Too many requests");
            whole(match retry_after {
                Some(seconds) => answer.with(header::RETRY_AFTER, &seconds.to_string()),
                None => answer,
            })
        }
        Fault::Status(number) => {
            let status = status(*number);
            let text = status.canonical_reason().unwrap_or("Error");
            whole(Answer::html(
                status,
                format!(
                    "<!DOCTYPE html><html><head><title>{text}</title></head>\
                     <body><h1>{number} {text}</h1></body></html>"
                ),
            ))
        }
        Fault::RedirectTo(url) => whole(Answer::empty(StatusCode::FOUND).with(header::LOCATION, url)),
        Fault::Truncated => {
            let answer = with_length(act());
            if answer.body.is_empty() {
                return None;
            }
            let half = answer.body.slice(..answer.body.len() / 2);
            // The pause lets what was written leave, before the connection is closed.
            let pause = Act::Pause(Duration::from_millis(2));
            Some((answer, Scripted::new([Act::Send(half), pause, Act::Break])))
        }
        Fault::Oversized(bytes) => {
            let answer = Answer::empty(StatusCode::OK).with(header::CONTENT_TYPE, "application/json; charset=utf-8");
            let (begin, end) = (r#"{"access_token":""#, r#""}"#);
            let fill = bytes.saturating_sub(begin.len() + end.len());
            let acts = [Act::Send(begin.into()), Act::Fill(fill), Act::Send(end.into())];
            Some((answer, Scripted::new(acts)))
        }
        Fault::SlowDrip { pause } => {
            let answer = with_length(act());
            let body = answer.body.clone();
            let bytes = (0..body.len()).map(|place| Act::Send(body.slice(place..=place)));
            let acts = bytes.flat_map(|byte| [Act::Pause(*pause), byte]);
            Some((answer, Scripted::new(acts)))
        }
        Fault::EmptyOk => whole(Answer::empty(StatusCode::OK)),
        Fault::WrongContentType => whole(act().with(header::CONTENT_TYPE, "text/html; charset=utf-8")),
        Fault::Answer { status: number, headers, body } => {
            let mut answer =
                Answer::empty(status(*number)).with(header::CONTENT_TYPE, "application/json; charset=utf-8");
            answer.body = body.clone().into();
            for (name, value) in headers {
                match HeaderName::try_from(name.as_str()) {
                    // Where the body ends is hyper's to say: it takes a wrong length for a mistake in the program.
                    Ok(header::CONTENT_LENGTH | header::TRANSFER_ENCODING) | Err(_) => {}
                    Ok(name) => answer = answer.with(name, value),
                }
            }
            whole(answer)
        }
    }
}

fn status(number: u16) -> StatusCode {
    StatusCode::from_u16(number)
        .ok()
        // A 1xx is no final answer, and hyper sends none.
        .filter(|status| !status.is_informational())
        .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// A request whose parameters are read and whose operation is known, before anything is done.
struct Call<'a> {
    target: &'a Target,
    method: Method,
    operation: Option<Operation>,
    query: Params,
    body: Result<Params, Refusal>,
}

impl<'a> Call<'a> {
    fn read(state: &State, request: &Whole<'_>, target: &'a Target) -> Self {
        // Requests for a JWT have JSON bodies only.
        let forms = target.endpoint != Endpoint::JwtLogin && !state.config.json_only;
        let format = params::body_format(request.headers, request.body);
        let body = match target.endpoint {
            Endpoint::JwtToken => Ok(Params::default()),
            _ => params::body_params(format, request.body, forms),
        };
        let operation = match target.endpoint {
            Endpoint::DeviceCode => Some(Operation::DeviceCode),
            Endpoint::DeviceToken => Some(Operation::DeviceToken),
            Endpoint::Token => match &body {
                Ok(params) => oauth::operation(target.family, params),
                Err(_) => None,
            },
            Endpoint::Refresh => Some(Operation::Refresh),
            Endpoint::Revoke => Some(Operation::Revoke),
            Endpoint::JwtToken => Some(Operation::JwtToken),
            Endpoint::JwtLogin => Some(Operation::JwtLogin),
        };
        Self {
            target,
            method: request.method.clone(),
            operation: operation.filter(|_| *request.method == target.endpoint.method()),
            query: Params::from_query(request.query),
            body,
        }
    }

    fn act(self, state: &mut State) -> Answer {
        let expected = self.target.endpoint.method();
        if self.method != expected {
            // Methods are case-sensitive (RFC 9110, section 9.1), and LoginRadius's "Acceptable Use Policy" says that
            // lower-case ones are refused.
            return Answer::text(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed.\n")
                .with(header::ALLOW, expected.as_str());
        }
        let style = self.style();
        self.try_act(state).unwrap_or_else(|refusal| refusal.answer(style))
    }

    fn style(&self) -> Style {
        let family = self.target.family;
        match (family, self.target.endpoint) {
            (_, Endpoint::JwtToken | Endpoint::JwtLogin) => Style::Service(family),
            (_, Endpoint::DeviceCode | Endpoint::DeviceToken) => Style::OAuth(family),
            (Family::Site, _) => Style::OAuth(family),
            (Family::Classic, _) => Style::Service(family),
        }
    }

    fn try_act(self, state: &mut State) -> Result<Answer, Refusal> {
        let family = self.target.family;
        let app = self.target.app.as_deref();
        let is_jwt = self.is_jwt();
        let body = self.body?;
        if let (Some(app), false) = (app, is_jwt) {
            // Who calls is looked at before what is called; each operation asks for its secret later.
            crate::client::identify(&body, crate::client::Secret::Optional)?;
            device::known_app(app)?;
        }
        match (self.target.endpoint, self.operation) {
            (Endpoint::DeviceCode, _) => device::request_code(state, app.unwrap_or_default(), &body),
            (Endpoint::DeviceToken, _) | (Endpoint::Token, Some(Operation::DeviceToken)) => {
                device::poll(state, family, app.unwrap_or_default(), &body)
            }
            (Endpoint::Token, Some(Operation::CodeExchange)) => oauth::exchange_code(state, family, &body),
            (Endpoint::Token, Some(Operation::Password)) => oauth::password(state, family, &body),
            (Endpoint::Refresh, _) | (Endpoint::Token, Some(Operation::Refresh)) => {
                oauth::refresh(state, family, &body)
            }
            (Endpoint::Token, _) => Err(oauth::no_operation(&body)),
            (Endpoint::Revoke, _) => oauth::revoke(state, family, &body),
            (Endpoint::JwtToken, _) => jwt::by_access_token(state, family, app, &self.query),
            (Endpoint::JwtLogin, _) => jwt::by_password(state, family, app, &self.query, &body),
        }
    }

    fn is_jwt(&self) -> bool {
        matches!(self.target.endpoint, Endpoint::JwtToken | Endpoint::JwtLogin)
    }
}

fn finish(shared: &Shared, answer: Answer) -> Response<Scripted> {
    let body = Scripted::whole(answer.body.clone());
    respond(answer, body, shared.lock().clock.now())
}

fn respond(answer: Answer, body: Scripted, date: SystemTime) -> Response<Scripted> {
    let mut response = Response::new(body);
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    let headers = response.headers_mut();
    // RFC 6749, section 5.1, and RFC 8628, section 3.2.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if let Ok(date) = HeaderValue::from_str(&httpdate::fmt_http_date(date)) {
        headers.entry(header::DATE).or_insert(date);
    }
    response
}
