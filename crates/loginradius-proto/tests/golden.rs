//! Every documented request and response of the operations, reproduced.
//!
//! Where a documented sample cannot be reproduced as it stands, [`EXCEPTIONS`] names the vector, the part
//! and the reason; an exception that is not needed fails the test like one that is missing.

use std::collections::BTreeMap;
use std::time::SystemTime;

use loginradius_proto::browser::{AuthorizationRequest, BrowserRequest as _, JwtRedirect, Pending as _, RandomBytes};
use loginradius_proto::jwt::{JwtByAccessToken, JwtLogin, LoginOptions};
use loginradius_proto::oauth::{
    AccessTokenByCode, AccessTokenByPassword, DeviceGrant, IntrospectToken, Introspection, RefreshAccessToken,
    RequestDeviceCode, RequestTokens, RevokeRefreshToken,
};
use loginradius_proto::{
    Api, ApiError, App, Body, BodyFormat, Dialect, Endpoint, Error, ErrorKind, IdToken, Jwt, RefreshToken,
    RevocationKey, Service, TokenSet, http,
};
use loginradius_testing::response_with;
use loginradius_vectors::Vector;
use serde_json::{Value, json};

const ENDPOINTS: [&str; 9] = [
    "device_code",
    "device_token",
    "code_exchange",
    "password",
    "refresh",
    "revoke",
    "introspect",
    "jwt_token",
    "jwt_login",
];

