//! Sessions: tokens that have ended, stores that fail, records that cannot be used.

use std::time::{Duration, Instant};

use loginradius_conformance::{
    Adapter, BlackHole, Server, Session as _, SessionSettings, Sessions as _, Settings, Store, StoreFault, secrets,
};
use loginradius_emulator::{Emulator, Fault, Operation, seeded};
use loginradius_proto::{AccessToken, Error, RefreshToken, TokenSet};
use loginradius_store::{
    AsyncSessionLock, AsyncSessionStore, BoxFuture, Expected, FileStore, SessionLock, SessionStore, StoredRecord,
};
use sha2::{Digest as _, Sha256};

use crate::case::{Case, REFUSED, Said, app, case};
use crate::logins::{app_at, client_of};

const ADA: &str = "ada";

type SessionOf<A> = <<A as Adapter>::Sessions as loginradius_conformance::Sessions>::Session;

/// Makes tokens that expired a second ago, of a login at the emulator or invented ones.
fn expired(emulator: Option<&Emulator>) -> TokenSet {
    let refresh_token = match emulator {
        Some(emulator) => emulator.login(&seeded::ADA).refresh_token.unwrap(),
        None => secrets::REFRESH_TOKEN.to_owned(),
    };
    let mut tokens = TokenSet::new(AccessToken::new(secrets::ACCESS_TOKEN));
    tokens.refresh_token = Some(RefreshToken::new(refresh_token));
    tokens.expires_in = Some(Duration::from_secs(60));
    tokens.requested_at = Instant::now().checked_sub(Duration::from_secs(61));
    tokens
}

/// Signs in with expired tokens at an emulator, lets `act` happen, and asks for a token.
fn wanted<A: Adapter>(act: impl FnOnce(&Emulator, &Store, &SessionOf<A>)) -> Said {
    let emulator = Emulator::start().unwrap();
    let store = Store::new();
    let tokens = expired(Some(&emulator));
    let mut settings = SessionSettings::default();
    settings.lock_wait = Some(Duration::from_millis(100));
    let session = client_of::<A>(&emulator).sessions(store.clone(), &settings).session(ADA);
    session.start(&tokens).unwrap();
    act(&emulator, &store, &session);
    let said = Said::of(&session.access_token().unwrap_err());
    said.without(tokens.refresh_token.as_ref().unwrap().expose())
}

/// Makes a session whose client reaches no server.
fn session<A: Adapter>(store: &Store) -> SessionOf<A> {
    let client = A::new(app(REFUSED), &Settings::default()).unwrap();
    client.sessions(store.clone(), &SessionSettings::default()).session(ADA)
}

pub(crate) fn cases() -> Vec<Case> {
    [endings(), outages(), stores(), records(), users()].into_iter().flatten().collect()
}

fn endings() -> Vec<Case> {
    vec![
        case!("no user is signed in", <A> { session::<A>(&Store::new()).access_token().unwrap_err() }),
        case!("the user has signed out in another process", <A> {
            wanted::<A>(|emulator, store, _| {
                let other = client_of::<A>(emulator).sessions(store.clone(), &SessionSettings::default());
                other.session(ADA).forget().unwrap();
            })
        }),
        case!("LoginRadius has ended the session", <A> { wanted::<A>(|emulator, _, _| emulator.end_all_logins()) }),
        case!("LoginRadius has ended the session, and the program asks again", <A> {
            wanted::<A>(|emulator, _, session| {
                emulator.end_all_logins();
                session.access_token().unwrap_err();
            })
        }),
        case!("LoginRadius has ended the session, and another process asks", <A> {
            let emulator = Emulator::start().unwrap();
            let store = Store::new();
            let sessions = || client_of::<A>(&emulator).sessions(store.clone(), &SessionSettings::default());
            let first = sessions().session(ADA);
            first.start(&expired(Some(&emulator))).unwrap();
            emulator.end_all_logins();
            first.access_token().unwrap_err();
            sessions().session(ADA).access_token().unwrap_err()
        }),
        case!("an access token has expired, and there is no refresh token", <A> {
            let session = session::<A>(&Store::new());
            let mut tokens = expired(None);
            tokens.refresh_token = None;
            session.start(&tokens).unwrap();
            session.access_token().unwrap_err()
        }),
        case!("a session is started with an empty access token", <A> {
            session::<A>(&Store::new()).start(&TokenSet::new(AccessToken::new(""))).unwrap_err()
        }),
        case!("a session is started with tokens that are far too long", <A> {
            session::<A>(&Store::new()).start(&TokenSet::new(AccessToken::new("a".repeat(2 << 20)))).unwrap_err()
        }),
        case!("tokens that live for no time", <A> {
            let server = Server::responding(|_| {
                let body = r#"{"access_token":"canary-in-response-c37d","refresh_token":"r2","expires_in":-1}"#;
                format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
            });
            let client = A::new(app(&server.url()), &Settings::default()).unwrap();
            let session = client.sessions(Store::new(), &SessionSettings::default()).session(ADA);
            session.start(&expired(None)).unwrap();
            session.access_token().unwrap_err()
        }),
    ]
}

