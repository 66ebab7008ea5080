//! Settings that are missing, mistyped or pasted with something invisible.

use loginradius_conformance::{Adapter, Server, Settings, secrets};
use loginradius_emulator::{Emulator, seeded};
use loginradius_proto::browser::RandomBytes;
use loginradius_proto::jwt::JwtByAccessToken;
use loginradius_proto::oauth::{AccessTokenByPassword, RefreshAccessToken, RequestDeviceCode};
use loginradius_proto::{App, ClientAuthentication, Dialect, Error, Service};

use crate::case::{Case, REFUSED, Said, app, case, server_certificate};
use crate::logins::app_at;

pub(crate) fn cases() -> Vec<Case> {
    [credentials(), names(), addresses(), of_the_client()].into_iter().flatten().collect()
}

fn password<A: Adapter>(app: App) -> Error {
    let client = A::new(app, &Settings::default()).unwrap();
    client.call(&AccessTokenByPassword::new(seeded::ADA.email, seeded::ADA.password)).unwrap_err()
}

fn device<A: Adapter>(app: App) -> Error {
    A::new(app, &Settings::default()).unwrap().call(&RequestDeviceCode::new()).unwrap_err()
}

fn jwt<A: Adapter>(app: App) -> Error {
    A::new(app, &Settings::default()).unwrap().call(&JwtByAccessToken::new(secrets::ACCESS_TOKEN)).unwrap_err()
}

