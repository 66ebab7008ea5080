//! Hostile values for every part of a request; each line of the input is one. `$n` and `$t` in a line stand for a line
//! feed and a tab.
//!
//! The first byte, from `0` on, chooses `RequestBuilder`, an operation or an address for a browser. For the builder,
//! the method and the base URL follow. Then each line's first byte says which part of the request it is, and a tab
//! separates its name from its value. For the others, the API and the dialect follow, and the lines are the app's
//! settings and then the arguments.
//!
//! - Each value is in the request once and unchanged when the readers of this folder and the crate `url` read it. There
//!   is no other parameter, segment, header or member, and the scheme, host and port are those of the base URL.
//! - A value that can be sent is sent. Any other is a configuration error of one line that does not show it.

#![cfg_attr(fuzzing, no_main)]

use std::collections::BTreeMap;

use loginradius_fuzz::json::{self, Json};
use loginradius_fuzz::logins::{NONCE, STATE, random, start};
use loginradius_fuzz::read::{base64, form, percent};
use loginradius_fuzz::text::fill_in;
use loginradius_proto::browser::{AuthorizationRequest, BrowserRequest, JwtRedirect};
use loginradius_proto::http::{Method, Request};
use loginradius_proto::jwt::{JwtByAccessToken, JwtLogin, LoginOptions};
use loginradius_proto::oauth::{
    AccessTokenByCode, AccessTokenByPassword, RefreshAccessToken, RequestDeviceCode, RequestTokens, RevokeRefreshToken,
};
use loginradius_proto::{
    App, Body, BodyFormat, ClientAuthentication, Dialect, Endpoint, Error, ErrorKind, RequestBuilder, RevocationKey,
    Service,
};
use url::Url;

loginradius_fuzz::target!(writers);

type Pairs = Vec<(String, String)>;

fn writers(data: &[u8]) {
    // Percent-encoded, none is too long for a URL.
    let data = &data[..data.len().min(4096)];
    let mut lines = data.split(|byte| *byte == b'\n').map(|line| {
        let filled = fill_in(line, &[("$n", "\n"), ("$t", "\t")]);
        String::from_utf8_lossy(&filled).into_owned()
    });
    let head = lines.next().unwrap_or_default();
    let mut choices = head.bytes().map(|byte| usize::from(byte.wrapping_sub(b'0')));
    let mut choose = || choices.next().unwrap_or(0);
    let lines: Vec<String> = lines.collect();
    match choose() % 13 {
        0 => builder(choose(), choose(), &lines),
        number => {
            let Some(case) = Case::new(choose(), &lines) else { return };
            if number <= 10 { case.operation(number) } else { case.address(number) }
        }
    }
}

/// What a request has to be.
#[derive(Default)]
struct Wanted {
    base: String,
    segments: Vec<String>,
    query: Pairs,
    headers: BTreeMap<String, Header>,
    body: Content,
}

enum Header {
    Is(String),
    /// The client's id and secret, by HTTP Basic authentication.
    Basic(String, String),
}

#[derive(Debug, Default, PartialEq)]
enum Content {
    #[default]
    Empty,
    Form(Pairs),
    Json(Pairs),
}

impl Wanted {
    fn at(base: String, path: &str) -> Self {
        Self { base, segments: path.split('/').skip(1).map(str::to_owned).collect(), ..Self::default() }
    }

    fn check_request(mut self, request: &Request<Body>) {
        self.check_url(&request.uri().to_string());
        let bytes = request.body().as_bytes();
        let (content_type, sent) = match self.body {
            Content::Empty => (None, Content::Empty),
            Content::Form(_) => (Some("application/x-www-form-urlencoded"), Content::Form(form(bytes))),
            Content::Json(_) => (Some("application/json"), Content::Json(members(bytes))),
        };
        assert_eq!(sent, self.body);
        assert!(sent != Content::Empty || bytes.is_empty());
        assert!(!matches!(sent, Content::Form(_)) || is_urlencoded(bytes));
        if let Some(content_type) = content_type {
            self.headers.insert("content-type".to_owned(), Header::Is(content_type.to_owned()));
        }
        self.headers.entry("accept".to_owned()).or_insert_with(|| Header::Is("application/json".to_owned()));
        for (name, value) in headers(request) {
            match self.headers.remove(&name).unwrap_or_else(|| panic!("the header `{name}`")) {
                Header::Is(wanted) => assert_eq!(value, wanted, "{name}"),
                Header::Basic(id, secret) => {
                    let pair = base64(value.strip_prefix("Basic ").expect("the scheme").as_bytes()).expect("base64");
                    let colon = pair.iter().position(|byte| *byte == b':').expect("a colon");
                    let plain = |part: &[u8]| form(&[b"=", part].concat()).remove(0).1;
                    assert_eq!([plain(&pair[..colon]), plain(&pair[colon + 1..])], [id, secret]);
                }
            }
        }
        assert!(self.headers.is_empty());
    }

