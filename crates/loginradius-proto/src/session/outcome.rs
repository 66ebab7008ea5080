use http::Response;

use super::attempt::Attempt;
use super::now::Now;
use super::record::{SessionRecord, Tokens};
use crate::app::App;
use crate::body::Body;
use crate::endpoint::Endpoint;
use crate::error::{Error, ErrorKind};
use crate::flow::is_failure;
use crate::oauth::{RefreshAccessToken, RevokeRefreshToken};
use crate::wire::refusal::says_token_is_gone;

/// What became of the refresh token that a request carried.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "an outcome is taken apart at once")]
pub(super) enum RefreshOutcome {
    /// There is a new access token. The refresh token was replaced, or stays valid. The error, if any, says that the
    /// next refresh token could not be read.
    Rotated(SessionRecord, Option<Error>),
    /// It was consumed. The next refresh token could be read, but the rest of the response could not.
    RotatedWithFault(SessionRecord, Error),
    /// It is not valid any more.
    Rejected(Error),
    /// It was certainly not sent.
    NotSent(Error),
    /// It may have been consumed: the response was lost, or is not LoginRadius's.
    Unknown(Error),
    /// It was not consumed: LoginRadius refused the request for another reason.
    Refused(Error),
}

/// Decides what a response, or the lack of one, means for the refresh token of the attempt.
pub(super) fn classify(
    response: Result<Response<Body>, Error>,
    attempt: &Attempt,
    sent: Now,
    app: &App,
) -> RefreshOutcome {
    let operation = RefreshAccessToken::new(attempt.token.clone());
    let named = |error: Error| error.of(operation.name()).to(app.service());
    let response = match response {
        Ok(response) => response,
        Err(error) => return of_error(named(error)),
    };
    // A server's texts may repeat what it was sent, and other secrets of the session.
    let refreshed = operation.refreshed(app, &response, &attempt.record.tokens.secrets());
    let before = &attempt.record;
    match (refreshed.tokens.map_err(named), refreshed.refresh_token) {
        (Ok(tokens), next) => {
            let (old, new) = (before.tokens.clone(), Tokens::new(tokens, sent.wall));
            // If the next refresh token cannot be read, it is lost, and this one may be consumed: the intent stays
            // open, as after a lost response.
            let (next, intent, unreadable) = match next {
                Ok(next) => (next, None, None),
                Err(error) => (None, before.intent, Some(error)),
            };
            let tokens = Tokens {
                refresh_token: next.or(old.refresh_token),
                token_type: new.token_type.or(old.token_type),
                scope: new.scope.or(old.scope),
                id_token: new.id_token.or(old.id_token),
                ..new
            };
            let record = SessionRecord { tokens, intent, backoff: None, ..before.clone() };
            RefreshOutcome::Rotated(record, unreadable)
        }
        (Err(fault), Ok(Some(next))) => {
            let tokens = Tokens { refresh_token: Some(next), ..before.tokens.clone() };
            let record = SessionRecord { tokens, intent: None, ..before.clone() };
            RefreshOutcome::RotatedWithFault(record, fault)
        }
        (Err(error), _) => of_error(error),
    }
}

/// What became of a session at LoginRadius.
#[derive(Debug)]
pub(super) enum RevocationOutcome {
    /// Its refresh token is not valid any more.
    Ended,
    /// It may not have ended: the request was not sent, or its response was lost or is not LoginRadius's.
    Unknown(Error),
    /// It has not ended: LoginRadius refused the request.
    Refused(Error),
}

/// Decides what a response, or the lack of one, means for the session that is signed out.
pub(super) fn classify_revocation(
    response: Result<Response<Body>, Error>,
    operation: &RevokeRefreshToken,
    attempt: &Attempt,
    app: &App,
) -> RevocationOutcome {
    let secrets = attempt.record.tokens.secrets();
    let result = response.and_then(|response| operation.revoked(app, &response, &secrets));
    match result.map_err(|error| error.of(operation.name()).to(app.service())) {
        Ok(()) => RevocationOutcome::Ended,
        Err(error) if is_failure(&error) => RevocationOutcome::Unknown(error),
        Err(error) if is_gone(&error) => RevocationOutcome::Ended,
        Err(error) if error.kind() == ErrorKind::Unavailable => RevocationOutcome::Unknown(error),
        Err(error) => RevocationOutcome::Refused(error),
    }
}

/// Returns whether LoginRadius says that the token to be revoked is not valid any more.
fn is_gone(error: &Error) -> bool {
    error.requires_login() || error.api_error().is_some_and(says_token_is_gone)
}

