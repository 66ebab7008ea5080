//! What goes wrong on real networks and servers, on demand.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use crate::recorded::Operation;

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

/// The faults that are set, per operation.
#[derive(Debug, Default)]
pub(crate) struct Faults(HashMap<Operation, Planned>);

#[derive(Debug, Default)]
struct Planned {
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
