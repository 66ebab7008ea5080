//! Users, passwords, codes and tokens that LoginRadius refuses.

use std::time::Duration;

use loginradius_conformance::{Adapter, Settings, secrets};
use loginradius_emulator::seeded::{self, User};
use loginradius_emulator::{Emulator, Fault, Operation};
use loginradius_proto::jwt::{JwtByAccessToken, JwtLogin};
use loginradius_proto::oauth::{AccessTokenByCode, AccessTokenByPassword, RefreshAccessToken};
use loginradius_proto::{App, Endpoint, Error, Service};

use crate::case::{Case, Said, case};

/// Makes an app that the emulator knows.
pub(crate) fn app_at(emulator: &Emulator) -> App {
    App::new(seeded::CLIENT_ID)
        .with_client_secret(seeded::CLIENT_SECRET)
        .with_oauth_app(seeded::OAUTH_APP)
        .with_jwt_app(seeded::JWT_APP)
        .with_service(Service::classic_at(emulator.base_url()).unwrap())
}

pub(crate) fn client_of<A: Adapter>(emulator: &Emulator) -> A {
    A::new(app_at(emulator), &Settings::default()).unwrap()
}

fn refused<A: Adapter, E: Endpoint>(emulator: &Emulator, operation: &E) -> Error {
    match client_of::<A>(emulator).call(operation) {
        Ok(_) => panic!("{} succeeded", operation.name()),
        Err(error) => error,
    }
}

fn password<A: Adapter>(user: &str, password: &str) -> Error {
    refused::<A, _>(&Emulator::start().unwrap(), &AccessTokenByPassword::new(user, password))
}

fn jwt<A: Adapter>(user: &User, password: &str) -> Error {
    refused::<A, _>(&Emulator::start().unwrap(), &JwtLogin::email(user.email, password))
}

const CALLBACK: &str = "http://127.0.0.1:8400/callback";
/// RFC 7636, appendix B.
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// Tries to redeem a code of the emulator's.
fn code<A: Adapter>(
    challenge: Option<&str>,
    prepare: impl FnOnce(&Emulator, &A, &AccessTokenByCode),
    exchange: impl FnOnce(&str) -> AccessTokenByCode,
) -> Said {
    let emulator = Emulator::start().unwrap();
    let code = emulator.issue_code(seeded::CLIENT_ID, CALLBACK, challenge);
    let exchange = exchange(&code);
    prepare(&emulator, &client_of(&emulator), &exchange);
    Said::of(&refused::<A, _>(&emulator, &exchange)).without(&code)
}

pub(crate) fn cases() -> Vec<Case> {
    [users(), codes(), tokens()].into_iter().flatten().collect()
}

