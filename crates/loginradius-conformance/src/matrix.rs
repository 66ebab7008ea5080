//! Every operation at both APIs in both body formats, checked by the emulator and against what it recorded.

use std::time::Duration;

use loginradius_emulator::{self as emulator, Emulator, RecordedRequest, seeded};
use loginradius_proto::jwt::{JwtByAccessToken, JwtLogin, LoginOptions};
use loginradius_proto::oauth::{
    AccessTokenByCode, AccessTokenByPassword, RefreshAccessToken, RequestDeviceCode, RequestTokens, RevokeRefreshToken,
};
use loginradius_proto::{
    Api, App, BodyFormat, Dialect, Endpoint, Error, ErrorKind, Jwt, RevocationKey, Service, TokenSet,
};

use crate::adapter::{Adapter, Settings};
use crate::cases::cases;

const REDIRECT_URI: &str = "https://app.example.com/callback?from=login";
/// RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
const USER_AGENT: &str = "conformance/1.0";

/// One cell of the matrix: an emulator and its client.
struct Cell<A> {
    emulator: Emulator,
    client: A,
    api: Api,
    format: BodyFormat,
}

pub(crate) fn app(emulator: &Emulator, api: Api) -> App {
    let service = match api {
        Api::Classic => Service::classic_at(emulator.base_url()).unwrap(),
        _ => Service::site_at(emulator.base_url()).unwrap(),
    };
    App::new(seeded::CLIENT_ID)
        .with_client_secret(seeded::CLIENT_SECRET)
        .with_oauth_app(seeded::OAUTH_APP)
        .with_jwt_app(seeded::JWT_APP)
        .with_service(service)
}

/// Returns the app with another dialect of its service.
pub(crate) fn speaking(app: &App, dialect: Dialect) -> App {
    app.clone().with_service(app.service().clone().with_dialect(dialect).unwrap())
}

impl<A: Adapter> Cell<A> {
    fn new(api: Api, format: BodyFormat) -> Self {
        let emulator = Emulator::start().unwrap();
        let settings = Settings { user_agent: Some(USER_AGENT.to_owned()), ..Settings::default() };
        let app = speaking(&app(&emulator, api), Dialect::new().with_body_format(format));
        let client = A::new(app, &settings).unwrap();
        Self { emulator, client, api, format }
    }

    /// Returns the cell with another dialect.
    fn speaking(self, change: impl FnOnce(Dialect) -> Dialect) -> Self {
        let app = app(&self.emulator, self.api);
        let settings = Settings { user_agent: Some(USER_AGENT.to_owned()), ..Settings::default() };
        let dialect = change(Dialect::new().with_body_format(self.format));
        Self { client: A::new(speaking(&app, dialect), &settings).unwrap(), ..self }
    }

    fn call<E: Endpoint>(&self, operation: &E) -> Result<E::Response, Error> {
        self.emulator.clear_requests();
        self.client.call(operation)
    }

    /// Signs [`seeded::ADA`] in.
    fn sign_in(&self) -> TokenSet {
        self.call(&AccessTokenByPassword::new(seeded::ADA.email, seeded::ADA.password)).unwrap()
    }

    /// Checks the one request since the last call, and returns it.
    fn check_request(
        &self,
        method: &str,
        classic: &str,
        site: &str,
        operation: emulator::Operation,
    ) -> RecordedRequest {
        let requests = self.emulator.requests();
        let [request] = requests.as_slice() else { panic!("{requests:?}") };
        let (path, api) = match self.api {
            Api::Classic => (classic, emulator::Api::Classic),
            _ => (site, emulator::Api::Site),
        };
        assert_eq!((request.method.as_str(), request.path.as_str()), (method, path));
        assert_eq!((request.operation, request.api), (Some(operation), Some(api)));
        assert_eq!(request.accept.as_deref(), Some("application/json"));
        assert_eq!(request.user_agent.as_deref(), Some(USER_AGENT));
        assert_eq!(request.client_id.as_deref(), Some(seeded::CLIENT_ID));
        assert_eq!(request.status, Some(200));
        request.clone()
    }

    /// Checks the same of an OAuth operation, with its parameters in any order.
    fn check_oauth_request(&self, classic: &str, site: &str, operation: emulator::Operation, params: &[(&str, &str)]) {
        let request = self.check_request("POST", classic, site, operation);
        let (format, content_type) = match self.format {
            BodyFormat::Form => (emulator::BodyFormat::Form, "application/x-www-form-urlencoded"),
            _ => (emulator::BodyFormat::Json, "application/json"),
        };
        assert_eq!((request.body_format, request.content_type.as_deref()), (format, Some(content_type)));
        assert_params(&request, params);
    }

