//! The stored form of a session, and what programs of two versions make of each other's records.

use loginradius_proto::session::{SessionMemory, SessionStatus, StoredRecord};
use loginradius_proto::{ErrorKind, IdToken, Retry, TokenSet};
use loginradius_testing::*;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// Records as programs wrote them that knew neither checksums nor replaced logins.
const OLDER: [(&str, &str); 7] = [
    (
        "login",
        r#"{"version":1,"generation":6529064058449557,"client_id":"my-client-id","sign_in":4471935826587907,"access_token":"a1","refresh_token":"r1","token_type":"access_token","scope":"openid email","id_token":"e30.e30.c2ln","obtained_at_unix_ms":1767268800000,"lifetime_ms":600000}"#,
    ),
    (
        "access token alone",
        r#"{"version":1,"generation":6529064058449557,"client_id":"my-client-id","sign_in":4471935826587907,"access_token":"a1","obtained_at_unix_ms":1767268800000}"#,
    ),
    (
        "intent",
        r#"{"version":1,"generation":6529064058449558,"client_id":"my-client-id","sign_in":4471935826587907,"access_token":"a1","refresh_token":"r1","token_type":"access_token","scope":"openid email","id_token":"e30.e30.c2ln","obtained_at_unix_ms":1767268800000,"lifetime_ms":600000,"intent":{"at_unix_ms":1767272400000,"attempt":1}}"#,
    ),
    (
        "backoff",
        r#"{"version":1,"generation":6529064058449559,"client_id":"my-client-id","sign_in":4471935826587907,"access_token":"a1","refresh_token":"r1","token_type":"access_token","scope":"openid email","id_token":"e30.e30.c2ln","obtained_at_unix_ms":1767268800000,"lifetime_ms":600000,"intent":{"at_unix_ms":1767272400000,"attempt":1},"hold":{"since_unix_ms":1767272400000,"not_before_unix_ms":1767272401000,"failures":1,"failure":"Refresh Access Token: HTTP 503: LoginRadius or a proxy in front of it is out of order; try again later"}}"#,
    ),
    (
        "rotation",
        r#"{"version":1,"generation":6529064058449559,"client_id":"my-client-id","sign_in":4471935826587907,"access_token":"a2","refresh_token":"r2","token_type":"access_token","scope":"openid email","id_token":"e30.e30.c2ln","obtained_at_unix_ms":1767272400000,"lifetime_ms":600000}"#,
    ),
    (
        "rejection",
        r#"{"version":1,"generation":6529064058449559,"client_id":"my-client-id","sign_in":4471935826587907,"access_token":"a1","refresh_token":"r1","token_type":"access_token","scope":"openid email","id_token":"e30.e30.c2ln","obtained_at_unix_ms":1767268800000,"lifetime_ms":600000,"refused":"Refresh Access Token: LoginRadius answered HTTP 400, invalid_grant; sign in again"}"#,
    ),
    (
        "sign-out",
        r#"{"version":1,"generation":6529064058449558,"client_id":"my-client-id","sign_in":4471935826587907,"access_token":"a1","refresh_token":"r1","token_type":"access_token","scope":"openid email","id_token":"e30.e30.c2ln","obtained_at_unix_ms":1767268800000,"lifetime_ms":600000,"signing_out":true}"#,
    ),
];

fn older(name: &str) -> StoredRecord {
    let (_, json) = OLDER.iter().find(|(known, _)| *known == name).expect("a record of that name");
    StoredRecord::from_bytes(*json)
}

/// Makes the tokens of those records' login.
fn login() -> TokenSet {
    let mut tokens = tokens("a1", "r1", Some(s(600)));
    tokens.scope = Some("openid email".into());
    tokens.token_type = Some("access_token".into());
    tokens.id_token = Some(IdToken::new("e30.e30.c2ln"));
    tokens
}