    fn check_url(&self, url: &str) {
        let query = self.check_before_query(url);
        assert!(is_urlencoded(query.as_bytes()), "{url}");
        assert_eq!(form(query.as_bytes()), self.query, "{url}");
    }

    /// Checks the URL up to its query, which is returned.
    fn check_before_query<'a>(&self, url: &'a str) -> &'a str {
        assert!(url.bytes().all(|byte| byte.is_ascii_graphic()) && !url.contains('#'), "{url}");
        // The crate `url` resolves dot segments and user information; here it finds none.
        let (before, query) = url.split_once('?').unwrap_or((url, ""));
        assert_eq!(Url::parse(before).expect("a URL").as_str(), before);
        let path = before.strip_prefix(&self.base).expect("the base URL comes first");
        let segments: Vec<_> = path.split('/').skip(1).map(|text| percent(text.as_bytes())).collect();
        assert!(
            path.starts_with('/') && segments.iter().map(Vec::as_slice).eq(self.segments.iter().map(String::as_bytes)),
            "{url}"
        );
        query
    }
}

/// Returns whether no reader of a form sees more in it than names, values and the signs between them.
fn is_urlencoded(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"*-._+&=%".contains(byte))
}

/// Reads the headers as a server does that ends a line at any control character.
fn headers(request: &Request<Body>) -> Pairs {
    let lines =
        request.headers().iter().map(|(name, value)| [name.as_str().as_bytes(), b": ", value.as_bytes()].concat());
    let head = String::from_utf8(lines.collect::<Vec<_>>().join(&b'\n')).expect("UTF-8");
    let pair = |line: &str| line.split_once(": ").map(|(name, value)| (name.to_owned(), value.to_owned()));
    head.split(char::is_control).map(|line| pair(line).expect("a name and a value")).collect()
}

fn members(bytes: &[u8]) -> Pairs {
    let text = |text: &Option<String>| text.clone().expect("a whole string");
    let Some(Json::Object(members)) = json::value(bytes) else { panic!("no object") };
    let member = |(name, value): &(Option<String>, Json)| match value {
        Json::Text(value) => (text(name), text(value)),
        other => panic!("{other:?}"),
    };
    members.iter().map(member).collect()
}

/// Checks that the error shows no value; it may show names.
fn check_error(error: &Error, values: &[&str], names: &[&str]) {
    assert_eq!(error.kind(), ErrorKind::Configuration, "{error}");
    let printed = format!("{error} {error:?}");
    assert!(!printed.contains(char::is_control), "{printed:?}");
    // Only values that are in none of our own words.
    let is_telling = |value: &&&str| value.len() > 8 && value.bytes().all(|byte| byte.is_ascii_digit());
    let telling = values.iter().filter(is_telling).filter(|value| !names.iter().any(|name| name.contains(**value)));
    telling.for_each(|value| assert!(!printed.contains(value), "{printed}"));
}

/// Returns whether it can be sent as a parameter.
fn is_value(text: &str) -> bool {
    !text.is_empty() && !has_control(text)
}

fn has_control(text: &str) -> bool {
    text.contains(char::is_control)
}

/// Returns whether a program may set that header.
fn is_header(name: &str) -> bool {
    const OF_THE_TRANSPORT: [&str; 10] = [
        "accept-encoding",
        "connection",
        "content-length",
        "expect",
        "host",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "user-agent",
    ];
    // RFC 9110, section 5.6.2.
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty()
        && name.bytes().all(is_token)
        && !OF_THE_TRANSPORT.iter().any(|theirs| name.eq_ignore_ascii_case(theirs))
}