/// What of a vector is not reproduced as it stands.
#[derive(Debug, Clone, Copy)]
enum Part {
    /// A parameter's name: as documented, as sent.
    Name(&'static str, &'static str),
    /// A parameter's value: as documented, as sent.
    Value(&'static str, &'static str, &'static str),
    /// The end of the path: as documented, as sent.
    Path(&'static str, &'static str),
    /// The content type of a request without content.
    ContentType,
    /// The whole request, which the operation refuses to build.
    Refused,
}
use Part::{ContentType, Name, Path, Refused};

const CAPITAL: &str = "one page spells it with a capital; lower snake case is sent";
const GET: &str = "the sample sends a content type with a GET, which has no content";
const CAMEL: &str = "an SDK spells it in camel case; the API page's lower case is sent";

const EXCEPTIONS: &[(&str, Part, &str)] = &[
    ("classic_device_code_guide_sample", Name("Scope", "scope"), CAPITAL),
    ("classic_device_token_success_expires_variant", Name("device_Code", "device_code"), CAPITAL),
    ("classic_error_2012", Part::Value("grant_type", "bogus", "password"), "the sample asks for an unknown grant"),
    ("classic_jwt_by_access_token", ContentType, GET),
    ("classic_jwt_by_access_token_api_host", ContentType, GET),
    ("classic_jwt_error_1060", Refused, "the sample leaves out the access token"),
    ("classic_jwt_error_1196", Refused, "the sample leaves out the JWT app"),
    ("classic_jwt_java_sdk_query_names", Name("apiKey", "apikey"), CAMEL),
    ("classic_jwt_java_sdk_query_names", Name("emailTemplate", "emailtemplate"), CAMEL),
    ("classic_jwt_java_sdk_query_names", Name("loginUrl", "loginurl"), CAMEL),
    ("error_lr_provider_error", ContentType, GET),
    ("site_device_code_error_client_id_missing", Refused, "the sample leaves out the client id"),
    ("site_device_code_form_device_code_path", Path("/device/code", "/device"), "one unlinked page has this path"),
    ("site_device_code_form_device_code_path", Name("Scope", "scope"), CAPITAL),
    ("site_device_token_success_device_Code_form", Name("device_Code", "device_code"), CAPITAL),
    ("site_jwt_by_access_token", ContentType, GET),
];

/// What the caller of each refused request has to do.
const KINDS: &[(&str, ErrorKind)] = {
    use ErrorKind::{Configuration, Denied, Expired, Refused, SignInRequired, Unavailable, UserActionRequired};
    &[
        ("classic_device_token_access_denied", Denied),
        ("classic_device_token_authorization_pending", Unavailable),
        ("classic_device_token_expired_token", Expired),
        ("classic_device_token_slow_down", Unavailable),
        ("classic_error_1000", Unavailable),
        ("classic_error_2005", SignInRequired),
        ("classic_error_2006", Configuration),
        ("classic_error_2007", SignInRequired),
        ("classic_error_2008", Configuration),
        ("classic_error_2009", Configuration),
        ("classic_error_2010", SignInRequired),
        ("classic_error_2011", Configuration),
        ("classic_error_2012", Configuration),
        ("classic_error_2013", Configuration),
        ("classic_error_2014", Configuration),
        ("classic_error_901", Configuration),
        ("classic_jwt_error_1060", Configuration),
        ("classic_jwt_error_1196", Configuration),
        ("classic_jwt_error_1198_sso_meaning", UserActionRequired),
        ("error_429_plain_text", Unavailable),
        ("error_500_html", Unavailable),
        ("error_lr_1132_captcha", UserActionRequired),
        ("error_lr_1134_validation_errors", UserActionRequired),
        ("error_lr_1148_security_question", UserActionRequired),
        ("error_lr_1176_second_factor_required", UserActionRequired),
        ("error_lr_1194_data_with_access_token", UserActionRequired),
        ("error_lr_1198_account_locked", UserActionRequired),
        ("error_lr_966_bad_credentials", UserActionRequired),
        ("error_lr_970_email_not_verified", UserActionRequired),
        ("error_lr_991_blocked", UserActionRequired),
        ("error_lr_provider_error", Refused),
        ("error_lr_with_http_200", SignInRequired),
        ("site_device_code_error_client_id_invalid", Configuration),
        ("site_device_code_error_client_id_missing", Configuration),
        ("site_device_code_error_config_not_found", Configuration),
        ("site_device_token_access_denied", Denied),
        ("site_device_token_authorization_pending", Unavailable),
        ("site_device_token_expired_token", Expired),
        ("site_device_token_slow_down", Unavailable),
        ("site_jwt_error_1180", Configuration),
        ("site_jwt_error_1214", Configuration),
        ("site_jwt_error_1220", UserActionRequired),
        ("site_jwt_error_906", SignInRequired),
        ("site_token_error_code_expired", SignInRequired),
        ("site_token_error_code_missing", Configuration),
        ("site_token_error_code_used", SignInRequired),
        ("site_token_error_grant_type_invalid", Configuration),
        ("site_token_error_invalid_client", Configuration),
        ("site_token_error_invalid_grant", SignInRequired),
        ("site_token_error_refresh_token_invalid", SignInRequired),
        ("site_token_error_unauthorized_client", Configuration),
    ]
};

#[derive(Debug, Default, PartialEq)]
struct Counts {
    /// Requests that came out exactly as documented.
    requests_exact: usize,
    /// Requests that came out as documented but for the listed exceptions.
    requests_but_for_exceptions: usize,
    /// Requests that are not built at all, for a listed exception.
    requests_not_built: usize,
    /// Responses that were read as a success.
    successes: usize,
    /// Responses that were read as an error.
    errors: usize,
}

#[test]
fn every_vector_of_the_operations() {
    let mut counts = Counts::default();
    let mut names = Vec::new();
    for vector in loginradius_vectors::all() {
        // The tokens of machines are introspected elsewhere, by an operation that the crate does not have.
        let is_of_a_machine = vector.request.url.contains("/service/oauth/");
        if ENDPOINTS.contains(&vector.endpoint.as_str()) && !is_of_a_machine {
            names.push(vector.name.clone());
            reproduce(&vector, &mut counts);
        }
    }
    for name in EXCEPTIONS.iter().map(|row| row.0).chain(KINDS.iter().map(|row| row.0)) {
        assert!(names.iter().any(|known| known == name), "{name} is listed, but is no vector of the operations");
    }
    println!("{counts:#?}\nof {} vectors; {} exceptions:", names.len(), EXCEPTIONS.len());
    for (name, part, why) in EXCEPTIONS {
        println!("  {name}: {part:?}: {why}");
    }
    assert_eq!(names.len(), 92);
    assert_eq!(EXCEPTIONS.len(), 16);
    let expected = Counts {
        requests_exact: 79,
        requests_but_for_exceptions: 10,
        requests_not_built: 3,
        successes: 41,
        errors: 51,
    };
    assert_eq!(counts, expected);
}

fn reproduce(vector: &Vector, counts: &mut Counts) {
    let given = Given::of(vector);
    let app = given.app();
    let text = |name| given.value(name).unwrap_or_default();
    let nothing = |_: &Value| Value::Null;
    match vector.endpoint.as_str() {
        "device_code" => {
            let mut operation = RequestDeviceCode::new();
            if let Some(scope) = given.value("scope") {
                operation = operation.scope(scope);
            }
            check(vector, &given, &app, &operation, |grant| grant_of(&grant), grant_in, counts);
        }
        "device_token" => {
            let operation = RequestTokens::new(text("device_code"));
            check(vector, &given, &app, &operation, |tokens| tokens_of(&tokens), tokens_in, counts);
        }
        "code_exchange" => {
            let mut operation = AccessTokenByCode::new(text("code"), text("redirect_uri"));
            if let Some(verifier) = given.value("code_verifier") {
                operation = operation.code_verifier(verifier);
            }
            check(vector, &given, &app, &operation, |tokens| tokens_of(&tokens), tokens_in, counts);
        }
        "password" => {
            let mut operation = AccessTokenByPassword::new(text("username"), text("password"));
            if let Some(scope) = given.value("scope") {
                operation = operation.scope(scope);
            }
            check(vector, &given, &app, &operation, |tokens| tokens_of(&tokens), tokens_in, counts);
        }
        "refresh" => {
            let operation = RefreshAccessToken::new(text("refresh_token"));
            check(vector, &given, &app, &operation, |tokens| tokens_of(&tokens), tokens_in, counts);
        }
        "revoke" => {
            let operation = RevokeRefreshToken::new(given.value("token").unwrap_or(text("refresh_token")));
            check(vector, &given, &app, &operation, |()| Value::Null, nothing, counts);
        }
        "introspect" => {
            let operation = IntrospectToken::new(text("token"));
            check(vector, &given, &app, &operation, state_of, state_in, counts);
        }
        "jwt_token" => {
            let mut operation = JwtByAccessToken::new(text("access_token"));
            if let Some(nonce) = given.value("nonce") {
                operation = operation.nonce(nonce);
            }
            check(vector, &given, &app, &operation, jwt_of, jwt_in, counts);
        }
        "jwt_login" => {
            let mut options = LoginOptions::new();
            if let Some(url) = given.value("verificationurl") {
                options = options.verification_url(url);
            }
            if let Some(url) = given.value("loginurl") {
                options = options.login_url(url);
            }
            if let Some(name) = given.value("emailtemplate") {
                options = options.email_template(name);
            }
            if let Some(nonce) = given.value("nonce") {
                options = options.nonce(nonce);
            }
            if let Some(email) = given.value("email") {
                let operation = JwtLogin::email(email, text("password")).options(options);
                check(vector, &given, &app, &operation, jwt_of, jwt_in, counts);
            } else if let Some(phone) = given.value("phone") {
                let operation = JwtLogin::phone(phone, text("password")).options(options);
                check(vector, &given, &app, &operation, jwt_of, jwt_in, counts);
            } else {
                let operation = JwtLogin::username(text("username"), text("password")).options(options);
                check(vector, &given, &app, &operation, jwt_of, jwt_in, counts);
            }
        }
        other => panic!("{}: no operation is named {other}", vector.name),
    }
}

fn check<E: Endpoint>(
    vector: &Vector,
    given: &Given,
    app: &App,
    operation: &E,
    read: impl FnOnce(E::Response) -> Value,
    documented: fn(&Value) -> Value,
    counts: &mut Counts,
) {
    let name = &vector.name;
    let exceptions: Vec<Part> = EXCEPTIONS.iter().filter(|row| row.0 == name).map(|row| row.1).collect();

    let whole = exceptions.iter().find(|part| matches!(part, Refused));
    match (whole, operation.request(app)) {
        (None, Ok(request)) => {
            assert_eq!(Sent::of(&request), Sent::documented(given, &exceptions), "{name}");
            match exceptions.len() {
                0 => counts.requests_exact += 1,
                _ => counts.requests_but_for_exceptions += 1,
            }
        }
        (Some(_), Err(error)) => {
            assert_eq!(error.kind(), ErrorKind::Configuration, "{name}");
            counts.requests_not_built += 1;
        }
        (_, request) => panic!("{name}: {exceptions:?}: {:?}", request.map(|request| request.uri().clone())),
    }

    let response = vector.response.as_ref().expect("these operations all have a response");
    let headers: Vec<_> = response.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let bytes = match &response.body {
        Value::Null => Vec::new(),
        Value::String(text) => text.clone().into_bytes(),
        object => object.to_string().into_bytes(),
    };
    let outcome = operation.response(app, response_with(response.status, bytes, &headers));
    match KINDS.iter().find(|row| row.0 == name) {
        None => {
            assert_eq!(vector.kind, "ok", "{name}: which kind of error?");
            let response_read = outcome.unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(read(response_read), documented(&response.body), "{name}");
            counts.successes += 1;
        }
        Some((_, kind)) => {
            assert_ne!(vector.kind, "ok", "{name}: no error");
            let Err(error) = outcome else { panic!("{name}: read as a success") };
            assert_eq!(error.kind(), *kind, "{name}: {error}");
            assert_eq!(error.http_status().map(|status| status.as_u16()), Some(response.status), "{name}");
            assert_eq!(error.operation(), Some(operation.name()), "{name}");
            check_error(name, &error, &response.body);
            counts.errors += 1;
        }
    }
}

/// The parts of a request, read independently of the crate.
#[derive(Debug, PartialEq)]
struct Sent {
    method: String,
    url: String,
    query: Vec<(String, String)>,
    content_type: Option<String>,
    json: Option<Value>,
    form: Vec<(String, String)>,
}

impl Sent {
    fn of(request: &http::Request<Body>) -> Self {
        let content_type = request.headers().get("content-type").map(|value| value.to_str().unwrap().to_owned());
        let body = match std::str::from_utf8(request.body().as_bytes()).unwrap() {
            text if content_type.as_deref() == Some("application/json") => serde_json::from_str(text).unwrap(),
            "" => Value::Null,
            text => Value::from(text),
        };
        Self::new(request.method().as_str(), &request.uri().to_string(), content_type, &body)
    }