fn of_error(error: Error) -> RefreshOutcome {
    match error.kind() {
        ErrorKind::NotSent => RefreshOutcome::NotSent(error),
        _ if is_failure(&error) => RefreshOutcome::Unknown(error),
        _ if error.requires_login() => RefreshOutcome::Rejected(error.into_sign_in_required()),
        ErrorKind::Unavailable => RefreshOutcome::Unknown(error),
        _ => RefreshOutcome::Refused(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jitter::Seed;
    use crate::session::record::{Intent, LoginId};
    use crate::testing::{now, response, s};
    use crate::token::TokenSet;

    fn attempt() -> Attempt {
        let mut tokens = TokenSet::new("a1");
        tokens.refresh_token = Some("r1".into());
        tokens.scope = Some("email".into());
        let record = SessionRecord::new(
            &App::new("my-client-id"),
            LoginId(1),
            Tokens::new(tokens, now().wall - s(600)),
            Seed(1),
        );
        let record = SessionRecord { intent: Some(Intent { at: now().wall, attempt: 1 }), ..record };
        Attempt { record, token: "r1".into(), earlier_intent: None, since: now() }
    }

    /// Shows the outcome in one line: its name, then the tokens, whether the intent is open, and the kind of an error.
    fn outcome(response: Result<Response<Body>, Error>) -> String {
        let record = |record: &SessionRecord| {
            let Tokens { access_token, refresh_token, scope, .. } = &record.tokens;
            let open = if record.intent.is_some() { " open" } else { "" };
            let refresh_token = refresh_token.as_ref().unwrap().expose();
            format!("{} {refresh_token} {}{open}", access_token.expose(), scope.as_ref().unwrap())
        };
        match classify(response, &attempt(), now(), &App::new("my-client-id")) {
            RefreshOutcome::Rotated(new, None) => format!("rotated {}", record(&new)),
            RefreshOutcome::Rotated(new, Some(error)) => format!("rotated {}, {}", record(&new), error.kind()),
            RefreshOutcome::RotatedWithFault(new, error) => format!("faulty {}, {}", record(&new), error.kind()),
            RefreshOutcome::Rejected(error) => format!("rejected {}", error.kind()),
            RefreshOutcome::NotSent(error) => format!("not sent {}", error.kind()),
            RefreshOutcome::Unknown(error) => format!("unknown {}", error.kind()),
            RefreshOutcome::Refused(error) => format!("refused {}", error.kind()),
        }
    }

    #[test]
    fn truth_table() {
        let responses = [
            (200, r#"{"access_token":"a2","refresh_token":"r2"}"#, "rotated a2 r2 email"),
            (200, r#"{"access_token":"a2"}"#, "rotated a2 r1 email"),
            (200, r#"{"access_token":"a2","refresh_token":null}"#, "rotated a2 r1 email"),
            (200, r#"{"access_token":"a2","refresh_token":""}"#, "rotated a2 r1 email"),
            (200, r#"{"access_token":"a2","refresh_token":5,"scope":"x"}"#, "rotated a2 r1 x open, invalid_response"),
            (200, r#"{"access_token":5,"refresh_token":"r2"}"#, "faulty a1 r2 email, invalid_response"),
            (200, r#"{"refresh_token":"r2"}"#, "faulty a1 r2 email, invalid_response"),
            (200, r#"{"error":"invalid_grant"}"#, "rejected sign_in_required"),
            (400, r#"{"error":"invalid_grant"}"#, "rejected sign_in_required"),
            (400, r#"{"error":"expired_token"}"#, "rejected sign_in_required"),
            (401, r#"{"ErrorCode":2010,"Message":"invalid_grant"}"#, "rejected sign_in_required"),
            (503, r#"{"error":"invalid_grant"}"#, "unknown sign_in_required"),
            (400, r#"{"error":"invalid_client"}"#, "refused configuration"),
            (400, r#"{"error":"unheard_of"}"#, "refused refused"),
            (400, r#"{"error":"temporarily_unavailable"}"#, "unknown unavailable"),
            (429, "slow down", "unknown unavailable"),
            (400, r#"{"ErrorCode":1000,"Message":"try again"}"#, "unknown unavailable"),
            (500, r#"{"error":"server_error"}"#, "unknown unavailable"),
            (502, "<html>", "unknown unavailable"),
            (302, "", "unknown invalid_response"),
            (200, "<html>", "unknown invalid_response"),
            (200, r#"{"access_token":"a2","refresh"#, "unknown invalid_response"),
            (200, "{}", "unknown invalid_response"),
        ];
        for (status, body, expected) in responses {
            assert_eq!(outcome(Ok(response(status, body))), expected, "{status} {body}");
        }
        assert_eq!(outcome(Err(Error::outcome_unknown("reset"))), "unknown outcome_unknown");
        assert_eq!(outcome(Err(Error::not_sent("refused"))), "not sent not_sent");
        // A transport's own settings, as a proxy's: nothing was sent.
        assert_eq!(outcome(Err(Error::configuration("no proxy"))), "refused configuration");
    }

    #[test]
    fn truth_table_of_revocations() {
        let outcome = |response| {
            let operation = RevokeRefreshToken::new("r1");
            match classify_revocation(response, &operation, &attempt(), &App::new("my-client-id")) {
                RevocationOutcome::Ended => "ended".to_owned(),
                RevocationOutcome::Unknown(error) => format!("unknown {}", error.kind()),
                RevocationOutcome::Refused(error) => format!("refused {}", error.kind()),
            }
        };
        let gone = r#"{"error":"invalid_request","error_description":"The access_token is invalid or expired."}"#;
        let responses = [
            (200, "", "ended"),
            (200, "{}", "ended"),
            (204, "", "ended"),
            (200, "OK", "ended"),
            (200, "<html>", "ended"),
            (200, r#"{"error":"invalid_grant"}"#, "ended"),
            (400, r#"{"error":"invalid_grant"}"#, "ended"),
            (400, gone, "ended"),
            (503, gone, "unknown configuration"),
            (400, r#"{"error":"invalid_request","error_description":"no client_id"}"#, "refused configuration"),
            (401, r#"{"error":"invalid_client"}"#, "refused configuration"),
            (429, "", "unknown unavailable"),
            (400, r#"{"ErrorCode":1000,"Message":"try again"}"#, "unknown unavailable"),
            (502, "<html>", "unknown unavailable"),
            (403, "<html>", "unknown invalid_response"),
        ];
        for (status, body, expected) in responses {
            assert_eq!(outcome(Ok(response(status, body))), expected, "{status} {body}");
        }
        assert_eq!(outcome(Err(Error::outcome_unknown("reset"))), "unknown outcome_unknown");
        assert_eq!(outcome(Err(Error::not_sent("refused"))), "unknown not_sent");
    }
}