fn builder(method: usize, base: usize, lines: &[String]) {
    let services = [
        Service::classic(),
        Service::classic_at("https://sso.example.com:8443/a/b").expect("a URL"),
        Service::site_at("http://127.0.0.1:8710").expect("a URL"),
    ];
    let base = services[base % services.len()].api_host();
    let methods =
        [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::HEAD, Method::CONNECT];
    let method = methods[method % methods.len()].clone();
    let path = lines.iter().find_map(|line| line.strip_prefix('p')).unwrap_or("/identity/v2/auth");

    let mut wanted = Wanted::at(base.to_string(), path);
    // RFC 3986, section 3.3: `pchar` without percent-encoding.
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/".contains(&byte);
    let mut sendable = !matches!(method, Method::HEAD | Method::CONNECT)
        && path.starts_with('/')
        && path.bytes().all(is_plain)
        && !path.split('/').skip(1).any(|segment| matches!(segment, "" | "." | ".."));
    let mut builder = RequestBuilder::new(method.clone(), base, path);
    let (mut values, mut names) = (Vec::new(), Vec::new());
    let (mut fields, mut members) = (Pairs::new(), BTreeMap::new());
    for line in lines {
        let Some(part) = line.chars().next() else { continue };
        let text = &line[part.len_utf8()..];
        let (name, value) = text.split_once('\t').unwrap_or((text, ""));
        let pair = || (name.to_owned(), value.to_owned());
        builder = match part {
            '/' => {
                sendable &= !matches!(text, "" | "." | "..") && !has_control(text);
                wanted.segments.push(text.to_owned());
                builder.segment(text)
            }
            '?' => {
                sendable &= is_value(name) && is_value(value);
                wanted.query.push(pair());
                builder.query(name.to_owned(), value)
            }
            'h' => {
                sendable &= is_header(name) && !has_control(value);
                wanted.headers.insert(name.to_ascii_lowercase(), Header::Is(value.to_owned()));
                builder.header(name, value)
            }
            'b' => {
                sendable &= !text.is_empty() && !has_control(text);
                wanted.headers.insert("authorization".to_owned(), Header::Is(format!("Bearer {text}")));
                builder.bearer(&text.into())
            }
            'a' => {
                sendable &= is_value(name) && is_value(value);
                wanted.headers.insert("authorization".to_owned(), Header::Basic(name.to_owned(), value.to_owned()));
                builder.basic(name, &value.into())
            }
            'f' => {
                fields.push(pair());
                builder
            }
            'j' => {
                members.extend([pair()]);
                builder
            }
            _ => builder,
        };
        let (name, value) = if matches!(part, '/' | 'b') { ("", text) } else { (name, value) };
        names.push(name);
        values.push(value);
    }
    if !fields.is_empty() {
        builder = builder.form(&fields);
        wanted.body = Content::Form(fields);
    }
    if !members.is_empty() {
        builder = builder.json(&members);
        wanted.body = Content::Json(members.into_iter().collect());
    }
    match builder.build() {
        Ok(request) => {
            assert!(sendable, "{request:?}");
            assert_eq!(request.method(), method);
            wanted.check_request(&request);
        }
        Err(error) => {
            assert!(!sendable, "{error}");
            check_error(&error, &values, &names);
        }
    }
}

/// The settings of an app, and the arguments of an operation.
struct Case {
    app: App,
    site: bool,
    bits: usize,
    values: Vec<String>,
}

impl Case {
    const SITE: usize = 1;
    const JSON: usize = 2;
    const GRANT_TYPE_OF_CODE: usize = 4;
    const NO_RESPONSE_TYPE: usize = 8;
    const REVOKED_TOKEN: usize = 16;
    const BASIC: usize = 32;