    fn documented(given: &Given, exceptions: &[Part]) -> Self {
        let mut sent = Self::new(&given.method, &given.url, given.content_type.clone(), &given.body);
        for part in exceptions {
            match part {
                Name(documented, ours) => {
                    let changed = sent.rewrite(|(name, value)| (name == documented).then(|| ((*ours).into(), value)));
                    assert_eq!(changed, 1, "{part:?}");
                }
                Part::Value(key, documented, ours) => {
                    let changed = sent.rewrite(|(name, value)| {
                        (name == key && value == **documented).then(|| (name.clone(), Value::from(*ours)))
                    });
                    assert_eq!(changed, 1, "{part:?}");
                }
                Path(documented, ours) => {
                    sent.url = format!("{}{ours}", sent.url.strip_suffix(documented).expect("the documented path"));
                }
                ContentType => assert!(sent.content_type.take().is_some(), "{part:?}"),
                Refused => unreachable!("{part:?}"),
            }
        }
        sent.sorted()
    }

    fn new(method: &str, url: &str, content_type: Option<String>, body: &Value) -> Self {
        let (url, query) = url.split_once('?').unwrap_or((url, ""));
        let sent = Self {
            method: method.to_owned(),
            url: url.to_owned(),
            query: pairs(query),
            content_type,
            json: body.is_object().then(|| body.clone()),
            form: body.as_str().map(pairs).unwrap_or_default(),
        };
        sent.sorted()
    }