/// Starts a server that refuses every client.
fn refusing(body: &'static str) -> Server {
    let response = format!("HTTP/1.1 401 Unauthorized\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    Server::responding(move |_| response.clone().into_bytes())
}

/// The client id and the secret.
fn credentials() -> Vec<Case> {
    vec![
        case!("the client id is empty", <A> { device::<A>(App::new("").with_oauth_app("my-oauth-app")) }),
        case!("the client id begins with a byte order mark", <A> {
            device::<A>(App::new("\u{feff}my-client-id").with_oauth_app("my-oauth-app"))
        }),
        case!("the client id ends with a space", <A> {
            device::<A>(App::new("my-client-id ").with_oauth_app("my-oauth-app"))
        }),
        case!("the client secret has the line break of its file", <A> {
            password::<A>(app(REFUSED).with_client_secret(format!("{}\n", secrets::CLIENT_SECRET)))
        }),
        case!("the client secret ends with a zero-width space", <A> {
            password::<A>(app(REFUSED).with_client_secret(format!("{}\u{200b}", secrets::CLIENT_SECRET)))
        }),
        case!("the client secret is not set, and the server wants one", <A> {
            let server = refusing(r#"{"error":"invalid_client","error_description":"Client authentication failed."}"#);
            password::<A>(App::new("my-client-id").with_service(Service::classic_at(&server.url()).unwrap()))
        }),
        case!("the client secret is not set, and the app may not do that without one", <A> {
            let server = refusing(r#"{"error":"unauthorized_client"}"#);
            let site = Service::site_at(&server.url()).unwrap();
            password::<A>(App::new("my-client-id").with_oauth_app("my-oauth-app").with_service(site))
        }),
        case!("the client secret is not the one that the server knows", <A> {
            let server = refusing(r#"{"error":"invalid_client","error_description":"Client authentication failed."}"#);
            password::<A>(app(&server.url()))
        }),
        case!("the client secret is another app's", <A> {
            let emulator = Emulator::start().unwrap();
            password::<A>(app_at(&emulator).with_client_secret(seeded::OTHER_CLIENT_SECRET))
        }),
        case!("the client id is unknown", <A> {
            let emulator = Emulator::start().unwrap();
            let app = App::new("de300000-0000-4000-8000-00000000000f").with_client_secret(secrets::CLIENT_SECRET);
            password::<A>(app.with_service(app_at(&emulator).service().clone()))
        }),
        case!("the client id is unknown, in a device login", <A> {
            let emulator = Emulator::start().unwrap();
            let app = App::new("de300000-0000-4000-8000-00000000000f").with_oauth_app(seeded::OAUTH_APP);
            device::<A>(app.with_service(app_at(&emulator).service().clone()))
        }),
        case!("the API key is unknown, for a JWT", <A> {
            let emulator = Emulator::start().unwrap();
            jwt::<A>(app_at(&emulator).with_api_key(secrets::API_KEY))
        }),
    ]
}

/// The names of the OAuth app and the JWT app.
fn names() -> Vec<Case> {
    vec![
        case!("the OAuth app's name is not set", <A> { device::<A>(App::new("my-client-id")) }),
        case!("the OAuth app's name is empty", <A> { device::<A>(app(REFUSED).with_oauth_app("")) }),
        case!("the OAuth app's name ends with a no-break space", <A> {
            device::<A>(app(REFUSED).with_oauth_app("my-oauth-app\u{a0}"))
        }),
        case!("the OAuth app's name is unknown", <A> {
            let emulator = Emulator::start().unwrap();
            device::<A>(app_at(&emulator).with_oauth_app("my-oauth-app"))
        }),
        case!("the JWT app's name is not set", <A> { jwt::<A>(App::new("my-client-id")) }),
        case!("the JWT app's name is unknown", <A> {
            let emulator = Emulator::start().unwrap();
            jwt::<A>(app_at(&emulator).with_jwt_app("my-jwt-app"))
        }),
        case!("the scope has a line break", <A> {
            let client = A::new(app(REFUSED), &Settings::default()).unwrap();
            client.call(&RequestDeviceCode::new().scope("email\nprofile")).unwrap_err()
        }),
        case!("the refresh token is empty", <A> {
            let client = A::new(app(REFUSED), &Settings::default()).unwrap();
            client.call(&RefreshAccessToken::new("")).unwrap_err()
        }),
    ]
}

/// Where LoginRadius is.
fn addresses() -> Vec<Case> {
    fn classic(url: &str) -> Error {
        Service::classic_at(url).unwrap_err()
    }
    fn site(host: &str) -> Error {
        Service::site(host).unwrap_err()
    }
    vec![
        case!("the base URL is http", { classic("http://sso.example.com") }),
        case!("the base URL has no scheme", { classic("sso.example.com") }),
        case!("the base URL is that of a web socket", { classic("wss://sso.example.com") }),
        case!("the base URL is empty", { classic("") }),
        case!("the base URL has a space at its end", { classic("https://sso.example.com ") }),
        case!("the base URL has a query", { classic("https://sso.example.com/?apikey=my-client-id") }),
        case!("the base URL has a fragment", { classic("https://sso.example.com/#login") }),
        case!("the base URL has a user and a password", {
            Said::of(&classic("https://ada:hunter2-of-ada@sso.example.com")).without("hunter2-of-ada")
        }),
        case!("the base URL has a port that is none", { classic("https://sso.example.com:99999") }),
        case!("the base URL has a host that ends with a dot", { classic("https://sso.example.com./") }),
        case!("the base URL has an international host", { classic("https://sso.b\u{fc}cher.example") }),
        case!("the base URL has a double slash in its path", { classic("https://sso.example.com//sso") }),
        case!("the base URL has backslashes", { classic("https:\\\\sso.example.com") }),
        case!("the base URL has an address that is none", { classic("https://10.0.0.300") }),
        case!("the base URL is http and a name below localhost", { classic("http://app.localhost:8710") }),
        case!("the site is a name without a domain", { site("acme") }),
        case!("the site is a whole URL", { site("https://acme.hub.loginradius.com") }),
        case!("the site is empty", { site("") }),
        case!("the API host is http", { Service::classic().with_api_host("http://api.example.com").unwrap_err() }),
        case!("HTTP Basic authentication at the classic API", {
            let dialect = Dialect::new().with_client_authentication(ClientAuthentication::Basic);
            Service::classic().with_dialect(dialect).unwrap_err()
        }),
        case!("a site without the grant type of a code", {
            let dialect = Dialect::new().with_grant_type_of_code(false);
            Service::site("acme.hub.loginradius.com").unwrap().with_dialect(dialect).unwrap_err()
        }),
        case!("random bytes that are all zero", { RandomBytes::new([0; 96]).unwrap_err() }),
    ]
}

/// What the builder of a client is given.
fn of_the_client() -> Vec<Case> {
    fn refused<A: Adapter>(change: impl FnOnce(&mut Settings)) -> Error {
        let mut settings = Settings::default();
        change(&mut settings);
        A::new(app("https://sso.example.com"), &settings).unwrap_err()
    }
    fn proxy<A: Adapter>(url: &str) -> Error {
        refused::<A>(|settings| settings.proxy = Some(url.to_owned()))
    }
    fn roots<A: Adapter>(pem: &str) -> Error {
        refused::<A>(|settings| settings.root_certificates = Some(pem.to_owned()))
    }
    const PRIVATE_KEY: &str = "-----BEGIN PRIVATE KEY-----\nY2FuYXJ5LWtleS00ZjFj\n-----END PRIVATE KEY-----\n";
    vec![
        case!("the root certificates are empty", <A> { roots::<A>("") }),
        case!("the root certificates are the name of a file", <A> { roots::<A>("/etc/ssl/company.pem") }),
        case!("the root certificates are a private key", <A> {
            Said::of(&roots::<A>(PRIVATE_KEY)).without("Y2FuYXJ5LWtleS00ZjFj")
        }),
        case!("a root certificate is cut off", <A> {
            let whole = server_certificate();
            roots::<A>(&whole[..whole.len() / 2])
        }),
        case!("a root certificate is damaged", <A> {
            let mut lines: Vec<_> = server_certificate().lines().collect();
            lines.remove(2);
            roots::<A>(&lines.join("\n"))
        }),
        case!("the user agent has a line break", <A> {
            refused::<A>(|settings| settings.user_agent = Some("my-program\n1.0".to_owned()))
        }),
        case!("the proxy is of the scheme ftp", <A> { proxy::<A>("ftp://proxy.example.com:3128") }),
        case!("the proxy is of the scheme socks4", <A> { proxy::<A>("socks4://proxy.example.com:1080") }),
        case!("the proxy has no host", <A> { proxy::<A>("http://") }),
        case!("the proxy has a port that is none", <A> { proxy::<A>("http://proxy.example.com:port") }),
        case!("the proxy's password has an at sign", <A> {
            Said::of(&proxy::<A>("http://ada:hunter2@of/ada@proxy.example.com:3128")).without("hunter2")
        }),
        case!("an agent of one's own, and root certificates for it", {
            let client = loginradius_blocking::Client::builder(app("https://sso.example.com"));
            let agent = ureq::Agent::new_with_defaults();
            client.unmanaged_agent(agent).root_certificates(server_certificate()).build().unwrap_err()
        }),
        case!("an agent of one's own, and a SOCKS proxy for it", {
            let client = loginradius_blocking::Client::builder(app("https://sso.example.com"));
            let agent = ureq::Agent::new_with_defaults();
            let client = client.unmanaged_agent(agent).proxy("socks5://127.0.0.1:1080").build().unwrap();
            client.call(&RefreshAccessToken::new(secrets::REFRESH_TOKEN)).unwrap_err()
        }),
        case!("a reqwest builder of one's own, and root certificates for it that are none", {
            let client = loginradius_async::Client::builder(app("https://sso.example.com"));
            client.unmanaged_reqwest(reqwest::Client::builder).root_certificates("").build().unwrap_err()
        }),
    ]
}
