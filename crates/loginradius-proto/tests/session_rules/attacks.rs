//! Unusual tokens, stores and responses, as an attacker or an accident may bring them.

use loginradius_proto::session::{SessionInput, SessionMemory, StoredRecord};
use loginradius_proto::{ErrorKind, TokenSet};

use loginradius_testing::*;

/// A server may respond to a new login with the previous access token, which is good again.
#[test]
fn a_login_that_yields_the_earlier_access_token_is_good_again() {
    for same_process in [true, false] {
        let mut scene = Scene::with(tokens("a1", "", Some(s(600))));
        scene.pass(HOUR);
        assert!(scene.refresh().error().to_string().contains("sign in again"));
        if !same_process {
            scene.memory = SessionMemory::default();
        }
        let mut again = tokens("a1", "", Some(s(600)));
        again.requested_at = Some(scene.now.monotonic);
        scene.start(again).ok();
        assert_eq!(scene.refresh().result.unwrap().unwrap().expose(), "a1");
    }
}

/// The same with a refresh token: what is new of the login is not dropped.
#[test]
fn what_a_login_says_of_its_tokens_is_stored() {
    let mut scene = Scene::signed_in(600);
    scene.pass(s(100));
    let mut again: TokenSet = tokens("a1", "r1", Some(s(600)));
    again.requested_at = Some(scene.now.monotonic);
    again.id_token = Some("id".into());
    again.scope = Some("email".into());
    scene.start(again).ok();
    let tokens = scene.memory.tokens(scene.now).unwrap();
    assert_eq!(tokens.id_token.as_ref().map(|token| token.expose()), Some("id"));
    assert_eq!(tokens.scope.as_deref(), Some("email"));
    assert_eq!(tokens.expires_in, Some(s(600)));
}

/// A column for the generation that does not have the record's, such as one that was restored alone.
#[test]
fn a_record_under_another_generation_is_not_stuck_for_good() {
    let mut scene = Scene::signed_in(600);
    let record = scene.stored.take().unwrap();
    scene.stored = Some(StoredRecord::new(record.generation() + 1, record.as_bytes().to_vec()));
    scene.memory = SessionMemory::default();
    let results = [scene.start(tokens("b1", "q1", None)).result, scene.forget().result];
    assert!(results.iter().any(Result::is_ok), "{results:?}");
}

/// A flipped bit in a record without a checksum, or a policy of another program.
#[test]
fn a_stored_backoff_ends() {
    let mut scene = Scene::expired();
    scene.set_backoff(scene.now.wall, scene.now.wall + HOUR * 24 * 365 * 30, 1);
    assert_eq!(scene.refresh().kind(), ErrorKind::Unavailable);
    scene.pass(HOUR * 24);
    scene.responds(200, &pair("a2", "r2"));
    let end = scene.refresh();
    assert!(end.result.is_ok(), "{:?}, retry after {:?}", end.error(), end.error().retry_after());
}

#[test]
fn an_input_prints_no_header_of_a_response() {
    let headers = [("set-cookie", "session=s3cret"), ("location", "https://example.com/?token=s3cret")];
    let input = SessionInput::Responded(Ok(response_with(200, "s3cret", &headers)));
    assert!(!format!("{input:?}").contains("s3cret"), "{input:?}");
}

