//! Operations on all sessions that the store lists.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use loginradius_proto::Error;
use loginradius_proto::session::{Expected, LoadError, SaveError, SessionRequest};

use super::clock::now;
use super::drive::{Transport, too_slow};
use super::leader::Announcement;
use super::runtime::Runtime;
use super::session::Sessions;
use super::shared::{SharedSessions, deadline_exceeded, later};
use crate::pages::{MAX_FAILURES, Pages};
use crate::store::AsyncSessionLock;

/// What [`SharedSessions::purge`] did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Purged {
    /// How many records were removed.
    pub removed: usize,
    /// How many were skipped because another caller or process had the session's lock, and so uses it.
    pub skipped: usize,
    /// How many were kept because they are damaged, or because a newer program wrote them.
    pub unreadable: usize,
}

/// How many sessions are signed out at the same time.
const AT_ONCE: usize = 8;

impl<R: Runtime> SharedSessions<R> {
    /// Lists the names of the sessions that have a record and begin with that prefix, in the order of their bytes.
    ///
    /// # Errors
    ///
    /// Those of [`SessionStore::names`](crate::SessionStore::names), and
    /// [`ErrorKind::DeadlineExceeded`](loginradius_proto::ErrorKind::DeadlineExceeded) after
    /// [`SessionPolicy::max_time`](loginradius_proto::session::SessionPolicy::max_time).
    pub async fn names(&self, prefix: &str) -> Result<Vec<String>, Error> {
        let (sessions, prefix) = (Arc::clone(self.sessions()), prefix.to_owned());
        let deadline = later(sessions.settings.policy.max_time());
        let list = async move {
            let (mut names, mut pages) = (Vec::new(), Pages::default());
            while let Some(page) = next_page(&sessions, &prefix, &mut pages).await? {
                names.extend(page);
            }
            Ok(names)
        };
        self.run(list, deadline).await
    }

    /// Signs out all sessions whose names begin with that prefix, a few at a time, within
    /// [`SessionPolicy::max_time`](loginradius_proto::session::SessionPolicy::max_time). Returns how many it signed
    /// out.
    ///
    /// # Errors
    ///
    /// The first error, whose message says how many sessions were not signed out. The others are signed out
    /// nevertheless, unless the time is over. With an empty prefix,
    /// [`ErrorKind::Misuse`](loginradius_proto::ErrorKind::Misuse).
    pub async fn sign_out_all(&self, prefix: &str) -> Result<usize, Error> {
        if prefix.is_empty() {
            return Err(Error::misuse(
                "an empty prefix would sign out the sessions of all users: pass what the names of one user's sessions \
                 begin with, or sign out the session of each name",
            ));
        }
        let deadline = later(self.sessions().settings.policy.max_time());
        let names = self.names(prefix).await?;
        let (mut signed_out, mut first_error) = (0, None);
        for some in names.chunks(AT_ONCE) {
            if Instant::now() >= deadline {
                first_error = first_error.or_else(|| Some(deadline_exceeded()));
                break;
            }
            // All begin before this waits for the first: a slow one takes no time from the others.
            let begun: Vec<_> = some
                .iter()
                .map(|name| self.session(name.as_str()))
                .map(|session| (session.admit(SessionRequest::SignOut), session))
                .collect();
            for (admitted, session) in begun {
                match session.finish(SessionRequest::SignOut, admitted, deadline).await {
                    Ok(_) => signed_out += 1,
                    Err(error) => first_error = first_error.or(Some(error)),
                }
            }
        }
        match first_error {
            None => Ok(signed_out),
            Some(error) => {
                let left = names.len() - signed_out;
                Err(error.with_note(format!("{left} of {} sessions were not signed out: try again", names.len())))
            }
        }
    }

    /// Removes the records that are [dead](loginradius_proto::session::RecordSummary::is_dead), without a request.
    ///
    /// It takes the lock of each session that seems to be dead, decides again by the record that it then loads, and
    /// removes that very record.
    ///
    /// # Errors
    ///
    /// The store's first error. The other sessions are purged nevertheless, until there were ten errors.
    pub async fn purge(&self, older_than: Duration) -> Result<Purged, Error> {
        let sessions = Arc::clone(self.sessions());
        self.run(async move { purge(&sessions, older_than).await }, later(Duration::MAX)).await
    }