fn users() -> Vec<Case> {
    vec![
        case!("a wrong password", <A> { password::<A>(seeded::ADA.email, secrets::PASSWORD) }),
        case!("an unknown user", <A> { password::<A>("nobody@example.com", secrets::PASSWORD) }),
        case!("an email address that is not verified", <A> {
            password::<A>(seeded::UNVERIFIED.email, seeded::UNVERIFIED.password)
        }),
        case!("a blocked account", <A> { password::<A>(seeded::BLOCKED.email, seeded::BLOCKED.password) }),
        case!("a locked account", <A> { password::<A>(seeded::LOCKED.email, seeded::LOCKED.password) }),
        case!("an account with a second factor", <A> {
            password::<A>(seeded::SECOND_FACTOR.email, seeded::SECOND_FACTOR.password)
        }),
        case!("a password that is empty", <A> { password::<A>(seeded::ADA.email, "") }),
        case!("a wrong password, for a JWT", <A> { jwt::<A>(&seeded::ADA, secrets::PASSWORD) }),
        case!("a locked account, for a JWT", <A> { jwt::<A>(&seeded::LOCKED, seeded::LOCKED.password) }),
        case!("a wrong password that the server repeats", <A> {
            let emulator = Emulator::start().unwrap();
            let body = format!(r#"{{"ErrorCode":966,"Message":"The password {} is wrong"}}"#, secrets::PASSWORD);
            emulator.fault(Operation::Password, Fault::Respond { status: 403, headers: Vec::new(), body });
            refused::<A, _>(&emulator, &AccessTokenByPassword::new(seeded::ADA.email, secrets::PASSWORD))
        }),
    ]
}

fn codes() -> Vec<Case> {
    fn nothing<A>(_: &Emulator, _: &A, _: &AccessTokenByCode) {}
    vec![
        case!("a code that was redeemed before", <A> {
            let redeem = |_: &Emulator, client: &A, exchange: &AccessTokenByCode| drop(client.call(exchange).unwrap());
            code::<A>(None, redeem, |code| AccessTokenByCode::new(code, CALLBACK))
        }),
        case!("a code that has expired", <A> {
            let wait = |emulator: &Emulator, _: &A, _: &AccessTokenByCode| emulator.advance(Duration::from_secs(600));
            code::<A>(None, wait, |code| AccessTokenByCode::new(code, CALLBACK))
        }),
        case!("a code that is none", <A> {
            code::<A>(None, nothing, |_| AccessTokenByCode::new(secrets::CODE, CALLBACK))
        }),
        case!("a code, and another redirect URI than the login's", <A> {
            code::<A>(None, nothing, |code| AccessTokenByCode::new(code, "http://127.0.0.1:8400/other"))
        }),
        case!("a code, and another PKCE verifier", <A> {
            code::<A>(Some(CHALLENGE), nothing, |code| {
                AccessTokenByCode::new(code, CALLBACK).code_verifier(secrets::VERIFIER)
            })
        }),
        case!("a code of another client", <A> {
            let emulator = Emulator::start().unwrap();
            let code = emulator.issue_code(seeded::OTHER_CLIENT_ID, CALLBACK, None);
            Said::of(&refused::<A, _>(&emulator, &AccessTokenByCode::new(&*code, CALLBACK))).without(&code)
        }),
        case!("a server that does not know the PKCE method", <A> {
            let emulator = Emulator::start().unwrap();
            let body = r#"{"error":"invalid_request","error_description":"Transform algorithm not supported"}"#;
            let fault = Fault::Respond { status: 400, headers: Vec::new(), body: body.to_owned() };
            emulator.fault(Operation::CodeExchange, fault);
            let exchange = AccessTokenByCode::new(secrets::CODE, CALLBACK).code_verifier(secrets::VERIFIER);
            refused::<A, _>(&emulator, &exchange)
        }),
    ]
}

fn tokens() -> Vec<Case> {
    vec![
        case!("a refresh token that is unknown", <A> {
            refused::<A, _>(&Emulator::start().unwrap(), &RefreshAccessToken::new(secrets::REFRESH_TOKEN))
        }),
        case!("a refresh token that was used before", <A> {
            let emulator = Emulator::start().unwrap();
            let token = emulator.login(&seeded::ADA).refresh_token.unwrap();
            let operation = RefreshAccessToken::new(&*token);
            client_of::<A>(&emulator).call(&operation).unwrap();
            Said::of(&refused::<A, _>(&emulator, &operation)).without(&token)
        }),
        case!("a JWT for an access token that has expired", <A> {
            let emulator = Emulator::start().unwrap();
            let token = emulator.login(&seeded::ADA).access_token;
            emulator.expire_access_tokens();
            Said::of(&refused::<A, _>(&emulator, &JwtByAccessToken::new(&*token))).without(&token)
        }),
        case!("an app that takes JSON only, at a login with a password", <A> {
            let emulator = Emulator::builder().json_only(true).start().unwrap();
            refused::<A, _>(&emulator, &AccessTokenByPassword::new(seeded::ADA.email, seeded::ADA.password))
        }),
    ]
}
