//! What a test can set up and inspect: logins without requests, grace periods, servers without rotation or refresh
//! tokens, ended logins, replays.

use std::time::Duration;

use loginradius_emulator::{Emulator, Operation, TokenResponse, seeded};

use crate::http::{ID, Response, SECRET, assert_code, device_code, get, poll, post, refresh, tokens};

const GRACE: Duration = Duration::from_secs(30);
const SITE: &str = "/api/oauth/demo-oauth-app/token";

fn manual() -> Emulator {
    Emulator::builder().manual_clock().start().unwrap()
}

fn with_grace() -> Emulator {
    Emulator::builder().manual_clock().refresh_grace(GRACE).start().unwrap()
}

fn refresh_token(login: &TokenResponse) -> &str {
    login.refresh_token.as_deref().expect("a refresh token")
}

/// Requests a JWT for an access token.
fn jwt(emulator: &Emulator, access_token: &str) -> Response {
    let query = format!("apikey={}&jwtapp={}&access_token={access_token}", seeded::CLIENT_ID, seeded::JWT_APP);
    get(emulator, &format!("/sso/jwt/api/token?{query}"))
}

#[test]
fn in_its_grace_period_a_consumed_token_yields_new_pairs_and_revokes_none() {
    let emulator = with_grace();
    let first = tokens(&emulator);
    let consumed = first.text("refresh_token");
    let mut pairs = vec![refresh(&emulator, &consumed)];
    for wait in [0, 10_000, 19_999] {
        emulator.advance(Duration::from_millis(wait));
        assert!(emulator.is_live_refresh_token(&consumed));
        pairs.push(refresh(&emulator, &consumed));
    }
    assert_eq!((emulator.refreshes(), emulator.grace_refreshes(), emulator.replays()), (4, 3, 0));
    let login = &emulator.logins()[0];
    assert_eq!((login.refreshes, login.rotations, login.replays, login.live), (4, 1, 0, true));
    assert_eq!(login.refresh_token, pairs[3].text("refresh_token"));
    for (index, pair) in pairs.iter().enumerate() {
        assert_eq!(pair.status, 200);
        assert!(emulator.is_live_access_token(&pair.text("access_token")));
        assert!(emulator.is_live_refresh_token(&pair.text("refresh_token")));
        for other in &pairs[..index] {
            assert_ne!(pair.text("access_token"), other.text("access_token"));
            assert_ne!(pair.text("refresh_token"), other.text("refresh_token"));
        }
    }
    assert!(emulator.is_live_access_token(&first.text("access_token")));
    // Each can be refreshed.
    for pair in &pairs[..3] {
        assert_eq!(refresh(&emulator, &pair.text("refresh_token")).status, 200);
    }
    assert_eq!((emulator.grace_refreshes(), emulator.logins()[0].rotations), (3, 4));

    // The period ends however often the token was used, and the replay ends the login with all its pairs.
    emulator.advance(Duration::from_millis(1));
    assert!(!emulator.is_live_refresh_token(&consumed));
    assert_code(&refresh(&emulator, &consumed), 400, 2010);
    assert_eq!((emulator.refreshes(), emulator.grace_refreshes(), emulator.replays()), (7, 3, 1));
    assert_eq!(emulator.live_logins(), 0);
    for pair in &pairs {
        assert!(!emulator.is_live_access_token(&pair.text("access_token")));
        assert_code(&refresh(&emulator, &pair.text("refresh_token")), 400, 2010);
    }
}

#[test]
fn with_a_grace_period_all_concurrent_refreshes_succeed() {
    let emulator = with_grace();
    let login = emulator.login(&seeded::ADA);
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let refresh = || refresh(&emulator, refresh_token(&login)).status;
        let callers: Vec<_> = (0..8).map(|_| scope.spawn(refresh)).collect();
        callers.into_iter().map(|caller| caller.join().unwrap()).collect()
    });
    assert_eq!(statuses, [200; 8]);
    assert_eq!((emulator.refreshes(), emulator.grace_refreshes(), emulator.replays()), (8, 7, 0));
    assert_eq!(emulator.live_logins(), 1);
}