    /// Returns `None` for a dialect that the API does not have.
    fn new(bits: usize, lines: &[String]) -> Option<Self> {
        let mut dialect = Dialect::new();
        if bits & Self::JSON != 0 {
            dialect = dialect.with_body_format(BodyFormat::Json);
        }
        if bits & Self::GRANT_TYPE_OF_CODE != 0 {
            dialect = dialect.with_grant_type_of_code(true);
        }
        if bits & Self::NO_RESPONSE_TYPE != 0 {
            dialect = dialect.without_response_type();
        }
        if bits & Self::REVOKED_TOKEN != 0 {
            dialect = dialect.with_revocation_key(RevocationKey::Token);
        }
        if bits & Self::BASIC != 0 {
            dialect = dialect.with_client_authentication(ClientAuthentication::Basic);
        }
        let site = bits & Self::SITE != 0;
        let service =
            if site { Service::site("acme.hub.loginradius.com").expect("a site") } else { Service::classic() };
        let values: Vec<String> =
            (0..lines.len().max(12)).map(|at| lines.get(at).cloned().unwrap_or_default()).collect();
        let [client_id, secret, oauth_app, jwt_app, api_key] = &values[..5] else { unreachable!() };
        let mut app = App::new(client_id).with_service(service.with_dialect(dialect).ok()?);
        if !secret.is_empty() {
            app = app.with_client_secret(secret.as_str());
        }
        if !oauth_app.is_empty() {
            app = app.with_oauth_app(oauth_app);
        }
        if !jwt_app.is_empty() {
            app = app.with_jwt_app(jwt_app);
        }
        if !api_key.is_empty() {
            app = app.with_api_key(api_key);
        }
        Some(Self { app, site, bits, values })
    }

    /// Returns whether this bit of the dialect is set.
    fn has(&self, bit: usize) -> bool {
        self.bits & bit != 0
    }

    /// Returns the URL, in which the names of the app are still to be filled in.
    fn at(&self, classic: &str, site: &str) -> Wanted {
        let (base, path) = if self.site {
            ("https://acme.hub.loginradius.com", site)
        } else {
            ("https://cloud-api.loginradius.com", classic)
        };
        let mut wanted = Wanted::at(base.to_owned(), path);
        for segment in &mut wanted.segments {
            match segment.as_str() {
                "{oauth}" => *segment = self.app.oauth_app().unwrap_or_default().to_owned(),
                "{jwt}" => *segment = self.app.jwt_app().unwrap_or_default().to_owned(),
                _ => {}
            }
        }
        wanted
    }

    /// Makes a body of these parameters, without those that are empty.
    fn body(&self, wanted: Wanted, params: &[(&str, &str)]) -> Wanted {
        let params = sent(params);
        Wanted { body: if self.has(Self::JSON) { Content::Json(params) } else { Content::Form(params) }, ..wanted }
    }

    /// Makes the same, with the client's id and secret.
    fn authenticated(&self, mut wanted: Wanted, params: &[(&str, &str)]) -> Wanted {
        let (id, secret) = (self.app.client_id(), self.values[1].as_str());
        if self.has(Self::BASIC) && !secret.is_empty() {
            wanted.headers.insert("authorization".to_owned(), Header::Basic(id.to_owned(), secret.to_owned()));
            return self.body(wanted, &[&[("client_id", id)], params].concat());
        }
        self.body(wanted, &[&[("client_id", id), ("client_secret", secret)], params].concat())
    }

