use std::collections::VecDeque;
use std::mem;

use loginradius_proto::Error;
use loginradius_proto::session::{LoadError, StoredRecord};

use crate::pages::{MAX_FAILURES, Pages};

/// What [`MovingStore::move_all`](super::MovingStore::move_all) did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Moved {
    /// How many of the sessions that the old store listed are no longer in it.
    pub sessions: usize,
    /// The names of the sessions whose lock another holder had both times: they may still be in the old store.
    pub locked: Vec<String>,
}

/// Decides what moves next, for blocking and for async code.
#[derive(Default)]
pub(super) struct MoveAll {
    pages: Pages,
    is_listed: bool,
    is_second_try: bool,
    next: VecDeque<String>,
    moved: Moved,
    failures: usize,
    first_error: Option<Error>,
}

pub(super) enum Step {
    /// List the names after that one.
    List(Option<String>),
    /// Load the session under its lock, which moves it.
    Move(String),
    Done(Result<Moved, Error>),
}

impl MoveAll {
    pub(super) fn step(&mut self) -> Step {
        if self.failures == MAX_FAILURES {
            return Step::Done(self.end());
        }
        if let Some(name) = self.next.pop_front() {
            return Step::Move(name);
        }
        if !self.is_listed {
            return Step::List(self.pages.after().map(str::to_owned));
        }
        if !mem::replace(&mut self.is_second_try, true) {
            self.next = mem::take(&mut self.moved.locked).into();
            return self.step();
        }
        Step::Done(self.end())
    }

    pub(super) fn listed(&mut self, page: Vec<String>) -> Result<(), Error> {
        self.is_listed = !self.pages.take(&page)?;
        self.next = page.into();
        Ok(())
    }

    /// Takes what became of a move; `None` if another holder has the lock.
    pub(super) fn tried(
        &mut self,
        name: String,
        loaded: Result<Option<Result<Option<StoredRecord>, LoadError>>, Error>,
    ) {
        match loaded {
            Ok(Some(Ok(_))) => self.moved.sessions += 1,
            Ok(None) => self.moved.locked.push(name),
            Ok(Some(Err(LoadError::Damaged { error, .. } | LoadError::Failed(error)))) | Err(error) => {
                self.failures += 1;
                self.first_error.get_or_insert(error);
            }
        }
    }

    fn end(&mut self) -> Result<Moved, Error> {
        match self.first_error.take() {
            None => Ok(mem::take(&mut self.moved)),
            Some(error) if self.failures == MAX_FAILURES => {
                Err(error.with_note("the move ended after ten such errors"))
            }
            Some(error) => Err(error.with_note(format!("sessions that were not moved: {}", self.failures))),
        }
    }
}
