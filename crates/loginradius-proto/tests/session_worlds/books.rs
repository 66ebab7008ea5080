//! What is true in a world, whatever its processes believe: the server, the store and its locks, and every
//! request that was ever sent. The promises that concern more than one process are asserted here.

use loginradius_proto::session::{LoadOutcome, SessionRecord};
use serde::Deserialize;

use super::chance::{Moment, SECOND, Time};
use super::tally::Tally;

/// How every token of a world begins, so that none can hide in a text.
pub(crate) const CANARY: &str = "-token-";

/// A time may be that far in the future, by a wall clock that was corrected since.
pub(crate) const LEEWAY: Time = 5 * SECOND;

/// One sign-in of a user, and all tokens that came of it.
#[derive(Debug, Clone)]
pub(crate) struct Family {
    pub(crate) name: usize,
    /// Whether the server still honours it.
    pub(crate) alive: bool,
    /// Its record was removed by somebody who signed out, or forgot it.
    pub(crate) cleared: bool,
    /// It was removed once, or came back out of a doubt: nothing can be lost of it any more.
    pub(crate) ended: bool,
    /// It was in the store once.
    stored: bool,
    /// What its records call it.
    pub(crate) sign_in: Option<u64>,
}

#[derive(Debug, Clone)]
pub(crate) struct Refresh {
    pub(crate) family: usize,
    /// By which request.
    pub(crate) spent: Option<(usize, Time)>,
    /// The request that it is the answer to; `None` of a sign-in.
    pub(crate) issued: Option<usize>,
}

#[derive(Debug, Clone)]
pub(crate) struct Access {
    pub(crate) family: usize,
    /// `None` is unknown.
    pub(crate) lifetime: Option<Time>,
    /// When it was asked for, by the clocks of who did.
    pub(crate) asked: Option<Moment>,
    /// Whether it came of a refresh, and not of the sign-in.
    pub(crate) gained: bool,
    /// Whether it has ever been in the store.
    pub(crate) stored: bool,
}

/// What is known of the end of a request by the process that sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Out,
    /// Nobody knows whether it took effect.
    Lost,
    /// It did not spend the token.
    Harmless,
    /// It was answered with this refresh token, which is not in the store yet.
    Gained(usize),
    Saved,
    /// It is in the store, brought there by a process that had lost the lock to this one, which may have
    /// looked into the store before.
    SavedLate(usize),
}

/// Why it is nobody's fault that a token is sent again, or lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Excuse {
    Lost,
    Killed,
    Lapsed,
    Unsaved,
}

#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) process: usize,
    pub(crate) name: usize,
    pub(crate) token: usize,
    pub(crate) revokes: bool,
    pub(crate) asked: Moment,
    pub(crate) outcome: Outcome,
    /// Its process has lost the lock since.
    lapsed: bool,
    /// What an earlier request with the same token may be blamed for.
    excuse: Option<Excuse>,
}

/// How the server answers a refresh.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Said {
    Pair {
        access: usize,
        /// `None`: the one that was sent goes on.
        refresh: Option<usize>,
    },
    Refused,
    Revoked,
    /// There was nothing to revoke.
    Gone,
}

/// One name of the store.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shelf {
    json: Option<String>,
    /// `None`: damaged, or nothing.
    pub(crate) seen: Option<Seen>,
    pub(crate) holder: Option<usize>,
    /// Who has written it.
    writer: usize,
}

/// A record as it is stored.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Seen {
    pub(crate) generation: u64,
    pub(crate) sign_in: u64,
    #[serde(deserialize_with = "token")]
    #[serde(rename = "access_token")]
    pub(crate) access: Option<usize>,
    #[serde(default, deserialize_with = "token")]
    #[serde(rename = "refresh_token")]
    pub(crate) refresh: Option<usize>,
    pub(crate) intent: Option<serde::de::IgnoredAny>,
    #[serde(default)]
    pub(crate) signing_out: bool,
    pub(crate) refused: Option<serde::de::IgnoredAny>,
    hold: Option<Hold>,
}

/// Until when nobody should try again.
#[derive(Debug, Clone, Copy, Deserialize)]
struct Hold {
    since_unix_ms: Time,
    not_before_unix_ms: Time,
}

fn token<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<usize>, D::Error> {
    Ok(number(std::borrow::Cow::<'de, str>::deserialize(from)?.as_ref()))
}

/// The number at the end of a token.
pub(crate) fn number(token: &str) -> Option<usize> {
    token.rsplit_once('-')?.1.parse().ok()
}

impl std::fmt::Display for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { generation, access, refresh, intent, signing_out, refused, .. } = self;
        let has = |what: bool, name: &'static str| if what { name } else { "" };
        write!(f, "[{generation}: access {access:?} refresh {refresh:?}{}", has(intent.is_some(), " intent"))?;
        write!(f, "{}{}]", has(*signing_out, " signing out"), has(refused.is_some(), " refused"))
    }
}