    fn is_site(&self) -> bool {
        self.api == Api::Site
    }
}

fn assert_params(request: &RecordedRequest, params: &[(&str, &str)]) {
    let mut sent: Vec<(&str, &str)> = request.params.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    let mut expected = params.to_vec();
    sent.sort_unstable();
    expected.sort_unstable();
    assert_eq!(sent, expected);
}

fn assert_tokens(tokens: &TokenSet, emulator: &Emulator) {
    assert!(emulator.is_live_access_token(tokens.access_token.expose()));
    assert!(emulator.is_live_refresh_token(tokens.refresh_token.as_ref().unwrap().expose()));
    assert!(tokens.expires_in.is_some_and(|time| time > Duration::from_secs(60)));
    assert!(tokens.token_type.is_some());
}

fn assert_jwt(jwt: &Jwt) {
    assert_eq!(jwt.expose().split('.').filter(|part| !part.is_empty()).count(), 3);
}

fn device_code<A: Adapter>(api: Api, format: BodyFormat) {
    let cell = Cell::<A>::new(api, format);
    let grant = cell.call(&RequestDeviceCode::new().scope("email profile")).unwrap();
    cell.check_oauth_request(
        "/sso/oauth/demo-oauth-app/device",
        "/api/oauth/demo-oauth-app/device",
        emulator::Operation::DeviceCode,
        &[("client_id", seeded::CLIENT_ID), ("scope", "email profile")],
    );
    let issued = cell.emulator.device_grants().remove(0);
    assert_eq!((grant.device_code.expose(), &grant.user_code), (issued.device_code.as_str(), &issued.user_code));
    assert_eq!((grant.interval, grant.expires_in), (Duration::from_secs(5), Duration::from_secs(1800)));
    assert!(grant.browser_uri().is_some_and(|uri| uri.starts_with(cell.emulator.base_url())));
}

fn device_poll<A: Adapter>(api: Api, format: BodyFormat) {
    let cell = Cell::<A>::new(api, format);
    let grant = cell.call(&RequestDeviceCode::new()).unwrap();
    let poll = RequestTokens::new(grant.device_code.clone());

    let pending = cell.call(&poll).unwrap_err();
    assert_eq!(pending.api_error().unwrap().oauth_error.as_deref(), Some("authorization_pending"));
    let early = cell.call(&poll).unwrap_err();
    assert_eq!(early.api_error().unwrap().oauth_error.as_deref(), Some("slow_down"));

    cell.emulator.approve(&grant.user_code).unwrap();
    let tokens = cell.call(&poll).unwrap();
    let mut params = vec![
        ("client_id", seeded::CLIENT_ID),
        ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
        ("device_code", grant.device_code.expose()),
    ];
    if cell.is_site() {
        params.push(("response_type", "token"));
    }
    cell.check_oauth_request(
        "/sso/oauth/demo-oauth-app/access_token",
        "/api/oauth/demo-oauth-app/token",
        emulator::Operation::DeviceToken,
        &params,
    );
    assert_tokens(&tokens, &cell.emulator);

    assert!(cell.call(&poll).unwrap_err().api_error().is_some());
}

fn code_exchange<A: Adapter>(api: Api, format: BodyFormat) {
    let cell = Cell::<A>::new(api, format);
    let code = cell.emulator.issue_code(seeded::CLIENT_ID, REDIRECT_URI, None);
    let exchange = AccessTokenByCode::new(code.as_str(), REDIRECT_URI);
    let tokens = cell.call(&exchange).unwrap();
    let mut params = vec![
        ("client_id", seeded::CLIENT_ID),
        ("client_secret", seeded::CLIENT_SECRET),
        ("redirect_uri", REDIRECT_URI),
        ("response_type", "token"),
        ("code", code.as_str()),
    ];
    if cell.is_site() {
        params.push(("grant_type", "authorization_code"));
    }
    let check = |cell: &Cell<A>, params: &[(&str, &str)]| {
        cell.check_oauth_request(
            "/sso/oauth/access_token",
            "/api/oauth/demo-oauth-app/token",
            emulator::Operation::CodeExchange,
            params,
        );
    };
    check(&cell, &params);
    assert_tokens(&tokens, &cell.emulator);
    assert_eq!(cell.call(&exchange).unwrap_err().kind(), ErrorKind::SignInRequired);

    let code = cell.emulator.issue_code(seeded::CLIENT_ID, REDIRECT_URI, Some(CHALLENGE));
    let exchange = AccessTokenByCode::new(code.as_str(), REDIRECT_URI).code_verifier(VERIFIER);
    let cell = cell.speaking(|dialect| dialect.with_grant_type_of_code(true));
    assert_tokens(&cell.call(&exchange).unwrap(), &cell.emulator);
    params.retain(|(name, _)| *name != "code");
    params.extend([("code", code.as_str()), ("code_verifier", VERIFIER)]);
    if !cell.is_site() {
        params.push(("grant_type", "authorization_code"));
    }
    check(&cell, &params);
}