fn outages() -> Vec<Case> {
    /// Asks for a token at that address, with a client of these settings.
    fn at<A: Adapter>(url: &str, settings: &Settings) -> Error {
        let client = A::new(app(url), settings).unwrap();
        let session = client.sessions(Store::new(), &SessionSettings::default()).session(ADA);
        session.start(&expired(None)).unwrap();
        session.access_token().unwrap_err()
    }
    fn fails<A: Adapter>(fault: Fault) -> Said {
        wanted::<A>(|emulator, _, _| emulator.fault(Operation::Refresh, fault))
    }
    vec![
        case!("a session while LoginRadius is out of order", <A> { fails::<A>(Fault::Status(503)) }),
        case!("a session while LoginRadius is out of order, the second time", <A> {
            wanted::<A>(|emulator, _, session| {
                emulator.fault(Operation::Refresh, Fault::Status(503));
                session.access_token().unwrap_err();
            })
        }),
        case!("a session while LoginRadius is out of order, in another process", <A> {
            let emulator = Emulator::start().unwrap();
            let store = Store::new();
            let sessions = || client_of::<A>(&emulator).sessions(store.clone(), &SessionSettings::default());
            let first = sessions().session(ADA);
            first.start(&expired(Some(&emulator))).unwrap();
            emulator.fault(Operation::Refresh, Fault::Status(503));
            first.access_token().unwrap_err();
            sessions().session(ADA).access_token().unwrap_err()
        }),
        case!("a session that makes too many requests", <A> {
            fails::<A>(Fault::TooManyRequests { retry_after: Some(30) })
        }),
        case!("a session whose response was lost", <A> { fails::<A>(Fault::DropBefore) }),
        case!("a session whose refresh token was consumed with a lost response", <A> {
            wanted::<A>(|emulator, _, session| {
                emulator.fault_times(Operation::Refresh, Fault::DropAfter, 1);
                session.access_token().unwrap_err();
                // Until the backoff is over.
                std::thread::sleep(Duration::from_millis(1500));
            })
        }),
        case!("a session whose client secret is wrong", <A> {
            let emulator = Emulator::start().unwrap();
            let app = app_at(&emulator).with_client_secret(seeded::OTHER_CLIENT_SECRET);
            let client = A::new(app, &Settings::default()).unwrap();
            let session = client.sessions(Store::new(), &SessionSettings::default()).session(ADA);
            session.start(&expired(Some(&emulator))).unwrap();
            session.access_token().unwrap_err()
        }),
        case!("a session without a network", <A> { at::<A>(REFUSED, &Settings::default()) }),
        case!("a session whose requests do not come through", <A> {
            BlackHole::open().map(|hole| {
                let mut settings = Settings::default();
                settings.connect_timeout = Duration::from_millis(200);
                Said::of(&at::<A>(&format!("http://{}", hole.address()), &settings))
            })
        }),
        case!("a session behind a hotel network's sign-in page", <A> {
            let server = Server::responding(|_| b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n<p>Sign in".to_vec());
            at::<A>(&server.url(), &Settings::default())
        }),
        case!("a session whose deadline passes", <A> {
            let emulator = Emulator::start().unwrap();
            emulator.fault(Operation::Refresh, Fault::Delay(Duration::from_millis(600)));
            let sessions = client_of::<A>(&emulator).sessions(Store::new(), &SessionSettings::default());
            let session = sessions.session(ADA);
            session.start(&expired(Some(&emulator))).unwrap();
            session.within(Duration::from_millis(100)).access_token().unwrap_err()
        }),
        case!("a sign-out that LoginRadius does not take", <A> {
            let emulator = Emulator::start().unwrap();
            emulator.fault(Operation::Revoke, Fault::Status(503));
            let sessions = client_of::<A>(&emulator).sessions(Store::new(), &SessionSettings::default());
            let session = sessions.session(ADA);
            session.start(&expired(Some(&emulator))).unwrap();
            session.sign_out().unwrap_err()
        }),
    ]
}

fn stores() -> Vec<Case> {
    fn with_fault<A: Adapter>(fault: StoreFault) -> Said {
        wanted::<A>(|_, store, _| store.set_fault(fault))
    }
    vec![
        case!("another process has the session's lock", <A> {
            let store = Store::new();
            let client = A::new(app(REFUSED), &Settings::default()).unwrap();
            let mut settings = SessionSettings::default();
            settings.lock_wait = Some(Duration::from_millis(50));
            let session = client.sessions(store.clone(), &settings).session(ADA);
            session.start(&expired(None)).unwrap();
            let _lock = SessionStore::try_lock(&store, ADA).unwrap();
            session.access_token().unwrap_err()
        }),
        case!("a store that panics", <A> { with_fault::<A>(StoreFault::PanicInLoad) }),
        case!("a store that hangs", {
            use crate::asynchronous::Async;
            let store = Store::new();
            let session = session::<Async>(&store);
            session.start(&expired(None)).unwrap();
            store.set_fault(StoreFault::LoadHangs);
            session.within(Duration::from_millis(200)).access_token().unwrap_err()
        }),
    ]
}

fn records() -> Vec<Case> {
    /// Signs in with a file store, changes the record, and asks for a token in another process.
    fn with<A: Adapter>(change: impl FnOnce(&mut String), asking: &str) -> Said {
        with_tokens::<A>(&expired(None), change, asking)
    }
    fn with_tokens<A: Adapter>(tokens: &TokenSet, change: impl FnOnce(&mut String), asking: &str) -> Said {
        let folder = tempfile::tempdir().unwrap();
        let store = FileStore::open(folder.path()).unwrap();
        let client = A::new(app(REFUSED), &Settings::default()).unwrap();
        client.sessions(store.clone(), &SessionSettings::default()).session(ADA).start(tokens).unwrap();
        let mut lock = SessionStore::try_lock(&store, ADA).unwrap().unwrap();
        let record = lock.load().unwrap().unwrap();
        let mut json = String::from_utf8(record.as_bytes().to_vec()).unwrap();
        change(&mut json);
        if json.as_bytes() != record.as_bytes() {
            lock.save(&StoredRecord::from_bytes(json), Expected::Generation(record.generation())).unwrap();
        }
        drop(lock);
        let app = loginradius_proto::App::new(asking).with_service(app(REFUSED).service().clone());
        let client = A::new(app, &Settings::default()).unwrap();
        let session = client.sessions(store, &SessionSettings::default()).session(ADA);
        Said::of(&session.access_token().unwrap_err()).with(folder.path().display(), "folder")
    }
    vec![
        case!("the record is damaged", <A> { with::<A>(|json| json.truncate(json.len() / 2), "my-client-id") }),
        case!("the record is empty", <A> { with::<A>(String::clear, "my-client-id") }),
        case!("the record is another app's", <A> { with::<A>(|_| (), "other-client-id") }),
        case!("the record is a newer program's", <A> {
            let newer = |json: &mut String| {
                let (content, _) = json.split_once(r#","checksum":"#).unwrap();
                let content = content.replace(r#""version":1"#, r#""version":9"#);
                let hash = Sha256::digest(&content);
                let checksum: String = hash[..16].iter().map(|byte| format!("{byte:02x}")).collect();
                *json = format!(r#"{content},"checksum":"{checksum}"}}"#);
            };
            with::<A>(newer, "my-client-id")
        }),
        case!("the clock was set back, and there is no refresh token", <A> {
            let mut tokens = expired(None);
            tokens.refresh_token = None;
            let later = |json: &mut String| {
                let (content, _) = json.split_once(r#","checksum":"#).unwrap();
                *json = format!("{content}}}").replace(r#""obtained_at_unix_ms":1"#, r#""obtained_at_unix_ms":9"#);
            };
            with_tokens::<A>(&tokens, later, "my-client-id")
        }),
    ]
}

/// A store of the user's own, without the method `names`.
struct Unlisted(Store);

impl SessionStore for Unlisted {
    fn try_lock(&self, name: &str) -> Result<Option<Box<dyn SessionLock>>, Error> {
        SessionStore::try_lock(&self.0, name)
    }
}

impl AsyncSessionStore for Unlisted {
    fn try_lock<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Box<dyn AsyncSessionLock>>, Error>> {
        AsyncSessionStore::try_lock(&self.0, name)
    }
}

fn users() -> Vec<Case> {
    vec![
        case!("a store of the user's own does not list its sessions", <A> {
            let client = A::new(app(REFUSED), &Settings::default()).unwrap();
            client.sessions(Unlisted(Store::new()), &SessionSettings::default()).names("ada/").unwrap_err()
        }),
        case!("all sessions are signed out whose names begin with an empty user id", <A> {
            let client = A::new(app(REFUSED), &Settings::default()).unwrap();
            client.sessions(Store::new(), &SessionSettings::default()).sign_out_all("").unwrap_err()
        }),
        case!("all sessions of a user are signed out, and one of three cannot be saved", <A> {
            let emulator = Emulator::start().unwrap();
            let store = Store::new();
            let sessions = client_of::<A>(&emulator).sessions(store.clone(), &SessionSettings::default());
            for name in ["ada/1", "ada/2", "ada/3"] {
                sessions.session(name).start(&expired(Some(&emulator))).unwrap();
            }
            store.set_fault_of("ada/2", StoreFault::SaveFails);
            sessions.sign_out_all("ada/").unwrap_err()
        }),
    ]
}