#[test]
fn a_grace_period_makes_no_invalid_token_valid() {
    // A token that has expired...
    let emulator = Emulator::builder()
        .manual_clock()
        .refresh_token_lifetime(Duration::from_secs(10))
        .refresh_grace(GRACE)
        .start()
        .unwrap();
    let consumed = emulator.login(&seeded::ADA);
    assert_eq!(refresh(&emulator, refresh_token(&consumed)).status, 200);
    emulator.advance(Duration::from_secs(10));
    assert!(!emulator.is_live_refresh_token(refresh_token(&consumed)));
    assert_code(&refresh(&emulator, refresh_token(&consumed)), 400, 2010);
    assert_eq!((emulator.grace_refreshes(), emulator.replays(), emulator.live_logins()), (0, 0, 1));

    // ...or another client's, or one of a login that was revoked with a consumed token in its grace period.
    let emulator = with_grace();
    let consumed = emulator.login(&seeded::ADA);
    assert_eq!(refresh(&emulator, refresh_token(&consumed)).status, 200);
    let token = ("refresh_token", refresh_token(&consumed));
    let other = [("client_id", seeded::OTHER_CLIENT_ID), ("client_secret", seeded::OTHER_CLIENT_SECRET)];
    let fields = [&other[..], &[("grant_type", "refresh_token"), token]].concat();
    assert_code(&post(&emulator, "/sso/oauth/access_token/refresh", &fields), 400, 2010);
    assert_eq!(post(&emulator, "/sso/oauth/refresh_token/revoke", &[ID, SECRET, token]).status, 200);
    assert_code(&refresh(&emulator, refresh_token(&consumed)), 400, 2010);
    assert_eq!((emulator.grace_refreshes(), emulator.replays(), emulator.live_logins()), (0, 0, 0));
}

#[test]
fn without_rotation_a_refresh_has_no_refresh_token_and_the_old_one_remains() {
    let emulator = Emulator::builder()
        .manual_clock()
        .access_token_lifetime(Duration::from_secs(60))
        .refresh_token_lifetime(Duration::from_secs(600))
        .start()
        .unwrap();
    let first = emulator.login(&seeded::ADA);
    let token = refresh_token(&first);
    emulator.rotate_refresh_tokens(false);
    let mut access_tokens = vec![first.access_token.clone()];
    for path in ["/sso/oauth/access_token/refresh", SITE, SITE] {
        // Every use extends the lifetime.
        emulator.advance(Duration::from_secs(599));
        let fields = [ID, SECRET, ("grant_type", "refresh_token"), ("refresh_token", token)];
        let response = post(&emulator, path, &fields);
        assert_eq!((response.status, &response.json()["expires_in"]), (200, &60.into()));
        assert_eq!(response.json().get("refresh_token"), None);
        let access_token = response.text("access_token");
        assert!(emulator.is_live_access_token(&access_token));
        assert!(!access_tokens.contains(&access_token));
        access_tokens.push(access_token);
        assert!(emulator.is_live_refresh_token(token));
    }
    let login = &emulator.logins()[0];
    assert_eq!((login.refreshes, login.rotations, login.live), (3, 0, true));
    assert_eq!((login.refresh_token.as_str(), &login.access_token), (token, &access_tokens[3]));
    // A new login still has a refresh token.
    assert!(emulator.login(&seeded::ADA).refresh_token.is_some());

    emulator.rotate_refresh_tokens(true);
    assert_ne!(refresh(&emulator, token).text("refresh_token"), token);
    assert_eq!(emulator.replays(), 0);
    // A consumed token stays consumed.
    emulator.rotate_refresh_tokens(false);
    assert_code(&refresh(&emulator, token), 400, 2010);
    assert_eq!(emulator.replays(), 1);
}