    /// Runs an operation of the store where flows run. It continues if its caller is dropped.
    async fn run<T: Send + 'static>(
        &self,
        operation: impl Future<Output = Result<T, Error>> + Send + 'static,
        deadline: Instant,
    ) -> Result<T, Error> {
        let result = Arc::new(Mutex::new(None));
        let cell = R::OutcomeCell::default();
        let ended = Announcement { cell: cell.clone(), outcome: Some(Ok(None)) };
        let run = {
            let result = Arc::clone(&result);
            async move {
                let _ended = ended;
                let outcome = operation.await;
                *result.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
            }
        };
        let runtime = &self.sessions().runtime;
        runtime.lead(run)?;
        let ended = runtime.wait(&cell, deadline).await;
        let result = result.lock().unwrap_or_else(PoisonError::into_inner).take();
        match (result, ended) {
            (Some(result), _) => result,
            (None, Some(Err(error))) => Err(error),
            (None, Some(Ok(_))) => Err(aborted()),
            (None, None) => Err(deadline_exceeded()),
        }
    }
}

/// Gets the next page of names; `None` at the end.
async fn next_page<R: Runtime>(
    sessions: &Sessions<R>,
    prefix: &str,
    pages: &mut Pages,
) -> Result<Option<Vec<String>>, Error> {
    let page = sessions.runtime.limit(sessions.store.names(prefix, pages.after())).await;
    let page = page.unwrap_or_else(|| Err(too_slow()))?;
    Ok(pages.take(&page)?.then_some(page))
}

async fn purge<R: Runtime>(sessions: &Sessions<R>, older_than: Duration) -> Result<Purged, Error> {
    let (mut purged, mut failures, mut first_error) = (Purged::default(), 0, None);
    let mut pages = Pages::default();
    while let Some(page) = next_page(sessions, "", &mut pages).await? {
        for name in page {
            match purge_session(sessions, &name, older_than).await {
                Ok(Outcome::Alive) => {}
                Ok(Outcome::Removed) => purged.removed += 1,
                Ok(Outcome::Skipped) => purged.skipped += 1,
                Ok(Outcome::Unreadable) => purged.unreadable += 1,
                Err(error) => {
                    failures += 1;
                    let first = first_error.get_or_insert(error);
                    if failures == MAX_FAILURES {
                        return Err(first.clone().with_note("the purge ended after ten such errors"));
                    }
                }
            }
        }
    }
    match first_error {
        None => Ok(purged),
        Some(error) => Err(error.with_note(format!("sessions that were not purged: {failures}"))),
    }
}

/// What became of one record.
enum Outcome {
    Alive,
    Removed,
    Skipped,
    Unreadable,
}

async fn purge_session<R: Runtime>(sessions: &Sessions<R>, name: &str, older_than: Duration) -> Result<Outcome, Error> {
    let Sessions { runtime, store, .. } = sessions;
    // This does not try the lock of a session that is in use.
    if let Some(record) = runtime.limit(store.peek(name)).await.flatten() {
        match record.summary() {
            Err(_) => return Ok(Outcome::Unreadable),
            Ok(summary) if !summary.is_dead(older_than, now().wall) => return Ok(Outcome::Alive),
            Ok(_) => {}
        }
    }
    let taken = runtime.limit(store.try_lock(name)).await;
    let Some(mut lock) = taken.unwrap_or_else(|| Err(too_slow()))? else { return Ok(Outcome::Skipped) };
    let outcome = purge_locked(runtime, &mut *lock, older_than).await;
    runtime.limit(lock.unlock()).await;
    outcome
}

async fn purge_locked(
    runtime: &impl Transport,
    lock: &mut dyn AsyncSessionLock,
    older_than: Duration,
) -> Result<Outcome, Error> {
    let loaded = runtime.limit(lock.load()).await;
    let record = match loaded.unwrap_or_else(|| Err(LoadError::Failed(too_slow()))) {
        Ok(Some(record)) => record,
        Ok(None) => return Ok(Outcome::Alive),
        Err(LoadError::Damaged { .. }) => return Ok(Outcome::Unreadable),
        Err(LoadError::Failed(error)) => return Err(error),
    };
    match record.summary() {
        Err(_) => return Ok(Outcome::Unreadable),
        Ok(summary) if !summary.is_dead(older_than, now().wall) => return Ok(Outcome::Alive),
        Ok(_) => {}
    }
    let cleared = runtime.limit(lock.clear(Expected::Generation(record.generation()))).await;
    match cleared.unwrap_or_else(|| Err(SaveError::Unknown(too_slow()))) {
        Ok(()) => Ok(Outcome::Removed),
        // The lock was lost, and another holder has used the session.
        Err(SaveError::Conflict) => Ok(Outcome::Skipped),
        Err(SaveError::Failed(error) | SaveError::Unknown(error)) => Err(error),
    }
}

fn aborted() -> Error {
    Error::unavailable("the session's store failed: try again later", "it panicked, or its task was dropped")
}
