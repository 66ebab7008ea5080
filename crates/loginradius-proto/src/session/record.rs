use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::digest::digest;
use super::errors::{other_client, printable};
use super::stored::{LoadError, StoredRecord};
use crate::app::App;
use crate::error::Error;
use crate::jitter::Seed;
use crate::secret::{AccessToken, IdToken, RefreshToken};
use crate::secret_buffer::SecretBuffer;
use crate::secret_text::SecretText;
use crate::sha256::sha256;
use crate::token::TokenSet;
use crate::wire::encode;

/// What is kept of one session: the tokens, and what has to outlive a crash.
#[derive(Debug, Clone)]
pub(super) struct SessionRecord {
    pub(super) generation: u64,
    pub(super) client_id: String,
    pub(super) login: LoginId,
    /// The logins that this one and those before it have replaced, the last one first.
    pub(super) replaced: Vec<LoginId>,
    pub(super) tokens: Tokens,
    pub(super) intent: Option<Intent>,
    /// In memory of its own, which few sessions need.
    pub(super) backoff: Option<Box<Backoff>>,
    pub(super) status: SessionStatus,
}

/// Which login the tokens come from: a digest of the tokens that it yielded.
///
/// It distinguishes two users that use one name in turn, and recognizes a login that is started twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct LoginId(pub(super) u64);

/// The tokens of a record, and when their lifetime began.
#[derive(Debug, Clone)]
pub(super) struct Tokens {
    pub(super) access_token: AccessToken,
    pub(super) refresh_token: Option<RefreshToken>,
    pub(super) token_type: Option<String>,
    pub(super) scope: Option<String>,
    pub(super) id_token: Option<IdToken>,
    /// When their request was sent.
    pub(super) obtained_at: SystemTime,
    /// `None` if unknown: the access token is valid until it is rejected.
    pub(super) lifetime: Option<Duration>,
}

/// A refresh that has begun, and whose outcome is not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Intent {
    pub(super) at: SystemTime,
    /// How often this refresh token is sent, this time included.
    pub(super) attempt: u32,
}

/// After failures: until when no refresh is tried.
#[derive(Debug, Clone)]
pub(super) struct Backoff {
    pub(super) since: SystemTime,
    pub(super) until: SystemTime,
    pub(super) failures: u32,
    /// The error, in one line.
    pub(super) failure: String,
}

/// Whether the tokens of a record may be used.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionStatus {
    /// They may be used, and refreshed.
    Active,
    /// A sign-out has begun, and has not ended yet: no caller gets the tokens any more.
    SigningOut,
    /// LoginRadius refused the newest refresh token, with this error, in one line without secrets: only a login helps.
    Rejected(String),
}

/// Why bytes are no record that this program can use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unreadable {
    Damaged,
    /// They are intact, and a newer program wrote them.
    Newer {
        generation: Option<u64>,
    },
}

impl LoginId {
    /// Digests what a login yielded.
    pub(super) fn of(tokens: &TokenSet) -> Self {
        let refresh_token = tokens.refresh_token.as_ref().map_or("", |token| token.expose());
        Self(digest(&[b"login", tokens.access_token.expose().as_bytes(), refresh_token.as_bytes()]))
    }
}

impl Tokens {
    pub(super) fn new(tokens: TokenSet, obtained_at: SystemTime) -> Self {
        Self {
            access_token: tokens.access_token,
            refresh_token: tokens.refresh_token.filter(is_usable),
            token_type: tokens.token_type,
            scope: tokens.scope,
            id_token: tokens.id_token,
            obtained_at: whole_millis(obtained_at),
            lifetime: tokens.expires_in.map(|lifetime| Duration::from_millis(millis(lifetime))),
        }
    }

    /// Returns the secrets that a server's texts may repeat.
    pub(super) fn secrets(&self) -> Vec<&str> {
        let access_token = [self.access_token.expose()].into_iter();
        let refresh_token = self.refresh_token.iter().map(RefreshToken::expose);
        access_token.chain(refresh_token).chain(self.id_token.iter().map(IdToken::expose)).collect()
    }

    pub(super) fn same_pair(&self, other: &Self) -> bool {
        self.same_access_token(other) && self.same_refresh_token(other)
    }