impl Seen {
    /// Whether nobody should try again now, by that wall clock. A hold from the future was written by a clock
    /// that was wrong.
    pub(crate) fn is_held(&self, at: Moment) -> bool {
        let holds = |hold: Hold| hold.since_unix_ms <= at.wall + LEEWAY && at.wall < hold.not_before_unix_ms;
        self.hold.is_some_and(holds)
    }

    /// Whether somebody has said that it must not be handed out.
    pub(crate) fn is_marked(&self) -> bool {
        self.signing_out || self.refused.is_some()
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Books {
    pub(crate) families: Vec<Family>,
    pub(crate) refreshes: Vec<Refresh>,
    pub(crate) accesses: Vec<Access>,
    pub(crate) sent: Vec<Sent>,
    pub(crate) shelves: Vec<Shelf>,
    /// Which processes live, by their numbers. A number is never used again.
    pub(crate) alive: Vec<bool>,
    /// For how long a spent token still gets a pair; the server never rotates at all without it.
    pub(crate) grace: Time,
    /// Whether locks are leases, which can be lost by those who sleep; else they end with their process.
    pub(crate) leases: bool,
    pub(crate) tally: Tally,
}

impl std::fmt::Debug for Tally {
    /// Nothing: what happened on the way to a state is no part of it.
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        Ok(())
    }
}

impl Books {
    pub(crate) fn new(names: usize, leases: bool) -> Self {
        Self {
            families: Vec::new(),
            refreshes: Vec::new(),
            accesses: Vec::new(),
            sent: Vec::new(),
            shelves: vec![Shelf::default(); names],
            alive: Vec::new(),
            grace: 0,
            leases,
            tally: Tally::default(),
        }
    }

    // The server.

    /// A user signs in somewhere, and gets tokens.
    pub(crate) fn new_family(
        &mut self,
        name: usize,
        lifetime: Option<Time>,
        refreshable: bool,
    ) -> (usize, Option<usize>) {
        let family = self.families.len();
        self.families.push(Family { name, alive: true, cleared: false, ended: false, stored: false, sign_in: None });
        let access = self.new_access(family, lifetime, None);
        let refresh = refreshable.then(|| self.new_refresh(family, None));
        (access, refresh)
    }

    fn new_access(&mut self, family: usize, lifetime: Option<Time>, asked: Option<Moment>) -> usize {
        self.accesses.push(Access { family, lifetime, asked, gained: asked.is_some(), stored: false });
        self.accesses.len() - 1
    }

    fn new_refresh(&mut self, family: usize, issued: Option<usize>) -> usize {
        self.refreshes.push(Refresh { family, spent: None, issued });
        self.refreshes.len() - 1
    }

    /// Whether the server would take that refresh token, once.
    pub(crate) fn is_live(&self, refresh: usize) -> bool {
        let refresh = &self.refreshes[refresh];
        refresh.spent.is_none() && self.families[refresh.family].alive
    }

    /// A request reaches the server.
    pub(crate) fn arrive(&mut self, request: usize, at: Time, lifetime: Option<Time>, rotates: bool) -> Said {
        let Sent { token, asked, revokes, .. } = self.sent[request];
        let Refresh { family, spent, .. } = self.refreshes[token];
        if revokes {
            let live = self.is_live(token);
            self.families[family].alive &= !live;
            return if live { Said::Revoked } else { Said::Gone };
        }
        if let Some((spender, since)) = spent {
            if !self.families[family].ended {
                self.judge_replay(request, spender);
            }
            if at.saturating_sub(since) >= self.grace {
                self.families[family].alive = false;
            }
        }
        if !self.families[family].alive {
            return Said::Refused;
        }
        self.tally.rotations += u64::from(rotates);
        let access = self.new_access(family, lifetime, Some(asked));
        let refresh = rotates.then(|| {
            self.refreshes[token].spent = spent.or(Some((request, at)));
            self.new_refresh(family, Some(request))
        });
        Said::Pair { access, refresh }
    }

