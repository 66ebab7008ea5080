use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::app::App;
use crate::error::Error;
use crate::secret::{AccessToken, IdToken, RefreshToken};
use crate::token::TokenSet;

/// What a store keeps of one session: the tokens, and what has to outlive a crash.
///
/// A store treats it as opaque: it keeps the [JSON](Self::to_json) under the session's name, and compares
/// the [generation](Self::generation).
#[derive(Debug, Clone)]
pub struct SessionRecord {
    pub(crate) generation: u64,
    pub(crate) client_id: String,
    /// Which sign-in the tokens come from: it tells two people apart who use one name after each other.
    pub(crate) sign_in: u64,
    pub(crate) tokens: Tokens,
    pub(crate) intent: Option<Intent>,
    pub(crate) hold: Option<StoredHold>,
    pub(crate) mark: Mark,
}

/// The tokens of a record, and when their lifetime began.
#[derive(Debug, Clone)]
pub(crate) struct Tokens {
    pub(crate) access_token: AccessToken,
    pub(crate) refresh_token: Option<RefreshToken>,
    pub(crate) token_type: Option<String>,
    pub(crate) scope: Option<String>,
    pub(crate) id_token: Option<IdToken>,
    /// When they were asked for.
    pub(crate) obtained_at: SystemTime,
    /// `None` is unknown, and so is 0: good until reported.
    pub(crate) lifetime: Option<Duration>,
}

/// A refresh that has begun, and of which nobody knows yet how it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Intent {
    pub(crate) at: SystemTime,
    /// How often this refresh token is sent with this one.
    pub(crate) attempt: u32,
}

/// Until when nobody should try again, after failures.
#[derive(Debug, Clone)]
pub(crate) struct StoredHold {
    pub(crate) since: SystemTime,
    pub(crate) until: SystemTime,
    pub(crate) failures: u32,
    /// The line of the error.
    pub(crate) failure: String,
}

/// Why tokens are in the record that must not be handed out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Mark {
    None,
    /// Somebody is signing out, or stopped half way.
    SigningOut,
    /// LoginRadius refused the newest refresh token.
    Refused(String),
}

impl Tokens {
    pub(crate) fn new(tokens: TokenSet, obtained_at: SystemTime) -> Self {
        Self {
            access_token: tokens.access_token,
            refresh_token: tokens.refresh_token.filter(is_usable),
            token_type: tokens.token_type,
            scope: tokens.scope,
            id_token: tokens.id_token,
            obtained_at: whole_millis(obtained_at),
            lifetime: tokens
                .expires_in
                .filter(|lifetime| !lifetime.is_zero())
                .map(|lifetime| Duration::from_millis(millis(lifetime).max(1))),
        }
    }

    /// What a server may repeat in its texts.
    pub(crate) fn secrets(&self) -> Vec<&str> {
        let access_token = [self.access_token.expose()].into_iter();
        let refresh_token = self.refresh_token.iter().map(RefreshToken::expose);
        access_token.chain(refresh_token).chain(self.id_token.iter().map(IdToken::expose)).collect()
    }

    pub(crate) fn set_obtained_at(&mut self, obtained_at: SystemTime) {
        self.obtained_at = whole_millis(obtained_at);
    }

    pub(crate) fn same_pair(&self, other: &Self) -> bool {
        self.access_token.expose() == other.access_token.expose() && self.same_refresh_token(other)
    }

    pub(crate) fn same_refresh_token(&self, other: &Self) -> bool {
        let text = |tokens: &Self| tokens.refresh_token.as_ref().map(|token| token.expose().to_owned());
        // Two tokens of one's own store: there is nobody to whom the time of the comparison tells anything.
        text(self).map(Zeroizing::new) == text(other).map(Zeroizing::new)
    }
}

/// The stored form. Times are milliseconds since 1970; a lifetime is rounded down, so that none grows.
#[derive(Serialize, Deserialize)]
struct Stored {
    version: u32,
    generation: u64,
    client_id: String,
    sign_in: u64,
    access_token: Zeroizing<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refresh_token: Option<Zeroizing<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    token_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id_token: Option<Zeroizing<String>>,
    obtained_at_unix_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lifetime_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    intent: Option<StoredIntent>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hold: Option<StoredNotBefore>,
    #[serde(default, skip_serializing_if = "is_false")]
    signing_out: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct StoredIntent {
    at_unix_ms: u64,
    attempt: u32,
}

#[derive(Serialize, Deserialize)]
struct StoredNotBefore {
    since_unix_ms: u64,
    not_before_unix_ms: u64,
    failures: u32,
    failure: String,
}

#[derive(Deserialize)]
struct StoredVersion {
    version: u32,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

impl SessionRecord {
    const VERSION: u32 = 1;
    /// Beyond this, JSON readers of other languages round.
    const LARGEST: u64 = (1 << 53) - 1;

    /// The record of a new sign-in.
    pub(crate) fn new(app: &App, tokens: Tokens, generation: u64, sign_in: u64) -> Self {
        Self {
            generation: Self::number(generation),
            client_id: app.client_id.clone(),
            sign_in: Self::number(sign_in),
            tokens,
            intent: None,
            hold: None,
            mark: Mark::None,
        }
    }