    /// The samples do not agree on an order.
    fn sorted(mut self) -> Self {
        self.query.sort();
        self.form.sort();
        self
    }

    /// Changes parameters, wherever they stand; the number of changes.
    fn rewrite(&mut self, change: impl Fn((&String, Value)) -> Option<(String, Value)>) -> usize {
        let mut changes = 0;
        for (name, value) in self.query.iter_mut().chain(&mut self.form) {
            if let Some((new_name, new_value)) = change((name, Value::from(value.clone()))) {
                (*name, *value) = (new_name, new_value.as_str().unwrap().to_owned());
                changes += 1;
            }
        }
        let object = self.json.iter().filter_map(Value::as_object).flatten();
        let changed: serde_json::Map<String, Value> = object
            .map(|(name, value)| match change((name, value.clone())) {
                Some(pair) => {
                    changes += 1;
                    pair
                }
                None => (name.clone(), value.clone()),
            })
            .collect();
        self.json = self.json.take().map(|_| Value::from(changed));
        changes
    }
}

fn pairs(text: &str) -> Vec<(String, String)> {
    serde_urlencoded::from_str(text).unwrap()
}

/// The values that a sample's request holds, whatever their names' case.
struct Given {
    method: String,
    url: String,
    content_type: Option<String>,
    body: Value,
    values: BTreeMap<String, String>,
}

impl Given {
    fn of(vector: &Vector) -> Self {
        let request = &vector.request;
        let query = request.url.split_once('?').map_or("", |(_, query)| query);
        let mut values = pairs(query);
        match &request.body {
            Value::Object(members) => {
                values.extend(members.iter().map(|(k, v)| (k.clone(), v.as_str().unwrap().to_owned())));
            }
            Value::String(form) => values.extend(pairs(form)),
            _ => {}
        }
        Self {
            method: request.method.clone(),
            url: request.url.clone(),
            content_type: request.headers.get("Content-Type").cloned(),
            body: request.body.clone(),
            values: values.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect(),
        }
    }

