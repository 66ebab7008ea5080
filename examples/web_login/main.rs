//! A web service with a "Sign in with LoginRadius" button.
//!
//!     cargo run --features services --example web_login
//!
//! Without options it starts an emulator: open the address that it prints, and sign in with the password that it
//! prints. `--client-id` points it at the real LoginRadius, which has to know the whole address of `/callback`:
//!
//!     cargo run --features services --example web_login -- --client-id ... --client-secret ... --jwt-app ... \
//!         --jwt-key public.pem --issuer https://acme.hub.loginradius.com/ --listen 127.0.0.1:8400 \
//!         --public-url https://app.example
//!
//! - `GET /` shows the button, or the claims of the user who has signed in.
//! - `GET /login` begins a login: it sends the browser to LoginRadius, with a cookie that keeps the begun login.
//! - `GET /callback` ends it: it redeems the code for tokens, gets a JWT by the access token, verifies the JWT, and
//!   gives the browser a new session.
//! - `POST /logout` signs out.
//!
//! Each browser has a session of its own, also if one user signs in from several. For a visitor who has not signed in,
//! the service keeps nothing, so that no flood of requests can push out what it keeps for others.

mod begun;
mod cookies;
mod failure;
mod pages;
mod sessions;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::middleware::map_response;
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};
use axum::{Form, Router};
use axum_extra::extract::CookieJar;
use clap::Parser;
use loginradius_async::browser::{AuthorizationRequest, Callback, PendingLogin, is_navigation};
use loginradius_async::jwt::JwtByAccessToken;
use loginradius_async::oauth::RevokeRefreshToken;
use loginradius_async::{AccessToken, Client, Dialect, Endpoint as _, RefreshToken, Retry, RevocationKey};
use loginradius_emulator::{Emulator, seeded};
use loginradius_examples::{BrowserOptions, Output, Result, Target, cannot_listen};
use loginradius_jwt::{Algorithm, Audience, Key, Verifier};
use maud::Markup;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;

use crate::begun::{Begun, MAX_BEGUN};
use crate::cookies::{Cookies, read};
use crate::failure::{Failure, log};
use crate::sessions::Sessions;

/// Sign in the visitors of a web service at LoginRadius.
#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    browser: BrowserOptions,
    /// Where to listen
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// The address of this service for browsers, as in `https://app.example`; by default the one that it listens on
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
    /// The algorithm of the JWT app
    #[arg(long, value_name = "NAME", default_value = "RS256")]
    jwt_algorithm: Algorithm,
    /// A file with the public key of the JWT app in PEM, or with its secret if the algorithm is HS256, HS384 or HS512
    #[arg(long, value_name = "FILE")]
    jwt_key: Option<PathBuf>,
    /// The issuer (`iss`) of its JWTs, as in `https://acme.hub.loginradius.com/`
    #[arg(long, value_name = "URL")]
    issuer: Option<String>,
    /// The audience (`aud`) that its JWTs must have; by default any audience is accepted
    #[arg(long)]
    audience: Option<String>,
    /// Send a token under the key `token` to be revoked, as in RFC 7009, and not under LoginRadius's `refresh_token`
    #[arg(long)]
    token_key: bool,
}

/// How long an operation of LoginRadius may take, retries included.
const MAX_WAIT: Duration = Duration::from_secs(10);

/// The state that all requests share.
struct Service {
    client: Client,
    request: AuthorizationRequest,
    verifier: Verifier,
    begun: Begun,
    sessions: Sessions,
    cookies: Cookies,
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let output = cli.browser.common.output();
    output.finish(run(&cli, output).await)
}

async fn run(cli: &Cli, output: Output) -> Result {
    let (target, verifier) = target(cli)?;
    let listener = TcpListener::bind(cli.listen).await.map_err(|error| cannot_listen(cli.listen, &error))?;
    let listen = listener.local_addr()?;
    let url = cli.public_url.as_deref().map_or_else(|| Ok(format!("http://{listen}")), origin)?;
    // A browser waits: an early error is better than many attempts.
    let client = Client::builder(target.app.clone()).retry(Retry::default().with_attempts(2)).build()?.within(MAX_WAIT);
    let request = cli.browser.request(&format!("{url}/callback"));
    // A mistake in the settings is reported now, and not to the first visitor.
    client.begin_browser_login(&request)?;
    JwtByAccessToken::new("any").request(client.app())?;
    let cookies = Cookies { is_https: url.starts_with("https:") };
    let service = Service { client, request, verifier, begun: Begun::new()?, sessions: Sessions::default(), cookies };

    target.print_user(output);
    if output.is_json() {
        output.summary(&json!({ "event": "serving", "url": url, "listen": listen }));
    }
    output.say(format!("Serving at {listen}.\n\nIn a browser, open\n\n  {url}\n"));
    let stopped = || async { drop(tokio::signal::ctrl_c().await) };
    // A client that never ends its request must not keep this alive. On the internet, use a proxy with timeouts.
    let grace_period = async {
        stopped().await;
        tokio::time::sleep(Duration::from_secs(5)).await;
    };
    tokio::select! {
        served = axum::serve(listener, routes(service)?).with_graceful_shutdown(stopped()) => Ok(served?),
        () = grace_period => Ok(()),
    }
}

