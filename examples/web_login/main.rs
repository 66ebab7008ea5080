//! A web service with a "Sign in with LoginRadius" button.
//!
//!     cargo run --example web_login
//!
//! Without options it starts an emulator: open the address that it prints, and sign in as it says. `--client-id`
//! points it at the real LoginRadius, which has to know the whole address of `/callback`:
//!
//!     cargo run --example web_login -- --client-id ... --client-secret ... --jwt-app ... --jwt-key public.pem \
//!         --issuer https://acme.hub.loginradius.com/ --listen 127.0.0.1:8400 --public-url https://app.example
//!
//! - `GET /` shows the button, or what LoginRadius says of the person who has signed in.
//! - `GET /login` begins: it remembers the sign-in in the browser's session, and sends the browser to LoginRadius.
//! - `GET /callback` ends: it exchanges the code for tokens and those for a JWT, verifies the JWT, and gives the
//!   browser a new session.
//! - `POST /logout` signs out.

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
use axum_extra::extract::cookie::{Cookie, SameSite};
use clap::Parser;
use loginradius_async::browser::{AuthorizationRequest, Callback, PendingLogin};
use loginradius_async::jwt::JwtByAccessToken;
use loginradius_async::oauth::RevokeRefreshToken;
use loginradius_async::{AccessToken, Client, Dialect, Endpoint as _, RefreshToken, Retry, RevocationKey};
use loginradius_emulator::{Emulator, seeded};
use loginradius_examples::{BrowserOptions, Output, Result, Target};
use loginradius_jwt::{Algorithm, Audience, Key, Verifier};
use maud::Markup;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;

use crate::failure::{Failure, tell_operator};
use crate::sessions::Sessions;

/// Sign in the visitors of a web service at LoginRadius.
#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    browser: BrowserOptions,
    /// Where to listen
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// The address that browsers know this by, as in `https://app.example`; by default the one that it listens on
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
    /// The audience (`aud`) that its JWTs must have; without it, whichever they have is taken
    #[arg(long)]
    audience: Option<String>,
    /// Revoke under the key `token`, as RFC 7009 has it, and not under LoginRadius's `refresh_token`
    #[arg(long)]
    token_key: bool,
}

/// What all requests share.
struct Service {
    client: Client,
    request: AuthorizationRequest,
    verifier: Verifier,
    sessions: Sessions,
    is_https: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let output = cli.browser.common.output();
    output.finish(run(&cli, output).await)
}

async fn run(cli: &Cli, output: Output) -> Result {
    let (target, verifier) = target(cli)?;
    let listener = TcpListener::bind(cli.listen).await?;
    let listen = listener.local_addr()?;
    let url = cli.public_url.as_deref().map_or_else(|| Ok(format!("http://{listen}")), origin)?;
    // Somebody waits for the answer: rather tell them to try later than try for long.
    let client = Client::builder(target.app.clone()).retry(Retry::default().with_attempts(2)).build()?;
    let request = cli.browser.request(&format!("{url}/callback"));
    // What is wrong with the settings is told now, and not to the first visitor.
    client.begin_browser_login(&request)?;
    JwtByAccessToken::new("any").request(client.app())?;
    let is_https = url.starts_with("https:");
    let service = Service { client, request, verifier, sessions: Sessions::default(), is_https };

    target.print_user(output);
    if output.is_json() {
        output.summary(&json!({ "event": "serving", "url": url, "listen": listen }));
    }
    output.say(format!("Serving at {listen}.\n\nIn a browser, open\n\n  {url}\n"));
    let stopped = || async { drop(tokio::signal::ctrl_c().await) };
    // Who never ends a request must not keep it alive. Behind the internet's clients put a proxy with timeouts.
    let patience = async {
        stopped().await;
        tokio::time::sleep(Duration::from_secs(5)).await;
    };
    tokio::select! {
        served = axum::serve(listener, routes(service)).with_graceful_shutdown(stopped()) => Ok(served?),
        () = patience => Ok(()),
    }
}

