//! Response bodies, which faults may slow down, fill up or cut off.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::body::{Body, Bytes, Frame, SizeHint};
use tokio::time::Sleep;

/// A step of sending a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    Send(Bytes),
    Pause(Duration),
    /// This many bytes of the letter `a`.
    Fill(usize),
    /// Closes the connection.
    Close,
}

/// A body that is sent step by step.
#[derive(Debug)]
pub(crate) struct ResponseBody {
    steps: VecDeque<Step>,
    sleeping: Option<Pin<Box<Sleep>>>,
}

impl ResponseBody {
    pub(crate) fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        Self { steps: steps.into_iter().collect(), sleeping: None }
    }

    pub(crate) fn complete(bytes: Bytes) -> Self {
        Self::new((!bytes.is_empty()).then_some(Step::Send(bytes)))
    }
}

/// The connection is closed before the response is complete, because of a fault.
#[derive(Debug)]
pub(crate) struct ConnectionClosed;

impl fmt::Display for ConnectionClosed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the connection is closed before the response is complete")
    }
}

impl std::error::Error for ConnectionClosed {}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = ConnectionClosed;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ConnectionClosed>>> {
        const CHUNK: usize = 64 * 1024;
        loop {
            if let Some(sleep) = &mut self.sleeping {
                ready!(sleep.as_mut().poll(context));
                self.sleeping = None;
            }
            return Poll::Ready(match self.steps.pop_front() {
                None => None,
                Some(Step::Send(bytes)) => Some(Ok(Frame::data(bytes))),
                Some(Step::Fill(left)) => {
                    let now = left.min(CHUNK);
                    if left > now {
                        self.steps.push_front(Step::Fill(left - now));
                    }
                    Some(Ok(Frame::data(vec![b'a'; now].into())))
                }
                Some(Step::Close) => Some(Err(ConnectionClosed)),
                Some(Step::Pause(pause)) => {
                    self.sleeping = Some(Box::pin(tokio::time::sleep(pause)));
                    continue;
                }
            });
        }
    }

    fn is_end_stream(&self) -> bool {
        self.steps.is_empty() && self.sleeping.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match self.steps.iter().collect::<Vec<_>>()[..] {
            [] => SizeHint::with_exact(0),
            [Step::Send(bytes)] => SizeHint::with_exact(bytes.len() as u64),
            _ => SizeHint::default(),
        }
    }
}