    /// Promise 1: of two requests with one token, the later one was sent when the end of the earlier one was
    /// unknown or could not be saved.
    fn judge_replay(&mut self, request: usize, spender: usize) {
        let later = request.max(spender);
        match self.sent[later].excuse {
            None => {
                panic!("promise 1: request {later} replays token {}, whose outcome was known", self.sent[later].token)
            }
            Some(Excuse::Lost) => self.tally.replays_after_loss += 1,
            Some(Excuse::Killed) => self.tally.replays_after_kill += 1,
            Some(Excuse::Lapsed) => self.tally.replays_after_lapse += 1,
            Some(Excuse::Unsaved) => self.tally.replays_after_failed_save += 1,
        }
    }

    // Requests.

    /// A process hands a request to its transport.
    pub(crate) fn send(&mut self, process: usize, name: usize, token: usize, revokes: bool, asked: Moment) -> usize {
        let holds = self.shelves[name].holder == Some(process);
        assert!(holds || self.leases, "promise 2: process {process} sends without the lock");
        assert_eq!(self.families[self.refreshes[token].family].name, name, "promise 10: a token of another name");
        if holds && !revokes {
            let other = self.sent.iter().find(|sent| sent.name == name && sent.is_out() && self.alive[sent.process]);
            assert!(other.is_none(), "promise 2: process {process} sends while {other:?} is out");
            let shelf = &self.shelves[name];
            let intended = |seen: &Seen| seen.refresh == Some(token) && seen.intent.is_some();
            // Who has lost a lease may still have saved something in between.
            let intended = shelf.seen.as_ref().is_some_and(intended) && shelf.writer == process;
            assert!(
                intended || self.leases && shelf.writer != process,
                "promise 8: token {token} is sent without an intent"
            );
        }
        let excuse = self.sent.iter().filter(|sent| sent.token == token && !sent.revokes);
        let late = |sent: &Sent| (sent.outcome == Outcome::SavedLate(process)).then_some(Excuse::Lapsed);
        let excuse = excuse.filter_map(|sent| self.excuse(sent).or(late(sent))).next();
        self.tally.refreshes += u64::from(!revokes);
        let outcome = Outcome::Out;
        self.sent.push(Sent { process, name, token, revokes, asked, outcome, lapsed: !holds, excuse });
        self.sent.len() - 1
    }

    /// Why the process that sent it could not bring what it got into the store.
    pub(crate) fn excuse(&self, sent: &Sent) -> Option<Excuse> {
        let dead = !self.alive[sent.process];
        match sent.outcome {
            Outcome::Lost => Some(Excuse::Lost),
            Outcome::Out if dead => Some(Excuse::Killed),
            Outcome::Out if sent.lapsed => Some(Excuse::Lapsed),
            Outcome::Gained(_) if dead || sent.lapsed => Some(Excuse::Unsaved),
            _ => None,
        }
    }

    /// The end of a request, as its process hears it.
    pub(crate) fn heard(&mut self, request: usize, outcome: Outcome) {
        if self.sent[request].outcome == Outcome::Out {
            self.sent[request].outcome = outcome;
        }
    }

    // The store.

    /// Tries to take the lock. `lapsed` says whether a holder has slept for too long to keep a lease.
    pub(crate) fn lock(&mut self, process: usize, name: usize, lapsed: impl Fn(usize) -> bool) -> bool {
        let holder = self.shelves[name].holder;
        assert_ne!(holder, Some(process), "promise 9: process {process} asks for the lock that it has");
        match holder {
            Some(holder) if !(self.leases && lapsed(holder)) => {
                self.tally.busy += 1;
                return false;
            }
            Some(holder) => {
                self.tally.takeovers += 1;
                self.lapse(holder, name);
            }
            None => {}
        }
        self.shelves[name].holder = Some(process);
        true
    }

    fn lapse(&mut self, process: usize, name: usize) {
        for sent in self.sent.iter_mut().filter(|sent| (sent.process, sent.name) == (process, name)) {
            sent.lapsed = true;
        }
    }

    pub(crate) fn unlock(&mut self, process: usize, name: usize) {
        let shelf = &mut self.shelves[name];
        shelf.holder = shelf.holder.filter(|holder| *holder != process);
    }

    /// A process dies, and its locks are free.
    pub(crate) fn kill(&mut self, process: usize) {
        self.alive[process] = false;
        (0..self.shelves.len()).for_each(|name| self.unlock(process, name));
    }

    pub(crate) fn load(&self, name: usize) -> LoadOutcome {
        self.shelves[name].json.as_deref().map_or(LoadOutcome::Nothing, LoadOutcome::from_json)
    }