fn routes(service: Service) -> Router {
    // A look at the head of these would begin or end a sign-in.
    let no_head = || async { StatusCode::METHOD_NOT_ALLOWED };
    Router::new()
        .route("/", get(start))
        .route("/login", get(login).head(no_head))
        .route("/callback", get(callback).head(no_head))
        .route("/logout", post(logout))
        .layer(map_response(protected))
        .with_state(Arc::new(service))
}

async fn start(State(service): State<Arc<Service>>, headers: HeaderMap) -> Markup {
    match service.sessions.user(service.session_id(&headers)) {
        Some(user) => pages::signed_in(&user),
        None => pages::signed_out(),
    }
}

/// Begins a sign-in. Where it ends is not the link's to say: an address to return to would send people anywhere.
async fn login(State(service): State<Arc<Service>>, headers: HeaderMap) -> Result<Response, Failure> {
    let sign_in = service.client.begin_browser_login(&service.request)?;
    let id = service.sessions.begin(service.session_id(&headers), sign_in.pending)?;
    Ok((CookieJar::new().add(service.cookie(id)), Redirect::to(&sign_in.url)).into_response())
}

/// The browser comes back.
async fn callback(
    State(service): State<Arc<Service>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, Failure> {
    let callback = Callback::from_query(query.as_deref().unwrap_or_default()).map_err(|_| Failure::over())?;
    let id = service.session_id(&headers).to_owned();
    // Taken out before anything else: of two requests with the same callback, one finds it.
    let pending = callback.state().and_then(|state| service.sessions.take(&id, state));
    let pending = pending.ok_or_else(Failure::over)?;
    let new_id = to_its_end({
        let service = service.clone();
        async move { service.complete(&id, pending, &callback).await }
    })
    .await?;
    // On to another address by GET (303): neither "back" nor "reload" sends the callback again.
    let jar = new_id.into_iter().fold(CookieJar::new(), |jar, id| jar.add(service.cookie(id)));
    Ok((jar, Redirect::to("/")).into_response())
}

/// Goes on when the browser leaves meanwhile, and axum drops its request: what has to be revoked still is.
async fn to_its_end<T: Send + 'static>(
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
    // Another site's form comes without the cookie: it must not remove it.
    if !id.is_empty() {
        let mut removal = service.cookie(String::new());
        removal.make_removal();
        jar = jar.add(removal);
    }
    if let Some(user) = service.sessions.user(id) {
        if !user.gave_out(&form.csrf) {
            return Err(Failure::foreign_form());
        }
        // First here, so that it has ended whatever LoginRadius answers.
        service.sessions.end(id);
        to_its_end(async move {
            service.revoke(user.refresh_token.clone()).await;
            Ok(())
        })
        .await?;
    }
    Ok((jar, Redirect::to("/")).into_response())
}

impl Service {
    /// From the callback to somebody who has signed in: the id of the session from then on.
    async fn complete(
        &self,
        id: &str,
        mut pending: PendingLogin,
        callback: &Callback,
    ) -> Result<Option<String>, Failure> {
        let tokens = self.client.complete_browser_login(&mut pending, callback).await?;
        let claims = match self.identify(tokens.access_token).await {
            Ok(claims) => claims,
            Err(failure) => {
                // Nobody is signed in, so nobody needs the tokens.
                self.revoke(tokens.refresh_token).await;
                return Err(failure);
            }
        };
        let (new_id, unused) = self.sessions.sign_in(id, claims, tokens.refresh_token)?;
        self.revoke(unused).await;
        Ok(new_id)
    }

    /// Who has signed in, by a JWT that LoginRadius gave and signed.
    async fn identify(&self, access_token: AccessToken) -> Result<Map<String, Value>, Failure> {
        let jwt = self.client.call(&JwtByAccessToken::new(access_token)).await?;
        Ok(self.verifier.verify(jwt.expose(), SystemTime::now())?.claims_map()?)
    }