fn password<A: Adapter>(api: Api, format: BodyFormat) {
    let cell = Cell::<A>::new(api, format);
    let tokens = cell.sign_in();
    let mut params = vec![
        ("client_id", seeded::CLIENT_ID),
        ("client_secret", seeded::CLIENT_SECRET),
        ("grant_type", "password"),
        ("username", seeded::ADA.email),
        ("password", seeded::ADA.password),
    ];
    if cell.is_site() {
        params.push(("response_type", "token"));
    }
    cell.check_oauth_request(
        "/sso/oauth/access_token",
        "/api/oauth/demo-oauth-app/token",
        emulator::Operation::Password,
        &params,
    );
    assert_tokens(&tokens, &cell.emulator);

    for (username, password) in [
        (seeded::ADA.email, "not-her-password"),
        (seeded::UNVERIFIED.email, seeded::UNVERIFIED.password),
        (seeded::BLOCKED.email, seeded::BLOCKED.password),
        (seeded::LOCKED.email, seeded::LOCKED.password),
        (seeded::SECOND_FACTOR.email, seeded::SECOND_FACTOR.password),
    ] {
        let error = cell.call(&AccessTokenByPassword::new(username, password)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UserActionRequired, "{username}: {error}");
        assert!(error.api_error().unwrap().code.is_some());
    }
}

fn refresh<A: Adapter>(api: Api, format: BodyFormat) {
    let cell = Cell::<A>::new(api, format);
    let old = cell.sign_in().refresh_token.unwrap();
    let tokens = cell.call(&RefreshAccessToken::new(old.clone())).unwrap();
    cell.check_oauth_request(
        "/sso/oauth/access_token/refresh",
        "/api/oauth/demo-oauth-app/token",
        emulator::Operation::Refresh,
        &[
            ("client_id", seeded::CLIENT_ID),
            ("client_secret", seeded::CLIENT_SECRET),
            ("grant_type", "refresh_token"),
            ("refresh_token", old.expose()),
        ],
    );
    assert_tokens(&tokens, &cell.emulator);
    assert!(!cell.emulator.is_live_refresh_token(old.expose()));

    let error = cell.call(&RefreshAccessToken::new(old)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SignInRequired, "{error}");
}

fn revoke<A: Adapter>(api: Api, format: BodyFormat) {
    let cell = Cell::<A>::new(api, format);
    let token = cell.sign_in().refresh_token.unwrap();
    cell.call(&RevokeRefreshToken::new(token.clone())).unwrap();
    let check = |cell: &Cell<A>, key, token| {
        cell.check_oauth_request(
            "/sso/oauth/refresh_token/revoke",
            "/api/oauth/demo-oauth-app/revoke",
            emulator::Operation::Revoke,
            &[("client_id", seeded::CLIENT_ID), ("client_secret", seeded::CLIENT_SECRET), (key, token)],
        );
    };
    check(&cell, "refresh_token", token.expose());
    assert!(!cell.emulator.is_live_refresh_token(token.expose()));

    if cell.is_site() {
        let token = cell.sign_in().refresh_token.unwrap();
        let cell = cell.speaking(|dialect| dialect.with_revocation_key(RevocationKey::Token));
        cell.call(&RevokeRefreshToken::new(token.clone())).unwrap();
        check(&cell, "token", token.expose());
        assert!(!cell.emulator.is_live_refresh_token(token.expose()));
    }
}

/// Returns the parameters that every JWT operation has in its query.
fn jwt_query<'a>(api: Api) -> Vec<(&'a str, &'a str)> {
    match api {
        Api::Classic => vec![("apikey", seeded::CLIENT_ID), ("jwtapp", seeded::JWT_APP)],
        _ => vec![("apikey", seeded::CLIENT_ID)],
    }
}

fn jwt_by_access_token<A: Adapter>(api: Api, _: BodyFormat) {
    let cell = Cell::<A>::new(api, BodyFormat::Form);
    let token = cell.sign_in().access_token;
    assert_jwt(&cell.call(&JwtByAccessToken::new(token.clone())).unwrap());
    let request =
        cell.check_request("GET", "/sso/jwt/api/token", "/api/jwt/demo-jwt-app/token", emulator::Operation::JwtToken);
    assert_eq!((request.body_format, request.content_type.as_deref()), (emulator::BodyFormat::None, None));
    let mut params = jwt_query(api);
    params.push(("access_token", token.expose()));
    assert_params(&request, &params);

    if cell.is_site() {
        assert_jwt(&cell.call(&JwtByAccessToken::new(token).nonce("n-1")).unwrap());
        assert_eq!(cell.emulator.requests()[0].param("Nonce"), Some("n-1"));
    }
    let error = cell.call(&JwtByAccessToken::new("no-such-token")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SignInRequired, "{error}");
}