fn routes(service: Service) -> Result<Router> {
    let policy = HeaderValue::try_from(pages::content_security_policy())?;
    // A HEAD request to these would begin or end a login.
    let no_head = || async { (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "GET")]) };
    Ok(Router::new()
        .route("/", get(start))
        .route("/login", get(login).head(no_head))
        .route("/callback", get(callback).head(no_head))
        .route("/logout", post(logout))
        .layer(map_response(move |response: Response| std::future::ready(protected(response, &policy))))
        .with_state(Arc::new(service)))
}

async fn start(State(service): State<Arc<Service>>, headers: HeaderMap) -> Markup {
    match service.sessions.user(service.session_id(&headers)) {
        Some(user) => pages::signed_in(&user),
        None => pages::signed_out(),
    }
}

/// Begins a login. It always ends at `/`: if the link had an address to return to, it could send users to any site.
async fn login(State(service): State<Arc<Service>>, headers: HeaderMap) -> Result<Response, Failure> {
    if !is_navigation(&headers) {
        return Err(Failure::no_navigation());
    }
    let login = service.client.begin_browser_login(&service.request)?;
    let (cookies, sealed) = (service.cookies, service.begun.seal(&login.pending)?);
    let begun = cookies.make(cookies.begun(login.pending.expose_state()), sealed, begun::LIFETIME);
    let before = cookies.all_begun(&headers);
    let too_many = (before.len() + 1).saturating_sub(MAX_BEGUN);
    let oldest = before.into_iter().take(too_many).map(|name| cookies.removal(name));
    let jar = oldest.fold(CookieJar::new().add(begun), CookieJar::add);
    Ok((jar, Redirect::to(&login.url)).into_response())
}

/// Ends a login, when the browser comes back.
async fn callback(
    State(service): State<Arc<Service>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, Failure> {
    // A prefetch would consume the login, and the user would see that it is over.
    if !is_navigation(&headers) {
        return Err(Failure::no_navigation());
    }
    let callback = Callback::from_query(query.as_deref().unwrap_or_default()).map_err(|_| Failure::not_pending())?;
    let state = callback.state().ok_or_else(Failure::not_pending)?;
    let (cookies, begun) = (service.cookies, service.cookies.begun(state));
    let pending = read(&headers, &begun).and_then(|sealed| service.begun.open(state, sealed));
    let pending = pending.ok_or_else(Failure::not_pending)?;
    let before = service.session_id(&headers).to_owned();
    let signed_in = run_to_end({
        let service = service.clone();
        async move { service.complete(&before, pending, &callback).await }
    })
    .await;
    // Whatever became of it, the login is over.
    let jar = CookieJar::new().add(cookies.removal(begun));
    Ok(match signed_in {
        // To another address by GET (303), so that neither "back" nor "reload" sends the callback again.
        Ok(id) => {
            let session = cookies.make(cookies.session(), id, sessions::LIFETIME);
            (jar.add(session), Redirect::to("/")).into_response()
        }
        Err(failure) => (jar, failure).into_response(),
    })
}

/// Runs the work in a task, which continues when the browser disconnects and axum drops its request. Otherwise tokens
/// could stay unrevoked.
async fn run_to_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, Failure>> + Send + 'static,
) -> Result<T, Failure> {
    tokio::spawn(work).await.unwrap_or_else(|_| Err(Failure::not_understood()))
}

#[derive(Deserialize)]
struct SignOut {
    #[serde(default)]
    csrf: String,
}

async fn logout(
    State(service): State<Arc<Service>>,
    headers: HeaderMap,
    Form(form): Form<SignOut>,
) -> Result<Response, Failure> {
    let id = service.session_id(&headers);
    let mut jar = CookieJar::new();
    // A form of another site comes without the cookie, and must not remove it.
    if !id.is_empty() {
        jar = jar.add(service.cookies.removal(service.cookies.session()));
    }
    if let Some(user) = service.sessions.user(id) {
        if !user.has_csrf(&form.csrf) {
            return Err(Failure::foreign_form());
        }
        // Here first, so that the session ends even if LoginRadius does not respond.
        service.sessions.end(id);
        run_to_end(async move {
            service.revoke(user.refresh_token.clone()).await;
            Ok(())
        })
        .await?;
    }
    Ok((jar, Redirect::to("/")).into_response())
}

impl Service {
    /// Signs the user of a callback in. Returns the id of the new session, which replaces the one before.
    async fn complete(&self, before: &str, mut pending: PendingLogin, callback: &Callback) -> Result<String, Failure> {
        let state = pending.expose_state().to_owned();
        // Before anything else, so that only one of two requests with the same callback sends the code: LoginRadius
        // may end the login if a code comes twice (RFC 6749, section 4.1.2).
        if !self.begun.consume(&state) {
            return Err(Failure::not_pending());
        }
        let tokens = self.client.complete_browser_login(&mut pending, callback).await.inspect_err(|error| {
            if !error.is_outcome_unknown() {
                self.begun.forget(&state);
            }
        })?;
        let claims = match self.identify(tokens.access_token).await {
            Ok(claims) => claims,
            Err(failure) => {
                // No user is signed in, so the tokens are of no use.
                self.revoke(tokens.refresh_token).await;
                return Err(failure);
            }
        };
        let (id, ended) = self.sessions.start(before, claims, tokens.refresh_token)?;
        for user in ended {
            self.revoke(user.refresh_token.clone()).await;
        }
        Ok(id)
    }

