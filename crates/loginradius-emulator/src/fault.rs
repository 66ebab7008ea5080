//! What goes wrong on real networks and servers, on demand.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use hyper::StatusCode;
use hyper::header::{self, HeaderName};

use crate::body::{ResponseBody, Step};
use crate::operation::Operation;
use crate::response::Response;

/// Something that goes wrong with an operation.
///
/// "Acted" means that the emulator did what was asked: a code is used up, a refresh token is spent.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Nothing goes wrong. For sequences: `fault_times(op, Fault::None, 1)` lets one request through.
    None,
    /// The connection is closed without an answer; not acted.
    DropBefore,
    /// The connection is closed without an answer; acted.
    DropAfter,
    /// The right answer comes this much later, in real time whatever the emulator's clock says; acted at once.
    Delay(Duration),
    /// Status 429 with the text `Too many requests`, as LoginRadius's "Acceptable Use Policy" says; not acted.
    TooManyRequests {
        /// Seconds for `Retry-After`, which LoginRadius does not document.
        retry_after: Option<u64>,
    },
    /// This status with an HTML page, as proxies answer; not acted. A number that is no status counts as 500.
    Status(u16),
    /// Status 302 to this address; not acted.
    RedirectTo(String),
    /// The right answer, cut off in the middle of its body by closing the connection, or not sent at all if it has no
    /// body; acted.
    Truncated,
    /// Status 200 with something that begins like a token answer and is this many bytes long; not acted.
    Oversized(usize),
    /// The right answer, its body a byte at a time; acted.
    SlowDrip {
        /// Real time before each byte.
        pause: Duration,
    },
    /// Status 200 with an empty body; not acted.
    EmptyOk,
    /// The right answer, labelled `text/html`; acted.
    WrongContentType,
    /// This answer; not acted. For what LoginRadius documents and the emulator's users and settings cannot provoke.
    Answer {
        /// The status. A number that is no status counts as 500.
        status: u16,
        /// More headers, or other values than those that the emulator sets. What is no valid header is left out, and
        /// so are `Content-Length` and `Transfer-Encoding`.
        headers: Vec<(String, String)>,
        /// The body, sent as JSON unless `headers` says otherwise.
        body: String,
    },
}

impl Fault {
    /// The answer and what its body does; `None` if there is none. `act` does what the request asks for.
    pub(crate) fn apply(&self, act: impl FnOnce() -> Response) -> Option<(Response, ResponseBody)> {
        let whole = |response: Response| {
            let body = ResponseBody::complete(response.body.clone());
            Some((response, body))
        };
        let with_length = |response: Response| {
            let length = response.body.len().to_string();
            response.with(header::CONTENT_LENGTH, &length)
        };
        match self {
            Self::None | Self::Delay(_) => whole(act()),
            Self::DropBefore => None,
            Self::DropAfter => {
                act();
                None
            }
            Self::TooManyRequests { retry_after } => {
                let response = Response::text(StatusCode::TOO_MANY_REQUESTS, "Too many requests");
                whole(match retry_after {
                    Some(seconds) => response.with(header::RETRY_AFTER, &seconds.to_string()),
                    None => response,
                })
            }
            Self::Status(number) => {
                let status = status(*number);
                let text = status.canonical_reason().unwrap_or("Error");
                whole(Response::html(
                    status,
                    format!(
                        "<!DOCTYPE html><html><head><title>{text}</title></head>\
                         <body><h1>{number} {text}</h1></body></html>"
                    ),
                ))
            }
            Self::RedirectTo(url) => whole(Response::empty(StatusCode::FOUND).with(header::LOCATION, url)),
            Self::Truncated => {
                let response = with_length(act());
                if response.body.is_empty() {
                    return None;
                }
                let half = response.body.slice(..response.body.len() / 2);
                // The pause lets what was written leave, before the connection is closed.
                let pause = Step::Pause(Duration::from_millis(2));
                Some((response, ResponseBody::new([Step::Send(half), pause, Step::Close])))
            }
            Self::Oversized(bytes) => {
                let response =
                    Response::empty(StatusCode::OK).with(header::CONTENT_TYPE, "application/json; charset=utf-8");
                let (begin, end) = (r#"{"access_token":""#, r#""}"#);
                let fill = bytes.saturating_sub(begin.len() + end.len());
                let steps = [Step::Send(begin.into()), Step::Fill(fill), Step::Send(end.into())];
                Some((response, ResponseBody::new(steps)))
            }
            Self::SlowDrip { pause } => {
                let response = with_length(act());
                let body = response.body.clone();
                let bytes = (0..body.len()).map(|place| Step::Send(body.slice(place..=place)));
                let steps = bytes.flat_map(|byte| [Step::Pause(*pause), byte]);
                Some((response, ResponseBody::new(steps)))
            }
            Self::EmptyOk => whole(Response::empty(StatusCode::OK)),
            Self::WrongContentType => whole(act().with(header::CONTENT_TYPE, "text/html; charset=utf-8")),
            Self::Answer { status: number, headers, body } => {
                let mut response =
                    Response::empty(status(*number)).with(header::CONTENT_TYPE, "application/json; charset=utf-8");
                response.body = body.clone().into();
                for (name, value) in headers {
                    match HeaderName::try_from(name.as_str()) {
                        // Where the body ends is hyper's to say: it takes a wrong length for a mistake in the program.
                        Ok(header::CONTENT_LENGTH | header::TRANSFER_ENCODING) | Err(_) => {}
                        Ok(name) => response = response.with(name, value),
                    }
                }
                whole(response)
            }
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

/// The faults that are set, per operation.
#[derive(Debug, Default)]
pub(crate) struct Faults(HashMap<Operation, OperationFaults>);

#[derive(Debug, Default)]
struct OperationFaults {
    /// Each for so many requests, in order, before `standing`.
    next: VecDeque<(Fault, usize)>,
    standing: Option<Fault>,
}

impl Faults {
    pub(crate) fn set(&mut self, operation: Operation, fault: Fault) {
        self.0.entry(operation).or_default().standing = Some(fault);
    }

    pub(crate) fn queue(&mut self, operation: Operation, fault: Fault, times: usize) {
        if times > 0 {
            let planned = self.0.entry(operation).or_default();
            planned.next.push_back((fault, times));
        }
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// The fault for the request at hand.
    pub(crate) fn take(&mut self, operation: Operation) -> Fault {
        let Some(planned) = self.0.get_mut(&operation) else {
            return Fault::None;
        };
        let Some((fault, left)) = planned.next.front_mut() else {
            return planned.standing.clone().unwrap_or(Fault::None);
        };
        let fault = fault.clone();
        *left -= 1;
        if *left == 0 {
            planned.next.pop_front();
        }
        fault
    }
}
