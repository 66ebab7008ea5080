//! The journal of each process: a file that outlives the process, so that a replay at the server can be traced to the
//! kill that made it unavoidable.
//!
//! The journals of other versions are read, too (`--with`): a new word for an old line would make them unreadable.

use std::collections::{HashMap, HashSet};
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hmac_sha256::Hash;
use loginradius_blocking::Error;
use loginradius_blocking::store::{Expected, LoadError, SaveError, SessionLock, SessionStore, StoredRecord};
use loginradius_examples::{Result, printable};
use serde_json::Value;

/// A line for each thing that happened: the time, the word for it, and what it happened to.
pub(crate) struct Journal(File);

impl Journal {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        Ok(Self(OpenOptions::new().create(true).append(true).open(path)?))
    }

    pub(crate) fn note(&self, what: &str, about: &str) {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos();
        // One call to the system for a line, so that a kill leaves it whole or not at all.
        let line = format!("{now} {what} {about}\n");
        (&self.0).write_all(line.as_bytes()).expect("the journal can be written");
    }
}

/// Returns a token as the journal has it.
pub(crate) fn digest(token: &str) -> String {
    Hash::hash(token.as_bytes()).iter().take(12).map(|byte| format!("{byte:02x}")).collect()
}

/// A store that keeps a journal of what is done under its locks.
pub(crate) struct Journaled {
    store: Box<dyn SessionStore>,
    journal: Arc<Journal>,
    /// The share of the saves whose reply is lost.
    lost_replies: f64,
}

impl Journaled {
    pub(crate) fn new(store: Box<dyn SessionStore>, journal: &Arc<Journal>) -> Self {
        Self { store, journal: Arc::clone(journal), lost_replies: 0.0 }
    }

    pub(crate) fn lose_replies(self, share: f64) -> Self {
        Self { lost_replies: share, ..self }
    }
}

struct Watched {
    name: String,
    lock: Box<dyn SessionLock>,
    journal: Arc<Journal>,
    /// The token of the last intent.
    sending: Option<String>,
    lost_replies: f64,
}

impl SessionStore for Journaled {
    fn try_lock(&self, name: &str) -> Result<Option<Box<dyn SessionLock>>, Error> {
        let lock = self.store.try_lock(name)?;
        let watch = |lock| {
            let journal = Arc::clone(&self.journal);
            let lost_replies = self.lost_replies;
            Box::new(Watched { name: name.to_owned(), lock, journal, sending: None, lost_replies }) as _
        };
        Ok(lock.map(watch))
    }

    fn peek(&self, name: &str) -> Option<StoredRecord> {
        self.store.peek(name)
    }

    fn names(&self, prefix: &str, after: Option<&str>) -> Result<Vec<String>, Error> {
        self.store.names(prefix, after)
    }
}

impl SessionLock for Watched {
    fn load(&mut self) -> Result<Option<StoredRecord>, LoadError> {
        let record = self.lock.load()?;
        if record.as_ref().is_some_and(|record| Seen::of(record).is_none()) {
            self.journal.note("corrupt", &format!("{}: the stored record is damaged", self.name));
        }
        Ok(record)
    }

    fn save(&mut self, record: &StoredRecord, expected: Expected) -> Result<(), SaveError> {
        let seen = Seen::of(record).expect("what is saved is whole");
        if seen.intent {
            // Before it can be sent: a kill in between then explains too many replays rather than too few.
            self.journal.note("sending", &seen.token);
            self.sending = Some(seen.token.clone());
        } else if seen.rejected {
            self.journal.note("refused", &format!("{} {}", self.name, seen.token));
        } else if let Some(consumed) = self.sending.as_ref().filter(|token| **token != seen.token) {
            // The store may do it and lose the reply.
            self.journal.note("saving", &format!("{consumed} {}", seen.token));
        }
        self.lock.save(record, expected)?;
        if fastrand::f64() < self.lost_replies {
            return Err(Error::unavailable("the store's reply was lost, as the storm wants it", "no reply").into());
        }
        if let Some(consumed) = self.sending.take_if(|token| *token != seen.token) {
            self.journal.note("consumed", &consumed);
        }
        Ok(())
    }

    fn clear(&mut self, expected: Expected) -> Result<(), SaveError> {
        self.lock.clear(expected)
    }

    fn is_held(&self) -> bool {
        let is_held = self.lock.is_held();
        if is_held && let Some(token) = &self.sending {
            self.journal.note("sent", token);
        }
        is_held
    }
}

/// The parts of a record that the journal needs.
pub(crate) struct Seen {
    /// The digest of the refresh token.
    pub(crate) token: String,
    pub(crate) refresh_token: String,
    intent: bool,
    rejected: bool,
}

impl Seen {
    /// Reads a record; `None` if it is damaged.
    pub(crate) fn of(record: &StoredRecord) -> Option<Self> {
        let json: Value = serde_json::from_slice(record.as_bytes()).ok()?;
        // The generation of damaged bytes is a digest.
        let is_intact = json["generation"].as_u64() == Some(StoredRecord::from_bytes(record.as_bytes()).generation());
        let refresh_token = json["refresh_token"].as_str().unwrap_or_default().to_owned();
        is_intact.then(|| Self {
            token: digest(&refresh_token),
            refresh_token,
            intent: json["intent"].is_object(),
            rejected: json["refused"].is_string(),
        })
    }
}