    pub(crate) fn next_generation(&self) -> u64 {
        Self::number(self.generation.wrapping_add(1))
    }

    /// Whether one is the other, stored and loaded again. The generation does not tell: somebody else may
    /// have made the same step from the same record.
    pub(crate) fn same_save(&self, other: &Self) -> bool {
        Zeroizing::new(self.to_json()) == Zeroizing::new(other.to_json())
    }

    /// A number that every reader of JSON keeps exactly.
    pub(crate) fn number(bits: u64) -> u64 {
        bits & Self::LARGEST
    }

    /// The number that a store compares: each save has another one than what it replaces, and saves
    /// only over the one that it [expects](super::SessionStep::Save).
    ///
    /// It begins at a random number with each sign-in, so that one which was cleared and another that
    /// came after it are not taken for each other. It is below 2^53.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The record as JSON, **with its tokens**: whoever reads it can act as the user. Keep it where only
    /// its owner can read.
    #[must_use]
    pub fn to_json(&self) -> String {
        let secret = |text: &str| Zeroizing::new(text.to_owned());
        let tokens = &self.tokens;
        let stored = Stored {
            version: Self::VERSION,
            generation: self.generation,
            client_id: self.client_id.clone(),
            sign_in: self.sign_in,
            access_token: secret(tokens.access_token.expose()),
            refresh_token: tokens.refresh_token.as_ref().map(|token| secret(token.expose())),
            token_type: tokens.token_type.clone(),
            scope: tokens.scope.clone(),
            id_token: tokens.id_token.as_ref().map(|token| secret(token.expose())),
            obtained_at_unix_ms: unix_millis(tokens.obtained_at),
            lifetime_ms: tokens.lifetime.map(millis),
            intent: self
                .intent
                .map(|intent| StoredIntent { at_unix_ms: unix_millis(intent.at), attempt: intent.attempt }),
            hold: self.hold.as_ref().map(|hold| StoredNotBefore {
                since_unix_ms: unix_millis(hold.since),
                not_before_unix_ms: unix_millis(hold.until),
                failures: hold.failures,
                failure: hold.failure.clone(),
            }),
            signing_out: self.mark == Mark::SigningOut,
            refused: match &self.mark {
                Mark::Refused(why) => Some(why.clone()),
                Mark::None | Mark::SigningOut => None,
            },
        };
        // Room enough from the beginning: a buffer that grows leaves copies of the tokens behind.
        let secrets = [Some(&stored.access_token), stored.refresh_token.as_ref(), stored.id_token.as_ref()];
        let length: usize = secrets.into_iter().flatten().map(|secret| secret.len()).sum();
        let mut json = Vec::with_capacity(2 * length + 4096);
        // Strings and numbers can always be written.
        let _ = serde_json::to_writer(&mut json, &stored);
        String::from_utf8(json).unwrap_or_default()
    }