    /// Ends tokens at LoginRadius. If that fails, they end there by themselves, some time.
    async fn revoke(&self, refresh_token: Option<RefreshToken>) {
        let Some(token) = refresh_token else { return };
        let revoke = RevokeRefreshToken::new(token);
        if let Err(error) = self.client.call(&revoke).await {
            tell_operator(&error);
        }
    }

    /// Not by `CookieJar`, which decodes names: `%5F_Host-web_login` of another host would pass for ours. Two are none.
    fn session_id<'a>(&self, headers: &'a HeaderMap) -> &'a str {
        let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
        let cookies = lines.flat_map(Cookie::split_parse).filter_map(Result::ok);
        let mut ids =
            cookies.filter(|cookie| cookie.name() == self.cookie_name()).filter_map(|cookie| cookie.value_raw());
        match (ids.next(), ids.next()) {
            (Some(id), None) => id,
            _ => "",
        }
    }

    /// The prefix makes browsers refuse such a cookie from another host of the domain, and without `Secure`.
    fn cookie_name(&self) -> &'static str {
        if self.is_https { "__Host-web_login" } else { "web_login" }
    }

    /// The cookie of a session, out of scripts' sight.
    fn cookie(&self, id: String) -> Cookie<'static> {
        Cookie::build((self.cookie_name(), id))
            .path("/")
            .http_only(true)
            // Other sites' forms go without it. With `Strict`, so would the link by which LoginRadius sends people back.
            .same_site(SameSite::Lax)
            // Plain http is for this machine alone, and there some browsers would not keep a `Secure` cookie.
            .secure(self.is_https)
            .max_age(sessions::LIFETIME.try_into().unwrap_or_default())
            .build()
    }
}

/// No page is kept, shown in another one, or the reason why another site learns the address, which has a code in it.
async fn protected(mut response: Response) -> Response {
    const HEADERS: [(HeaderName, &str); 4] = [
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        ),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// How it writes its requests.
fn dialect(cli: &Cli, target: &Target) -> Dialect {
    let dialect = cli.browser.dialect(*target.app.service().dialect());
    if cli.token_key { dialect.with_revocation_key(RevocationKey::Token) } else { dialect }
}

/// Whom it talks to, and whose JWTs it believes.
fn target(cli: &Cli) -> Result<(Target, Verifier)> {
    let options = &cli.browser.common;
    if options.is_service() {
        let key = cli.jwt_key.as_deref().ok_or("give the key of the JWT app with --jwt-key, to verify its JWTs")?;
        let issuer = cli.issuer.as_deref().ok_or("say with --issuer which issuer the JWTs have")?;
        let audience = cli.audience.clone().map_or(Audience::NotChecked, Audience::Is);
        let verifier = Verifier::new(cli.jwt_algorithm, key_of(key, cli.jwt_algorithm)?, issuer, audience)?;
        let mut target = options.target()?;
        target.set_dialect(dialect(cli, &target))?;
        return Ok((target, verifier));
    }
    if cli.jwt_key.is_some() || cli.issuer.is_some() {
        return Err("--jwt-key and --issuer are for a service: say who you are with --client-id too".into());
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
    let bytes = fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
    Ok(match algorithm {
        // Editors end a file with a line break, which is none of the secret.
        Algorithm::Hs256 | Algorithm::Hs384 | Algorithm::Hs512 => Key::from_secret(bytes.trim_ascii_end())?,
        _ => Key::from_pem(bytes)?,
    })
}

/// The part of an address that a cookie and a link to `/` are for.
fn origin(url: &str) -> Result<String> {
    let uri: Uri = url.parse().unwrap_or_default();
    match (uri.scheme_str(), uri.authority()) {
        (Some(scheme), Some(host)) if matches!(uri.path(), "" | "/") && uri.query().is_none() => {
            Ok(format!("{scheme}://{host}"))
        }
        _ => Err("--public-url is no address without a path, such as https://app.example".into()),
    }
}
