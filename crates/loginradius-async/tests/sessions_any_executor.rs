//! Sessions and an async file store, wherever their futures run: each operation works or says what it needs.

mod executors;

use std::sync::LazyLock;
use std::time::Duration;

use executors::Case;
use loginradius_async::store::{AsyncSessionStore, FileStore, MemoryStore};
use loginradius_async::{App, Client, Error, ErrorKind, Service, Session, Sessions, TokenSet};
use loginradius_conformance::emulator::{Emulator, seeded};

static EMULATOR: LazyLock<Emulator> = LazyLock::new(|| Emulator::start().unwrap());

fn sessions() -> Sessions {
    let service = Service::classic_at(EMULATOR.base_url()).unwrap();
    let app = App::new(seeded::CLIENT_ID).with_client_secret(seeded::CLIENT_SECRET).with_service(service);
    Sessions::new(&Client::new(app).unwrap(), MemoryStore::new())
}

fn tokens() -> TokenSet {
    let login = EMULATOR.login(&seeded::ADA);
    let mut tokens = TokenSet::new(login.access_token);
    tokens.refresh_token = login.refresh_token.map(Into::into);
    tokens.expires_in = Some(Duration::from_secs(600));
    tokens
}

fn accept<T>(result: Result<T, Error>) {
    if let Err(error) = result {
        let kinds = [ErrorKind::Misuse, ErrorKind::Configuration, ErrorKind::Unavailable, ErrorKind::DeadlineExceeded];
        assert!(kinds.contains(&error.kind()) || error.kind() == ErrorKind::SignInRequired, "{error:?}");
    }
}

fn session() -> (Session, TokenSet) {
    (sessions().session("ada"), tokens())
}

async fn use_all_operations(session: &Session, tokens: &TokenSet) {
    accept(session.start(tokens).await);
    accept(session.access_token().await);
    accept(session.tokens().await);
    accept(session.is_signed_in().await);
    accept(session.refresh_rejected(&tokens.access_token).await);
    accept(session.flush().await);
    accept(session.sign_out().await);
    accept(session.forget().await);
}

const CASES: &[Case] = &[
    ("all operations", || {
        Box::pin(async {
            let (session, tokens) = session();
            use_all_operations(&session, &tokens).await;
        })
    }),
    ("the same within a time", || {
        Box::pin(async {
            let (session, tokens) = session();
            use_all_operations(&session.within(Duration::from_millis(500)), &tokens).await;
        })
    }),
    ("Sessions::flush", || Box::pin(async { accept(sessions().flush().await) })),
    ("FileStore", || {
        Box::pin(async {
            let folder = tempfile::tempdir().unwrap();
            let store = FileStore::open(folder.path()).unwrap();
            let lock = AsyncSessionStore::try_lock(&store, "ada").await;
            if let Ok(Some(mut lock)) = lock {
                let _ = lock.load().await;
                lock.unlock().await;
            } else if let Err(error) = lock {
                accept(Err::<(), _>(error));
            }
        })
    }),
];

#[test]
fn every_operation_of_a_session_works_or_says_what_it_needs() {
    executors::check(CASES);
}