/// The contents of the journals of all processes.
#[derive(Default)]
pub(crate) struct History {
    /// Tokens that a process which was killed, or stopped, had begun to send.
    open_at_a_kill: HashSet<String>,
    /// When the successor of a token was stored.
    consumed: HashMap<String, u128>,
    /// The successors that were given to the store, and their predecessors.
    saving: HashMap<String, String>,
    /// When a process began to send a token for the last time.
    sent: HashMap<String, u128>,
    /// Tokens that the server rejected.
    rejected: HashSet<String>,
    /// The sessions of these tokens.
    ended: HashSet<String>,
    /// Sessions whose callers were asked to sign in.
    over: HashSet<String>,
    pub(crate) corrupt: u64,
    pub(crate) recovered: Vec<Duration>,
    /// Sessions that did not return a token until their process ended.
    pub(crate) failing: u64,
    totals: HashMap<String, u64>,
}

impl History {
    /// Reads one process's journal.
    pub(crate) fn read(&mut self, path: &Path, was_killed: bool) -> Result {
        let mut open = HashSet::new();
        let mut failing = HashSet::new();
        let mut corrupt = 0;
        for line in std::fs::read_to_string(path)?.lines() {
            let mut words = line.splitn(3, ' ');
            let (Some(at), Some(what), Some(about)) = (words.next(), words.next(), words.next()) else {
                return Err(format!("no line of a journal: {line}").into());
            };
            let (at, about) = (at.parse::<u128>()?, about.to_owned());
            match what {
                "sending" | "sent" => {
                    self.sent.entry(about.clone()).and_modify(|last| *last = at.max(*last)).or_insert(at);
                    open.insert(about);
                }
                "consumed" => {
                    open.remove(&about);
                    self.consumed.entry(about).or_insert(at);
                }
                "saving" => {
                    let (consumed, successor) = about.split_once(' ').ok_or("no token in a journal")?;
                    self.saving.insert(successor.to_owned(), consumed.to_owned());
                }
                "refused" => {
                    let (name, token) = about.split_once(' ').ok_or("no token in a journal")?;
                    open.remove(token);
                    self.rejected.insert(token.to_owned());
                    self.ended.insert(name.to_owned());
                }
                "over" => drop(self.over.insert(about)),
                "corrupt" => {
                    eprintln!("{}", printable(&about));
                    corrupt += 1;
                }
                "failing" => drop(failing.insert(about)),
                "recovered" => {
                    failing.remove(&about);
                    self.recovered.push(Duration::from_nanos(u64::try_from(at)?));
                }
                "failed" => {
                    eprintln!("{}", printable(&about));
                    *self.totals.entry(what.to_owned()).or_default() += 1;
                }
                _ => *self.totals.entry(what.to_owned()).or_default() += about.parse::<u64>()?,
            }
        }
        self.corrupt += corrupt;
        if was_killed {
            self.open_at_a_kill.extend(open);
        } else {
            self.failing += failing.len() as u64;
        }
        Ok(())
    }

    /// Notes what a process had begun to send when it was stopped. Its journal is read when it ends.
    pub(crate) fn note_interrupted(&mut self, path: &Path) -> Result {
        let mut before = Self::default();
        before.read(path, true)?;
        self.open_at_a_kill.extend(before.open_at_a_kill);
        Ok(())
    }

    pub(crate) fn total(&self, what: &str) -> u64 {
        self.totals.get(what).copied().unwrap_or_default()
    }

    /// Returns how many refreshes were stored, also where the store's reply was lost: then the successor was sent later
    /// or is among the `stored` refresh tokens.
    pub(crate) fn stored(&self, stored: &HashSet<String>) -> u64 {
        let stored: HashSet<_> = stored.iter().map(|token| digest(token)).collect();
        let was_stored = |successor: &String| self.sent.contains_key(successor) || stored.contains(successor);
        let found = self.saving.iter().filter(|(successor, _)| was_stored(successor)).map(|(_, consumed)| consumed);
        self.consumed.keys().chain(found).collect::<HashSet<_>>().len() as u64
    }

    /// Returns whether a replay of that token could not be avoided.
    pub(crate) fn explains(&self, refresh_token: &str) -> bool {
        let token = digest(refresh_token);
        let consumed = self.consumed.get(&token);
        let sent_after = consumed.is_some_and(|consumed| self.sent.get(&token).is_some_and(|sent| sent > consumed));
        self.open_at_a_kill.contains(&token) && !sent_after
    }

    pub(crate) fn was_open_at_a_kill(&self, token: &str) -> bool {
        self.open_at_a_kill.contains(token)
    }

    pub(crate) fn was_rejected(&self, token: &str) -> bool {
        self.rejected.contains(token)
    }

    /// Returns how many sessions asked their callers to sign in although no token was rejected.
    pub(crate) fn over_for_no_reason(&self) -> u64 {
        self.over.difference(&self.ended).count() as u64
    }
}