    fn from_stored(stored: Stored) -> Option<Self> {
        let date = |millis| SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(millis));
        let intent = |intent: StoredIntent| Some(Intent { at: date(intent.at_unix_ms)?, attempt: intent.attempt });
        let hold = |hold: StoredNotBefore| {
            Some(StoredHold {
                since: date(hold.since_unix_ms)?,
                until: date(hold.not_before_unix_ms)?,
                failures: hold.failures,
                failure: printable(&hold.failure),
            })
        };
        if stored.generation > Self::LARGEST || stored.access_token.is_empty() {
            return None;
        }
        Some(Self {
            generation: stored.generation,
            client_id: stored.client_id,
            sign_in: stored.sign_in,
            tokens: Tokens {
                access_token: AccessToken::new(stored.access_token.as_str()),
                refresh_token: stored.refresh_token.map(|token| RefreshToken::new(token.as_str())).filter(is_usable),
                token_type: stored.token_type,
                scope: stored.scope,
                id_token: stored.id_token.map(|token| IdToken::new(token.as_str())),
                obtained_at: date(stored.obtained_at_unix_ms)?,
                lifetime: stored.lifetime_ms.filter(|lifetime| *lifetime > 0).map(Duration::from_millis),
            },
            intent: stored.intent.and_then(intent),
            hold: stored.hold.and_then(hold),
            mark: match stored.refused {
                _ if stored.signing_out => Mark::SigningOut,
                Some(why) => Mark::Refused(printable(&why)),
                None => Mark::None,
            },
        })
    }
}

/// A text from a file, fit for an error's line.
fn printable(text: &str) -> String {
    text.chars().take(2_000).map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Whether a request can carry it. With one that none can, a session would fail for ever.
fn is_usable(token: &RefreshToken) -> bool {
    !token.expose().is_empty() && !token.expose().contains(char::is_control)
}

/// As it is stored, so that what is loaded again is known to be the same.
fn whole_millis(time: SystemTime) -> SystemTime {
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(unix_millis(time))).unwrap_or(time)
}

fn unix_millis(time: SystemTime) -> u64 {
    millis(time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
}

/// What a store found under a session's name.
#[derive(Debug)]
#[allow(clippy::exhaustive_enums, reason = "a flow and a store agree on every outcome there is")]
#[allow(clippy::large_enum_variant, reason = "an outcome is taken apart at once")]
pub enum LoadOutcome {
    /// The record.
    Record(SessionRecord),
    /// Nothing: nobody is signed in under that name.
    Nothing,
    /// Something that is no record. It must never be overwritten: the next sign-in sets it aside. The
    /// error says where it is and what to do.
    Damaged(Error),
    /// It could not be read now, or is of a newer version and has to stay as it is.
    Failed(Error),
}

impl LoadOutcome {
    /// Reads what [`SessionRecord::to_json`] wrote.
    ///
    /// Of a newer version of this crate it says `Failed`, of anything else that is no record `Damaged`.
    ///
    /// ```
    /// use loginradius_proto::session::LoadOutcome;
    ///
    /// assert!(matches!(LoadOutcome::from_json("{"), LoadOutcome::Damaged(_)));
    /// assert!(matches!(LoadOutcome::from_json(r#"{"version":2}"#), LoadOutcome::Failed(_)));
    /// ```
    #[must_use]
    pub fn from_json(json: &str) -> Self {
        let damaged = || {
            Self::Damaged(Error::settings(
                "the stored session is damaged and cannot be read; restore it, or sign in again",
            ))
        };
        match serde_json::from_str::<StoredVersion>(json) {
            Ok(StoredVersion { version: SessionRecord::VERSION }) => {}
            Ok(StoredVersion { version }) if version > SessionRecord::VERSION => {
                return Self::Failed(Error::settings(format!(
                    "the stored session is of version {version}, and this program knows version {} alone; \
                     it was left as it is: update this program",
                    SessionRecord::VERSION,
                )));
            }
            _ => return damaged(),
        }
        let record = serde_json::from_str(json).ok().and_then(SessionRecord::from_stored);
        record.map_or_else(damaged, Self::Record)
    }
}

/// What became of a conditional save, or of a conditional clearing.
#[derive(Debug)]
#[allow(clippy::exhaustive_enums, reason = "a flow and a store agree on every outcome there is")]
pub enum SaveOutcome {
    /// It is stored, and would outlive a loss of power.
    Saved,
    /// Something else is stored than was expected; nothing was changed.
    Conflict,
    /// It was certainly not stored; what was there before still is.
    Failed(Error),
    /// It may or may not have been stored: the flow will load it.
    Unknown(Error),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(millis)
    }

    fn record() -> SessionRecord {
        let mut tokens = TokenSet::new("b8cb");
        tokens.refresh_token = Some(RefreshToken::new("a795"));
        tokens.expires_in = Some(Duration::from_secs(600));
        tokens.scope = Some("email".into());
        tokens.id_token = Some(IdToken::new("e30"));
        tokens.token_type = Some("access_token".into());
        let mut record = SessionRecord::new(&App::new("my-client-id"), Tokens::new(tokens, at(1_000)), 7, u64::MAX);
        record.intent = Some(Intent { at: at(2_000), attempt: 3 });
        record.hold =
            Some(StoredHold { since: at(3_000), until: at(4_000), failures: 2, failure: "no connection".into() });
        record
    }

    #[test]
    fn json_keeps_everything() {
        for mark in [Mark::None, Mark::SigningOut, Mark::Refused("invalid_grant".into())] {
            let record = SessionRecord { mark, ..record() };
            let LoadOutcome::Record(read) = LoadOutcome::from_json(&record.to_json()) else { panic!() };
            assert_eq!(read.to_json(), record.to_json());
            assert_eq!(format!("{read:?}"), format!("{record:?}"));
            assert!(read.tokens.same_pair(&record.tokens));
        }
    }

    #[test]
    fn what_is_no_record_is_damaged_and_a_newer_one_is_left() {
        let json = record().to_json();
        for cut in 0..json.len() {
            assert!(matches!(LoadOutcome::from_json(&json[..cut]), LoadOutcome::Damaged(_)), "{cut}");
        }
        let damaged = [
            "null",
            "[]",
            "{}",
            r#"{"version":0}"#,
            r#"{"version":"1"}"#,
            &json.replace(r#""generation":7"#, r#""generation":-7"#),
            &json.replace(r#""generation":7"#, r#""generation":9007199254740992"#),
            &json.replace(r#""access_token":"b8cb""#, r#""access_token":"""#),
            &json.replace(r#""access_token":"b8cb""#, r#""access_token":5"#),
        ];
        for text in damaged {
            assert!(matches!(LoadOutcome::from_json(text), LoadOutcome::Damaged(_)), "{text}");
        }
        let LoadOutcome::Failed(error) = LoadOutcome::from_json(r#"{"version":2,"else":[]}"#) else { panic!() };
        assert!(error.to_string().contains("version 2"), "{error}");
    }

    #[test]
    fn nothing_is_printed() {
        let printed = format!("{:?}", record());
        assert!(!printed.contains("b8cb") && !printed.contains("a795") && !printed.contains("e30"), "{printed}");
    }
}
