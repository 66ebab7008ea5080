//! Bodies that are sent as written, slowly, endlessly or not to their end.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::body::{Body, Bytes, Frame, SizeHint};
use tokio::time::Sleep;

/// What a body does, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Act {
    Send(Bytes),
    Pause(Duration),
    /// So many bytes of the letter `a`.
    Fill(usize),
    /// Closes the connection.
    Break,
}

/// A body that follows a script.
#[derive(Debug)]
pub(crate) struct Scripted {
    acts: VecDeque<Act>,
    sleeping: Option<Pin<Box<Sleep>>>,
}

impl Scripted {
    pub(crate) fn new(acts: impl IntoIterator<Item = Act>) -> Self {
        Self { acts: acts.into_iter().collect(), sleeping: None }
    }

    pub(crate) fn whole(bytes: Bytes) -> Self {
        Self::new((!bytes.is_empty()).then_some(Act::Send(bytes)))
    }
}

/// The connection is closed here, because a fault says so.
#[derive(Debug)]
pub(crate) struct Broken;

impl fmt::Display for Broken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the connection is closed without a whole answer")
    }
}

impl std::error::Error for Broken {}

impl Body for Scripted {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        const CHUNK: usize = 64 * 1024;
        loop {
            if let Some(sleep) = &mut self.sleeping {
                ready!(sleep.as_mut().poll(context));
                self.sleeping = None;
            }
            return Poll::Ready(match self.acts.pop_front() {
                None => None,
                Some(Act::Send(bytes)) => Some(Ok(Frame::data(bytes))),
                Some(Act::Fill(left)) => {
                    let now = left.min(CHUNK);
                    if left > now {
                        self.acts.push_front(Act::Fill(left - now));
                    }
                    Some(Ok(Frame::data(vec![b'a'; now].into())))
                }
                Some(Act::Break) => Some(Err(Broken)),
                Some(Act::Pause(pause)) => {
                    self.sleeping = Some(Box::pin(tokio::time::sleep(pause)));
                    continue;
                }
            });
        }
    }

    fn is_end_stream(&self) -> bool {
        self.acts.is_empty() && self.sleeping.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match self.acts.iter().collect::<Vec<_>>()[..] {
            [] => SizeHint::with_exact(0),
            [Act::Send(bytes)] => SizeHint::with_exact(bytes.len() as u64),
            _ => SizeHint::default(),
        }
    }
}