    fn operation(&self, number: usize) {
        let [a, b, c, d, e, f] = std::array::from_fn(|at| self.values[5 + at].as_str());
        let response_type =
            |sent: bool| ("response_type", if sent && !self.has(Self::NO_RESPONSE_TYPE) { "token" } else { "" });
        let grant_type_of_code =
            if self.site || self.has(Self::GRANT_TYPE_OF_CODE) { "authorization_code" } else { "" };
        let token = || self.at("/sso/oauth/access_token", "/api/oauth/{oauth}/token");
        match number {
            1 => {
                let wanted = self.at("/sso/oauth/{oauth}/device", "/api/oauth/{oauth}/device");
                let wanted = self.body(wanted, &[("client_id", self.app.client_id()), ("scope", a)]);
                self.check(&RequestDeviceCode::new().scope(a), wanted, &[]);
            }
            2 => {
                let wanted = self.at("/sso/oauth/{oauth}/access_token", "/api/oauth/{oauth}/token");
                let grant_type = ("grant_type", "urn:ietf:params:oauth:grant-type:device_code");
                let params =
                    [("client_id", self.app.client_id()), grant_type, response_type(self.site), ("device_code", a)];
                self.check(&RequestTokens::new(a), self.body(wanted, &params), &[a]);
            }
            3 => {
                let params = [
                    ("redirect_uri", b),
                    ("grant_type", grant_type_of_code),
                    response_type(true),
                    ("code", a),
                    ("code_verifier", c),
                ];
                let operation = AccessTokenByCode::new(a, b).code_verifier(c);
                self.check(&operation, self.authenticated(token(), &params), &[a, b]);
            }
            4 => {
                let params = [
                    ("grant_type", "password"),
                    response_type(self.site),
                    ("username", a),
                    ("password", b),
                    ("scope", c),
                ];
                let operation = AccessTokenByPassword::new(a, b).scope(c);
                self.check(&operation, self.authenticated(token(), &params), &[a, b]);
            }
            5 => {
                let wanted = self.at("/sso/oauth/access_token/refresh", "/api/oauth/{oauth}/token");
                let params = [("grant_type", "refresh_token"), ("refresh_token", a)];
                self.check(&RefreshAccessToken::new(a), self.authenticated(wanted, &params), &[a]);
            }
            6 => {
                let wanted = self.at("/sso/oauth/refresh_token/revoke", "/api/oauth/{oauth}/revoke");
                let key = if self.has(Self::REVOKED_TOKEN) { "token" } else { "refresh_token" };
                self.check(&RevokeRefreshToken::new(a), self.authenticated(wanted, &[(key, a)]), &[a]);
            }
            7 => {
                let wanted = self.at("/sso/jwt/api/token", "/api/jwt/{jwt}/token");
                let operation = JwtByAccessToken::new(a);
                let operation = if b.is_empty() { operation } else { operation.nonce(b) };
                let query = self.jwt_query(b, &[("access_token", a)]);
                self.check(&operation, Wanted { query, ..wanted }, &[a]);
            }
            _ => {
                let wanted = self.at("/sso/jwt/api/login", "/api/jwt/{jwt}/login");
                let (name, login) = match number {
                    8 => ("email", JwtLogin::email(a, b)),
                    9 => ("phone", JwtLogin::phone(a, b)),
                    _ => ("username", JwtLogin::username(a, b)),
                };
                let options = LoginOptions::new().verification_url(c).login_url(d).email_template(e);
                let options = if f.is_empty() { options } else { options.nonce(f) };
                let query = self.jwt_query(f, &[("verificationurl", c), ("loginurl", d), ("emailtemplate", e)]);
                let body = Content::Json(sent(&[(name, a), ("password", b)]));
                self.check(&login.options(options), Wanted { query, body, ..wanted }, &[a, b]);
            }
        }
    }

    fn jwt_query(&self, nonce: &str, params: &[(&str, &str)]) -> Pairs {
        let jwt_app = if self.site { "" } else { self.app.jwt_app().unwrap_or_default() };
        sent(&[&[("Nonce", nonce), ("apikey", self.app.api_key()), ("jwtapp", jwt_app)], params].concat())
    }

    fn check(&self, operation: &impl Endpoint, wanted: Wanted, required: &[&str]) {
        let for_sites_alone = wanted.query.iter().any(|(name, _)| name == "Nonce");
        match operation.request(&self.app) {
            Ok(request) => {
                let method = if wanted.body == Content::Empty { Method::GET } else { Method::POST };
                assert_eq!(request.method(), method);
                assert!(required.iter().all(|value| is_value(value)));
                wanted.check_request(&request);
            }
            Err(error) => {
                let is_harmless = self.is_harmless() && required.iter().all(|value| !value.is_empty());
                assert!(!is_harmless || (for_sites_alone && !self.site), "{error}");
                self.check_error(&error);
            }
        }
    }

    fn check_error(&self, error: &Error) {
        let values: Vec<&str> = self.values.iter().map(String::as_str).collect();
        check_error(error, &values, &self.parameters().map(|(name, _)| name).collect::<Vec<_>>());
    }

    /// Returns whether every setting and every argument can be sent: each has letters that anyone can see, and no space
    /// or sign at an end. A value that is not of this kind may be sent too.
    fn is_harmless(&self) -> bool {
        let is_end = |end: Option<char>| end.is_some_and(|end| end.is_ascii_alphanumeric());
        let is_visible = |c: char| matches!(c, ' '..='~' | '\u{c0}'..='\u{24f}');
        let is_harmless =
            |value: &str| is_end(value.chars().next()) && is_end(value.chars().last()) && value.chars().all(is_visible);
        let (settings, arguments) = self.values.split_at(5);
        settings.iter().all(|value| is_harmless(value))
            && arguments.iter().all(|value| value.is_empty() || is_harmless(value))
    }