    /// Returns the claims of the user who has signed in, from a JWT that LoginRadius signed.
    async fn identify(&self, access_token: AccessToken) -> Result<Map<String, Value>, Failure> {
        let jwt = self.client.call(&JwtByAccessToken::new(access_token)).await?;
        Ok(self.verifier.verify(jwt.expose(), SystemTime::now())?.claims_map()?)
    }

    /// Revokes tokens at LoginRadius. If that fails, they are valid there until they expire.
    async fn revoke(&self, refresh_token: Option<RefreshToken>) {
        let Some(token) = refresh_token else { return };
        let revoke = RevokeRefreshToken::new(token);
        if let Err(error) = self.client.call(&revoke).await {
            log(&error);
        }
    }

    /// Returns the id of the browser's session; an empty one if it has none.
    fn session_id<'a>(&self, headers: &'a HeaderMap) -> &'a str {
        read(headers, self.cookies.session()).unwrap_or_default()
    }
}

/// Adds the headers that protect a page: it is not cached, not shown in a frame, and runs no script; and no other site
/// gets its address, which may have a code in it.
fn protected(mut response: Response, policy: &HeaderValue) -> Response {
    const HEADERS: [(HeaderName, &str); 3] = [
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy.clone());
    response
}

/// Returns how requests to LoginRadius are written.
fn dialect(cli: &Cli, target: &Target) -> Dialect {
    let dialect = cli.browser.dialect(*target.app.service().dialect());
    if cli.token_key { dialect.with_revocation_key(RevocationKey::Token) } else { dialect }
}

/// Returns the service that it talks to, and the verifier of its JWTs.
fn target(cli: &Cli) -> Result<(Target, Verifier)> {
    let options = &cli.browser.common;
    if options.is_service() {
        let key = cli.jwt_key.as_deref().ok_or("no key for the JWTs is set: give the JWT app's with --jwt-key")?;
        let issuer = cli.issuer.as_deref().ok_or("no issuer of the JWTs is named: give it with --issuer")?;
        let audience = cli.audience.clone().map_or(Audience::NotChecked, Audience::Is);
        let verifier = Verifier::new(cli.jwt_algorithm, key_of(key, cli.jwt_algorithm)?, issuer, audience)?;
        let mut target = options.target()?;
        target.set_dialect(dialect(cli, &target))?;
        return Ok((target, verifier));
    }
    if cli.jwt_key.is_some() || cli.issuer.is_some() {
        return Err("--jwt-key and --issuer alone have no effect, as the program then uses its own emulator: give \
                    --client-id, too"
            .into());
    }
    let audience = cli.audience.as_deref().unwrap_or(seeded::CLIENT_ID);
    let mut target = options.target_or(Emulator::builder().jwt_audience(audience))?;
    let emulator = target.emulator.as_ref().ok_or("the options name a service")?;
    let mut apps = seeded::JWT_APPS.iter();
    let app = apps.find(|app| app.algorithm.name() == cli.jwt_algorithm.as_str());
    let app = app.ok_or("the emulator has no JWT app of that algorithm")?;
    let key = match (app.public_key_pem, app.secret) {
        (Some(pem), _) => Key::from_pem(pem)?,
        (None, secret) => Key::from_secret(secret.unwrap_or_default())?,
    };
    let issuer = format!("{}/", emulator.base_url());
    target.app = target.app.with_jwt_app(app.name);
    target.set_dialect(dialect(cli, &target))?;
    Ok((target, Verifier::new(cli.jwt_algorithm, key, issuer, Audience::Is(audience.to_owned()))?))
}

fn key_of(file: &Path, algorithm: Algorithm) -> Result<Key> {
    let bytes = fs::read(file).map_err(|error| {
        format!("cannot read the file {} of --jwt-key, {error}: give one that is there", file.display())
    })?;
    Ok(match algorithm {
        // Editors end a file with a line break, which does not belong to the secret.
        Algorithm::Hs256 | Algorithm::Hs384 | Algorithm::Hs512 => Key::from_secret(bytes.trim_ascii_end())?,
        _ => Key::from_pem(bytes)?,
    })
}

/// Returns the scheme and the host of an address.
fn origin(url: &str) -> Result<String> {
    let uri: Uri = url.parse().unwrap_or_default();
    match (uri.scheme_str(), uri.authority()) {
        (Some(scheme), Some(host)) if matches!(uri.path(), "" | "/") && uri.query().is_none() => {
            Ok(format!("{scheme}://{host}"))
        }
        _ => Err("--public-url has a path, or is not a URL: give one such as https://app.example".into()),
    }
}