    fn value(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    fn app(&self) -> App {
        let url: http::Uri = self.url.parse().unwrap();
        let host = url.host().unwrap();
        let path: Vec<&str> = url.path().split('/').collect();
        let service = match (path[1], path[2]) {
            ("sso", "oidc") => Service::classic_oidc(),
            ("sso", _) if host == "cloud-api.loginradius.com" => Service::classic(),
            ("sso", _) => Service::classic_at(&format!("https://{host}")).unwrap(),
            ("api", "oidc") => Service::oidc(host).unwrap(),
            ("api", _) => Service::site(host).unwrap(),
            (other, _) => panic!("no API has /{other}"),
        };
        let mut dialect = Dialect::new();
        if self.value("response_type").is_none() {
            dialect = dialect.without_response_type();
        }
        if service.api() == Api::Classic {
            dialect = dialect.with_grant_type_of_code(self.value("grant_type").is_some());
        }
        if self.value("token").is_some() && path[2] == "oauth" {
            dialect = dialect.with_revocation_key(RevocationKey::Token);
        }
        if self.content_type.as_deref() == Some("application/json") {
            dialect = dialect.with_body_format(BodyFormat::Json);
        }
        let service = service.with_dialect(dialect).unwrap();
        let id = self.value("client_id").or(self.value("apikey")).unwrap_or_default();
        let mut app = App::new(id).with_service(service);
        if let Some(secret) = self.value("client_secret") {
            app = app.with_client_secret(secret);
        }
        match path[2] {
            "jwt" if path[1] == "api" => app.with_jwt_app(path[3]),
            "jwt" => match self.value("jwtapp") {
                Some(name) => app.with_jwt_app(name),
                None => app,
            },
            "oidc" if path[1] == "sso" => app.with_oidc_app(path[4]),
            "oidc" => app.with_oidc_app(path[3]),
            _ => app.with_oauth_app(path[3]),
        }
    }
}

fn tokens_of(tokens: &TokenSet) -> Value {
    json!({
        "access_token": tokens.access_token.expose(),
        "token_type": tokens.token_type,
        "lifetime": tokens.expires_in.map(|time| time.as_secs()),
        "refresh_token": tokens.refresh_token.as_ref().map(RefreshToken::expose),
        "id_token": tokens.id_token.as_ref().map(IdToken::expose),
    })
}

fn tokens_in(body: &Value) -> Value {
    let lifetime =
        [&body["expires_in"], &body["expires"], &body["expire_in"]].into_iter().find(|value| !value.is_null());
    let seconds = lifetime.map(|value| value.as_u64().unwrap_or_else(|| value.as_str().unwrap().parse().unwrap()));
    json!({
        "access_token": body["access_token"],
        "token_type": body["token_type"],
        "lifetime": seconds.expect("every sample has a lifetime"),
        "refresh_token": body["refresh_token"],
        "id_token": if body["Id_token"].is_null() { &body["id_token"] } else { &body["Id_token"] },
    })
}

fn grant_of(grant: &DeviceGrant) -> Value {
    json!({
        "device_code": grant.device_code.expose(),
        "user_code": grant.user_code,
        "verification_uri": grant.verification_uri,
        "verification_uri_complete": grant.verification_uri_complete,
        "interval": grant.interval.as_secs(),
        "expires_in": grant.expires_in.as_secs(),
    })
}

fn grant_in(body: &Value) -> Value {
    let names = ["device_code", "user_code", "verification_uri", "verification_uri_complete", "interval", "expires_in"];
    names.iter().map(|name| ((*name).to_owned(), body[name].clone())).collect::<serde_json::Map<_, _>>().into()
}

fn state_of(state: Introspection) -> Value {
    let Introspection::Active(token) = state else { return json!({"active": false}) };
    let seconds =
        |time: Option<SystemTime>| time.map(|time| time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs());
    json!({
        "active": true,
        "sub": token.subject,
        "cid": token.client_id,
        "iss": token.issuer,
        "aud": token.audience,
        "scp": token.scope,
        "gty": token.grant_type,
        "exp": seconds(token.expires_at),
        "iat": seconds(token.issued_at),
        "nbf": seconds(token.not_before),
    })
}

fn state_in(body: &Value) -> Value {
    let names = ["active", "sub", "cid", "iss", "aud", "scp", "gty", "exp", "iat", "nbf"];
    names.iter().map(|name| ((*name).to_owned(), body[name].clone())).collect::<serde_json::Map<_, _>>().into()
}

fn jwt_of(jwt: Jwt) -> Value {
    Value::from(jwt.expose())
}

fn jwt_in(body: &Value) -> Value {
    body["signature"].clone()
}

fn check_error(name: &str, error: &Error, body: &Value) {
    if !body.is_object() {
        assert!(error.api_error().is_none(), "{name}");
        return;
    }
    let text = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let api_error: &ApiError = error.api_error().unwrap_or_else(|| panic!("{name}: {error}"));
    let code = body["ErrorCode"].as_i64();
    assert_eq!(api_error.code, code, "{name}");
    assert_eq!(api_error.message, text(&body["Message"]), "{name}");
    assert_eq!(api_error.description, text(&body["Description"]).or(text(&body["error_description"])), "{name}");
    let named = code.filter(|code| (2008..=2014).contains(code)).and_then(|_| text(&body["Message"]));
    assert_eq!(api_error.oauth_error, text(&body["error"]).or(named), "{name}");
    assert_eq!(api_error.is_provider_error, body["IsProviderError"] == true, "{name}");
    let fields: Vec<_> =
        api_error.fields.iter().map(|field| (Some(field.name.clone()), Some(field.message.clone()))).collect();
    let documented: Vec<_> = body["Errors"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|field| (text(&field["FieldName"]), text(&field["ErrorMessage"])))
        .collect();
    assert_eq!(fields, documented, "{name}");
    let json = |text: Option<&str>| text.map_or(Value::Null, |text| serde_json::from_str(text).unwrap());
    assert_eq!(json(api_error.expose_data()), body["Data"], "{name}");
    assert_eq!(json(api_error.expose_provider_response()), body["ProviderErrorResponse"], "{name}");
}

/// What an address that a browser opens has besides the documented parameters: what proves whose callback comes back.
const MADE: [&str; 4] = ["state", "code_challenge", "code_challenge_method", "nonce"];

/// The documented addresses: what a sample does not have of what is always sent.
const ADDRESSES: &[(&str, &[&str])] = &[
    ("classic_authorize_pkce_url", &[]),
    ("classic_authorize_scope_smuggling_url", &["code_challenge", "code_challenge_method"]),
    ("classic_authorize_url", &["code_challenge", "code_challenge_method"]),
    ("classic_jwt_redirect_url", &[]),
    ("site_authorize_url", &["code_challenge", "code_challenge_method"]),
];

/// The verifier of RFC 7636, appendix B, between a state and a nonce.
fn appendix_b() -> RandomBytes {
    let verifier = [
        116, 24, 223, 180, 151, 153, 224, 37, 79, 250, 96, 125, 216, 173, 187, 186, 22, 212, 37, 77, 105, 214, 191,
        240, 91, 88, 5, 88, 83, 132, 141, 121,
    ];
    let bytes = std::array::from_fn(|at| if (32..64).contains(&at) { verifier[at - 32] } else { at as u8 });
    RandomBytes::new(bytes).unwrap()
}

const STATE: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

#[test]
fn every_address_that_a_browser_opens() {
    let documented = |vector: &Vector| matches!(vector.endpoint.as_str(), "authorize" | "jwt_redirect");
    let vectors: Vec<Vector> = loginradius_vectors::all().into_iter().filter(documented).collect();
    let names: Vec<&str> = vectors.iter().map(|vector| vector.name.as_str()).collect();
    assert_eq!(names, ADDRESSES.iter().map(|row| row.0).collect::<Vec<_>>());
    for (vector, (name, added)) in vectors.iter().zip(ADDRESSES) {
        let given = Given::of(vector);
        assert_eq!(given.method, "GET");
        let text = |key: &str| given.value(key).unwrap_or_else(|| panic!("{name} has no {key}"));
        let app =
            App::new(given.value("client_id").unwrap_or_default()).with_service(match given.url.split('/').nth(3) {
                Some("sso") => Service::classic(),
                _ => Service::site(given.url.split('/').nth(2).unwrap()).unwrap(),
            });
        let url = if vector.endpoint == "jwt_redirect" {
            let app = app.with_api_key(text("apikey")).with_jwt_app(text("jwtapp"));
            let redirect = JwtRedirect::new(text("return_url"), "token");
            redirect.begin(&app, &appendix_b(), std::time::UNIX_EPOCH).unwrap().url
        } else {
            assert_eq!(text("response_type"), "code");
            let request =
                AuthorizationRequest::new(text("redirect_uri")).scope(given.value("scope").unwrap_or_default());
            let app = app.with_oauth_app(given.url.split('/').nth(5).unwrap());
            request.begin(&app, &appendix_b(), std::time::UNIX_EPOCH).unwrap().url
        };

        let (ours, theirs) = (url.split_once('?').unwrap(), given.url.split_once('?').unwrap());
        assert_eq!(ours.0, theirs.0, "{name}");
        // As they are written, so that the encoding counts too.
        let written = |query: &str| query.split('&').map(str::to_owned).collect::<Vec<_>>();
        let (mut ours, mut theirs) = (written(ours.1), written(theirs.1));
        for name in MADE {
            let begins = format!("{name}=");
            let ours_has = ours.iter().any(|pair| pair.starts_with(&begins));
            let theirs_has = theirs.iter().any(|pair| pair.starts_with(&begins));
            assert_eq!(ours_has && !theirs_has, added.contains(&name), "{}: {name}", vector.name);
            if added.contains(&name) {
                ours.retain(|pair| !pair.starts_with(&begins));
            }
            assert!(!theirs_has || ours_has, "{}: {name}", vector.name);
        }
        for pair in &mut theirs {
            // The samples' state is a word; the classic JWT redirect has none, so ours stands in the return address.
            if pair.starts_with("state=") {
                *pair = format!("state={STATE}");
            }
            if pair.starts_with("return_url=") {
                *pair += &format!("%3Fstate%3D{STATE}");
            }
        }
        ours.sort();
        theirs.sort();
        assert_eq!(ours, theirs, "{name}");
    }
}

#[test]
fn the_documented_way_back() {
    let vector = loginradius_vectors::named("classic_authorize_url");
    let location = vector.response.unwrap().headers["Location"].clone();
    let request = AuthorizationRequest::new("https://www.abc.com/callback");
    let mut login = request.begin(&App::new("key"), &appendix_b(), std::time::UNIX_EPOCH).unwrap();
    let ours = location.replace("random-long-string", STATE);
    assert_ne!(ours, location);
    let callback = loginradius_proto::browser::Callback::from_url(&ours).unwrap();
    let exchange = login.pending.accept(&callback, std::time::UNIX_EPOCH).unwrap().exchange().unwrap();
    let sent = Sent::of(&exchange.request(&App::new("key")).unwrap());
    let value = |name: &str| sent.form.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    assert_eq!(value("code"), Some("thecode"));
    // As in `classic_code_exchange_pkce_public`.
    assert_eq!(value("code_verifier"), Some("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"));
}