fn jwt_login<A: Adapter>(api: Api, user: (&str, &str), operation: impl Fn(&str) -> JwtLogin) {
    let cell = Cell::<A>::new(api, BodyFormat::Form);
    assert_jwt(&cell.call(&operation(seeded::ADA.password)).unwrap());
    let check = |more: &[(&str, &str)]| {
        let request = cell.check_request(
            "POST",
            "/sso/jwt/api/login",
            "/api/jwt/demo-jwt-app/login",
            emulator::Operation::JwtLogin,
        );
        assert_eq!(request.content_type.as_deref(), Some("application/json"));
        assert_eq!(request.body_format, emulator::BodyFormat::Json);
        let mut params = jwt_query(api);
        params.extend([user, ("password", seeded::ADA.password)]);
        params.extend(more);
        assert_params(&request, &params);
    };
    check(&[]);

    let options = LoginOptions::new()
        .verification_url("https://app.example.com/verify?a=1&b=2")
        .login_url("https://app.example.com/login")
        .email_template("my template");
    assert_jwt(&cell.call(&operation(seeded::ADA.password).options(options)).unwrap());
    check(&[
        ("verificationurl", "https://app.example.com/verify?a=1&b=2"),
        ("loginurl", "https://app.example.com/login"),
        ("emailtemplate", "my template"),
    ]);

    let error = cell.call(&operation("not-her-password")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UserActionRequired, "{error}");
}

fn jwt_by_username<A: Adapter>(api: Api, _: BodyFormat) {
    let username = seeded::ADA.username;
    jwt_login::<A>(api, ("username", username), |password| JwtLogin::username(username, password));
}

fn jwt_by_email<A: Adapter>(api: Api, _: BodyFormat) {
    let email = seeded::ADA.email;
    jwt_login::<A>(api, ("email", email), |password| JwtLogin::email(email, password));
}

fn jwt_by_phone<A: Adapter>(api: Api, _: BodyFormat) {
    let phone = seeded::ADA.phone;
    jwt_login::<A>(api, ("phone", phone), |password| JwtLogin::phone(phone, password));
}

macro_rules! cells {
    ($($name:ident: $operation:ident($api:ident, $format:ident),)+) => {
        $(fn $name<A: Adapter>() {
            $operation::<A>(Api::$api, BodyFormat::$format);
        })+
        cases!(($) matrix matrix_cases { $($name,)+ });
    };
}

cells! {
    device_code_classic_form: device_code(Classic, Form),
    device_code_classic_json: device_code(Classic, Json),
    device_code_site_form: device_code(Site, Form),
    device_code_site_json: device_code(Site, Json),
    device_poll_classic_form: device_poll(Classic, Form),
    device_poll_classic_json: device_poll(Classic, Json),
    device_poll_site_form: device_poll(Site, Form),
    device_poll_site_json: device_poll(Site, Json),
    code_exchange_classic_form: code_exchange(Classic, Form),
    code_exchange_classic_json: code_exchange(Classic, Json),
    code_exchange_site_form: code_exchange(Site, Form),
    code_exchange_site_json: code_exchange(Site, Json),
    password_classic_form: password(Classic, Form),
    password_classic_json: password(Classic, Json),
    password_site_form: password(Site, Form),
    password_site_json: password(Site, Json),
    refresh_classic_form: refresh(Classic, Form),
    refresh_classic_json: refresh(Classic, Json),
    refresh_site_form: refresh(Site, Form),
    refresh_site_json: refresh(Site, Json),
    revoke_classic_form: revoke(Classic, Form),
    revoke_classic_json: revoke(Classic, Json),
    revoke_site_form: revoke(Site, Form),
    revoke_site_json: revoke(Site, Json),
    jwt_by_access_token_classic: jwt_by_access_token(Classic, Form),
    jwt_by_access_token_site: jwt_by_access_token(Site, Form),
    jwt_by_username_classic: jwt_by_username(Classic, Form),
    jwt_by_username_site: jwt_by_username(Site, Form),
    jwt_by_email_classic: jwt_by_email(Classic, Form),
    jwt_by_email_site: jwt_by_email(Site, Form),
    jwt_by_phone_classic: jwt_by_phone(Classic, Form),
    jwt_by_phone_site: jwt_by_phone(Site, Form),
}
