//! Faults: what goes wrong on networks and servers, on demand.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use hyper::StatusCode;
use hyper::header::{self, HeaderName};

use crate::body::{ResponseBody, Step};
use crate::operation::Operation;
use crate::response::Response;

/// A fault of an operation.
///
/// "Acted" means that the emulator did what was requested: a code is redeemed, a refresh token is consumed. "Not acted"
/// means that it did nothing: a code can still be redeemed, and a refresh token is not consumed.
///
/// | the client gets | acted | not acted |
/// | --- | --- | --- |
/// | the correct response | [`None`](Self::None), [`Delay`](Self::Delay), [`SlowDrip`](Self::SlowDrip) | |
/// | no response, or half of one | [`DropAfter`](Self::DropAfter), [`Truncated`](Self::Truncated) | [`DropBefore`](Self::DropBefore) |
/// | another response | [`WrongContentType`](Self::WrongContentType) | [`Status`](Self::Status), [`Respond`](Self::Respond), [`TooManyRequests`](Self::TooManyRequests), [`RedirectTo`](Self::RedirectTo), [`EmptyOk`](Self::EmptyOk), [`Oversized`](Self::Oversized) |
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// No fault. For sequences: `fault_times(operation, Fault::None, 2)` lets two requests through before the next
    /// fault.
    None,
    /// Closes the connection without a response; not acted.
    DropBefore,
    /// Closes the connection without a response; acted.
    DropAfter,
    /// Delays the correct response by this real time, whatever the emulator's clock says; acted at once.
    Delay(Duration),
    /// Sends status 429 with the text `Too many requests`, as LoginRadius's "Acceptable Use Policy" says; not acted.
    TooManyRequests {
        /// `Retry-After` in seconds, which LoginRadius does not document.
        retry_after: Option<u64>,
    },
    /// Sends this status with an HTML page, as proxies do; not acted. A number that is not a final status is sent as
    /// 500.
    Status(u16),
    /// Sends status 302 with this `Location`; not acted.
    RedirectTo(String),
    /// Closes the connection in the middle of the correct response's body, or before the response if it has no body;
    /// acted.
    Truncated,
    /// Sends status 200 with a body of this many bytes that begins like a token response; not acted.
    Oversized(usize),
    /// Sends the correct response with its body one byte at a time; acted.
    SlowDrip {
        /// The real time before each byte.
        pause: Duration,
    },
    /// Sends status 200 with an empty body; not acted.
    EmptyOk,
    /// Sends the correct response with the `Content-Type` `text/html`; acted.
    WrongContentType,
    /// Sends this response; not acted. For responses that LoginRadius documents and that the emulator's users and
    /// settings cannot produce.
    Respond {
        /// The status. A number that is not a final status is sent as 500.
        status: u16,
        /// Headers to add or to replace. Invalid ones are left out, and so are `Content-Length` and
        /// `Transfer-Encoding`.
        headers: Vec<(String, String)>,
        /// The body. Its `Content-Type` is `application/json` unless `headers` contains another.
        body: String,
    },
}

impl Fault {
    /// Returns the response and what its body does; `None` if the connection is closed instead. `act` does what is
    /// requested.
    pub(crate) fn apply(&self, act: impl FnOnce() -> Response) -> Option<(Response, ResponseBody)> {
        let complete = |response: Response| {
            let body = ResponseBody::complete(response.body.clone());
            Some((response, body))
        };
        let with_length = |response: Response| {
            let length = response.body.len().to_string();
            response.with(header::CONTENT_LENGTH, &length)
        };
        match self {
            Self::None | Self::Delay(_) => complete(act()),
            Self::DropBefore => None,
            Self::DropAfter => {
                act();
                None
            }
            Self::TooManyRequests { retry_after } => {
                let response = Response::text(StatusCode::TOO_MANY_REQUESTS, "Too many requests");
                complete(match retry_after {
                    Some(seconds) => response.with(header::RETRY_AFTER, &seconds.to_string()),
                    None => response,
                })
            }
            Self::Status(number) => {
                let status = status(*number);
                let text = status.canonical_reason().unwrap_or("Error");
                complete(Response::html(
                    status,
                    format!(
                        "<!DOCTYPE html><html><head><title>{text}</title></head>\
                         <body><h1>{number} {text}</h1></body></html>"
                    ),
                ))
            }
            Self::RedirectTo(url) => complete(Response::empty(StatusCode::FOUND).with(header::LOCATION, url)),
            Self::Truncated => {
                let response = with_length(act());
                if response.body.is_empty() {
                    return None;
                }
                let half = response.body.slice(..response.body.len() / 2);
                // The pause lets the written bytes leave before the connection is closed.
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
            Self::EmptyOk => complete(Response::empty(StatusCode::OK)),
            Self::WrongContentType => complete(act().with(header::CONTENT_TYPE, "text/html; charset=utf-8")),
            Self::Respond { status: number, headers, body } => {
                let mut response =
                    Response::empty(status(*number)).with(header::CONTENT_TYPE, "application/json; charset=utf-8");
                response.body = body.clone().into();
                for (name, value) in headers {
                    match HeaderName::try_from(name.as_str()) {
                        // hyper decides where the body ends, and takes a wrong length for a bug of the program.
                        Ok(header::CONTENT_LENGTH | header::TRANSFER_ENCODING) | Err(_) => {}
                        Ok(name) => response = response.with(name, value),
                    }
                }
                complete(response)
            }
        }
    }
}

fn status(number: u16) -> StatusCode {
    StatusCode::from_u16(number)
        .ok()
        // A 1xx is not a final response, and hyper does not send it.
        .filter(|status| !status.is_informational())
        .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// The faults of every operation.
#[derive(Debug, Default)]
pub(crate) struct Faults(HashMap<Operation, OperationFaults>);

#[derive(Debug, Default)]
struct OperationFaults {
    /// Each for so many requests, in order, before `persistent`.
    queued: VecDeque<(Fault, usize)>,
    persistent: Option<Fault>,
}

impl Faults {
    pub(crate) fn set(&mut self, operation: Operation, fault: Fault) {
        self.0.entry(operation).or_default().persistent = Some(fault);
    }

    pub(crate) fn queue(&mut self, operation: Operation, fault: Fault, times: usize) {
        if times > 0 {
            let faults = self.0.entry(operation).or_default();
            faults.queued.push_back((fault, times));
        }
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// Returns the fault of the next request.
    pub(crate) fn take(&mut self, operation: Operation) -> Fault {
        let Some(faults) = self.0.get_mut(&operation) else {
            return Fault::None;
        };
        let Some((fault, left)) = faults.queued.front_mut() else {
            return faults.persistent.clone().unwrap_or(Fault::None);
        };
        let fault = fault.clone();
        *left -= 1;
        if *left == 0 {
            faults.queued.pop_front();
        }
        fault
    }
}