    pub(super) fn same_refresh_token(&self, other: &Self) -> bool {
        // Both are the session's own: the time of the comparison reveals nothing to an attacker.
        let text = |tokens: &Self| tokens.refresh_token.as_ref().map(|token| Zeroizing::new(token.expose().to_owned()));
        text(self) == text(other)
    }

    /// Returns whether both come from the same response. One process may know its moment better than another.
    pub(super) fn same_lifetime(&self, other: &Self) -> bool {
        self.same_access_token(other) && self.obtained_at == other.obtained_at && self.lifetime == other.lifetime
    }

    fn same_access_token(&self, other: &Self) -> bool {
        self.access_token.expose() == other.access_token.expose()
    }
}

/// The stored form. Times are milliseconds since 1970; a lifetime is rounded down, so that none grows.
///
/// The names never change: programs of two versions may share a store during an upgrade.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    version: u32,
    generation: u64,
    client_id: String,
    sign_in: LoginId,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    replaced: Vec<LoginId>,
    access_token: SecretText,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refresh_token: Option<SecretText>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    token_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id_token: Option<SecretText>,
    obtained_at_unix_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lifetime_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    intent: Option<StoredIntent>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hold: Option<StoredBackoff>,
    #[serde(default, skip_serializing_if = "is_false")]
    signing_out: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
    /// Written by [`sealed`], and read before everything else.
    #[serde(default, skip_serializing)]
    checksum: Option<serde::de::IgnoredAny>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredIntent {
    at_unix_ms: u64,
    attempt: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredBackoff {
    since_unix_ms: u64,
    not_before_unix_ms: u64,
    failures: u32,
    failure: String,
}

/// What every version of the stored form has.
#[derive(Deserialize)]
struct StoredHead {
    generation: Option<Box<RawValue>>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

impl SessionRecord {
    const VERSION: u32 = 1;
    /// How many replaced logins a record remembers.
    const MAX_REPLACED: usize = 16;

    /// Makes the record of a new login. By the seed, its generation differs from that of an earlier login.
    pub(super) fn new(app: &App, login: LoginId, tokens: Tokens, seed: Seed) -> Self {
        let moment = unix_millis(tokens.obtained_at).to_be_bytes();
        Self {
            generation: digest(&[b"generation", &login.0.to_be_bytes(), &moment, &seed.0.to_be_bytes()]),
            client_id: app.client_id().to_owned(),
            login,
            replaced: Vec::new(),
            tokens,
            intent: None,
            backoff: None,
            status: SessionStatus::Active,
        }
    }

    /// Makes this the record that replaces another login's.
    pub(super) fn replace(&mut self, stored: &Self) {
        self.generation = stored.next_generation();
        // Of the same tokens, a refresh may have begun.
        self.intent = stored.intent.filter(|_| stored.tokens.same_refresh_token(&self.tokens));
        let history = std::iter::once(&stored.login).chain(&stored.replaced).filter(|login| **login != self.login);
        self.replaced = history.copied().take(Self::MAX_REPLACED).collect();
    }

    pub(super) fn next_generation(&self) -> u64 {
        self.generation.wrapping_add(1) & StoredRecord::MAX_GENERATION
    }

    /// Makes the record that replaces this one.
    pub(super) fn into_next(self) -> Self {
        Self { generation: self.next_generation(), ..self }
    }

    /// Makes the record that replaces this one at the end of the session.
    pub(super) fn into_status(self, status: SessionStatus) -> Self {
        Self { status, intent: None, backoff: None, ..self.into_next() }
    }

    /// Returns whether one is the other, saved and loaded again. The same generation is not enough: another process may
    /// have replaced the same record.
    pub(super) fn same_save(&self, other: &Self) -> bool {
        self.encode() == other.encode()
    }

    /// Writes the stored form: JSON whose last member is the checksum of all before it.
    pub(super) fn encode(&self) -> StoredRecord {
        let tokens = &self.tokens;
        let stored = Stored {
            version: Self::VERSION,
            generation: self.generation,
            client_id: self.client_id.clone(),
            sign_in: self.login,
            replaced: self.replaced.clone(),
            access_token: tokens.access_token.expose().into(),
            refresh_token: tokens.refresh_token.as_ref().map(|token| token.expose().into()),
            token_type: tokens.token_type.clone(),
            scope: tokens.scope.clone(),
            id_token: tokens.id_token.as_ref().map(|token| token.expose().into()),
            obtained_at_unix_ms: unix_millis(tokens.obtained_at),
            lifetime_ms: tokens.lifetime.map(millis),
            intent: self
                .intent
                .map(|intent| StoredIntent { at_unix_ms: unix_millis(intent.at), attempt: intent.attempt }),
            hold: self.backoff.as_ref().map(|backoff| StoredBackoff {
                since_unix_ms: unix_millis(backoff.since),
                not_before_unix_ms: unix_millis(backoff.until),
                failures: backoff.failures,
                failure: backoff.failure.clone(),
            }),
            signing_out: self.status == SessionStatus::SigningOut,
            refused: match &self.status {
                SessionStatus::Rejected(why) => Some(why.clone()),
                SessionStatus::Active | SessionStatus::SigningOut => None,
            },
            checksum: None,
        };
        // Strings and numbers can always be written.
        let json = encode::json(&stored).unwrap_or_default();
        StoredRecord::new(self.generation, sealed(&json).into_vec())
    }

    /// Reads the stored form. The checksum is checked first: if a bit was flipped, not even the version can be trusted.
    ///
    /// | checksum | content | outcome |
    /// | --- | --- | --- |
    /// | right | a record of this version | the record |
    /// | right | another version, or something that this version does not know | newer |
    /// | wrong | anything | damaged |
    /// | none | a record of a program without checksums | the record |
    /// | none | anything else | damaged |
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Unreadable> {
        let json = std::str::from_utf8(bytes).map_err(|_| Unreadable::Damaged)?.trim_end();
        let sealed = is_sealed(json)?;
        let stored = serde_json::from_str::<Stored>(json).ok();
        let stored = stored.filter(|stored| stored.version == Self::VERSION && stored.checksum.is_some() == sealed);
        match stored.and_then(Self::from_stored) {
            Some(record) => Ok(record),
            None if sealed => match serde_json::from_str::<StoredHead>(json) {
                Ok(StoredHead { generation }) => {
                    let generation = generation.and_then(|number| number.get().parse().ok());
                    let generation = generation.filter(|generation| *generation <= StoredRecord::MAX_GENERATION);
                    Err(Unreadable::Newer { generation })
                }
                Err(_) => Err(Unreadable::Damaged),
            },
            None => Err(Unreadable::Damaged),
        }
    }

    fn from_stored(stored: Stored) -> Option<Self> {
        let date = |millis| SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(millis));
        let intent = |intent: StoredIntent| Some(Intent { at: date(intent.at_unix_ms)?, attempt: intent.attempt });
        let backoff = |stored: StoredBackoff| {
            Some(Backoff {
                since: date(stored.since_unix_ms)?,
                until: date(stored.not_before_unix_ms)?,
                failures: stored.failures,
                failure: printable(&stored.failure, MAX_FAILURE_LENGTH),
            })
        };
        if stored.generation > StoredRecord::MAX_GENERATION || stored.access_token.is_empty() {
            return None;
        }
        Some(Self {
            generation: stored.generation,
            client_id: stored.client_id,
            login: stored.sign_in,
            replaced: stored.replaced,
            tokens: Tokens {
                access_token: stored.access_token.into(),
                refresh_token: stored.refresh_token.map(RefreshToken::from).filter(is_usable),
                token_type: stored.token_type,
                scope: stored.scope,
                id_token: stored.id_token.map(IdToken::from),
                obtained_at: date(stored.obtained_at_unix_ms)?,
                lifetime: stored.lifetime_ms.map(Duration::from_millis),
            },
            intent: stored.intent.and_then(intent),
            backoff: stored.hold.and_then(backoff).map(Box::new),
            status: match stored.refused {
                _ if stored.signing_out => SessionStatus::SigningOut,
                Some(why) => SessionStatus::Rejected(printable(&why, MAX_FAILURE_LENGTH)),
                None => SessionStatus::Active,
            },
        })
    }
}

impl StoredRecord {
    /// Holds bytes that are stored without their generation, as in a file, and reads it from them.
    ///
    /// If they are no intact record, their generation is a digest. So a store need not know which bytes are damaged:
    /// any bytes have a generation, and a save that expects another one is a [conflict](super::SaveError::Conflict).
    ///
    /// ```
    /// use loginradius_proto::session::StoredRecord;
    ///
    /// let damaged = StoredRecord::from_bytes(*b"{\"version\":1,");
    /// assert_eq!(damaged.generation(), StoredRecord::from_bytes(*b"{\"version\":1,").generation());
    /// assert_ne!(damaged.generation(), StoredRecord::from_bytes(*b"{\"version\":2,").generation());
    /// ```
    pub fn from_bytes(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        let generation = match SessionRecord::decode(&bytes) {
            Ok(record) => Some(record.generation),
            Err(Unreadable::Newer { generation }) => generation,
            Err(Unreadable::Damaged) => None,
        };
        Self::new(generation.unwrap_or_else(|| digest(&[&bytes])), bytes)
    }

    /// Reads the record of a session of that app, or says why the session cannot use it.
    pub(super) fn decode(&self, app: &App) -> Result<SessionRecord, LoadError> {
        let record = self.read()?;
        if record.client_id == app.client_id() {
            Ok(record)
        } else {
            Err(LoadError::Failed(other_client(&record.client_id, app.client_id())))
        }
    }

    /// Reads the record of any app's session.
    pub(super) fn read(&self) -> Result<SessionRecord, LoadError> {
        let place = || self.location().map_or_else(String::new, |location| format!(" in {location}"));
        match SessionRecord::decode(self.as_bytes()) {
            // What the store compares counts, whatever the bytes say.
            Ok(record) => Ok(SessionRecord { generation: self.generation(), ..record }),
            Err(Unreadable::Damaged) => Err(LoadError::Damaged {
                generation: self.generation(),
                error: Error::record_damaged(format!(
                    "the stored session{} is damaged: restore it, or sign in again (the damaged record is kept as a copy)",
                    place(),
                )),
            }),
            Err(Unreadable::Newer { .. }) => Err(LoadError::Failed(Error::configuration(format!(
                "the stored session{} was written by a newer program, and was left as it is: update this program",
                place(),
            )))),
        }
    }
}

/// How much of a stored error is read, in characters.
const MAX_FAILURE_LENGTH: usize = 2_000;

/// What comes before the checksum, and how long that is.
const CHECKSUM: &str = r#","checksum":""#;
const CHECKSUM_LENGTH: usize = 32;

/// Adds the checksum as the last member of a JSON object.
fn sealed(json: &[u8]) -> SecretBuffer {
    let content = json.strip_suffix(b"}").unwrap_or(json);
    let mut sealed = SecretBuffer::with_capacity(content.len() + CHECKSUM.len() + CHECKSUM_LENGTH + 2);
    for part in [content, CHECKSUM.as_bytes(), checksum(content).as_bytes(), b"\"}"] {
        sealed.push(part);
    }
    sealed
}

/// Returns whether the text has a checksum, or that it is damaged if the checksum is wrong.
fn is_sealed(json: &str) -> Result<bool, Unreadable> {
    let seal =
        json.len().checked_sub(CHECKSUM.len() + CHECKSUM_LENGTH + 2).and_then(|start| json.split_at_checked(start));
    let Some((content, seal)) = seal else { return Ok(false) };
    match seal.strip_prefix(CHECKSUM).and_then(|seal| seal.strip_suffix("\"}")) {
        Some(found) if found == checksum(content.as_bytes()) => Ok(true),
        Some(_) => Err(Unreadable::Damaged),
        None => Ok(false),
    }
}

/// Returns half of the SHA-256 in hexadecimal digits: against accidents, not against an attacker with write access.
fn checksum(content: &[u8]) -> String {
    let digest = sha256(|hash| hash.update(content));
    digest.iter().take(CHECKSUM_LENGTH / 2).fold(String::with_capacity(CHECKSUM_LENGTH), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = std::fmt::Write::write_fmt(&mut text, format_args!("{byte:02x}"));
        text
    })
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Returns whether a request can carry the token. With one that no request can carry, a session would fail for ever.
fn is_usable(token: &RefreshToken) -> bool {
    !token.expose().is_empty() && !token.expose().contains(char::is_control)
}

/// Rounds to whole milliseconds, as they are stored, so that a loaded time equals the saved one.
fn whole_millis(time: SystemTime) -> SystemTime {
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(unix_millis(time))).unwrap_or(time)
}

fn unix_millis(time: SystemTime) -> u64 {
    millis(time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
}