/// A server's texts, beside a pair of which a part cannot be used.
#[test]
fn an_error_shows_none_of_the_tokens_of_its_response() {
    let mut shown = Vec::new();
    for (status, body) in [
        (200, r#"{"access_token":5,"refresh_token":"S3CRET-r2","error_description":"issued S3CRET-r2"}"#),
        (200, r#"{"access_token":"S3CRET-a2","refresh_token":5,"error":"x","error_description":"issued S3CRET-a2"}"#),
        (200, r#"{"access_token":"S3CRET-a2","refresh_token":"a\u0001b S3CRET","Message":"issued S3CRET-a2"}"#),
        (400, r#"{"error":"invalid_client","error_description":"S3CRET-r2 issued","refresh_token":"S3CRET-r2"}"#),
        (200, r#"{"error":"invalid_grant","error_description":"S3CRET-r2 issued","refresh_token":"S3CRET-r2"}"#),
        (503, r#"{"error":"x","error_description":"S3CRET-a2 issued","access_token":"S3CRET-a2"}"#),
        (400, r#"{"Message":"S3CRET-a2","Description":"S3CRET-a2","ErrorCode":1,"access_token":"S3CRET-a2"}"#),
    ] {
        let mut scene = Scene::expired();
        scene.policy.retry.attempts = 1;
        scene.responds(status, body);
        let end = scene.refresh();
        let record = scene.record();
        let result = end.result.map(drop);
        let printed = format!("{result:?} {:?} {:?} {record}", end.events, scene.memory);
        // The record holds the tokens by design: only its texts are searched.
        let in_record = record["hold"]["failure"].as_str().or(record["refused"].as_str()).unwrap_or_default();
        let printed = printed.replace(&record.to_string(), in_record);
        shown.extend(printed.contains("S3CRET").then(|| format!("{status} {body}: {in_record}")));
    }
    assert!(shown.is_empty(), "{shown:#?}");
}

/// Whatever `start` accepts is read again, with all that becomes of it.
#[test]
fn what_was_started_is_read_by_another_process() {
    let texts = [
        "",
        " ",
        "\0",
        "\u{1}",
        "\n",
        "\u{7f}",
        "\u{85}",
        "\u{fffd}",
        "\u{feff}",
        "\u{10ffff}",
        "\\",
        "\"",
        "\"}",
        r#"","checksum":"00000000000000000000000000000000"}"#,
        "null",
        "0",
        "é",
    ];
    let lifetimes = [None, Some(ms(0)), Some(ms(1)), Some(std::time::Duration::MAX), Some(s(u64::MAX / 1000))];
    let huge = "x".repeat(10_000);
    for (row, access) in texts.into_iter().chain([huge.as_str()]).enumerate() {
        for (column, refresh) in texts.into_iter().chain([huge.as_str()]).enumerate() {
            // Each lifetime meets each text.
            for at in [(row + column) % 5, (2 * row + column + 1) % 5] {
                let lifetime = lifetimes[at];
                let year_9999 = std::time::SystemTime::UNIX_EPOCH + s(253_402_300_799);
                let before = std::time::SystemTime::UNIX_EPOCH - s(1);
                let mut scene = Scene::empty();
                scene.now.wall = [scene.now.wall, year_9999, before][at % 3];
                let mut set = tokens(access, refresh, lifetime);
                set.refresh_token = Some(refresh.into());
                (set.scope, set.token_type) = (Some(refresh.into()), Some(access.into()));
                set.id_token = Some(refresh.into());
                if access.is_empty() {
                    assert_eq!(scene.start(set).kind(), ErrorKind::Configuration);
                    continue;
                }
                scene.start(set.clone()).ok();
                let what = format!("{:.20?} {:.20?} {lifetime:?}", access, refresh);
                scene.memory = SessionMemory::default();
                scene.start(set.clone()).ok();
                assert_eq!(scene.log(), "lock, load, unlock", "{what}");
                scene.memory.reject(&access.into());
                scene.responds(200, &pair("a2", "r2"));
                let usable = !refresh.is_empty() && !refresh.contains(char::is_control);
                let end = scene.refresh();
                if usable && at % 3 != 2 {
                    assert_eq!(end.token(), "a2", "{what}");
                    scene.memory = SessionMemory::default();
                    scene.start(set).ok();
                    assert_eq!(scene.record()["access_token"], "a2", "{what}");
                }
                scene.revokes(200, "");
                scene.revokes(200, "");
                scene.sign_out().ok();
                assert!(scene.stored.is_none(), "{what}");
            }
        }
    }
}