#[test]
fn logins_can_be_without_a_refresh_token() {
    let emulator = manual();
    let before = emulator.login(&seeded::GRACE);
    emulator.issue_refresh_tokens(false);
    let code = emulator.issue_code(seeded::CLIENT_ID, "https://www.example.com/", None);
    let device = device_code(&emulator);
    emulator.approve(&device.text("user_code")).unwrap();
    let exchange = [ID, SECRET, ("response_type", "token"), ("code", &code)];
    let exchange = [&exchange[..], &[("redirect_uri", "https://www.example.com/")]].concat();
    let password = [ID, ("grant_type", "password"), ("username", "ada"), ("password", seeded::ADA.password)];
    let responses = [
        tokens(&emulator),
        post(&emulator, SITE, &password),
        post(&emulator, "/sso/oauth/access_token", &exchange),
        poll(&emulator, &device.text("device_code")),
    ];
    for response in &responses {
        assert_eq!((response.status, response.json().get("refresh_token")), (200, None));
        assert!(emulator.is_live_access_token(&response.text("access_token")));
    }
    assert_eq!(emulator.login(&seeded::ADA).refresh_token, None);
    let sessions = emulator.live_logins_of(seeded::ADA.email);
    assert_eq!(sessions.len(), 5);
    assert!(sessions.iter().all(|login| login.refresh_token.is_empty()));
    // Empty means that there is none.
    assert!(!emulator.is_live_refresh_token(""));

    // A login that has one keeps it.
    let next = refresh(&emulator, refresh_token(&before)).text("refresh_token");
    assert!(emulator.is_live_refresh_token(&next));
    emulator.issue_refresh_tokens(true);
    assert!(emulator.login(&seeded::ADA).refresh_token.is_some());
}

#[test]
fn access_tokens_can_be_expired_at_once() {
    let emulator = manual();
    let (one, two) = (emulator.login(&seeded::ADA), emulator.login(&seeded::GRACE));
    let newer = refresh(&emulator, refresh_token(&two)).text("refresh_token");
    assert_eq!(jwt(&emulator, &one.access_token).status, 200);
    emulator.expire_access_tokens();
    for login in emulator.logins() {
        assert!(!emulator.is_live_access_token(&login.access_token));
        assert!(emulator.is_live_refresh_token(&login.refresh_token));
    }
    assert!(!emulator.is_live_access_token(&two.access_token));
    assert_code(&jwt(&emulator, &one.access_token), 403, 906);
    assert_eq!(emulator.live_logins(), 2);

    for token in [refresh_token(&one), &newer] {
        let next = refresh(&emulator, token).text("access_token");
        assert_eq!(jwt(&emulator, &next).status, 200);
    }
    assert!(!emulator.is_live_access_token(&one.access_token));
    assert!(emulator.is_live_access_token(&emulator.login(&seeded::ADA).access_token));
    assert_eq!((emulator.refreshes(), emulator.replays()), (3, 0));
}

#[test]
fn all_users_can_be_signed_out() {
    let emulator = with_grace();
    let consumed = emulator.login(&seeded::ADA);
    let newer = refresh(&emulator, refresh_token(&consumed));
    let other = emulator.login(&seeded::GRACE);
    emulator.end_all_logins();
    assert_eq!(emulator.live_logins(), 0);
    assert_eq!(emulator.live_logins_of(seeded::ADA.email), []);
    for token in [refresh_token(&consumed), &newer.text("refresh_token"), refresh_token(&other)] {
        assert!(!emulator.is_live_refresh_token(token));
        assert_code(&refresh(&emulator, token), 400, 2010);
    }
    for token in [&newer.text("access_token"), &other.access_token] {
        assert_code(&jwt(&emulator, token), 403, 905);
    }
    assert_eq!((emulator.grace_refreshes(), emulator.replays(), emulator.counters().revocations), (0, 0, 0));
    assert_eq!(emulator.logins().len(), 2);

    let again = emulator.login(&seeded::ADA);
    assert_eq!((refresh(&emulator, refresh_token(&again)).status, emulator.live_logins()), (200, 1));
}