    /// Checks the address that a browser opens.
    fn address(&self, number: usize) {
        let [redirect_uri, scope, raw_scope] = std::array::from_fn(|at| self.values[5 + at].as_str());
        let address = if redirect_uri.is_empty() { "https://app.example/callback" } else { redirect_uri };
        let result = if number == 11 {
            let request = AuthorizationRequest::new(address).scope(scope);
            let request = if raw_scope.is_empty() { request } else { request.raw_scope(raw_scope) };
            let request = self.parameters().fold(request, |request, (name, value)| request.parameter(name, value));
            request.begin(&self.app, &random(), start()).map(|login| self.check_authorization(&login.url, address))
        } else {
            let request = JwtRedirect::new(address, "jwt").begin(&self.app, &random(), start());
            request.map(|login| self.check_jwt_redirect(&login.url, address))
        };
        if let Err(error) = result {
            let chosen = redirect_uri.len() + raw_scope.len() + self.parameters().count();
            assert!(!self.is_harmless() || chosen > 0, "{error}");
            self.check_error(&error);
        }
    }

    /// Returns the parameters that the program adds to the address.
    fn parameters(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values[8..].iter().filter_map(|line| line.split_once('\t'))
    }

    fn check_authorization(&self, url: &str, redirect_uri: &str) {
        /// What belongs to the bytes 32 to 63 in base64url (RFC 7636, section 4.2).
        const CHALLENGE: &str = "zwkx4Wi0nph1A8rxivb-JTtrPYKoEAjD6OHuZ8fI3FU";
        let ours = [
            ("client_id", self.app.client_id()),
            ("redirect_uri", redirect_uri),
            ("scope", if self.values[7].is_empty() { self.values[6].as_str() } else { "" }),
            ("response_type", "code"),
            ("state", STATE),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "SHA256"),
        ];
        let mut wanted = sent(&ours);
        wanted.extend(self.parameters().map(|(name, value)| (name.to_owned(), value.to_owned())));
        if !self.values[7].is_empty() {
            wanted.extend(form(format!("scope={}", self.values[7]).as_bytes()));
        }
        let path = self.at("/sso/oauth/redirect", "/service/oauth/{oauth}/authorize");
        let mut found = form(path.check_before_query(url).as_bytes());
        match found.iter().position(|(name, _)| name == "nonce") {
            Some(at) => assert_eq!(found.remove(at).1, NONCE),
            None => assert!(
                !wanted.iter().any(|(name, scope)| name == "scope" && scope.split(' ').any(|word| word == "openid"))
            ),
        }
        assert_eq!(found, wanted, "{url}");
        for name in ours.iter().map(|(name, _)| *name).chain(["nonce"]) {
            let same = found.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name));
            assert!(same.count() <= usize::from(name != "nonce"), "{name} in {url}");
        }
    }

    fn check_jwt_redirect(&self, url: &str, return_url: &str) {
        let mut wanted = self.at("/sso/jwt/redirect/token", "/service/jwt/{jwt}/authorize");
        if self.site {
            wanted.query = sent(&[("client_id", self.app.api_key()), ("redirect_uri", return_url), ("nonce", NONCE)]);
        } else {
            let mark = if return_url.contains('?') { '&' } else { '?' };
            let return_url = format!("{return_url}{mark}state={STATE}");
            let (_, query) = return_url.split_once('?').expect("a query");
            assert_eq!(form(query.as_bytes()).iter().filter(|(name, _)| name == "state").count(), 1, "{return_url}");
            let jwt_app = self.app.jwt_app().unwrap_or_default();
            wanted.query = sent(&[("apikey", self.app.api_key()), ("jwtapp", jwt_app), ("return_url", &return_url)]);
        }
        wanted.check_url(url);
    }
}

/// Returns the parameters that are not empty.
fn sent(params: &[(&str, &str)]) -> Pairs {
    let sent = params.iter().filter(|(_, value)| !value.is_empty());
    sent.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}