    pub(crate) fn damage(&mut self, name: usize) {
        let shelf = &mut self.shelves[name];
        if shelf.json.is_some() {
            shelf.json = Some(r#"{"version":1,"#.to_owned());
            shelf.seen = None;
        }
    }

    pub(crate) fn is_damaged(&self, name: usize) -> bool {
        self.shelves[name].json.is_some() && self.shelves[name].seen.is_none()
    }

    fn fits(&self, name: usize, expected: Option<u64>) -> bool {
        self.shelves[name].seen.as_ref().map(|seen| seen.generation) == expected
    }

    /// Saves a record, if the expected one is there; says whether it was. Of sign-ins that are `doubtful` the
    /// process does not know whether they were stored: if it finds nothing, it cannot tell a sign-out from a
    /// save that failed.
    pub(crate) fn save(
        &mut self,
        process: usize,
        name: usize,
        record: &SessionRecord,
        expected: Option<u64>,
        doubtful: &[usize],
    ) -> bool {
        let json = record.to_json();
        let seen: Seen = serde_json::from_str(&json).expect("a record");
        let family = self.judge_record(name, &seen);
        if !self.fits(name, expected) {
            self.tally.conflicts += 1;
            return false;
        }
        let Family { cleared, ended, stored, .. } = &mut self.families[family];
        let doubtful = doubtful.contains(&family);
        assert!(!*cleared || seen.signing_out || doubtful, "promise 6: a session that was signed out is stored again");
        *ended |= doubtful && *stored && self.shelves[name].json.is_none();
        (*cleared, *stored) = (false, true);
        if let Some(old) = &self.shelves[name].seen {
            assert_ne!(old.generation, seen.generation, "promise 9: a save that cannot be told from the one before");
            if old.sign_in == seen.sign_in {
                assert!(!old.signing_out || seen.signing_out, "promise 6: a mark is taken away");
                let ended = old.refused.is_some() && old.refresh == seen.refresh;
                assert!(!ended || seen.is_marked(), "promise 4: a session that is over goes on");
                if let (Some(old), Some(new)) = (old.refresh, seen.refresh) {
                    let worse = self.is_live(old) && self.refreshes[new].spent.is_some();
                    assert!(!worse, "promise 5: token {old} is overwritten by {new}, which is spent");
                }
            }
        }
        self.accesses[seen.access.expect("an access token")].stored = true;
        for sent in &mut self.sent {
            if seen.refresh.map(Outcome::Gained) == Some(sent.outcome) {
                let late = self.shelves[name].holder.filter(|_| sent.lapsed).map(Outcome::SavedLate);
                sent.outcome = late.unwrap_or(Outcome::Saved);
            }
        }
        self.shelves[name].json = Some(json);
        self.shelves[name].seen = Some(seen);
        self.shelves[name].writer = process;
        true
    }

    /// Promise 10: all parts of a record come from one sign-in under that name.
    fn judge_record(&mut self, name: usize, seen: &Seen) -> usize {
        let family = self.accesses[seen.access.expect("an access token")].family;
        assert_eq!(self.families[family].name, name, "promise 10: a record under another name");
        if let Some(refresh) = seen.refresh {
            assert_eq!(self.refreshes[refresh].family, family, "promise 10: a record of two sign-ins");
        }
        let sign_in = *self.families[family].sign_in.get_or_insert(seen.sign_in);
        assert_eq!(sign_in, seen.sign_in, "promise 10: a sign-in with two names");
        family
    }

    /// Removes a record, if the expected one is there; says whether it was. Whoever signs out has to have had the
    /// token `revoked` before that, and may remove the `target` alone.
    pub(crate) fn clear(&mut self, name: usize, expected: Option<u64>, revoked: bool, target: Option<usize>) -> bool {
        if !self.fits(name, expected) {
            self.tally.conflicts += 1;
            return false;
        }
        if let Some(family) = self.stored_family(name) {
            assert!(target.is_none_or(|target| target == family), "promise 10: signs somebody else out");
            let seen = self.shelves[name].seen.as_ref();
            if let Some(token) = seen.filter(|seen| revoked && seen.refused.is_none()).and_then(|seen| seen.refresh) {
                let told = self.sent.iter().any(|sent| sent.revokes && sent.token == token);
                assert!(told, "promise 6: signed out, and the server was not told");
            }
            self.families[family].cleared = true;
            self.families[family].ended = true;
        }
        self.shelves[name].json = None;
        self.shelves[name].seen = None;
        true
    }

    pub(crate) fn stored_family(&self, name: usize) -> Option<usize> {
        Some(self.accesses[self.shelves[name].seen.as_ref()?.access?].family)
    }
}

impl Sent {
    fn is_out(&self) -> bool {
        self.outcome == Outcome::Out && !self.lapsed
    }
}
