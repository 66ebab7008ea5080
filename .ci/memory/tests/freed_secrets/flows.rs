//! The flows that are watched.

use std::time::SystemTime;

use loginradius_async::store::{FileStore, MemoryStore};
use loginradius_proto::browser::{
    AuthorizationRequest, BrowserRequest, Callback, JwtRedirect, Pending, PendingJwt, PendingLogin, RandomBytes,
};
use loginradius_proto::jwt::{JwtByAccessToken, JwtLogin};
use loginradius_proto::oauth::{
    AccessTokenByCode, AccessTokenByPassword, RefreshAccessToken, RequestDeviceCode, RequestTokens, RevokeRefreshToken,
};
use loginradius_proto::{
    AccessToken, App, Body, BodyFormat, ClientAuthentication, Dialect, Endpoint, Error, RequestBuilder, ResponseReader,
    Service, TokenSet, http,
};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::callers::{Adapter, Caller, Core};
use crate::proxy;
use crate::secrets::{
    ACCESS_TOKEN, CLIENT_SECRET, CODE, CODE_VERIFIER, DEVICE_CODE, ID_TOKEN, JWT, OWN, PASSWORD, RANDOM, REFRESH_TOKEN,
};
use crate::server::{NAME_BEHIND_PROXY, Server};

pub type Flow = (&'static str, fn(&Server));

/// What the server does with a request, by the first segment of the path.
const RESPONSES: [&str; 7] = ["plain", "escaped", "long", "gzip", "latin1", "refused", "proxy"];

fn app(server: &Server, how: &str) -> App {
    App::new("my-client-id")
        .with_client_secret(CLIENT_SECRET)
        .with_oauth_app("my-app")
        .with_jwt_app("my-jwt-app")
        .with_service(Service::classic_at(&format!("{}/{how}", server.http)).unwrap())
}

fn with_dialect(app: App, dialect: Dialect) -> App {
    let service = app.service().clone().with_dialect(dialect).unwrap();
    app.with_service(service)
}

fn tokens() -> TokenSet {
    let mut tokens = TokenSet::new(ACCESS_TOKEN);
    tokens.refresh_token = Some(REFRESH_TOKEN.into());
    tokens.id_token = Some(ID_TOKEN.into());
    tokens
}

/// Calls an operation once for each kind of response. Only `refused` and `proxy` are errors.
fn call<C: Caller, E: Endpoint>(server: &Server, dialect: Dialect, operation: impl Fn() -> E) {
    for how in RESPONSES {
        let client = C::new(with_dialect(app(server, how), dialect));
        let is_error =
            client.call(&operation()).map_err(|error| drop((error.to_string(), format!("{error:?}")))).is_err();
        assert!(is_error || !matches!(how, "refused" | "proxy"), "{how}");
        assert!(!is_error || !matches!(how, "plain" | "gzip"), "{how}");
    }
}

/// Returns the flows that every caller can run.
pub fn of_caller<C: Caller>() -> Vec<Flow> {
    vec![
        ("device login", |server| {
            C::new(app(server, "plain")).device_login().unwrap();
        }),
        ("device code", |server| call::<C, _>(server, Dialect::new(), RequestDeviceCode::new)),
        ("device poll", |server| {
            for how in RESPONSES {
                let client = C::new(app(server, how));
                // Every other poll is pending.
                for _ in 0..2 {
                    let _ = client.call(&RequestTokens::new(DEVICE_CODE));
                }
            }
        }),
        ("password", |server| {
            call::<C, _>(server, Dialect::new(), || AccessTokenByPassword::new("ada@example.com", PASSWORD));
        }),
        ("password in JSON", |server| {
            let dialect = Dialect::new().with_body_format(BodyFormat::Json);
            call::<C, _>(server, dialect, || AccessTokenByPassword::new("ada@example.com", PASSWORD));
        }),
        ("code", |server| {
            call::<C, _>(server, Dialect::new(), || {
                AccessTokenByCode::new(CODE, "https://app.example/callback").code_verifier(CODE_VERIFIER)
            });
        }),
        ("refresh", |server| call::<C, _>(server, Dialect::new(), || RefreshAccessToken::new(REFRESH_TOKEN))),
        ("refresh by HTTP Basic", |server| {
            for how in RESPONSES {
                // The classic API does not have this authentication.
                let dialect = Dialect::new().with_client_authentication(ClientAuthentication::Basic);
                let service =
                    Service::site_at(&format!("{}/{how}", server.http)).unwrap().with_dialect(dialect).unwrap();
                let client = C::new(app(server, how).with_service(service));
                let _ = client.call(&RefreshAccessToken::new(REFRESH_TOKEN));
            }
        }),
        ("revocation", |server| {
            let client = C::new(app(server, "plain"));
            client.call(&RevokeRefreshToken::new(REFRESH_TOKEN)).unwrap();
            let client = C::new(app(server, "refused"));
            client.call(&RevokeRefreshToken::new(REFRESH_TOKEN)).unwrap_err();
        }),
        ("JWT by access token", |server| call::<C, _>(server, Dialect::new(), || JwtByAccessToken::new(ACCESS_TOKEN))),
        ("JWT login", |server| {
            call::<C, _>(server, Dialect::new(), || JwtLogin::email("ada@example.com", PASSWORD));
        }),
        ("own endpoint, get", |server| call::<C, _>(server, Dialect::new(), || Own::Get)),
        ("own endpoint, of another type", |server| {
            C::new(app(server, "plain")).call(&Own::OfAnotherType).unwrap_err();
        }),
        ("own endpoint, form", |server| call::<C, _>(server, Dialect::new(), || Own::Form)),
        ("own endpoint, JSON", |server| call::<C, _>(server, Dialect::new(), || Own::Json)),
    ]
}

/// Returns the flows that only the adapters can run.
pub fn of_adapter<C: Adapter>() -> Vec<Flow> {
    vec![
        ("session in memory", |server| {
            C::new(app(server, "plain")).session(MemoryStore::new(), &tokens()).unwrap();
        }),
        ("session in a file", |server| {
            let folder = tempfile::tempdir().unwrap();
            let store = FileStore::open(folder.path().join("sessions")).unwrap();
            C::new(app(server, "plain")).session(store, &tokens()).unwrap();
        }),
        ("session, escaped", |server| {
            C::new(app(server, "escaped")).session(MemoryStore::new(), &tokens()).unwrap();
        }),
        ("session, refused", |server| {
            C::new(app(server, "refused")).session(MemoryStore::new(), &tokens()).unwrap_err();
        }),
        ("password over TLS", |server| {
            let service = Service::classic_at(&format!("{}/plain", server.https)).unwrap();
            let client = C::over_tls(app(server, "plain").with_service(service), &server.root, None);
            client.call(&AccessTokenByPassword::new("ada@example.com", PASSWORD)).unwrap();
        }),
        ("JWT by access token over TLS", |server| {
            let service = Service::classic_at(&format!("{}/plain", server.https)).unwrap();
            let client = C::over_tls(app(server, "plain").with_service(service), &server.root, None);
            client.call(&JwtByAccessToken::new(ACCESS_TOKEN)).unwrap();
        }),
        ("own endpoint, heads of any length", |server| {
            let client = C::new(app(server, "plain"));
            for length in [10, 3000, 10, 9000] {
                client.call(&Own::LongHead(length)).unwrap();
            }
        }),
        ("refresh through a proxy", |server| refresh_through_proxy::<C>(server, "http", NAME_BEHIND_PROXY).unwrap()),
        ("refresh through a SOCKS proxy", |server| {
            refresh_through_proxy::<C>(server, "socks5h", NAME_BEHIND_PROXY).unwrap();
        }),
        ("refresh, refused by a proxy", |server| {
            refresh_through_proxy::<C>(server, "http", proxy::REFUSED_NAME).unwrap_err();
        }),
        ("login on a desktop", |server| {
            C::new(app(server, "plain")).browser_login().unwrap();
        }),
    ]
}

fn refresh_through_proxy<C: Adapter>(server: &Server, scheme: &str, name: &str) -> Result<(), Error> {
    let service = Service::classic_at(&format!("https://{name}/plain")).unwrap();
    let proxy = Zeroizing::new(proxy::url(scheme, &server.proxy));
    let client = C::over_tls(app(server, "plain").with_service(service), &server.root, Some(&proxy));
    client.call(&RefreshAccessToken::new(REFRESH_TOKEN)).map(drop)
}

/// Returns what the core does without a caller, with random bytes that are known.
pub fn of_core() -> Vec<Flow> {
    vec![
        ("login through a browser", |server| {
            let app = app(server, "plain");
            let random = RandomBytes::new(RANDOM).unwrap();
            let request = AuthorizationRequest::new("https://app.example/callback").scope("openid");
            let login = request.begin(&app, &random, SystemTime::now()).unwrap();
            let url = Zeroizing::new(login.url);
            let state = url.split(['?', '&']).find_map(|pair| pair.strip_prefix("state=")).unwrap();
            let mut pending = PendingLogin::from_json(&Zeroizing::new(login.pending.to_json())).unwrap();
            let code = CODE.replace('/', "%2F").replace('+', "%2B");
            let callback = Callback::from_query(&format!("code={code}&state={state}")).unwrap();
            let authorized = pending.accept(&callback, SystemTime::now()).unwrap();
            Core::new(app).call(&authorized.exchange().unwrap()).unwrap();
        }),
        ("refused in the browser", |server| {
            let random = RandomBytes::new(RANDOM).unwrap();
            let request = AuthorizationRequest::new("https://app.example/callback").scope("openid");
            let mut login = request.begin(&app(server, "plain"), &random, SystemTime::now()).unwrap();
            let state = login.pending.expose_state();
            let callback = format!("error=invalid_request&error_description=of+{state}&state={state}&code=4f2a");
            let callback = Callback::from_query(&callback).unwrap();
            drop(Zeroizing::new(login.url));
            login.pending.accept(&callback, SystemTime::now()).unwrap_err();
        }),
        ("JWT by redirect", |server| {
            let random = RandomBytes::new(RANDOM).unwrap();
            let request = JwtRedirect::new("https://app.example/callback", "token");
            let login = request.begin(&app(server, "plain"), &random, SystemTime::now()).unwrap();
            let url = Zeroizing::new(login.url);
            let state = url.rsplit_once("state%3D").unwrap().1;
            let mut pending = PendingJwt::from_json(&Zeroizing::new(login.pending.to_json())).unwrap();
            let callback = Callback::from_query(&format!("token={JWT}&state={state}")).unwrap();
            pending.accept(&callback, SystemTime::now()).unwrap();
        }),
        ("JWT by redirect, of a site", |_| {
            let app =
                App::new("my-api-key").with_jwt_app("my-jwt-app").with_service(Service::site("acme.hub").unwrap());
            let random = RandomBytes::new(RANDOM).unwrap();
            let login = JwtRedirect::new("https://app.example/callback", "token")
                .begin(&app, &random, SystemTime::now())
                .unwrap();
            let url = Zeroizing::new(login.url);
            let nonce = url.split(['?', '&']).find_map(|pair| pair.strip_prefix("nonce=")).unwrap();
            let mut pending = PendingJwt::from_json(&Zeroizing::new(login.pending.to_json())).unwrap();
            let claims = base64::Engine::encode(
                &base64::engine::general_purpose::URL_SAFE_NO_PAD,
                format!(r#"{{"sub":"ada","nonce":"{nonce}"}}"#),
            );
            let callback = Callback::from_query(&format!("token=e30.{claims}.c2ln")).unwrap();
            pending.accept(&callback, SystemTime::now()).unwrap();
        }),
    ]
}

/// An operation that LoginRadius does not have, with a secret in each place.
enum Own {
    Get,
    /// Between long headers that are no secrets.
    LongHead(usize),
    /// Its response is not what its type says, and serde's error quotes that.
    OfAnotherType,
    Form,
    Json,
}

#[derive(Serialize)]
struct Sent<'a> {
    name: &'a str,
    secret: &'a str,
    number: u32,
}

#[derive(Deserialize)]
struct Received {
    secret: Zeroizing<String>,
}

#[derive(Deserialize)]
struct OfAnotherType {
    #[serde(rename = "secret")]
    _secret: u32,
}

impl Endpoint for Own {
    type Response = Zeroizing<String>;

    fn name(&self) -> &'static str {
        "Own"
    }

    fn request(&self, app: &App) -> Result<http::Request<Body>, Error> {
        let sent = Sent { name: "Ada", secret: OWN, number: 7 };
        let base = app.service().base();
        match self {
            Self::Get | Self::OfAnotherType => {
                RequestBuilder::get(base, "/own").segment(OWN).query("secret", OWN).header("X-Secret", OWN)
            }
            Self::LongHead(length) => RequestBuilder::get(base, "/own")
                .segment(OWN)
                .header("X-Long", &"x".repeat(*length))
                .header("X-Secret", &Zeroizing::new([&*"x".repeat(length / 3), OWN].concat()))
                .header("X-Longer", &"x".repeat(2 * length))
                .bearer(&AccessToken::new(ACCESS_TOKEN)),
            Self::Form => RequestBuilder::post(base, "/own/form").form(&sent).bearer(&AccessToken::new(ACCESS_TOKEN)),
            Self::Json => RequestBuilder::post(base, "/own/json").json(&sent).bearer(&AccessToken::new(ACCESS_TOKEN)),
        }
        .build()
    }

    fn response(&self, app: &App, response: http::Response<Body>) -> Result<Zeroizing<String>, Error> {
        let reader = ResponseReader::new(self, app);
        match self {
            Self::OfAnotherType => reader.json::<OfAnotherType>(&response).map(|_| Zeroizing::default()),
            _ => reader.json::<Received>(&response).map(|received| received.secret),
        }
    }

    fn secrets(&self) -> Vec<&str> {
        vec![OWN, ACCESS_TOKEN]
    }

    // So that connections are kept.
    fn repeatable(&self) -> bool {
        matches!(self, Self::LongHead(_))
    }
}