/// Makes a process do what led to the record of that name.
fn newer(name: &str) -> Scene {
    let mut scene = Scene::empty();
    scene.policy.retry = Retry::OFF;
    scene.start(if name == "access token alone" { TokenSet::new("a1") } else { login() }).ok();
    if !matches!(name, "login" | "access token alone" | "sign-out") {
        scene.pass(HOUR);
    }
    match name {
        "intent" => {
            // The process dies after the save.
            let flow = &mut scene.refresh_flow();
            let _ = scene.run_to_request(flow);
        }
        "backoff" => {
            scene.responds(503, PAGE);
            let _ = scene.refresh();
        }
        "rotation" => {
            scene.responds(200, r#"{"access_token":"a2","expires_in":600,"refresh_token":"r2"}"#);
            let _ = scene.refresh();
        }
        "rejection" => {
            scene.responds(400, REJECTED);
            let _ = scene.refresh();
        }
        "sign-out" => {
            scene.revokes(503, PAGE);
            let _ = scene.sign_out();
        }
        _ => {}
    }
    scene
}

/// Makes records of this program that have every member between them.
fn full() -> Vec<StoredRecord> {
    let failed = || {
        let mut scene = Scene::empty();
        scene.start(tokens("z1", "y1", Some(s(600)))).ok();
        scene.start(login()).ok();
        scene.pass(HOUR);
        scene.policy.retry = Retry::OFF;
        scene.lost();
        let _ = scene.refresh();
        scene
    };
    let backoff = failed();
    let mut rejected = failed();
    rejected.pass(HOUR);
    rejected.responds(400, REJECTED);
    let _ = rejected.refresh();
    let mut signing_out = failed();
    signing_out.revokes(503, PAGE);
    let _ = signing_out.sign_out();
    let records = [backoff, rejected, signing_out];
    for member in [
        "token_type",
        "scope",
        "id_token",
        "lifetime_ms",
        "intent",
        "hold",
        "replaced",
        "signing_out",
        "refused",
        "checksum",
    ] {
        assert!(records.iter().any(|scene| !scene.record()[member].is_null()), "{member}");
    }
    records.into_iter().map(|scene| scene.stored.expect("a record")).collect()
}

fn text(record: &StoredRecord) -> &str {
    std::str::from_utf8(record.as_bytes()).expect("text")
}

/// Refreshes a session with that record, which has to stay as it is.
#[track_caller]
fn read(record: &StoredRecord) -> End {
    let mut scene = Scene::empty();
    scene.stored = Some(record.clone());
    let flow = scene.refresh_flow();
    let end = scene.drive(flow, |_, _, _| {});
    assert_eq!(scene.log(), "lock, load, unlock");
    assert_eq!(scene.stored.as_ref(), Some(record));
    end
}

/// Returns whether a record is refused as damaged.
#[track_caller]
fn is_damaged(record: &StoredRecord) -> bool {
    read(record).result.is_err_and(|error| error.kind() == ErrorKind::RecordDamaged)
}

/// Expects that a record is a newer program's: no job uses it, and none writes over it.
#[track_caller]
fn assert_left_alone(record: &StoredRecord) {
    for (name, job) in Scene::JOBS {
        for mut scene in [Scene::empty(), Scene::expired(), Scene::unsaved()] {
            scene.stored = Some(record.clone());
            let end = job(&mut scene);
            assert!(!scene.log().contains("pair q1") && !scene.log().contains("clear"), "{name}: {}", scene.log());
            assert_eq!(scene.stored.as_ref(), Some(record), "{name}");
            assert_eq!((scene.sends(), scene.copies.len()), (0, 0), "{name}");
            // A pair that could not be saved is still returned.
            if end.result.is_err() {
                assert_eq!(end.kind(), ErrorKind::Configuration, "{name}");
                assert!(end.error().to_string().contains("newer program"), "{}", end.error());
            } else {
                assert_eq!((name, end.token().as_str()), ("refresh", "a2"));
            }
        }
    }
}

/// Adds members to a JSON object, at its end.
fn with(json: &str, members: &str) -> String {
    format!("{},{members}}}", json.strip_suffix('}').expect("an object"))
}

/// Takes the checksum off.
fn unsealed(record: &StoredRecord) -> String {
    let (content, _) = text(record).split_once(r#","checksum":""#).expect("a checksum");
    format!("{content}}}")
}

/// Adds a checksum, computed independently of the program.
fn sealed(json: &str) -> String {
    let content = json.strip_suffix('}').expect("an object");
    let hash = Sha256::digest(content);
    let checksum: String = hash[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    with(json, &format!(r#""checksum":"{checksum}""#))
}

// What a record says without an app

#[test]
fn a_summary_says_what_the_record_says() {
    let at = |seconds| std::time::SystemTime::UNIX_EPOCH + s(seconds);
    let (login, later) = (1_767_268_800, 1_767_272_400);
    let rows = [
        ("login", "Active", login, true, None),
        ("access token alone", "Active", login, false, None),
        ("intent", "Active", login, true, Some(later)),
        ("backoff", "Active", login, true, Some(later)),
        ("rotation", "Active", later, true, None),
        ("rejection", "Rejected", login, true, None),
        ("sign-out", "SigningOut", login, true, None),
    ];
    for (name, status, obtained, has_refresh_token, intent) in rows {
        for record in [older(name), newer(name).stored.unwrap()] {
            let summary = record.summary().unwrap();
            let printed = format!("{summary:?}");
            assert!(printed.starts_with(&format!("RecordSummary {{ status: {status}")), "{name}: {printed}");
            assert_eq!((summary.obtained_at, summary.has_refresh_token), (at(obtained), has_refresh_token), "{name}");
            assert_eq!(summary.intent_at, intent.map(at), "{name}");
            let expires = (name != "access token alone").then(|| at(obtained + 600));
            assert_eq!(summary.expires_at, expires, "{name}");
            if let SessionStatus::Rejected(why) = summary.status {
                assert!(why.contains("invalid_grant"), "{why}");
            }
            let secrets = ["a1", "a2", "r1", "r2", "e30", "c2ln"];
            assert!(secrets.iter().all(|secret| !printed.contains(secret)), "{name}: {printed}");
        }
    }
}

#[test]
fn a_summary_tells_what_is_damaged_from_what_a_newer_program_wrote() {
    for record in full() {
        assert_eq!(
            record.summary().unwrap().obtained_at,
            StoredRecord::new(7, record.as_bytes()).summary().unwrap().obtained_at
        );
        let flipped: Vec<u8> =
            record.as_bytes().iter().enumerate().map(|(at, byte)| byte ^ u8::from(at == 20)).collect();
        let damaged = StoredRecord::from_bytes(flipped).located_at("`a.json`").summary().unwrap_err();
        assert_eq!(damaged.kind(), ErrorKind::RecordDamaged);
        assert!(damaged.to_string().contains("`a.json`"), "{damaged}");
        let newer = StoredRecord::from_bytes(sealed(&with(&unsealed(&record), r#""color":"blue""#)));
        assert_eq!(newer.summary().unwrap_err().kind(), ErrorKind::Configuration);
    }
    let another_client = OLDER[0].1.replace("my-client-id", "another");
    assert_eq!(StoredRecord::from_bytes(another_client).summary().unwrap().status, SessionStatus::Active);
}

#[test]
fn a_record_is_dead_if_it_was_rejected_or_is_older_than_too_long() {
    let login = std::time::SystemTime::UNIX_EPOCH + s(1_767_268_800);
    for name in ["login", "access token alone", "intent", "backoff", "sign-out"] {
        let summary = older(name).summary().unwrap();
        assert!(!summary.is_dead(HOUR, login + HOUR), "{name}");
        assert!(summary.is_dead(HOUR, login + HOUR + ms(1)), "{name}");
        assert!(!summary.is_dead(HOUR, login - HOUR - HOUR), "{name}: a record from the future is not old");
        assert!(!summary.is_dead(std::time::Duration::ZERO, login - ms(1)), "{name}");
        assert!(!summary.is_dead(std::time::Duration::MAX, login + HOUR), "{name}");
    }
    for now in [login - HOUR, login, login + HOUR] {
        assert!(older("rejection").summary().unwrap().is_dead(std::time::Duration::MAX, now));
    }
}

// Bits that were lost

#[test]
fn every_flipped_bit_is_damage() {
    let mut accepted = Vec::new();
    for record in full() {
        for at in 0..record.as_bytes().len() {
            for bit in 0..8 {
                let mut bytes = record.as_bytes().to_vec();
                bytes[at] ^= 1 << bit;
                let flipped = StoredRecord::from_bytes(bytes.clone());
                assert_ne!(flipped.generation(), record.generation(), "a save that expects it would replace it");
                let in_a_column = StoredRecord::new(record.generation(), bytes);
                if !is_damaged(&flipped) || !is_damaged(&in_a_column) {
                    accepted.push((at, bit));
                }
            }
        }
    }
    assert_eq!(accepted, []);
}

#[test]
fn every_truncation_is_damage() {
    for record in full() {
        for length in 0..record.as_bytes().len() {
            let kept = &record.as_bytes()[..length];
            assert!(is_damaged(&StoredRecord::from_bytes(kept)), "{length} bytes");
            // A file system may keep the length, and lose the end.
            let mut zeros = kept.to_vec();
            zeros.resize(record.as_bytes().len(), 0);
            assert!(is_damaged(&StoredRecord::from_bytes(zeros)), "{length} bytes and zeros");
        }
    }
}

#[test]
fn the_checksum_of_another_record_is_damage() {
    let records = full();
    for record in &records {
        for other in records.iter().filter(|other| *other != record) {
            let (content, _) = text(record).split_once(r#","checksum":"#).unwrap();
            let (_, checksum) = text(other).split_once(r#","checksum":"#).unwrap();
            assert!(is_damaged(&StoredRecord::from_bytes(format!(r#"{content},"checksum":{checksum}"#))));
        }
    }
}

#[test]
fn a_checksum_elsewhere_or_in_another_spelling_is_damage() {
    let record = &full()[0];
    let (content, checksum) = text(record).split_once(r#","checksum":"#).unwrap();
    let checksum = checksum.strip_suffix('}').unwrap();
    let members = content.strip_prefix('{').unwrap();
    for changed in [
        // Not the last member, though JSON has no order.
        format!(r#"{{"checksum":{checksum},{members}}}"#),
        format!(r#"{content},"checksum":{checksum},"checksum":{checksum}}}"#),
        format!(r#"{content}, "checksum": {checksum}}}"#),
        format!(r#"{content},"checksum":{}}}"#, checksum.to_uppercase()),
        format!(r#"{content},"checksum":""}}"#),
    ] {
        assert!(is_damaged(&StoredRecord::from_bytes(changed.clone())), "{}", &changed[content.len() - 1..]);
    }
}

#[test]
fn what_is_no_record_is_damaged() {
    let record = &full()[0];
    let json = text(record);
    let twice = format!("{json}{json}");
    let mark = format!("\u{feff}{json}");
    for bytes in ["", "\n", "null", "[]", "{}", "\"a1\"", r#"{"version":1}"#, r#"{"access_token":"a1"}"#, &twice, &mark]
    {
        assert!(is_damaged(&StoredRecord::from_bytes(bytes)), "{bytes}");
    }
    assert!(is_damaged(&StoredRecord::from_bytes(*b"\xff\xfe{}")));
}

#[test]
fn a_trailing_newline_is_no_damage() {
    let intact = newer("login").stored.unwrap();
    for record in [intact, older("login")] {
        for end in ["\n", "\r\n", " \n\n"] {
            let with_end = StoredRecord::from_bytes(format!("{}{end}", text(&record)));
            assert_eq!(read(&with_end).token(), "a1");
            assert_eq!(with_end.generation(), record.generation());
        }
    }
}

#[test]
fn a_checksum_is_half_a_sha_256_of_all_before_it() {
    for record in full() {
        assert_eq!(text(&record), sealed(&unsealed(&record)));
    }
}

// Programs of two versions

#[test]
fn a_record_of_an_older_program_is_read() {
    let mut scene = Scene::empty();
    scene.stored = Some(older("login"));
    assert_eq!(scene.refresh().token(), "a1");
    let tokens = scene.memory.tokens(scene.now).unwrap();
    assert_eq!(tokens.refresh_token.unwrap().expose(), "r1");
    assert_eq!(tokens.id_token.unwrap().expose(), "e30.e30.c2ln");
    assert_eq!((tokens.token_type.as_deref(), tokens.scope.as_deref()), (Some("access_token"), Some("openid email")));
    assert_eq!(tokens.expires_in, Some(s(600)));

    let mut scene = Scene::empty();
    scene.stored = Some(older("access token alone"));
    assert_eq!(scene.refresh().token(), "a1");
    assert_eq!(scene.memory.tokens(scene.now).unwrap().expires_in, None);

    let after_an_hour = |name: &str| {
        let mut scene = Scene::empty();
        scene.pass(HOUR);
        scene.stored = Some(older(name));
        scene
    };
    let mut scene = after_an_hour("intent");
    scene.responds(200, &pair("a2", "r2"));
    assert_eq!(scene.refresh().token(), "a2");
    assert_eq!(scene.log(), "lock, load, intent 2, send r1, pair r2, unlock");

    let mut scene = after_an_hour("backoff");
    let end = scene.refresh();
    assert_eq!(scene.log(), "lock, load, unlock");
    assert!(end.error().to_string().contains("HTTP 503"), "{}", end.error());
    assert_eq!(end.error().retry_after(), Some(s(1)));

    let mut scene = after_an_hour("rotation");
    assert_eq!(scene.refresh().token(), "a2");

    let mut scene = after_an_hour("rejection");
    let end = scene.refresh();
    assert_eq!((end.kind(), scene.sends()), (ErrorKind::SignInRequired, 0));
    assert!(end.error().to_string().contains("invalid_grant"), "{}", end.error());

    let mut scene = after_an_hour("sign-out");
    assert_eq!(scene.refresh().kind(), ErrorKind::SignInRequired);
    scene.revokes(200, "");
    scene.sign_out().ok();
    assert_eq!(scene.log(), "lock, load, revoke r1, clear, unlock");
}

#[test]
fn the_generation_of_an_older_programs_record_is_the_one_that_it_has() {
    for (name, json) in OLDER {
        let generation = serde_json::from_str::<Value>(json).unwrap()["generation"].as_u64();
        assert_eq!(Some(older(name).generation()), generation, "{name}");
    }
}

#[test]
fn an_older_programs_record_is_replaced_by_one_with_a_checksum() {
    let mut scene = Scene::empty();
    scene.pass(HOUR);
    scene.stored = Some(older("login"));
    scene.responds(200, &pair("a2", "r2"));
    assert_eq!(scene.refresh().token(), "a2");
    let record = scene.stored.unwrap();
    assert_eq!(text(&record), sealed(&unsealed(&record)));
    assert_eq!(record.generation(), older("login").generation() + 2);
}

/// An older program ignores every member that it does not know.
#[test]
fn an_older_program_finds_all_that_it_knows_in_a_record_of_this_one() {
    for (name, json) in OLDER {
        let mut expected: Value = serde_json::from_str(json).unwrap();
        let mut record = newer(name).record();
        record.as_object_mut().unwrap().remove("checksum").expect("a checksum");
        for record in [&mut expected, &mut record] {
            for number in ["generation", "sign_in"] {
                assert!(record[number].as_u64().is_some_and(|number| number < 1 << 53));
                record[number] = Value::Null;
            }
            // Programs only print these texts.
            for text in ["/hold/failure", "/refused"] {
                if let Some(text) = record.pointer_mut(text) {
                    assert!(text.is_string());
                    *text = Value::Null;
                }
            }
        }
        assert_eq!(record, expected, "{name}");
    }
}

#[test]
fn what_an_older_program_made_of_a_record_of_this_one_is_read() {
    let mut scene = Scene::expired();
    scene.start(tokens("b1", "q1", Some(s(600)))).ok();
    // It refreshed, and dropped the members that it does not know.
    scene.edit(|record| {
        record["generation"] = (record["generation"].as_u64().unwrap() + 2).into();
        record["access_token"] = "b2".into();
        record["refresh_token"] = "q2".into();
        record.as_object_mut().unwrap().remove("replaced");
    });
    let end = scene.refresh();
    assert_eq!((end.token().as_str(), end.events().as_str()), ("b2", "adopted"));
    // A login that is started again is recognized nevertheless.
    scene.memory = SessionMemory::default();
    scene.start(tokens("b1", "q1", Some(s(600)))).ok();
    assert_eq!(scene.record()["refresh_token"], "q2");
    // One that was replaced is not: the older program does not keep that.
    scene.start(tokens("a1", "r1", Some(s(600)))).ok();
    assert_eq!(scene.record()["refresh_token"], "r1");
}

#[test]
fn an_unknown_member_without_a_checksum_is_damage() {
    let intact = unsealed(&newer("login").stored.unwrap());
    assert_eq!(read(&StoredRecord::from_bytes(intact.clone())).token(), "a1");
    for json in [intact.as_str(), OLDER[0].1] {
        for member in [r#""color":"blue""#, r#""Scope":"email""#, r#""scope ":"email""#, r#""":0"#] {
            assert!(is_damaged(&StoredRecord::from_bytes(with(json, member))), "{member}");
        }
    }
    // The same for a member within a member.
    let (_, json) = OLDER[3];
    for (before, after) in
        [(r#""attempt":1"#, r#""attempt":1,"color":"blue""#), (r#""failures":1"#, r#""failures":1,"color":"blue""#)]
    {
        let json = json.replace(before, after);
        assert!(json.contains("blue") && is_damaged(&StoredRecord::from_bytes(json)), "{after}");
    }
}

#[test]
fn another_version_without_a_checksum_is_damage() {
    for version in ["2", "0", "257", "3", "-1", "\"1\"", "1.0", "null"] {
        let json = OLDER[0].1.replace(r#""version":1"#, &format!(r#""version":{version}"#));
        assert!(is_damaged(&StoredRecord::from_bytes(json)), "{version}");
    }
}

#[test]
fn an_unknown_member_under_a_checksum_is_a_newer_programs() {
    let record = newer("login").stored.unwrap();
    let newer = StoredRecord::from_bytes(sealed(&with(&unsealed(&record), r#""color":"blue""#)));
    assert_eq!(newer.generation(), record.generation());
    assert_left_alone(&newer);
    assert_left_alone(&StoredRecord::from_bytes(sealed(r#"{"tokens":[]}"#)));
}

#[test]
fn another_version_under_a_checksum_is_a_newer_programs() {
    let record = newer("login").stored.unwrap();
    let json = unsealed(&record).replace(r#""version":1"#, r#""version":2"#);
    let newer = StoredRecord::from_bytes(sealed(&json));
    assert_eq!(newer.generation(), record.generation());
    assert_left_alone(&newer);
    // Whatever else the other version has.
    assert_left_alone(&StoredRecord::from_bytes(sealed(r#"{"version":2,"generation":7,"access_token":["a1"]}"#)));
    assert_left_alone(&StoredRecord::from_bytes(format!("{}\n", sealed(&json))));
}

#[test]
fn a_known_member_with_an_unknown_value_under_a_checksum_is_a_newer_programs() {
    let json = unsealed(&newer("backoff").stored.unwrap());
    for (before, after) in [
        (r#""access_token":"a1""#, r#""access_token":{"sealed":"a1"}"#),
        (r#""failures":1"#, r#""failures":"one""#),
        (r#""attempt":1"#, r#""attempt":1,"color":"blue""#),
    ] {
        assert!(json.contains(before), "{before}");
        assert_left_alone(&StoredRecord::from_bytes(sealed(&json.replace(before, after))));
    }
}

// Generations

#[test]
fn the_generation_of_an_intact_record_is_its_own() {
    for record in full() {
        let again = StoredRecord::from_bytes(record.as_bytes());
        assert_eq!(again.generation(), record.generation());
        assert_eq!(again, record);
        assert_eq!(StoredRecord::from_bytes(unsealed(&record)).generation(), record.generation());
    }
}

#[test]
fn the_generation_of_a_newer_programs_record_is_the_one_that_it_has_or_a_digest() {
    let generation = |json: &str| StoredRecord::from_bytes(sealed(json)).generation();
    assert_eq!(generation(r#"{"version":2,"generation":7}"#), 7);
    assert_eq!(generation(r#"{"version":2,"generation":9007199254740991}"#), StoredRecord::MAX_GENERATION);
    let digests: std::collections::BTreeSet<_> = [
        r#"{"version":2}"#,
        r#"{"version":3}"#,
        r#"{"version":2,"generation":9007199254740992}"#,
        r#"{"version":2,"generation":18446744073709551615}"#,
        r#"{"version":2,"generation":null}"#,
        r#"{"version":2,"generation":-5}"#,
        r#"{"version":2,"generation":"seven"}"#,
        r#"{"version":2,"generation":{"number":7}}"#,
    ]
    .into_iter()
    .map(generation)
    .collect();
    assert_eq!(digests.len(), 8);
    assert!(digests.iter().all(|digest| *digest <= StoredRecord::MAX_GENERATION));
}

#[test]
fn the_generation_of_damaged_bytes_is_a_digest_of_them() {
    let record = &full()[0];
    let mut generations = std::collections::BTreeSet::from([record.generation()]);
    for length in 0..record.as_bytes().len() {
        let damaged = StoredRecord::from_bytes(&record.as_bytes()[..length]);
        assert_eq!(damaged.generation(), StoredRecord::from_bytes(&record.as_bytes()[..length]).generation());
        assert!(damaged.generation() <= StoredRecord::MAX_GENERATION);
        assert!(generations.insert(damaged.generation()), "{length} bytes have the generation of others");
    }
}

#[test]
fn a_generation_beyond_the_largest_is_damage() {
    let json = OLDER[0].1.replace("6529064058449557", "9007199254740992");
    assert!(is_damaged(&StoredRecord::from_bytes(json)));
    let json = OLDER[0].1.replace("6529064058449557", "9007199254740991");
    assert_eq!(read(&StoredRecord::from_bytes(json)).token(), "a1");
}

#[test]
fn an_error_names_the_place_of_the_record() {
    for record in [StoredRecord::from_bytes(*b"{"), StoredRecord::from_bytes(sealed(r#"{"version":2}"#))] {
        let end = read(&record.located_at("the file `/home/ada/session.json`"));
        assert!(end.error().to_string().contains("in the file `/home/ada/session.json`"), "{}", end.error());
    }
}

#[test]
fn a_lifetime_of_zero_is_over() {
    let json = OLDER[0].1;
    let lifetime = json.find("\"lifetime_ms\":").expect("a lifetime") + "\"lifetime_ms\":".len();
    let end = lifetime + json[lifetime..].find(|letter: char| !letter.is_ascii_digit()).expect("an end");
    let json = format!("{}0{}", &json[..lifetime], &json[end..]);
    let mut scene = Scene::empty();
    scene.stored = Some(StoredRecord::from_bytes(json));
    scene.responds(200, &pair("a2", "r2"));
    assert_eq!(scene.refresh().token(), "a2");
}