#[test]
fn a_login_needs_no_request() {
    let emulator = Emulator::builder().access_token_lifetime(Duration::from_secs(60)).manual_clock().start().unwrap();
    // The standing does not matter.
    let tokens = emulator.login(&seeded::BLOCKED);
    assert_eq!(emulator.requests(), []);
    assert_eq!(tokens.expires_in, Duration::from_secs(60));
    assert_eq!(emulator.counters().logins, 1);
    let login = emulator.logins().remove(0);
    assert_eq!((&login.id, login.email.as_str()), (&tokens.login, seeded::BLOCKED.email));
    assert_eq!((login.client_id.as_str(), login.began_by), (seeded::CLIENT_ID, Operation::Password));
    assert_eq!((&login.access_token, login.refresh_token.as_str()), (&tokens.access_token, refresh_token(&tokens)));
    assert_eq!(jwt(&emulator, &tokens.access_token).status, 200);
    assert_eq!(refresh(&emulator, refresh_token(&tokens)).status, 200);
    emulator.advance(Duration::from_secs(60));
    assert!(!emulator.is_live_access_token(&tokens.access_token));
}

#[test]
fn of_ten_thousand_logins_none_is_forgotten() {
    let emulator = manual();
    let logins: Vec<_> = (0..10_000).map(|_| emulator.login(&seeded::ADA)).collect();
    assert_eq!(emulator.live_logins(), 10_000);
    assert!(logins.iter().all(|login| emulator.is_live_access_token(&login.access_token)));
    for login in [&logins[0], &logins[9_999]] {
        assert_eq!(refresh(&emulator, refresh_token(login)).status, 200);
    }
    // One more removes the first with its tokens.
    assert!(emulator.is_live_access_token(&logins[0].access_token));
    emulator.login(&seeded::ADA);
    assert_eq!(emulator.live_logins(), 10_000);
    assert!(!emulator.is_live_access_token(&logins[0].access_token));
    assert!(emulator.is_live_access_token(&logins[1].access_token));
}

#[test]
fn every_replay_can_be_traced() {
    let emulator = with_grace();
    let [one, two, three] = [(); 3].map(|()| emulator.login(&seeded::ADA));
    let started = emulator.now();
    for login in [&one, &two, &three] {
        assert_eq!(refresh(&emulator, refresh_token(login)).status, 200);
    }
    assert_eq!(emulator.replayed(), []);
    emulator.advance(GRACE);
    for login in [&two, &one, &two] {
        emulator.advance(Duration::from_secs(1));
        assert_code(&refresh(&emulator, refresh_token(login)), 400, 2010);
    }
    let replayed = emulator.replayed();
    let expected = [(&two, 31), (&one, 32), (&two, 33)];
    assert_eq!(replayed.len(), 3);
    for (replay, (login, seconds)) in replayed.iter().zip(expected) {
        assert_eq!((replay.refresh_token.as_str(), &replay.login), (refresh_token(login), &login.login));
        assert_eq!((replay.consumed_at, replay.at), (started, started + Duration::from_secs(seconds)));
    }
    let counts: Vec<_> = emulator.logins().iter().map(|login| (login.replays, login.live)).collect();
    assert_eq!(counts, [(1, false), (2, false), (0, true)]);
    assert_eq!((emulator.replays(), emulator.refreshes()), (3, 3));
}

#[test]
fn no_token_is_in_what_debug_prints() {
    let emulator = manual();
    let login = emulator.login(&seeded::ADA);
    refresh(&emulator, refresh_token(&login));
    refresh(&emulator, refresh_token(&login));
    let (logins, replayed) = (emulator.logins(), emulator.replayed());
    let printed = format!("{login:?} {logins:?} {replayed:?}");
    assert_eq!((logins.len(), replayed.len()), (1, 1));
    let newest = [&logins[0].access_token, &logins[0].refresh_token].map(String::as_str);
    for token in [&newest[..], &[login.access_token.as_str(), refresh_token(&login)]].concat() {
        assert!(!printed.contains(token), "{printed}");
    }
    for said in ["TokenResponse", "Login", "Replay", seeded::ADA.email] {
        assert!(printed.contains(said), "{printed}");
    }
}
